//! Certificates: the operator's own, loaded at start and looked at again whenever their files change, without dropping a connection; and
//! those of hosts that the server gets by itself (`tls/front.rs`).

mod front;

use std::{fs, path::Path, sync::Arc, time::SystemTime};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

pub(super) use self::front::Front;
use crate::config::Tls;

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

/// When the two files last changed, as their file system says.
type Changed = [Option<SystemTime>; 2];

impl Certificates {
    /// Loads the pair; at the start a bad one is an error.
    pub(super) fn load(files: &Tls) -> anyhow::Result<Self> {
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
    [of(&files.certificate), of(&files.key)]
}

fn read(files: &Tls) -> anyhow::Result<Arc<ServerConfig>> {
    let certificate = || format!("cannot read the certificate {}", files.certificate.display());
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .with_context(certificate)?
        .collect::<Result<Vec<_>, _>>()
        .with_context(certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("cannot read the private key {}", files.key.display()))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("certificate and private key do not belong together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
