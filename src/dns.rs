//! What the DNS says: the values of a name, or that there are none, or that nobody answers.
//!
//! The name servers are those of `DNS_SERVERS` or of the machine (`/etc/resolv.conf`, read at the first question, so that a node starts
//! without one). Nothing is remembered between questions: whoever asks wants to know how things are. Every question has an end.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{Name, RData, RecordType},
};

/// How long one attempt may take, and how many there are.
const ATTEMPT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// How long an answer may take in all.
const LONGEST: Duration = Duration::from_secs(5);
/// How many values of a name are read.
const VALUES: usize = 50;

/// Asks name servers. A cheap clone.
#[derive(Clone)]
pub struct Dns(Arc<Inner>);

struct Inner {
    servers: Vec<SocketAddr>,
    resolver: OnceLock<Option<TokioResolver>>,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<T> {
    /// These values, at least one.
    Values(Vec<T>),
    /// That there are none.
    Nothing,
    /// No answer, or one that says the name servers have a problem.
    Silence,
}

impl<T> Told<T> {
    /// Returns the values; none when there are none or nobody answered.
    pub fn values(&self) -> &[T] {
        match self {
            Self::Values(values) => values,
            Self::Nothing | Self::Silence => &[],
        }
    }
}

impl Dns {
    /// Returns what asks `servers`, or those of the machine.
    pub fn new(servers: &[SocketAddr]) -> Self {
        Self(Arc::new(Inner { servers: servers.to_vec(), resolver: OnceLock::new() }))
    }

    /// Returns the texts of a name, each put together from its parts.
    pub async fn texts(&self, name: &str) -> Told<String> {
        self.ask(name, RecordType::TXT, |data| match data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        })
        .await
    }

    /// Returns the name that a name is an alias of, in lower case, without the last dot.
    pub async fn aliases(&self, name: &str) -> Told<String> {
        self.ask(name, RecordType::CNAME, |data| match data {
            RData::CNAME(alias) => Some(plain(&alias.0)),
            _ => None,
        })
        .await
    }

    /// Returns the addresses of a name, whatever it is an alias of.
    pub async fn addresses(&self, name: &str) -> Told<IpAddr> {
        let (four, six) = tokio::join!(
            self.ask(name, RecordType::A, |data| match data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                _ => None,
            }),
            self.ask(name, RecordType::AAAA, |data| match data {
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })
        );
        match (four, six) {
            (Told::Silence, _) | (_, Told::Silence) => Told::Silence,
            (Told::Nothing, Told::Nothing) => Told::Nothing,
            (four, six) => Told::Values([four.values(), six.values()].concat()),
        }
    }

    async fn ask<T>(&self, name: &str, kind: RecordType, read: impl Fn(&RData) -> Option<T>) -> Told<T> {
        let (Some(resolver), Ok(mut name)) = (self.resolver(), Name::from_ascii(name)) else {
            return Told::Silence;
        };
        // Or the machine's own domain would be tried behind it.
        name.set_fqdn(true);
        match tokio::time::timeout(LONGEST, resolver.lookup(name, kind)).await {
            Ok(Ok(answer)) => {
                let values = answer.answers().iter().filter_map(|record| read(&record.data));
                let values: Vec<T> = values.take(VALUES).collect();
                if values.is_empty() { Told::Nothing } else { Told::Values(values) }
            }
            Ok(Err(error)) if error.is_no_records_found() => Told::Nothing,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a name could not be looked up");
                Told::Silence
            }
            Err(_) => Told::Silence,
        }
    }

    fn resolver(&self) -> Option<&TokioResolver> {
        let resolver = self.0.resolver.get_or_init(|| {
            let built = if self.0.servers.is_empty() {
                TokioResolver::builder_tokio()
            } else {
                let servers = self.0.servers.iter().map(server).collect();
                let config = ResolverConfig::from_parts(None, Vec::new(), servers);
                Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
            };
            let built = built.and_then(|mut builder| {
                set(builder.options_mut());
                builder.build()
            });
            built.inspect_err(|error| tracing::warn!(%error, "names cannot be looked up (DNS_SERVERS)")).ok()
        });
        resolver.as_ref()
    }
}

fn server(at: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(at.ip());
    for connection in &mut server.connections {
        connection.port = at.port();
    }
    server
}

fn set(options: &mut ResolverOpts) {
    options.timeout = ATTEMPT;
    options.attempts = ATTEMPTS;
    options.cache_size = 0;
    // What stands there is nobody else's truth.
    options.use_hosts_file = ResolveHosts::Never;
}

/// Returns a name as people write it.
fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").field("servers", &self.0.servers).finish_non_exhaustive()
    }
}
