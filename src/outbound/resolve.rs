//! Where names lead.

use std::{
    fmt::Debug,
    io,
    net::{IpAddr, ToSocketAddrs as _},
    sync::Arc,
};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::dns::{Dns, Told};

/// How many look-ups of the machine run at once. Each takes a thread until it ends, whoever has stopped waiting for it; somebody's
/// name servers that never answer must not get them all.
const LOOKUPS: usize = 64;

/// Looks names up.
#[async_trait]
pub trait Resolver: Send + Sync + Debug {
    /// Returns the addresses of a name, those to be tried first in front.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own way: its hosts file, its name servers, its order of addresses.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

/// The name servers alone, for who wants to know what the world sees.
#[async_trait]
impl Resolver for Dns {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        match self.addresses(name).await {
            Told::Values(addresses) => Ok(addresses),
            Told::Nothing => Ok(Vec::new()),
            Told::Silence => Err(io::Error::other("the name servers do not answer")),
        }
    }
}

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let permit = self.lookups.clone().acquire_owned().await.map_err(io::Error::other)?;
        let name = name.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            drop(permit);
            found.map(|addresses| addresses.map(|address| address.ip()).collect())
        });
        lookup.await.map_err(io::Error::other)?
    }
}
