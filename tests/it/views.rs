//! Views: ads for links that somebody saw. They count nowhere, and an install is theirs only where no click's it is.

use chrono::Duration;
use http::Method;
use linkforty::{
    attribution,
    entity::{click_identity, view},
    pb::{
        sdk::v1::{
            AttributionState, Identity, MatchMethod, NoMatchReason, ReportInstallRequest,
            ReportInstallResponse,
        },
        v1::{
            self, AppAttribution, ExplainAttributionRequest, LossReason,
            attribution_service_client::AttributionServiceClient,
        },
    },
};
use sea_orm::EntityTrait as _;

use crate::{
    installs::{is_of, is_organic},
    support::{
        App, Bearer, ELSEWHERE, HERE, IPHONE, Tenant, an_app, behind_a_proxy, coded, eventually, first_open,
        iphone, report, wrong,
    },
};

/// Makes an app whose installs may be credited to views, and returns its token.
async fn token(tenant: &Tenant) -> String {
    let hours = |hours: i64| Some(prost_types::Duration { seconds: hours * 3600, nanos: 0 });
    let attribution = AppAttribution { view_window: hours(24), ..AppAttribution::default() };
    tenant.create_app(v1::App { attribution: Some(attribution), ..an_app() }).await.app_token
}

/// Shows an ad, and waits until it is stored.
async fn show(app: &App, path: &str, from: &str) {
    let headers = [("x-forwarded-for", from), ("user-agent", IPHONE), ("accept-language", "de-CH")];
    let shown = app.visit_as(Method::GET, path, &headers).await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.header("content-type"), "image/gif");
    assert_eq!(shown.header("cache-control"), "private, no-store");
    assert!(shown.body.starts_with(b"GIF89a") && shown.headers.get("x-click-id").is_none());
    app.settled().await;
}

fn is_of_view(answer: &ReportInstallResponse, method: MatchMethod) {
    assert_eq!((answer.state(), answer.method()), (AttributionState::Attributed, method), "{answer:?}");
    assert_eq!(answer.deep_link, None, "who only saw an ad did not ask to be taken anywhere");
}

#[tokio::test]
async fn whoever_saw_an_ad_and_installs_is_credited_to_it_where_that_is_wanted() {
    behind_a_proxy(async |app, tenant| {
        let link = tenant.create(coded("spring")).await;
        let (with, without) = (token(tenant).await, tenant.create_app(an_app()).await.app_token);
        show(app, "/i/spring?utm_source=network", HERE).await;
        app.clock.advance(Duration::minutes(2));
        let plain = app.sdk(&without, HERE).await;
        is_organic(&report(&plain, first_open("phone-0001", iphone())).await, NoMatchReason::NoClick);
        let sdk = app.sdk(&with, HERE).await;
        let answer = report(&sdk, first_open("phone-0002", iphone())).await;
        is_of_view(&answer, MatchMethod::ViewProbabilistic);
        assert_eq!(answer.score, 80);
        // It has its install now.
        is_organic(&report(&sdk, first_open("phone-0003", iphone())).await, NoMatchReason::Claimed);
        let mut people =
            AttributionServiceClient::with_interceptor(app.channel().await, Bearer(tenant.key.clone()));
        let request = ExplainAttributionRequest { install_id: answer.install_id, ..Default::default() };
        let said = people.explain_attribution(request).await.expect("explains").into_inner();
        assert!(said.agrees && said.candidates[0].won);
        let install = said.install.expect("always there");
        assert_eq!((install.link_id.as_str(), install.flags), (link.id.as_str(), Vec::new()));
        assert_eq!(said.rules.and_then(|rules| rules.view_window).map(|window| window.seconds), Some(86_400));
    })
    .await;
}

#[tokio::test]
async fn a_click_comes_before_every_view_and_views_count_nowhere() {
    behind_a_proxy(async |app, tenant| {
        let (clicked, seen) = (tenant.create(coded("clicked")).await, tenant.create(coded("seen")).await);
        let sdk = app.sdk(&token(tenant).await, HERE).await;
        app.tap("/clicked", HERE).await;
        app.settled().await;
        app.clock.advance(Duration::minutes(2));
        show(app, "/i/seen", HERE).await;
        app.clock.advance(Duration::minutes(2));
        let answer = report(&sdk, first_open("phone-0001", iphone())).await;
        is_of(&answer, &clicked, MatchMethod::Probabilistic);
        let mut people =
            AttributionServiceClient::with_interceptor(app.channel().await, Bearer(tenant.key.clone()));
        let request = ExplainAttributionRequest { install_id: answer.install_id, ..Default::default() };
        let said = people.explain_attribution(request).await.expect("explains").into_inner();
        let lost: Vec<LossReason> =
            said.candidates.iter().filter(|one| !one.won).map(|one| one.loss()).collect();
        assert_eq!(lost, [LossReason::WeakerEvidence]);
        app.rolled().await;
        let counted = async |id: &str| {
            let request = v1::GetLinkRequest { link_id: id.to_owned(), ..Default::default() };
            let link = tenant.links.clone().get_link(request).await.expect("is there").into_inner().link;
            link.expect("always there").click_count
        };
        assert_eq!((counted(&clicked.id).await, counted(&seen.id).await), (1, 0));
        let bots = app.visit_as(Method::GET, "/i/seen", &[("user-agent", "Googlebot/2.1")]).await;
        assert_eq!(bots.status, 200);
        assert_eq!(app.visit_as(Method::GET, "/i/nobody", &[("user-agent", IPHONE)]).await.status, 404);
        app.settled().await;
        let rows = view::Entity::find().all(&app.env().db.api).await.expect("reads");
        let mut classes: Vec<i16> = rows.iter().map(|row| row.class).collect();
        classes.sort_unstable();
        assert_eq!((classes.len(), classes[0]), (2, 0));
        assert_ne!(classes[1], 0);
        // After two days nothing is left of them.
        app.clock.advance(Duration::hours(49));
        assert_eq!(attribution::forget_views(app.env()).await.expect("sweeps"), 2);
    })
    .await;
}

const AD_ID: &str = "38400000-8cf0-11bd-b23e-10b96e40000d";

#[tokio::test]
async fn a_network_may_name_the_device_where_its_owner_allowed_that() {
    behind_a_proxy(async |app, tenant| {
        let (seen, clicked) = (tenant.create(coded("seen")).await, tenant.create(coded("clicked")).await);
        let sdk = app.sdk(&token(tenant).await, ELSEWHERE).await;
        let phone = |id: &str, ad_id: &str| ReportInstallRequest {
            identity: Some(Identity { device_id: ad_id.to_owned(), allowed: true, ..Identity::default() }),
            ..first_open(id, iphone())
        };
        // From a server of the network; without consent nothing is kept of the device.
        let tell = async |path: String| {
            let headers = [("x-forwarded-for", "192.0.2.1"), ("user-agent", "network/1.0")];
            let told = app.visit_as(Method::GET, &path, &headers).await;
            assert!(told.status == 200 || told.status == 302);
            app.settled().await;
        };
        tell(format!("/i/seen?gaid={AD_ID}&click_id=x")).await;
        tell("/i/seen?gaid=00000000-0000-0000-0000-000000000000&consent=1".to_owned()).await;
        app.clock.advance(Duration::minutes(2));
        is_organic(&report(&sdk, phone("phone-0001", AD_ID)).await, NoMatchReason::NoClick);
        tell(format!("/i/seen?gaid={AD_ID}&consent=1&site_id=9")).await;
        let rows = view::Entity::find().all(&app.env().db.api).await.expect("reads");
        assert!(rows.iter().all(|row| !row.query.contains(AD_ID)));
        assert_eq!(rows.iter().filter(|row| row.identity.is_some()).count(), 1);
        assert!(rows.iter().any(|row| row.query.contains("site_id=9")));
        app.clock.advance(Duration::minutes(2));
        // Another device of the same kind, and then the one that it was.
        is_organic(&report(&sdk, phone("phone-0002", "another-device")).await, NoMatchReason::NoClick);
        let answer = report(&sdk, ReportInstallRequest { test: true, ..phone("phone-0003", AD_ID) }).await;
        is_of_view(&answer, MatchMethod::ViewIdentity);
        let _ = seen;
        // A tap of which a network says the same is stronger.
        let headers = [("x-forwarded-for", "192.0.2.9"), ("user-agent", IPHONE)];
        let path = format!("/clicked?idfa={AD_ID}&consent=true&click_id=y");
        assert_eq!(app.visit_as(Method::GET, &path, &headers).await.status, 302);
        let path = format!("/clicked?idfa={AD_ID}&click_id=z");
        assert_eq!(app.visit_as(Method::GET, &path, &headers).await.status, 302);
        app.settled().await;
        eventually("the click's device is noted", async || {
            let rows = click_identity::Entity::find().all(&app.env().db.api).await.expect("reads");
            rows.len() == 1
        })
        .await;
        app.clock.advance(Duration::minutes(2));
        let answer = report(&sdk, ReportInstallRequest { test: true, ..phone("phone-0004", AD_ID) }).await;
        is_of(&answer, &clicked, MatchMethod::Identity);
        assert_eq!(
            answer.deep_link.expect("it leads somewhere").parameters.get("click_id").map(String::as_str),
            Some("y")
        );
    })
    .await;
}

#[tokio::test]
async fn a_view_holds_for_its_window_and_no_longer() {
    behind_a_proxy(async |app, tenant| {
        tenant.create(coded("seen")).await;
        let sdk = app.sdk(&token(tenant).await, ELSEWHERE).await;
        let path = format!("/i/seen?gaid={AD_ID}&consent=1");
        show(app, &path, HERE).await;
        let phone = |id: &str| ReportInstallRequest {
            identity: Some(Identity { device_id: AD_ID.to_owned(), allowed: true, ..Identity::default() }),
            test: true,
            ..first_open(id, iphone())
        };
        app.clock.advance(Duration::hours(24));
        is_of_view(&report(&sdk, phone("phone-0001")).await, MatchMethod::ViewIdentity);
        app.clock.advance(Duration::seconds(1));
        is_organic(&report(&sdk, phone("phone-0002")).await, NoMatchReason::NoClick);
        for seconds in [60, 3599, 86_401] {
            let window = Some(prost_types::Duration { seconds, nanos: 0 });
            let attribution = AppAttribution { view_window: window, ..AppAttribution::default() };
            let request = v1::CreateAppRequest {
                app: Some(v1::App { attribution: Some(attribution), ..an_app() }),
                ..Default::default()
            };
            let status = tenant.apps.clone().create_app(request).await.expect_err("is refused");
            assert_eq!(wrong(&status), ["app.attribution.view_window"]);
        }
    })
    .await;
}
