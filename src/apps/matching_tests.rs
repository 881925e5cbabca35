//! What Apple's and Google's own examples come to.

use super::*;

fn path(pattern: &str) -> v1::AppleComponent {
    v1::AppleComponent { path: Some(pattern.to_owned()), ..v1::AppleComponent::default() }
}

fn items(items: &[(&str, &str)]) -> Vec<v1::QueryItemPattern> {
    let pattern =
        |(name, value): &(&str, &str)| v1::QueryItemPattern { name: (*name).into(), value: (*value).into() };
    items.iter().map(pattern).collect()
}

fn but_not(component: v1::AppleComponent) -> v1::AppleComponent {
    v1::AppleComponent { exclude: true, ..component }
}

fn ios(components: Vec<v1::AppleComponent>) -> v1::IosApp {
    let food = ["burrito", "pizza", "sushi", "samosa"].map(str::to_owned).to_vec();
    let food = v1::SubstitutionVariable { name: "food".into(), values: food };
    v1::IosApp { components, substitution_variables: vec![food], ..v1::IosApp::default() }
}

fn on_apple(app: &v1::IosApp, rest: &str) -> Verdict {
    let url = Url::parse(&format!("https://example.com{rest}")).expect("a URL");
    apple(app, false, &Tapped::of(&url))
}

fn missed(verdict: &Verdict) -> Vec<v1::LinkPart> {
    let Verdict::NoComponent(misses) = verdict else { panic!("{verdict:?}") };
    misses.iter().map(|miss| miss.part).collect()
}

/// The association file in Apple's documentation of associated domains.
#[test]
fn the_first_component_that_matches_decides() {
    let app = ios(vec![
        but_not(v1::AppleComponent { fragment: Some("no_universal_links".into()), ..Default::default() }),
        path("/buy/*"),
        but_not(path("/help/website/*")),
        v1::AppleComponent { query_items: items(&[("articleNumber", "????")]), ..path("/help/*") },
    ]);
    use v1::LinkPart::{Fragment, Path, QueryItem};
    for (rest, verdict) in [
        ("/buy/shoes#no_universal_links", Ok(Verdict::Excluded(0))),
        ("/buy/shoes#other", Ok(Verdict::Opens(Some(1)))),
        ("/buy/", Ok(Verdict::Opens(Some(1)))),
        ("/help/website/7?articleNumber=1234", Ok(Verdict::Excluded(2))),
        ("/help/7?articleNumber=1234", Ok(Verdict::Opens(Some(3)))),
        ("/help/7?a=b&articleNumber=1234", Ok(Verdict::Opens(Some(3)))),
        ("/help/7?articleNumber=123", Err(vec![Fragment, Path, Path, QueryItem])),
        ("/help/7", Err(vec![Fragment, Path, Path, QueryItem])),
        ("/buy", Err(vec![Fragment, Path, Path, Path])),
        ("/Buy/shoes", Err(vec![Fragment, Path, Path, Path])),
    ] {
        let decided = on_apple(&app, rest);
        match verdict {
            Ok(verdict) => assert_eq!(decided, verdict, "{rest}"),
            Err(parts) => assert_eq!(missed(&decided), parts, "{rest}"),
        }
    }
}

/// "Every instance of an item must match; one without a value and one that is missing are empty" (WWDC 2019, 717).
#[test]
fn apple_wants_every_item_of_a_name_to_match() {
    let help = |value: &str| {
        ios(vec![v1::AppleComponent {
            query_items: items(&[("articleNumber", value), ("articleName", "?*")]),
            ..path("/help/*")
        }])
    };
    for (value, rest, opens) in [
        ("????", "/help/?articleNumber=1234&articleName=x", true),
        ("????", "/help/?articleName=x&articleNumber=1234", true),
        ("????", "/help/?articleNumber=1234", false),
        ("????", "/help/?articleNumber=1234&articleName=", false),
        ("????", "/help/?articleNumber=1234&articleName", false),
        ("????", "/help/?articleNumber=1234&articleNumber=5678&articleName=x", true),
        ("????", "/help/?articleNumber=1234&articleNumber=5&articleName=x", false),
        ("*", "/help/?articleName=x", true),
        ("", "/help/?articleName=x", true),
        ("", "/help/?articleNumber&articleName=x", true),
        ("", "/help/?articleNumber=1&articleName=x", false),
    ] {
        let decided = on_apple(&help(value), rest);
        assert_eq!(matches!(decided, Verdict::Opens(Some(0))), opens, "{value:?} on {rest}: {decided:?}");
    }
}

#[test]
fn a_component_says_how_it_compares() {
    let insensitive = |component| v1::AppleComponent { case_sensitive: Some(false), ..component };
    let decoded = |component| v1::AppleComponent { percent_encoded: Some(false), ..component };
    let query = |query: &str| v1::AppleComponent { query: Some(query.into()), ..Default::default() };
    let fragment = |text: &str| v1::AppleComponent { fragment: Some(text.into()), ..Default::default() };
    for (component, rest, opens) in [
        (path("/buy"), "/BUY", false),
        (insensitive(path("/buy")), "/BUY", true),
        (
            insensitive(v1::AppleComponent {
                fragment: Some("my_great_product_123".into()),
                ..path("/buy/*")
            }),
            "/Buy/x#My_Great_Product_123",
            true,
        ),
        (path("/a b"), "/a%20b", false),
        (path("/a%20b"), "/a%20b", true),
        (decoded(path("/a b")), "/a%20b", true),
        (decoded(path("/käse")), "/käse", true),
        (path("/käse"), "/käse", false),
        (query("*"), "/x", true),
        (query("?*"), "/x", false),
        (query("?*"), "/x?a", true),
        (query(""), "/x", true),
        (query(""), "/x?a=1", false),
        (query("a=?&b=*"), "/x?a=1&b=2", true),
        (query("a=?&b=*"), "/x?b=2&a=1", false),
        (fragment(""), "/x", true),
        (fragment(""), "/x#y", false),
        (path("/$(lang)_$(region)/$(food)/"), "/en_US/samosa/", true),
        (path("/$(lang)_$(region)/$(food)/"), "/en_US/Samosa/", false),
        (insensitive(path("/$(lang)_$(region)/$(food)/")), "/EN_us/SAMOSA/", true),
        // Nothing set: it matches everything.
        (v1::AppleComponent::default(), "/any?thing#goes", true),
    ] {
        let decided = on_apple(&ios(vec![component.clone()]), rest);
        assert_eq!(matches!(decided, Verdict::Opens(Some(0))), opens, "{component:?} on {rest}");
    }
}

#[test]
fn an_app_without_components_opens_every_link_but_no_page_of_ours() {
    let (ios, android_app) = (ios(Vec::new()), v1::AndroidApp::default());
    for (path, page) in [
        ("/spring", None),
        ("/a/b", None),
        ("/healthy", None),
        ("/spring+", Some("/*+")),
        ("/health", Some("/health")),
        ("/livez", Some("/livez")),
        ("/readyz", Some("/readyz")),
        ("/.well-known/assetlinks.json", Some("/.well-known/*")),
        ("/robots.txt", Some("/robots.txt")),
        ("/favicon.ico", Some("/favicon.ico")),
        ("/qr/spring", Some("/qr/*")),
        ("/spring/qr", Some("/*/qr")),
        ("/spring.qr", Some("/*.qr")),
    ] {
        let url = Url::parse(&format!("https://example.com{path}")).expect("a URL");
        let tapped = Tapped::of(&url);
        let expected = page.map_or(Verdict::Opens(None), Verdict::OwnPage);
        assert_eq!(apple(&ios, true, &tapped), expected, "{path}");
        assert_eq!(android(&android_app, true, &tapped), expected, "{path}");
        assert_eq!(apple(&ios, false, &tapped), Verdict::Opens(None), "{path}");
        assert_eq!(android(&android_app, false, &tapped), Verdict::Opens(None), "{path}");
    }
    let root = Url::parse("https://example.com").expect("a URL");
    assert_eq!(apple(&ios, true, &Tapped::of(&root)), Verdict::NoComponent(Vec::new()));
    assert_eq!(android(&android_app, true, &Tapped::of(&root)), Verdict::Opens(None));
}

/// The example in Google's guide to dynamic rules, and what it says of each of them.
#[test]
fn android_takes_the_first_component_that_matches_too() {
    let component =
        |path: Option<&str>, query: &[(&str, &str)], fragment: Option<&str>, exclude| v1::AndroidComponent {
            path: path.map(str::to_owned),
            query_items: items(query),
            fragment: fragment.map(str::to_owned),
            exclude,
            comment: String::new(),
        };
    let app = v1::AndroidApp {
        components: vec![
            component(None, &[], Some("app=false"), true),
            component(Some("/path1/*"), &[], None, true),
            component(None, &[("in_app", "false")], None, true),
            component(Some("/products/????"), &[], None, false),
            component(Some("/a b"), &[], None, false),
            component(Some("/search"), &[("q", "?*")], None, false),
            component(Some("*/page/?*"), &[], None, false),
            component(Some("/any"), &[("ref", "*")], Some("*"), false),
            component(Some("/semicolons"), &[("a", "1"), ("b", "2")], None, false),
        ],
        ..v1::AndroidApp::default()
    };
    for (rest, verdict) in [
        ("/products/1234", Some(Verdict::Opens(Some(3)))),
        ("/products/12345", None),
        ("/Products/1234", None),
        ("/products/1234#app=false", Some(Verdict::Excluded(0))),
        ("/path1/products", Some(Verdict::Excluded(1))),
        ("/products/1234?in_app=false", Some(Verdict::Excluded(2))),
        ("/products/1234?in_app=true", Some(Verdict::Opens(Some(3)))),
        ("/products/1234?in_app=true&in_app=false", Some(Verdict::Excluded(2))),
        ("/a%20b", Some(Verdict::Opens(Some(4)))),
        ("/search?q=shoes", Some(Verdict::Opens(Some(5)))),
        ("/search?q=", None),
        ("/search", None),
        ("/page/7", Some(Verdict::Opens(Some(6)))),
        ("/page/", None),
        // `*` ends at the first slash, and nothing is tried twice.
        ("/de/page/7", None),
        // What is not there matches no pattern, an item without a value neither.
        ("/any?ref=#", Some(Verdict::Opens(Some(7)))),
        ("/any?ref=x#y", Some(Verdict::Opens(Some(7)))),
        ("/any?ref=x", None),
        ("/any?ref#y", None),
        ("/any#y", None),
        // Decoded first, cut afterwards.
        ("/any?x=1%26ref=2#y", Some(Verdict::Opens(Some(7)))),
        ("/semicolons?a=1&b=2", Some(Verdict::Opens(Some(8)))),
        ("/semicolons?b=2;a=1", Some(Verdict::Opens(Some(8)))),
        ("/semicolons?b=2;a=1&c=3", None),
        ("/semicolons?a=1&b=2&", Some(Verdict::Opens(Some(8)))),
        ("/any?ref=x&#y", Some(Verdict::Opens(Some(7)))),
        ("/else", None),
    ] {
        let url = Url::parse(&format!("https://example.com{rest}")).expect("a URL");
        let decided = android(&app, false, &Tapped::of(&url));
        match verdict {
            Some(verdict) => assert_eq!(decided, verdict, "{rest}"),
            None => assert_eq!(missed(&decided).len(), 9, "{rest}"),
        }
    }
}

#[test]
fn a_miss_says_what_was_looked_for_and_what_was_there() {
    let app = ios(vec![v1::AppleComponent { query_items: items(&[("id", "????")]), ..path("/p/*") }]);
    let Verdict::NoComponent(misses) = on_apple(&app, "/p/x?id=1234&id=7") else { panic!("it opens") };
    let expected = miss(v1::LinkPart::QueryItem, "????", "7".into(), "id");
    assert_eq!(misses, [expected]);
    let Verdict::NoComponent(misses) = on_apple(&app, "/q") else { panic!("it opens") };
    assert_eq!(misses, [miss(v1::LinkPart::Path, "/p/*", "/q".into(), "")]);
}
