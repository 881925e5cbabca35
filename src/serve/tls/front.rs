//! What a listener shakes hands with: the certificate of the host that is asked for, or else the operator's own.
//!
//! Authorities that look whether a host is ours say so before anything else (RFC 8737): they get the answer, and the connection ends.

use std::{io, sync::Arc};

use arc_swap::ArcSwapOption;
use rustls::{
    ServerConfig,
    server::{Acceptor, ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, server::TlsStream};

use super::Certificates;
use crate::domains::certificates::{Challenges, Keyring};

/// The protocol that only authorities speak.
const ACME: &[u8] = b"acme-tls/1";

/// Shakes hands. Clones share everything.
#[derive(Clone)]
pub(in crate::serve) struct Front {
    files: Option<Certificates>,
    own: Option<Own>,
}

/// What the server got by itself.
#[derive(Clone)]
struct Own {
    keyring: Keyring,
    challenges: Challenges,
    built: Arc<ArcSwapOption<Built>>,
}

/// What new connections shake hands with, and what it was made of.
struct Built {
    of: Option<Arc<ServerConfig>>,
    config: Arc<ServerConfig>,
}

impl Front {
    /// Returns what the listeners shake hands with; `None`: nothing, they speak plain text.
    pub(in crate::serve) fn new(
        files: Option<Certificates>,
        own: Option<(Keyring, Challenges)>,
    ) -> Option<Self> {
        let own = own.map(|(keyring, challenges)| Own { keyring, challenges, built: Arc::default() });
        (files.is_some() || own.is_some()).then_some(Self { files, own })
    }

    /// Shakes hands with whoever is there; `None`: it was an authority, which has seen what it wanted.
    pub(in crate::serve) async fn shake_hands(
        &self,
        stream: TcpStream,
    ) -> io::Result<Option<TlsStream<TcpStream>>> {
        let files = self.files.as_ref().map(Certificates::current);
        let Some(own) = &self.own else {
            let config = files.ok_or(io::ErrorKind::NotConnected)?;
            return TlsAcceptor::from(config).accept(stream).await.map(Some);
        };
        let greeting = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let hello = greeting.client_hello();
        if !is_of_an_authority(&hello) {
            return greeting.into_stream(own.config(files)).await.map(Some);
        }
        let host = hello.server_name().unwrap_or_default().to_owned();
        let answer = own.challenges.certificate(&host).await.ok_or(io::ErrorKind::NotFound)?;
        let mut stream = greeting.into_stream(answering(answer)).await?;
        stream.shutdown().await?;
        Ok(None)
    }
}

impl Own {
    /// Returns what ordinary connections shake hands with.
    fn config(&self, files: Option<Arc<ServerConfig>>) -> Arc<ServerConfig> {
        if let Some(built) = &*self.built.load()
            && is_same(built.of.as_ref(), files.as_ref())
        {
            return built.config.clone();
        }
        let mut config = files.as_deref().cloned().unwrap_or_else(|| {
            let mut bare =
                ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(Nothing));
            bare.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            bare
        });
        let otherwise = config.cert_resolver.clone();
        config.cert_resolver = Arc::new(ByHost { keyring: self.keyring.clone(), otherwise });
        let config = Arc::new(config);
        self.built.store(Some(Arc::new(Built { of: files, config: config.clone() })));
        config
    }
}

fn is_same(one: Option<&Arc<ServerConfig>>, other: Option<&Arc<ServerConfig>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

/// Says whether nothing but an answer to an authority's question is wanted.
fn is_of_an_authority(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut protocols| protocols.next() == Some(ACME) && protocols.next().is_none())
}

/// Returns what an authority shakes hands with.
fn answering(answer: Arc<CertifiedKey>) -> Arc<ServerConfig> {
    let mut config =
        ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(Always(answer)));
    config.alpn_protocols = vec![ACME.to_vec()];
    Arc::new(config)
}

/// The certificate of the host that is asked for, or else what there is otherwise.
#[derive(Debug)]
struct ByHost {
    keyring: Keyring,
    otherwise: Arc<dyn ResolvesServerCert>,
}

impl ResolvesServerCert for ByHost {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let own = hello.server_name().and_then(|host| self.keyring.of(host));
        own.or_else(|| self.otherwise.resolve(hello))
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// The operator has none: who asks for a host that is not ours hears so.
#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}
