//! The URLs that open an app by its own scheme. Pure.

use url::Url;

use crate::{
    clicks::query::CLICK_ID,
    ids::ClickId,
    links::{Extras, Target},
};

/// What stays as it is in a path somebody wrote for their app: what RFC 3986 has a meaning for, and escapes.
const PLAIN: &[u8] = b"-._~:/?#[]@!$&'()*+,;=%";
const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Returns the URL that opens the app on iOS and Android: scheme, path, deep-link parameters and, where the link wants it,
/// the id of the click. `None` when the link has no scheme.
pub fn custom(link: &Target, click: Option<ClickId>) -> Option<String> {
    let extras = scheme_of(link)?;
    let (place, fragment) = place(link, extras, click);
    Some(format!("{}://{place}{fragment}", extras.app_scheme))
}

/// Returns the same for browsers on Android that know intents: they go on to `fallback` by themselves when there is no app.
pub fn intent(link: &Target, click: Option<ClickId>, fallback: Option<&str>) -> Option<String> {
    let extras = scheme_of(link)?;
    // The fragment of such a URL is the intent itself.
    let (place, _) = place(link, extras, click);
    let mut url = format!("intent://{place}#Intent;scheme={};", extras.app_scheme);
    if let Some(package) = package_of(&link.addresses.android_url) {
        url.push_str("package=");
        url.push_str(&package);
        url.push(';');
    }
    if let Some(fallback) = fallback {
        url.push_str("S.browser_fallback_url=");
        escape(&mut url, fallback, &[]);
        url.push(';');
    }
    url.push_str("end");
    Some(url)
}

fn scheme_of(link: &Target) -> Option<&Extras> {
    link.extras.as_deref().filter(|extras| !extras.app_scheme.is_empty())
}

/// Returns what stands behind the scheme, and the fragment.
fn place(link: &Target, extras: &Extras, click: Option<ClickId>) -> (String, String) {
    let path = extras.deep_link_path.trim_start_matches('/');
    let (path, end) = path.split_at(path.find('#').unwrap_or(path.len()));
    let (mut place, mut fragment) = (String::new(), String::new());
    escape(&mut place, path, PLAIN);
    escape(&mut fragment, end, PLAIN);
    let mut separator = if path.contains('?') { '&' } else { '?' };
    let mut add = |name: &str, value: &str| {
        place.push(separator);
        escape(&mut place, name, &[]);
        place.push('=');
        escape(&mut place, value, &[]);
        separator = '&';
    };
    if let Some(decoration) = &link.decoration {
        let of_app = decoration.parameters.iter().skip(decoration.of_campaign.into());
        let click = click.filter(|_| decoration.append_click_id);
        for (name, value) in of_app.filter(|(name, _)| click.is_none() || name != CLICK_ID) {
            add(name, value);
        }
        if let Some(click) = click {
            add(CLICK_ID, click.0.as_hyphenated().encode_lower(&mut [0; 36]));
        }
    }
    (place, fragment)
}

/// Returns the package that a page of the Play Store is about.
fn package_of(store: &str) -> Option<String> {
    let url = Url::parse(store).ok().filter(|url| url.host_str() == Some("play.google.com"))?;
    let (_, id) = url.query_pairs().find(|(name, _)| name == "id")?;
    let good = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
    good.then(|| id.into_owned())
}

/// Adds a text, percent-encoded but for letters, digits and `plain`.
fn escape(to: &mut String, text: &str, plain: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || plain.contains(&byte) {
            to.push(char::from(byte));
        } else {
            to.push('%');
            to.push(char::from(HEX[usize::from(byte >> 4)]));
            to.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::{Decoration, Urls};

    const ID: &str = "00000000-0000-0000-0000-000000000000";

    fn link(path: &str, parameters: &[(&str, &str)], of_campaign: u8, append_click_id: bool) -> Target {
        let parameters =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let extras = Extras { app_scheme: "myapp".into(), deep_link_path: path.into(), ..Extras::default() };
        Target {
            destination_url: "".into(),
            addresses: Urls {
                android_url: "https://play.google.com/store/apps/details?id=com.example.app&hl=de".into(),
                ..Urls::default()
            }
            .into(),
            decoration: Some(Box::new(Decoration { parameters, of_campaign, append_click_id })),
            extras: extras.boxed(),
            ..Target::bare()
        }
    }

    #[test]
    fn the_app_gets_its_path_and_its_parameters_and_no_campaign() {
        for (path, parameters, of_campaign, append, expected) in [
            ("", &[][..], 0, false, "myapp://"),
            ("/product/42", &[], 0, false, "myapp://product/42"),
            ("product/42", &[("a b", "c&d")], 0, false, "myapp://product/42?a%20b=c%26d"),
            ("/p?x=1", &[("y", "2")], 0, false, "myapp://p?x=1&y=2"),
            ("/p#top", &[("y", "2")], 0, false, "myapp://p?y=2#top"),
            ("/p", &[("utm_source", "mail"), ("y", "2")], 1, false, "myapp://p?y=2"),
            ("/p", &[("utm_source", "mail")], 1, false, "myapp://p"),
            ("/p", &[("lf_click", "mine")], 0, true, &format!("myapp://p?lf_click={ID}")),
            ("/ü \"<>\\", &[("ü", "\"'")], 0, false, "myapp://%C3%BC%20%22%3C%3E%5C?%C3%BC=%22%27"),
        ] {
            let link = link(path, parameters, of_campaign, append);
            let click = Some(ClickId(uuid::Uuid::nil()));
            assert_eq!(custom(&link, click).as_deref(), Some(expected), "{path}");
            if append {
                assert!(!custom(&link, None).unwrap_or_default().contains(ID));
            }
        }
        let without = Target { extras: None, ..link("/p", &[], 0, false) };
        assert_eq!((custom(&without, None), intent(&without, None, None)), (None, None));
    }

    #[test]
    fn an_intent_names_the_package_and_where_to_go_without_it() {
        let link = link("/p#top", &[("a", "b;c")], 0, false);
        assert_eq!(
            intent(&link, None, Some("https://example.com/?a=b;c#d")).as_deref(),
            Some(
                "intent://p?a=b%3Bc#Intent;scheme=myapp;package=com.example.app;\
                 S.browser_fallback_url=https%3A%2F%2Fexample.com%2F%3Fa%3Db%3Bc%23d;end"
            )
        );
        for (store, package) in [
            ("https://play.google.com/store/apps/details?id=a.b", Some("a.b")),
            ("https://play.google.com/store/apps/details?id=a;b", None),
            ("https://play.google.com/store/apps/details", None),
            ("https://example.com/?id=a.b", None),
            ("", None),
        ] {
            assert_eq!(package_of(store).as_deref(), package, "{store}");
        }
    }
}
