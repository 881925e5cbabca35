//! How fred is set: nothing waits for long, nothing is buffered without bound, connecting goes on forever.

use std::time::Duration;

use fred::{
    clients::Client,
    types::{
        RespVersion,
        config::{
            Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, TcpConfig, UnresponsiveConfig,
        },
    },
};
use secrecy::ExposeSecret as _;

use crate::{cache::process::CAPACITY, config};

/// Commands that may wait for the connection to take them.
const BUFFERED_COMMANDS: usize = 10_000;
/// How long connecting may take, and each question of the greeting.
const CONNECT: Duration = Duration::from_secs(1);
/// After so long without an answer a connection is dropped and made anew.
const UNRESPONSIVE: Duration = Duration::from_secs(2);
const FIRST_PAUSE_MS: u32 = 50;
const LONGEST_PAUSE_MS: u32 = 2_000;

/// `REDIS_URL` cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "REDIS_URL cannot be read ({0}): it must be redis://, rediss://, redis-sentinel:// or redis-cluster://"
)]
pub struct WrongUrl(String);

/// Reads the URL.
pub fn config(settings: &config::Redis) -> Result<Config, WrongUrl> {
    let url = settings.url.expose_secret();
    if url.starts_with("rediss") {
        // fred takes the process's provider; a second installation is refused and does no harm.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let mut config = Config::from_url(url).map_err(|error| WrongUrl(error.details().to_owned()))?;
    config.version = RespVersion::RESP3;
    // Despite its name this is about the first connection only: whether failing to make it ends everything.
    config.fail_fast = false;
    Ok(config)
}

/// Makes a client; it connects when told.
pub fn client(config: &Config) -> Client {
    let performance = PerformanceConfig {
        default_command_timeout: super::TIMEOUT,
        broadcast_channel_capacity: CAPACITY,
        ..PerformanceConfig::default()
    };
    let connection = ConnectionConfig {
        connection_timeout: CONNECT,
        internal_command_timeout: CONNECT,
        max_command_attempts: 1,
        max_command_buffer_len: BUFFERED_COMMANDS,
        reconnect_on_auth_error: true,
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(UNRESPONSIVE),
            interval: Duration::from_millis(500),
        },
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    };
    let policy = ReconnectPolicy::new_exponential(0, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, 2);
    Client::new(config.clone(), Some(performance), Some(connection), Some(policy))
}

#[cfg(test)]
mod tests {
    use fred::types::config::ServerConfig;
    use secrecy::SecretString;

    use super::*;

    fn read(url: &str) -> Result<Config, WrongUrl> {
        config(&config::Redis {
            url: SecretString::from(url),
            prefix: "linkforty".into(),
            timeout: Duration::from_millis(20),
        })
    }

    #[test]
    fn the_four_kinds_of_url_are_read() {
        let one = read("redis://user:pw@cache:6380/3").expect("valid");
        assert_eq!(one.server, ServerConfig::new_centralized("cache", 6380));
        assert_eq!((one.username.as_deref(), one.database), (Some("user"), Some(3)));
        assert!(read("rediss://cache").expect("valid").tls.is_some());
        let cluster = read("redis-cluster://a:1?node=b:2").expect("valid");
        assert!(cluster.server.is_clustered() && cluster.server.hosts().len() == 2);
        let sentinel = read("redis-sentinel://a:1?node=b:2&sentinelServiceName=main").expect("valid");
        assert!(sentinel.server.is_sentinel());
    }

    #[test]
    fn a_wrong_url_is_refused_without_showing_its_password() {
        for url in ["", "cache", "redis-sentinel://:hunter2@a:1", "redis-cluster://:hunter2@a:1?node=b"] {
            let problem = read(url).expect_err(url).to_string();
            assert!(
                problem.contains("REDIS_URL cannot be read") && !problem.contains("hunter2"),
                "{problem}"
            );
        }
    }
}
