//! What Apple says of installs: whom it is about, what of it is believed, and what comes of it.

use std::collections::BTreeSet;

use chrono::Duration;
use http::Method;
use linkforty::{
    attribution::postbacks,
    entity::{app, conversion_schema, postback, postback_refusal, workspace},
    ids::{AppId, WorkspaceId},
    workspaces::ending,
};
use prost_types::Timestamp;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _,
};
use serde_json::{Value, json};
use tonic::Code;

use crate::{
    domains::World,
    support::{
        AD_ATTRIBUTION_KIT, Answer, App, Apple, SKADNETWORK, STORE_ID, Tenant, an_app, reason, request_id,
        send, stores, wrong,
    },
};
use linkforty::pb::v1::{
    self, CoarseConversionValue, CoarseValue, ConversionSchema, FineConversionValue,
    GetConversionSchemaRequest, GetPostbackReportRequest, GetPostbackReportResponse, GetPostbackRequest,
    GetPostbackResponse, IosApp, ListPostbacksRequest, Money, MoneyRange, Postback, PostbackConversionType,
    PostbackGrouping, PostbackKind, PostbackOutcome, PostbackWindow, UpdateAppRequest,
    UpdateConversionSchemaRequest,
};

/// Runs a test on every store, with a key that stands in for Apple's.
async fn with_apple(test: impl AsyncFn(&App, &Apple)) {
    for store in stores() {
        let apple = Apple::new();
        let app = App::start_with(store, &[("APPLE_STAND_IN_KEY", &apple.setting())]).await;
        eprintln!("this is on {store}");
        test(&app, &apple).await;
        app.stop().await;
    }
}

/// An app that is in the App Store.
fn advertised(name: &str, store_id: u64) -> v1::App {
    let ios = IosApp {
        bundle_id: format!("com.example.{name}"),
        app_id_prefixes: vec!["ABCDE12345".to_owned()],
        app_store_id: store_id.to_string(),
        ..IosApp::default()
    };
    v1::App { ios: Some(ios), ..an_app() }
}

/// Sends a postback. The clock goes on, so that lists have an order.
async fn post_to(app: &App, host: Option<&str>, path: &str, body: &Value) -> Answer {
    app.clock.advance(Duration::seconds(1));
    let mut headers = vec![("content-type", "application/json; charset=utf-8")];
    headers.extend(host.map(|host| ("host", host)));
    send(app.links(), Method::POST, path, &headers, body.to_string().into()).await
}

async fn post(app: &App, path: &str, body: &Value) {
    let answer = post_to(app, None, path, body).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "{}"));
    assert!(answer.header("set-cookie").is_empty());
}

async fn list(tenant: &Tenant, request: ListPostbacksRequest) -> Vec<Postback> {
    tenant.postbacks.clone().list_postbacks(request).await.expect("lists").into_inner().postbacks
}

async fn all(tenant: &Tenant) -> Vec<Postback> {
    list(tenant, ListPostbacksRequest { page_size: 1000, ..ListPostbacksRequest::default() }).await
}

async fn get(tenant: &Tenant, id: &str) -> GetPostbackResponse {
    let request = GetPostbackRequest { postback_id: id.to_owned(), ..GetPostbackRequest::default() };
    tenant.postbacks.clone().get_postback(request).await.expect("gets").into_inner()
}

async fn report(tenant: &Tenant, request: GetPostbackReportRequest) -> GetPostbackReportResponse {
    tenant.postbacks.clone().get_postback_report(request).await.expect("reports").into_inner()
}

fn about(app: &str, group_by: PostbackGrouping) -> GetPostbackReportRequest {
    GetPostbackReportRequest {
        app_id: app.to_owned(),
        group_by: group_by.into(),
        ..GetPostbackReportRequest::default()
    }
}

/// Every way in which one field of an object is another one, or is not there.
fn changes(of: &Value) -> Vec<(String, Value)> {
    let mut changes = Vec::new();
    for (name, value) in of.as_object().expect("an object") {
        let other = match value {
            Value::Bool(flag) => json!(!flag),
            Value::Number(number) => json!(number.as_u64().expect("positive") + 1),
            Value::String(text) if name == "version" => json!(if text == "4.0" { "3.0" } else { "4.0" }),
            Value::String(text) if name == "coarse-conversion-value" => {
                json!(if text == "low" { "high" } else { "low" })
            }
            Value::String(text) => json!(format!("{text}0")),
            other => panic!("{name} is {other}"),
        };
        let mut changed = of.clone();
        changed[name] = other;
        changes.push((name.clone(), changed));
        let mut changed = of.clone();
        changed.as_object_mut().expect("an object").remove(name);
        changes.push((name.clone(), changed));
    }
    changes
}

const UNSIGNED: [&str; 4] =
    ["conversion-value", "coarse-conversion-value", "country-code", "ad-interaction-type"];

#[tokio::test]
async fn a_signed_field_that_is_changed_fails_and_an_unsigned_one_is_marked() {
    with_apple(async |app, apple| {
        let tenant = app.tenant().await;
        tenant.create_app(advertised("shop", STORE_ID)).await;
        let old = ["version", "ad-network-id", "campaign-id", "app-id", "transaction-id", "redownload"];
        let new = ["version", "ad-network-id", "source-identifier", "app-id", "transaction-id", "redownload"];
        let end = ["fidelity-type", "did-win", "postback-sequence-index"];
        for (number, (version, middle, ending, did_win)) in [
            ("2.1", &["source-app-id"][..], 0, true),
            ("2.2", &["source-app-id"], 1, true),
            ("2.2", &[], 1, true),
            ("3.0", &["source-app-id"], 2, true),
            ("3.0", &[], 2, false),
            ("4.0", &["source-app-id"], 3, true),
            ("4.0", &["source-domain"], 3, true),
            ("4.0", &[], 3, false),
        ]
        .into_iter()
        .enumerate()
        {
            // No more than a hundred forged ones are kept of a day.
            app.clock.advance(Duration::days(1));
            let order = [&if version == "4.0" { new } else { old }[..], middle, &end[..ending]].concat();
            let transaction = format!("6aafb7a5-0170-41b5-bbe4-{number:012}");
            let every = json!({
                "version": version, "ad-network-id": "example123.skadnetwork", "campaign-id": 42, "source-identifier": "5239",
                "app-id": STORE_ID, "transaction-id": transaction, "redownload": false, "source-app-id": 7,
                "source-domain": "example.com", "fidelity-type": 1, "did-win": did_win, "postback-sequence-index": 1,
            });
            let mut fields = json!({ "coarse-conversion-value": "low", "country-code": "CH", "conversion-value": 5 });
            for name in &order {
                fields[*name] = every[*name].clone();
            }
            let signed = apple.skan(&order, fields);
            post(app, SKADNETWORK, &signed).await;
            let before = all(&tenant).await;
            let told = get(&tenant, &before[0].id).await;
            let shown = told.postback.clone().expect("always there");
            assert_eq!(shown.outcome(), PostbackOutcome::Verified, "{version}: {}", shown.detail);
            assert_eq!((shown.transaction_id.as_str(), shown.fine_value), (&*transaction, Some(5)));
            assert_eq!(told.body, signed.to_string().into_bytes(), "byte for byte");
            let covered: Vec<&str> =
                told.fields.iter().filter(|field| field.signed).map(|field| &*field.name).collect();
            assert_eq!(covered, order);
            assert_eq!(told.signed_text.split(" | ").count(), order.len());

            let mut unsigned = 0;
            for (name, changed) in changes(&signed) {
                let status = post_to(app, None, SKADNETWORK, &changed).await.status.as_u16();
                // One that names no app is nobody's to keep.
                assert!(status == 200 || status == 400 && name == "app-id", "{name} of {version}: {status}");
                unsigned += i32::from(UNSIGNED.contains(&&*name));
            }
            let after = all(&tenant).await;
            let verified: Vec<&Postback> =
                after.iter().filter(|one| one.outcome() == PostbackOutcome::Verified).collect();
            assert_eq!(verified.len(), number + 1, "{version}: one of each is verified");
            let of_this = verified.iter().find(|one| one.id == shown.id).expect("the first one stays");
            assert_eq!((of_this.repeat_count, of_this.differing_repeat_count), (unsigned, unsigned));
            assert_eq!(of_this.fine_value, Some(5), "what came first is what is told");
            // All but those that name no app, or another one.
            let forged = after.len() - before.len();
            let expected = 2 * (signed.as_object().expect("an object").len() - 3) - 2;
            assert_eq!(forged, expected, "{version}: each of the others is kept as what it is");
        }
    })
    .await;
}

fn a_payload(identifier: &str) -> Value {
    json!({
        "postback-identifier": identifier, "advertised-item-identifier": STORE_ID,
        "ad-network-identifier": "example123.adattributionkit", "publisher-item-identifier": 7,
        "marketplace-identifier": "com.apple.AppStore", "impression-type": "app-impression", "source-identifier": "5239",
        "conversion-type": "re-engagement", "did-win": true, "postback-sequence-index": 2,
    })
}

#[tokio::test]
async fn a_changed_json_web_signature_fails_and_what_stands_beside_it_is_marked() {
    with_apple(async |app, apple| {
        let tenant = app.tenant().await;
        tenant.create_app(advertised("shop", STORE_ID)).await;
        let kid = "apple-cas-identifier/0";
        let signed = apple.aak(kid, &a_payload("3f50fe57-29ae-4861-8c0b-ac6adddff72c"));
        post(app, AD_ATTRIBUTION_KIT, &signed).await;
        let first = all(&tenant).await.remove(0);
        assert_eq!(
            (first.kind(), first.outcome()),
            (PostbackKind::AdAttributionKit, PostbackOutcome::Verified)
        );
        assert_eq!(first.conversion_type(), PostbackConversionType::Reengagement);
        assert_eq!((first.country.as_str(), first.sequence_index), ("CH", Some(2)));
        let told = get(&tenant, &first.id).await;
        let names = |signed| -> BTreeSet<&str> {
            told.fields.iter().filter(|field| field.signed == signed).map(|field| &*field.name).collect()
        };
        let payload = a_payload("x");
        assert_eq!(
            names(true),
            payload.as_object().expect("an object").keys().map(String::as_str).collect::<BTreeSet<_>>()
        );
        assert_eq!(
            names(false),
            BTreeSet::from(["ad-interaction-type", "conversion-value", "country-code", "jws-string"])
        );

        // Another payload under the same signature.
        let jws = signed["jws-string"].as_str().expect("text").to_owned();
        let signature = jws.rsplit_once('.').expect("three parts").1;
        let mut forged = 0;
        for (name, changed) in changes(&a_payload("3f50fe57-29ae-4861-8c0b-ac6adddff72c")) {
            let other = apple.aak(kid, &changed);
            let text = other["jws-string"].as_str().expect("text").rsplit_once('.').expect("three parts").0;
            let mut body = signed.clone();
            body["jws-string"] = format!("{text}.{signature}").into();
            let answer = post_to(app, None, AD_ATTRIBUTION_KIT, &body).await;
            if name == "advertised-item-identifier" {
                // Of another app, or of none.
                assert!([200, 400].contains(&answer.status.as_u16()), "{}", answer.status);
            } else {
                assert_eq!(answer.status, 200, "{name}");
                forged += 1;
            }
        }
        for name in ["conversion-value", "ad-interaction-type", "country-code"] {
            let mut body = signed.clone();
            body[name] = json!("other");
            post(app, AD_ATTRIBUTION_KIT, &body).await;
        }
        let after = all(&tenant).await;
        let bad = after.iter().filter(|one| one.outcome() == PostbackOutcome::BadSignature).count();
        assert_eq!((bad, after.len()), (forged, forged + 1));
        let first = after.into_iter().find(|one| one.id == first.id).expect("it is there");
        assert_eq!((first.repeat_count, first.differing_repeat_count), (3, 3));
        assert!(get(&tenant, &first.id).await.fields.iter().any(|field| field.signed));
    })
    .await;
}

#[tokio::test]
async fn what_developers_devices_sign_is_let_in_only_where_the_app_says_so() {
    with_apple(async |app, apple| {
        let tenant = app.tenant().await;
        let shop = tenant.create_app(advertised("shop", STORE_ID)).await;
        for (number, allowed) in [false, true].into_iter().enumerate() {
            let change = v1::App {
                id: shop.id.clone(),
                ios: Some(IosApp { development_postbacks: allowed, ..IosApp::default() }),
                ..v1::App::default()
            };
            let mask = prost_types::FieldMask { paths: vec!["ios.development_postbacks".to_owned()] };
            let request = UpdateAppRequest {
                app: Some(change),
                update_mask: Some(mask),
                ..UpdateAppRequest::default()
            };
            tenant.apps.clone().update_app(request).await.expect("updates");
            app.clock.advance(Duration::seconds(11));
            let payload = a_payload(&format!("3f50fe57-29ae-4861-8c0b-{number:012}"));
            post(app, AD_ATTRIBUTION_KIT, &apple.aak("apple-development-identifier/1", &payload)).await;
        }
        let outcomes: Vec<_> = all(&tenant).await.iter().map(Postback::outcome).collect();
        assert_eq!(outcomes, [PostbackOutcome::Development, PostbackOutcome::DevelopmentRefused]);
        // Those that are let in are in no sum.
        let told = report(&tenant, about(&shop.id, PostbackGrouping::None)).await;
        let total = told.total.expect("always there");
        assert_eq!((total.verified_count, total.unverified_count), (0, 1));
    })
    .await;
}

#[tokio::test]
async fn a_hundred_of_the_same_at_once_are_one_row_and_nobody_keeps_the_real_one_out() {
    with_apple(async |app, apple| {
        let tenant = app.tenant().await;
        let shop = tenant.create_app(advertised("shop", STORE_ID)).await;
        let real = apple.skan4("6aafb7a5-0170-41b5-bbe4-fe71dedf1e30", &json!({}));
        let mut forged = real.clone();
        forged["ad-network-id"] = json!("thief.skadnetwork");
        post(app, SKADNETWORK, &forged).await;
        let posts = (0..100).map(|_| post(app, SKADNETWORK, &real));
        futures::future::join_all(posts).await;
        // Some may have had to wait on the disk for their turn.
        app.settled().await;
        let rows = all(&tenant).await;
        let outcomes: Vec<_> =
            rows.iter().map(|one| (one.outcome(), one.repeat_count, one.differing_repeat_count)).collect();
        assert_eq!(outcomes, [(PostbackOutcome::Verified, 99, 0), (PostbackOutcome::BadSignature, 0, 0)]);
        // The next one of the same install is another one.
        let second = json!({ "postback-sequence-index": 1 });
        post(app, SKADNETWORK, &apple.skan4("6aafb7a5-0170-41b5-bbe4-fe71dedf1e30", &second)).await;
        let query = ListPostbacksRequest {
            app_id: shop.id.clone(),
            outcome: PostbackOutcome::Verified.into(),
            page_size: 1,
            ..ListPostbacksRequest::default()
        };
        let first = tenant.postbacks.clone().list_postbacks(query.clone()).await.expect("lists").into_inner();
        assert_eq!(first.postbacks[0].sequence_index, Some(1));
        let rest = ListPostbacksRequest { page_token: first.next_page_token, ..query };
        let rest = tenant.postbacks.clone().list_postbacks(rest).await.expect("lists").into_inner();
        assert_eq!((rest.postbacks[0].id.as_str(), rest.next_page_token.as_str()), (&*rows[0].id, ""));
    })
    .await;
}

#[tokio::test]
async fn of_what_anybody_can_send_a_hundred_a_day_are_kept_and_all_are_counted() {
    with_apple(async |app, apple| {
        let tenant = app.tenant().await;
        let shop = tenant.create_app(advertised("shop", STORE_ID)).await;
        let mut forged = apple.skan4("6aafb7a5-0170-41b5-bbe4-fe71dedf1e30", &json!({}));
        for number in 0..130 {
            forged["transaction-id"] = json!(format!("forged-{number}"));
            post(app, SKADNETWORK, &forged).await;
        }
        assert_eq!(all(&tenant).await.len(), 100);
        // A repeat of one that is kept is no more of them.
        forged["transaction-id"] = json!("forged-0");
        post(app, SKADNETWORK, &forged).await;
        let told = report(&tenant, about(&shop.id, PostbackGrouping::Day)).await;
        let refusals: Vec<_> = told.refusals.iter().map(|one| (one.outcome(), one.count)).collect();
        assert_eq!(refusals, [(PostbackOutcome::BadSignature, 130)]);
        let total = told.total.expect("always there");
        assert_eq!((total.verified_count, total.unverified_count, total.verified_basis_points), (0, 100, 0));
        app.clock.advance(Duration::days(1));
        forged["transaction-id"] = json!("forged-on-another-day");
        post(app, SKADNETWORK, &forged).await;
        assert_eq!(all(&tenant).await.len(), 101);
        // A real one is always let in.
        post(app, SKADNETWORK, &apple.skan4("6aafb7a5-0170-41b5-bbe4-fe71dedf1e31", &json!({}))).await;
        assert_eq!(all(&tenant).await[0].outcome(), PostbackOutcome::Verified);
    })
    .await;
}

#[tokio::test]
async fn the_host_says_whose_app_is_meant() {
    for store in stores() {
        let apple = Apple::new();
        let world = World::with(store, &[("APPLE_STAND_IN_KEY", &apple.setting())]).await;
        let (app, first) = (&world.app, &world.tenant);
        let (second, third) = (app.another_tenant().await, app.another_tenant().await);
        for (tenant, name) in [(first, "first"), (&second, "second"), (&third, "third")] {
            tenant.create_app(advertised(name, STORE_ID)).await;
        }
        world.proved(&third, "shop.test").await;
        let allow = async |tenant: &Tenant, allowed| {
            let id = WorkspaceId::parse(&tenant.id).expect("an id");
            let db = &app.env().db.api;
            let row = workspace::Entity::find_by_id(id).one(db).await.expect("reads").expect("is there");
            let mut row = row.into_active_model();
            row.apps_allowed = Set(allowed);
            row.update(db).await.expect("writes");
            app.clock.advance(Duration::seconds(11));
        };
        let mut sent = 0;
        let mut counts = async |host: Option<&str>| {
            sent += 1;
            let body = apple.skan4(&format!("6aafb7a5-0170-41b5-bbe4-{sent:012}"), &json!({}));
            let before = [all(first).await.len(), all(&second).await.len(), all(&third).await.len()];
            assert_eq!(post_to(app, host, SKADNETWORK, &body).await.status, 200);
            let after = [all(first).await.len(), all(&second).await.len(), all(&third).await.len()];
            [after[0] - before[0], after[1] - before[1], after[2] - before[2]]
        };
        // On the server's own host anybody could claim an app: the operator says whose claims count.
        assert_eq!(counts(None).await, [1, 0, 0]);
        allow(&second, true).await;
        assert_eq!(counts(None).await, [1, 1, 0]);
        allow(&second, false).await;
        assert_eq!(counts(None).await, [1, 0, 0]);
        // A host of a workspace is the workspace's.
        assert_eq!(counts(Some("shop.test")).await, [0, 0, 1]);
        let body = apple.skan4("6aafb7a5-0170-41b5-bbe4-000000000099", &json!({}));
        assert_eq!(post_to(app, Some("elsewhere.test"), SKADNETWORK, &body).await.status, 404);
        let other = apple.skan4("6aafb7a5-0170-41b5-bbe4-000000000098", &json!({ "app-id": 7 }));
        let before = all(first).await.len();
        assert_eq!(post_to(app, None, SKADNETWORK, &other).await.status, 200, "nobody's app");
        assert_eq!(all(first).await.len(), before);
        world.stop().await;
    }
}

#[tokio::test]
async fn what_is_no_postback_is_refused() {
    with_apple(async |app, apple| {
        let tenant = app.tenant().await;
        tenant.create_app(advertised("shop", STORE_ID)).await;
        let good = apple.skan4("6aafb7a5-0170-41b5-bbe4-fe71dedf1e30", &json!({})).to_string();
        let ask = async |method: Method, path: &str, kind: &str, body: String| {
            send(app.links(), method, path, &[("content-type", kind)], body.into()).await.status.as_u16()
        };
        let json = "application/json";
        assert_eq!(ask(Method::POST, SKADNETWORK, "text/plain", good.clone()).await, 415);
        let large = format!("{good}{}", " ".repeat(16 * 1024));
        assert_eq!(ask(Method::POST, SKADNETWORK, json, large).await, 413);
        for body in ["", "{", "[]", "{}", r#"{"app-id":"525463029"}"#] {
            assert_eq!(ask(Method::POST, SKADNETWORK, json, body.to_owned()).await, 400, "{body}");
        }
        assert_eq!(ask(Method::POST, AD_ATTRIBUTION_KIT, json, good.clone()).await, 400);
        assert_eq!(ask(Method::GET, SKADNETWORK, json, String::new()).await, 405);
        assert_eq!(all(&tenant).await.len(), 0);
        // Proxies take the slash off.
        for path in [SKADNETWORK, SKADNETWORK.trim_end_matches('/')] {
            assert_eq!(ask(Method::POST, path, json, good.clone()).await, 200);
        }
        assert_eq!(all(&tenant).await.len(), 1);
        // Versions of a signature that is not verified here are kept by name.
        for version in ["1.0", "2.0", "5.0"] {
            let old = json!({ "version": version, "app-id": STORE_ID, "transaction-id": version });
            post(app, SKADNETWORK, &old).await;
            let told = all(&tenant).await.remove(0);
            assert_eq!((told.outcome(), &*told.version), (PostbackOutcome::UnsupportedVersion, version));
        }
        post(app, SKADNETWORK, &json!({ "version": "4.0", "app-id": STORE_ID })).await;
        let told = all(&tenant).await.remove(0);
        let wanted = (PostbackOutcome::Malformed, "ad-network-id is not there");
        assert_eq!((told.outcome(), &*told.detail), wanted);
    })
    .await;
}

fn money(units: i64) -> Option<Money> {
    Some(Money { currency: "CHF".to_owned(), units, nanos: 0 })
}

fn fine(value: i32, name: &str, worth: Option<(i64, i64)>) -> FineConversionValue {
    let revenue = worth.map(|(min, max)| MoneyRange { min: money(min), max: money(max) });
    FineConversionValue { value, name: name.to_owned(), revenue }
}

fn coarse(window: PostbackWindow, value: CoarseValue, name: &str) -> CoarseConversionValue {
    CoarseConversionValue { window: window.into(), value: value.into(), name: name.to_owned(), revenue: None }
}

async fn update(tenant: &Tenant, schema: ConversionSchema) -> Result<ConversionSchema, tonic::Status> {
    let request = UpdateConversionSchemaRequest {
        conversion_schema: Some(schema),
        ..UpdateConversionSchemaRequest::default()
    };
    let answer = tenant.postbacks.clone().update_conversion_schema(request).await?;
    Ok(answer.into_inner().conversion_schema.expect("always there"))
}

async fn schema_of(tenant: &Tenant, app: &str, time: Option<Timestamp>) -> ConversionSchema {
    let request =
        GetConversionSchemaRequest { app_id: app.to_owned(), time, ..GetConversionSchemaRequest::default() };
    let answer = tenant.postbacks.clone().get_conversion_schema(request).await.expect("gets");
    answer.into_inner().conversion_schema.expect("always there")
}

#[tokio::test]
async fn a_schema_holds_from_a_moment_on_and_is_changed_by_one_at_a_time() {
    with_apple(async |app, _| {
        let tenant = app.tenant().await;
        let shop = tenant.create_app(advertised("shop", STORE_ID)).await.id;
        let empty = schema_of(&tenant, &shop, None).await;
        assert!(empty.fine_values.is_empty() && !empty.etag.is_empty() && empty.create_time.is_none());
        let of = |fine_values, etag: &str| ConversionSchema {
            app_id: shop.clone(),
            fine_values,
            etag: etag.to_owned(),
            ..ConversionSchema::default()
        };
        let first = update(&tenant, of(vec![fine(1, "signup", None)], &empty.etag)).await.expect("updates");
        let refused = update(&tenant, of(vec![fine(1, "x", None)], &empty.etag)).await.expect_err("is old");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::Aborted, "ETAG_MISMATCH"));
        assert_eq!(schema_of(&tenant, &shop, None).await, first);

        app.clock.advance(Duration::days(3));
        let with_coarse = ConversionSchema {
            coarse_values: vec![coarse(PostbackWindow::Second, CoarseValue::High, "stayed")],
            ..of(Vec::new(), &first.etag)
        };
        let second = update(&tenant, with_coarse).await.expect("updates");
        assert_eq!(second.fine_values, first.fine_values, "what is not named stays");
        assert_ne!(second.etag, first.etag);
        let before = schema_of(&tenant, &shop, first.start_time).await;
        assert!(before.coarse_values.is_empty() && before.fine_values == first.fine_values);
        assert_eq!(before.etag, second.etag, "there is one etag for all that an app says");
        let earlier = Timestamp { seconds: first.start_time.expect("always there").seconds - 1, nanos: 0 };
        assert!(schema_of(&tenant, &shop, Some(earlier)).await.fine_values.is_empty());

        // The same request twice is one change.
        let request = UpdateConversionSchemaRequest {
            conversion_schema: Some(of(vec![fine(2, "buyer", Some((1, 9)))], "")),
            request_id: request_id(),
            ..UpdateConversionSchemaRequest::default()
        };
        let mut client = tenant.postbacks.clone();
        let once = client.update_conversion_schema(request.clone()).await.expect("updates").into_inner();
        let twice = client.update_conversion_schema(request).await.expect("a repeat").into_inner();
        assert_eq!(once, twice);

        let bad = ConversionSchema {
            fine_values: vec![fine(64, "", Some((2, 1)))],
            start_time: Some(Timestamp { seconds: 0, nanos: 0 }),
            ..of(Vec::new(), "")
        };
        let refused = update(&tenant, bad).await.expect_err("is wrong");
        let path = "conversion_schema.fine_values[0]";
        let fields = [
            format!("{path}.value"),
            format!("{path}.name"),
            format!("{path}.revenue.max"),
            "conversion_schema.start_time".to_owned(),
        ];
        assert_eq!(wrong(&refused), fields);
        // A hundred at once are a hundred changes, or are told to come again; none is lost without a word.
        let tries = (0..20).map(|number| update(&tenant, of(vec![fine(number, "one", None)], "")));
        let done = futures::future::join_all(tries).await.into_iter().filter(Result::is_ok).count();
        let db = &app.env().db.api;
        let rows = conversion_schema::Entity::find().count(db).await.expect("counts");
        assert_eq!(rows, 3 + done as u64);
    })
    .await;
}

#[tokio::test]
async fn a_report_tells_windows_values_and_what_they_are_worth() {
    with_apple(async |app, apple| {
        let tenant = app.tenant().await;
        let shop = tenant.create_app(advertised("shop", STORE_ID)).await.id;
        let schema = |name: &str, worth| ConversionSchema {
            app_id: shop.clone(),
            fine_values: vec![fine(7, name, Some(worth))],
            coarse_values: vec![coarse(PostbackWindow::Second, CoarseValue::High, "stayed")],
            ..ConversionSchema::default()
        };
        update(&tenant, schema("buyer", (1, 10))).await.expect("updates");
        let mut sent = 0;
        let mut come = async |network: &str, index: i32, value: Value, changes: Value| {
            sent += 1;
            let mut changes = changes;
            changes["ad-network-id"] = json!(network);
            changes["postback-sequence-index"] = json!(index);
            let mut body = apple.skan4(&format!("6aafb7a5-0170-41b5-bbe4-{sent:012}"), &changes);
            for (name, value) in value.as_object().into_iter().flatten() {
                body[name] = value.clone();
            }
            post(app, SKADNETWORK, &body).await;
        };
        // Set before there was a schema, so nobody knows what it means.
        come("a.skadnetwork", 0, json!({ "conversion-value": 7 }), json!({})).await;
        app.clock.advance(Duration::days(3));
        update(&tenant, schema("whale", (100, 1000))).await.expect("updates");
        // Set when it meant a buyer: it came two days after that at the least.
        come("a.skadnetwork", 0, json!({ "conversion-value": 7 }), json!({})).await;
        come("a.skadnetwork", 0, json!({ "conversion-value": 7 }), json!({ "redownload": true })).await;
        come("b.skadnetwork", 0, json!({}), json!({ "source-identifier": "12" })).await;
        app.clock.advance(Duration::days(3));
        come("a.skadnetwork", 0, json!({ "conversion-value": 7 }), json!({})).await;
        come("b.skadnetwork", 1, json!({ "coarse-conversion-value": "high" }), json!({})).await;
        come("b.skadnetwork", 0, json!({}), json!({ "did-win": false, "source-app-id": null })).await;
        let mut forged = apple.skan4("6aafb7a5-0170-41b5-bbe4-fe71dedf1e30", &json!({}));
        forged["ad-network-id"] = json!("b.skadnetwork");
        post(app, SKADNETWORK, &forged).await;

        let told = report(&tenant, about(&shop, PostbackGrouping::AdNetwork)).await;
        let total = told.total.clone().expect("always there");
        assert_eq!((total.verified_count, total.unverified_count), (7, 1));
        assert_eq!((total.verified_basis_points, total.won_count, total.lost_count), (8750, 6, 1));
        assert_eq!((total.download_count, total.redownload_count), (6, 1));
        let windows: Vec<_> =
            total.windows.iter().map(|one| (one.window(), one.count, one.null_count)).collect();
        assert_eq!(windows, [(PostbackWindow::First, 6, 2), (PostbackWindow::Second, 1, 0)]);
        let values: Vec<_> =
            total.windows[0].fine_values.iter().map(|one| (one.value, &*one.name, one.count)).collect();
        assert_eq!(values, [(7, "", 1), (7, "buyer", 2), (7, "whale", 1)]);
        let coarse = &total.windows[1].coarse_values[0];
        assert_eq!((coarse.value(), coarse.count), (CoarseValue::High, 1));
        assert_eq!(total.revenue, [MoneyRange { min: money(102), max: money(1020) }]);
        let rows: Vec<_> =
            told.rows.iter().map(|row| (&*row.key, row.verified_count, row.unverified_count)).collect();
        assert_eq!(rows, [("a.skadnetwork", 4, 0), ("b.skadnetwork", 3, 1)]);
        assert!(!told.truncated);

        let told = report(&tenant, about(&shop, PostbackGrouping::Day)).await;
        let rows: Vec<_> = told.rows.iter().map(|row| (&*row.key, row.verified_count)).collect();
        assert_eq!(rows, [("2026-11-22", 1), ("2026-11-25", 3), ("2026-11-28", 3)]);
        assert_eq!(told.total, Some(total.clone()));
        let told = report(&tenant, about(&shop, PostbackGrouping::SourceIdentifier)).await;
        let rows: Vec<_> = told.rows.iter().map(|row| (&*row.key, row.verified_count)).collect();
        assert_eq!(rows, [("5239", 6), ("12", 1)]);
        let told = report(&tenant, about(&shop, PostbackGrouping::None)).await;
        assert_eq!(told.rows, [total]);

        let of_kind = GetPostbackReportRequest {
            kind: PostbackKind::AdAttributionKit.into(),
            ..about(&shop, PostbackGrouping::None)
        };
        assert_eq!(report(&tenant, of_kind).await.total, Some(v1::PostbackReportRow::default()));
        let too_long = GetPostbackReportRequest {
            start_time: Some(Timestamp { seconds: app.env().now().timestamp() - 92 * 86_400, nanos: 0 }),
            ..about(&shop, PostbackGrouping::None)
        };
        let refused = tenant.postbacks.clone().get_postback_report(too_long).await.expect_err("is too long");
        assert_eq!(wrong(&refused), ["start_time"]);
    })
    .await;
}

#[tokio::test]
async fn what_is_old_or_of_a_workspace_that_is_gone_is_forgotten() {
    with_apple(async |app, apple| {
        let (first, tenant) = (app.tenant().await, app.another_tenant().await);
        let shop = first.create_app(advertised("shop", STORE_ID)).await.id;
        let schema = ConversionSchema {
            app_id: shop,
            fine_values: vec![fine(1, "a", None)],
            ..ConversionSchema::default()
        };
        update(&first, schema).await.expect("updates");
        post(app, SKADNETWORK, &apple.skan4("6aafb7a5-0170-41b5-bbe4-fe71dedf1e30", &json!({}))).await;
        post(app, SKADNETWORK, &json!({ "version": "4.0", "app-id": STORE_ID })).await;
        app.clock.advance(Duration::days(399));
        post(app, SKADNETWORK, &apple.skan4("6aafb7a5-0170-41b5-bbe4-fe71dedf1e31", &json!({}))).await;
        postbacks::sweep(app.env()).await.expect("the stores answer");
        // The keys of before are over.
        let (first, tenant) = (app.tenant_of(&first.id).await, app.tenant_of(&tenant.id).await);
        assert_eq!(all(&first).await.len(), 3);
        app.clock.advance(Duration::days(2));
        postbacks::sweep(app.env()).await.expect("the stores answer");
        let left = all(&first).await;
        assert_eq!((left.len(), &*left[0].transaction_id), (1, "6aafb7a5-0170-41b5-bbe4-fe71dedf1e31"));
        let db = &app.env().db.api;
        assert_eq!(postback_refusal::Entity::find().count(db).await.expect("counts"), 0);

        // All that there is of this is erased with the workspace.
        for table in ["postbacks", "postback_refusals", "conversion_schemas"] {
            assert!(ending::tables().any(|erased| erased == table), "{table}");
        }
        assert!(all(&tenant).await.is_empty());
        let foreign = GetPostbackRequest { postback_id: left[0].id.clone(), ..GetPostbackRequest::default() };
        let refused = tenant.postbacks.clone().get_postback(foreign).await.expect_err("is not theirs");
        assert_eq!(refused.code(), Code::NotFound);
        let (rows, apps) = (postback::Entity::find(), app::Entity::find());
        let id = AppId::parse(&left[0].app_id).expect("an id");
        assert_eq!(rows.one(db).await.expect("reads").expect("one").app_id, id);
        assert_eq!(apps.count(db).await.expect("counts"), 1);
    })
    .await;
}
