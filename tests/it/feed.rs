//! The feed: what is stored stands in it once, in one order, whatever transactions are under way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::Method;
use linkforty::{
    clicks::query,
    db,
    entity::{click, dictionary, feed as feed_table},
    feed::{self, Event, Items, Position, Row},
    ids::{EventId, InstallId, WorkspaceId},
    pb::{
        internal::v1::ClickRecord,
        v1::{Link, Project, project_service_client::ProjectServiceClient},
    },
    spool::RecordKind,
};
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, EntityTrait as _, PaginatorTrait as _, TransactionTrait as _,
};
use tokio::time::sleep;
use uuid::Uuid;

use crate::support::{App, Bearer, DESKTOP, IPHONE, Store, cities, link, on_every_store, stores};

const DESTINATION: &str = "https://example.com/any";

fn workspace(number: u128) -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(number))
}

fn event(number: u128) -> Event {
    Event {
        id: EventId(Uuid::from_u128(number)),
        install: InstallId(Uuid::nil()),
        app: None,
        name: "open".to_owned(),
        time: linkforty::clock::from_micros(0),
        revenue: None,
        reporting: None,
        duplicate_revenue: false,
        link: None,
        click: None,
        link_open_time: None,
        domain: String::new(),
        project: String::new(),
        priced_later: false,
    }
}

/// The numbers of the events in some rows, in their order.
fn numbers(rows: &[Row]) -> Vec<u128> {
    let events = rows.iter().flat_map(|row| match &*row.items {
        Items::Events(events) => events.iter().map(|event| event.id.0.as_u128()).collect::<Vec<_>>(),
        other => panic!("no events: {other:?}"),
    });
    events.collect()
}

async fn append(tx: &impl sea_orm::ConnectionTrait, app: &App, of: u128, number: u128) {
    let entries = feed::events([(workspace(of), event(number))]);
    feed::append(tx, entries, app.env().now()).await.expect("appends");
}

async fn read(db: &DatabaseConnection, after: Position) -> Vec<Row> {
    feed::read_after(db, None, after, 1000).await.expect("reads")
}

/// On Postgres a transaction may commit behind others that began after it.
#[tokio::test]
async fn nothing_is_shown_before_what_may_still_appear_in_front_of_it() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let app = App::start(Store::Production).await;
    let beside = app.start_beside(&[]).await;
    let (here, there) = (&app.env().db.drain, &beside.env().db.drain);
    let start = feed::settled(here).await.expect("answers");

    // One that is under way, and has nothing to do with the feed, is waited for by nobody.
    let other = app.env().db.bulk.begin().await.expect("begins");
    other
        .execute_unprepared("INSERT INTO event_properties VALUES (gen_random_uuid(), 'x')")
        .await
        .expect("writes");

    let slow = db::begin(here).await.expect("begins");
    append(&slow, &app, 1, 1).await;
    let quick = db::begin(there).await.expect("begins");
    append(&quick, &app, 1, 2).await;
    quick.commit().await.expect("commits");
    assert_eq!(numbers(&read(there, start).await), [0; 0], "1 may still appear in front of 2");
    assert_eq!(feed::settled(there).await.expect("answers"), start);

    // Whoever comes later is waited for no longer than the slow one.
    let late = db::begin(there).await.expect("begins");
    append(&late, &app, 2, 3).await;
    slow.commit().await.expect("commits");
    let shown = read(here, start).await;
    assert_eq!(numbers(&shown), [1, 2]);
    let gone = db::begin(here).await.expect("begins");
    append(&gone, &app, 2, 4).await;
    gone.rollback().await.expect("rolls back");
    assert_eq!(numbers(&read(here, shown[1].position).await), [0; 0]);
    late.commit().await.expect("commits");
    assert_eq!(numbers(&read(here, shown[1].position).await), [3]);
    let of_two = feed::read_after(here, Some(workspace(2)), start, 10).await.expect("reads");
    assert_eq!(numbers(&of_two), [3]);
    other.rollback().await.expect("rolls back");
    beside.stop().await;
    app.stop().await;
}

/// `LINKFORTY_TEST_SEED` repeats what was drawn, though not how it fell out.
#[tokio::test]
async fn who_reads_on_sees_everything_once_and_in_one_order_while_many_append() {
    const WRITERS: u64 = 6;
    const EACH: u128 = 60;
    on_every_store(async |app| {
        let beside = match app.env().config.database {
            Some(_) => Some(app.start_beside(&[]).await),
            None => None,
        };
        let other = beside.as_ref().unwrap_or(app);
        let begin = feed::settled(&app.env().db.api).await.expect("answers");
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = [app.env().db.api.clone(), other.env().db.lookup.clone()]
            .into_iter()
            .map(|db| {
                let stop = stop.clone();
                tokio::spawn(async move {
                    let (mut position, mut seen) = (begin, Vec::new());
                    loop {
                        let was_over = stop.load(Ordering::SeqCst);
                        let rows = feed::read_after(&db, None, position, 7).await.expect("reads");
                        if let Some(last) = rows.last() {
                            position = last.position;
                            seen.extend(numbers(&rows));
                        } else if was_over {
                            return seen;
                        }
                        sleep(Duration::from_millis(2)).await;
                    }
                })
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let env = if writer % 2 == 0 { app.env().clone() } else { other.env().clone() };
                tokio::spawn(async move {
                    let mut dice = StdRng::seed_from_u64(writer);
                    let mut stored = Vec::new();
                    for nth in 0..EACH {
                        let number = u128::from(writer) * 1000 + nth;
                        let tx = db::begin(&env.db.api).await.expect("begins");
                        let entries = feed::events([(workspace(u128::from(writer) % 3), event(number))]);
                        feed::append(&tx, entries, env.now()).await.expect("appends");
                        sleep(Duration::from_millis(dice.random_range(0..6))).await;
                        if dice.random_bool(0.15) {
                            tx.rollback().await.expect("rolls back");
                        } else {
                            tx.commit().await.expect("commits");
                            stored.push(number);
                        }
                    }
                    stored
                })
            })
            .collect();
        let mut stored = Vec::new();
        for writer in writers {
            stored.extend(writer.await.expect("no panic"));
        }
        stop.store(true, Ordering::SeqCst);
        let mut orders = Vec::new();
        for reader in readers {
            orders.push(reader.await.expect("no panic"));
        }
        assert_eq!(orders[0], orders[1], "every reader sees the same order");
        let mut seen = orders.swap_remove(0);
        assert_eq!(numbers(&read(&app.env().db.api, begin).await), seen, "and so does who comes later");
        seen.sort_unstable();
        stored.sort_unstable();
        assert_eq!(seen, stored);
        if let Some(beside) = beside {
            beside.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_click_says_where_it_came_from_and_where_its_link_was() {
    for store in stores() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("cities.mmdb");
        let networks = [("203.0.113.0/24", "CH", &["ZH"][..], "Zürich"), ("198.51.100.0/24", "NZ", &[], "")];
        std::fs::write(&file, cities(&networks)).expect("writes");
        let file = file.display().to_string();
        let settings = [("GEOIP_FILE", file.as_str()), ("TRUSTED_PROXIES", "127.0.0.1/32")];
        let app = App::start_with(store, &settings).await;
        let tenant = app.tenant().await;
        app.env().geo.refresh();
        let mut projects =
            ProjectServiceClient::with_interceptor(app.channel().await, Bearer(tenant.key.clone()));
        let project = Project { name: "Spring".to_owned(), ..Project::default() };
        let request =
            linkforty::pb::v1::CreateProjectRequest { project: Some(project), ..Default::default() };
        let project = projects.create_project(request).await.expect("creates").into_inner().project;
        let project = project.expect("always there").id;
        let spring = tenant.create(Link { project_id: project.clone(), ..link("spring", DESTINATION) }).await;
        tenant.create(link("alone", DESTINATION)).await;
        for (path, from) in
            [("/spring?utm_source=mail", "203.0.113.7"), ("/alone", "198.51.100.9"), ("/alone", "192.0.2.1")]
        {
            let headers = [("x-forwarded-for", from), ("user-agent", IPHONE)];
            app.visit_as(Method::GET, path, &headers).await;
        }
        app.settled().await;

        let rows = read(&app.env().db.api, Position::default()).await;
        let clicks: Vec<_> = rows
            .iter()
            .flat_map(|row| match &*row.items {
                Items::Clicks(clicks) => clicks.clone(),
                other => panic!("no clicks: {other:?}"),
            })
            .collect();
        let place = |at: usize| (&*clicks[at].country, &*clicks[at].region, &*clicks[at].city);
        assert_eq!([place(0), place(1), place(2)], [("CH", "CH-ZH", "Zürich"), ("NZ", "", ""), ("", "", "")]);
        let host = "go.example.test";
        assert_eq!((&*clicks[0].domain, &*clicks[0].project), (host, &*project));
        assert_eq!((&*clicks[1].domain, &*clicks[1].project), (host, ""));
        assert_eq!(
            (clicks[0].link.to_string(), query::utm(&clicks[0].campaign)),
            (spring.id.clone(), ["mail", "", "", "", ""])
        );
        assert_eq!(&*clicks[0].user_agent, IPHONE);
        assert!(rows.iter().all(|row| row.workspace.to_string() == tenant.id && row.time == app.env().now()));

        // The rows of clicks say the same, for whoever counts anew.
        let db = &app.env().db.api;
        let text = async |id: Option<i32>| match id {
            None => String::new(),
            Some(id) => {
                let found = dictionary::Entity::find_by_id(id).one(db).await.expect("reads");
                found.expect("it is there").value
            }
        };
        for (at, place, home) in [
            (0, "CH\u{1f}CH-ZH\u{1f}Zürich", format!("{host}\u{1f}{project}")),
            (1, "NZ\u{1f}\u{1f}", format!("{host}\u{1f}")),
            (2, "", format!("{host}\u{1f}")),
        ] {
            let row =
                click::Entity::find_by_id(clicks[at].id).one(db).await.expect("reads").expect("it is there");
            assert_eq!((text(row.place_id).await, text(row.home_id).await), (place.to_owned(), home));
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn a_click_of_a_link_that_is_gone_is_at_home_nowhere() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(link("spring", DESTINATION)).await;
        // Past its row, so that the node goes on following it.
        app.visit("/spring").await;
        app.settled().await;
        let db = &app.env().db.api;
        db.execute_unprepared("DELETE FROM links").await.expect("deletes");
        sleep(Duration::from_millis(2100)).await;
        // As a node writes it that still follows the link; whether this one does depends on whether it has heard of anything.
        let bytes = |id: &str| Uuid::parse_str(id).expect("an id").as_bytes().to_vec().into();
        let click = ClickRecord {
            workspace_id: bytes(&tenant.id),
            link_id: bytes(&made.id),
            ..ClickRecord::default()
        };
        let id = app.env().ids.uuid(app.env().now());
        app.running().spool.append(RecordKind::Click, id, &click.encode_to_vec()).expect("there is room");
        app.settled().await;
        let rows = read(db, Position::default()).await;
        let domains: Vec<_> = rows
            .iter()
            .flat_map(|row| match &*row.items {
                Items::Clicks(clicks) => clicks.clone(),
                other => panic!("no clicks: {other:?}"),
            })
            .map(|click| (click.link.to_string(), click.domain.to_string()))
            .collect();
        assert_eq!(domains, [(made.id.clone(), "go.example.test".to_owned()), (made.id, String::new())]);
    })
    .await;
}

#[tokio::test]
async fn what_is_older_than_a_day_is_forgotten_oldest_first() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(link("spring", DESTINATION)).await;
        app.visit_as(Method::GET, "/spring", &[("user-agent", DESKTOP)]).await;
        app.settled().await;
        let db = &app.env().db.api;
        let rows = async || feed_table::Entity::find().count(db).await.expect("counts");
        app.clock.advance(chrono::Duration::hours(24));
        assert_eq!((feed::sweep(app.env(), Position(i64::MAX)).await.expect("sweeps"), rows().await), (0, 1));
        app.visit_as(Method::GET, "/spring", &[("user-agent", DESKTOP)]).await;
        app.settled().await;
        let end = feed::settled(db).await.expect("answers");
        app.clock.advance(chrono::Duration::minutes(61));
        assert_eq!((feed::sweep(app.env(), Position(i64::MAX)).await.expect("sweeps"), rows().await), (1, 1));
        app.clock.advance(chrono::Duration::hours(25));
        feed::sweep(app.env(), Position(i64::MAX)).await.expect("sweeps");
        assert_eq!(
            (rows().await, feed::settled(db).await.expect("answers")),
            (0, end),
            "numbers outlive rows"
        );
    })
    .await;
}
