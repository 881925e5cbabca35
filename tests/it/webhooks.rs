//! Webhook endpoints, and what was sent to them, as people see and change them.

use std::collections::BTreeSet;

use linkforty::{
    clock::Moment,
    entity::{audit_event, webhook_attempt, webhook_delivery, webhook_endpoint, webhook_message},
    ids::{MessageId, WebhookAttemptId, WebhookEndpointId, WorkspaceId},
    pb::v1::{
        self, CreateWebhookEndpointRequest, DeleteWebhookEndpointRequest, GetWebhookEndpointRequest,
        ListDeliveriesRequest, ListDeliveriesResponse, ListWebhookEndpointsRequest, PostbackMethod,
        RedeliverEventsRequest, RedeliverEventsResponse, RotateWebhookSecretRequest,
        RotateWebhookSecretResponse, SendTestEventRequest, UpdateWebhookEndpointRequest,
        WebhookAttemptOutcome, WebhookClickMode, WebhookDeliveryState, WebhookDisableReason, WebhookEndpoint,
        WebhookEndpointState, WebhookEventType, WebhookFilter, WebhookFormat, WebhookHeader, WebhookPostback,
        WebhookSigning, webhook_service_client::WebhookServiceClient,
    },
    webhooks::{EventType, message::told_id},
    workspaces::Role,
};
use prost_types::{Duration, FieldMask, Timestamp};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter as _,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    support::{
        App, Bearer, Says, Stranger, Tenant, a_link, an_app, eventually, on_every_store, reason, request_id,
        respond, wrong,
    },
    workspaces::person,
};

/// An endpoint that is told of domains, which nothing happens to here.
fn an_endpoint() -> WebhookEndpoint {
    WebhookEndpoint {
        name: "Shop".into(),
        url: "https://example.com/hooks".into(),
        event_types: vec![WebhookEventType::DomainVerified.into()],
        ..WebhookEndpoint::default()
    }
}

/// One that waits: what is to be sent to it stays where it is.
fn a_paused_one() -> WebhookEndpoint {
    WebhookEndpoint { state: WebhookEndpointState::Paused.into(), ..an_endpoint() }
}

fn a_postback() -> WebhookEndpoint {
    WebhookEndpoint {
        url: "https://example.com/p?click={click_id}".into(),
        event_types: vec![WebhookEventType::InstallAttributed.into()],
        format: WebhookFormat::Postback.into(),
        ..an_endpoint()
    }
}

fn header(name: &str, value: &str) -> WebhookHeader {
    WebhookHeader { name: name.into(), value: value.into() }
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

async fn try_update(
    tenant: &Tenant,
    endpoint: WebhookEndpoint,
    paths: &[&str],
) -> Result<WebhookEndpoint, Status> {
    let update_mask = if paths.is_empty() { None } else { mask(paths) };
    let request = UpdateWebhookEndpointRequest {
        webhook_endpoint: Some(endpoint),
        update_mask,
        ..UpdateWebhookEndpointRequest::default()
    };
    let answer = tenant.webhooks.clone().update_webhook_endpoint(request).await?.into_inner();
    Ok(answer.webhook_endpoint.expect("always there"))
}

async fn update(tenant: &Tenant, endpoint: WebhookEndpoint, paths: &[&str]) -> WebhookEndpoint {
    try_update(tenant, endpoint, paths).await.expect("changes")
}

async fn get(tenant: &Tenant, id: &str) -> Result<WebhookEndpoint, Status> {
    let request = GetWebhookEndpointRequest {
        webhook_endpoint_id: id.to_owned(),
        ..GetWebhookEndpointRequest::default()
    };
    let answer = tenant.webhooks.clone().get_webhook_endpoint(request).await?.into_inner();
    Ok(answer.webhook_endpoint.expect("always there"))
}

fn rotation(id: &str, hours: i64) -> RotateWebhookSecretRequest {
    RotateWebhookSecretRequest {
        webhook_endpoint_id: id.to_owned(),
        overlap: Some(Duration { seconds: hours * 3600, nanos: 0 }),
        request_id: request_id(),
        ..RotateWebhookSecretRequest::default()
    }
}

async fn rotate(tenant: &Tenant, id: &str, hours: i64) -> RotateWebhookSecretResponse {
    let request = rotation(id, hours);
    tenant.webhooks.clone().rotate_webhook_secret(request).await.expect("rotates").into_inner()
}

async fn list(tenant: &Tenant, request: ListDeliveriesRequest) -> Result<ListDeliveriesResponse, Status> {
    Ok(tenant.webhooks.clone().list_deliveries(request).await?.into_inner())
}

async fn redeliver(
    tenant: &Tenant,
    request: RedeliverEventsRequest,
) -> Result<RedeliverEventsResponse, Status> {
    Ok(tenant.webhooks.clone().redeliver_events(request).await?.into_inner())
}

/// What a caller can tell two refusals apart by.
fn face(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

fn seconds(moment: Moment) -> Option<Timestamp> {
    Some(Timestamp { seconds: moment.timestamp(), nanos: 0 })
}

/// A delivery as it may stand in the store.
#[derive(Debug, Clone, Copy)]
struct Stored {
    event_type: EventType,
    state: WebhookDeliveryState,
    attempts: i32,
}

/// Stores a delivery, as if it had been made a minute after those before it, with an attempt for each it has had.
async fn store(app: &App, endpoint: &WebhookEndpoint, minute: i64, stored: Stored) -> MessageId {
    let (env, db) = (app.env(), &app.env().db.api);
    let made = env.now() - chrono::Duration::hours(10) + chrono::Duration::minutes(minute);
    let workspace_id = WorkspaceId::parse(&endpoint.workspace_id).expect("an id");
    let endpoint_id = WebhookEndpointId::parse(&endpoint.id).expect("an id");
    let id = MessageId::mint_past(&env.ids, made);
    let message = webhook_message::Model {
        id,
        workspace_id,
        endpoint_id: None,
        event_type: stored.event_type.number(),
        subject_id: endpoint_id.0,
        time: made,
        body: b"{}".to_vec(),
    };
    let row = message.into_active_model().reset_all();
    webhook_message::Entity::insert(row).exec_without_returning(db).await.expect("inserts");
    let delivery = webhook_delivery::Model {
        endpoint_id,
        message_id: id,
        workspace_id,
        next_time: made,
        update_time: made,
        attempts: stored.attempts,
        last_status: None,
        state: i16::try_from(i32::from(stored.state)).expect("small"),
        last_outcome: 0,
    };
    let row = delivery.into_active_model().reset_all();
    webhook_delivery::Entity::insert(row).exec_without_returning(db).await.expect("inserts");
    for number in 1..=stored.attempts {
        let attempt = webhook_attempt::Model {
            id: WebhookAttemptId::mint_past(&env.ids, made + chrono::Duration::seconds(i64::from(number))),
            workspace_id,
            endpoint_id,
            message_id: id,
            number,
            took_ms: 1234,
            status: Some(503),
            outcome: 2,
            response: Some(b"\x1b[1mno\xff".to_vec()),
        };
        let row = attempt.into_active_model().reset_all();
        webhook_attempt::Entity::insert(row).exec_without_returning(db).await.expect("inserts");
    }
    id
}

fn failed(attempts: i32) -> Stored {
    Stored { event_type: EventType::DomainVerified, state: WebhookDeliveryState::Failed, attempts }
}

async fn stored(app: &App, endpoint: &WebhookEndpoint) -> Vec<webhook_delivery::Model> {
    let id = WebhookEndpointId::parse(&endpoint.id).expect("an id");
    let of = webhook_delivery::Entity::find().filter(webhook_delivery::Column::EndpointId.eq(id));
    of.all(&app.env().db.api).await.expect("reads")
}

/// Has the server give an endpoint up, as failing does.
async fn disable(app: &App, endpoint: &WebhookEndpoint) {
    let id = WebhookEndpointId::parse(&endpoint.id).expect("an id");
    let row = webhook_endpoint::ActiveModel {
        id: Set(id),
        state: Set(3),
        state_reason: Set(2),
        failing_since: Set(Some(app.env().now())),
        ..Default::default()
    };
    webhook_endpoint::Entity::update(row).exec(&app.env().db.api).await.expect("updates");
}

#[tokio::test]
async fn an_endpoint_is_kept_once_and_changed_by_one_at_a_time() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let mut webhooks = tenant.webhooks.clone();
        let new = CreateWebhookEndpointRequest {
            webhook_endpoint: Some(WebhookEndpoint { name: " Shop ".into(), ..an_endpoint() }),
            request_id: request_id(),
            ..CreateWebhookEndpointRequest::default()
        };
        let first = webhooks.create_webhook_endpoint(new.clone()).await.expect("creates").into_inner();
        let again = webhooks.create_webhook_endpoint(new.clone()).await.expect("repeats").into_inner();
        assert_eq!(first.webhook_endpoint, again.webhook_endpoint);
        assert!(first.secret.starts_with("whsec_") && again.secret.is_empty(), "it is told once");
        let made = first.webhook_endpoint.expect("always there");
        assert_eq!((&*made.name, &made.workspace_id), ("Shop", &tenant.id));
        assert_eq!(made.state(), WebhookEndpointState::Active);
        assert_eq!((made.format(), made.click_mode()), (WebhookFormat::Standard, WebhookClickMode::Batched));
        assert_eq!((made.signing(), made.click_sample), (WebhookSigning::Hmac, 1_000_000));
        let other = WebhookEndpoint { name: "x".into(), ..an_endpoint() };
        let other = CreateWebhookEndpointRequest { webhook_endpoint: Some(other), ..new };
        let status = webhooks.create_webhook_endpoint(other).await.expect_err("another content");
        assert_eq!(reason(&status), "IDEMPOTENCY_KEY_REUSED");

        let asked = WebhookEndpoint {
            id: made.id.clone(),
            etag: made.etag.clone(),
            name: "Store".into(),
            event_types: vec![WebhookEventType::LinkCreated.into(), WebhookEventType::LinkCreated.into()],
            ..WebhookEndpoint::default()
        };
        let changed = update(&tenant, asked.clone(), &[]).await;
        assert_eq!((&*changed.name, &changed.url), ("Store", &made.url));
        assert_eq!(changed.event_types, [i32::from(WebhookEventType::LinkCreated)]);
        assert_ne!(changed.etag, made.etag);
        assert_eq!(get(&tenant, &made.id).await.expect("is there"), changed);
        let status = try_update(&tenant, asked, &["name"]).await.expect_err("too late");
        assert_eq!(reason(&status), "ETAG_MISMATCH");
        // What changes nothing is no change.
        let same = update(&tenant, changed.clone(), &["*"]).await;
        assert_eq!(same, changed);
        let status = try_update(&tenant, changed.clone(), &["nothing"]).await.expect_err("wrong");
        assert_eq!(wrong(&status), ["update_mask"]);

        tenant.add_endpoint(an_endpoint()).await;
        let page = ListWebhookEndpointsRequest { page_size: 1, ..ListWebhookEndpointsRequest::default() };
        let first = webhooks.list_webhook_endpoints(page.clone()).await.expect("a page").into_inner();
        assert_eq!(first.webhook_endpoints, [changed.clone()]);
        let page = ListWebhookEndpointsRequest { page_token: first.next_page_token, ..page };
        let second = webhooks.list_webhook_endpoints(page).await.expect("a page").into_inner();
        assert_eq!((second.webhook_endpoints.len(), &*second.next_page_token), (1, ""));

        let gone = DeleteWebhookEndpointRequest {
            webhook_endpoint_id: made.id.clone(),
            request_id: request_id(),
            ..DeleteWebhookEndpointRequest::default()
        };
        webhooks.delete_webhook_endpoint(gone.clone()).await.expect("deletes");
        webhooks.delete_webhook_endpoint(gone.clone()).await.expect("repeats");
        let unasked = DeleteWebhookEndpointRequest { request_id: String::new(), ..gone };
        let status = webhooks.delete_webhook_endpoint(unasked).await.expect_err("is gone");
        assert_eq!(reason(&status), "NOT_FOUND");
        assert_eq!(get(&tenant, &made.id).await.expect_err("is gone").code(), Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn everything_wrong_with_an_endpoint_is_told_at_once() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let many = |count: usize| (0..count).map(|number| header(&format!("x-{number}"), "1")).collect();
        let postback = |url: &str| WebhookEndpoint { url: url.into(), ..a_postback() };
        for (endpoint, expected) in [
            (
                WebhookEndpoint {
                    event_types: vec![0, 1, 13, 99],
                    click_sample: 1_000_001,
                    state: WebhookEndpointState::Disabled.into(),
                    postback: Some(WebhookPostback::default()),
                    filter: Some(WebhookFilter {
                        link_ids: vec!["x".into()],
                        project_id: "x".into(),
                        app_ids: vec![String::new()],
                        classes: vec![0],
                        countries: vec!["CHE".into()],
                        event_names: vec![String::new()],
                        ..WebhookFilter::default()
                    }),
                    ..WebhookEndpoint::default()
                },
                &[
                    "name",
                    "event_types[0]",
                    "event_types[2]",
                    "event_types[3]",
                    "url",
                    "filter.link_ids[0]",
                    "filter.project_id",
                    "filter.app_ids[0]",
                    "filter.classes[0]",
                    "filter.countries[0]",
                    "filter.event_names[0]",
                    "click_sample",
                    "postback",
                    "state",
                ][..],
            ),
            (WebhookEndpoint { name: "x".repeat(256), ..an_endpoint() }, &["name"]),
            (WebhookEndpoint { event_types: vec![], ..an_endpoint() }, &["event_types"]),
            (
                WebhookEndpoint { format: 9, click_mode: 9, signing: 9, state: 9, ..an_endpoint() },
                &["format", "click_mode", "signing", "state"],
            ),
            (
                WebhookEndpoint {
                    format: WebhookFormat::Linkforty.into(),
                    signing: WebhookSigning::Ed25519.into(),
                    click_mode: WebhookClickMode::Batched.into(),
                    ..an_endpoint()
                },
                &["click_mode", "format"],
            ),
            (WebhookEndpoint { headers: many(21), ..an_endpoint() }, &["headers"]),
            (
                WebhookEndpoint {
                    headers: vec![header("x-a", &"a".repeat(4096)), header("x-b", &"a".repeat(4096))],
                    ..an_endpoint()
                },
                &["headers"],
            ),
            (
                WebhookEndpoint {
                    headers: vec![
                        header("Host", "inside"),
                        header("content-length", "7"),
                        header("Transfer-Encoding", "chunked"),
                        header("connection", "close"),
                        header("x-forwarded-for", "10.0.0.1"),
                        header("Webhook-Signature", "v1,x"),
                        header("webhook-id", "msg_x"),
                        header("X-LinkForty-Signature", "sha256=x"),
                        header("Content-Type", "text/plain"),
                        header("User-Agent", "x"),
                        header("x", "1\r\nhost: inside"),
                        header("x\r\nhost", "inside"),
                        header("x-good", "Bearer 7"),
                        header("X-Good", "again"),
                        header("x-empty", ""),
                    ],
                    ..an_endpoint()
                },
                &[
                    "headers[0].name",
                    "headers[1].name",
                    "headers[2].name",
                    "headers[3].name",
                    "headers[4].name",
                    "headers[5].name",
                    "headers[6].name",
                    "headers[7].name",
                    "headers[8].name",
                    "headers[9].name",
                    "headers[10].value",
                    "headers[11].name",
                    "headers[13].name",
                    "headers[14].value",
                ],
            ),
            (
                WebhookEndpoint {
                    event_types: vec![WebhookEventType::LinkCreated.into(), 4],
                    signing: WebhookSigning::Hmac.into(),
                    click_mode: WebhookClickMode::Batched.into(),
                    ..a_postback()
                },
                &["event_types[0]", "click_mode", "signing"],
            ),
            (postback("https://{click_id}.example.com/"), &["url"]),
            (postback("https://example.com/?a={no_such_macro}"), &["url"]),
            (postback("https://127.0.0.1/?a={click_id}"), &["url"]),
            (
                WebhookEndpoint {
                    postback: Some(WebhookPostback { body: "x".into(), ..WebhookPostback::default() }),
                    ..a_postback()
                },
                &["postback.body"],
            ),
            (
                WebhookEndpoint {
                    postback: Some(WebhookPostback {
                        method: PostbackMethod::Post.into(),
                        body: "{no_such_macro}".into(),
                        content_type: "text/html".into(),
                    }),
                    ..a_postback()
                },
                &["postback.body", "postback.content_type"],
            ),
        ] {
            let status = tenant.try_add_endpoint(endpoint.clone()).await.expect_err("is wrong");
            let expected: Vec<String> =
                expected.iter().map(|field| format!("webhook_endpoint.{field}")).collect();
            assert_eq!(wrong(&status), expected, "{endpoint:?}");
        }
        // With it, what is wrong with the request itself.
        let request = CreateWebhookEndpointRequest {
            request_id: "x".into(),
            ..CreateWebhookEndpointRequest::default()
        };
        let status = tenant.webhooks.clone().create_webhook_endpoint(request).await.expect_err("is wrong");
        assert_eq!(wrong(&status), ["webhook_endpoint", "request_id"]);
    })
    .await;
}

/// The ways of writing an address that is not on the public internet, as a URL has it.
const INSIDE: &[&str] = &[
    "127.0.0.1",
    "[::1]",
    "0.0.0.0",
    "0",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "１２７.0.0.1",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "169.254.169.254",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "localhost",
    "localhost.",
    "a.localhost",
    "db.internal",
    "metadata.google.internal",
    "printer.local",
    "router.lan",
    "[::]",
    "[ff02::1]",
    "127.0.0.1.",
];

#[tokio::test]
async fn no_address_inside_can_be_saved_however_it_is_written() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let (made, _) = tenant.add_endpoint(an_endpoint()).await;
        for host in INSIDE {
            for scheme in ["https", "http"] {
                let url = format!("{scheme}://{host}/hooks");
                let new = WebhookEndpoint { url: url.clone(), ..an_endpoint() };
                let status = tenant.try_add_endpoint(new).await.expect_err(&url);
                assert_eq!(wrong(&status), ["webhook_endpoint.url"], "{url}");
                let change =
                    WebhookEndpoint { id: made.id.clone(), url: url.clone(), ..WebhookEndpoint::default() };
                let status = try_update(&tenant, change, &["url"]).await.expect_err(&url);
                assert_eq!(wrong(&status), ["webhook_endpoint.url"], "{url}");
            }
        }
        for url in [
            "",
            "example.com/hooks",
            "ftp://example.com/",
            "https://user:secret@example.com/",
            "https://example.com/#part",
            "https://example.com:22/",
            "https://",
            "https://example.com/\r\nhost: inside",
            "javascript:alert(1)",
        ] {
            let new = WebhookEndpoint { url: url.into(), ..an_endpoint() };
            let status = tenant.try_add_endpoint(new).await.expect_err(url);
            assert_eq!(wrong(&status), ["webhook_endpoint.url"], "{url}");
        }
        // What is kept is what is called: the name as the DNS knows it.
        let new = WebhookEndpoint { url: "https://BÜCHER.example.com./a b".into(), ..an_endpoint() };
        let (kept, _) = tenant.add_endpoint(new).await;
        assert_eq!(kept.url, "https://xn--bcher-kva.example.com/a%20b");
    })
    .await;
}

#[tokio::test]
async fn a_filter_names_what_the_workspace_has() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let (own, theirs) = (app.folders(&tenant).await, app.folders(&other).await);
        let nowhere = "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506".to_owned();
        let filter = |filter: WebhookFilter| WebhookEndpoint { filter: Some(filter), ..an_endpoint() };
        let link = |id: String| filter(WebhookFilter { link_ids: vec![id], ..WebhookFilter::default() });
        let project = |id: String| filter(WebhookFilter { project_id: id, ..WebhookFilter::default() });
        let app_of = |id: String| filter(WebhookFilter { app_ids: vec![id], ..WebhookFilter::default() });
        let domain = |host: String| filter(WebhookFilter { domain: host, ..WebhookFilter::default() });
        other.add_domain("theirs.shop.test").await;
        for (theirs, unknown) in [
            (link(other.create(a_link()).await.id), link(nowhere.clone())),
            (project(theirs.project("theirs").await), project(nowhere.clone())),
            (app_of(other.create_app(an_app()).await.id), app_of(nowhere.clone())),
            (domain("theirs.shop.test".into()), domain("nobodys.shop.test".into())),
        ] {
            let unknown = tenant.try_add_endpoint(unknown).await.expect_err("is nowhere");
            let theirs = tenant.try_add_endpoint(theirs).await.expect_err("is not theirs");
            assert_eq!(reason(&theirs), "NOT_FOUND");
            assert_eq!(face(&theirs), face(&unknown));
        }
        let whole = WebhookFilter {
            link_ids: vec![tenant.create(a_link()).await.id],
            project_id: own.project("own").await,
            domain: "go.example.test".into(),
            app_ids: vec![tenant.create_app(an_app()).await.id],
            classes: vec![v1::ClickClass::Bot.into(), v1::ClickClass::Human.into()],
            countries: vec!["ch".into(), "CH".into(), "DE".into()],
            event_names: vec!["purchase".into()],
        };
        let (made, _) = tenant.add_endpoint(filter(whole.clone())).await;
        let expected = WebhookFilter { countries: vec!["CH".into(), "DE".into()], ..whole.clone() };
        assert_eq!(made.filter.as_ref(), Some(&expected));
        // What it names may go, and the endpoint can be changed all the same.
        tenant.delete(&whole.link_ids[0]).await;
        let renamed =
            WebhookEndpoint { id: made.id.clone(), name: "Other".into(), ..WebhookEndpoint::default() };
        assert_eq!(update(&tenant, renamed, &["name"]).await.filter, Some(expected));
        let cleared = WebhookEndpoint { id: made.id, ..WebhookEndpoint::default() };
        assert_eq!(update(&tenant, cleared, &["filter"]).await.filter, None);
    })
    .await;
}

#[tokio::test]
async fn what_headers_say_is_never_shown() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let headers = vec![header("Authorization", "Bearer open-up"), header("x-team", "shop-team")];
        let (made, _) = tenant.add_endpoint(WebhookEndpoint { headers, ..an_endpoint() }).await;
        let names = |endpoint: &WebhookEndpoint| -> Vec<(String, String)> {
            endpoint.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect()
        };
        let shown = [("authorization".to_owned(), String::new()), ("x-team".to_owned(), String::new())];
        assert_eq!(names(&made), shown);
        // Sent back as they were shown, they stay; one that was not there has nothing to stay.
        let same = update(&tenant, made.clone(), &["headers"]).await;
        assert_eq!(same, made);
        let more = WebhookEndpoint { headers: vec![header("x-new", "")], ..made.clone() };
        let status = try_update(&tenant, more, &["headers"]).await.expect_err("has no value");
        assert_eq!(wrong(&status), ["webhook_endpoint.headers[0].value"]);
        let other = WebhookEndpoint {
            headers: vec![header("authorization", "Bearer other"), header("X-Team", "")],
            ..made.clone()
        };
        let changed = update(&tenant, other, &["headers"]).await;
        assert_eq!(names(&changed), shown);
        assert_ne!(changed.etag, made.etag, "something else is sent");

        let rows = webhook_endpoint::Entity::find().all(&app.env().db.api).await.expect("reads");
        let notes = audit_event::Entity::find().all(&app.env().db.api).await.expect("reads");
        for said in ["open-up", "shop-team", "Bearer other"] {
            assert!(!format!("{rows:?}").contains(said) && !format!("{notes:?}").contains(said), "{said}");
            let stands = |bytes: &[u8]| bytes.windows(said.len()).any(|part| part == said.as_bytes());
            assert!(rows.iter().all(|row| !stands(&row.settings) && !stands(&row.secrets)), "{said}");
        }
        let changed = notes.iter().find(|note| note.action == "webhook_endpoint.updated").expect("is noted");
        assert!(changed.changes.contains("headers"), "{}", changed.changes);
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_told_once_and_the_one_before_is_good_a_while_longer() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let (made, first) = tenant.add_endpoint(an_endpoint()).await;
        let request = rotation(&made.id, 24);
        let mut webhooks = tenant.webhooks.clone();
        let rotated = webhooks.rotate_webhook_secret(request.clone()).await.expect("rotates").into_inner();
        let again = webhooks.rotate_webhook_secret(request).await.expect("repeats").into_inner();
        assert_eq!(rotated.webhook_endpoint, again.webhook_endpoint);
        assert!(again.secret.is_empty() && rotated.secret.starts_with("whsec_"));
        assert_ne!(rotated.secret, first);
        let ends = |endpoint: &WebhookEndpoint| -> Vec<Option<i64>> {
            endpoint.secrets.iter().map(|secret| secret.expire_time.map(|time| time.seconds)).collect()
        };
        let now = app.env().now().timestamp();
        let rotated = rotated.webhook_endpoint.expect("always there");
        assert_eq!(ends(&rotated), [None, Some(now + 24 * 3600)]);
        assert_ne!(rotated.etag, made.etag);
        // No more than three, and when its time is over it is gone.
        let third = rotate(&tenant, &made.id, 168).await.webhook_endpoint.expect("always there");
        assert_eq!(ends(&third), [None, Some(now + 168 * 3600), Some(now + 24 * 3600)]);
        let fourth = rotate(&tenant, &made.id, 168).await.webhook_endpoint.expect("always there");
        assert_eq!(ends(&fourth), [None, Some(now + 168 * 3600), Some(now + 168 * 3600)]);
        app.clock.advance(chrono::Duration::hours(168));
        assert_eq!(ends(&get(&tenant, &made.id).await.expect("is there")), [None]);
        let only = rotate(&tenant, &made.id, 0).await.webhook_endpoint.expect("always there");
        assert_eq!(ends(&only), [None], "nothing of before is good");
        for hours in [-1, 169] {
            let status =
                webhooks.rotate_webhook_secret(rotation(&made.id, hours)).await.expect_err("too long");
            assert_eq!(wrong(&status), ["overlap"], "{hours}");
        }
        let status = webhooks.rotate_webhook_secret(rotation("x", 999)).await.expect_err("wrong");
        assert_eq!(wrong(&status), ["webhook_endpoint_id", "overlap"]);

        let notes = audit_event::Entity::find().all(&app.env().db.api).await.expect("reads");
        let actions: BTreeSet<&str> =
            notes.iter().map(|note| &*note.action).filter(|action| action.starts_with("webhook")).collect();
        assert_eq!(
            actions.into_iter().collect::<Vec<_>>(),
            ["webhook_endpoint.created", "webhook_endpoint.secret_rotated"]
        );
        assert!(notes.iter().all(|note| !note.changes.contains("whsec_")));
    })
    .await;
}

#[tokio::test]
async fn a_public_key_is_shown_always_and_what_is_not_signed_has_no_secret() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let signed = WebhookEndpoint { signing: WebhookSigning::Ed25519.into(), ..an_endpoint() };
        let (made, secret) = tenant.add_endpoint(signed).await;
        assert_eq!((made.signing(), &*secret), (WebhookSigning::Ed25519, ""));
        let shown = get(&tenant, &made.id).await.expect("is there");
        let key = &shown.secrets[0].public_key;
        assert!(key.starts_with("whpk_") && key.len() == 5 + 44, "{key}");
        let rotated = rotate(&tenant, &made.id, 24).await;
        assert!(rotated.secret.is_empty());
        let keys = rotated.webhook_endpoint.expect("always there").secrets;
        assert_eq!((keys.len(), &keys[1].public_key), (2, key));
        // How it is signed stays; LinkForty's receivers cannot check that.
        let other =
            WebhookEndpoint { id: made.id.clone(), signing: 1, format: 2, ..WebhookEndpoint::default() };
        let status =
            try_update(&tenant, other.clone(), &["signing", "format"]).await.expect_err("does not fit");
        assert_eq!(wrong(&status), ["webhook_endpoint.format"]);
        let same = update(&tenant, other, &["signing"]).await;
        assert_eq!(same.signing(), WebhookSigning::Ed25519);

        let (postback, secret) = tenant.add_endpoint(a_postback()).await;
        assert_eq!(
            (postback.signing(), postback.secrets.len(), &*secret),
            (WebhookSigning::Unspecified, 0, "")
        );
        assert_eq!(postback.postback.as_ref().expect("always with it").method(), PostbackMethod::Get);
        assert_eq!(
            (postback.click_mode(), &*postback.url),
            (WebhookClickMode::Each, "https://example.com/p?click={click_id}")
        );
        let request = rotation(&postback.id, 1);
        let status = tenant.webhooks.clone().rotate_webhook_secret(request).await.expect_err("has none");
        assert_eq!(wrong(&status), ["webhook_endpoint_id"]);
        let other = WebhookEndpoint { format: WebhookFormat::Standard.into(), ..postback };
        let status = try_update(&tenant, other, &["format"]).await.expect_err("stays one");
        assert!(wrong(&status).contains(&"webhook_endpoint.format".to_owned()), "{status:?}");
        let (linkforty, secret) = tenant
            .add_endpoint(WebhookEndpoint { format: WebhookFormat::Linkforty.into(), ..an_endpoint() })
            .await;
        assert!(secret.starts_with("whsec_"));
        // Another format has another way with clicks.
        assert_eq!(linkforty.click_mode(), WebhookClickMode::Each);
        let standard = WebhookEndpoint { id: linkforty.id, format: 1, ..WebhookEndpoint::default() };
        assert_eq!(update(&tenant, standard, &["format"]).await.click_mode(), WebhookClickMode::Batched);
    })
    .await;
}

#[tokio::test]
async fn a_workspace_has_a_hundred_endpoints_however_many_come_at_once() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let (made, _) = tenant.add_endpoint(an_endpoint()).await;
        let db = &app.env().db.api;
        let id = WebhookEndpointId::parse(&made.id).expect("an id");
        let row = webhook_endpoint::Entity::find_by_id(id).one(db).await.expect("reads").expect("is there");
        let rows = (0..97).map(|_| {
            let id = WebhookEndpointId::mint(&app.env().ids, app.env().now());
            webhook_endpoint::Model { id, ..row.clone() }.into_active_model().reset_all()
        });
        webhook_endpoint::Entity::insert_many(rows).exec_without_returning(db).await.expect("inserts");
        let tries = (0..4).map(|_| tenant.try_add_endpoint(an_endpoint()));
        let outcomes = futures::future::join_all(tries).await;
        let refused: Vec<&Status> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert_eq!(refused.len(), 2);
        for status in refused {
            assert_eq!(reason(status), "TOO_MANY_WEBHOOK_ENDPOINTS");
            let info = status.get_details_error_info().expect("every error has a reason");
            assert_eq!(info.metadata["limit"], "100");
        }
        assert_eq!(webhook_endpoint::Entity::find().count(db).await.expect("counts"), 100);
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_is_paused_and_resumed_and_enabled_again() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let (made, _) = tenant.add_endpoint(an_endpoint()).await;
        let state = |state: WebhookEndpointState| WebhookEndpoint {
            id: made.id.clone(),
            state: state.into(),
            ..WebhookEndpoint::default()
        };
        let paused = update(&tenant, state(WebhookEndpointState::Paused), &[]).await;
        assert_eq!((paused.state(), &paused.name), (WebhookEndpointState::Paused, &made.name));
        assert_eq!(
            update(&tenant, state(WebhookEndpointState::Active), &[]).await.state(),
            WebhookEndpointState::Active
        );
        disable(app, &made).await;
        let disabled = get(&tenant, &made.id).await.expect("is there");
        assert_eq!(disabled.disable_reason(), WebhookDisableReason::Failing);
        assert!(disabled.state() == WebhookEndpointState::Disabled && disabled.failing_time.is_some());
        // Whatever else is changed of it leaves that.
        let renamed = WebhookEndpoint { name: "Other".into(), ..disabled.clone() };
        let renamed = update(&tenant, renamed, &["name"]).await;
        assert_eq!((renamed.state(), renamed.failing_time), (disabled.state(), disabled.failing_time));
        let redelivery = RedeliverEventsRequest {
            webhook_endpoint_id: made.id.clone(),
            ..RedeliverEventsRequest::default()
        };
        let status = redeliver(&tenant, redelivery).await.expect_err("is disabled");
        assert_eq!(reason(&status), "WEBHOOK_ENDPOINT_DISABLED");
        let enabled = update(&tenant, state(WebhookEndpointState::Active), &["state"]).await;
        assert_eq!(
            (enabled.state(), enabled.disable_reason()),
            (WebhookEndpointState::Active, WebhookDisableReason::Unspecified)
        );
        assert_eq!(enabled.failing_time, None);
    })
    .await;
}

#[tokio::test]
async fn a_test_is_sent_once_and_what_came_of_it_is_told() {
    let stranger = Stranger::open().await;
    let app = stranger.guest(&[("RATE_LIMIT_ENABLED", "true")]).await;
    let tenant = app.tenant().await;
    let send = async |url: String| {
        let (made, _) = tenant.add_endpoint(WebhookEndpoint { url, ..an_endpoint() }).await;
        let request =
            SendTestEventRequest { webhook_endpoint_id: made.id, ..SendTestEventRequest::default() };
        tenant.webhooks.clone().send_test_event(request).await.map(tonic::Response::into_inner)
    };
    stranger.at("/fine", respond("200 OK", "", "thank\x07 you"));
    stranger.at("/broken", respond("500 Internal Server Error", "", "x".repeat(10_000)));
    stranger.at("/away", respond("302 Found", "location: http://169.254.169.254/\r\n", ""));
    stranger.at("/closed", Says::This(Vec::new()));
    for (url, outcome, status) in [
        (stranger.url("/fine"), WebhookAttemptOutcome::Delivered, 200),
        (stranger.url("/broken"), WebhookAttemptOutcome::Status, 500),
        (stranger.url("/away"), WebhookAttemptOutcome::Status, 302),
        (stranger.url("/closed"), WebhookAttemptOutcome::Answer, 0),
        (stranger.url_of("inside.test", "/"), WebhookAttemptOutcome::Refused, 0),
        (stranger.url_of("metadata.test", "/"), WebhookAttemptOutcome::Refused, 0),
        (stranger.url_of("nobody.test", "/"), WebhookAttemptOutcome::Name, 0),
    ] {
        let answer = send(url.clone()).await.expect("tells");
        let attempt = answer.attempt.expect("always there");
        assert_eq!((attempt.outcome(), attempt.status_code, attempt.number), (outcome, status, 1), "{url}");
        assert!(answer.message_id.starts_with("msg_") && attempt.create_time.is_some());
        if url.ends_with("/fine") {
            assert_eq!(attempt.response, "thank\u{fffd} you");
        }
        assert!(attempt.response.len() <= 4096, "{url}");
    }
    let heard = stranger.heard();
    assert_eq!(heard.len(), 4, "each was called once, and nobody else: {heard:#?}");
    let head = heard[0].to_ascii_lowercase();
    assert!(head.starts_with("post /fine") && head.contains("\r\nwebhook-signature: v1,"), "{head}");
    // Nothing of it is kept.
    assert_eq!(webhook_delivery::Entity::find().count(&app.env().db.api).await.expect("counts"), 0);
    for _ in 0..3 {
        send(stranger.url("/fine")).await.expect("tells");
    }
    let status = send(stranger.url("/fine")).await.expect_err("that is enough for a minute");
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "RATE_LIMITED"));
    app.clock.advance(chrono::Duration::minutes(1));
    app.stop().await;
}

#[tokio::test]
async fn deliveries_are_listed_newest_first_with_their_attempts() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let (one, _) = tenant.add_endpoint(a_paused_one()).await;
        let (two, _) = tenant.add_endpoint(a_paused_one()).await;
        let link = |state, attempts| Stored { event_type: EventType::LinkCreated, state, attempts };
        let first = store(app, &one, 0, failed(2)).await;
        let second = store(app, &one, 1, link(WebhookDeliveryState::Delivered, 1)).await;
        let third = store(app, &two, 2, link(WebhookDeliveryState::Pending, 0)).await;
        let fourth = store(app, &one, 3, link(WebhookDeliveryState::Failed, 25)).await;
        let ids = |answer: &ListDeliveriesResponse| -> Vec<String> {
            answer.deliveries.iter().map(|delivery| delivery.message_id.clone()).collect()
        };
        let told = |ids: &[MessageId]| -> Vec<String> { ids.iter().map(|id| told_id(*id)).collect() };
        let all = ListDeliveriesRequest::default();
        let of_one = ListDeliveriesRequest { webhook_endpoint_id: one.id.clone(), ..all.clone() };
        let start = app.env().now() - chrono::Duration::hours(10);
        let minute = |minute: i64| seconds(start + chrono::Duration::minutes(minute));
        let failing = vec![i32::from(WebhookDeliveryState::Failed)];
        let links = vec![i32::from(WebhookEventType::LinkCreated)];
        for (request, expected) in [
            (all.clone(), vec![fourth, third, second, first]),
            (of_one.clone(), vec![fourth, second, first]),
            (ListDeliveriesRequest { states: failing.clone(), ..all.clone() }, vec![fourth, first]),
            (ListDeliveriesRequest { event_types: links.clone(), ..of_one.clone() }, vec![fourth, second]),
            (ListDeliveriesRequest { states: failing, event_types: links, ..all.clone() }, vec![fourth]),
            (
                ListDeliveriesRequest { start_time: minute(1), end_time: minute(3), ..all.clone() },
                vec![third, second],
            ),
            (ListDeliveriesRequest { start_time: minute(4), ..all.clone() }, vec![]),
        ] {
            let answer = list(&tenant, request.clone()).await.expect("lists");
            assert_eq!((ids(&answer), &*answer.next_page_token), (told(&expected), ""), "{request:?}");
        }
        // Page by page it is the same.
        let (mut seen, mut request) = (Vec::new(), ListDeliveriesRequest { page_size: 1, ..all.clone() });
        loop {
            let answer = list(&tenant, request.clone()).await.expect("lists");
            assert!(answer.deliveries.len() <= 1);
            seen.extend(ids(&answer));
            if answer.next_page_token.is_empty() {
                break;
            }
            request.page_token = answer.next_page_token;
        }
        assert_eq!(seen, told(&[fourth, third, second, first]));
        let status =
            list(&tenant, ListDeliveriesRequest { webhook_endpoint_id: one.id.clone(), ..request }).await;
        assert_eq!(status.map(drop).map_err(|status| reason(&status)), Err("PAGE_TOKEN_INVALID".to_owned()));

        let shown = list(&tenant, of_one).await.expect("lists").deliveries;
        let (newest, oldest) = (&shown[0], &shown[2]);
        assert_eq!((oldest.webhook_endpoint_id.clone(), oldest.attempt_count), (one.id.clone(), 2));
        assert_eq!((oldest.create_time, oldest.event_time), (minute(0), minute(0)));
        assert_eq!((&oldest.subject_id, oldest.next_attempt_time), (&one.id, None));
        let numbers: Vec<i32> = oldest.attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, [2, 1]);
        let attempt = &oldest.attempts[1];
        assert_eq!((attempt.outcome(), attempt.status_code), (WebhookAttemptOutcome::Status, 503));
        assert_eq!(attempt.duration, Some(Duration { seconds: 1, nanos: 234_000_000 }));
        assert_eq!(attempt.response, "\u{fffd}[1mno\u{fffd}");
        let numbers: Vec<i32> = newest.attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, (6..=25).rev().collect::<Vec<_>>(), "the newest twenty");

        // Viewers see what became of it, and not what strangers answered.
        let viewer = person(app, "viewer@example.com", Some((&tenant.id, Role::Viewer))).await;
        let mut seen = WebhookServiceClient::with_interceptor(app.channel().await, Bearer(viewer));
        let request = ListDeliveriesRequest { workspace_id: tenant.id.clone(), ..all.clone() };
        let answer = seen.list_deliveries(request).await.expect("may see").into_inner();
        assert_eq!(ids(&answer), told(&[fourth, third, second, first]));
        let attempts = || answer.deliveries.iter().flat_map(|delivery| &delivery.attempts);
        assert!(attempts().count() > 20 && attempts().all(|attempt| attempt.response.is_empty()));
        let request = RedeliverEventsRequest {
            workspace_id: tenant.id.clone(),
            webhook_endpoint_id: one.id.clone(),
            ..RedeliverEventsRequest::default()
        };
        let status = seen.redeliver_events(request).await.expect_err("may not change");
        assert_eq!(reason(&status), "PERMISSION_MISSING");

        // Strangers see nothing, and what is not theirs is as if it were not.
        let other = app.another_tenant().await;
        assert!(list(&other, all.clone()).await.expect("lists").deliveries.is_empty());
        let theirs = ListDeliveriesRequest { webhook_endpoint_id: one.id, ..all };
        assert_eq!(list(&other, theirs).await.expect_err("not theirs").code(), Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_page_of_long_answers_ends_earlier_and_loses_none() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let (made, _) = tenant.add_endpoint(a_paused_one()).await;
        for minute in 0..60 {
            store(app, &made, minute, failed(20)).await;
        }
        let long =
            webhook_attempt::ActiveModel { response: Set(Some(vec![b'a'; 4096])), ..Default::default() };
        webhook_attempt::Entity::update_many().set(long).exec(&app.env().db.api).await.expect("updates");
        let (mut seen, mut pages) = (BTreeSet::new(), 0);
        let mut request = ListDeliveriesRequest { page_size: 1000, ..ListDeliveriesRequest::default() };
        loop {
            let answer = list(&tenant, request.clone()).await.expect("fits");
            seen.extend(answer.deliveries.into_iter().map(|delivery| delivery.message_id));
            pages += 1;
            if answer.next_page_token.is_empty() {
                break;
            }
            request.page_token = answer.next_page_token;
        }
        assert_eq!((seen.len(), pages), (60, 3), "4.7 MiB of answers, 2 MiB at a time");
    })
    .await;
}

#[tokio::test]
async fn events_are_sent_again_one_by_one_or_by_their_time_and_state() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let (made, _) = tenant.add_endpoint(a_paused_one()).await;
        let (other, _) = tenant.add_endpoint(a_paused_one()).await;
        let of = |state| Stored { state, ..failed(10) };
        let first = store(app, &made, 0, failed(10)).await;
        let second = store(app, &made, 1, of(WebhookDeliveryState::Delivered)).await;
        let third = store(app, &made, 2, of(WebhookDeliveryState::Cancelled)).await;
        let fourth = store(app, &made, 3, Stored { event_type: EventType::LinkCreated, ..failed(10) }).await;
        let theirs = store(app, &other, 4, failed(10)).await;
        let of_made = RedeliverEventsRequest {
            webhook_endpoint_id: made.id.clone(),
            ..RedeliverEventsRequest::default()
        };
        let waiting = async || {
            let mut waiting: Vec<MessageId> = Vec::new();
            for row in stored(app, &made).await {
                if row.state == 1 {
                    assert_eq!(
                        (row.attempts, row.next_time),
                        (0, app.env().now()),
                        "it begins anew, at once"
                    );
                    waiting.push(row.message_id);
                }
            }
            waiting.sort_unstable();
            waiting
        };

        let one = RedeliverEventsRequest {
            message_id: told_id(second),
            request_id: request_id(),
            ..of_made.clone()
        };
        assert_eq!(redeliver(&tenant, one.clone()).await.expect("sends").redelivered_count, 1);
        assert_eq!(waiting().await, [second]);
        let unknown = RedeliverEventsRequest { message_id: told_id(theirs), ..of_made.clone() };
        assert_eq!(
            reason(&redeliver(&tenant, unknown).await.expect_err("not to be sent there")),
            "NOT_FOUND"
        );
        let both = RedeliverEventsRequest { states: vec![1], ..one };
        assert_eq!(wrong(&redeliver(&tenant, both).await.expect_err("one or many")), ["states"]);

        let start = app.env().now() - chrono::Duration::hours(10);
        let span = RedeliverEventsRequest {
            end_time: seconds(start + chrono::Duration::minutes(3)),
            request_id: request_id(),
            ..of_made.clone()
        };
        let sent = redeliver(&tenant, span.clone()).await.expect("sends");
        assert_eq!((sent.redelivered_count, &*sent.next_page_token), (2, ""));
        assert_eq!(waiting().await, [first, second, third]);
        // A repeat sends nothing more, and says the same.
        assert_eq!(redeliver(&tenant, span).await.expect("repeats"), sent);
        let links = RedeliverEventsRequest {
            event_types: vec![WebhookEventType::DomainVerified.into()],
            request_id: request_id(),
            ..of_made.clone()
        };
        assert_eq!(redeliver(&tenant, links).await.expect("none is left").redelivered_count, 0);
        assert_eq!(redeliver(&tenant, of_made.clone()).await.expect("the last").redelivered_count, 1);
        assert_eq!(waiting().await, [first, second, third, fourth]);
        assert!(stored(app, &other).await.iter().all(|row| row.state == 3), "nobody else's");

        let notes = audit_event::Entity::find().all(&app.env().db.api).await.expect("reads");
        let notes = notes.iter().filter(|note| note.action == "webhook_endpoint.events_redelivered").count();
        assert_eq!(notes, 3);
        let stranger = app.another_tenant().await;
        let unknown = "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506".to_owned();
        let theirs = redeliver(&stranger, of_made.clone()).await.expect_err("not theirs");
        let nowhere = RedeliverEventsRequest { webhook_endpoint_id: unknown, ..of_made };
        assert_eq!(face(&theirs), face(&redeliver(&stranger, nowhere).await.expect_err("nowhere")));
    })
    .await;
}

#[tokio::test]
async fn many_events_are_sent_again_step_by_step() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let (made, _) = tenant.add_endpoint(a_paused_one()).await;
        store(app, &made, 0, failed(0)).await;
        let db = &app.env().db.api;
        let row = stored(app, &made).await.remove(0);
        let head = webhook_message::Entity::find().one(db).await.expect("reads").expect("is there");
        let start = row.update_time + chrono::Duration::minutes(1);
        for _ in 0..12 {
            let ids: Vec<MessageId> =
                (0..1000).map(|_| MessageId::mint_past(&app.env().ids, start)).collect();
            let heads = ids
                .iter()
                .map(|id| webhook_message::Model { id: *id, ..head.clone() }.into_active_model().reset_all());
            webhook_message::Entity::insert_many(heads).exec_without_returning(db).await.expect("inserts");
            let rows = ids.iter().map(|id| {
                webhook_delivery::Model { message_id: *id, ..row.clone() }.into_active_model().reset_all()
            });
            webhook_delivery::Entity::insert_many(rows).exec_without_returning(db).await.expect("inserts");
        }
        let mut request = RedeliverEventsRequest {
            webhook_endpoint_id: made.id.clone(),
            request_id: request_id(),
            ..RedeliverEventsRequest::default()
        };
        let step = redeliver(&tenant, request.clone()).await.expect("sends");
        assert_eq!(step.redelivered_count, 10_000);
        assert_eq!(redeliver(&tenant, request.clone()).await.expect("repeats").redelivered_count, 10_000);
        request.page_token = step.next_page_token;
        request.request_id = request_id();
        let step = redeliver(&tenant, request).await.expect("goes on");
        assert_eq!((step.redelivered_count, &*step.next_page_token), (2001, ""));
        assert!(stored(app, &made).await.iter().all(|row| row.state == 1));
    })
    .await;
}

#[tokio::test]
async fn what_an_endpoint_was_sent_goes_with_it() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let (made, _) = tenant.add_endpoint(a_paused_one()).await;
        let (other, _) = tenant.add_endpoint(a_paused_one()).await;
        for minute in 0..3 {
            store(app, &made, minute, failed(2)).await;
        }
        store(app, &other, 3, failed(1)).await;
        let request = DeleteWebhookEndpointRequest {
            webhook_endpoint_id: made.id.clone(),
            ..DeleteWebhookEndpointRequest::default()
        };
        tenant.webhooks.clone().delete_webhook_endpoint(request).await.expect("deletes");
        assert!(stored(app, &made).await.is_empty());
        let attempts = webhook_attempt::Entity::find().all(&app.env().db.api).await.expect("reads");
        assert_eq!(attempts.len(), 1, "the other's");
        assert_eq!(list(&tenant, ListDeliveriesRequest::default()).await.expect("lists").deliveries.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_happens_waits_for_a_paused_endpoint_and_can_be_sent_again() {
    let stranger = Stranger::open().await;
    let app = stranger.guest(&[]).await;
    let tenant = app.tenant().await;
    stranger.at("/hooks", respond("200 OK", "", "thanks"));
    let wants = WebhookEndpoint {
        url: stranger.url("/hooks"),
        event_types: vec![WebhookEventType::LinkCreated.into()],
        headers: vec![header("Authorization", "Bearer open-up")],
        ..a_paused_one()
    };
    let (made, _) = tenant.add_endpoint(wants).await;
    let link = tenant.create(a_link()).await;
    let only = async || {
        let answer = list(&tenant, ListDeliveriesRequest::default()).await.expect("lists");
        assert!(answer.deliveries.len() <= 1);
        answer.deliveries.into_iter().next()
    };
    eventually("it is noted", async || only().await.is_some()).await;
    let noted = only().await.expect("is noted");
    assert_eq!(
        (noted.state(), noted.event_type()),
        (WebhookDeliveryState::Pending, WebhookEventType::LinkCreated)
    );
    assert_eq!((&noted.subject_id, noted.attempts.len()), (&link.id, 0));
    assert!(stranger.heard().is_empty(), "it waits");

    let active = WebhookEndpoint { state: WebhookEndpointState::Active.into(), ..made.clone() };
    update(&tenant, active, &["state"]).await;
    let delivered = async |attempts: usize| {
        let delivery = only().await.expect("stays");
        delivery.state() == WebhookDeliveryState::Delivered && delivery.attempts.len() == attempts
    };
    eventually("it is delivered", async || delivered(1).await).await;
    let again = RedeliverEventsRequest {
        webhook_endpoint_id: made.id,
        message_id: noted.message_id.clone(),
        ..RedeliverEventsRequest::default()
    };
    assert_eq!(redeliver(&tenant, again).await.expect("sends").redelivered_count, 1);
    eventually("it is delivered again", async || delivered(2).await).await;
    let delivery = only().await.expect("stays");
    assert_eq!((delivery.attempt_count, &delivery.message_id), (1, &noted.message_id));
    assert!(delivery.attempts.iter().all(|attempt| attempt.number == 1 && attempt.response == "thanks"));
    let heard = stranger.heard();
    assert_eq!(heard.len(), 2);
    for head in heard {
        let head = head.to_ascii_lowercase();
        assert!(head.contains(&format!("\r\nwebhook-id: {}\r\n", noted.message_id)), "{head}");
        assert!(head.contains("\r\nauthorization: bearer open-up\r\n"), "{head}");
    }
    app.stop().await;
}
