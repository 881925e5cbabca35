//! What is added to the query of the URL a visitor is sent to. Pure; the URL is one that was checked when the link was saved.
//!
//! Nothing is parsed that was parsed when it was saved: in a URL as the WHATWG parser writes it the first `#` begins the
//! fragment and the first `?` before it the query. What is there stays as it is, byte by byte.

use std::borrow::Cow;

use url::form_urlencoded::{byte_serialize, parse};

use crate::{
    clicks::{
        ClickTokens, TOKEN_LENGTH,
        query::{CLICK_ID, TOKEN, is_reserved},
    },
    ids::{ClickId, LinkId, WorkspaceId},
    links::Decoration,
};

/// How long a URL may become by what visitors bring; proxies refuse longer ones.
const MAX_BYTES: usize = 8192;
/// The pages of these hosts read their query themselves, `id` above all, so nothing is set there.
const PLAY: &str = "play.google.com";
/// The pages of the App Store, in either of its names.
const APP_STORE: [&str; 2] = ["apps.apple.com", "itunes.apple.com"];
/// As the parser writes the URL of such a page.
const PLAY_PAGE: &str = "https://play.google.com/";

/// What marks a URL with a click.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    /// The click.
    pub click: ClickId,
    /// Its link.
    pub link: LinkId,
    /// Whose.
    pub workspace: WorkspaceId,
    /// What makes its token; `None`: nobody, [`NO_TOKEN`] stands in for it.
    pub tokens: Option<&'a ClickTokens>,
}

impl Mark<'_> {
    fn token(&self) -> Cow<'static, str> {
        self.tokens.map_or(Cow::Borrowed(NO_TOKEN), |tokens| {
            Cow::Owned(tokens.mint(self.workspace, self.link, self.click))
        })
    }
}

/// Stands in for the token of a click that nobody makes.
pub const NO_TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const _: () = assert!(NO_TOKEN.len() == TOKEN_LENGTH);

/// What a URL is decorated with.
#[derive(Debug, Clone, Copy)]
pub struct Additions<'a> {
    /// What the link sets.
    pub link: Option<&'a Decoration>,
    /// The click, if it was recorded.
    pub click: Option<Mark<'a>>,
    /// The query of the short URL as the visitor sent it, if it is forwarded.
    pub query: &'a str,
}

/// Returns `url` with the additions; unchanged when there are none or it is no URL to add to.
///
/// Parameters of the link take the place of those the URL has; the visitor's only fill what neither has. A store page
/// stays as it is, but for the referrer that the Play Store hands to an app it installs: the token of the click.
pub fn decorate<'a>(url: &'a str, additions: Additions<'_>) -> Cow<'a, str> {
    let Additions { link, click, query } = additions;
    if let Some(mark) = click
        && url.starts_with(PLAY_PAGE)
    {
        return with_referrer(url, mark);
    }
    let click = click.filter(|_| link.is_some_and(|link| link.append_click_id));
    let parameters = link.map_or(&[][..], |link| &link.parameters);
    if parameters.is_empty() && click.is_none() && query.is_empty() {
        return Cow::Borrowed(url);
    }
    let Some(host) = host(url) else { return Cow::Borrowed(url) };
    let (rest, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let (base, own) = rest.split_once('?').unwrap_or((rest, ""));
    let mut id = [0; 36];
    let id = click.map(|mark| &*mark.click.0.as_hyphenated().encode_lower(&mut id));
    if host.eq_ignore_ascii_case(PLAY) || is_of_app_store(host) {
        return Cow::Borrowed(url);
    }
    let set: Vec<(&str, &str)> = parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| id.is_none() || *name != CLICK_ID)
        .chain(id.map(|id| (CLICK_ID, id)))
        .collect();

    let mut written = Query::with_capacity(base, rest.len() + query.len() + 64 * set.len());
    let mut placed = vec![false; set.len()];
    for pair in pairs(own) {
        let name = name(pair);
        match set.iter().position(|(set, _)| *set == name) {
            None => written.raw(pair),
            Some(place) if !placed[place] => {
                placed[place] = true;
                written.pair(set[place]);
            }
            Some(_) => {}
        }
    }
    let missing = set.iter().zip(&placed).filter(|(_, placed)| !**placed);
    missing.for_each(|(pair, _)| written.pair(*pair));
    for pair in pairs(query) {
        let name = name(pair);
        let there = set.iter().any(|(set, _)| *set == name) || pairs(own).any(|own| self::name(own) == name);
        if !there && !is_reserved(&name) && written.len() + 3 * pair.len() + fragment.len() < MAX_BYTES {
            written.visitors(pair);
        }
    }
    Cow::Owned(written.end(fragment))
}

/// Returns the page of an app in the Play Store with the referrer that the store hands to the app it installs, unless it has one.
fn with_referrer<'a>(url: &'a str, mark: Mark<'_>) -> Cow<'a, str> {
    let (rest, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let own = rest.split_once('?').map_or("", |(_, own)| own);
    if pairs(own).any(|pair| name(pair) == "referrer") {
        return Cow::Borrowed(url);
    }
    let separator = if own.is_empty() { "?" } else { "&" };
    let rest = rest.strip_suffix(['?', '&']).unwrap_or(rest);
    Cow::Owned(format!("{rest}{separator}referrer={TOKEN}%3D{}{fragment}", mark.token()))
}

/// A URL whose query is being written.
struct Query {
    text: String,
    separator: char,
}

impl Query {
    fn with_capacity(base: &str, bytes: usize) -> Self {
        let mut text = String::with_capacity(bytes);
        text.push_str(base);
        Self { text, separator: '?' }
    }

    fn next(&mut self) -> &mut String {
        self.text.push(self.separator);
        self.separator = '&';
        &mut self.text
    }

    /// Adds what stood in a URL.
    fn raw(&mut self, pair: &str) {
        self.next().push_str(pair);
    }

    /// Adds a name and its value, encoded as forms are.
    fn pair(&mut self, (name, value): (&str, &str)) {
        let text = self.next();
        text.extend(byte_serialize(name.as_bytes()));
        text.push('=');
        text.extend(byte_serialize(value.as_bytes()));
    }

    /// Adds what a visitor sent, as it was sent but for bytes that a URL would not have.
    fn visitors(&mut self, pair: &str) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let text = self.next();
        for byte in pair.bytes() {
            if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'\'' | b'<' | b'>') {
                text.push(char::from(byte));
            } else {
                text.push('%');
                text.push(char::from(HEX[usize::from(byte >> 4)]));
                text.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }

    fn len(&self) -> usize {
        self.text.len()
    }

    fn end(mut self, fragment: &str) -> String {
        self.text.push_str(fragment);
        self.text
    }
}

/// Says whether a URL is a page of the App Store.
pub fn is_app_store(url: &str) -> bool {
    host(url).is_some_and(is_of_app_store)
}

fn is_of_app_store(host: &str) -> bool {
    APP_STORE.iter().any(|store| host.eq_ignore_ascii_case(store))
}

/// Returns the host of an http or https URL, with its port if it names one.
fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    (!authority.is_empty()).then_some(authority)
}

/// Splits a query at its ampersands. Empty parts say nothing.
fn pairs(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|pair| !pair.is_empty())
}

/// Returns the name of a pair, decoded, so that no spelling hides it.
fn name(pair: &str) -> Cow<'_, str> {
    let raw = pair.split('=').next().unwrap_or_default();
    if raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        parse(raw.as_bytes()).next().map_or(Cow::Borrowed(""), |(name, _)| name.into_owned().into())
    } else {
        Cow::Borrowed(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "00000000-0000-0000-0000-000000000000";

    fn decorated(url: &str, parameters: &[(&str, &str)], append_click_id: bool, query: &str) -> String {
        let parameters =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let link = Decoration { parameters, of_campaign: 0, append_click_id };
        let nil = uuid::Uuid::nil();
        let click =
            Some(Mark { click: ClickId(nil), link: LinkId(nil), workspace: WorkspaceId(nil), tokens: None });
        let whole = decorate(url, Additions { link: Some(&link), click, query }).into_owned();
        let unrecorded = decorate(url, Additions { link: Some(&link), click: None, query });
        assert!(append_click_id || whole == unrecorded || whole.contains(NO_TOKEN));
        assert!(!unrecorded.contains(ID) && !unrecorded.contains(NO_TOKEN));
        whole
    }

    #[test]
    fn what_the_link_sets_takes_the_place_of_what_is_there() {
        for (url, parameters, expected) in [
            ("https://e.com/", &[][..], "https://e.com/"),
            ("https://e.com/", &[("a", "1")], "https://e.com/?a=1"),
            ("https://e.com/?", &[("a", "1")], "https://e.com/?a=1"),
            ("https://e.com/#f?x=1", &[("a", "1")], "https://e.com/?a=1#f?x=1"),
            ("https://e.com/?b=%20~#f", &[("a", "1")], "https://e.com/?b=%20~&a=1#f"),
            ("https://e.com/?a=2&b=3&a=4", &[("a", "1")], "https://e.com/?a=1&b=3"),
            ("https://e.com/?%61=2&b", &[("a", "1")], "https://e.com/?a=1&b"),
            ("https://e.com/?A=2", &[("a", "1")], "https://e.com/?A=2&a=1"),
            ("https://e.com/?&&b=3&", &[("a", "")], "https://e.com/?b=3&a="),
            (
                "https://e.com/",
                &[("utm_source", "a b"), ("q", "ü&=+#")],
                "https://e.com/?utm_source=a+b&q=%C3%BC%26%3D%2B%23",
            ),
            ("http://e.com:8080/p", &[("a", "1")], "http://e.com:8080/p?a=1"),
            // No URLs to add to.
            ("destination", &[("a", "1")], "destination"),
            ("https://", &[("a", "1")], "https://"),
            ("https:///x", &[("a", "1")], "https:///x"),
            ("myapp://open", &[("a", "1")], "myapp://open"),
            ("", &[("a", "1")], ""),
        ] {
            assert_eq!(decorated(url, parameters, false, ""), expected, "{url} {parameters:?}");
        }
    }

    #[test]
    fn the_click_id_is_ours_alone() {
        let with_id = |url: &str| format!("{url}lf_click={ID}");
        for (url, parameters, query, expected) in [
            ("https://e.com/", &[][..], "", with_id("https://e.com/?")),
            ("https://e.com/?a=1", &[], "", with_id("https://e.com/?a=1&")),
            ("https://e.com/?lf_click=mine", &[], "", with_id("https://e.com/?")),
            ("https://e.com/", &[("lf_click", "mine")], "lf_click=theirs", with_id("https://e.com/?")),
        ] {
            assert_eq!(decorated(url, parameters, true, query), expected, "{url}");
        }
        assert_eq!(decorated("https://e.com/", &[], false, ""), "https://e.com/");
    }

    #[test]
    fn visitors_fill_only_what_is_free() {
        for (url, parameters, query, expected) in [
            ("https://e.com/", &[][..], "a=1", "https://e.com/?a=1"),
            ("https://e.com/?a=0", &[], "a=1&b=2", "https://e.com/?a=0&b=2"),
            ("https://e.com/?%61=0", &[], "a=1", "https://e.com/?%61=0"),
            ("https://e.com/?a=0", &[], "%61=1", "https://e.com/?a=0"),
            ("https://e.com/", &[("a", "0")], "a=1&%61=2&b", "https://e.com/?a=0&b"),
            ("https://e.com/", &[], "a=1&a=2", "https://e.com/?a=1&a=2"),
            ("https://e.com/#f", &[], "a=%20+~", "https://e.com/?a=%20+~#f"),
            (
                "https://e.com/",
                &[],
                "utm_source=x&UTM_term=x&%75tm_x=1&fp_tz=x&lf_click=x&lf%5Fclick=y",
                "https://e.com/",
            ),
            ("https://e.com/", &[], "utm=1&fp=2&lf_clicks=3", "https://e.com/?utm=1&fp=2&lf_clicks=3"),
            ("https://e.com/", &[], "&&", "https://e.com/"),
            ("https://e.com/", &[], "a=<\"'>#ü", "https://e.com/?a=%3C%22%27%3E%23%C3%BC"),
            ("https://e.com/", &[], "=1&%=2", "https://e.com/?=1&%=2"),
        ] {
            assert_eq!(decorated(url, parameters, false, query), expected, "{url} {query}");
        }
    }

    #[test]
    fn store_pages_get_nothing_but_the_play_referrer() {
        let play = "https://play.google.com/store/apps/details?id=com.example";
        let referrer = format!("&referrer=lf%3D{NO_TOKEN}");
        for (url, append_click_id, expected) in [
            (play, false, format!("{play}{referrer}")),
            (play, true, format!("{play}{referrer}")),
            (&format!("{play}&referrer=x")[..], true, format!("{play}&referrer=x")),
            (&format!("{play}#f"), true, format!("{play}{referrer}#f")),
            (
                "https://play.google.com/store",
                true,
                format!("https://play.google.com/store?{}", &referrer[1..]),
            ),
            ("https://apps.apple.com/app/id1?mt=8", true, "https://apps.apple.com/app/id1?mt=8".to_owned()),
            ("https://itunes.apple.com/app/id1", true, "https://itunes.apple.com/app/id1".to_owned()),
        ] {
            assert_eq!(decorated(url, &[("id", "42")], append_click_id, "id=7&x=1"), expected, "{url}");
        }
        let other = "https://play.google.com.example.com/?id=1";
        assert_eq!(
            decorated(other, &[("id", "42")], false, ""),
            "https://play.google.com.example.com/?id=42"
        );
    }

    #[test]
    fn no_visitor_makes_a_url_longer_than_proxies_take() {
        let long = format!("a={}&b={}&c=1", "x".repeat(2000), "y".repeat(8000));
        let url = decorated("https://e.com/", &[], false, &long);
        assert!(
            url.len() <= MAX_BYTES && url.contains("?a=xx") && !url.contains('y') && url.ends_with("&c=1")
        );
    }
}
