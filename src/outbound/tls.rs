//! Whose certificates are believed: of those that browsers believe, and of the operator's own authority.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use rustls::{ClientConfig, RootCertStore, client::Resumption};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tokio_rustls::TlsConnector;

/// Returns what encrypted connections begin with. `authorities` is a PEM file of authorities besides the public ones.
pub(super) fn connector(authorities: Option<&Path>) -> anyhow::Result<TlsConnector> {
    let mut roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    if let Some(file) = authorities {
        let unreadable = || format!("cannot read the authorities in {} (OUTBOUND_CA_FILE)", file.display());
        let found: Vec<_> = CertificateDer::pem_file_iter(file)
            .with_context(unreadable)?
            .collect::<Result<_, _>>()
            .with_context(unreadable)?;
        anyhow::ensure!(!found.is_empty(), "{} (OUTBOUND_CA_FILE) has no certificate", file.display());
        for authority in found {
            roots.add(authority).with_context(unreadable)?;
        }
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Nothing of one tenant's call is left for another's.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
