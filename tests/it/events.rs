//! Events of apps: kept once, refused one by one, with exact money, and shown with the link they are credited to.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use futures::future::join_all;
use linkforty::{
    attribution::events,
    clock::{Moment, from_micros},
    entity::{event, install},
    ids::{AppId, ClickId, Ids, InstallId, LinkId, WorkspaceId},
    pb::{
        sdk::v1::{
            Event, EventResult, EventStatus, Money, RecordEventsRequest, RecordEventsResponse,
            sdk_service_client::SdkServiceClient,
        },
        v1::{
            self, AppAttribution, AppEvent, EventCredit, GetScreenFlowRequest, Link, ListEventsRequest,
            UpdateWorkspaceRequest, Workspace, WorkspaceSettings,
            attribution_service_client::AttributionServiceClient,
            workspace_service_client::WorkspaceServiceClient,
        },
    },
};
use prost::Message as _;
use prost_types::{Struct, Timestamp, Value, value::Kind};
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _};
use tonic::{
    Code, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use crate::accounts::settled_owner;
use crate::support::{App, Bearer, Tenant, a_link, an_app, coded, on_every_store, reason, stores, wrong};

type Calls = SdkServiceClient<InterceptedService<Channel, Bearer>>;
type Attribution = AttributionServiceClient<InterceptedService<Channel, Bearer>>;

/// The clock of tests stands here.
const NOON: i64 = 1_795_348_800;
const DAY: i64 = 86_400;
const INSTALL: &str = "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506";

async fn calls(app: &App, token: &str) -> Calls {
    let endpoint = Endpoint::from_shared(format!("http://{}", app.links())).expect("a valid address");
    let channel = endpoint.connect().await.expect("the links listener accepts");
    SdkServiceClient::with_interceptor(channel, Bearer(token.to_owned()))
}

async fn attribution(app: &App, tenant: &Tenant) -> Attribution {
    AttributionServiceClient::with_interceptor(app.channel().await, Bearer(tenant.key.clone()))
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn an_event(number: i64) -> Event {
    Event {
        event_id: format!("event-{number:06}"),
        name: "open".to_owned(),
        event_time: at(NOON - number),
        ..Event::default()
    }
}

fn properties(of: &[(&str, &str)]) -> Option<Struct> {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    Some(Struct { fields: of.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect() })
}

fn chf(units: i64, nanos: i32) -> Option<Money> {
    Some(Money { currency: "CHF".to_owned(), units, nanos })
}

async fn send(calls: &Calls, install: &str, events: Vec<Event>) -> Result<RecordEventsResponse, Status> {
    let request = RecordEventsRequest { install_id: install.to_owned(), events };
    Ok(calls.clone().record_events(request).await?.into_inner())
}

async fn record(calls: &Calls, events: Vec<Event>) -> Vec<EventResult> {
    send(calls, INSTALL, events).await.expect("records").results
}

/// Records events, and sends those again that are to be.
async fn settle(calls: &Calls, events: &[Event]) -> Vec<EventResult> {
    for _ in 0..50 {
        let results = record(calls, events.to_vec()).await;
        if results.iter().all(|result| result.status() != EventStatus::Retry) {
            return results;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("the database never said what it knows")
}

async fn accepted(calls: &Calls, events: Vec<Event>) {
    for result in record(calls, events).await {
        assert_eq!(result.status(), EventStatus::Accepted, "{result:?}");
    }
}

fn statuses(results: &[EventResult]) -> Vec<EventStatus> {
    results.iter().map(EventResult::status).collect()
}

async fn list(attribution: &Attribution, request: ListEventsRequest) -> Vec<AppEvent> {
    attribution.clone().list_events(request).await.expect("lists").into_inner().events
}

async fn all(attribution: &Attribution) -> Vec<AppEvent> {
    list(attribution, ListEventsRequest { page_size: 1000, ..ListEventsRequest::default() }).await
}

async fn stored(app: &App) -> u64 {
    event::Entity::find().count(&app.env().db.api).await.expect("events can be counted")
}

const ACCEPTED: EventStatus = EventStatus::Accepted;
const REFUSED: EventStatus = EventStatus::Refused;

#[tokio::test]
async fn an_event_is_one_row_however_often_wherever_and_on_whatever_day_it_is_sent() {
    for store in stores() {
        let mut app = App::start(store).await;
        let token = app.tenant().await.create_app(an_app()).await.app_token;
        let batch: Vec<Event> = (0..20)
            .map(|number| Event {
                properties: properties(&[("sku", &number.to_string()), ("colour", "red")]),
                revenue: chf(number, 500_000_000),
                transaction_id: format!("t{number}"),
                ..an_event(number)
            })
            .collect();
        let mut answers = BTreeSet::new();
        for round in 0..4 {
            let calls = calls(&app, &token).await;
            let sent = join_all((0..5).map(|_| send(&calls, INSTALL, batch.clone()))).await;
            answers.extend(sent.into_iter().map(|sent| sent.expect("records").encode_to_vec()));
            if round > 0 {
                app.settled().await;
            }
            app = app.restart().await;
            // Over a midnight, too.
            app.clock.advance(Duration::hours(10));
        }
        app.settled().await;
        assert_eq!(answers.len(), 1, "every answer is the same, byte for byte, on {store}");
        let rows = event::Entity::find().all(&app.env().db.api).await.expect("events can be read");
        assert_eq!(rows.len(), batch.len(), "on {store}");
        assert!(rows.iter().all(|row| !row.duplicate_revenue), "on {store}");
        app.stop().await;
    }
}

#[tokio::test]
async fn an_id_of_another_event_is_refused() {
    for store in stores() {
        let mut app = App::start(store).await;
        let tenant = app.tenant().await;
        let token = tenant.create_app(an_app()).await.app_token;
        let other = tenant.create_app(v1::App { name: "Other".into(), ..an_app() }).await.app_token;
        let calls_first = calls(&app, &token).await;
        // Twice in one call too.
        let named = |name: &str| Event { name: name.into(), ..an_event(1) };
        let results = record(&calls_first, vec![named("open"), named("close"), named("open")]).await;
        assert_eq!(statuses(&results), [ACCEPTED, REFUSED, ACCEPTED]);
        assert_eq!(results[1].error, "event_id: was used for another event");
        let later = Event { event_time: at(NOON - 2), ..named("open") };
        assert_eq!(statuses(&record(&calls_first, vec![later]).await), [REFUSED]);
        let elsewhere = send(&calls_first, &Uuid::from_u128(7).to_string(), vec![named("open")]).await;
        assert_eq!(statuses(&elsewhere.expect("records").results), [REFUSED]);
        // Another app's ids are its own.
        accepted(&calls(&app, &other).await, vec![named("close")]).await;
        app.settled().await;
        app = app.restart().await;
        let calls_again = calls(&app, &token).await;
        // The first answer of the database takes a connection, and beside one that is too late it has a second for it.
        let late = Event { event_time: at(NOON - 31 * DAY), ..an_event(9) };
        settle(&calls_again, std::slice::from_ref(&late)).await;
        let results = record(&calls_again, vec![named("close"), named("open"), an_event(3), late]).await;
        let expected = [REFUSED, ACCEPTED, ACCEPTED, REFUSED];
        assert_eq!(statuses(&results), expected, "the database knows, on {store}");
        app.settled().await;
        assert_eq!(stored(&app).await, 3, "on {store}");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_bad_event_costs_no_other() {
    on_every_store(async |app| {
        let token = app.tenant().await.create_app(an_app()).await.app_token;
        let calls = calls(app, &token).await;
        let number = |number| Value { kind: Some(Kind::NumberValue(number)) };
        let of = |name: &str, value| Some(Struct { fields: [(name.to_owned(), value)].into() });
        let mut deep = number(1.0);
        for _ in 0..8 {
            deep =
                Value { kind: Some(Kind::StructValue(Struct { fields: [("a".to_owned(), deep)].into() })) };
        }
        let many: Vec<(String, String)> = (0..101).map(|n| (format!("n{n}"), String::new())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (&**name, &**text)).collect();
        let bad: Vec<(&str, Event)> = vec![
            ("event_id", Event { event_id: "x".into(), ..an_event(0) }),
            ("event_id", Event { event_id: "a\u{0}bcdefgh".into(), ..an_event(0) }),
            ("name", Event { name: String::new(), ..an_event(1) }),
            ("name", Event { name: "a\u{7}".into(), ..an_event(1) }),
            ("event_time", Event { event_time: None, ..an_event(1) }),
            ("event_time", Event { event_time: at(NOON + DAY + 1), ..an_event(1) }),
            ("event_time", Event { event_time: at(NOON - 30 * DAY - 1), ..an_event(1) }),
            ("event_time", Event { event_time: at(i64::MAX), ..an_event(1) }),
            ("event_time", Event { event_time: Some(Timestamp { seconds: 0, nanos: -1 }), ..an_event(1) }),
            ("properties.a", Event { properties: of("a", number(f64::NAN)), ..an_event(1) }),
            ("properties.a", Event { properties: of("a", number(f64::INFINITY)), ..an_event(1) }),
            ("properties", Event { properties: of("a", deep), ..an_event(1) }),
            ("properties", Event { properties: properties(&many), ..an_event(1) }),
            ("properties.a", Event { properties: properties(&[("a", &"x".repeat(2049))]), ..an_event(1) }),
            ("properties", Event { properties: properties(&[(&"x".repeat(101), "")]), ..an_event(1) }),
            ("revenue.currency", Event { revenue: Some(Money::default()), ..an_event(1) }),
            ("revenue.units", Event { revenue: chf(1_000_000_000_001, 0), ..an_event(1) }),
            ("revenue.nanos", Event { revenue: chf(-1, 1), ..an_event(1) }),
            ("link_id", Event { link_id: "spring".into(), ..an_event(1) }),
            ("click_id", Event { click_id: "1".into(), ..an_event(1) }),
        ];
        let mut batch = Vec::new();
        for (place, (_, event)) in bad.iter().enumerate() {
            batch.push(event.clone());
            batch.push(an_event(100 + place as i64));
        }
        let results = settle(&calls, &batch).await;
        for (place, (field, event)) in bad.iter().enumerate() {
            let result = &results[2 * place];
            assert_eq!(result.status(), REFUSED, "{field}");
            assert!(result.error.starts_with(&format!("{field}: ")), "{field}: {}", result.error);
            assert_eq!(result.event_id, event.event_id);
            assert_eq!(results[2 * place + 1].status(), ACCEPTED, "beside a wrong {field}");
        }
        assert_eq!(settle(&calls, &batch).await, results, "a repeat is answered alike");
        app.settled().await;
        assert_eq!(stored(app).await, bad.len() as u64);
    })
    .await;
}

#[tokio::test]
async fn a_text_that_is_not_utf_8_costs_its_event_alone() {
    on_every_store(async |app| {
        let token = app.tenant().await.create_app(an_app()).await.app_token;
        let named = |number, name: &str| Event { name: name.into(), ..an_event(number) };
        let events = vec![named(1, "one"), named(2, "XYZZY"), named(3, "three")];
        let message = RecordEventsRequest { install_id: INSTALL.to_owned(), events }.encode_to_vec();
        let at = message.windows(5).position(|part| part == b"XYZZY").expect("it is there");
        let mut message = message;
        message[at] = 0xff;
        let path = "/linkforty.sdk.v1.SdkService/RecordEvents";
        let bearer = format!("Bearer {token}");
        let headers = [
            ("content-type", "application/grpc-web+proto"),
            ("x-grpc-web", "1"),
            ("authorization", bearer.as_str()),
        ];
        let body = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
        let answer = crate::support::send(app.links(), http::Method::POST, path, &headers, body.into()).await;
        let length = u32::from_be_bytes(answer.body[1..5].try_into().expect("four bytes")) as usize;
        let response = RecordEventsResponse::decode(&answer.body[5..5 + length]).expect("a response");
        assert_eq!(statuses(&response.results), [ACCEPTED, REFUSED, ACCEPTED]);
        assert!(response.results[1].error.starts_with("event: "), "{:?}", response.results[1]);
        assert_eq!(response.results[1].event_id, "event-000002");
        app.settled().await;
        assert_eq!(stored(app).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_call_without_events_or_token_is_refused_as_a_whole() {
    on_every_store(async |app| {
        let token = app.tenant().await.create_app(an_app()).await.app_token;
        let good = calls(app, &token).await;
        for (install, count, field) in
            [(INSTALL, 0, "events"), (INSTALL, 1001, "events"), ("mine", 1, "install_id")]
        {
            let status = send(&good, install, (0..count).map(an_event).collect()).await.expect_err(field);
            assert_eq!(
                (reason(&status).as_str(), wrong(&status)),
                ("INVALID_FIELDS", vec![field.to_owned()])
            );
        }
        assert_eq!(record(&good, (0..1000).map(an_event).collect()).await.len(), 1000);
        for bad in ["", "at_0123456789abcdef0123456789abcdef", &app.tenant().await.key] {
            let status = send(&calls(app, bad).await, INSTALL, vec![an_event(1)]).await.expect_err(bad);
            assert_eq!(status.code(), Code::Unauthenticated, "{bad}");
        }
    })
    .await;
}

#[tokio::test]
async fn late_events_are_kept_for_thirty_days_and_their_repeats_for_longer() {
    on_every_store(async |app| {
        let token = app.tenant().await.create_app(an_app()).await.app_token;
        let calls = calls(app, &token).await;
        let old = Event { event_time: at(NOON - 30 * DAY), ..an_event(1) };
        let ahead = Event { event_time: at(NOON + DAY), ..an_event(2) };
        accepted(&calls, vec![old.clone(), ahead.clone()]).await;
        app.settled().await;
        app.clock.advance(Duration::hours(30));
        accepted(&calls, vec![old.clone(), ahead]).await;
        let new = Event { event_id: "event-new1".into(), ..old };
        assert_eq!(statuses(&settle(&calls, &[new]).await), [REFUSED]);
        app.settled().await;
        let rows = event::Entity::find().all(&app.env().db.api).await.expect("events can be read");
        let times: BTreeMap<&str, i64> =
            rows.iter().map(|row| (&*row.event_key, row.event_time.timestamp())).collect();
        // What is to come counts as now.
        assert_eq!(times, BTreeMap::from([("event-000001", NOON - 30 * DAY), ("event-000002", NOON)]));
    })
    .await;
}

pub async fn set_currency(app: &App, currency: &str) -> Tenant {
    let (owner, workspace) = settled_owner(app).await;
    let tenant = app.tenant_of(&workspace).await;
    let mut workspaces = WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(owner));
    let settings = WorkspaceSettings { reporting_currency: currency.into(), ..WorkspaceSettings::default() };
    let request = UpdateWorkspaceRequest {
        workspace_id: tenant.id.clone(),
        workspace: Some(Workspace { settings: Some(settings), ..Workspace::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["settings.reporting_currency".into()] }),
        ..UpdateWorkspaceRequest::default()
    };
    let updated = workspaces.update_workspace(request).await.expect("updates").into_inner().workspace;
    let settings = updated.and_then(|workspace| workspace.settings).expect("always there");
    assert_eq!(settings.reporting_currency, currency);
    tenant
}

#[tokio::test]
async fn revenue_is_exact_converted_by_its_day_and_counted_once_for_a_transaction() {
    on_every_store(async |app| {
        let tenant = set_currency(app, "CHF").await;
        let token = tenant.create_app(an_app()).await.app_token;
        let (calls, attribution) = (calls(app, &token).await, attribution(app, &tenant).await);
        let money = |currency: &str, units, nanos| Some(Money { currency: currency.into(), units, nanos });
        let sale = |number, revenue, transaction: &str| Event {
            name: "purchase".into(),
            revenue,
            transaction_id: transaction.into(),
            ..an_event(number)
        };
        // 2026-11-22 is a Sunday: the rates of Friday hold.
        let rates = "Date,USD,CHF,RUB,\n2026-11-20,1.25,0.95,N/A,\n2026-11-19,1.2,0.96,N/A,\n";
        let imported = events::import_rates(app.env(), rates.as_bytes(), |_| {}).await.expect("imports");
        assert_eq!((imported.rates, imported.days, imported.empty), (4, 2, 2));
        accepted(
            &calls,
            vec![
                sale(1, money("USD", 10, 990_000_000), "t1"),
                sale(2, money("USD", 10, 990_000_000), "t1"),
                sale(3, money("USD", -10, -990_000_000), "t1"),
                sale(4, money("USD", -5, 0), "t1"),
                sale(5, money("CHF", 999_999_999_999, 999_999_999), "t2"),
                sale(6, money("JPY", 1000, 0), ""),
                sale(7, money("JPY", 1000, 0), ""),
                sale(8, None, "t1"),
            ],
        )
        .await;
        app.settled().await;
        let told = |events: Vec<AppEvent>| -> Vec<_> {
            let amount = |money: Option<v1::Money>| {
                money.map(|money| format!("{}.{:09} {}", money.units, money.nanos.abs(), money.currency))
            };
            events
                .into_iter()
                .map(|event| {
                    (
                        event.event_key,
                        amount(event.revenue),
                        amount(event.reporting_revenue),
                        event.rate_date,
                        event.duplicate_revenue,
                    )
                })
                .collect()
        };
        let usd = |text: &str| Some(format!("{text} USD"));
        let francs = |text: &str| Some(format!("{text} CHF"));
        let yen = || Some("1000.000000000 JPY".to_owned());
        let key = |number: i64| format!("event-{number:06}");
        let friday = || "2026-11-20".to_owned();
        let most = || francs("999999999999.999999999");
        let sales = vec![
            // 10.99 / 1.25 * 0.95
            (key(1), usd("10.990000000"), francs("8.352400000"), friday(), false),
            (key(2), usd("10.990000000"), francs("8.352400000"), friday(), true),
            (key(3), usd("-10.990000000"), francs("-8.352400000"), friday(), false),
            (key(4), usd("-5.000000000"), francs("-3.800000000"), friday(), true),
            (key(5), most(), most(), String::new(), false),
        ];
        let rest = |reporting: Option<String>, date: &str| {
            vec![
                (key(6), yen(), reporting.clone(), date.to_owned(), false),
                (key(7), yen(), reporting, date.to_owned(), false),
                (key(8), None, None, String::new(), false),
            ]
        };
        assert_eq!(told(all(&attribution).await), [sales.clone(), rest(None, "")].concat());
        // A rate that comes later converts what waited.
        let late = "Date,JPY,CHF\n2026-11-17,160,0.96\n";
        let imported = events::import_rates(app.env(), late.as_bytes(), |_| {}).await.expect("imports");
        assert_eq!((imported.rates, imported.converted), (2, 2));
        assert_eq!(
            told(all(&attribution).await),
            [sales, rest(francs("6.000000000"), "2026-11-17")].concat()
        );
        let known = events::list_rates(app.env()).await.expect("lists");
        let known: Vec<_> = known.iter().map(|span| (&*span.currency, span.days)).collect();
        assert_eq!(known, [("CHF", 3), ("JPY", 1), ("USD", 2)]);
        for bad in ["", "Day,USD\n", "Date,USD\nyesterday,1\n", "Date,USD\n2026-11-20,-1\n"] {
            assert!(events::import_rates(app.env(), bad.as_bytes(), |_| {}).await.is_err(), "{bad:?}");
        }
    })
    .await;
}

/// Makes an install that is credited to a link.
async fn installed(app: &App, tenant: &Tenant, link: &Link, click_time: Moment, test: bool) -> InstallId {
    let ids = Ids::from_os();
    let id = InstallId::mint(&ids, click_time);
    let row = install::Model {
        id,
        workspace_id: WorkspaceId::parse(&tenant.id).expect("an id"),
        app_id: None,
        state: 1,
        method: 6,
        no_match: 0,
        score: 80,
        factors: 0,
        flags: 0,
        link_id: LinkId::parse(&link.id),
        click_id: Some(ClickId::mint(&ids, click_time)),
        click_time: Some(click_time),
        platform: 1,
        test,
        install_time: click_time,
        receive_time: click_time,
        reinstalls: 0,
        reinstall_time: None,
        due_time: None,
        report: Vec::new(),
        facts: String::new(),
        deep_link: Vec::new(),
        decision_salt: None,
    };
    row.into_active_model().reset_all().insert(&app.env().db.api).await.expect("inserts");
    id
}

#[tokio::test]
async fn an_event_counts_for_its_link_inside_of_the_window_that_holds_when_somebody_asks() {
    on_every_store(async |app| {
        let (tenant, foreign) = (app.tenant().await, app.another_tenant().await);
        let created = tenant.create_app(an_app()).await;
        let (calls, attribution) = (calls(app, &created.app_token).await, attribution(app, &tenant).await);
        let hours = |hours: i64| Some(prost_types::Duration { seconds: hours * 3600, nanos: 0 });
        let spring = tenant.create(Link { event_attribution_window: hours(2), ..a_link() }).await;
        let autumn = tenant.create(a_link()).await;
        let theirs = foreign.create(a_link()).await;
        let brought =
            installed(app, &tenant, &autumn, from_micros((NOON - 3 * DAY) * 1_000_000), false).await;
        let stamped = |number, link: &str, opened: i64| Event {
            link_id: link.to_owned(),
            click_id: INSTALL.to_owned(),
            link_open_time: at(NOON - number - opened),
            ..an_event(number)
        };
        accepted(
            &calls,
            vec![
                stamped(1, &spring.id, 7200),
                stamped(2, &spring.id, 7201),
                stamped(3, &theirs.id, 0),
                an_event(4),
            ],
        )
        .await;
        let mine = vec![
            an_event(5),
            stamped(6, &spring.id, 60),
            Event { event_time: at(NOON - 4 * DAY), ..an_event(7) },
        ];
        send(&calls, &brought.to_string(), mine).await.expect("records");
        app.settled().await;
        let told = |events: &[AppEvent]| -> Vec<_> {
            events
                .iter()
                .map(|event| {
                    (
                        event.event_key[6..].parse().unwrap_or(0),
                        event.credit(),
                        event.credited_link_id.clone(),
                    )
                })
                .collect::<Vec<(i64, EventCredit, String)>>()
        };
        let none = String::new;
        let events = all(&attribution).await;
        let expected = vec![
            (1, EventCredit::LastLink, spring.id.clone()),
            (2, EventCredit::WindowPassed, none()),
            (3, EventCredit::Organic, none()),
            (4, EventCredit::Organic, none()),
            (5, EventCredit::InstallLink, autumn.id.clone()),
            (6, EventCredit::LastLink, spring.id.clone()),
            (7, EventCredit::InstallLink, autumn.id.clone()),
        ];
        assert_eq!(told(&events), expected);
        assert_eq!((events[0].link_id.as_str(), events[0].click_id.as_str()), (&*spring.id, INSTALL));
        // Another window, another answer.
        let wider = Link { id: spring.id.clone(), event_attribution_window: hours(3), ..Link::default() };
        tenant.update(wider, &["event_attribution_window"]).await;
        assert_eq!(told(&all(&attribution).await)[1], (2, EventCredit::LastLink, spring.id.clone()));
        let of = async |request: ListEventsRequest| -> Vec<i64> {
            told(&list(&attribution, request).await).into_iter().map(|(number, ..)| number).collect()
        };
        let filter = ListEventsRequest::default;
        assert_eq!(of(ListEventsRequest { link_id: spring.id.clone(), ..filter() }).await, [1, 2, 6]);
        assert_eq!(of(ListEventsRequest { link_id: autumn.id.clone(), ..filter() }).await, [5, 7]);
        assert_eq!(of(ListEventsRequest { install_id: brought.to_string(), ..filter() }).await, [5, 6, 7]);
        assert_eq!(of(ListEventsRequest { app_id: created.id.clone(), ..filter() }).await.len(), 7);
        let span = ListEventsRequest { start_time: at(NOON - 5), end_time: at(NOON - 2), ..filter() };
        assert_eq!(of(span).await, [3, 4, 5]);
        // A link that is gone is no stamp any more.
        tenant.delete(&spring.id).await;
        assert_eq!(told(&all(&attribution).await)[0], (1, EventCredit::Organic, none()));
        let client = self::attribution(app, &foreign).await;
        assert_eq!(all(&client).await, [], "somebody else sees nothing of it");
        for request in [
            ListEventsRequest { link_id: autumn.id.clone(), ..filter() },
            ListEventsRequest { app_id: created.id.clone(), ..filter() },
        ] {
            let status = client.clone().list_events(request).await.expect_err("not theirs");
            assert_eq!(status.code(), Code::NotFound);
        }
    })
    .await;
}

#[tokio::test]
async fn pages_of_events_are_whole_and_newest_first() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let token = tenant.create_app(an_app()).await.app_token;
        let (calls, attribution) = (calls(app, &token).await, attribution(app, &tenant).await);
        let named = |number: i64| Event {
            name: if number % 2 == 0 { "even".into() } else { "odd".into() },
            session_id: "s1".into(),
            properties: properties(&[("text", "ä \"quoted\"\n")]),
            ..an_event(number)
        };
        accepted(&calls, (1..=25).map(named).collect()).await;
        app.settled().await;
        let (mut seen, mut request) = (
            Vec::new(),
            ListEventsRequest { page_size: 4, name: "odd".into(), ..ListEventsRequest::default() },
        );
        loop {
            let page = attribution.clone().list_events(request.clone()).await.expect("lists").into_inner();
            assert!(page.events.len() <= 4);
            seen.extend(page.events);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        let keys: Vec<String> = (1..=25).step_by(2).map(|number| format!("event-{number:06}")).collect();
        assert_eq!(seen.iter().map(|event| event.event_key.clone()).collect::<Vec<_>>(), keys);
        assert!(seen.iter().all(|event| event.properties == named(1).properties && event.session_id == "s1"));
        request.name = "even".into();
        let status = attribution.clone().list_events(request).await.expect_err("a token of another question");
        assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
        let bad = ListEventsRequest {
            app_id: "x".into(),
            install_id: "x".into(),
            link_id: "x".into(),
            start_time: Some(Timestamp { seconds: 0, nanos: -1 }),
            ..ListEventsRequest::default()
        };
        let status = attribution.clone().list_events(bad).await.expect_err("all of it is wrong");
        assert_eq!(wrong(&status), ["app_id", "install_id", "link_id", "start_time"]);
    })
    .await;
}

#[tokio::test]
async fn screens_are_followed_through_sessions() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let minute = prost_types::Duration { seconds: 60, nanos: 0 };
        let attribution_of_app = AppAttribution { session_gap: Some(minute), ..AppAttribution::default() };
        let created = tenant.create_app(v1::App { attribution: Some(attribution_of_app), ..an_app() }).await;
        let (calls, attribution) = (calls(app, &created.app_token).await, attribution(app, &tenant).await);
        let view = |number: i64, time: i64, screen: &str, session: &str| Event {
            name: "screen_view".into(),
            event_time: at(NOON - 1000 + time),
            properties: properties(&[("screen", screen), ("previousScreen", "ignored")]),
            session_id: session.into(),
            ..an_event(number)
        };
        accepted(
            &calls,
            vec![
                view(1, 0, "home", ""),
                view(2, 20, "item", ""),
                view(3, 80, "cart", ""),
                // After a pause of more than a minute.
                view(4, 141, "home", ""),
                view(5, 300, "home", "s1"),
                view(6, 900, "item", "s1"),
                Event { name: "purchase".into(), ..an_event(7) },
                Event { properties: None, ..view(8, 950, "", "s1") },
            ],
        )
        .await;
        app.settled().await;
        let ask = async |request: GetScreenFlowRequest| {
            attribution.clone().get_screen_flow(request).await.map(tonic::Response::into_inner)
        };
        let flow = ask(GetScreenFlowRequest::default()).await.expect("a flow");
        let screens: Vec<_> = flow
            .screens
            .iter()
            .map(|screen| {
                let time = screen.average_time.map(|time| time.seconds);
                (&*screen.name, screen.views, screen.entries, screen.exits, time)
            })
            .collect();
        assert_eq!(
            screens,
            [("home", 3, 3, 1, Some(310)), ("item", 2, 0, 1, Some(60)), ("cart", 1, 0, 1, None)]
        );
        let ways: Vec<_> =
            flow.transitions.iter().map(|way| (&*way.from_screen, &*way.to_screen, way.count)).collect();
        assert_eq!(ways, [("home", "item", 2), ("item", "cart", 1)]);
        assert_eq!((flow.session_count, flow.event_count, flow.truncated), (3, 7, false));
        let of_app = GetScreenFlowRequest { app_id: created.id.clone(), ..GetScreenFlowRequest::default() };
        assert_eq!(ask(of_app).await.expect("a flow").event_count, 7);
        let link = tenant.create(coded("flow")).await;
        // Devices of the developers are listed and left out.
        let device = installed(app, &tenant, &link, from_micros((NOON - 2000) * 1_000_000), true).await;
        send(&calls, &device.to_string(), vec![view(9, 990, "home", "")]).await.expect("records");
        app.settled().await;
        let listed = all(&attribution).await;
        assert_eq!(listed.iter().filter(|event| event.test).count(), 1);
        let again = ask(GetScreenFlowRequest::default()).await.expect("a flow");
        assert_eq!((again.screens, again.session_count), (flow.screens.clone(), 3));
        let of_link = GetScreenFlowRequest { link_id: link.id, ..GetScreenFlowRequest::default() };
        assert_eq!(ask(of_link).await.expect("a flow").event_count, 1);
        let span = GetScreenFlowRequest {
            start_time: at(NOON - 100),
            end_time: at(NOON - 100),
            ..GetScreenFlowRequest::default()
        };
        assert_eq!(wrong(&ask(span).await.expect_err("no span")), ["end_time"]);
        let unknown =
            GetScreenFlowRequest { app_id: Uuid::nil().to_string(), ..GetScreenFlowRequest::default() };
        assert_eq!(ask(unknown).await.expect_err("nobody's").code(), Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn an_app_has_a_thousand_names_of_properties_and_its_events_are_kept_without_the_others() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let created = tenant.create_app(an_app()).await;
        let (calls, attribution) = (calls(app, &created.app_token).await, attribution(app, &tenant).await);
        let named = |number: i64, names: std::ops::Range<i64>| {
            let names: Vec<String> = names.map(|name| format!("name-{name:05}")).collect();
            let of: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "x")).collect();
            Event { properties: properties(&of), ..an_event(number) }
        };
        accepted(&calls, (0..10).map(|number| named(number, number * 95..number * 95 + 95)).collect()).await;
        app.settled().await;
        accepted(&calls, vec![named(20, 940..1040), named(21, 2000..2005), named(22, 0..5)]).await;
        app.settled().await;
        let counts: BTreeMap<String, usize> = all(&attribution)
            .await
            .into_iter()
            .map(|event| (event.event_key, event.properties.map_or(0, |of| of.fields.len())))
            .collect();
        let count = |number: i64| counts[&format!("event-{number:06}")];
        assert_eq!((count(0), count(20), count(21), count(22)), (95, 60, 0, 5));
        assert_eq!(stored(app).await, 13);
        let known = AppId::parse(&created.id).expect("an id").0;
        let names = linkforty::entity::event_property::Entity::find()
            .all(&app.env().db.api)
            .await
            .expect("names can be read");
        assert_eq!(names.iter().filter(|name| name.scope_id == known).count(), 1000);
    })
    .await;
}

#[tokio::test]
async fn what_becomes_of_events_is_counted() {
    on_every_store(async |app| {
        let token = app.tenant().await.create_app(an_app()).await.app_token;
        let calls = calls(app, &token).await;
        let before = counted(app).await;
        record(&calls, vec![an_event(1), an_event(2), Event { name: String::new(), ..an_event(3) }]).await;
        record(&calls, vec![an_event(1)]).await;
        app.settled().await;
        let after = counted(app).await;
        let grown = |name: &str| after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
        assert!(grown("linkforty_events_accepted_total") >= 3);
        assert!(grown("linkforty_events_refused_total{field=\"name\"}") >= 1);
        assert!(grown("linkforty_events_repeated_total") >= 1);
        assert!(grown("linkforty_events_stored_total") >= 2);
    })
    .await;
}

/// Returns the counters of events. Tests share them.
async fn counted(app: &App) -> BTreeMap<String, u64> {
    let page = crate::support::get(app.ops(), "/metrics", &[]).await;
    String::from_utf8_lossy(&page.body)
        .lines()
        .filter(|line| line.starts_with("linkforty_events_"))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?)))
        .collect()
}
