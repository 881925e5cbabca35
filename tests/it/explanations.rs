//! Why an install is credited as it is: what `ExplainAttribution` says is what was decided, and a second opinion agrees.

#[path = "../../src/attribution/reference.rs"]
mod reference;

use linkforty::{
    ids::Ids,
    pb::{
        sdk::v1::{
            AttributionState, ForgetInstallRequest, Identity, MatchMethod, NoMatchReason,
            ReportInstallRequest, SetConsentRequest, StoreReferrer,
        },
        v1::{
            AttributionCandidate, ComparedDevice, DeviceSystem, ExplainAttributionRequest,
            ExplainAttributionResponse, GetInstallRequest, Install, Link, ListInstallsRequest, LossReason,
            attribution_service_client::AttributionServiceClient,
        },
    },
};
use serde_json::{Value, json};
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};

use crate::support::{
    App, Bearer, HERE, IPHONE, PIXEL, Tenant, behind_a_proxy, coded, first_open, iphone, link, pixel, report,
};

type People = AttributionServiceClient<InterceptedService<Channel, Bearer>>;

async fn on_every_store(test: impl AsyncFn(&App, &Tenant, &mut People)) {
    behind_a_proxy(async |app, tenant| {
        let mut people =
            AttributionServiceClient::with_interceptor(app.channel().await, Bearer(tenant.key.clone()));
        test(app, tenant, &mut people).await;
    })
    .await;
}

async fn explain(people: &mut People, install: &str) -> Result<ExplainAttributionResponse, Status> {
    let request = ExplainAttributionRequest { install_id: install.to_owned(), ..Default::default() };
    people.explain_attribution(request).await.map(tonic::Response::into_inner)
}

/// Puts what was said into the form that the second opinion reads.
fn facts(said: &ExplainAttributionResponse) -> (Value, Vec<Value>, Value) {
    let time = |time: Option<prost_types::Timestamp>| {
        let time = time.expect("a time");
        let nanos = u32::try_from(time.nanos).expect("nanoseconds");
        chrono::DateTime::from_timestamp(time.seconds, nanos).expect("a time").to_rfc3339()
    };
    let device = |of: &Option<ComparedDevice>| {
        let of = of.as_ref().expect("a device");
        let text = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
        let system = match of.system() {
            DeviceSystem::Unspecified => Value::Null,
            DeviceSystem::Ios => "Ios".into(),
            DeviceSystem::Android => "Android".into(),
            DeviceSystem::Other => "Other".into(),
        };
        let screen = (of.screen_width, of.screen_height);
        json!({
            "network": of.network.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "address": of.address, "system": system, "version": of.system_version,
            "browser": text(&of.browser), "time_zone": text(&of.time_zone), "language": text(&of.language),
            "screen": if screen == (0, 0) { Value::Null } else { json!([screen.0, screen.1]) },
        })
    };
    let evidence = |method: MatchMethod| match method {
        MatchMethod::StoreReferrer => "StoreReferrer",
        MatchMethod::Pasteboard => "Pasteboard",
        MatchMethod::AppClip => "AppClip",
        MatchMethod::Identity => "Identity",
        MatchMethod::LinkOpen => "LinkOpen",
        MatchMethod::Probabilistic => "Likeness",
        MatchMethod::ViewIdentity => "ViewIdentity",
        MatchMethod::ViewProbabilistic => "ViewLikeness",
        MatchMethod::Unspecified => panic!("every candidate has evidence"),
    };
    let rules = said.rules.as_ref().expect("rules");
    let install = said.install.as_ref().expect("an install");
    let candidates = said.candidates.iter().map(|one| {
        json!({
            "click": one.click_id, "link": one.link_id, "time": time(one.click_time),
            "evidence": evidence(one.method()), "visitor": one.visitor, "human": one.human, "claimed": one.claimed,
            "other_app": one.other_app, "window_seconds": one.window.map_or(0, |window| window.seconds),
            "device": device(&one.device),
        })
    });
    (
        json!({ "time": time(install.install_time), "device": device(&said.device) }),
        candidates.collect(),
        json!({
            "version": rules.version, "likeness": rules.probabilistic, "threshold": rules.probabilistic_threshold,
            "likeness_window_seconds": rules.probabilistic_window.map_or(0, |window| window.seconds),
            "same_address": rules.same_address, "crowd": rules.crowd,
            "view_window_seconds": rules.view_window.map_or(0, |window| window.seconds),
        }),
    )
}

/// Makes sure that the second opinion names the same winner and the same reason for every loser.
fn agrees(said: &ExplainAttributionResponse) {
    assert!(said.agrees, "{said:?}");
    let (install, candidates, rules) = facts(said);
    let opinion = reference::opinion(&install, &candidates, &rules);
    assert_eq!(opinion.winner, said.candidates.iter().position(|one| one.won), "{said:?}");
    let fate = |one: &AttributionCandidate| match (one.won, one.loss()) {
        (true, LossReason::Unspecified) => "Won".to_owned(),
        (false, LossReason::ProbabilisticOff) => "LikenessOff".to_owned(),
        (_, loss) => {
            let words = loss.as_str_name().trim_start_matches("LOSS_REASON_").to_lowercase();
            words.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
        }
    };
    assert_eq!(opinion.fates, said.candidates.iter().map(fate).collect::<Vec<_>>(), "{said:?}");
    for (score, one) in opinion.scores.iter().zip(&said.candidates) {
        assert_eq!(i64::try_from(*score).ok(), Some(i64::from(one.score)), "{one:?}");
    }
}

#[tokio::test]
async fn a_second_opinion_agrees_with_every_decision_of_a_busy_evening() {
    on_every_store(async |app, tenant, people| {
        let ids = Ids::seeded(11);
        for code in ["one", "two", "three"] {
            tenant.create(coded(code)).await;
        }
        let elsewhere = "https://play.google.com/store/apps/details?id=com.example.other";
        tenant
            .create(Link { android_url: elsewhere.to_owned(), ..link("four", "https://example.com/") })
            .await;
        let token = tenant.app_token().await;
        let addresses = ["203.0.113.7", "203.0.113.8", "198.51.100.9", "2001:db8:1:2::1"];
        let agents = [
            IPHONE,
            PIXEL,
            "curl/8.0",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        ];
        let mut outcomes = std::collections::BTreeMap::<String, usize>::new();
        let one_of = |most: usize| ids.below(u32::try_from(most).expect("few")) as usize;
        for round in 0..60 {
            let mut last = String::new();
            for _ in 0..one_of(4) {
                let path = format!("/{}", ["one", "two", "three", "four"][one_of(4)]);
                let tapped = app.tap_with(&path, addresses[one_of(4)], agents[one_of(4)]).await;
                last = tapped
                    .headers
                    .get("x-click-id")
                    .map(|id| id.to_str().expect("text").to_owned())
                    .unwrap_or_default();
                app.clock.advance(chrono::Duration::seconds(i64::from(ids.below(600))));
            }
            app.settled().await;
            app.clock.advance(chrono::Duration::minutes(i64::from(ids.below(90))));
            let sdk = app.sdk(&token, addresses[one_of(4)]).await;
            let device = if one_of(2) == 0 { iphone() } else { pixel() };
            let referrer = if one_of(4) == 0 { format!("lf_click={last}") } else { String::new() };
            let request = ReportInstallRequest {
                store_referrer: Some(StoreReferrer { referrer, ..StoreReferrer::default() }),
                ..first_open(&format!("phone-{round:04}"), device)
            };
            let answer = report(&sdk, request).await;
            let said = explain(people, &answer.install_id).await.expect("explains");
            agrees(&said);
            let install = said.install.as_ref().expect("an install");
            assert_eq!(
                (install.state, install.method, install.no_match),
                (answer.state, answer.method, answer.no_match)
            );
            for one in &said.candidates {
                *outcomes
                    .entry(if one.won { "won".to_owned() } else { format!("{:?}", one.loss()) })
                    .or_default() += 1;
            }
        }
        for seen in ["won", "Claimed", "OtherSystem", "WindowPassed"] {
            assert!(outcomes.get(seen).is_some_and(|count| *count >= 3), "{seen}: {outcomes:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn installs_are_listed_and_strangers_see_none() {
    on_every_store(async |app, tenant, people| {
        let link = tenant.create(coded("spring")).await;
        let token = tenant.app_token().await;
        let sdk = app.sdk(&token, HERE).await;
        let mut expected = Vec::new();
        for number in 0..7 {
            if number % 2 == 0 {
                app.tap("/spring", HERE).await;
                app.settled().await;
            }
            app.clock.advance(chrono::Duration::hours(3));
            let answer = report(&sdk, first_open(&format!("phone-{number:04}"), iphone())).await;
            expected.insert(0, answer.install_id);
        }
        let test = ReportInstallRequest { test: true, ..first_open("phone-test", iphone()) };
        let test = report(&sdk, test).await.install_id;
        let mut listed = Vec::new();
        let mut request = ListInstallsRequest { page_size: 3, ..Default::default() };
        loop {
            let page = people.list_installs(request.clone()).await.expect("a page").into_inner();
            assert!(page.installs.len() <= 3);
            listed.extend(page.installs);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert_eq!(listed.iter().map(|install| install.id.clone()).collect::<Vec<_>>(), expected);
        let mut of = async |request: ListInstallsRequest| -> Vec<Install> {
            people.list_installs(request).await.expect("a page").into_inner().installs
        };
        let all = of(ListInstallsRequest { include_test: true, ..Default::default() }).await;
        assert!(all.len() == 8 && all.iter().any(|install| install.id == test && install.test));
        let organic = AttributionState::Organic.into();
        assert_eq!(of(ListInstallsRequest { state: organic, ..Default::default() }).await.len(), 7);
        assert!(of(ListInstallsRequest { link_id: link.id.clone(), ..Default::default() }).await.is_empty());
        let known = |id: &str| GetInstallRequest { install_id: id.to_owned(), ..Default::default() };
        let got = people.get_install(known(&expected[0])).await.expect("is there").into_inner().install;
        assert_eq!(got.expect("always there"), listed[0]);
        let other = app.another_tenant().await;
        let mut strangers =
            AttributionServiceClient::with_interceptor(app.channel().await, Bearer(other.key.clone()));
        let none =
            strangers.list_installs(ListInstallsRequest::default()).await.expect("a page").into_inner();
        assert!(none.installs.is_empty());
        let foreign = strangers.get_install(known(&expected[0])).await.expect_err("is unknown");
        let unknown = strangers.get_install(known(&other.id)).await.expect_err("is unknown");
        assert_eq!((foreign.code(), foreign.message()), (Code::NotFound, unknown.message()));
        assert_eq!(
            explain(&mut strangers, &expected[0]).await.expect_err("is unknown").code(),
            Code::NotFound
        );
        let request = ListInstallsRequest { link_id: link.id, ..Default::default() };
        assert_eq!(strangers.list_installs(request).await.expect_err("is unknown").code(), Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn what_a_user_takes_back_is_undone_and_what_they_have_forgotten_is_gone() {
    on_every_store(async |app, tenant, people| {
        let link = tenant.create(coded("spring")).await;
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        app.tap("/spring", HERE).await;
        app.settled().await;
        app.clock.advance(chrono::Duration::minutes(5));
        let identity = Some(Identity { device_id: "idfv-1".to_owned(), ..Identity::default() });
        let device =
            |id: &str| ReportInstallRequest { identity: identity.clone(), ..first_open(id, iphone()) };
        let install = report(&sdk, device("phone-0001")).await;
        assert_eq!(install.method(), MatchMethod::Probabilistic);
        assert_eq!(report(&sdk, device("phone-0009")).await, install, "the same device, installed again");
        let consent = SetConsentRequest { install_id: install.install_id.clone(), ..Default::default() };
        for _ in 0..2 {
            sdk.clone().set_consent(consent.clone()).await.expect("is noted");
            let said = explain(people, &install.install_id).await.expect("explains");
            agrees(&said);
            let now = said.install.expect("an install");
            assert_eq!((now.no_match(), now.link_id.as_str()), (NoMatchReason::ProbabilisticOff, ""));
            assert_eq!(now.reinstall_count, 1);
        }
        // The click is free for somebody who allows it.
        let other = report(&sdk, first_open("phone-0002", iphone())).await;
        assert_eq!(other.deep_link.map(|told| told.link_id), Some(link.id));
        let forget = ForgetInstallRequest { install_id: other.install_id.clone() };
        for _ in 0..2 {
            sdk.clone().forget_install(forget.clone()).await.expect("is forgotten");
        }
        let said = explain(people, &other.install_id).await.expect("is there");
        let left = said.install.expect("an install");
        assert!(
            left.forgotten && left.model.is_empty() && left.click_id.is_empty() && !left.link_id.is_empty()
        );
        assert!(said.candidates.is_empty() && said.device.is_none());
        let again = report(&sdk, first_open("phone-0002", iphone())).await;
        assert_ne!(again.install_id, other.install_id);
    })
    .await;
}
