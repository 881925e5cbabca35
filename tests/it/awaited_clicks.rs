//! What is counted before the click is stored that it is credited to: it is counted as the click says as soon as that says it, however late, and
//! once.

use std::collections::BTreeMap;

use chrono::Duration;
use http::{Method, header::LOCATION};
use linkforty::{
    analytics::{
        dims::Dimension,
        rollup::{self, Measures, Part, Wanted},
    },
    clock::from_micros,
    entity::{awaited_click, event, install},
    feed,
    ids::{ClickId, LinkId},
    pb::{
        internal::v1::ClickRecord,
        sdk::v1::StoreReferrer,
        v1::{Link, Utm},
    },
    spool::RecordKind,
};
use prost::Message as _;
use sea_orm::{ConnectionTrait as _, EntityTrait as _, PaginatorTrait as _, Statement};
use url::Url;

use crate::{
    rollups::{DAY, NOON, PENDING, Told, assert_true, by, today, told, total, workspace},
    support::{
        App, DESKTOP, PIXEL, Store, Tenant, coded, eventually, first_open, on_every_store, pixel, report,
        stores,
    },
};

fn news() -> Link {
    let utm =
        Utm { source: "news".into(), medium: "mail".into(), campaign: "spring".into(), ..Utm::default() };
    Link { utm: Some(utm), ..coded("news") }
}

/// Puts a click into the spool as a node that was away would.
fn comes(app: &App, tenant: &Tenant, link: &Link, (id, query): (ClickId, &str)) {
    let bytes = |id: &str| uuid::Uuid::parse_str(id).expect("an id").as_bytes().to_vec().into();
    let click = ClickRecord {
        workspace_id: bytes(&tenant.id),
        link_id: bytes(&link.id),
        query: query.into(),
        user_agent: DESKTOP.into(),
        link_campaign: ["utm_source=news", "utm_medium=mail", "utm_campaign=spring"]
            .map(str::to_owned)
            .into(),
        ..ClickRecord::default()
    };
    app.running().spool.append(RecordKind::Click, id.0, &click.encode_to_vec()).expect("there is room");
}

/// Installs, those of links, events, and Swiss francs in tenths, by source; clicks are left out.
async fn by_source(app: &App, tenant: &Tenant) -> BTreeMap<String, (i64, i64, i64, i128)> {
    let found = by(app, tenant, Part::All, Dimension::UtmSource).await;
    let found = found.iter().map(|(source, measures)| (source.clone(), told(measures)));
    found.filter(|(_, told)| *told != (0, 0, 0, 0)).collect()
}

fn table(rows: &[(&str, (i64, i64, i64, i128))]) -> BTreeMap<String, (i64, i64, i64, i128)> {
    rows.iter().map(|(source, told)| ((*source).to_owned(), *told)).collect()
}

/// How many things wait for their click.
async fn waiting(app: &App) -> u64 {
    awaited_click::Entity::find().count(&app.env().db.api).await.expect("counts")
}

#[tokio::test]
async fn an_install_and_its_events_count_under_the_campaign_of_their_click_whenever_that_is_stored() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let link = tenant.create(news()).await;
        let part = Part::Link(LinkId::parse(&link.id).expect("an id"));
        let here = Told { app, workspace: workspace(&tenant) };
        let click = ClickId(app.env().ids.past_uuid(from_micros(NOON)));
        let soon = from_micros(NOON + 120_000_000);
        let first = install::Model { click_id: Some(click), ..here.an_install(1, Some(&link)) };
        here.install(first, None).await;
        here.event(here.an_event(1, 1, soon)).await;
        app.rolled().await;
        // As the link says, until the click is heard of: it was told `utm_source=friend`.
        assert_eq!(by_source(app, &tenant).await, table(&[("news", (1, 1, 1, 35))]));
        assert_eq!(waiting(app).await, 2);
        assert_true(app, &tenant).await;
        // Weeks later, made anew meanwhile, and after the link was changed: what is taken back is what was counted.
        app.clock.advance(Duration::days(40));
        let wanted = Wanted { workspace: here.workspace, day: today() };
        rollup::rebuild(app.env(), wanted).await.expect("rebuilds");
        assert_eq!(waiting(app).await, 2);
        let utm = Utm { source: "letter".into(), ..Utm::default() };
        tenant.update(Link { utm: Some(utm), ..link.clone() }, &["utm"]).await;
        comes(app, &tenant, &link, (click, "utm_source=friend"));
        app.settled().await;
        assert_eq!(by_source(app, &tenant).await, table(&[("friend", (1, 1, 1, 35))]));
        assert_eq!(waiting(app).await, 0);
        let clicks: i64 = by(app, &tenant, Part::All, Dimension::UtmSource).await["friend"].clicks;
        assert_eq!((clicks, told(&total(app, &tenant, part).await)), (1, (1, 1, 1, 35)));
        for dimension in Dimension::ALL {
            let values = by(app, &tenant, Part::All, dimension).await;
            assert_eq!(told(&values.values().sum()), (1, 1, 1, 35), "{dimension:?}");
            assert!(values.values().all(|measures| *measures != Measures::default()), "{dimension:?}");
        }
        assert_true(app, &tenant).await;
        // The same record again changes nothing, and what comes now waits for nothing.
        comes(app, &tenant, &link, (click, "utm_source=friend"));
        let next = ClickId(app.env().ids.past_uuid(from_micros(NOON + 1)));
        comes(app, &tenant, &link, (next, "utm_source=friend"));
        app.settled().await;
        let second = install::Model { click_id: Some(next), ..here.an_install(2, Some(&link)) };
        here.install(second, None).await;
        here.event(here.an_event(2, 2, soon)).await;
        app.settled().await;
        assert_eq!(by_source(app, &tenant).await, table(&[("friend", (2, 2, 2, 70))]));
        assert_eq!(waiting(app).await, 0);
        assert_true(app, &tenant).await;
    })
    .await;
}

#[tokio::test]
async fn what_changes_while_it_waits_for_its_click_is_counted_once() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let link = tenant.create(news()).await;
        let here = Told { app, workspace: workspace(&tenant) };
        let [one, other] = [1, 2].map(|second| ClickId(app.env().ids.past_uuid(from_micros(NOON + second))));
        let soon = from_micros(NOON + 120_000_000);
        let stamped = |row: event::Model| event::Model {
            link_id: LinkId::parse(&link.id),
            click_id: Some(one),
            link_open_time: Some(from_micros(NOON)),
            ..row
        };
        // An event of an install that nobody knows, which names the link and the click that opened the app; its amount has no rate yet.
        let unpriced = |row: event::Model| event::Model {
            reporting_units: None,
            reporting_nanos: None,
            reporting_currency: None,
            ..row
        };
        here.event(unpriced(stamped(here.an_event(1, 1, soon)))).await;
        app.rolled().await;
        assert_eq!(
            (by_source(app, &tenant).await, waiting(app).await),
            (table(&[("news", (0, 0, 1, 0))]), 1)
        );
        // Its install is not decided, then it is, as of another click that is not here either; the rate is found.
        let attributed = install::Model { click_id: Some(other), ..here.an_install(1, Some(&link)) };
        let pending = install::Model {
            state: PENDING,
            method: 0,
            link_id: None,
            click_id: None,
            click_time: None,
            ..attributed.clone()
        };
        here.install(pending.clone(), None).await;
        here.priced(stamped(here.an_event(1, 1, soon))).await;
        app.rolled().await;
        assert_eq!(by_source(app, &tenant).await, table(&[("", (1, 0, 0, 0)), ("news", (0, 0, 1, 35))]));
        assert_true(app, &tenant).await;
        here.install(attributed.clone(), Some(&pending)).await;
        app.rolled().await;
        assert_eq!(
            (by_source(app, &tenant).await, waiting(app).await),
            (table(&[("news", (1, 1, 1, 35))]), 2)
        );
        // First comes the click of the event, then the install turns out to be nobody's, then its own click comes.
        comes(app, &tenant, &link, (one, "utm_source=friend"));
        app.settled().await;
        assert_eq!(
            by_source(app, &tenant).await,
            table(&[("friend", (0, 0, 1, 35)), ("news", (1, 1, 0, 0))])
        );
        assert_true(app, &tenant).await;
        let organic = install::Model { state: 2, method: 0, ..pending };
        here.install(organic.clone(), Some(&attributed)).await;
        comes(app, &tenant, &link, (other, "utm_source=nobody"));
        app.settled().await;
        assert_eq!(by_source(app, &tenant).await, table(&[("", (1, 0, 0, 0)), ("friend", (0, 0, 1, 35))]));
        assert_eq!(waiting(app).await, 0);
        assert_true(app, &tenant).await;
    })
    .await;
}

#[tokio::test]
async fn nobody_waits_for_clicks_that_cannot_come() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let link = tenant.create(news()).await;
        let another = tenant.create(coded("another")).await;
        let here = Told { app, workspace: workspace(&tenant) };
        let at = |micros: i64| ClickId(app.env().ids.past_uuid(from_micros(micros)));
        let soon = from_micros(NOON + 120_000_000);
        // Too old, of tomorrow, and of another link than the app says.
        let wrong = ClickId(app.env().ids.past_uuid(from_micros(NOON)));
        for (number, click) in [(1, at(NOON - 92 * DAY)), (2, at(NOON + DAY)), (3, wrong)] {
            let stamped = event::Model {
                link_id: LinkId::parse(&link.id),
                click_id: Some(click),
                link_open_time: Some(from_micros(NOON)),
                ..here.an_event(number, 1, soon)
            };
            here.event(stamped).await;
        }
        app.rolled().await;
        assert_eq!(
            (by_source(app, &tenant).await, waiting(app).await),
            (table(&[("news", (0, 0, 3, 105))]), 1)
        );
        comes(app, &tenant, &another, (wrong, "utm_source=friend"));
        app.settled().await;
        assert_eq!(
            (by_source(app, &tenant).await, waiting(app).await),
            (table(&[("news", (0, 0, 3, 105))]), 0)
        );
        assert_true(app, &tenant).await;
    })
    .await;
}

/// One node has the click in its spool and cannot reach the table; another one decides the install by what the store handed over, and counts it.
#[tokio::test]
async fn an_install_at_one_node_is_credited_to_a_click_that_another_one_still_holds() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let first = App::start_with(Store::Production, &[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let second = first.start_beside(&[]).await;
    let tenant = first.tenant().await;
    let store = "https://play.google.com/store/apps/details?id=com.example.shop";
    tenant.create(Link { android_url: store.into(), ..news() }).await;
    let token = tenant.app_token().await;
    eventually("both know the link", async || second.visit("/news").await.status == 302).await;
    second.settled().await;
    let owner = first.owner_db().await;
    let rename = async |from: &str, to: &str| {
        let sql = format!("ALTER TABLE {from} RENAME TO {to}");
        owner.execute_raw(Statement::from_string(owner.get_database_backend(), sql)).await.expect("renames");
    };
    // Without it no node stores any click.
    rename("spool_progress", "spool_progress_away").await;
    let path = "/news?utm_source=friend&utm_campaign=own";
    let answer = first.visit_as(Method::GET, path, &[("user-agent", PIXEL)]).await;
    let location = answer.headers.get(LOCATION).and_then(|to| to.to_str().ok()).expect("the store");
    let location = Url::parse(location).expect("a URL");
    let referrer = location.query_pairs().find(|(name, _)| name == "referrer").expect("a referrer").1;
    let mut request = first_open("phone-0001", pixel());
    request.store_referrer =
        Some(StoreReferrer { referrer: referrer.into_owned(), ..StoreReferrer::default() });
    let answer = report(&second.sdk(&token, "203.0.113.7").await, request).await;
    assert!(answer.deep_link.is_some(), "{answer:?}");
    second.rolled().await;
    assert_eq!(by_source(&second, &tenant).await, table(&[("news", (1, 1, 0, 0))]));
    assert!(first.running().spool.status().lag_records > 0);
    rename("spool_progress_away", "spool_progress").await;
    first.settled().await;
    assert_eq!(by_source(&first, &tenant).await, table(&[("friend", (1, 1, 0, 0))]));
    let campaigns = by(&first, &tenant, Part::All, Dimension::UtmCampaign).await;
    assert_eq!((campaigns["own"].clicks, campaigns["own"].installs), (1, 1));
    assert_true(&first, &tenant).await;
    assert!(feed::settled(&first.env().db.api).await.expect("the feed has an end").0 > 0);
    second.stop().await;
    first.stop().await;
}
