//! Settings of certificates that the server gets by itself.

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{Reader, Stage};
use crate::config::Listen;

/// Whose directory is asked unless another one is named: Let's Encrypt's.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// An authority that certificates are got from.
#[derive(Debug, Clone)]
pub struct Acme {
    /// Its directory.
    pub directory_url: Url,
    /// Where it may write to.
    pub email: Option<String>,
    /// An account that the operator has there otherwise: its id, and its key in base64url.
    pub external_account: Option<(String, SecretString)>,
    /// How hosts are proved.
    pub challenge: Proof,
    /// The server's own hosts that get certificates besides the domains of workspaces: those of links and those of the API.
    pub hosts: Vec<String>,
    /// Whether the API listener has hosts among them, and so speaks TLS.
    pub for_api: bool,
    /// How many certificates may be ordered in an hour, by all nodes together. A workspace may have a third of it.
    pub orders_per_hour: u32,
}

/// How hosts are proved to the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// By a handshake on port 443.
    TlsAlpn01,
    /// By a text on port 80.
    Http01,
}

impl Reader<'_> {
    pub(super) fn acme(&mut self, stage: Stage, links_url: &Url, listen: &Listen) -> Option<Acme> {
        let enabled = self.flag("ACME_ENABLED", false);
        let directory = self.text("ACME_DIRECTORY_URL", LETS_ENCRYPT);
        let email = Some(self.text("ACME_EMAIL", "")).filter(|email| !email.is_empty());
        let agrees = self.flag("ACME_AGREE_TO_TERMS", false);
        let id = self.text("ACME_EAB_KID", "");
        let key = self.secret("ACME_EAB_KEY");
        let own = match links_url.host_str() {
            Some(host) if links_url.scheme() == "https" => host.to_owned(),
            _ => String::new(),
        };
        let mut hosts = self.hosts("ACME_HOSTS", &own);
        // Empty counts as not set.
        if hosts == ["none"] {
            hosts.clear();
        }
        let of_api = self.hosts("ACME_API_HOSTS", "");
        let orders_per_hour = self.parse("ACME_ORDERS_PER_HOUR", "60", "a number of orders");
        let challenge = match self.text("ACME_CHALLENGE", "tls-alpn-01").as_str() {
            "tls-alpn-01" => Proof::TlsAlpn01,
            "http-01" => Proof::Http01,
            other => {
                self.problem(format!("ACME_CHALLENGE is {other:?}: it must be tls-alpn-01 or http-01"));
                Proof::TlsAlpn01
            }
        };
        if !enabled {
            return None;
        }
        if !agrees {
            self.problem(
                "ACME_AGREE_TO_TERMS is not set: read the authority's terms, which its directory names, and set it to true if you agree",
            );
        }
        let directory_url = match Url::parse(&directory) {
            Ok(url) if url.scheme() == "https" || (stage == Stage::Development && url.scheme() == "http") => {
                url
            }
            _ => {
                self.problem(format!(
                    "ACME_DIRECTORY_URL is {directory:?}: it must be an https:// URL such as {LETS_ENCRYPT}; for trials \
                     https://acme-staging-v02.api.letsencrypt.org/directory"
                ));
                return None;
            }
        };
        if email.as_ref().is_some_and(|email| email.parse::<lettre::Address>().is_err()) {
            self.problem("ACME_EMAIL must be an e-mail");
        }
        if challenge == Proof::Http01 && listen.plain.is_none() {
            self.problem(
                "ACME_CHALLENGE=http-01 needs LINKS_HTTP_ADDR, where the authority asks by way of port 80: set it, such as 0.0.0.0:80",
            );
        }
        if links_url.scheme() != "https" {
            self.problem("ACME_ENABLED=true, but LINKS_URL does not begin with https://");
        }
        let for_api = !of_api.is_empty();
        for host in of_api {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        for host in
            hosts.iter().filter(|host| host.parse::<std::net::IpAddr>().is_ok() || !host.contains('.'))
        {
            self.problem(format!(
                "ACME_HOSTS or ACME_API_HOSTS holds {host:?}: it must be a name on the public internet"
            ));
        }
        if orders_per_hour == 0 {
            self.problem("ACME_ORDERS_PER_HOUR must be at least 1");
        }
        let external_account = match (id.is_empty(), key) {
            (true, None) => None,
            (false, Some(key)) if crate::config::acme::is_key(key.expose_secret()) => Some((id, key)),
            (false, Some(_)) => {
                self.problem("ACME_EAB_KEY must be a key in base64url, as the authority shows it");
                None
            }
            _ => {
                self.problem("ACME_EAB_KID and ACME_EAB_KEY go together: set both or neither");
                None
            }
        };
        Some(Acme { directory_url, email, external_account, challenge, hosts, for_api, orders_per_hour })
    }
}

/// Says whether a text can be the key of an external account.
fn is_key(text: &str) -> bool {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).is_ok_and(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn load(changes: &[(&str, &str)]) -> Result<Config, String> {
        let settings = [
            ("LINKS_URL", "https://go.example.com"),
            ("ACME_ENABLED", "true"),
            ("ACME_AGREE_TO_TERMS", "true"),
            ("APP_ENV", "development"),
        ];
        let find = |name: &str| {
            let changed = changes.iter().find(|change| change.0 == name);
            changed
                .or_else(|| settings.iter().find(|setting| setting.0 == name))
                .map(|pair| pair.1.to_owned())
        };
        Config::from_lookup(&find).map_err(|problems| problems.to_string())
    }

    #[test]
    fn certificates_are_got_when_the_operator_agrees() {
        let acme = load(&[]).expect("valid").acme.expect("it is on");
        assert_eq!(acme.directory_url.as_str(), super::LETS_ENCRYPT);
        assert_eq!(acme.hosts, ["go.example.com"]);
        assert!(load(&[("ACME_ENABLED", "")]).expect("valid").acme.is_none());
        let hosts = |changes: &[(&str, &str)]| load(changes).expect("valid").acme.expect("it is on").hosts;
        assert!(hosts(&[("ACME_HOSTS", "none")]).is_empty());
        let both = [
            ("ACME_HOSTS", "a.example.com,b.example.com"),
            ("ACME_API_HOSTS", "b.example.com,c.example.com"),
        ];
        assert_eq!(hosts(&both), ["a.example.com", "b.example.com", "c.example.com"]);
        let eab = [("ACME_EAB_KID", "k"), ("ACME_EAB_KEY", "c2VjcmV0LXNlY3JldA")];
        let config = load(&eab).expect("valid");
        assert!(config.acme.as_ref().expect("it is on").external_account.is_some());
        assert!(!format!("{config:?}").contains("c2VjcmV0"));
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        for (name, value, says) in [
            ("ACME_AGREE_TO_TERMS", "", "ACME_AGREE_TO_TERMS is not set"),
            ("ACME_DIRECTORY_URL", "ftp://ca.example.com", "must be an https:// URL"),
            ("ACME_EMAIL", "nobody", "ACME_EMAIL must be an e-mail"),
            ("ACME_EAB_KID", "k", "go together"),
            ("ACME_CHALLENGE", "dns-01", "must be tls-alpn-01 or http-01"),
            ("ACME_CHALLENGE", "http-01", "needs LINKS_HTTP_ADDR"),
            ("ACME_HOSTS", "localhost", "holds \"localhost\""),
            ("ACME_API_HOSTS", "10.0.0.1", "holds \"10.0.0.1\""),
            ("ACME_ORDERS_PER_HOUR", "0", "at least 1"),
            ("LINKS_URL", "http://go.example.com", "LINKS_URL does not begin with https://"),
        ] {
            let problems = load(&[(name, value)]).expect_err(says);
            assert!(problems.contains(says), "{name}={value}: {problems}");
        }
        let off =
            [("ACME_ENABLED", "false"), ("ACME_AGREE_TO_TERMS", ""), ("LINKS_URL", "http://go.example.com")];
        assert!(load(&off).is_ok());
    }
}
