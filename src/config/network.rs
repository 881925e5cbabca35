//! Settings of what comes in and goes out: how much, under which certificates, and where to.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;

use super::{Pools, Reader};

/// Rate limits.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Whether callers are limited at all.
    pub enabled: bool,
    /// Calls each API key, person or address may make in a minute.
    pub per_minute: u32,
    /// Passwords of links that each address may try in a minute, and links it may report.
    pub unlock_per_minute: u32,
    /// Calls that all API keys of a workspace together may make in a minute.
    pub workspace_per_minute: u32,
    /// Calls that an app's copies behind one address may make in a minute.
    pub app_per_minute: u32,
    /// Short codes that nobody made and that each address may ask for in a minute.
    pub unknown_per_minute: u32,
}

/// How much work there is at once.
#[derive(Debug, Clone)]
pub struct Calls {
    /// Places for calls, shared out by classes.
    pub at_once: usize,
    /// How many bytes of memory the process may use before it turns calls away; `None`: as many as its control group or machine lets it.
    pub memory_limit: Option<u64>,
}

/// Calls to URLs that strangers gave.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// Networks that are not on the public internet and may be called all the same.
    pub allow_networks: Vec<IpNet>,
    /// Ports that may be called besides 443 (and 80 for `http://`, in development).
    pub allow_ports: Vec<u16>,
    /// PEM file with authorities whose certificates are believed besides those of the public ones.
    pub ca_file: Option<PathBuf>,
    /// How long it may take to look a name up, to connect and to shake hands.
    pub connect_timeout: Duration,
    /// How long a call may take in all.
    pub timeout: Duration,
    /// Calls under way to one host at the most.
    pub max_per_host: u32,
}

/// Telling webhook endpoints.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// Calls under way on this node at the most.
    pub at_once: usize,
    /// Calls under way to one endpoint at the most, from this node.
    pub per_endpoint: usize,
}

/// Certificate files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// Whose certificates callers of the API may show instead of a secret.
    pub clients: Option<ClientAuthorities>,
}

/// Who vouches for callers of the API.
#[derive(Debug, Clone)]
pub struct ClientAuthorities {
    /// PEM file with the authorities.
    pub file: PathBuf,
    /// Whether nobody gets in without a certificate of theirs.
    pub required: bool,
}

impl Reader<'_> {
    pub(super) fn limits(&mut self, production: bool) -> Limits {
        let enabled = self.flag("RATE_LIMIT_ENABLED", production);
        let calls = "a number of calls a minute";
        let per_minute = self.parse("RATE_LIMIT_MAX", "100", calls);
        let of_ten = u32::saturating_mul(per_minute, 10).to_string();
        let limits = Limits {
            enabled,
            per_minute,
            unlock_per_minute: self.parse("RATE_LIMIT_UNLOCK_MAX", "10", "a number of attempts a minute"),
            workspace_per_minute: self.parse("RATE_LIMIT_WORKSPACE_MAX", &of_ten, calls),
            app_per_minute: self.parse("RATE_LIMIT_APP_MAX", "600", calls),
            unknown_per_minute: self.parse("RATE_LIMIT_UNKNOWN_MAX", "300", "a number of codes a minute"),
        };
        for (name, value) in [
            ("RATE_LIMIT_MAX", limits.per_minute),
            ("RATE_LIMIT_UNLOCK_MAX", limits.unlock_per_minute),
            ("RATE_LIMIT_WORKSPACE_MAX", limits.workspace_per_minute),
            ("RATE_LIMIT_APP_MAX", limits.app_per_minute),
            ("RATE_LIMIT_UNKNOWN_MAX", limits.unknown_per_minute),
        ] {
            if enabled && value == 0 {
                self.problem(format!(
                    "{name} must be at least 1; to limit nothing set RATE_LIMIT_ENABLED=false"
                ));
            }
        }
        limits
    }

    pub(super) fn calls(&mut self, pools: &Pools) -> Calls {
        let at_once = (u64::from(pools.max) * 10).to_string();
        let calls = Calls {
            at_once: self.parse("CALLS_AT_ONCE", &at_once, "a number of calls"),
            memory_limit: Some(self.parse("MEMORY_LIMIT", "0", "a number of bytes"))
                .filter(|limit| *limit != 0),
        };
        if calls.at_once == 0 {
            self.problem("CALLS_AT_ONCE must be at least 1");
        }
        calls
    }

    pub(super) fn outbound(&mut self) -> Outbound {
        let networks = self.text("OUTBOUND_ALLOW_NETWORKS", "");
        let allow_networks: Vec<IpNet> =
            self.list("OUTBOUND_ALLOW_NETWORKS", &networks, "a network such as 10.1.0.0/16");
        // It would hand out the machine itself and the cloud's credentials, which nobody means to.
        if allow_networks.iter().any(|network| network.prefix_len() == 0) {
            self.problem("OUTBOUND_ALLOW_NETWORKS allows every address: name the networks that are meant");
        }
        let ports = self.text("OUTBOUND_ALLOW_PORTS", "");
        let outbound = Outbound {
            allow_networks,
            allow_ports: self.list("OUTBOUND_ALLOW_PORTS", &ports, "a port such as 8443"),
            ca_file: Some(self.text("OUTBOUND_CA_FILE", ""))
                .filter(|file| !file.is_empty())
                .map(PathBuf::from),
            connect_timeout: self.millis("OUTBOUND_CONNECT_TIMEOUT_MS", "5000"),
            timeout: self.millis("OUTBOUND_TIMEOUT_MS", "30000"),
            max_per_host: self.parse("OUTBOUND_MAX_PER_HOST", "8", "a number of calls"),
        };
        if outbound.connect_timeout.is_zero() || outbound.timeout.is_zero() || outbound.max_per_host == 0 {
            self.problem(
                "OUTBOUND_CONNECT_TIMEOUT_MS, OUTBOUND_TIMEOUT_MS and OUTBOUND_MAX_PER_HOST must be at least 1",
            );
        }
        outbound
    }

    pub(super) fn webhooks(&mut self) -> Webhooks {
        let calls = "a number of calls";
        let webhooks = Webhooks {
            at_once: self.parse("WEBHOOKS_CONCURRENCY", "64", calls),
            per_endpoint: self.parse("WEBHOOKS_PER_ENDPOINT", "4", calls),
        };
        if webhooks.at_once == 0 || webhooks.per_endpoint == 0 {
            self.problem("WEBHOOKS_CONCURRENCY and WEBHOOKS_PER_ENDPOINT must be at least 1");
        }
        webhooks
    }

    pub(super) fn tls(&mut self) -> Option<Tls> {
        let certificate = self.text("TLS_CERTIFICATE_FILE", "");
        let key = self.text("TLS_KEY_FILE", "");
        match (certificate.is_empty(), key.is_empty()) {
            (true, true) => {
                if !self.text("TLS_CLIENT_CA_FILE", "").is_empty() {
                    self.problem("TLS_CLIENT_CA_FILE needs TLS_CERTIFICATE_FILE and TLS_KEY_FILE: certificates are shown in TLS");
                }
                None
            }
            (false, false) => {
                self.look_at_file("TLS_KEY_FILE", Path::new(&key));
                Some(Tls {
                    certificate: certificate.into(),
                    key: key.into(),
                    clients: self.client_authorities(),
                })
            }
            _ => {
                self.problem("TLS_CERTIFICATE_FILE and TLS_KEY_FILE go together: set both or neither");
                None
            }
        }
    }

    fn client_authorities(&mut self) -> Option<ClientAuthorities> {
        let file = self.text("TLS_CLIENT_CA_FILE", "");
        let required = match self.text("TLS_CLIENT_CERTIFICATE", "optional").as_str() {
            "optional" => false,
            "required" => true,
            other => {
                self.problem(format!("TLS_CLIENT_CERTIFICATE is {other:?}: it must be optional or required"));
                false
            }
        };
        (!file.is_empty()).then(|| ClientAuthorities { file: file.into(), required })
    }
}
