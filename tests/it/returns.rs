//! Users who come back: brought back by links, installing again after a long while, and what other clicks had to do with it.

use chrono::Duration;
use linkforty::pb::{
    sdk::v1::{
        Event, Identity, MatchMethod, RecordEventsRequest, ReportInstallRequest, ReportOpenRequest,
        ResolveLinkRequest,
    },
    v1::{
        self, AppAttribution, CountAssistsRequest, ExplainAttributionRequest, GetInstallRequest, Link,
        ListReengagementsRequest, Reengagement, attribution_service_client::AttributionServiceClient,
    },
};
use prost_types::Timestamp;
use tonic::{Code, service::interceptor::InterceptedService, transport::Channel};
use uuid::Uuid;

use crate::{
    installs::is_of,
    support::{
        App, Bearer, ELSEWHERE, HERE, Sdk, Tenant, an_app, behind_a_proxy, coded, first_open, iphone, pixel,
        report, wrong,
    },
};

type People = AttributionServiceClient<InterceptedService<Channel, Bearer>>;

async fn people(app: &App, tenant: &Tenant) -> People {
    AttributionServiceClient::with_interceptor(app.channel().await, Bearer(tenant.key.clone()))
}

fn now(app: &App) -> Option<Timestamp> {
    let now = app.env().now();
    Some(Timestamp { seconds: now.timestamp(), nanos: now.timestamp_subsec_nanos().cast_signed() })
}

/// Has a link open the app of an install.
async fn open(app: &App, sdk: &Sdk, install: &str, code: &str) -> String {
    let request = ReportOpenRequest {
        install_id: install.to_owned(),
        open_id: Uuid::from_u128(u128::from(app.env().ids.below(u32::MAX))).to_string(),
        url: format!("https://go.example.test/{code}"),
        open_time: now(app),
        device: Some(iphone()),
    };
    let first = sdk.clone().report_open(request.clone()).await.expect("opens").into_inner();
    // Apps send again what they are not sure of.
    let again = sdk.clone().report_open(request).await.expect("opens").into_inner();
    assert_eq!(first, again);
    app.settled().await;
    first.deep_link.expect("it leads somewhere").click_id
}

async fn back(people: &mut People, request: ListReengagementsRequest) -> Vec<Reengagement> {
    people.list_reengagements(request).await.expect("lists").into_inner().reengagements
}

#[tokio::test]
async fn a_link_that_opens_an_app_after_a_week_brings_its_user_back() {
    behind_a_proxy(async |app, tenant| {
        let mut people = people(app, tenant).await;
        let (spring, autumn) = (tenant.create(coded("spring")).await, tenant.create(coded("autumn")).await);
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        let install = report(&sdk, first_open("phone-0001", iphone())).await.install_id;
        app.clock.advance(Duration::days(7) - Duration::seconds(1));
        open(app, &sdk, &install, "spring").await;
        // The open itself was a sign of life.
        app.clock.advance(Duration::seconds(2));
        open(app, &sdk, &install, "spring").await;
        assert_eq!(back(&mut people, ListReengagementsRequest::default()).await, []);

        let seen = now(app);
        app.clock.advance(Duration::days(7));
        let click = open(app, &sdk, &install, "spring").await;
        let opened = now(app);
        let found = back(&mut people, ListReengagementsRequest::default()).await;
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].click_id.as_str(), found[0].link_id.as_str()),
            (click.as_str(), spring.id.as_str())
        );
        assert_eq!((found[0].install_id.as_str(), found[0].event_count), (install.as_str(), 0));
        assert_eq!((found[0].open_time, found[0].last_seen_time), (opened, seen));
        let end = found[0].credit_end_time.expect("it ends").seconds;
        assert_eq!(end - opened.expect("a time").seconds, 30 * 86_400);

        // What the user does keeps them there, and counts for the link that brought them.
        app.clock.advance(Duration::days(6));
        let happened = Event {
            event_id: "event-0001".to_owned(),
            name: "purchase".to_owned(),
            event_time: now(app),
            ..Event::default()
        };
        let events = RecordEventsRequest { install_id: install.clone(), events: vec![happened] };
        sdk.clone().record_events(events).await.expect("records");
        app.settled().await;
        app.clock.advance(Duration::days(6));
        open(app, &sdk, &install, "autumn").await;
        let found = back(&mut people, ListReengagementsRequest::default()).await;
        assert_eq!((found.len(), found[0].event_count), (1, 1));
        // Until another one does.
        app.clock.advance(Duration::days(8));
        let later = open(app, &sdk, &install, "autumn").await;
        let found = back(&mut people, ListReengagementsRequest::default()).await;
        let clicks: Vec<&str> = found.iter().map(|one| one.click_id.as_str()).collect();
        assert_eq!(clicks, [later.as_str(), click.as_str()]);
        assert_eq!(found[1].credit_end_time, found[0].open_time);

        let of_link = ListReengagementsRequest { link_id: autumn.id.clone(), ..Default::default() };
        assert_eq!(back(&mut people, of_link).await, found[..1]);
        let first = ListReengagementsRequest { page_size: 1, ..Default::default() };
        let page = people.list_reengagements(first.clone()).await.expect("lists").into_inner();
        assert_eq!(page.reengagements, found[..1]);
        let second = ListReengagementsRequest { page_token: page.next_page_token, ..first };
        assert_eq!(back(&mut people, second).await, found[1..]);
        let unknown = ListReengagementsRequest { link_id: Uuid::nil().to_string(), ..Default::default() };
        assert_eq!(people.list_reengagements(unknown).await.expect_err("is refused").code(), Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn an_app_says_how_long_away_is_and_whether_anybody_asks() {
    behind_a_proxy(async |app, tenant| {
        let mut people = people(app, tenant).await;
        tenant.create(coded("spring")).await;
        let days = |days: i64| Some(prost_types::Duration { seconds: days * 86_400, nanos: 0 });
        let with = |attribution| v1::App { attribution: Some(attribution), ..an_app() };
        let quick = AppAttribution {
            inactivity_window: days(1),
            reengagement_window: days(2),
            ..AppAttribution::default()
        };
        let off = AppAttribution { reengagement_window: days(0), ..AppAttribution::default() };
        let (quick, off) = (tenant.create_app(with(quick)).await, tenant.create_app(with(off)).await);
        for made in [&quick, &off] {
            let sdk = app.sdk(&made.app_token, HERE).await;
            let install = report(&sdk, first_open("phone-0001", iphone())).await.install_id;
            app.clock.advance(Duration::days(1));
            open(app, &sdk, &install, "spring").await;
            app.clock.advance(Duration::days(10));
            open(app, &sdk, &install, "spring").await;
        }
        let found = back(&mut people, ListReengagementsRequest::default()).await;
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|one| one.app_id == quick.id));
        let of_app = ListReengagementsRequest { app_id: off.id.clone(), ..Default::default() };
        assert_eq!(back(&mut people, of_app).await, []);
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        for (attribution, field) in [
            (AppAttribution { inactivity_window: days(366), ..Default::default() }, "inactivity_window"),
            (AppAttribution { reengagement_window: days(91), ..Default::default() }, "reengagement_window"),
            (AppAttribution { reengagement_window: seconds(1), ..Default::default() }, "reengagement_window"),
            (AppAttribution { reattribution_window: days(29), ..Default::default() }, "reattribution_window"),
            (
                AppAttribution { reattribution_window: days(731), ..Default::default() },
                "reattribution_window",
            ),
        ] {
            let request = v1::CreateAppRequest { app: Some(with(attribution)), ..Default::default() };
            let status = tenant.apps.clone().create_app(request).await.expect_err("is refused");
            assert_eq!(wrong(&status), [format!("app.attribution.{field}")]);
        }
    })
    .await;
}

fn on_device(installation: &str) -> ReportInstallRequest {
    ReportInstallRequest {
        identity: Some(Identity { device_id: "idfv-1".to_owned(), ..Identity::default() }),
        ..first_open(installation, iphone())
    }
}

#[tokio::test]
async fn a_device_that_installs_again_after_the_window_is_a_new_install_with_a_link_of_its_own() {
    behind_a_proxy(async |app, tenant| {
        let mut people = people(app, tenant).await;
        let (spring, autumn) = (tenant.create(coded("spring")).await, tenant.create(coded("autumn")).await);
        let window = Some(prost_types::Duration { seconds: 30 * 86_400, nanos: 0 });
        let attribution = AppAttribution { reattribution_window: window, ..AppAttribution::default() };
        let made = tenant.create_app(v1::App { attribution: Some(attribution), ..an_app() }).await;
        let sdk = app.sdk(&made.app_token, HERE).await;
        app.tap("/spring", HERE).await;
        app.settled().await;
        app.clock.advance(Duration::minutes(2));
        let first = report(&sdk, on_device("install-0001")).await;
        is_of(&first, &spring, MatchMethod::Probabilistic);
        // Inside of the window it is the install that it was, and the window begins anew.
        app.clock.advance(Duration::days(30));
        let again = report(&sdk, on_device("install-0002")).await;
        assert_eq!(
            (again.install_id.as_str(), &again.deep_link),
            (first.install_id.as_str(), &first.deep_link)
        );
        app.clock.advance(Duration::days(30) + Duration::seconds(1));
        app.tap("/autumn", HERE).await;
        app.settled().await;
        app.clock.advance(Duration::minutes(2));
        let second = report(&sdk, on_device("install-0003")).await;
        is_of(&second, &autumn, MatchMethod::Probabilistic);
        assert_ne!(second.install_id, first.install_id);
        assert_eq!(report(&sdk, on_device("install-0003")).await, second, "a repeat is the same");
        assert_eq!(report(&sdk, on_device("install-0002")).await.install_id, first.install_id);
        let get = |id: &str| GetInstallRequest { install_id: id.to_owned(), ..Default::default() };
        let shown = people.get_install(get(&second.install_id)).await.expect("is there").into_inner().install;
        assert_eq!(shown.expect("always there").previous_install_id, first.install_id);
        let shown = people.get_install(get(&first.install_id)).await.expect("is there").into_inner().install;
        let shown = shown.expect("always there");
        assert_eq!((shown.previous_install_id.as_str(), shown.reinstall_count), ("", 1));
        // From then on the device is of the new one.
        app.clock.advance(Duration::days(1));
        assert_eq!(report(&sdk, on_device("install-0004")).await.install_id, second.install_id);
    })
    .await;
}

#[tokio::test]
async fn clicks_that_lost_to_a_better_one_assisted() {
    behind_a_proxy(async |app, tenant| {
        let mut people = people(app, tenant).await;
        let links: [Link; 2] = [tenant.create(coded("first")).await, tenant.create(coded("last")).await];
        let token = tenant.app_token().await;
        let sdk = app.sdk(&token, HERE).await;
        for code in ["/first", "/first", "/last"] {
            app.tap(code, HERE).await;
            app.clock.advance(Duration::minutes(2));
        }
        app.settled().await;
        let answer = report(&sdk, first_open("phone-0001", iphone())).await;
        is_of(&answer, &links[1], MatchMethod::Probabilistic);
        let request = ExplainAttributionRequest { install_id: answer.install_id, ..Default::default() };
        let said = people.explain_attribution(request).await.expect("explains").into_inner();
        let assisted: Vec<bool> = said.candidates.iter().map(|one| one.assisted).collect();
        assert_eq!(assisted, [false, true, true]);
        let request = CountAssistsRequest {
            end_time: said.install.and_then(|install| install.receive_time),
            ..Default::default()
        };
        let before = people.count_assists(request).await.expect("counts").into_inner();
        assert_eq!(before.links, []);
        app.clock.advance(Duration::seconds(1));
        let counted =
            people.count_assists(CountAssistsRequest::default()).await.expect("counts").into_inner();
        let told: Vec<(&str, i64, i64)> =
            counted.links.iter().map(|one| (one.link_id.as_str(), one.installs, one.assists)).collect();
        assert_eq!(told, [(links[0].id.as_str(), 0, 1), (links[1].id.as_str(), 1, 0)]);
        assert!(!counted.truncated);
        let unknown = CountAssistsRequest { app_id: Uuid::nil().to_string(), ..Default::default() };
        assert_eq!(people.count_assists(unknown).await.expect_err("is refused").code(), Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_user_who_allowed_it_is_the_same_on_another_device() {
    behind_a_proxy(async |app, tenant| {
        let link = tenant.create(coded("spring")).await;
        let token = tenant.app_token().await;
        let user = |allowed| Some(Identity { user_id: "user-7".to_owned(), allowed, ..Identity::default() });
        let here = app.sdk(&token, HERE).await;
        let resolve = |allowed| ResolveLinkRequest {
            url: "https://go.example.test/spring".to_owned(),
            device: Some(iphone()),
            identity: user(allowed),
        };
        here.clone().resolve_link(resolve(false)).await.expect("resolves");
        app.settled().await;
        app.clock.advance(Duration::minutes(2));
        let elsewhere = app.sdk(&token, ELSEWHERE).await;
        let phone =
            |id: &str, allowed| ReportInstallRequest { identity: user(allowed), ..first_open(id, pixel()) };
        let strangers = report(&elsewhere, phone("phone-0001", true)).await;
        assert_eq!(strangers.deep_link, None, "the click's user had not allowed it");
        here.clone().resolve_link(resolve(true)).await.expect("resolves");
        app.settled().await;
        app.clock.advance(Duration::minutes(2));
        let strangers = report(&elsewhere, phone("phone-0002", false)).await;
        assert_eq!(strangers.deep_link, None, "the install's user has not");
        is_of(&report(&elsewhere, phone("phone-0003", true)).await, &link, MatchMethod::Identity);
    })
    .await;
}
