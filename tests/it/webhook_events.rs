//! What is told to webhooks: each thing once, to who wants it and nobody else, in the words of the schemas.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use chrono::Duration;
use http::Method;
use linkforty::{
    clock::Moment,
    entity::{outbox, webhook_delivery, webhook_endpoint, webhook_message},
    ids::{AppId, LinkId, ProjectId, WebhookEndpointId, WorkspaceId},
    outbox::{self as telling, Fact, Kind},
    pb::{
        sdk::v1 as sdk,
        v1::{self, ClickClass, DeleteProjectRequest, DomainState, IosApp, Link, PostbackOutcome},
    },
    webhooks::{
        self, Endpoint, EventType, Filter, Settings,
        endpoint::{ClickMode, DisableReason, EVERY_CLICK, Format, Sealed, Signing, State},
        payload,
    },
    workspaces::keys::{self, NewKey, warn},
};
use prost_types::Timestamp;
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    domains::in_every_world,
    support::{
        App, DESKTOP, HERE, IPHONE, SKADNETWORK, STORE_ID, an_app, behind_a_proxy, coded, eventually,
        first_open, iphone, link, on_every_store, pixel, report, send,
    },
};

const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const SCHEMAS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/webhooks");

const LINKS: [EventType; 3] = [EventType::LinkCreated, EventType::LinkUpdated, EventType::LinkDeleted];
const INSTALLS: [EventType; 2] = [EventType::InstallAttributed, EventType::InstallOrganic];
const EVENTS: [EventType; 2] = [EventType::EventRecorded, EventType::RevenueRecorded];

/// What one endpoint was told, a body after the other.
type Heard = Vec<(EventType, Value)>;

fn wanting(event_types: &[EventType]) -> Settings {
    Settings {
        event_types: event_types.to_vec(),
        filter: Filter::default(),
        format: Format::Standard,
        clicks: ClickMode::Batched,
        click_sample: EVERY_CLICK,
        signing: Signing::Hmac,
        postback: None,
    }
}

async fn listen(app: &App, workspace: &str, settings: Settings) -> WebhookEndpointId {
    listen_as(app, workspace, settings, State::Active).await
}

/// Makes an endpoint that nobody answers at.
async fn listen_as(app: &App, workspace: &str, settings: Settings, state: State) -> WebhookEndpointId {
    let env = app.env();
    let (now, id) = (env.now(), WebhookEndpointId::mint(&env.ids, env.now()));
    let endpoint = Endpoint {
        id,
        workspace: WorkspaceId::parse(workspace).expect("an id"),
        name: "ears".to_owned(),
        url: "https://hooks.example.com/".to_owned(),
        settings,
        sealed: Sealed::default().seal(&webhooks::endpoint::seal(env), &env.ids, id),
        state,
        failing_since: None,
        version: 1,
        create_time: now,
        update_time: now,
    };
    endpoint.write().into_active_model().reset_all().insert(&env.db.api).await.expect("is stored");
    id
}

/// Returns what an endpoint was told, once everything was, by when it happened; every body is as its schema says.
async fn heard(app: &App, endpoint: WebhookEndpointId) -> Heard {
    app.told().await;
    let db = &app.env().db.api;
    let deliveries = webhook_delivery::Entity::find().all(db).await.expect("the stores answer");
    let messages = webhook_message::Entity::find().all(db).await.expect("the stores answer");
    let mut messages: BTreeMap<_, _> = messages.into_iter().map(|message| (message.id, message)).collect();
    let of_endpoint = deliveries.iter().filter(|delivery| delivery.endpoint_id == endpoint);
    let mut own: Vec<_> = of_endpoint
        .map(|delivery| {
            (messages.remove(&delivery.message_id).expect("there is what is delivered"), delivery)
        })
        .collect();
    // Messages have no order, but what they tell of has.
    own.sort_by_key(|(message, _)| (message.time, message.id));
    own.into_iter()
        .map(|(message, delivery)| {
            assert_eq!(message.workspace_id, delivery.workspace_id);
            assert!(message.endpoint_id.is_none_or(|of| of == endpoint), "it was written for another");
            let event_type = EventType::of_number(message.event_type).expect("a type");
            let data: Value = serde_json::from_slice(&message.body).expect("JSON");
            let timestamp = linkforty::clock::text(message.time);
            let body = json!({ "type": event_type.name(), "timestamp": timestamp, "data": data });
            check(&schema(event_type), &body, event_type.name());
            (event_type, data)
        })
        .collect()
}

/// Follows a link once. A cold one may have to be asked for again: until a store has answered that is no click.
async fn follow(app: &App) {
    let visit = async || app.visit_as(Method::GET, "/spring", &[("user-agent", DESKTOP)]).await;
    eventually("the link is followed", async || visit().await.status == 302).await;
}

fn types(heard: &Heard) -> Vec<EventType> {
    heard.iter().map(|(event_type, _)| *event_type).collect()
}

/// Returns the ids of all clicks that were told, sorted: those of one moment have no order.
fn clicks(heard: &Heard) -> Vec<String> {
    let of_body = |data: &Value| match &data["clicks"] {
        Value::Array(clicks) => clicks.clone(),
        _ => vec![data["click"].clone()],
    };
    let clicks = heard.iter().flat_map(|(_, data)| of_body(data));
    sorted(clicks.map(|click| click["id"].as_str().expect("an id").to_owned()).collect())
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

fn schema(event_type: EventType) -> Value {
    let file = format!("{SCHEMAS}/{}.schema.json", event_type.name());
    serde_json::from_str(&fs::read_to_string(file).expect("the schema is there")).expect("JSON")
}

/// Checks a value against a schema, as far as ours go. More than a schema asks: nothing may be there that it does not name.
fn check(schema: &Value, value: &Value, path: &str) {
    let words = schema.as_object().expect("a schema is an object");
    for (word, says) in words {
        match word.as_str() {
            "$schema" | "title" | "description" | "examples" => {}
            "type" => assert!(is_of(says, value), "{path} is no {says}: {value}"),
            "const" => assert_eq!(value, says, "{path}"),
            "enum" => assert!(says.as_array().expect("a list").contains(value), "{path} is {value}"),
            "required" => {
                for name in says.as_array().expect("a list") {
                    assert!(
                        value.get(name.as_str().expect("a name")).is_some(),
                        "{path} lacks {name}: {value}"
                    );
                }
            }
            "properties" => {
                for (name, value) in value.as_object().expect("an object") {
                    let inner = says.get(name).unwrap_or_else(|| panic!("{path}.{name} is in no schema"));
                    check(inner, value, &format!("{path}.{name}"));
                }
            }
            "additionalProperties" => {
                value.as_object().expect("an object").values().for_each(|value| check(says, value, path));
            }
            "items" => value.as_array().expect("a list").iter().for_each(|item| check(says, item, path)),
            "minItems" => {
                assert!(value.as_array().expect("a list").len() as u64 >= says.as_u64().expect("a number"))
            }
            "maxItems" => {
                assert!(value.as_array().expect("a list").len() as u64 <= says.as_u64().expect("a number"))
            }
            "minimum" => assert!(value.as_i64() >= says.as_i64(), "{path} is {value}"),
            "maximum" => assert!(value.as_i64() <= says.as_i64(), "{path} is {value}"),
            "format" => {
                let text = value.as_str().expect("a text");
                match says.as_str() {
                    Some("uuid") => drop(Uuid::parse_str(text).expect("a UUID")),
                    Some("date-time") => drop(text.parse::<Moment>().expect("a moment")),
                    other => panic!("{path}: no check of {other:?}"),
                }
            }
            other => panic!("{path}: no check of {other:?}"),
        }
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some(other) => panic!("no check of the type {other}"),
        None => kind.as_array().expect("several types").iter().any(|kind| is_of(kind, value)),
    }
}

#[test]
fn every_type_has_a_schema_with_an_example_that_fits() {
    let files: BTreeSet<String> = fs::read_dir(SCHEMAS)
        .expect("the folder is there")
        .map(|file| file.expect("a file").file_name().into_string().expect("UTF-8"))
        .collect();
    let expected: BTreeSet<String> =
        EventType::ALL.iter().map(|one| format!("{}.schema.json", one.name())).collect();
    assert_eq!(files, expected);
    let page = fs::read_to_string(format!("{SCHEMAS}.md")).expect("the page is there");
    for event_type in EventType::ALL {
        let schema = schema(event_type);
        let examples = schema["examples"].as_array().expect("examples");
        assert!(!examples.is_empty());
        examples.iter().for_each(|example| check(&schema, example, event_type.name()));
        assert!(
            page.contains(&format!("`{}`", event_type.name())),
            "the page does not tell of {event_type:?}"
        );
    }
    let id = WebhookEndpointId(Uuid::from_u128(1));
    let workspace = WorkspaceId(Uuid::from_u128(2));
    let data: Value = serde_json::from_slice(&payload::test(workspace, id)).expect("JSON");
    check(&schema(EventType::TestSent)["properties"]["data"], &data, "test.sent");
}

#[tokio::test]
async fn what_becomes_of_links_is_told_once_to_those_who_want_it() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let all = listen(app, &tenant.id, wanting(&LINKS)).await;
        let deleted = listen(app, &tenant.id, wanting(&[EventType::LinkDeleted])).await;
        let clicks_only = listen(app, &tenant.id, wanting(&[EventType::ClickRecorded])).await;
        let theirs = listen(app, &other.id, wanting(&LINKS)).await;

        let made = tenant.create(link("spring", "https://example.com/a")).await;
        app.clock.advance(Duration::seconds(1));
        let changed = Link { destination_url: "https://example.com/b".to_owned(), ..made.clone() };
        let changed = tenant.update(changed, &["destination_url"]).await;
        // Nothing is different.
        tenant.update(changed.clone(), &["destination_url"]).await;
        app.clock.advance(Duration::seconds(1));
        tenant.delete(&made.id).await;

        let told = heard(app, all).await;
        assert_eq!(types(&told), LINKS);
        let links: Vec<&Value> = told.iter().map(|(_, data)| &data["link"]).collect();
        assert!(
            links
                .iter()
                .all(|link| link["id"] == made.id.as_str() && link["short_url"] == made.short_url.as_str())
        );
        assert_eq!(
            links.iter().map(|link| link["destination_url"].as_str().expect("set")).collect::<Vec<_>>(),
            ["https://example.com/a", "https://example.com/b", "https://example.com/b"]
        );
        assert_eq!(told[1].1["changed_fields"], json!(["destination_url"]));
        assert_eq!(types(&heard(app, deleted).await), [EventType::LinkDeleted]);
        assert!(heard(app, clicks_only).await.is_empty() && heard(app, theirs).await.is_empty());
        // What was told needs no body any more.
        let rows = outbox::Entity::find().all(&app.env().db.api).await.expect("the stores answer");
        assert!(rows.iter().all(|row| row.told_time.is_some() && row.body.is_none()), "{rows:?}");

        other.create(link("theirs", "https://example.com/")).await;
        assert_eq!(types(&heard(app, theirs).await), [EventType::LinkCreated]);
        assert_eq!(heard(app, all).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn links_are_told_by_their_project_and_leaving_it_is_told_too() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let folders = app.folders(&tenant).await;
        let project = folders.project("Spring").await;
        let filter = Filter { project: ProjectId::parse(&project), ..Filter::default() };
        let of_project = listen(app, &tenant.id, Settings { filter, ..wanting(&LINKS) }).await;
        let all = listen(app, &tenant.id, wanting(&LINKS)).await;
        let inside = tenant.create(Link { project_id: project.clone(), ..coded("inside") }).await;
        app.clock.advance(Duration::seconds(1));
        tenant.create(coded("outside")).await;
        app.clock.advance(Duration::seconds(1));
        tenant.alias(&inside.id, "further").await.expect("is free");
        app.clock.advance(Duration::seconds(1));
        let request = DeleteProjectRequest { project_id: project, ..DeleteProjectRequest::default() };
        folders.projects.clone().delete_project(request).await.expect("deletes");

        let told = heard(app, of_project).await;
        assert_eq!(types(&told), [EventType::LinkCreated, EventType::LinkUpdated], "{told:?}");
        let told = heard(app, all).await;
        let updated = EventType::LinkUpdated;
        assert_eq!(types(&told), [EventType::LinkCreated, EventType::LinkCreated, updated, updated]);
        assert_eq!(told[2].1["link"]["aliases"], json!(["further"]));
        assert_eq!(told[3].1["changed_fields"], json!(["project_id"]));
        assert!(told[3].1["link"].get("project_id").is_none());
        let stored = tenant.get(&inside.id).await.expect("is there");
        assert_eq!(
            (stored.project_id.as_str(), told[3].1["link"]["etag"].as_str()),
            ("", Some(&*stored.etag))
        );
    })
    .await;
}

#[tokio::test]
async fn clicks_come_many_in_one_body_or_each_in_its_own() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let spring = tenant.create(coded("spring")).await;
        let autumn = tenant.create(coded("autumn")).await;
        let clicked = wanting(&[EventType::ClickRecorded]);
        let batched = listen(app, &tenant.id, clicked.clone()).await;
        let each = listen(app, &tenant.id, Settings { clicks: ClickMode::Each, ..clicked.clone() }).await;
        let legacy = listen(app, &tenant.id, Settings { format: Format::LinkForty, ..clicked.clone() }).await;
        let filter = Filter { links: LinkId::parse(&autumn.id).into_iter().collect(), ..Filter::default() };
        let of_autumn = listen(app, &tenant.id, Settings { filter, ..clicked.clone() }).await;
        let filter = Filter { classes: vec![ClickClass::Bot], ..Filter::default() };
        let bots = listen(app, &tenant.id, Settings { filter, ..clicked.clone() }).await;
        let filter = Filter { domain: "elsewhere.example".to_owned(), ..Filter::default() };
        let elsewhere = listen(app, &tenant.id, Settings { filter, ..clicked.clone() }).await;
        let sample = Settings { click_sample: 300_000, clicks: ClickMode::Each, ..clicked.clone() };
        let sampled = listen(app, &tenant.id, sample.clone()).await;
        let again = listen(app, &tenant.id, Settings { clicks: ClickMode::Batched, ..sample }).await;
        let opens = listen(app, &tenant.id, wanting(&[EventType::OpenRecorded])).await;
        let theirs = listen(app, &other.id, clicked).await;

        let mut made = Vec::new();
        for number in 0..130 {
            let path = if number < 10 { "/autumn" } else { "/spring?utm_source=mail&x=1" };
            let answer = app.visit_as(Method::GET, path, &[("user-agent", IPHONE)]).await;
            made.push(answer.headers["x-click-id"].to_str().expect("text").to_owned());
        }
        app.visit_as(Method::GET, "/spring", &[("user-agent", GOOGLEBOT)]).await;
        app.settled().await;

        let first = sorted(made[..10].to_vec());
        let made = sorted(made);
        let told = heard(app, batched).await;
        assert_eq!(clicks(&told), made);
        assert!(told.len() < 130 && told.iter().all(|(_, data)| data["clicks"].is_array()), "{}", told.len());
        for endpoint in [each, legacy] {
            let told = heard(app, endpoint).await;
            assert_eq!((told.len(), clicks(&told)), (130, made.clone()));
        }
        let told = heard(app, each).await;
        let of_spring = |told: &&(EventType, Value)| told.1["click"]["link_id"] == spring.id.as_str();
        let (_, of_spring) = told.iter().find(of_spring).expect("there are many");
        let click = &of_spring["click"];
        assert_eq!(click["link_id"], spring.id.as_str());
        assert_eq!(
            (&click["platform"], &click["class"], &click["is_bot"]),
            (&json!("ios"), &json!("human"), &json!(false))
        );
        assert_eq!(
            (&click["utm"], &click["query"]),
            (&json!({ "source": "mail" }), &json!("utm_source=mail&x=1"))
        );
        let (name, data) = payload::legacy::legacy(EventType::ClickRecorded, of_spring);
        assert_eq!(
            (name, &data["linkId"], &data["utmSource"]),
            ("click_event", &json!(spring.id), &json!("mail"))
        );
        assert_eq!(clicks(&heard(app, of_autumn).await), first);
        let told = heard(app, bots).await;
        assert_eq!((told.len(), &told[0].1["clicks"][0]["class"]), (1, &json!("bot")));
        let some = clicks(&heard(app, sampled).await);
        assert!(
            (5..80).contains(&some.len()) && some.iter().all(|click| made.contains(click)),
            "{}",
            some.len()
        );
        assert_eq!(clicks(&heard(app, again).await), some);
        for nothing in [elsewhere, opens, theirs] {
            assert!(heard(app, nothing).await.is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn installs_opens_and_events_are_told_with_what_was_decided() {
    behind_a_proxy(async |app, tenant| {
        let shared = Link { deep_link_path: "/product/42".to_owned(), ..coded("spring") };
        let link = tenant
            .create(Link { deep_link_parameters: [("id".to_owned(), "42".to_owned())].into(), ..shared });
        let link = link.await;
        let token = tenant.app_token().await;
        let sdk = app.sdk(&token, HERE).await;
        let installs = listen(app, &tenant.id, wanting(&INSTALLS)).await;
        let opens = listen(app, &tenant.id, wanting(&[EventType::OpenRecorded])).await;
        let events = listen(app, &tenant.id, wanting(&EVENTS)).await;
        let filter = Filter { event_names: vec!["purchase".to_owned()], ..Filter::default() };
        let purchases =
            listen(app, &tenant.id, Settings { filter, ..wanting(&[EventType::EventRecorded]) }).await;
        let filter = Filter { links: vec![LinkId(Uuid::from_u128(1))], ..Filter::default() };
        let elsewhere = [EventType::InstallAttributed, EventType::EventRecorded, EventType::OpenRecorded];
        let elsewhere = listen(app, &tenant.id, Settings { filter, ..wanting(&elsewhere) }).await;

        let tapped = app.tap("/spring?coupon=x&utm_source=mail", HERE).await;
        let click_id = tapped.headers["x-click-id"].to_str().expect("text").to_owned();
        app.settled().await;
        app.clock.advance(Duration::minutes(5));
        let attributed = report(&sdk, first_open("phone-0001", iphone())).await;
        assert_eq!(attributed.state(), sdk::AttributionState::Attributed);
        app.clock.advance(Duration::seconds(1));
        let organic = report(&app.sdk(&token, "192.0.2.9").await, first_open("phone-0002", pixel())).await;
        // Reported again, nothing is new.
        report(&sdk, first_open("phone-0001", iphone())).await;

        let told = heard(app, installs).await;
        assert_eq!(types(&told), INSTALLS, "{told:?}");
        let install = &told[0].1["install"];
        assert_eq!(
            (&install["id"], &install["link_id"], &install["click_id"]),
            (&json!(attributed.install_id), &json!(link.id), &json!(click_id))
        );
        assert_eq!(
            (&install["method"], &install["confidence"]),
            (&json!("probabilistic"), &json!(attributed.score))
        );
        assert_eq!(
            (&install["click_query"], &install["utm"]),
            (&json!("coupon=x&utm_source=mail"), &json!({ "source": "mail" }))
        );
        assert_eq!(
            install["deep_link"],
            json!({ "path": "/product/42", "parameters": { "coupon": "x", "id": "42" } })
        );
        assert_eq!(
            payload::legacy::legacy(EventType::InstallAttributed, &told[0].1).1["deepLinkData"]["id"],
            "42"
        );
        let none = &told[1].1["install"];
        assert_eq!((&none["id"], &none["no_match_reason"]), (&json!(organic.install_id), &json!("no_click")));
        assert!(none.get("link_id").is_none() && none.get("confidence").is_none());

        let now = app.env().now().timestamp();
        let event = |name: &str, units: Option<i64>, transaction: &str| sdk::Event {
            event_id: Uuid::from_bytes(app.env().ids.bytes()).to_string(),
            name: name.to_owned(),
            event_time: Some(Timestamp { seconds: now, nanos: 0 }),
            revenue: units.map(|units| sdk::Money { currency: "CHF".to_owned(), units, nanos: 0 }),
            transaction_id: transaction.to_owned(),
            ..sdk::Event::default()
        };
        let recorded = vec![
            event("signup", None, ""),
            event("purchase", Some(9), "t-1"),
            // The same purchase, told twice by the app: it earns nothing more.
            event("purchase", Some(9), "t-1"),
        ];
        let request =
            sdk::RecordEventsRequest { install_id: attributed.install_id.clone(), events: recorded };
        sdk.clone().record_events(request).await.expect("is answered");
        let open = sdk::ReportOpenRequest {
            install_id: attributed.install_id.clone(),
            open_id: Uuid::from_bytes(app.env().ids.bytes()).to_string(),
            url: link.short_url.clone(),
            open_time: Some(Timestamp { seconds: now, nanos: 0 }),
            device: Some(iphone()),
        };
        sdk.clone().report_open(open).await.expect("is answered");
        app.settled().await;

        let told = heard(app, events).await;
        let of = |wanted: EventType| told.iter().filter(move |(event_type, _)| *event_type == wanted);
        assert_eq!(
            (of(EventType::EventRecorded).count(), of(EventType::RevenueRecorded).count()),
            (3, 1),
            "{told:?}"
        );
        let (_, earned) = of(EventType::RevenueRecorded).next().expect("one");
        let earned = &earned["event"];
        assert_eq!(earned["revenue"], json!({ "currency": "CHF", "units": 9, "nanos": 0 }));
        assert_eq!((&earned["install_link_id"], &earned["transaction_id"]), (&json!(link.id), &json!("t-1")));
        assert_eq!(types(&heard(app, purchases).await), [EventType::EventRecorded; 2]);
        let told = heard(app, opens).await;
        assert_eq!((told.len(), &told[0].1["clicks"][0]["link_id"]), (1, &json!(link.id)), "{told:?}");
        assert!(heard(app, elsewhere).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn domains_and_keys_are_told_of() {
    in_every_world(async |world| {
        let (app, tenant) = (&world.app, &world.tenant);
        let kinds = [EventType::DomainVerified, EventType::ApiKeyExpiring];
        // Whatever a filter does not speak of passes it.
        let filter = Filter { links: vec![LinkId(Uuid::from_u128(1))], ..Filter::default() };
        let ears = listen(app, &tenant.id, Settings { filter, ..wanting(&kinds) }).await;
        let domain = world.proved(tenant, "go.shop.test").await;
        let operator = linkforty::workspaces::enter_as_operator(app.env(), Some(&tenant.id)).await;
        let operator = operator.expect("it is there");
        let new = NewKey::new("ci", vec![linkforty::rpc::Permission::LinksRead]);
        keys::create(app.env(), &operator, new, None).await.expect("creates");
        let told = heard(app, ears).await;
        assert_eq!(types(&told), [EventType::DomainVerified]);
        assert_eq!(told[0].1["domain"]["id"], domain.id.as_str());
        assert_eq!(told[0].1["domain"]["state"], DomainState::Verified.as_str_name());
        assert!(told[0].1["domain"].get("proof").is_none());
        app.clock.advance(Duration::days(76));
        warn::sweep(app.env()).await.expect("the stores answer");
        let told = heard(app, ears).await;
        let names: BTreeSet<_> =
            told[1..].iter().map(|(_, data)| data["api_key"]["name"].as_str().expect("named")).collect();
        assert!(
            names.contains("ci") && types(&told)[1..].iter().all(|one| *one == EventType::ApiKeyExpiring)
        );
    })
    .await;
}

#[tokio::test]
async fn a_postback_that_apple_signed_is_told_once_and_no_other() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let ios = IosApp {
            bundle_id: "com.example.shop".to_owned(),
            app_id_prefixes: vec!["ABCDE12345".to_owned()],
            app_store_id: STORE_ID.to_string(),
            ..IosApp::default()
        };
        let shop = tenant.create_app(v1::App { ios: Some(ios), ..an_app() }).await;
        let wants = wanting(&[EventType::PostbackReceived]);
        let of_apps = |apps| Settings { filter: Filter { apps, ..Filter::default() }, ..wants.clone() };
        let ears = listen(app, &tenant.id, of_apps(vec![AppId::parse(&shop.id).expect("an id")])).await;
        let elsewhere = listen(app, &tenant.id, of_apps(vec![AppId(Uuid::from_u128(1))])).await;
        // The sample of Apple's page "Verifying an install-validation postback".
        let real = json!({
            "version": "4.0", "ad-network-id": "com.example", "source-identifier": "5239", "app-id": STORE_ID,
            "transaction-id": "6aafb7a5-0170-41b5-bbe4-fe71dedf1e30", "redownload": false, "source-domain": "example.com",
            "fidelity-type": 1, "did-win": true, "conversion-value": 63, "postback-sequence-index": 0,
            "attribution-signature": "MEUCIGRmSMrqedNu6uaHyhVcifs118R5z/AB6cvRaKrRRHWRAiEAv96ne3dKQ5kJpbsfk4eYiePmrZUU6sQmo+7zfP/1Bxo=",
        });
        let mut forged = real.clone();
        forged["did-win"] = json!(false);
        for body in [&forged, &real, &real] {
            let json = [("content-type", "application/json")];
            let answer = send(app.links(), Method::POST, SKADNETWORK, &json, body.to_string().into()).await;
            assert_eq!(answer.status, 200);
        }
        let told = heard(app, ears).await;
        assert_eq!(types(&told), [EventType::PostbackReceived]);
        let postback = &told[0].1["postback"];
        assert_eq!((&postback["app_id"], &postback["fine_value"]), (&json!(shop.id), &json!(63)));
        assert_eq!(postback["outcome"], PostbackOutcome::Verified.as_str_name());
        assert!(heard(app, elsewhere).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_did_not_happen_is_not_told() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let ears = listen(app, &tenant.id, wanting(&LINKS)).await;
        let made = tenant.create(coded("spring")).await;
        tenant.try_create(coded("spring")).await.expect_err("is taken");
        let env = app.env();
        let workspace = WorkspaceId::parse(&tenant.id).expect("an id");
        let fact = Fact { kind: Kind::LinkDeleted, subject: Uuid::from_u128(1), body: b"{}".to_vec() };
        let tx = env.db.begin().await.expect("the stores answer");
        telling::note(&tx, &env.ids, workspace, [fact], env.now()).await.expect("the stores answer");
        tx.rollback().await.expect("the stores answer");
        let told = heard(app, ears).await;
        assert_eq!(
            (types(&told), told[0].1["link"]["id"].as_str()),
            (vec![EventType::LinkCreated], Some(&*made.id))
        );
    })
    .await;
}

#[tokio::test]
async fn who_is_paused_is_told_later_and_who_is_disabled_never() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let wants = wanting(&[EventType::LinkCreated, EventType::ClickRecorded]);
        let paused = listen_as(app, &tenant.id, wants.clone(), State::Paused).await;
        let gone = State::Disabled(DisableReason::Gone);
        let disabled = listen_as(app, &tenant.id, wants, gone).await;
        tenant.create(coded("spring")).await;
        app.clock.advance(Duration::seconds(1));
        follow(app).await;
        app.settled().await;
        assert_eq!(types(&heard(app, paused).await), [EventType::LinkCreated, EventType::ClickRecorded]);
        assert!(heard(app, disabled).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn where_nobody_listens_nothing_is_kept_and_who_comes_later_hears_nothing_of_it() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("spring")).await;
        follow(app).await;
        app.settled().await;
        app.told().await;
        let db = &app.env().db.api;
        assert_eq!(outbox::Entity::find().count(db).await.expect("the stores answer"), 0);
        let wants = wanting(&[EventType::LinkCreated, EventType::ClickRecorded]);
        let late = listen(app, &tenant.id, wants).await;
        follow(app).await;
        app.settled().await;
        assert_eq!(clicks(&heard(app, late).await).len(), 1);
        assert_eq!(webhook_endpoint::Entity::find().count(db).await.expect("the stores answer"), 1);
    })
    .await;
}

#[tokio::test]
async fn after_a_month_messages_and_deliveries_are_forgotten() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let ears = listen(app, &tenant.id, wanting(&LINKS)).await;
        tenant.create(coded("spring")).await;
        app.told().await;
        app.clock.advance(Duration::days(29));
        tenant.create(coded("autumn")).await;
        assert_eq!(heard(app, ears).await.len(), 2);
        webhooks::sweep(app.env()).await.expect("the stores answer");
        assert_eq!(heard(app, ears).await.len(), 2);
        app.clock.advance(Duration::days(2));
        webhooks::sweep(app.env()).await.expect("the stores answer");
        let told = heard(app, ears).await;
        assert_eq!((told.len(), &told[0].1["link"]["short_code"]), (1, &json!("autumn")));
        let db = &app.env().db.api;
        eventually("what was told a week ago is forgotten", async || {
            telling::sweep(db, app.env().now()).await.expect("the stores answer");
            outbox::Entity::find().count(db).await.expect("the stores answer") == 1
        })
        .await;
    })
    .await;
}
