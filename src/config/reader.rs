//! Reads variables: each is noted with what it came to, and whatever is wrong is told with all the rest.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use url::Url;

use super::{Entry, Risk};

/// Reads settings, remembers what they came to, and collects problems.
pub(super) struct Reader<'a> {
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<String>,
    /// What only production minds.
    pub(super) refusals: Vec<(Option<Risk>, String)>,
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    pub(super) fn note(&mut self, name: &'static str, value: &str, set: bool) {
        let origin = if set { "environment" } else { "default" };
        self.entries.push(Entry { name, value: value.to_owned(), origin });
    }

    /// An empty variable counts as unset: that is what compose files and unit files make of a missing one.
    pub(super) fn find(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    pub(super) fn text(&mut self, name: &'static str, default: &str) -> String {
        let found = self.find(name);
        let value = found.clone().unwrap_or_else(|| default.to_owned());
        self.note(name, &value, found.is_some());
        value
    }

    pub(super) fn parse<T: FromStr>(&mut self, name: &'static str, default: &str, form: &str) -> T {
        let value = self.text(name, default);
        value.parse().unwrap_or_else(|_| {
            self.problem(format!("{name} is {value:?}: it must be {form}"));
            default.parse().unwrap_or_else(|_| unreachable!("the default of {name} has the right form"))
        })
    }

    pub(super) fn optional<T: FromStr>(&mut self, name: &'static str, form: &str) -> Option<T> {
        let value = self.text(name, "");
        if value.is_empty() {
            return None;
        }
        let parsed = value.parse().ok();
        if parsed.is_none() {
            self.problem(format!("{name} is {value:?}: it must be {form}"));
        }
        parsed
    }

    pub(super) fn millis(&mut self, name: &'static str, default: &str) -> Duration {
        Duration::from_millis(self.parse(name, default, "a number of milliseconds"))
    }

    pub(super) fn seconds(&mut self, name: &'static str, default: &str) -> Duration {
        Duration::from_secs(self.parse(name, default, "a number of seconds"))
    }

    pub(super) fn flag(&mut self, name: &'static str, default: bool) -> bool {
        match self.text(name, if default { "true" } else { "false" }).as_str() {
            "true" | "1" => true,
            "false" | "0" => false,
            other => {
                self.problem(format!("{name} is {other:?}: it must be true or false"));
                default
            }
        }
    }

    pub(super) fn list<T: FromStr>(&mut self, name: &'static str, value: &str, form: &str) -> Vec<T> {
        let mut list = Vec::new();
        for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            match item.parse() {
                Ok(parsed) => list.push(parsed),
                Err(_) => self.problem(format!("{name} holds {item:?}: it must be {form}")),
            }
        }
        list
    }

    /// Reads names and addresses, in lower case; what is an address in brackets loses them.
    pub(super) fn hosts(&mut self, name: &'static str, default: &str) -> Vec<String> {
        let value = self.text(name, default);
        let form = "a host such as go.example.com, without scheme and port";
        let hosts: Vec<String> = self.list(name, &value, form);
        let hosts = hosts
            .into_iter()
            .map(|host| host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase());
        let hosts: Vec<String> = hosts.collect();
        for host in &hosts {
            let is_address = host.parse::<std::net::IpAddr>().is_ok();
            let is_name =
                host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
            if !is_address && (!is_name || host.is_empty()) && (host != "*" || name != "LINKS_HOSTS") {
                self.problem(format!("{name} holds {host:?}: it must be {form}"));
            }
        }
        hosts
    }

    /// Reads addresses of name servers, port 53 where none is named.
    pub(super) fn servers(&mut self, name: &'static str, value: &str) -> Vec<SocketAddr> {
        let mut servers = Vec::new();
        for item in value.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let address = item.parse().or_else(|_| item.parse().map(|ip| SocketAddr::new(ip, 53)));
            match address {
                Ok(address) => servers.push(address),
                Err(_) => {
                    self.problem(format!("{name} holds {item:?}: it must be an address such as 192.0.2.53"))
                }
            }
        }
        servers
    }

    pub(super) fn url(&mut self, name: &'static str, default: &str) -> Url {
        let value = self.text(name, default);
        self.urls(name, &value).into_iter().next().unwrap_or_else(|| {
            Url::parse("http://localhost").unwrap_or_else(|_| unreachable!("a constant URL"))
        })
    }

    pub(super) fn urls(&mut self, name: &'static str, value: &str) -> Vec<Url> {
        let urls: Vec<Url> = self.list(name, value, "an address such as https://go.example.com");
        for url in &urls {
            let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !bare {
                self.problem(format!(
                    "{name} holds {url}: it must be http(s)://host[:port] and nothing more"
                ));
            }
        }
        urls
    }

    /// Reads a length of time such as `30m`, `12h` or `14d`.
    pub(super) fn span(&mut self, name: &'static str, default: &str) -> Duration {
        let value = self.text(name, default);
        span(&value).unwrap_or_else(|| {
            self.problem(format!(
                "{name} is {value:?}: it must be a number with s, m, h or d, such as 30m or 14d"
            ));
            span(default).unwrap_or_else(|| unreachable!("the default of {name} has the right form"))
        })
    }
}

/// Reads a length of time in seconds, minutes, hours or days.
fn span(text: &str) -> Option<Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].parse().ok()?;
    number.checked_mul(unit).map(Duration::from_secs)
}
