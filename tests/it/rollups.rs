//! What is counted: everything once, in every part, whatever comes late, twice, or before what it belongs to.

use std::collections::{BTreeMap, HashMap};

use http::Method;
use linkforty::{
    analytics::{
        dims::{Dimension, OTHER},
        rollup::{
            self, Measures, Part, Scope, Slots, Wanted,
            fold::slot_of,
            read::{Cost, Kept, Reader},
        },
    },
    clock::{Moment, from_micros},
    db::Dialect,
    entity::{event, install},
    feed,
    ids::{AppId, ClickId, EventId, InstallId, LinkId, WorkspaceId},
    pb::v1::{GetOverviewRequest, Link},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _, Statement,
    TransactionTrait as _,
};
use uuid::Uuid;

use crate::support::{App, Store, Tenant, coded, eventually, on_every_store, stores, variable};

const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
const INSTAGRAM: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 335.0.0.0";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
/// The clock of tests stands here.
pub const NOON: i64 = 1_795_348_800_000_000;
pub const DAY: i64 = 86_400_000_000;

pub fn workspace(tenant: &Tenant) -> WorkspaceId {
    WorkspaceId::parse(&tenant.id).expect("an id")
}

fn scope(tenant: &Tenant, part: Part) -> Scope {
    Scope { workspace: workspace(tenant), part }
}

/// Some years around.
const EVER: Slots = Slots { first: 20_000 * 96, end: 21_000 * 96 };

pub fn today() -> i32 {
    (NOON / DAY) as i32
}

/// Begins to read with nothing remembered, so that a row that somebody changed by hand is read as it is.
macro_rules! reader {
    ($app:expr, $tenant:expr, $part:expr) => {
        Reader::open(&$app.env().db.api, &Kept::default(), &scope($tenant, $part)).await.expect("opens")
    };
}

pub async fn total(app: &App, tenant: &Tenant, part: Part) -> Measures {
    reader!(app, tenant, part).totals(EVER).await.expect("totals")
}

pub async fn by(app: &App, tenant: &Tenant, part: Part, dimension: Dimension) -> BTreeMap<String, Measures> {
    let found = reader!(app, tenant, part).breakdown(EVER, dimension).await.expect("a breakdown");
    found.into_iter().collect()
}

/// Fails unless the rollups of all days are what was recorded.
pub async fn assert_true(app: &App, tenant: &Tenant) {
    let workspace = workspace(tenant);
    let (first, last) = rollup::days(app.env(), workspace).await.expect("days").expect("there are some");
    for day in first..=last {
        let found = rollup::verify(app.env(), Wanted { workspace, day }).await.expect("verifies");
        assert_eq!(found, Some(Vec::new()), "on day {day}");
    }
}

async fn visits(app: &App, codes: &[&str], count: usize, dice: &mut StdRng) {
    for _ in 0..count {
        let code = codes.choose(dice).expect("there are some");
        let query =
            ["", "?utm_source=mail", "?utm_source=mail&utm_medium=cpc&utm_campaign=spring", "?utm_term=a+b"];
        let path = format!("/{code}{}", query.choose(dice).expect("there are some"));
        let agent = *[DESKTOP, IPHONE, INSTAGRAM, GOOGLEBOT, ""].choose(dice).expect("there are some");
        let referrer =
            *["https://a.example/x", "https://B.example", ""].choose(dice).expect("there are some");
        let language = *["de-ch", "en", "fr-CH,fr;q=0.5", ""].choose(dice).expect("there are some");
        let headers = [("user-agent", agent), ("referer", referrer), ("accept-language", language)];
        let answer = app.visit_as(Method::GET, &path, &headers).await;
        assert!(answer.status == 302 || answer.status == 200, "{path}: {}", answer.status);
        app.clock.advance(chrono::Duration::seconds(dice.random_range(0..4000)));
    }
}

#[tokio::test]
async fn the_parts_come_to_the_total_in_every_dimension_and_are_what_was_recorded() {
    let seed = variable("LINKFORTY_TEST_SEED").map_or(7, |seed| seed.parse().expect("a number"));
    on_every_store(async |app| {
        let mut dice = StdRng::seed_from_u64(seed);
        let tenant = app.tenant().await;
        let one = tenant.create(coded("one")).await;
        let two = tenant.create(coded("two")).await;
        visits(app, &["one", "two"], 120, &mut dice).await;
        app.settled().await;
        let links = [&one, &two].map(|link| Part::Link(LinkId::parse(&link.id).expect("an id")));
        let host = Part::Domain("go.example.test".to_owned());
        let all = total(app, &tenant, Part::All).await;
        assert_eq!(all.clicks + all.bot_clicks, 120);
        assert!(all.bot_clicks > 5 && all.clicks > 60, "{all:?}");
        let mut of_links = Measures::default();
        for link in &links {
            of_links += total(app, &tenant, link.clone()).await;
        }
        assert_eq!(of_links, all);
        for part in links.iter().cloned().chain([host.clone(), Part::All]) {
            let whole = total(app, &tenant, part.clone()).await;
            for dimension in Dimension::ALL {
                let values = by(app, &tenant, part.clone(), dimension).await;
                assert_eq!(values.values().sum::<Measures>(), whole, "{part:?} {dimension:?}");
                // And so in a part of time whose ends are in the middle of hours and days, bucket by bucket.
                let first = slot_of(from_micros(NOON)) + 3;
                let buckets: Vec<Slots> = [0, 7, 60, 150, 151, 400]
                    .windows(2)
                    .map(|ends| Slots { first: first + ends[0], end: first + ends[1] })
                    .collect();
                let span = Slots { first, end: first + 400 };
                let kept = app.env().memory.of(Kept::default);
                let scope = scope(&tenant, part.clone());
                let mut from = Reader::open(&app.env().db.api, &kept, &scope).await.expect("opens");
                let within = from.breakdown(span, dimension).await.expect("a breakdown");
                let sum = from.totals(span).await.expect("totals");
                assert_eq!(within.values().sum::<Measures>(), sum, "{part:?} {dimension:?}");
                let line = from.series(&buckets, None).await.expect("a series");
                assert_eq!(line.iter().sum::<Measures>(), sum);
                for (value, measures) in &within {
                    let asked = [value.clone()];
                    let line = from.series(&buckets, Some((dimension, &asked))).await.expect("a series");
                    assert_eq!(&line.iter().sum::<Measures>(), measures, "{part:?} {dimension:?} {value:?}");
                }
            }
        }
        // Three user agents of people at one address, and who has none.
        let days = today()..today() + 30;
        let people = reader!(app, &tenant, Part::All).visitors(days).await.expect("visitors");
        assert_eq!(people, 4);
        let countries = by(app, &tenant, Part::All, Dimension::Country).await;
        assert_eq!(countries.keys().collect::<Vec<_>>(), [""]);
        let sources = by(app, &tenant, Part::All, Dimension::UtmSource).await;
        assert_eq!(sources.keys().collect::<Vec<_>>(), ["", "mail"]);
        assert_true(app, &tenant).await;
    })
    .await;
}

#[tokio::test]
async fn a_row_that_somebody_changed_is_found_and_made_anew() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("one")).await;
        visits(app, &["one"], 30, &mut StdRng::seed_from_u64(1)).await;
        app.settled().await;
        assert_true(app, &tenant).await;
        let before = total(app, &tenant, Part::All).await;
        let workspace = workspace(&tenant);
        let db = &app.env().db.api;
        for change in [
            // The totals of a day become those of nothing, and a row is gone.
            "UPDATE rollups SET content = (SELECT content FROM rollups WHERE bundle = 5 LIMIT 1) WHERE bundle = 0 AND scope = 0",
            "DELETE FROM rollups WHERE bundle = 2 AND level = 0",
            "DELETE FROM rollups",
        ] {
            let statement = Statement::from_string(db.get_database_backend(), change);
            assert!(db.execute_raw(statement).await.expect("changes").rows_affected() > 0);
            let (first, last) = rollup::days(app.env(), workspace).await.expect("days").expect("there are some");
            let mut differences = 0;
            for day in first..=last {
                let found = rollup::verify(app.env(), Wanted { workspace, day }).await.expect("verifies");
                differences += found.expect("its clicks are there").len();
            }
            assert!(differences > 0, "{change}");
            for day in first..=last {
                rollup::rebuild(app.env(), Wanted { workspace, day }).await.expect("rebuilds");
            }
            assert_true(app, &tenant).await;
            assert_eq!(total(app, &tenant, Part::All).await, before, "{change}");
        }
        // Of a day whose clicks are gone nothing is taken away.
        let statement = Statement::from_string(db.get_database_backend(), "DELETE FROM clicks");
        db.execute_raw(statement).await.expect("deletes");
        for day in today()..today() + 3 {
            rollup::rebuild(app.env(), Wanted { workspace, day }).await.expect("leaves it alone");
        }
        assert_eq!(total(app, &tenant, Part::All).await, before);
        app.visit("/one").await;
        app.settled().await;
        assert_eq!(total(app, &tenant, Part::All).await.clicks, before.clicks + 1);
    })
    .await;
}

#[tokio::test]
async fn a_rebuild_under_load_counts_nothing_twice() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("one")).await;
        let workspace = workspace(&tenant);
        let wanted = Wanted { workspace, day: today() };
        let clicking = async {
            for _ in 0..150 {
                app.visit_as(Method::GET, "/one", &[("user-agent", DESKTOP)]).await;
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let rebuilding = async {
            for _ in 0..8 {
                rollup::rebuild(app.env(), wanted).await.expect("rebuilds");
                let found = rollup::verify(app.env(), wanted).await.expect("verifies");
                assert_eq!(found, Some(Vec::new()));
                tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            }
        };
        tokio::join!(clicking, rebuilding);
        app.settled().await;
        assert_eq!(total(app, &tenant, Part::All).await.clicks, 150);
        assert_true(app, &tenant).await;
    })
    .await;
}

/// What a test tells of apps: rows and the feed in one transaction, as those who store them do.
pub struct Told<'a> {
    pub app: &'a App,
    pub workspace: WorkspaceId,
}

pub const ATTRIBUTED: i16 = 1;
const ORGANIC: i16 = 2;
pub const PENDING: i16 = 3;

impl Told<'_> {
    pub fn an_install(&self, id: u128, link: Option<&Link>) -> install::Model {
        let link = link.map(|link| LinkId::parse(&link.id).expect("an id"));
        let time = from_micros(NOON + 60_000_000);
        install::Model {
            id: InstallId(Uuid::from_u128(id)),
            workspace_id: self.workspace,
            app_id: Some(AppId(Uuid::from_u128(99))),
            state: if link.is_some() { ATTRIBUTED } else { ORGANIC },
            method: if link.is_some() { 1 } else { 0 },
            no_match: 0,
            score: 0,
            factors: 0,
            flags: 0,
            link_id: link,
            click_id: None,
            click_time: link.map(|_| from_micros(NOON)),
            platform: 1,
            test: false,
            install_time: time,
            receive_time: time,
            reinstalls: 0,
            reinstall_time: None,
            due_time: None,
            report: Vec::new(),
            facts: String::new(),
            deep_link: Vec::new(),
            decision_salt: None,
        }
    }

    pub async fn install(&self, row: install::Model, before: Option<&install::Model>) {
        let credit = |row: &install::Model| feed::Credit {
            state: row.state,
            method: row.method,
            link: row.link_id,
            click: row.click_id,
            ..feed::Credit::default()
        };
        let told = feed::Install {
            id: row.id,
            app: row.app_id,
            time: row.install_time,
            platform: row.platform,
            test: row.test,
            now: credit(&row),
            before: before.map(credit),
        };
        let tx = self.app.env().db.api.begin().await.expect("begins");
        let of_row = row.into_active_model().reset_all();
        match before {
            None => install::Entity::insert(of_row).exec(&tx).await.map(drop),
            Some(_) => install::Entity::update(of_row).exec(&tx).await.map(drop),
        }
        .expect("an install is stored");
        let rows = feed::installs([(self.workspace, told)]);
        feed::append(&tx, rows, self.app.env().now()).await.expect("the feed is told");
        tx.commit().await.expect("commits");
    }

    pub fn an_event(&self, number: u64, install: u128, time: Moment) -> event::Model {
        let id = linkforty::ids::derived(time, number.to_le_bytes());
        event::Model {
            id: EventId(id),
            workspace_id: self.workspace,
            install_id: InstallId(Uuid::from_u128(install)),
            app_id: Some(AppId(Uuid::from_u128(99))),
            link_id: None,
            click_id: None,
            link_open_time: None,
            event_time: time,
            receive_time: from_micros(NOON),
            content_hash: 0,
            units: Some(2),
            reporting_units: Some(3),
            nanos: Some(0),
            reporting_nanos: Some(500_000_000),
            rate_day: None,
            duplicate_revenue: false,
            event_key: number.to_string(),
            name: "purchase".to_owned(),
            session: None,
            currency: Some("EUR".to_owned()),
            reporting_currency: Some("CHF".to_owned()),
            transaction_id: None,
            properties: None,
        }
    }

    pub async fn event(&self, row: event::Model) {
        if self.app.env().db.dialect() == Dialect::Postgres {
            let day = row.id.0;
            let date = linkforty::ids::time_of(day).date_naive();
            let sql = format!("SELECT linkforty_make_event_partitions('{date}', '{date}')");
            let db = &self.app.env().db.api;
            db.execute_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("makes one");
        }
        let tx = self.app.env().db.api.begin().await.expect("begins");
        let rows = feed::events([(self.workspace, Self::in_feed(&row, false))]);
        event::Entity::insert(row.into_active_model().reset_all())
            .exec(&tx)
            .await
            .expect("an event is stored");
        feed::append(&tx, rows, self.app.env().now()).await.expect("the feed is told");
        tx.commit().await.expect("commits");
    }

    /// The rate of an event that is stored was found.
    pub async fn priced(&self, row: event::Model) {
        let tx = self.app.env().db.api.begin().await.expect("begins");
        let rows = feed::events([(self.workspace, Self::in_feed(&row, true))]);
        event::Entity::update(row.into_active_model().reset_all()).exec(&tx).await.expect("an event changes");
        feed::append(&tx, rows, self.app.env().now()).await.expect("the feed is told");
        tx.commit().await.expect("commits");
    }

    fn in_feed(row: &event::Model, priced_later: bool) -> feed::Event {
        let reporting = row.reporting_currency.clone().zip(row.reporting_units);
        feed::Event {
            id: row.id,
            install: row.install_id,
            app: row.app_id,
            name: row.name.clone(),
            time: row.event_time,
            revenue: None,
            reporting: reporting.map(|(currency, units)| feed::Money {
                currency,
                units,
                nanos: row.reporting_nanos.unwrap_or_default(),
            }),
            duplicate_revenue: row.duplicate_revenue,
            link: row.link_id,
            click: row.click_id,
            link_open_time: row.link_open_time,
            priced_later,
            domain: String::new(),
            project: String::new(),
        }
    }
}

/// Installs, those of links, events, and Swiss francs in tenths.
pub fn told(measures: &Measures) -> (i64, i64, i64, i128) {
    let francs = measures.revenue.values().sum::<i128>() / 100_000_000;
    (measures.installs, measures.attributed_installs, measures.events, francs)
}

#[tokio::test]
async fn an_event_counts_under_its_link_once_its_install_is_decided() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let link = tenant.create(coded("one")).await;
        let part = Part::Link(LinkId::parse(&link.id).expect("an id"));
        let here = Told { app, workspace: workspace(&tenant) };
        let soon = from_micros(NOON + 120_000_000);
        // The event comes first, then its install, which is decided at last.
        here.event(here.an_event(1, 1, soon)).await;
        app.rolled().await;
        assert_eq!(told(&total(app, &tenant, Part::All).await), (0, 0, 1, 35));
        assert_eq!(told(&total(app, &tenant, part.clone()).await), (0, 0, 0, 0));
        assert_true(app, &tenant).await;
        let attributed = here.an_install(1, Some(&link));
        let pending = install::Model {
            state: PENDING,
            method: 0,
            link_id: None,
            click_time: None,
            ..attributed.clone()
        };
        here.install(pending.clone(), None).await;
        here.event(here.an_event(2, 1, soon)).await;
        app.rolled().await;
        assert_eq!(told(&total(app, &tenant, Part::All).await), (1, 0, 2, 70));
        assert_eq!(told(&total(app, &tenant, part.clone()).await), (0, 0, 0, 0));
        assert_true(app, &tenant).await;
        here.install(attributed, Some(&pending)).await;
        app.rolled().await;
        assert_eq!(told(&total(app, &tenant, Part::All).await), (1, 1, 2, 70));
        assert_eq!(told(&total(app, &tenant, part.clone()).await), (1, 1, 2, 70));
        let methods = by(app, &tenant, Part::All, Dimension::Method).await;
        assert_eq!(methods["store_referrer"].attributed_installs, 1);
        assert_eq!(methods[""].events, 2);
        let of_app = total(app, &tenant, Part::App(AppId(Uuid::from_u128(99)))).await;
        assert_eq!(told(&of_app), (1, 1, 2, 70));
        // One more, which is final at once; one beyond the window; one on a developers' device; one that earned nothing new.
        here.event(here.an_event(3, 1, soon)).await;
        here.event(here.an_event(4, 1, from_micros(NOON + 8 * DAY))).await;
        here.install(install::Model { test: true, ..here.an_install(2, Some(&link)) }, None).await;
        here.event(here.an_event(5, 2, soon)).await;
        here.event(event::Model { duplicate_revenue: true, ..here.an_event(6, 1, soon) }).await;
        app.rolled().await;
        assert_eq!(told(&total(app, &tenant, part.clone()).await), (1, 1, 4, 105));
        assert_eq!(told(&total(app, &tenant, Part::All).await), (1, 1, 5, 140));
        assert_true(app, &tenant).await;
        // Made anew in the middle of it, what waits goes on waiting.
        here.event(here.an_event(7, 3, soon)).await;
        app.rolled().await;
        let wanted = Wanted { workspace: here.workspace, day: today() };
        rollup::rebuild(app.env(), wanted).await.expect("rebuilds");
        here.install(here.an_install(3, Some(&link)), None).await;
        app.rolled().await;
        assert_eq!(told(&total(app, &tenant, part).await), (2, 2, 5, 140));
        assert_true(app, &tenant).await;
        for dimension in Dimension::ALL {
            let values = by(app, &tenant, Part::All, dimension).await;
            assert_eq!(told(&values.values().sum()), (2, 2, 6, 175), "{dimension:?}");
        }
    })
    .await;
}

fn a_click<'a>(id: ClickId, link: LinkId, referrer_host: &'a str) -> feed::Click<&'a str> {
    feed::Click {
        id,
        link,
        domain: "go.example.test",
        project: "",
        platform: 0,
        class: 0,
        step: 4,
        visitor: 1,
        user_agent: "",
        referrer_host,
        language: "",
        query: "",
        country: "",
        region: "",
        city: "",
        campaign: "",
    }
}

#[tokio::test]
async fn more_values_than_a_day_holds_count_as_others_and_late_clicks_on_their_day() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let workspace = workspace(&tenant);
        let link = LinkId(Uuid::from_u128(5));
        let hosts: Vec<String> = (0..1300).map(|number| format!("h{number}.example")).collect();
        let ids = &app.env().ids;
        for (at, some) in hosts.chunks(500).chain(hosts.chunks(500)).enumerate() {
            // The second time round they are a month late.
            let late = if at < 3 { 0 } else { 30 * DAY };
            let clicks = some.iter().map(|host| {
                (workspace, a_click(ClickId(ids.past_uuid(from_micros(NOON - late))), link, host))
            });
            feed::append(&app.env().db.api, feed::clicks(clicks), app.env().now()).await.expect("appends");
        }
        app.rolled().await;
        let values = by(app, &tenant, Part::All, Dimension::Referrer).await;
        assert_eq!(values.values().map(|measures| measures.clicks).sum::<i64>(), 2600);
        assert_eq!((values.len(), values[OTHER].clicks, values["h0.example"].clicks), (1001, 600, 2));
        for (first, clicks) in [(NOON - 30 * DAY, 1300), (NOON - 29 * DAY, 0), (NOON, 1300)] {
            let first = slot_of(from_micros(first));
            let slots = Slots { first, end: first + 1 };
            let sum = reader!(app, &tenant, Part::Link(link)).totals(slots).await.expect("totals");
            assert_eq!(sum.clicks, clicks);
            let parts =
                reader!(app, &tenant, Part::All).breakdown(slots, Dimension::Referrer).await.expect("parts");
            assert_eq!(parts.values().sum::<Measures>().clicks, clicks);
        }
    })
    .await;
}

#[tokio::test]
async fn one_node_counts_at_a_time_and_another_goes_on_when_it_is_gone() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let first = App::start(Store::Production).await;
    let second = first.start_beside(&[]).await;
    let tenant = first.tenant().await;
    tenant.create(coded("one")).await;
    eventually("both know the link", async || second.visit("/one").await.status == 302).await;
    first.settled().await;
    second.settled().await;
    let before = total(&first, &tenant, Part::All).await;
    for _ in 0..60 {
        for node in [&first, &second] {
            node.visit_as(Method::GET, "/one", &[("user-agent", DESKTOP)]).await;
        }
    }
    first.settled().await;
    second.settled().await;
    assert_eq!(total(&first, &tenant, Part::All).await.clicks, before.clicks + 120);
    assert_true(&first, &tenant).await;
    // Somebody who holds the place and does nothing keeps both waiting, not longer.
    let holder = first.env().db.api.begin().await.expect("begins");
    let hold =
        Statement::from_string(holder.get_database_backend(), "SELECT seq FROM roll_progress FOR UPDATE");
    holder.query_one_raw(hold).await.expect("holds");
    first.visit_as(Method::GET, "/one", &[("user-agent", DESKTOP)]).await;
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(total(&first, &tenant, Part::All).await.clicks, before.clicks + 120);
    holder.rollback().await.expect("lets go");
    second.settled().await;
    first.settled().await;
    assert_eq!(total(&first, &tenant, Part::All).await.clicks, before.clicks + 121);
    second.stop().await;
    first.visit_as(Method::GET, "/one", &[("user-agent", DESKTOP)]).await;
    first.settled().await;
    assert_eq!(total(&first, &tenant, Part::All).await.clicks, before.clicks + 122);
    first.stop().await;
}

/// The plans of what the reader asks name no table of single clicks, installs or events.
#[tokio::test]
async fn reading_rollups_touches_nothing_that_was_recorded() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("one")).await;
        visits(app, &["one"], 10, &mut StdRng::seed_from_u64(3)).await;
        app.settled().await;
        let before: HashMap<Part, Measures> =
            HashMap::from([(Part::All, total(app, &tenant, Part::All).await)]);
        // Nothing that was recorded is there any more.
        let db = app.owner_db().await;
        for table in ["clicks", "events", "installs", "feed", "link_totals", "click_rollups"] {
            let sql = format!("ALTER TABLE {table} RENAME TO {table}_away");
            db.execute_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("renames");
        }
        for (part, measures) in before {
            assert_eq!(total(app, &tenant, part.clone()).await, measures);
            for dimension in Dimension::ALL {
                let values = by(app, &tenant, part.clone(), dimension).await;
                assert_eq!(values.values().sum::<Measures>(), measures);
            }
            let days = today()..today() + 30;
            assert!(reader!(app, &tenant, part).visitors(days).await.expect("visitors") > 0);
        }
        for table in ["clicks", "events", "installs", "feed", "link_totals", "click_rollups"] {
            let sql = format!("ALTER TABLE {table}_away RENAME TO {table}");
            db.execute_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("renames");
        }
    })
    .await;
}

/// What a report costs is counted in rows and bytes, which are the same on every machine: days that are over are read once, and after a click that
/// comes late its own rows alone.
#[tokio::test]
async fn a_report_reads_again_only_what_has_changed_and_shows_late_clicks_at_once() {
    on_every_store(async |app| {
        const DAYS: i64 = 20;
        const LINKS: u128 = 300;
        let mut tenant = app.tenant().await;
        let workspace = workspace(&tenant);
        let click = |link: u128, days_ago: i64| {
            let id = ClickId(app.env().ids.past_uuid(from_micros(NOON - days_ago * DAY)));
            (workspace, a_click(id, LinkId(Uuid::from_u128(link)), "a.example"))
        };
        for days_ago in 0..DAYS {
            let mut clicks = Vec::new();
            for link in 0..LINKS {
                clicks.push(click(1000 + link, days_ago));
            }
            feed::append(&app.env().db.api, feed::clicks(clicks.into_iter()), app.env().now())
                .await
                .expect("appends");
        }
        app.rolled().await;
        app.clock.advance(chrono::Duration::minutes(1));
        let kept = app.env().memory.of(Kept::default);
        let mut ask = async || {
            let before = kept.cost();
            let asked = GetOverviewRequest::default();
            let answer = tenant.analytics.get_overview(asked).await.expect("an overview").into_inner();
            let after = kept.cost();
            let cost = Cost {
                remembered: after.remembered - before.remembered,
                read: after.read - before.read,
                bytes: after.bytes - before.bytes,
            };
            let top: Vec<(String, i64, i64)> = answer
                .top_links
                .into_iter()
                .map(|link| (link.link_id, link.clicks, link.unique_visitors))
                .collect();
            (answer.clicks, answer.total.and_then(|total| total.unique_visitors), top, cost)
        };
        let link = |number: u128| Uuid::from_u128(number).to_string();
        let (clicks, people, top, first) = ask().await;
        assert_eq!((clicks, people), (DAYS * LINKS as i64, Some(1)));
        // All are as great, so their ids decide.
        let expected: Vec<_> = (1000..1010).map(|number| (link(number), DAYS, 1)).collect();
        assert_eq!(top, expected);
        // Of each day the links, which are large, and hardly anything else; the rest are sums of a few bytes.
        assert_eq!(first.remembered, 0);
        assert!(first.bytes < 60_000, "{first:?}");
        let (_, _, same, again) = ask().await;
        assert_eq!(same, top);
        assert!(again.remembered >= 20, "{again:?}");
        assert_eq!(first.read, again.read + again.remembered);
        assert!(again.bytes * 2 < first.bytes, "{first:?} {again:?}");

        // Three for a link that was not among the first, weeks late, so that it is now.
        let mut late = Vec::new();
        for _ in 0..3 {
            late.push(click(1200, DAYS - 2));
        }
        feed::append(&app.env().db.api, feed::clicks(late.into_iter()), app.env().now())
            .await
            .expect("appends");
        app.rolled().await;
        let (clicks, _, top, after) = ask().await;
        assert_eq!(clicks, DAYS * LINKS as i64 + 3);
        assert_eq!(top[0], (link(1200), DAYS + 3, 1));
        assert_eq!(top[1..], expected[..9]);
        // The links of that day are read anew.
        assert_eq!(
            (after.remembered + 1, after.read),
            (again.remembered, again.read + 1),
            "{again:?} {after:?}"
        );
    })
    .await;
}
