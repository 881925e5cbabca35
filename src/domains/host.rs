//! Which hosts can be a domain of a workspace. Pure.

use std::net::IpAddr;

use url::Host;

use crate::config::Config;

/// The TXT record's label and its dot stand before the host, and names have at most 253 characters.
const MAX_HOST: usize = 240;
const MAX_LABEL: usize = 63;
/// Names below these are nobody's on the public internet, or not names of hosts (RFC 6761, 6762, 7686, 8375, 9476; ICANN on "internal").
const PRIVATE: &[&str] =
    &["localhost", "local", "internal", "onion", "alt", "arpa", "invalid", "lan", "home", "corp", "intranet"];

/// Returns a host as it is stored (lower case, punycode, no last dot), or what is wrong with it.
pub fn parse(raw: &str) -> Result<String, &'static str> {
    if raw.is_empty() {
        return Err("is required");
    }
    if raw.contains('*') {
        return Err("must be one host: wildcards are not served");
    }
    if raw.contains(['/', '@', '?', '#', '\\']) || (raw.contains(':') && raw.parse::<IpAddr>().is_err()) {
        return Err("must be a host alone, without scheme, port and path");
    }
    if raw.chars().any(|character| character.is_control() || character.is_whitespace()) {
        return Err("must not contain blanks or control characters");
    }
    let name = match Host::parse(raw) {
        Ok(Host::Domain(name)) => name,
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => return Err("must be a name, not an address"),
        // Addresses of IPv6 stand in brackets in URLs only.
        Err(_) if raw.parse::<IpAddr>().is_ok() => return Err("must be a name, not an address"),
        Err(_) => return Err("is not a valid host name"),
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    if name.len() > MAX_HOST {
        return Err("must have at most 240 characters in punycode");
    }
    if !name.split('.').all(is_label) {
        return Err(
            "must consist of labels of letters, digits and -, each 1 to 63 long, not beginning or ending with -",
        );
    }
    if name.rsplit('.').next().is_some_and(|last| PRIVATE.contains(&last)) {
        return Err("must be a name on the public internet");
    }
    if psl::domain_str(name).is_none() {
        return Err("must not be a public suffix, such as com or co.uk: nobody owns one alone");
    }
    Ok(name.to_owned())
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Says whether a host is the top of what somebody registered, where a CNAME cannot stand.
pub fn is_apex(host: &str) -> bool {
    psl::domain_str(host) == Some(host)
}

/// Says whether a host is the server's own: of its links, of its dashboard, or what domains lead to.
pub fn is_ours(host: &str, config: &Config) -> bool {
    let links = config.links_url.host_str();
    let dashboards = config.frontend_urls.iter().filter_map(|url| url.host_str());
    let listed = config.links_hosts.iter().chain(&config.domain_targets).map(String::as_str);
    links.into_iter().chain(dashboards).chain(listed).any(|own| own == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_stored_in_one_form() {
        for (raw, stored) in [
            ("go.example.com", "go.example.com"),
            ("GO.Example.COM", "go.example.com"),
            ("go.example.com.", "go.example.com"),
            ("example.com", "example.com"),
            ("example.co.uk", "example.co.uk"),
            ("a.b.c.d.example.com", "a.b.c.d.example.com"),
            ("münchen.de", "xn--mnchen-3ya.de"),
            ("MÜNCHEN.de", "xn--mnchen-3ya.de"),
            ("go.例え.jp", "go.xn--r8jz45g.jp"),
            ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
            ("go。example。com", "go.example.com"),
            ("me.github.io", "me.github.io"),
            ("x--y.example.com", "x--y.example.com"),
            ("go.shop.test", "go.shop.test"),
        ] {
            assert_eq!(parse(raw).as_deref(), Ok(stored), "{raw}");
            assert_eq!(parse(stored).as_deref(), Ok(stored), "{stored} is not stable");
        }
    }

    #[test]
    fn what_is_no_host_of_somebody_is_refused() {
        let long = format!("{}com", "abcdefghi.".repeat(24));
        let label = format!("{}.com", "a".repeat(64));
        for (raw, says) in [
            ("", "is required"),
            ("*.example.com", "wildcards"),
            ("*", "wildcards"),
            ("https://go.example.com", "host alone"),
            ("go.example.com:443", "host alone"),
            ("go.example.com/x", "host alone"),
            ("user@go.example.com", "host alone"),
            ("go example.com", "blanks"),
            (" go.example.com", "blanks"),
            ("go.example.com\n", "blanks"),
            ("127.0.0.1", "not an address"),
            ("0x7f.1", "not an address"),
            ("2130706433", "not an address"),
            ("[::1]", "host alone"),
            ("::1", "not an address"),
            ("go..example.com", "labels"),
            (".example.com", "labels"),
            ("-go.example.com", "labels"),
            ("go-.example.com", "labels"),
            ("_dmarc.example.com", "labels"),
            ("go!.example.com", "labels"),
            ("go%2f.example.com", "is not a valid"),
            (&label, "is not a valid"),
            (&long, "240"),
            ("com", "public suffix"),
            ("co.uk", "public suffix"),
            ("github.io", "public suffix"),
            ("localhost", "public internet"),
            ("go.localhost", "public internet"),
            ("printer.local", "public internet"),
            ("metadata.google.internal", "public internet"),
            ("1.0.0.127.in-addr.arpa", "public internet"),
            ("x.onion", "public internet"),
        ] {
            let refused = parse(raw).expect_err(raw);
            let too_long = raw == label && refused.contains("labels");
            assert!(refused.contains(says) || too_long, "{raw:?}: {refused}");
        }
    }

    #[test]
    fn the_top_of_a_zone_is_known() {
        for (host, apex) in [
            ("example.com", true),
            ("go.example.com", false),
            ("example.co.uk", true),
            ("go.example.co.uk", false),
            ("me.github.io", true),
        ] {
            assert_eq!(is_apex(host), apex, "{host}");
        }
    }

    #[test]
    fn our_own_hosts_are_known() {
        let settings = |name: &str| {
            let value = match name {
                "LINKS_URL" => "https://go.example.com",
                "LINKS_HOSTS" => "links.example.com,10.0.0.1",
                "FRONTEND_URL" => "https://dash.example.com",
                "DOMAIN_TARGETS" => "cname.example.com",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let config = Config::from_lookup(&settings).expect("good settings");
        for (host, ours) in [
            ("go.example.com", true),
            ("links.example.com", true),
            ("dash.example.com", true),
            ("cname.example.com", true),
            ("example.com", false),
            ("x.go.example.com", false),
        ] {
            assert_eq!(is_ours(host, &config), ours, "{host}");
        }
    }
}
