//! Which link brought the user: `SdkService.ReportInstall`, from the tap to the answer.

use http::header::LOCATION;
use linkforty::pb::{
    sdk::v1::{
        AttributionState, Identity, MatchMethod, NoMatchReason, ReportInstallRequest, ReportInstallResponse,
        ResolveLinkRequest, StoreReferrer,
    },
    v1::{self, AppAttribution, Link},
};
use tonic::Code;
use url::Url;

use crate::support::{
    App, ELSEWHERE, HERE, PIXEL, a_link, an_app, behind_a_proxy, coded, first_open, iphone, pixel, report,
    request_id, try_report,
};

/// Another browser on a phone of the same kind.
const CHROME_ON_IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/125.0.6422.80 Mobile/15E148 Safari/604.1";

pub fn is_organic(answer: &ReportInstallResponse, why: NoMatchReason) {
    assert_eq!((answer.state(), answer.no_match()), (AttributionState::Organic, why), "{answer:?}");
    assert_eq!(answer.deep_link, None);
}

pub fn is_of(answer: &ReportInstallResponse, link: &Link, method: MatchMethod) {
    assert_eq!((answer.state(), answer.method()), (AttributionState::Attributed, method), "{answer:?}");
    let deep_link = answer.deep_link.as_ref().expect("it leads somewhere");
    assert_eq!(deep_link.link_id, link.id);
    assert!(deep_link.deferred);
}

/// Moves the clock on: nobody installs an app in no time.
fn a_while_later(app: &App) {
    app.clock.advance(chrono::Duration::minutes(2));
}

#[tokio::test]
async fn a_tap_in_safari_and_an_install_from_the_same_address_belong_together() {
    behind_a_proxy(async |app, tenant| {
        let link = tenant
            .create(Link {
                deep_link_path: "/product/42".to_owned(),
                deep_link_parameters: [("id".to_owned(), "42".to_owned())].into(),
                ..coded("spring")
            })
            .await;
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        let tapped = app.tap("/spring?coupon=x&utm_source=mail", HERE).await;
        assert_eq!(tapped.status, 302);
        app.settled().await;
        a_while_later(app);
        let answer = report(&sdk, first_open("phone-0001", iphone())).await;
        is_of(&answer, &link, MatchMethod::Probabilistic);
        // The network 40, the system 20, its version 10, the language 10.
        assert_eq!(answer.score, 80);
        assert_eq!(answer.matched_factors, ["ip", "platform", "platform_version", "language"]);
        let told = answer.deep_link.clone().expect("it leads somewhere");
        assert_eq!((told.short_code.as_str(), told.path.as_str()), ("spring", "/product/42"));
        assert_eq!(
            told.parameters,
            [("coupon", "x"), ("id", "42")].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
        );
        assert_eq!(
            told.utm.get("source").or_else(|| told.utm.get("utm_source")).map(String::as_str),
            Some("mail")
        );
        assert_eq!(
            Some(told.click_id.as_str()),
            tapped.headers.get("x-click-id").and_then(|id| id.to_str().ok())
        );
        // A repeat is the same to the byte, also much later.
        app.clock.advance(chrono::Duration::days(100));
        assert_eq!(report(&sdk, first_open("phone-0001", iphone())).await, answer);
        // The click has its install.
        app.clock.advance(-chrono::Duration::days(100));
        is_organic(&report(&sdk, first_open("phone-0002", iphone())).await, NoMatchReason::Claimed);
    })
    .await;
}

#[tokio::test]
async fn who_says_why_there_is_no_link() {
    behind_a_proxy(async |app, tenant| {
        tenant.create(coded("spring")).await;
        let token = tenant.app_token().await;
        let (here, elsewhere) = (app.sdk(&token, HERE).await, app.sdk(&token, ELSEWHERE).await);
        is_organic(&report(&here, first_open("phone-0000", iphone())).await, NoMatchReason::NoClick);
        app.tap("/spring", HERE).await;
        app.settled().await;
        a_while_later(app);
        is_organic(&report(&elsewhere, first_open("phone-0001", iphone())).await, NoMatchReason::NoClick);
        is_organic(&report(&here, first_open("phone-0002", pixel())).await, NoMatchReason::NotAlike);
        // Somebody of the same network, then somebody behind the same address.
        let third = app.sdk(&token, "203.0.113.9").await;
        is_organic(&report(&third, first_open("phone-0003", iphone())).await, NoMatchReason::NotAlike);
        app.tap_with("/spring", HERE, CHROME_ON_IPHONE).await;
        app.settled().await;
        a_while_later(app);
        is_organic(&report(&here, first_open("phone-0005", iphone())).await, NoMatchReason::Ambiguous);
        app.clock.advance(chrono::Duration::hours(169));
        is_organic(&report(&here, first_open("phone-0004", iphone())).await, NoMatchReason::WindowPassed);
    })
    .await;
}

#[tokio::test]
async fn likeness_is_a_setting_of_the_platform_then_of_the_workspace() {
    behind_a_proxy(async |app, tenant| {
        let link = tenant.create(coded("spring")).await;
        let off = AppAttribution { probabilistic_ios: Some(false), ..AppAttribution::default() };
        let made = tenant.create_app(v1::App { attribution: Some(off), ..an_app() }).await;
        assert_eq!(made.attribution, Some(off));
        let sdk = app.sdk(&made.app_token, HERE).await;
        app.tap("/spring", HERE).await;
        app.settled().await;
        a_while_later(app);
        is_organic(&report(&sdk, first_open("phone-0001", iphone())).await, NoMatchReason::ProbabilisticOff);
        app.tap_with("/spring", HERE, PIXEL).await;
        app.settled().await;
        a_while_later(app);
        is_of(&report(&sdk, first_open("phone-0002", pixel())).await, &link, MatchMethod::Probabilistic);
    })
    .await;
}

#[tokio::test]
async fn what_the_play_store_hands_over_names_the_click() {
    behind_a_proxy(async |app, tenant| {
        let link = tenant
            .create(Link {
                android_url: "https://play.google.com/store/apps/details?id=com.example.shop".to_owned(),
                ..coded("spring")
            })
            .await;
        let other = app.another_tenant().await;
        let token = tenant.app_token().await;
        let tapped = app.tap_with("/spring", HERE, PIXEL).await;
        let location = tapped.headers.get(LOCATION).and_then(|to| to.to_str().ok()).expect("a store");
        let location = Url::parse(location).expect("a URL");
        let referrer =
            location.query_pairs().find(|(name, _)| name == "referrer").expect("a referrer").1.into_owned();
        // From another network, and before the click is stored.
        let sdk = app.sdk(&token, ELSEWHERE).await;
        a_while_later(app);
        let with = |id: &str, referrer: &str| ReportInstallRequest {
            store_referrer: Some(StoreReferrer { referrer: referrer.to_owned(), ..StoreReferrer::default() }),
            ..first_open(id, pixel())
        };
        let altered = referrer.replacen("lf=", "lf=A", 1);
        is_organic(&report(&sdk, with("phone-0001", &altered)).await, NoMatchReason::NoClick);
        let foreign = app.sdk(&other.app_token().await, HERE).await;
        is_organic(&report(&foreign, with("phone-0001", &referrer)).await, NoMatchReason::NoClick);
        let answer = report(&sdk, with("phone-0002", &referrer)).await;
        is_of(&answer, &link, MatchMethod::StoreReferrer);
        assert_eq!(answer.score, 100);
        is_organic(&report(&sdk, with("phone-0003", &referrer)).await, NoMatchReason::Claimed);
        let organic = "utm_source=google-play&utm_medium=organic";
        is_organic(&report(&sdk, with("phone-0004", organic)).await, NoMatchReason::NoClick);
    })
    .await;
}

#[tokio::test]
async fn of_two_installs_that_race_for_one_click_one_gets_it() {
    behind_a_proxy(async |app, tenant| {
        let link = tenant.create(coded("spring")).await;
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        for round in 0..10 {
            app.tap("/spring", HERE).await;
            app.settled().await;
            a_while_later(app);
            let installs =
                (0..8).map(|phone| report(&sdk, first_open(&format!("phone-{round}-{phone}"), iphone())));
            let answers = futures::future::join_all(installs).await;
            let won = answers.iter().filter(|answer| answer.state() == AttributionState::Attributed);
            assert_eq!(won.count(), 1, "round {round}");
            let mut clicks: Vec<_> = answers.iter().filter_map(|answer| answer.deep_link.as_ref()).collect();
            assert_eq!(clicks.pop().map(|told| told.link_id.as_str()), Some(link.id.as_str()));
        }
    })
    .await;
}

#[tokio::test]
async fn an_install_that_is_reported_at_once_and_again_is_one() {
    behind_a_proxy(async |app, tenant| {
        tenant.create(coded("spring")).await;
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        app.tap("/spring", HERE).await;
        app.settled().await;
        a_while_later(app);
        let repeats = (0..20).map(|_| report(&sdk, first_open("phone-0001", iphone())));
        let answers = futures::future::join_all(repeats).await;
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(answers[0].state(), AttributionState::Attributed);
        // A known device that installs again keeps its install.
        let device = |installation: &str| ReportInstallRequest {
            identity: Some(Identity { device_id: "idfv-1".to_owned(), ..Identity::default() }),
            ..first_open(installation, iphone())
        };
        let first = report(&sdk, device("phone-0002")).await;
        app.clock.advance(chrono::Duration::days(30));
        app.tap("/spring", HERE).await;
        app.settled().await;
        a_while_later(app);
        assert_eq!(report(&sdk, device("phone-0003")).await, first);
    })
    .await;
}

#[tokio::test]
async fn a_click_of_the_same_user_is_found_from_anywhere_if_they_allowed_it() {
    behind_a_proxy(async |app, tenant| {
        let link = tenant.create(a_link()).await;
        let token = tenant.app_token().await;
        let identity =
            |allowed| Some(Identity { user_id: "user-1".to_owned(), allowed, ..Identity::default() });
        // On one device the app is there already.
        let tablet = app.sdk(&token, HERE).await;
        let resolved = tablet
            .clone()
            .resolve_link(ResolveLinkRequest {
                url: link.short_url.clone(),
                device: Some(iphone()),
                identity: identity(true),
            })
            .await
            .expect("resolves")
            .into_inner()
            .deep_link
            .expect("it leads somewhere");
        assert_eq!((resolved.link_id.as_str(), resolved.deferred), (link.id.as_str(), false));
        assert!(!resolved.click_id.is_empty());
        app.settled().await;
        a_while_later(app);
        let phone = app.sdk(&token, ELSEWHERE).await;
        let with = |id: &str, allowed| ReportInstallRequest {
            identity: identity(allowed),
            ..first_open(id, pixel())
        };
        is_organic(&report(&phone, with("phone-0001", false)).await, NoMatchReason::NoClick);
        is_of(&report(&phone, with("phone-0002", true)).await, &link, MatchMethod::Identity);
    })
    .await;
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_report_is_told() {
    behind_a_proxy(async |app, tenant| {
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        let mut request = first_open("short", iphone());
        request.pasteboard = "x".repeat(2049);
        request.attribution_window = Some(prost_types::Duration { seconds: 1, nanos: 0 });
        let device = request.device.as_mut().expect("a device");
        device.platform = 0;
        device.screen_width = -1;
        device.language = "a\nb".to_owned();
        let status = try_report(&sdk, request).await.expect_err("is refused");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            crate::support::wrong(&status),
            [
                "installation_id",
                "device.platform",
                "device.language",
                "device.screen_width",
                "pasteboard",
                "attribution_window"
            ]
        );
        for token in ["", "at_00000000000000000000000000000000", &tenant.key] {
            let stranger = app.sdk(token, HERE).await;
            let status =
                try_report(&stranger, first_open("phone-0001", iphone())).await.expect_err("is refused");
            assert_eq!(status.code(), Code::Unauthenticated, "{token}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_token_leaves_the_old_one_good_for_a_while() {
    behind_a_proxy(async |app, tenant| {
        let made = tenant.create_app(an_app()).await;
        let old = made.app_token.clone();
        let rotate = v1::RotateAppTokenRequest {
            app_id: made.id.clone(),
            overlap: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
            request_id: request_id(),
            ..Default::default()
        };
        let mut apps = tenant.apps.clone();
        let rotated = apps.rotate_app_token(rotate.clone()).await.expect("rotates").into_inner().app;
        let new = rotated.expect("always there").app_token;
        assert_ne!(new, old);
        // A repeat makes no third one, and everybody is shown the new one.
        let again = apps.rotate_app_token(rotate.clone()).await.expect("rotates").into_inner().app;
        assert_eq!(again.expect("always there").app_token, new);
        let shown = apps.get_app(v1::GetAppRequest { app_id: made.id.clone(), ..Default::default() }).await;
        assert_eq!(shown.expect("is there").into_inner().app.expect("always there").app_token, new);
        let is_good = async |token: &str, phone: &str| {
            let sdk = app.sdk(token, HERE).await;
            try_report(&sdk, first_open(phone, iphone())).await.is_ok()
        };
        assert!(is_good(&old, "phone-0001").await && is_good(&new, "phone-0002").await);
        app.clock.advance(chrono::Duration::seconds(3601));
        assert!(!is_good(&old, "phone-0003").await && is_good(&new, "phone-0004").await);
        let wrong = v1::RotateAppTokenRequest {
            overlap: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
            request_id: request_id(),
            ..rotate
        };
        let status = apps.rotate_app_token(wrong).await.expect_err("is refused");
        assert_eq!(crate::support::wrong(&status), ["overlap"]);
    })
    .await;
}
