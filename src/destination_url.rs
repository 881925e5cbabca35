//! Where a link may send people. Pure; called while a request is parsed.
//!
//! What is stored is the URL as the WHATWG parser writes it: ASCII, the host in punycode, so that a `Location` header can
//! carry it and no browser reads another host out of it than we did. What that parser would repair in silence (blanks
//! around, tabs inside, missing slashes, backslashes) is refused instead: nobody writes it by accident and means well.

use url::{Host, Url};

/// How many characters a URL may have, as written and as stored.
const MAX_CHARACTERS: usize = 2048;

/// Where short URLs live that lead back to whoever is sent there.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Where this server's live.
    pub url: &'a Url,
    /// The workspace's own hosts that answer. They are reached by the scheme and the port of the server's.
    pub hosts: &'a [String],
}

/// Returns the URL as it is stored, or what is wrong with it.
pub fn check(raw: &str, own: Own<'_>) -> Result<String, &'static str> {
    if raw.chars().nth(MAX_CHARACTERS).is_some() {
        return Err("must have at most 2,048 characters");
    }
    if raw.chars().any(char::is_control) {
        return Err("must not contain tabs, line breaks or other control characters");
    }
    if raw.trim() != raw {
        return Err("must not begin or end with a blank");
    }
    let Some((scheme, rest)) = raw.split_once("://") else {
        return Err("must be an absolute URL that begins with https:// or http://");
    };
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Err("must begin with https:// or http://: no other scheme is followed");
    }
    let before_query = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    if before_query.contains('\\') {
        return Err("must not contain a backslash before its query");
    }
    let authority = before_query.split('/').next().unwrap_or_default();
    if authority.is_empty() {
        return Err("must name a host");
    }
    if authority.contains('@') {
        return Err("must not contain a user name or password");
    }
    if authority.chars().any(is_invisible) {
        return Err("must not hide invisible characters in its host");
    }
    let url = Url::parse(raw).map_err(|_| "is not a valid URL")?;
    if url.as_str().len() > MAX_CHARACTERS {
        return Err("must have at most 2,048 characters, each beyond ASCII percent-encoded");
    }
    if is_same_door(&url, own.url) {
        let name = host(&url);
        if name == host(own.url) {
            return Err("must not lead to this server's own link domain: visitors would go round in circles");
        }
        if name.is_some_and(|name| own.hosts.contains(&name)) {
            return Err(
                "must not lead to a link domain of the workspace: visitors would go round in circles",
            );
        }
    }
    Ok(url.into())
}

/// Says whether two URLs lead to one port. Who answers on port 443 answers on 80 too, usually by a redirect, so the schemes' own ports
/// count as one.
fn is_same_door(url: &Url, own: &Url) -> bool {
    let door = |url: &Url| match url.port_or_known_default() {
        Some(80 | 443) | None => 443,
        Some(port) => port,
    };
    door(url) == door(own)
}

/// Returns the host, which the parser has lower-cased and punycoded, without the dot that only says that it is complete.
fn host(url: &Url) -> Option<String> {
    match url.host()? {
        Host::Domain(name) => Some(name.strip_suffix('.').unwrap_or(name).to_owned()),
        address => Some(address.to_string()),
    }
}

/// Characters that take no room or turn the text around: the parser drops them, so the eye and it would see two hosts.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_home(raw: &str, home: &str) -> Result<String, &'static str> {
        let url = Url::parse(home).expect("the test's own URL");
        check(raw, Own { url: &url, hosts: &["go.brand.example".to_owned()] })
    }

    fn at_go(raw: &str) -> Result<String, &'static str> {
        at_home(raw, "https://go.example.com")
    }

    #[test]
    fn good_urls_are_stored_so_that_a_header_can_carry_them() {
        for (raw, stored) in [
            ("https://example.com", "https://example.com/"),
            ("http://example.com/a?b=c#d", "http://example.com/a?b=c#d"),
            ("HTTPS://EXAMPLE.com/Path", "https://example.com/Path"),
            ("https://example.com:443/", "https://example.com/"),
            ("https://example.com:8443/", "https://example.com:8443/"),
            ("https://example.com/a b", "https://example.com/a%20b"),
            ("https://example.com/ü?q=ü#ü", "https://example.com/%C3%BC?q=%C3%BC#%C3%BC"),
            ("https://münchen.de/", "https://xn--mnchen-3ya.de/"),
            ("https://例え.jp/", "https://xn--r8jz45g.jp/"),
            ("https://[2001:DB8::1]/", "https://[2001:db8::1]/"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
            ("https://example.com/?next=https://a@b/\\c", "https://example.com/?next=https://a@b/\\c"),
            ("https://example.com/@me", "https://example.com/@me"),
            ("https://example.com./", "https://example.com./"),
            ("https://apps.apple.com/app/id123?mt=8", "https://apps.apple.com/app/id123?mt=8"),
            (
                "https://play.google.com/store/apps/details?id=com.example",
                "https://play.google.com/store/apps/details?id=com.example",
            ),
        ] {
            let checked = at_go(raw);
            assert_eq!(checked.as_deref(), Ok(stored), "{raw}");
            assert!(stored.bytes().all(|byte| byte.is_ascii_graphic()), "{stored}");
            assert_eq!(at_go(stored).as_deref(), Ok(stored), "{stored} is not stable");
        }
    }

    #[test]
    fn bad_urls_are_refused() {
        for raw in [
            "",
            "example.com",
            "/path",
            "//example.com/",
            "https:",
            "https:example.com",
            "https:/example.com",
            "https://",
            "https:///example.com",
            "https://?q",
            "https://#f",
            "https://:443/",
            "https://exa mple.com/",
            "https://example.com:99999/",
            "https://[::1/",
            "https://a..b:x/",
            "https://%00/",
            "https://256.256.256.256/",
            // Other schemes, however they are dressed.
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "javascript://example.com/%0aalert(1)",
            "java\tscript:alert(1)",
            "java\nscript://x",
            "\u{1}javascript:alert(1)",
            " javascript:alert(1)",
            "data:text/html,<script>alert(1)</script>",
            "DATA:text/html;base64,PHNjcmlwdD4=",
            "vbscript:msgbox(1)",
            "VbScript:msgbox(1)",
            "file:///etc/passwd",
            "File://host/share",
            "blob:https://example.com/uuid",
            "about:blank",
            "view-source:https://example.com/",
            "View-Source:https://example.com/",
            "ftp://example.com/",
            "ws://example.com/",
            "intent://example.com/#Intent;scheme=https;end",
            "market://details?id=com.example",
            "itms-apps://apps.apple.com/app/id1",
            "myapp://open",
            "filesystem:https://example.com/temporary/",
            // What the parser would strip or repair.
            " https://example.com/",
            "https://example.com/ ",
            "\thttps://example.com/",
            "https://example.com/\n",
            "https://exam\tple.com/",
            "https://example.com/a\rb",
            "https://example.com/\u{0}",
            "https://example.com/\u{85}",
            "\u{a0}https://example.com/",
            "\u{feff}https://example.com/",
            "https:\\\\example.com\\",
            "https://example.com\\path",
            "https://example.com/path\\x",
            // Another host than the eye sees.
            "https://good.com@evil.com/",
            "https://good.com\\@evil.com/",
            "https://user:password@example.com/",
            "https://@example.com/",
            "https://:@example.com/",
            "https://good\u{200b}.com/",
            "https://good\u{ad}.com/",
            "https://\u{202e}moc.doog/",
            "https://good\u{2060}.com/",
        ] {
            assert!(at_go(raw).is_err(), "{raw:?} became {:?}", at_go(raw));
        }
    }

    #[test]
    fn a_url_may_be_just_long_enough() {
        let of_length = |length: usize| format!("https://example.com/{}", "a".repeat(length - 20));
        assert!(at_go(&of_length(2048)).is_ok());
        assert!(at_go(&of_length(2049)).is_err());
        assert!(at_go(&of_length(65_536)).is_err());
        // 1,000 characters as written, 6,000 as stored.
        assert!(at_go(&format!("https://example.com/{}", "ü".repeat(980))).is_err());
    }

    #[test]
    fn no_link_leads_back_to_us() {
        for (home, raw, back) in [
            ("https://go.example.com", "https://go.example.com/x", true),
            ("https://go.example.com", "http://go.example.com/x", true),
            ("https://go.example.com", "https://GO.Example.COM/x", true),
            ("https://go.example.com", "https://go.example.com./x", true),
            ("https://go.example.com", "https://go.example.com:443/x", true),
            ("https://go.example.com", "https://go.example.com:8443/x", false),
            ("https://go.example.com", "https://example.com/x", false),
            ("https://go.example.com", "https://go.example.com.evil.com/x", false),
            ("https://go.example.com", "https://ｇｏ.example.com/x", true),
            ("https://go.example.com", "https://go。example.com/x", true),
            ("https://go.example.com", "https://%67o.example.com/x", true),
            ("https://gö.example.com", "https://xn--g-1ga.example.com/x", true),
            ("https://gö.example.com", "https://GÖ.example.com/x", true),
            ("http://localhost:8080", "http://localhost:8080/x", true),
            ("http://localhost:8080", "http://localhost:3000/x", false),
            ("http://localhost:8080", "http://localhost/x", false),
            ("http://127.0.0.1:8080", "http://127.1:8080/x", true),
            // A host of the workspace, on the port of the server's own.
            ("https://go.example.com", "https://go.brand.example/x", true),
            ("https://go.example.com", "http://GO.brand.example./", true),
            ("https://go.example.com", "https://go.brand.example:8443/x", false),
            ("https://go.example.com", "https://brand.example/x", false),
            ("http://localhost:8080", "http://go.brand.example:8080/x", true),
            ("http://localhost:8080", "https://go.brand.example/x", false),
        ] {
            assert_eq!(at_home(raw, home).is_err(), back, "{raw} on {home}");
        }
    }
}
