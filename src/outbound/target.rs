//! The URLs that strangers may have us call, checked when they are saved and once more whenever they are called. Pure.
//!
//! What is kept is the URL as the WHATWG parser writes it: the host in punycode, or an address however it was dressed
//! (`0x7f.1`, `2130706433`, `１２７.0.0.1`). A name is judged here only as a name; where it leads is judged when it is called.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use http::uri::PathAndQuery;
use ipnet::IpNet;
use url::{Host, Url};

use super::address::{Special, Verdict, verdict};
use crate::config::{Config, Stage};

/// How many characters a URL may have, as written and as kept.
const MAX_CHARACTERS: usize = 2048;
/// How long a name and each of its labels may be (RFC 1035 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// Names below these are nobody's on the public internet.
const PRIVATE_DOMAINS: &[&str] = &[
    // RFC 6761.
    "localhost",
    "test",
    "invalid",
    "example",
    // RFC 6762, RFC 7686, RFC 9476; ICANN 2024-07-29 ("internal").
    "local",
    "onion",
    "alt",
    "internal",
    // Addresses turned around, and home.arpa (RFC 8375).
    "arpa",
    // Never given out because so many networks use them (RFC 6762 appendix G, ICANN on name collisions).
    "corp",
    "home",
    "intranet",
    "lan",
    "localdomain",
    "mail",
    "private",
];

/// What may be called, from the settings.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Whether URLs may begin with `http://`: in development only.
    pub(super) plain: bool,
    /// Ports besides the scheme's own.
    pub(super) ports: Vec<u16>,
    /// Networks that are not on the public internet and may be called all the same.
    pub(super) allow: Vec<IpNet>,
}

impl Policy {
    /// Returns the policy of the settings.
    pub fn of(config: &Config) -> Self {
        Self {
            plain: config.stage == Stage::Development,
            ports: config.outbound.allow_ports.clone(),
            allow: config.outbound.allow_networks.clone(),
        }
    }

    /// Returns the policy with these networks and ports besides.
    pub(super) fn and(&self, networks: &[IpNet], ports: &[u16]) -> Self {
        let mut more = self.clone();
        more.allow.extend_from_slice(networks);
        more.ports.extend_from_slice(ports);
        more
    }

    /// Judges an address that is to be connected to.
    pub(super) fn judge(&self, address: IpAddr) -> Verdict {
        verdict(address, &self.allow)
    }

    /// Checks a URL that somebody kept, perhaps under another policy.
    pub(super) fn check(&self, url: &OutboundUrl) -> Result<(), Refused> {
        let url = &url.0;
        match url.scheme() {
            "https" => {}
            "http" if self.plain => {}
            "http" => return Err(Refused::Plain),
            _ => return Err(Refused::Scheme),
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_literal(address.into())?,
            Some(Host::Ipv6(address)) => self.check_literal(address.into())?,
            Some(Host::Domain(name)) => self.check_name(name)?,
            None => return Err(Refused::Host),
        }
        let own = if url.scheme() == "https" { 443 } else { 80 };
        match url.port() {
            Some(port) if port != own && !self.ports.contains(&port) => Err(Refused::Port(port)),
            _ => Ok(()),
        }
    }

    fn check_literal(&self, address: IpAddr) -> Result<(), Refused> {
        match self.judge(address) {
            Verdict::Refused(special) => Err(Refused::Address(special)),
            Verdict::Public | Verdict::Allowed => Ok(()),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), Refused> {
        if !is_name(name) {
            return Err(Refused::Host);
        }
        // Who allows private networks has names for what is in them; each still has to lead there.
        if self.allow.is_empty() && is_private(name) {
            return Err(Refused::PrivateName);
        }
        Ok(())
    }
}

/// A URL that may be called, as far as a URL can tell.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutboundUrl(Url);

impl OutboundUrl {
    /// Checks a URL that a stranger gave.
    pub fn parse(raw: &str, policy: &Policy) -> Result<Self, Refused> {
        if raw.chars().nth(MAX_CHARACTERS).is_some() {
            return Err(Refused::TooLong);
        }
        // What the parser would repair in silence, nobody means well with.
        if raw.trim() != raw || raw.chars().any(char::is_control) {
            return Err(Refused::Invalid);
        }
        let (scheme, rest) = raw.split_once("://").ok_or(Refused::Scheme)?;
        if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
            return Err(Refused::Scheme);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(Refused::Userinfo);
        }
        if authority.is_empty() || authority.contains('\\') {
            return Err(Refused::Host);
        }
        let mut url = Url::parse(raw).map_err(|_| Refused::Invalid)?;
        if url.fragment().is_some() {
            return Err(Refused::Fragment);
        }
        // The dot says only that the name is complete; certificates do not have it.
        if let Some(Host::Domain(name)) = url.host()
            && let Some(complete) = name.strip_suffix('.').map(str::to_owned)
        {
            url.set_host(Some(&complete)).map_err(|_| Refused::Host)?;
        }
        if url.as_str().len() > MAX_CHARACTERS {
            return Err(Refused::TooLong);
        }
        let url = Self(url);
        if url.path_and_query().parse::<PathAndQuery>().is_err() {
            return Err(Refused::Invalid);
        }
        policy.check(&url)?;
        Ok(url)
    }

    /// Returns the URL as it is kept: ASCII, the host in punycode or as an address.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Says whether the connection is to be encrypted.
    pub(super) fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    pub(super) fn host(&self) -> Host<&str> {
        self.0.host().unwrap_or(Host::Ipv4(Ipv4Addr::UNSPECIFIED))
    }

    /// Returns the host as it stands in the URL; addresses of IPv6 in brackets.
    pub fn host_text(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// Returns what the `Host` header says.
    pub(super) fn authority(&self) -> String {
        let host = self.host_text();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Returns what the request line says.
    pub(super) fn path_and_query(&self) -> &str {
        &self.0[url::Position::BeforePath..url::Position::AfterQuery]
    }
}

impl fmt::Display for OutboundUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a URL is not called. Each text completes "the URL ..." and may be shown to whoever gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Longer than 2,048 characters.
    TooLong,
    /// No URL, or one that a parser would have to repair.
    Invalid,
    /// Neither https nor http.
    Scheme,
    /// http, which is for development.
    Plain,
    /// A user name or password.
    Userinfo,
    /// A fragment, which is never sent.
    Fragment,
    /// No host, or one that cannot be looked up.
    Host,
    /// A name that leads nowhere on the public internet.
    PrivateName,
    /// An address that is not on the public internet.
    Address(Special),
    /// A port that the operator does not allow.
    Port(u16),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "must have at most 2,048 characters, each beyond ASCII percent-encoded",
            Self::Invalid => "is not a valid URL",
            Self::Scheme | Self::Plain => "must begin with https://",
            Self::Userinfo => "must not contain a user name or password",
            Self::Fragment => "must not contain a fragment (#)",
            Self::Host => "must name a host",
            Self::PrivateName => "must name a host on the public internet",
            Self::Address(special) => return write!(f, "must not lead to {special}"),
            Self::Port(port) => {
                return write!(f, "must not use port {port}, which this server does not call");
            }
        })
    }
}

impl std::error::Error for Refused {}

/// Says whether a name can be looked up: labels of letters, digits, hyphens and underscores. The parser lets more through.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.split('.').all(|label| {
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        })
}

/// Says whether a name means something in a private network at the most: it has one label, or ends in one of those domains.
fn is_private(name: &str) -> bool {
    name.rsplit_once('.').is_none_or(|(_, last)| PRIVATE_DOMAINS.contains(&last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(plain: bool, ports: &[u16], allow: &[&str]) -> Policy {
        let allow = allow.iter().map(|network| network.parse().expect("the test's own network")).collect();
        Policy { plain, ports: ports.to_vec(), allow }
    }

    fn parse(raw: &str) -> Result<String, Refused> {
        OutboundUrl::parse(raw, &policy(false, &[], &[])).map(|url| url.as_str().to_owned())
    }

    #[test]
    fn good_urls_are_kept_in_one_form() {
        for (raw, kept) in [
            ("https://hooks.shop.com", "https://hooks.shop.com/"),
            ("HTTPS://Hooks.SHOP.com/In?a=b&c", "https://hooks.shop.com/In?a=b&c"),
            ("https://hooks.shop.com./in", "https://hooks.shop.com/in"),
            ("https://hooks.shop.com:443/", "https://hooks.shop.com/"),
            ("https://münchen.de/", "https://xn--mnchen-3ya.de/"),
            ("https://xn--mnchen-3ya.de/ü", "https://xn--mnchen-3ya.de/%C3%BC"),
            ("https://my_host.shop.com/@me", "https://my_host.shop.com/@me"),
            ("https://8.8.8.8/", "https://8.8.8.8/"),
            ("https://0x08080808/", "https://8.8.8.8/"),
            ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
            ("https://127.0.0.1.nip.io/", "https://127.0.0.1.nip.io/"),
        ] {
            assert_eq!(parse(raw).as_deref(), Ok(kept), "{raw}");
            assert_eq!(parse(kept).as_deref(), Ok(kept), "{kept} is not stable");
        }
    }

    #[test]
    fn every_form_of_an_inner_address_is_refused() {
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "[::1]",
            "0.0.0.0",
            "0",
            "0.",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0X7F.1",
            "0177.0.0.1",
            "017700000001",
            "0x7f.0.0.0x1",
            "%31%32%37.0.0.1",
            "１２７.0.0.1",
            "127。0。0。1",
            "①②⑦.0.0.1",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:7f00:0001]",
            "[::127.0.0.1]",
            "[::]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b:1::7f00:1]",
            "[2002:7f00:1::]",
            "[2001:0:7f00:1::]",
            "[2a00:1450::5efe:10.0.0.1]",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "[::ffff:a9fe:a9fe]",
            "[fd00:ec2::254]",
            "100.100.100.200",
            "168.63.129.16",
            "10.0.0.1",
            "10.255.255.255",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "192.0.0.1",
            "192.0.0.8",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "[fe80::1]",
            "[fc00::1]",
            "[fdff::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "192.0.2.1",
        ] {
            let refused = parse(&format!("https://{host}/"));
            assert!(matches!(refused, Err(Refused::Address(_))), "{host}: {refused:?}");
        }
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "app.localhost",
            "ｌｏｃａｌｈｏｓｔ",
            "loc%61lhost",
            "metadata.google.internal",
            "metadata.google.internal.",
            "db.internal",
            "printer.local",
            "router.home.arpa",
            "1.0.0.127.in-addr.arpa",
            "nas.lan",
            "intranet",
            "redis",
            "postgres.",
            "kubernetes",
            "x.onion",
            "host.test",
        ] {
            assert_eq!(parse(&format!("https://{host}/")), Err(Refused::PrivateName), "{host}");
        }
        for host in [
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[::1",
            "::1",
            "256.256.256.256",
            "1.2.3.4.5",
            "0x100000000",
            "127.0.0.0x100",
            "exa mple.com",
            "%00",
            "a%2fb.com",
            "good\u{200b}.com:x",
        ] {
            assert_eq!(parse(&format!("https://{host}/")), Err(Refused::Invalid), "{host}");
        }
    }

    #[test]
    fn each_rule_has_its_refusal() {
        use Refused::{Fragment, Host, Invalid, Plain, Port, Scheme, TooLong, Userinfo};
        for (raw, refused) in [
            ("", Scheme),
            ("hooks.shop.com", Scheme),
            ("//hooks.shop.com/", Scheme),
            ("https:hooks.shop.com", Scheme),
            ("ftp://hooks.shop.com/", Scheme),
            ("gopher://hooks.shop.com/", Scheme),
            ("file:///etc/passwd", Scheme),
            ("unix:///var/run/docker.sock", Scheme),
            ("http://hooks.shop.com/", Plain),
            ("https://user@hooks.shop.com/", Userinfo),
            ("https://user:password@hooks.shop.com/", Userinfo),
            ("https://@hooks.shop.com/", Userinfo),
            ("https://hooks.shop.com\\@127.0.0.1/", Userinfo),
            ("https://hooks.shop.com/#there", Fragment),
            ("https://hooks.shop.com#@127.0.0.1/", Fragment),
            ("https:///hooks.shop.com/", Host),
            ("https://hooks.shop.com\\path", Host),
            ("https://hooks..shop.com/", Host),
            ("https://.shop.com/", Host),
            ("https://hooks.shop.com../", Host),
            ("https://hooks!.shop.com/", Host),
            ("https://*.shop.com/", Host),
            ("https://hooks.shop.com:22/", Port(22)),
            ("https://hooks.shop.com:80/", Port(80)),
            ("https://hooks.shop.com:8443/", Port(8443)),
            ("https://hooks.shop.com:0/", Port(0)),
            ("https://hooks.shop.com:99999/", Invalid),
            (" https://hooks.shop.com/", Invalid),
            ("https://hooks.shop.com/\n", Invalid),
            ("https://hooks.shop\t.com/", Invalid),
            ("https://hooks.shop.com/\r\nHost: x", Invalid),
        ] {
            assert_eq!(parse(raw), Err(refused), "{raw:?}");
        }
        let label = "a".repeat(64);
        assert_eq!(parse(&format!("https://{label}.com/")), Err(Host));
        assert_eq!(parse(&format!("https://{}com/", "abcdefghi.".repeat(26))), Err(Host));
        let long = |length: usize| format!("https://shop.com/{}", "a".repeat(length - 17));
        assert!(parse(&long(2048)).is_ok());
        assert_eq!(parse(&long(2049)), Err(TooLong));
        assert_eq!(parse(&format!("https://shop.com/{}", "ü".repeat(1000))), Err(TooLong));
    }

    #[test]
    fn the_operator_opens_what_they_name() {
        for (raw, policy, expected) in [
            ("http://hooks.shop.com/", policy(true, &[], &[]), Ok(())),
            ("http://hooks.shop.com:80/", policy(true, &[], &[]), Ok(())),
            ("http://hooks.shop.com:443/", policy(true, &[], &[]), Err(Refused::Port(443))),
            ("http://localhost/", policy(true, &[], &[]), Err(Refused::PrivateName)),
            ("https://hooks.shop.com:8443/", policy(false, &[8443], &[]), Ok(())),
            ("https://hooks.shop.com:8444/", policy(false, &[8443], &[]), Err(Refused::Port(8444))),
            ("https://10.1.2.3/", policy(false, &[], &["10.1.0.0/16"]), Ok(())),
            ("https://[::ffff:10.1.2.3]/", policy(false, &[], &["10.1.0.0/16"]), Ok(())),
            (
                "https://10.2.2.3/",
                policy(false, &[], &["10.1.0.0/16"]),
                Err(Refused::Address(Special::Private)),
            ),
            ("https://hooks.corp.internal/", policy(false, &[], &["10.1.0.0/16"]), Ok(())),
            ("https://receiver/", policy(false, &[], &["10.1.0.0/16"]), Ok(())),
            ("http://10.1.2.3/", policy(false, &[], &["10.1.0.0/16"]), Err(Refused::Plain)),
        ] {
            assert_eq!(OutboundUrl::parse(raw, &policy).map(|_| ()), expected, "{raw} under {policy:?}");
        }
    }

    #[test]
    fn a_kept_url_is_judged_by_the_policy_of_the_day() {
        let then = policy(true, &[8443], &["10.0.0.0/8"]);
        for (raw, refused) in [
            ("http://hooks.shop.com/", Refused::Plain),
            ("https://hooks.shop.com:8443/", Refused::Port(8443)),
            ("https://10.1.2.3/", Refused::Address(Special::Private)),
            ("https://receiver/", Refused::PrivateName),
        ] {
            let url = OutboundUrl::parse(raw, &then).expect(raw);
            assert_eq!(policy(false, &[], &[]).check(&url), Err(refused), "{raw}");
        }
    }
}
