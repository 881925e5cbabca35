//! Certificates: the operator's own, loaded at start and looked at again whenever their files change, without dropping a connection; those of
//! hosts that the server gets by itself (`tls/front.rs`); and the names in those that callers show.

mod front;

use std::{fs, path::Path, sync::Arc, time::SystemTime};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::server::TlsStream;

pub(super) use self::front::Front;
use crate::config::{ClientAuthorities, Tls};

/// The certificate in use. Clones share it.
#[derive(Clone)]
pub(super) struct Certificates {
    files: Tls,
    current: Arc<ArcSwap<Loaded>>,
}

struct Loaded {
    changed: Changed,
    config: Arc<ServerConfig>,
}

/// When the files last changed, as their file system says.
type Changed = [Option<SystemTime>; 3];

/// How many names of a caller's certificate are looked at; more is nobody.
const NAMES: usize = 16;

/// The names in a caller's certificate that an authority of ours has signed: of its subject alternative names the URIs and the DNS names.
#[derive(Debug, Clone)]
pub(super) struct ClientNames(pub Arc<[String]>);

impl Certificates {
    /// Loads the pair for whoever comes; at the start a bad one is an error.
    pub(super) fn load(files: &Tls) -> anyhow::Result<Self> {
        Self::for_callers(&Tls { clients: None, ..files.clone() })
    }

    /// Loads the pair for callers, who may show a certificate of their own.
    pub(super) fn for_callers(files: &Tls) -> anyhow::Result<Self> {
        let changed = changed(files);
        let config = read(files)?;
        let current = Arc::new(ArcSwap::from_pointee(Loaded { changed, config }));
        Ok(Self { files: files.clone(), current })
    }

    /// Returns what new connections shake hands with.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.current.load().config.clone()
    }

    /// Takes up a changed pair. A bad one is logged, once for each change, and the old one stays.
    pub(super) fn refresh(&self) {
        let before = self.current.load();
        let changed = changed(&self.files);
        if changed == before.changed {
            return;
        }
        let config = match read(&self.files) {
            Ok(config) => {
                tracing::info!("took up the changed certificate");
                config
            }
            Err(error) => {
                tracing::error!(cause = %format!("{error:#}"), "the changed certificate is not usable; keeping the old one");
                before.config.clone()
            }
        };
        self.current.store(Arc::new(Loaded { changed, config }));
    }
}

fn changed(files: &Tls) -> Changed {
    let of = |file: &Path| fs::metadata(file).and_then(|metadata| metadata.modified()).ok();
    let clients = files.clients.as_ref().and_then(|clients| of(&clients.file));
    [of(&files.certificate), of(&files.key), clients]
}

fn read(files: &Tls) -> anyhow::Result<Arc<ServerConfig>> {
    let certificate = || format!("cannot read the certificate {}", files.certificate.display());
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .with_context(certificate)?
        .collect::<Result<Vec<_>, _>>()
        .with_context(certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("cannot read the private key {}", files.key.display()))?;
    let builder = match &files.clients {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(clients) => ServerConfig::builder().with_client_cert_verifier(verifier(clients)?),
    };
    let mut config =
        builder.with_single_cert(chain, key).context("certificate and private key do not belong together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn verifier(clients: &ClientAuthorities) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let authorities =
        || format!("cannot read the authorities {} (TLS_CLIENT_CA_FILE)", clients.file.display());
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(&clients.file).with_context(authorities)? {
        roots.add(authority.with_context(authorities)?).with_context(authorities)?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
    let verifier = if clients.required { verifier } else { verifier.allow_unauthenticated() };
    verifier.build().with_context(authorities)
}

/// Returns the names in the certificate that the peer has shown, if it has shown one.
pub(super) fn client_names<I>(stream: &TlsStream<I>) -> Option<ClientNames> {
    let shown = stream.get_ref().1.peer_certificates()?.first()?;
    let certificate = webpki::EndEntityCert::try_from(shown).ok()?;
    let uris = certificate.valid_uri_names().map(str::to_owned);
    let names = uris.chain(certificate.valid_dns_names().map(str::to_ascii_lowercase));
    let names: Vec<String> = names.take(NAMES + 1).collect();
    Some(ClientNames(if names.len() > NAMES { Arc::from([]) } else { names.into() }))
}
