//! Reports are read from a standby of the database while it is a good one, and from the primary otherwise.

use std::time::Duration;

use linkforty::{
    db,
    pb::v1::{QueryTimeSeriesRequest, QueryTimeSeriesResponse},
};
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};

use crate::{
    faults::support::{ALONE, Postgres},
    support::{App, DESKTOP, Store, Tenant, coded, get, stores, within},
};

async fn connect(url: &str) -> DatabaseConnection {
    sea_orm::Database::connect(url).await.expect("the database answers")
}

async fn say(db: &DatabaseConnection, sql: &str) -> String {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.expect("an answer").expect("a row");
    row.try_get_by_index(0).expect("text")
}

async fn report(tenant: &Tenant) -> i64 {
    let asked = QueryTimeSeriesRequest::default();
    let answer: QueryTimeSeriesResponse =
        tenant.analytics.clone().query_time_series(asked).await.expect("numbers").into_inner();
    answer.total.expect("always there").clicks
}

/// How many reports were read somewhere, for some reason.
async fn read_from(app: &App, from: &str, why: &str) -> u64 {
    let metrics = get(app.ops(), "/metrics", &[]).await.text();
    let has = |line: &&str| {
        line.starts_with("linkforty_report_reads_total{")
            && line.contains(&format!("from=\"{from}\""))
            && line.contains(&format!("why=\"{why}\""))
    };
    let line = metrics.lines().find(has);
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Asks for reports until one is read from there.
async fn reads_from(app: &App, tenant: &Tenant, from: &str, why: &str) {
    let before = read_from(app, from, why).await;
    within(Duration::from_secs(30), &format!("a report is read from the {from}: {why}"), async || {
        report(tenant).await;
        read_from(app, from, why).await > before
    })
    .await;
}

#[tokio::test]
async fn reports_are_read_from_a_standby_while_it_is_a_good_one() {
    let _alone = ALONE.lock().await;
    if !stores().contains(&Store::Production) {
        eprintln!("no Postgres to stand by");
        return;
    }
    let Some(primary) = Postgres::begin().await else { return };
    let owner = connect(&primary.url()).await;
    db::migrate(&owner).await.expect("migrates");
    let mut standby = primary.standby().await;
    let settings = [
        ("DATABASE_URL", primary.url()),
        ("DATABASE_READ_URL", standby.url()),
        ("DATABASE_READ_MAX_LAG_SECONDS", "1".to_owned()),
    ];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let app = App::start_with(Store::Production, &settings).await;
    let tenant = app.tenant().await;
    tenant.create(coded("spring")).await;
    app.visit_as(http::Method::GET, "/spring", &[("user-agent", DESKTOP)]).await;
    app.settled().await;

    reads_from(&app, &tenant, "standby", "good").await;
    within(Duration::from_secs(30), "the standby has the click", async || report(&tenant).await == 1).await;
    // Whoever may read tables may ask how far the standby is.
    owner.execute_unprepared("CREATE ROLE reader LOGIN").await.expect("creates");
    let mine = "SET ROLE reader";
    let one =
        sea_orm::Database::connect(sea_orm::ConnectOptions::new(primary.url()).max_connections(1).to_owned());
    let one = one.await.expect("the database answers");
    one.execute_unprepared(mine).await.expect("becomes the reader");
    say(&one, "SELECT system_identifier::text || pg_current_wal_lsn() FROM pg_control_system()").await;

    // One that replays nothing falls behind as soon as something is written.
    let replica = connect(&standby.url()).await;
    say(&replica, "SELECT pg_wal_replay_pause()::text").await;
    app.visit_as(http::Method::GET, "/spring", &[("user-agent", DESKTOP)]).await;
    app.settled().await;
    reads_from(&app, &tenant, "primary", "behind").await;
    assert_eq!(report(&tenant).await, 2, "the primary knows");
    say(&replica, "SELECT pg_wal_replay_resume()::text").await;
    reads_from(&app, &tenant, "standby", "good").await;

    // One that takes writes of its own is none any more.
    say(&replica, "SELECT pg_promote()::text").await;
    reads_from(&app, &tenant, "primary", "no_standby").await;
    drop(replica);
    standby.stop();
    reads_from(&app, &tenant, "primary", "away").await;
    assert_eq!(report(&tenant).await, 2);
    app.stop().await;
}
