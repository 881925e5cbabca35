//! Whose certificates are believed: of those that browsers believe, and of the operator's own authority.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use tokio_rustls::TlsConnector;

use super::Failure;

/// The authorities that are believed.
#[derive(Debug, Clone)]
pub(super) struct Roots(Arc<RootCertStore>);

impl Roots {
    /// Returns the public ones and those of a PEM file.
    pub(super) fn read(authorities: Option<&Path>) -> anyhow::Result<Self> {
        let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        if let Some(file) = authorities {
            let unreadable =
                || format!("cannot read the authorities in {} (OUTBOUND_CA_FILE)", file.display());
            let found: Vec<_> = CertificateDer::pem_file_iter(file)
                .with_context(unreadable)?
                .collect::<Result<_, _>>()
                .with_context(unreadable)?;
            anyhow::ensure!(!found.is_empty(), "{} (OUTBOUND_CA_FILE) has no certificate", file.display());
            for authority in found {
                roots.add(authority).with_context(unreadable)?;
            }
        }
        Ok(Self(Arc::new(roots)))
    }

    /// Returns what encrypted connections begin with.
    pub(super) fn connector(&self) -> TlsConnector {
        let config = ClientConfig::builder().with_root_certificates(self.0.clone()).with_no_client_auth();
        connector(config)
    }

    /// Returns the same for one connection, and notes of what the host shows there.
    pub(super) fn taking_notes(&self) -> Result<(TlsConnector, Notes), Failure> {
        let inner = WebPkiServerVerifier::builder(self.0.clone())
            .build()
            .map_err(|error| Failure::Tls(std::io::Error::other(error)))?;
        let notes = Notes(Arc::new(Noting { inner, taken: Mutex::default() }));
        let config = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(notes.0.clone())
            .with_no_client_auth();
        Ok((connector(config), notes))
    }
}

fn connector(mut config: ClientConfig) -> TlsConnector {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Nothing of one tenant's call is left for another's.
    config.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

/// What a host showed: its certificates, and why they are not believed.
#[derive(Debug, Clone)]
pub(super) struct Notes(Arc<Noting>);

type Taken = (Vec<CertificateDer<'static>>, Option<Error>);

impl Notes {
    pub(super) fn taken(&self) -> Taken {
        self.0.lock().clone()
    }
}

/// Believes what `inner` believes, and remembers what it was shown.
#[derive(Debug)]
struct Noting {
    inner: Arc<WebPkiServerVerifier>,
    taken: Mutex<Taken>,
}

impl Noting {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let shown = std::iter::once(end_entity).chain(intermediates);
        *self.lock() = (shown.map(|one| one.clone().into_owned()).collect(), verdict.as_ref().err().cloned());
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
