use std::sync::Arc;

use super::*;
use crate::{
    clock::from_micros,
    geo::Country,
    links::{Rules, Targeting, Urls},
    pb::v1,
    redirect::visitor::{Place, Visitor, Whereabouts},
};

fn link(ios: &str, android: &str, web: &str) -> Target {
    Target {
        destination_url: "destination".into(),
        addresses: Urls {
            ios_url: ios.into(),
            android_url: android.into(),
            web_url: web.into(),
            ..Urls::default()
        }
        .into(),
        ..Target::bare()
    }
}

fn with_urls(link: Target, change: impl FnOnce(&mut Urls)) -> Target {
    let mut urls = Urls::clone(&link.addresses);
    change(&mut urls);
    Target { addresses: urls.into(), ..link }
}

fn visitor(platform: Platform, in_app_browser: bool) -> Visit<'static> {
    let visitor = Visitor { platform, in_app_browser, scraper: false };
    Visit { visitor, ..Visit::of_nobody() }
}

#[test]
fn the_chain_falls_from_the_special_to_the_general() {
    use Platform::{Android, Ios, Web};
    for (platform, in_app, ios, android, web, expected) in [
        (Ios, false, "ios", "android", "web", ("ios", Step::Ios)),
        (Android, false, "ios", "android", "web", ("android", Step::Android)),
        (Web, false, "ios", "android", "web", ("web", Step::Web)),
        (Ios, true, "ios", "android", "web", ("web", Step::Web)),
        (Android, true, "ios", "android", "", ("android", Step::Android)),
        (Ios, false, "", "android", "web", ("web", Step::Web)),
        (Ios, false, "", "android", "", ("destination", Step::Destination)),
        (Android, false, "ios", "", "", ("destination", Step::Destination)),
        (Web, false, "ios", "android", "", ("destination", Step::Destination)),
        (Web, true, "ios", "android", "", ("destination", Step::Destination)),
    ] {
        let link = link(ios, android, web);
        let outcome = choose(&link, &visitor(platform, in_app), from_micros(0));
        assert_eq!(
            outcome,
            Outcome::Go { url: expected.0, step: expected.1 },
            "{platform:?} {in_app} {ios} {android} {web}"
        );
    }
}

#[test]
fn what_the_app_opens_comes_first_on_its_platform() {
    use Platform::{Android, Ios, Web};
    for (platform, in_app, expected) in [
        (Ios, false, ("universal", Step::AppLink)),
        (Ios, true, ("universal", Step::AppLink)),
        (Android, false, ("app link", Step::AppLink)),
        (Android, true, ("app link", Step::AppLink)),
        (Web, false, ("web", Step::Web)),
    ] {
        let app = |ios: &str, android: &str| {
            with_urls(link("ios", "android", "web"), |urls| {
                (urls.ios_universal_link, urls.android_app_link) = (ios.into(), android.into());
            })
        };
        let link = app("universal", "app link");
        let outcome = choose(&link, &visitor(platform, in_app), from_micros(0));
        assert_eq!(outcome, Outcome::Go { url: expected.0, step: expected.1 }, "{platform:?} {in_app}");
        // The other platform's URL is nobody's business.
        let other = app(
            if platform == Ios { "" } else { "universal" },
            if platform == Android { "" } else { "app link" },
        );
        let Outcome::Go { step, .. } = choose(&other, &visitor(platform, in_app), from_micros(0)) else {
            panic!("the link is open");
        };
        assert_ne!(step, Step::AppLink);
    }
}

#[test]
fn a_link_redirects_from_its_start_until_just_before_its_end() {
    let mut link = link("", "", "");
    link.start_time = Some(from_micros(100));
    link.expire_time = Some(from_micros(200));
    for (now, closed) in
        [(99, Some(Closed::NotStarted)), (100, None), (199, None), (200, Some(Closed::Expired))]
    {
        let outcome = choose(&link, &visitor(Platform::Web, false), from_micros(now));
        let expected =
            closed.map_or(Outcome::Go { url: "destination", step: Step::Destination }, Outcome::NotFound);
        assert_eq!(outcome, expected, "at {now}");
    }
    link.active = false;
    let outcome = choose(&link, &visitor(Platform::Web, false), from_micros(150));
    assert_eq!(outcome, Outcome::NotFound(Closed::Inactive));
}

#[test]
fn a_link_whose_clicks_are_used_up_is_closed_unless_it_is_closed_anyway() {
    let used_up = Visit { used_up: true, ..visitor(Platform::Web, false) };
    let open = link("", "", "web");
    let expired = Target { expire_time: Some(from_micros(0)), ..open.clone() };
    for (link, closed) in [(open, Closed::Exhausted), (expired, Closed::Expired)] {
        assert_eq!(choose(&link, &used_up, from_micros(0)), Outcome::NotFound(closed));
    }
}

/// A moment that is over, the present, and one to come.
const PAST: i64 = 50;
const NOW: i64 = 100;
const LATER: i64 = 150;

/// The same visit, by a program that draws previews.
fn by_scraper(visit: Visit<'_>) -> Visit<'_> {
    Visit { visitor: Visitor { scraper: true, ..visit.visitor }, ..visit }
}

fn with(extras: Extras) -> Target {
    Target { extras: extras.boxed(), ..link("ios", "android", "web") }
}

fn extras(change: impl FnOnce(&mut Extras)) -> Extras {
    let mut extras = Extras::default();
    change(&mut extras);
    extras
}

fn house(suspended: bool, settings: v1::WorkspaceSettings) -> Option<Arc<House>> {
    House::shared(Some(settings), suspended)
}

fn og() -> Option<Box<v1::Og>> {
    Some(Box::new(v1::Og { title: "t".into(), ..v1::Og::default() }))
}

fn targeting(platforms: &[v1::Platform]) -> Option<Box<Targeting>> {
    Some(Box::new(Targeting { platforms: platforms.into(), ..Targeting::default() }))
}

fn everybody(url: &str) -> Rules {
    let rule = v1::RoutingRule {
        action: Some(v1::routing_rule::Action::Url(url.into())),
        ..v1::RoutingRule::default()
    };
    Rules::of(&[rule])
}

/// The safety decisions: what stands first wins, whatever stands behind it.
#[test]
fn safety_comes_first_and_in_this_order() {
    let warned = Outcome::Warn { onward: Some(("web", Step::Web)) };
    let go = Outcome::Go { url: "web", step: Step::Web };
    let past = Some(from_micros(PAST));
    let later = Some(from_micros(LATER));
    for (suspended, disable, active, start, expire, warn, password, expected) in [
        (false, None, true, None, None, None, false, go),
        (false, later, true, None, later, later, false, go),
        (true, past, false, later, past, past, true, Outcome::Gone(Gone::Suspended)),
        (true, None, true, None, None, None, false, Outcome::Gone(Gone::Suspended)),
        (false, past, false, later, past, past, true, Outcome::Gone(Gone::Disabled)),
        (false, Some(from_micros(NOW)), true, None, None, None, false, Outcome::Gone(Gone::Disabled)),
        (false, None, false, later, past, past, true, Outcome::NotFound(Closed::Inactive)),
        (false, None, true, later, past, past, true, Outcome::NotFound(Closed::NotStarted)),
        (false, None, true, None, past, past, true, Outcome::NotFound(Closed::Expired)),
        (false, later, true, None, None, past, true, Outcome::Password),
        (false, later, true, None, None, past, false, warned),
        (false, later, true, None, None, Some(from_micros(NOW)), false, warned),
    ] {
        let extras = extras(|extras| {
            (extras.disable_time, extras.warn_time, extras.has_password) = (disable, warn, password);
        });
        let link = Target {
            active,
            start_time: start,
            expire_time: expire,
            house: house(suspended, Default::default()),
            ..with(extras)
        };
        let outcome = choose(&link, &visitor(Platform::Web, false), from_micros(NOW));
        assert_eq!(
            outcome, expected,
            "{suspended} {disable:?} {active} {start:?} {expire:?} {warn:?} {password}"
        );
    }
}

#[test]
fn a_password_hides_what_a_warning_shows() {
    let past = Some(from_micros(PAST));
    let link = with(extras(|extras| (extras.warn_time, extras.has_password) = (past, true)));
    let asked = visitor(Platform::Ios, false);
    let known = Visit { password: Password::Given, ..asked };
    let scraper = by_scraper(asked);
    let now = from_micros(NOW);
    assert_eq!(choose(&link, &asked, now), Outcome::Password);
    assert_eq!(choose(&link, &known, now), Outcome::Warn { onward: Some(("ios", Step::Ios)) });
    assert_eq!(choose(&link, &scraper, now), Outcome::Warn { onward: None });
    // Whom the link is not for goes nowhere from a warning either.
    let other = with(extras(|extras| {
        (extras.warn_time, extras.targeting) = (past, targeting(&[v1::Platform::Web]));
    }));
    assert_eq!(choose(&other, &asked, now), Outcome::Warn { onward: None });
}

#[test]
fn scrapers_see_what_the_link_says_of_itself_if_it_says_anything() {
    let go = Outcome::Go { url: "web", step: Step::Web };
    for (what, extras, expected, of_people) in [
        ("nothing", Extras::default(), go, go),
        ("og", extras(|extras| extras.og = og()), Outcome::Preview(Card::Own), go),
        (
            "for others",
            extras(|extras| extras.targeting = targeting(&[v1::Platform::Ios])),
            Outcome::Preview(Card::Own),
            Outcome::NotFound(Closed::NotTargeted),
        ),
        (
            "a password",
            extras(|extras| extras.has_password = true),
            Outcome::Preview(Card::Neutral),
            Outcome::Password,
        ),
        (
            "a password and og",
            extras(|extras| (extras.has_password, extras.og) = (true, og())),
            Outcome::Preview(Card::Own),
            Outcome::Password,
        ),
    ] {
        let link = with(extras);
        let person = visitor(Platform::Web, false);
        let scraper = by_scraper(person);
        assert_eq!(choose(&link, &scraper, from_micros(NOW)), expected, "{what}");
        assert_eq!(choose(&link, &person, from_micros(NOW)), of_people, "{what}");
    }
    // Og comes before rules; nothing of both leads on to the rule.
    let ruled = |extras: Extras| Target { rules: everybody("https://rule.example/"), ..with(extras) };
    let scraper = by_scraper(visitor(Platform::Web, false));
    assert_eq!(
        choose(&ruled(extras(|extras| extras.og = og())), &scraper, from_micros(NOW)),
        Outcome::Preview(Card::Own)
    );
    let rule = Outcome::Go { url: "https://rule.example/", step: Step::Rule(0) };
    assert_eq!(choose(&ruled(Extras::default()), &scraper, from_micros(NOW)), rule);
}

#[test]
fn rules_come_before_targeting_and_targeting_before_the_chain() {
    let only_android = || extras(|extras| extras.targeting = targeting(&[v1::Platform::Android]));
    let now = from_micros(NOW);
    for (platform, expected) in [
        (Platform::Android, Outcome::Go { url: "android", step: Step::Android }),
        (Platform::Ios, Outcome::NotFound(Closed::NotTargeted)),
        (Platform::Web, Outcome::NotFound(Closed::NotTargeted)),
    ] {
        assert_eq!(choose(&with(only_android()), &visitor(platform, false), now), expected, "{platform:?}");
    }
    let ruled = Target { rules: everybody("https://rule.example/"), ..with(only_android()) };
    let outcome = choose(&ruled, &visitor(Platform::Ios, false), now);
    assert_eq!(outcome, Outcome::Go { url: "https://rule.example/", step: Step::Rule(0) });
}

#[test]
fn targeting_holds_when_all_that_is_named_does() {
    let country = |text: &str| Country::parse(text);
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect::<Box<[Box<str>]>>();
    for (countries, platforms, languages, fits) in [
        (&[][..], &[][..], &[][..], true),
        (&["DE", "CH"], &[], &[], true),
        (&["FR"], &[], &[], false),
        (&[], &[v1::Platform::Ios], &[], true),
        (&[], &[v1::Platform::Unspecified], &[], false),
        (&[], &[], &["de"], true),
        (&[], &[], &["de-ch"], true),
        (&[], &[], &["de-de"], false),
        (&[], &[], &["en"], false),
        (&["CH"], &[v1::Platform::Ios], &["fr", "de"], true),
        (&["CH"], &[v1::Platform::Web], &["de"], false),
        (&["CH"], &[v1::Platform::Ios], &["en"], false),
    ] {
        let targeting = Targeting {
            countries: countries.iter().filter_map(|text| country(text)).collect(),
            platforms: platforms.into(),
            languages: texts(languages),
        };
        let visit = Visit {
            languages: "de-CH,en;q=0.5",
            place: Whereabouts::Known(Place { country: country("CH"), ..Place::NOWHERE }),
            ..visitor(Platform::Ios, false)
        };
        assert_eq!(rules::is_target(&targeting, &Facts::of(&visit, from_micros(0))), fits, "{targeting:?}");
        // Who is nowhere is in no country.
        let nowhere = Visit { place: Whereabouts::Known(Place::NOWHERE), ..visit };
        assert_eq!(
            rules::is_target(&targeting, &Facts::of(&nowhere, from_micros(0))),
            fits && countries.is_empty(),
            "{targeting:?}"
        );
    }
}

#[test]
fn the_scheme_opens_the_app_on_phones_where_no_url_of_the_app_does() {
    let scheme = || extras(|extras| extras.app_scheme = "myapp".into());
    let page = |store| Outcome::OpenApp { store: Some(store), web: Some("web") };
    for (platform, in_app, universal, expected) in [
        (Platform::Ios, false, "", page("ios")),
        (Platform::Ios, true, "", page("ios")),
        (Platform::Android, false, "", page("android")),
        (Platform::Web, false, "", Outcome::Go { url: "web", step: Step::Web }),
        (Platform::Ios, false, "universal", Outcome::Go { url: "universal", step: Step::AppLink }),
        (Platform::Android, false, "universal", page("android")),
    ] {
        let link = with_urls(with(scheme()), |urls| urls.ios_universal_link = universal.into());
        let outcome = choose(&link, &visitor(platform, in_app), from_micros(NOW));
        assert_eq!(outcome, expected, "{platform:?} {in_app} {universal}");
    }
    let ruled = Target { rules: everybody("https://rule.example/"), ..with(scheme()) };
    let outcome = choose(&ruled, &visitor(Platform::Ios, false), from_micros(NOW));
    assert_eq!(outcome, Outcome::Go { url: "https://rule.example/", step: Step::Rule(0) });
    // Without any address the app alone is left.
    let alone = Target { destination_url: "".into(), addresses: Urls::default().into(), ..with(scheme()) };
    let outcome = choose(&alone, &visitor(Platform::Android, false), from_micros(NOW));
    assert_eq!(outcome, Outcome::OpenApp { store: None, web: None });
}

#[test]
fn the_launchpad_shows_when_link_and_workspace_say_so() {
    use LaunchpadDesktop::{Always, NoDestination, Off};
    use LaunchpadMobile::{Page, Store};
    use Platform::{Ios, Web};
    for (platform, mode, desktop, mobile, shows) in [
        (Web, LaunchpadMode::Inherit, NoDestination, Page, false),
        (Web, LaunchpadMode::Inherit, Always, Store, true),
        (Web, LaunchpadMode::Inherit, Off, Page, false),
        (Web, LaunchpadMode::On, Off, Store, true),
        (Web, LaunchpadMode::Off, Always, Page, false),
        (Ios, LaunchpadMode::Inherit, Always, Store, false),
        (Ios, LaunchpadMode::Inherit, Off, Page, true),
        (Ios, LaunchpadMode::On, Always, Store, false),
        (Ios, LaunchpadMode::On, Off, Page, true),
        (Ios, LaunchpadMode::Off, Always, Page, false),
    ] {
        let launchpad =
            v1::Launchpad { desktop: desktop.into(), mobile: mobile.into(), ..v1::Launchpad::default() };
        let settings = v1::WorkspaceSettings { launchpad: Some(launchpad), ..Default::default() };
        let link = Target {
            house: house(false, settings.clone()),
            ..with(extras(|extras| (extras.launchpad, extras.app_scheme) = (mode, "myapp".into())))
        };
        let outcome = choose(&link, &visitor(platform, false), from_micros(NOW));
        let what = format!("{platform:?} {mode:?} {desktop:?} {mobile:?}");
        assert_eq!(matches!(outcome, Outcome::Launchpad(_)), shows, "{what}");
        if let Outcome::Launchpad(ways) = outcome {
            assert_eq!((ways.ios_store, ways.web, ways.opens_app), (Some("ios"), Some("web"), true));
        }
        // The URL the app opens comes before it, but only on its platform.
        let universal = with_urls(link.clone(), |urls| urls.ios_universal_link = "universal".into());
        let outcome = choose(&universal, &visitor(platform, false), from_micros(NOW));
        assert_eq!(matches!(outcome, Outcome::Launchpad(_)), shows && platform == Web, "{what}");

        // With nothing to lead to, desktops see it unless it is off.
        let bare = Target {
            destination_url: "".into(),
            extras: extras(|extras| extras.launchpad = mode).boxed(),
            ..with_urls(link, |urls| urls.web_url = String::new())
        };
        if platform == Web {
            let off = mode == LaunchpadMode::Off || (mode != LaunchpadMode::On && desktop == Off);
            let outcome = choose(&bare, &visitor(platform, false), from_micros(NOW));
            assert_eq!(outcome == Outcome::NoDestination, off, "{what}");
            assert_eq!(matches!(outcome, Outcome::Launchpad(_)), !off, "{what}");
        }
    }
}

#[test]
fn the_workspace_helps_out_where_the_link_has_no_address() {
    use Platform::{Android, Ios, Web};
    let settings = |ios: &str, android: &str, web: &str| v1::WorkspaceSettings {
        ios_store_url: ios.into(),
        android_store_url: android.into(),
        web_url: web.into(),
        ..Default::default()
    };
    let all = settings("h-ios", "h-android", "h-web");
    let go = |url, step| Outcome::Go { url, step };
    for (platform, in_app, settings, own, expected) in [
        (Ios, false, &all, ["", "", ""], go("h-ios", Step::HouseIos)),
        (Ios, true, &all, ["", "", ""], go("h-web", Step::HouseWeb)),
        (Android, false, &all, ["", "", ""], go("h-android", Step::HouseAndroid)),
        (Web, false, &all, ["", "", ""], go("h-web", Step::HouseWeb)),
        (Ios, false, &settings("", "", "h-web"), ["", "", ""], go("h-web", Step::HouseWeb)),
        (Ios, true, &settings("h-ios", "", ""), ["", "", ""], go("h-ios", Step::HouseIos)),
        // Whatever the link itself has comes first, its destination too.
        (Ios, false, &all, ["", "web", ""], go("web", Step::Web)),
        (Ios, false, &all, ["", "", "destination"], go("destination", Step::Destination)),
        (Web, false, &all, ["ios", "", ""], go("h-web", Step::HouseWeb)),
        (Ios, false, &settings("", "", ""), ["", "", ""], Outcome::NoDestination),
    ] {
        let link = Target {
            house: house(false, settings.clone()),
            destination_url: own[2].into(),
            ..link(own[0], "", own[1])
        };
        let outcome = choose(&link, &visitor(platform, in_app), from_micros(NOW));
        assert_eq!(outcome, expected, "{platform:?} {in_app} {own:?}");
    }
    // A scraper sees at least that there is a link.
    let link = Target { destination_url: "".into(), ..link("ios", "", "") };
    let scraper = by_scraper(visitor(Web, false));
    assert_eq!(choose(&link, &scraper, from_micros(NOW)), Outcome::Preview(Card::Own));
    assert!(matches!(choose(&link, &visitor(Web, false), from_micros(NOW)), Outcome::Launchpad(_)));
}

#[test]
fn the_click_goes_along_on_the_pasteboard_where_a_browser_on_ios_goes_to_the_app_store() {
    use Platform::{Android, Ios, Web};
    let on = v1::WorkspaceSettings {
        pasteboard_page: true,
        ios_store_url: "https://itunes.apple.com/app/id2".into(),
        ..Default::default()
    };
    let off = v1::WorkspaceSettings { pasteboard_page: false, ..on.clone() };
    let store = "https://apps.apple.com/app/id1";
    let page = |store, step| Outcome::Pasteboard { store, step };
    let go = |url, step| Outcome::Go { url, step };
    for (settings, platform, in_app, ios, expected) in [
        (&on, Ios, false, store, page(store, Step::Ios)),
        (&on, Ios, false, "http://apps.apple.com?x", page("http://apps.apple.com?x", Step::Ios)),
        (&on, Ios, true, store, go(store, Step::Ios)),
        (&on, Android, false, store, Outcome::NoDestination),
        (
            &on,
            Ios,
            false,
            "https://apps.apple.com.evil.example/",
            go("https://apps.apple.com.evil.example/", Step::Ios),
        ),
        (
            &on,
            Ios,
            false,
            "https://example.com/apps.apple.com",
            go("https://example.com/apps.apple.com", Step::Ios),
        ),
        (&on, Ios, false, "", page("https://itunes.apple.com/app/id2", Step::HouseIos)),
        (&on, Ios, true, "", go("https://itunes.apple.com/app/id2", Step::HouseIos)),
        (&off, Ios, false, store, go(store, Step::Ios)),
    ] {
        let link =
            Target { house: house(false, settings.clone()), destination_url: "".into(), ..link(ios, "", "") };
        let outcome = choose(&link, &visitor(platform, in_app), from_micros(NOW));
        assert_eq!(outcome, expected, "{} {platform:?} {in_app} {ios}", settings.pasteboard_page);
    }
    // Whatever line named it, and not before a warning was read or by a program.
    let on = || house(false, on.clone());
    let ruled = Target { rules: everybody(store), house: on(), ..link("", "", "") };
    fn outcome(link: &Target, platform: Platform) -> Outcome<'_> {
        choose(link, &visitor(platform, false), from_micros(NOW))
    }
    assert_eq!(outcome(&ruled, Ios), page(store, Step::Rule(0)));
    assert_eq!(outcome(&ruled, Web), go(store, Step::Rule(0)));
    assert_eq!(choose(&ruled, &by_scraper(visitor(Ios, false)), from_micros(NOW)), go(store, Step::Rule(0)));
    let warned = extras(|extras| extras.warn_time = Some(from_micros(PAST)));
    let warned = Target { extras: warned.boxed(), ..ruled.clone() };
    assert_eq!(outcome(&warned, Ios), Outcome::Warn { onward: Some((store, Step::Rule(0))) });
    let limited = Target { max_clicks: 3, ..ruled };
    assert!(outcome(&limited, Ios).uses_one_up(&limited));
}

#[test]
fn steps_keep_their_numbers() {
    let steps = [
        (Step::Ios, 1),
        (Step::Android, 2),
        (Step::Web, 3),
        (Step::Destination, 4),
        (Step::AppLink, 5),
        (Step::Scheme, 6),
        (Step::HouseIos, 7),
        (Step::HouseAndroid, 8),
        (Step::HouseWeb, 9),
        (Step::Launchpad, 10),
        (Step::Preview, 11),
        (Step::Rule(0), 100),
        (Step::Rule(49), 149),
        (Step::Variant(0, 0), 1000),
        (Step::Variant(49, 19), 1999),
    ];
    for (step, number) in steps {
        assert_eq!(step.number(), number, "{step:?}");
    }
}
