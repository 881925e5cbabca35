//! What may become a link on a page, decided here and nowhere else. Pure.

use url::Url;

use super::user_text::shown;
use crate::app_scheme;

/// A URL that a browser may be sent to from a page: http or https, in the form in which browsers read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WebUrl(Url);

impl WebUrl {
    /// Reads a URL; anything but http and https is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // Browsers drop some characters from URLs before they look at the scheme, and what is odd enough to have them is no link.
        if text.chars().any(char::is_control) {
            return None;
        }
        let url = Url::parse(text).ok()?;
        (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(Self(url))
    }

    /// Reads the URL of a picture: https alone, which is all that the policy of pages lets load.
    pub(super) fn picture(text: &str) -> Option<Self> {
        Self::parse(text).filter(|url| url.0.scheme() == "https")
    }

    /// Returns where it leads, without anything that could pass for a host before it.
    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl std::fmt::Display for WebUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// A URL that opens an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AppUrl(String);

impl AppUrl {
    /// Reads a URL whose scheme an app may own; what browsers or systems act on is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, _) = text.split_once(':')?;
        let good = is_app_scheme(scheme) && !text.chars().any(|letter| letter.is_control() || letter == ' ');
        good.then(|| Self(text.to_owned()))
    }

    /// Reads an `intent:` URL that names an app's scheme and, if it names a page for those without the app, one of the web.
    pub(super) fn intent(text: &str) -> Option<Self> {
        let inside = text.strip_prefix("intent://")?;
        let (_, settings) = inside.rsplit_once("#Intent;")?;
        let settings = settings.strip_suffix(";end")?;
        let mut scheme = None;
        for (name, value) in
            settings.split(';').map(|setting| setting.split_once('=').unwrap_or((setting, "")))
        {
            match name {
                "scheme" if is_app_scheme(value) => scheme = Some(value),
                "package" | "action" | "category" => {}
                "S.browser_fallback_url" if is_encoded_web_url(value) => {}
                // A component, a selector, extras: what a stranger could reach in an app that it does not offer to browsers.
                _ => return None,
            }
        }
        let plain = !text.chars().any(|letter| letter.is_control() || letter == ' ');
        (scheme.is_some() && plain).then(|| Self(text.to_owned()))
    }
}

impl std::fmt::Display for AppUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_app_scheme(scheme: &str) -> bool {
    app_scheme::check(scheme).is_ok()
}

fn is_encoded_web_url(encoded: &str) -> bool {
    url::form_urlencoded::parse(encoded.as_bytes())
        .next()
        .is_some_and(|(url, _)| WebUrl::parse(&url).is_some())
}

/// Returns a URL as text: as browsers read it, so that a host in foreign letters is seen as what it is.
pub(super) fn as_text(text: &str) -> String {
    WebUrl::parse(text).map_or_else(|| shown(text).into_owned(), |url| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_web_becomes_a_link() {
        for (text, expected) in [
            ("https://example.com/a?b=c#d", Some("https://example.com/a?b=c#d")),
            ("HTTP://EXAMPLE.com", Some("http://example.com/")),
            ("https://exämple.com/ü", Some("https://xn--exmple-cua.com/%C3%BC")),
            ("https://example.com/\"onload=alert(1)", Some("https://example.com/%22onload=alert(1)")),
            ("https:example.com", Some("https://example.com/")),
            (" https://example.com/", Some("https://example.com/")),
            ("java\tscript:alert(1)", None),
            ("https://example.com/\u{0}", None),
            ("https://example.com/\n", None),
            ("javascript:alert(1)", None),
            ("JaVaScRiPt://example.com/%0aalert(1)", None),
            ("data:text/html,<script>alert(1)</script>", None),
            ("vbscript:x", None),
            ("file:///etc/passwd", None),
            ("ftp://example.com/", None),
            ("blob:https://example.com/1", None),
            ("myapp://open", None),
            ("//example.com/", None),
            ("/path", None),
            ("", None),
        ] {
            assert_eq!(WebUrl::parse(text).map(|url| url.to_string()).as_deref(), expected, "{text:?}");
        }
        assert_eq!(WebUrl::picture("http://example.com/a.png"), None);
        assert_eq!(
            WebUrl::parse("https://bank.example@evil.example/").expect("a URL").host(),
            "evil.example"
        );
    }

    #[test]
    fn only_the_scheme_of_an_app_opens_one() {
        for (text, good) in [
            ("myapp://open/42?a=b", true),
            ("com.example.app:open", true),
            ("myapp://\"><script>", true),
            ("myapp://a b", false),
            ("myapp://a\nb", false),
            ("MyApp://open", false),
            ("javascript:alert(1)", false),
            ("java\tscript:alert(1)", false),
            ("data:text/html,x", false),
            ("https://example.com", false),
            ("intent://x#Intent;scheme=myapp;end", false),
            ("tel:123", false),
            ("itms-services://?action=download-manifest", false),
            (":x", false),
            ("myapp", false),
        ] {
            assert_eq!(AppUrl::parse(text).is_some(), good, "{text:?}");
        }
    }

    #[test]
    fn an_intent_names_an_app_and_nothing_inside_it() {
        for (text, good) in [
            ("intent://open#Intent;scheme=myapp;end", true),
            ("intent://open#key#Intent;scheme=myapp;package=com.example;end", true),
            (
                "intent://open#Intent;scheme=myapp;S.browser_fallback_url=https%3A%2F%2Fexample.com%2F;end",
                true,
            ),
            ("intent://open#Intent;scheme=myapp;S.browser_fallback_url=javascript%3Aalert(1);end", false),
            ("intent://open#Intent;scheme=javascript;end", false),
            ("intent://open#Intent;scheme=myapp;component=com.example/.Secret;end", false),
            ("intent://open#Intent;scheme=myapp;S.extra=1;end", false),
            ("intent://open#Intent;scheme=myapp;SEL;scheme=other;end", false),
            ("intent://open#Intent;package=com.example;end", false),
            ("intent://open", false),
            ("intent:open#Intent;scheme=myapp;end", false),
        ] {
            assert_eq!(AppUrl::intent(text).is_some(), good, "{text:?}");
        }
    }

    #[test]
    fn as_text_a_url_looks_like_what_it_is() {
        assert_eq!(as_text("https://аpple.com/"), "https://xn--pple-43d.com/");
        assert_eq!(as_text("javascript:\u{202e}alert(1)"), "javascript:\u{fffd}alert(1)");
    }
}
