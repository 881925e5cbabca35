//! What ad networks say of installs: a network's word beside the decision, and never in its place.

use chrono::Duration;
use linkforty::{
    attribution,
    entity::{install, network_claim},
    pb::{
        sdk::v1::{
            ForgetInstallRequest, MatchMethod, MetaReferrer, NoMatchReason, ReportInstallRequest, Store,
            StoreReferrer,
        },
        v1::{
            AdNetwork, App as MobileApp, ClaimEvidence, ClaimState, ExplainAttributionRequest, GetAppRequest,
            GetInstallRequest, Install, Link, ListInstallsRequest, NetworkClaim, ReferrerKind,
            SetMetaReferrerKeyRequest, attribution_service_client::AttributionServiceClient,
        },
    },
};
use prost_types::Timestamp;
use sea_orm::EntityTrait as _;
use tonic::{Code, service::interceptor::InterceptedService, transport::Channel};
use url::Url;

use crate::{
    installs::{is_of, is_organic},
    support::{
        App, Bearer, ELSEWHERE, HERE, Mood, PIXEL, Receiver, Tenant, an_app, behind_a_proxy, coded,
        eventually, first_open, guest_of, iphone, pixel, report, request_id, stores, try_report, wrong,
    },
};

type People = AttributionServiceClient<InterceptedService<Channel, Bearer>>;

async fn people(app: &App, tenant: &Tenant) -> People {
    AttributionServiceClient::with_interceptor(app.channel().await, Bearer(tenant.key.clone()))
}

async fn shown(people: &mut People, install: &str) -> Install {
    let request = GetInstallRequest { install_id: install.to_owned(), ..Default::default() };
    people.get_install(request).await.expect("is there").into_inner().install.expect("always there")
}

/// Returns the one claim of an install.
async fn claimed(people: &mut People, install: &str) -> NetworkClaim {
    let mut claims = shown(people, install).await.network_claims;
    assert_eq!(claims.len(), 1, "{claims:?}");
    claims.remove(0)
}

fn by_store(id: &str, referrer: &str) -> ReportInstallRequest {
    ReportInstallRequest {
        store_referrer: Some(StoreReferrer { referrer: referrer.to_owned(), ..StoreReferrer::default() }),
        ..first_open(id, pixel())
    }
}

#[tokio::test]
async fn what_a_store_hands_over_of_a_network_is_the_networks_word() {
    behind_a_proxy(async |app, tenant| {
        let mut people = people(app, tenant).await;
        let sdk = app.sdk(&tenant.app_token().await, ELSEWHERE).await;
        let organic = report(&sdk, by_store("phone-0001", "utm_source=google-play&utm_medium=organic")).await;
        is_organic(&organic, NoMatchReason::NoClick);
        let organic = shown(&mut people, &organic.install_id).await;
        assert_eq!(organic.store_referral.expect("is kept").kind(), ReferrerKind::Organic);
        assert_eq!(organic.network_claims, []);

        let encoded = "gclid%3DCj0KCQjw%26utm_source%3Dgoogle%26utm_campaign%3Dspring";
        let ad = ReportInstallRequest {
            store_referrer: Some(StoreReferrer {
                referrer: encoded.to_owned(),
                click_server_time: Some(Timestamp { seconds: 1_795_348_000, nanos: 0 }),
                install_begin_time: Some(Timestamp { seconds: 1_795_348_030, nanos: 0 }),
                store: Store::SamsungGalaxy.into(),
                install_version: "3.1".to_owned(),
                google_play_instant: true,
                ..StoreReferrer::default()
            }),
            ..first_open("phone-0002", pixel())
        };
        let answer = report(&sdk, ad.clone()).await;
        is_organic(&answer, NoMatchReason::NoClick);
        assert_eq!(report(&sdk, ad).await, answer, "a repeat is the same");
        let install = shown(&mut people, &answer.install_id).await;
        let referral = install.store_referral.as_ref().expect("is kept");
        assert_eq!((referral.kind(), referral.store()), (ReferrerKind::AdClick, Store::SamsungGalaxy));
        assert_eq!(referral.click_server_time.map(|time| time.seconds), Some(1_795_348_000));
        assert_eq!(referral.install_begin_time.map(|time| time.seconds), Some(1_795_348_030));
        assert_eq!((referral.click_time, referral.install_version.as_str()), (None, "3.1"));
        assert!(referral.google_play_instant);
        let claim = claimed(&mut people, &answer.install_id).await;
        assert_eq!((claim.network(), claim.state()), (AdNetwork::GoogleAds, ClaimState::Claimed));
        assert_eq!((claim.click_id.as_str(), claim.click_id_kind.as_str()), ("Cj0KCQjw", "gclid"));
        assert_eq!((claim.source.as_str(), claim.campaign.as_str()), ("google", "spring"));

        let letter = report(&sdk, by_store("phone-0003", "utm_source=newsletter&utm_campaign=may")).await;
        let claim = claimed(&mut people, &letter.install_id).await;
        assert_eq!(
            (claim.network(), claim.evidence()),
            (AdNetwork::Other, ClaimEvidence::CampaignParameters)
        );

        // Everybody who shows installs shows it: the list and the explanation too.
        let request = ListInstallsRequest::default();
        let listed = people.list_installs(request).await.expect("lists").into_inner().installs;
        let counts: Vec<usize> = listed.iter().map(|install| install.network_claims.len()).collect();
        assert_eq!(counts.iter().sum::<usize>(), 2);
        assert_eq!(listed.iter().find(|one| one.id == install.id), Some(&install));
        let request = ExplainAttributionRequest { install_id: install.id.clone(), ..Default::default() };
        let explained = people.explain_attribution(request).await.expect("explains").into_inner();
        assert_eq!(explained.install, Some(install));
        assert!(explained.agrees);
    })
    .await;
}

#[tokio::test]
async fn a_token_of_ours_is_evidence_and_the_networks_click_id_beside_it_is_not() {
    behind_a_proxy(async |app, tenant| {
        let link = tenant
            .create(Link {
                android_url: "https://play.google.com/store/apps/details?id=com.example.shop".to_owned(),
                ..coded("spring")
            })
            .await;
        let tapped = app.tap_with("/spring", HERE, PIXEL).await;
        let location = tapped.headers.get("location").and_then(|to| to.to_str().ok()).expect("a store");
        let location = Url::parse(location).expect("a URL");
        let referrer = location.query_pairs().find(|(name, _)| name == "referrer").expect("a referrer").1;
        app.clock.advance(Duration::minutes(2));
        let sdk = app.sdk(&tenant.app_token().await, ELSEWHERE).await;
        let both = format!("{referrer}&gclid=Cj0K&utm_source=google");
        let twice: String = url::form_urlencoded::byte_serialize(both.as_bytes()).collect();
        let answer = report(&sdk, by_store("phone-0001", &twice)).await;
        is_of(&answer, &link, MatchMethod::StoreReferrer);
        let mut people = people(app, tenant).await;
        let install = shown(&mut people, &answer.install_id).await;
        assert_eq!(install.store_referral.expect("is kept").kind(), ReferrerKind::Link);
        assert_eq!(install.network_claims[0].click_id, "Cj0K");
        // Parameters alone are the link's own then.
        app.tap_with("/spring", HERE, PIXEL).await;
        app.clock.advance(Duration::minutes(2));
        let own = report(&sdk, by_store("phone-0002", &format!("{referrer}&utm_source=mail"))).await;
        assert_eq!(shown(&mut people, &own.install_id).await.network_claims, []);
    })
    .await;
}

#[tokio::test]
async fn a_networks_click_id_is_kept_for_180_days_and_stands_nowhere_else() {
    behind_a_proxy(async |app, tenant| {
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        let id = report(&sdk, by_store("phone-0001", "gclid=Cj0KSecret&utm_source=google")).await.install_id;
        let rows = install::Entity::find().all(&app.env().db.api).await.expect("reads");
        let holds = |bytes: &[u8]| bytes.windows(10).any(|part| part == b"Cj0KSecret");
        assert!(rows.iter().all(|row| !holds(&row.report) && !holds(row.facts.as_bytes())));
        app.clock.advance(Duration::days(180));
        assert_eq!(attribution::forget_click_ids(app.env()).await.expect("sweeps"), 0);
        let kept = async || {
            let rows = network_claim::Entity::find().all(&app.env().db.api).await.expect("reads");
            rows.into_iter().map(|row| row.click_id).collect::<Vec<_>>()
        };
        assert_eq!(kept().await, [Some("Cj0KSecret".to_owned())]);
        app.clock.advance(Duration::seconds(1));
        assert_eq!(attribution::forget_click_ids(app.env()).await.expect("sweeps"), 1);
        assert_eq!(kept().await, [None]);
        let forget = ForgetInstallRequest { install_id: id.clone() };
        sdk.clone().forget_install(forget).await.expect("forgets");
        assert_eq!(kept().await, Vec::<Option<String>>::new());
    })
    .await;
}

/// The key and the text that Meta's documentation shows.
const META_KEY: &str = "2575590594a9cd809e5bfacf397f8c1ac730dbc38a3e137ecd1ab66591c8c3c9";
const META_TEXT: &str = concat!(
    r#"{"app":1,"t":1,"source":{"nonce":"b7203c6a6fb633d16e9cf5c1","data":""#,
    "afe56cf6228c6ea8c79da49186e718e92a579824596ae1d0d4d20d7793dca797bd4034ccf467bfae5c79a3981e7a2968",
    "c41949237e2b2db678c1c3d39c9ae564c5cafd52f2b77a3dc77bf1bae063114d0283b97417487207735da31ddc1531d5",
    "645a9c3e602c195a0ebf69c272aa5fda3a2d781cb47e117310164715a54c7a5a032740584e2789a7b4e596034c164251",
    "39a77e507c492b629c848573c714a03a2e7d25b9459b95842332b460f3682d19c35dbc7d53e3a51e0497ff6a6cbb367e",
    "760debc4194ae097498108df7b95eac2fa9bac4320077b510be3b7b823248bfe02ae501d9fe4ba179c7de6733c92bf89",
    "d523df9e31238ef497b9db719484cbab7531dbf6c5ea5a8087f95d59f5e4f89050e0f1dc03e464168ad76a64cca64b79",
    r#""}}"#,
);

async fn set_key(tenant: &Tenant, app: &MobileApp, key: &str) -> MobileApp {
    let request = SetMetaReferrerKeyRequest {
        app_id: app.id.clone(),
        key: key.to_owned(),
        request_id: request_id(),
        ..Default::default()
    };
    let set = tenant.apps.clone().set_meta_referrer_key(request).await.expect("sets").into_inner();
    set.app.expect("always there")
}

#[tokio::test]
async fn what_meta_encrypted_is_decrypted_with_the_apps_key_and_never_passes_for_organic() {
    behind_a_proxy(async |app, tenant| {
        let mut people = people(app, tenant).await;
        let made = tenant.create_app(an_app()).await;
        assert!(!made.has_meta_referrer_key);
        let sdk = app.sdk(&made.app_token, HERE).await;
        let with = |id: &str| ReportInstallRequest {
            meta_referrer: Some(MetaReferrer {
                install_referrer: META_TEXT.to_owned(),
                click_through: false,
                actual_time: Some(Timestamp { seconds: 1_795_340_000, nanos: 0 }),
            }),
            ..first_open(id, pixel())
        };
        let state = async |people: &mut People, id: &str| {
            let answer = report(&sdk, with(id)).await;
            is_organic(&answer, NoMatchReason::NoClick);
            let claim = claimed(people, &answer.install_id).await;
            assert_eq!((claim.network(), claim.evidence()), (AdNetwork::Meta, ClaimEvidence::MetaReferrer));
            assert!(claim.view_through);
            assert_eq!(claim.interaction_time.map(|time| time.seconds), Some(1_795_340_000));
            (claim.state(), claim)
        };
        assert_eq!(state(&mut people, "phone-0001").await.0, ClaimState::NoKey);
        let other = META_KEY.replace('2', "3");
        assert!(set_key(tenant, &made, &other).await.has_meta_referrer_key);
        let (undecryptable, claim) = state(&mut people, "phone-0002").await;
        assert_eq!((undecryptable, claim.campaign.as_str()), (ClaimState::Undecryptable, ""));
        let set = set_key(tenant, &made, META_KEY).await;
        assert_eq!(set.etag, made.etag);
        let (claimed, claim) = state(&mut people, "phone-0003").await;
        assert_eq!(
            (claimed, claim.campaign.as_str(), claim.account.as_str()),
            (ClaimState::Claimed, "654321", "444444")
        );
        assert_eq!((claim.ad_group.as_str(), claim.creative.as_str()), ("987654", "12345"));

        // It is nowhere to be seen, and a change of the app leaves it.
        let rows = linkforty::entity::app::Entity::find().all(&app.env().db.api).await.expect("reads");
        let sealed = rows.iter().find_map(|row| row.meta_key.clone()).expect("is kept");
        let key: Vec<u8> =
            (0..32).filter_map(|at| u8::from_str_radix(&META_KEY[2 * at..2 * at + 2], 16).ok()).collect();
        assert!(!sealed.windows(8).any(|part| part == &key[..8]));
        let update = linkforty::pb::v1::UpdateAppRequest {
            app: Some(MobileApp { name: "Other".to_owned(), ..set.clone() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["name".to_owned()] }),
            ..Default::default()
        };
        tenant.apps.clone().update_app(update).await.expect("updates");
        let get = GetAppRequest { app_id: made.id.clone(), ..Default::default() };
        let got = tenant.apps.clone().get_app(get).await.expect("is there").into_inner().app;
        assert!(got.expect("always there").has_meta_referrer_key);
        assert!(!set_key(tenant, &made, "").await.has_meta_referrer_key);
        assert_eq!(state(&mut people, "phone-0004").await.0, ClaimState::NoKey);
        let bad = SetMetaReferrerKeyRequest {
            app_id: made.id.clone(),
            key: "abc".to_owned(),
            ..Default::default()
        };
        let status = tenant.apps.clone().set_meta_referrer_key(bad).await.expect_err("is refused");
        assert_eq!((status.code(), wrong(&status)), (Code::InvalidArgument, vec!["key".to_owned()]));
    })
    .await;
}

const AD: &[u8] =
    br#"{"attribution":true,"orgId":40669820,"campaignId":542370539,"conversionType":"Download",
    "claimType":"Click","adGroupId":542317095,"countryOrRegion":"US","keywordId":87675432,"adId":542317136}"#;

fn says(status: u16, body: &[u8]) -> Mood {
    Mood::Says(status, String::new(), body.to_vec())
}

fn with_token(id: &str, token: &str) -> ReportInstallRequest {
    ReportInstallRequest { adservices_token: token.to_owned(), ..first_open(id, iphone()) }
}

/// Runs a test on every store, with somebody in Apple's place.
async fn with_apple(test: impl AsyncFn(App, &Receiver)) {
    for store in stores() {
        eprintln!("on {store}");
        let apple = Receiver::open().await;
        let url = apple.url("/api/v1/");
        let app = guest_of(&[&apple], store, &[("APPLE_ADSERVICES_URL", &url)]).await;
        test(app, &apple).await;
    }
}

/// Waits until Apple has answered for an install.
async fn settled(people: &mut People, install: &str, expected: ClaimState) -> NetworkClaim {
    eventually("Apple has answered", async || {
        claimed(&mut people.clone(), install).await.state() != ClaimState::Pending
    })
    .await;
    let claim = claimed(people, install).await;
    assert_eq!(claim.state(), expected, "{claim:?}");
    claim
}

#[tokio::test]
async fn apple_is_asked_what_a_token_stands_for_until_it_knows() {
    with_apple(async |app, apple| {
        let tenant = app.tenant().await;
        let mut people = people(&app, &tenant).await;
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        apple.is(says(200, AD));
        apple.once(says(404, b""));
        apple.once(says(404, b""));
        apple.once(says(500, b""));
        let answer = report(&sdk, with_token("phone-0001", "dG9rZW4tb25l")).await;
        is_organic(&answer, NoMatchReason::NoClick);
        let claim = claimed(&mut people, &answer.install_id).await;
        assert_eq!((claim.network(), claim.state()), (AdNetwork::AppleAds, ClaimState::Pending));
        apple.hears(1).await;
        for (asked, pause) in [(1, 5), (2, 5), (3, 600)] {
            // Not before its time, and then at once.
            attempted(&app, asked).await;
            app.clock.advance(Duration::seconds(pause));
            apple.hears(usize::try_from(asked).expect("a few") + 1).await;
        }
        let claim = settled(&mut people, &answer.install_id, ClaimState::Claimed).await;
        let ids = [&claim.account, &claim.campaign, &claim.ad_group, &claim.creative, &claim.keyword];
        assert_eq!(ids, ["40669820", "542370539", "542317095", "542317136", "87675432"]);
        let heard = apple.heard();
        assert_eq!(heard.len(), 4);
        for call in &heard {
            assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", "/api/v1/"));
            assert_eq!((call.header("content-type"), &call.body[..]), ("text/plain", &b"dG9rZW4tb25l"[..]));
        }
        // What it was asked with is gone.
        let rows = network_claim::Entity::find().all(&app.env().db.api).await.expect("reads");
        assert!(rows.iter().all(|row| row.token.is_none() && row.due_time.is_none()));
        // A repeat of the report asks nobody again.
        report(&sdk, with_token("phone-0001", "dG9rZW4tb25l")).await;
        assert_eq!(claimed(&mut people, &answer.install_id).await, claim);
        app.stop().await;
    })
    .await;
}

/// Waits until it is written down that Apple was asked so often.
async fn attempted(app: &App, attempts: i32) {
    eventually("the attempt is written down", async || {
        let rows = network_claim::Entity::find().all(&app.env().db.api).await.expect("reads");
        rows.iter().any(|row| row.attempts == attempts)
    })
    .await;
}

#[tokio::test]
async fn every_other_answer_of_apples_is_an_end_too() {
    with_apple(async |app, apple| {
        let tenant = app.tenant().await;
        let mut people = people(&app, &tenant).await;
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        let sample =
            br#"{"attribution":true,"orgId":1234567890,"campaignId":1234567890,"adGroupId":1234567890}"#;
        for (at, (mood, state)) in [
            (says(400, b"invalid"), ClaimState::Invalid),
            (says(200, br#"{"attribution":false}"#), ClaimState::Denied),
            (says(200, sample), ClaimState::Sandbox),
        ]
        .into_iter()
        .enumerate()
        {
            apple.is(mood);
            let answer = report(&sdk, with_token(&format!("phone-000{at}"), "dG9rZW4")).await;
            let claim = settled(&mut people, &answer.install_id, state).await;
            assert_eq!(claim.campaign, "", "nothing of a sample is kept");
        }
        // Apple is away for longer than a token is good.
        apple.is(Mood::status(503));
        let answer = report(&sdk, with_token("phone-0009", "dG9rZW4")).await;
        attempted(&app, 1).await;
        app.clock.advance(Duration::hours(25));
        settled(&mut people, &answer.install_id, ClaimState::Expired).await;
        let bad = [with_token("phone-0010", "two words"), with_token("phone-0010", &"a".repeat(4097))];
        for bad in bad {
            let status = try_report(&sdk, bad).await.expect_err("is refused");
            assert_eq!(wrong(&status), ["adservices_token"]);
        }
        app.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_token_survives_a_node_that_stops_while_apple_is_silent() {
    with_apple(async |app, apple| {
        let tenant = app.tenant().await;
        let sdk = app.sdk(&tenant.app_token().await, HERE).await;
        apple.is(Mood::Hangs);
        let answer = report(&sdk, with_token("phone-0001", "dG9rZW4tb25l")).await;
        apple.hears(1).await;
        let rows = network_claim::Entity::find().all(&app.env().db.api).await.expect("reads");
        let sealed = rows[0].token.as_deref().expect("is kept until it was answered");
        assert!(!sealed.windows(6).any(|part| part == b"dG9rZW"), "it is sealed");
        let app = app.restart().await;
        apple.is(says(200, AD));
        // Whoever held it is gone; a minute later it is anybody's.
        app.clock.advance(Duration::seconds(61));
        let mut people = people(&app, &tenant).await;
        settled(&mut people, &answer.install_id, ClaimState::Claimed).await;
        app.stop().await;
    })
    .await;
}
