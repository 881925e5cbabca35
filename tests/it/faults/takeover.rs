//! A LinkForty database is taken over while the command that does it dies again and again.

use std::{
    fs,
    path::Path,
    process::{Child, ExitStatus},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::support::{World, on_every_store, random, signal, variable, visit};

const DEFAULT_CLICKS: i64 = 20_000;
const KILLS: i64 = 3;
const PATIENCE: Duration = Duration::from_secs(3600);
const SCHEMA: &str = include_str!("../fixtures/linkforty/schema.sql");
const ROWS: &str = include_str!("../fixtures/linkforty/rows.sql");
/// Rows that no clock or no rule takes: four clicks, a link, a template, an event and a webhook.
const REFUSED: [(&str, u64); 7] = [
    ("projects", 0),
    ("templates", 1),
    ("links", 1),
    ("clicks", 4),
    ("installs", 0),
    ("events", 1),
    ("webhooks", 1),
];
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A LinkForty database with everything in it that years leave behind.
struct Old {
    server: String,
    name: String,
    url: String,
}

impl Old {
    /// `None`: there is no Postgres for it.
    async fn create(clicks: i64) -> Option<Self> {
        let Some(server) = variable("LINKFORTY_TEST_DATABASE_URL") else {
            let must = variable("LINKFORTY_TEST_REQUIRE_STORES").as_deref() == Some("1");
            assert!(!must, "LINKFORTY_TEST_DATABASE_URL is not set: use tests/services.sh");
            eprintln!("SKIPPED: LINKFORTY_TEST_DATABASE_URL is not set");
            return None;
        };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("linkforty_test_{}_old{number}", std::process::id());
        let mut url = url::Url::parse(&server).expect("a URL");
        url.set_path(&name);
        let old = Self { server, name, url: url.to_string() };
        run(&old.server, &format!("CREATE DATABASE {}", old.name)).await;
        old.execute(SCHEMA).await;
        old.execute(&ROWS.replace("CLICKS", &clicks.to_string())).await;
        Some(old)
    }

    async fn execute(&self, sql: &str) {
        run(&self.url, sql).await;
    }

    async fn number(&self, sql: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.url).await.expect("Postgres answers");
        let sql = AssertSqlSafe(format!("SELECT ({sql})::bigint"));
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("a number")
    }

    async fn drop(self) {
        run(&self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
    }
}

async fn run(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.expect("Postgres answers");
    let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    statement.execute(&mut connection).await.unwrap_or_else(|error| panic!("{error}"));
}

/// Calls the command and returns how it ended, its report and what else it said.
fn take_over(world: &World, old: &Old, folder: &Path, more: &[&str]) -> (ExitStatus, Value, String) {
    let (told, failed) = (folder.join("told"), folder.join("failed"));
    let mut child = begin(world, old, (&told, &failed), more);
    let status = child.wait().expect("it ends");
    let said = fs::read_to_string(&failed).expect("a text");
    let report = fs::read_to_string(&told).expect("a text");
    let report = serde_json::from_str(&report).unwrap_or_else(|_| panic!("no report: {report}{said}"));
    (status, report, said)
}

fn begin(world: &World, old: &Old, files: (&Path, &Path), more: &[&str]) -> Child {
    let given = ["import", "linkforty", "--json", "--database-url", &*old.url];
    world.node.begin(&[&given, more].concat(), files)
}

fn part<'a>(report: &'a Value, name: &str) -> &'a Value {
    let parts = report["parts"].as_array().expect("parts");
    parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

fn rows(remarks: &Value) -> u64 {
    remarks.as_object().into_iter().flatten().filter_map(|(_, remark)| remark["rows"].as_u64()).sum()
}

/// `LINKFORTY_TEST_CLICKS=1000000` takes a million clicks.
#[tokio::test]
async fn a_takeover_that_is_killed_again_and_again_ends_exact() {
    let clicks =
        variable("LINKFORTY_TEST_CLICKS").map_or(DEFAULT_CLICKS, |many| many.parse().expect("a number"));
    on_every_store(&[], async |world| {
        let Some(old) = Old::create(clicks).await else { return };
        let folder = tempfile::tempdir().expect("a temporary directory");
        // What began the world is stored and counted.
        world.node.drained().await;
        let before = (world.count("clicks").await, world.count("links").await, world.count("feed").await);

        // A dry run says what would become of each row, and stores none.
        let (status, report, said) = take_over(world, &old, folder.path(), &["--dry-run", "--allow-refused"]);
        assert!(status.success(), "{report}{said}");
        assert_eq!(part(&report, "clicks")["stored"], clicks + 1, "{report}");
        assert_eq!(before, (world.count("clicks").await, world.count("links").await, world.count("feed").await));
        assert_eq!(world.count("takeovers").await, 0);

        let begun = Instant::now();
        let files = (folder.path().join("told"), folder.path().join("failed"));
        for kill in 1..=KILLS {
            let mut child = begin(world, &old, (&files.0, &files.1), &[]);
            let enough = before.0 + clicks * kill / (KILLS + 1);
            while world.count("clicks").await < enough {
                assert!(begun.elapsed() < PATIENCE, "the takeover does not get on");
                let ended = child.try_wait().expect("a child of ours");
                assert!(ended.is_none(), "{ended:?} {}", fs::read_to_string(&files.1).unwrap_or_default());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let [pause] = random::<1>();
            tokio::time::sleep(Duration::from_millis(pause.into())).await;
            signal("KILL", child.id());
            child.wait().expect("it ends");
            eprintln!("{}: killed with {} clicks there", world.store, world.count("clicks").await - before.0);
        }
        let (status, report, said) = take_over(world, &old, folder.path(), &["--allow-refused"]);
        eprintln!("{}: {clicks} clicks in {:.0} s, {KILLS} kills included", world.store, begun.elapsed().as_secs_f64());
        assert!(status.success(), "{report:#}{said}");
        for (name, refused) in REFUSED {
            let part = part(&report, name);
            assert_eq!(rows(&part["refused"]), refused, "{part:#}");
            let sums = &part["compared"];
            assert_eq!(sums["checksum_there"], sums["checksum_here"], "{part:#}");
            assert_eq!(sums["checksum_there"], part["carried"], "{part:#}");
            assert_eq!(part["stored"], sums["here"], "what was stored is there once: {part:#}");
        }
        assert_eq!(report["reports"]["differences"], 0, "{report:#}");
        assert_eq!(report["reports"]["left_alone"], 0, "{report:#}");

        // What is there, counted by hand on both sides.
        let valid = "isfinite(clicked_at) AND clicked_at > '1970-01-01' AND clicked_at < now() + interval '1 day'";
        let theirs = old.number(&format!("SELECT count(*) FROM click_events WHERE {valid}")).await;
        assert_eq!((theirs, world.count("clicks").await - before.0), (clicks + 1, clicks + 1));
        let humans = old.number(&format!("SELECT count(*) FROM click_events WHERE {valid} AND NOT is_bot")).await;
        let old_links = old.number("SELECT count(*) FROM links").await;
        assert_eq!(world.count("links").await - before.1, old_links - 1);
        let totals = world.count("link_totals").await;
        assert!(totals >= 200, "{totals}");
        let counted = "(SELECT sum(clicks) AS human, sum(bot_clicks) AS others FROM link_totals) AS sums
            WHERE human + others = ";
        // The visits that began the world count too.
        let all = world.count("clicks").await;
        assert_eq!(world.count(&format!("{counted} {all}")).await, 1);
        let visits = before.0;
        let ours = format!("(SELECT sum(clicks) AS human FROM link_totals) AS sums WHERE human - {visits} = {humans}");
        assert_eq!(world.count(&ours).await, 1, "people are counted as people: {humans}");
        assert_eq!(world.count("installs").await, old.number("SELECT count(*) FROM install_events").await);
        let events = old.number("SELECT count(*) FROM in_app_events").await;
        assert_eq!(world.count("events").await, events - 1);
        // Nobody is told of what is over.
        assert_eq!(world.count("feed").await, before.2);
        assert_eq!(world.count("webhook_messages").await, 0);
        assert_eq!(world.count("webhook_endpoints").await, 2);

        // Codes go on working, and those that differ only by case lead to two places.
        for (code, status) in [("old-3", 302), ("Mixed", 302), ("mixed", 302), ("nonsense", 404)] {
            assert_eq!(visit(&world.node, code).await, status, "{code}");
        }

        // Called again it brings nothing, and rows that were refused make it fail unless that is allowed.
        let (status, report, said) = take_over(world, &old, folder.path(), &[]);
        assert_eq!(status.code(), Some(1), "{report:#}{said}");
        for (name, _) in REFUSED {
            let part = part(&report, name);
            assert_eq!((&part["stored"], &part["present"]), (&0.into(), &part["compared"]["here"]), "{part:#}");
        }

        // What has come since is brought; what has changed is named.
        old.execute("INSERT INTO click_events (link_id, clicked_at) VALUES (of('link', 3), now() - interval '9 days')").await;
        let (status, report, said) = take_over(world, &old, folder.path(), &["--allow-refused"]);
        assert!(status.success(), "{report:#}{said}");
        assert_eq!(part(&report, "clicks")["stored"], 1, "{report:#}");
        assert_eq!(report["reports"]["differences"], 0, "{report:#}");
        old.execute("UPDATE links SET title = 'Changed' WHERE id = of('link', 3)").await;
        old.execute("UPDATE click_events SET user_agent = 'y' WHERE id = of('click', 3)").await;
        let (status, report, said) = take_over(world, &old, folder.path(), &["--verify-only", "--allow-refused"]);
        assert_eq!(status.code(), Some(1), "{report:#}{said}");
        for (name, kind) in [("links", "link"), ("clicks", "click")] {
            let different = &part(&report, name)["compared"]["different"];
            assert_eq!(different["rows"], 1, "{different}");
            let same = format!("SELECT CASE WHEN of('{kind}', 3) = '{}' THEN 1 ELSE 0 END", different["first"][0].as_str().expect("an id"));
            assert_eq!(old.number(&same).await, 1, "{different}");
        }
        old.drop().await;
    })
    .await;
}
