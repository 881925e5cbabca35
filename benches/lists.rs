//! How long lists of links take in a workspace that has many.
//!
//! `lists LINKS ROUNDS`, with `DATABASE_URL` naming an empty database and `DATA_DIR` a new directory: writes so many links into one
//! workspace, past the API, and then asks for pages of 50 in every way, each so many times. Prints a line for each way and
//! then `name=value` pairs. `APP_ENV=development`, because the database is the only thing of production that it needs.
//!
//! The links: every third was clicked, one in ten has the tag `common` and one in 10,000 the tag `rare`, one in 1,000 is
//! inactive; titles have one of 5,000 words each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use linkforty::{
    accounts, cache,
    clock::SystemClock,
    config::Config,
    db::{self, Db},
    env::{self, Env},
    ids::Ids,
    links::{self, LinkOrder, LinkQuery},
    page::{Cursor, PageRequest},
    workspaces::{Tenant, enter_as_operator},
};
use secrecy::ExposeSecret as _;

/// Links of one statement.
const ROWS: i64 = 50_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [links, rounds] = &arguments[..] else {
        println!("usage: DATABASE_URL=... DATA_DIR=... APP_ENV=development lists LINKS ROUNDS");
        return Ok(());
    };
    let links: i64 = links.parse().context("LINKS")?;
    let rounds: usize = rounds.parse().context("ROUNDS")?;
    let env = open().await?;
    accounts::bootstrap(&env).await?;
    let tenant = enter_as_operator(&env, None).await?;
    let started = Instant::now();
    write(&env, &tenant, links).await?;
    println!("wrote {links} links in {:.0} s", started.elapsed().as_secs_f64());

    let any = LinkQuery::default;
    let ordered = |order| LinkQuery { order, ..any() };
    let tagged = |tag: &str| LinkQuery { tags: vec![tag.into()], ..any() };
    let search = |text: &str| LinkQuery { search: text.into(), ..any() };
    let ways = [
        ("newest first", any(), 3),
        ("oldest first", ordered(LinkOrder::Oldest), 3),
        ("most clicked first", ordered(LinkOrder::MostClicked), 3),
        ("by title", ordered(LinkOrder::Title), 3),
        ("inactive", LinkQuery { active: Some(false), ..any() }, 3),
        ("a common tag", tagged("common"), 3),
        ("a rare tag", tagged("rare"), 1),
        ("two tags", LinkQuery { tags: vec!["common".into(), "rare".into()], ..any() }, 1),
        ("a word that 200 in a million have", search("word4711"), 1),
        ("a text that all have", search("example.com"), 3),
        ("a text that none has", search("no such text"), 1),
        ("one code", search("code777777"), 1),
        ("an external id that none has", LinkQuery { external_id: "order".into(), ..any() }, 1),
    ];
    let mut all = Vec::new();
    for (name, query, pages) in ways {
        // Once to warm up: what is not in memory is the disk's time.
        ask(&env, &tenant, &query, pages).await?;
        let mut times = Vec::new();
        for _ in 0..rounds {
            times.extend(ask(&env, &tenant, &query, pages).await?);
        }
        println!("{name}: p50 {:.1} ms, p99 {:.1} ms", millis(&mut times, 0.5), millis(&mut times, 0.99));
        all.push((millis(&mut times, 0.99), name));
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (worst, name) = all.last().context("there are ways")?;
    println!("the slowest: {name}");
    println!("list_p99_ms={worst:.1} list_links={links}");
    Ok(())
}

/// Reads pages one after the other and returns how long each took. From the second on they begin in the middle of the links.
async fn ask(env: &Env, tenant: &Tenant, query: &LinkQuery, pages: usize) -> anyhow::Result<Vec<Duration>> {
    let mut page = PageRequest { size: 50, after: None };
    let mut times = Vec::new();
    for number in 0..pages {
        let started = Instant::now();
        let found = links::list(env, tenant, query, &page).await?;
        times.push(started.elapsed());
        page.after = match (number, query.order) {
            (0, LinkOrder::Newest | LinkOrder::Oldest) => {
                Some(Cursor { key: String::new(), id: id(500_000) })
            }
            (0, LinkOrder::MostClicked) => Some(Cursor { key: "500".into(), id: id(500_000) }),
            (0, LinkOrder::Title) => Some(Cursor { key: "word2500".into(), id: id(500_000) }),
            _ => found.next,
        };
        if page.after.is_none() {
            break;
        }
    }
    Ok(times)
}

/// Returns the id that [`write`] gives a link.
fn id(number: i64) -> String {
    let millis = format!("{:012x}", 1_780_000_000_000 + number);
    format!("{}-{}-7000-8000-{number:012x}", &millis[..8], &millis[8..])
}

fn millis(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    let place = ((times.len() as f64 * part) as usize).min(times.len() - 1);
    times[place].as_secs_f64() * 1000.0
}

/// What lists need of a node, over an empty database brought up to date.
async fn open() -> anyhow::Result<Env> {
    let config = Arc::new(Config::from_env()?);
    anyhow::ensure!(config.database.is_some(), "DATABASE_URL is not set");
    std::fs::create_dir_all(&config.data_dir)?;
    let ids = Arc::new(Ids::from_os());
    let db = Db::open(&config).await?;
    db::migrate(&db.api).await?;
    let secrets = env::secrets(&config, &ids)?;
    let stores = cache::open(&config, ids.clone()).await?;
    Ok(Env::new(config, Arc::new(SystemClock), ids, db, (stores.cache, stores.fanout), secrets))
}

/// Writes links with a connection of its own, whose statements may take their time.
async fn write(env: &Env, tenant: &Tenant, links: i64) -> anyhow::Result<()> {
    let url = env.config.database.as_ref().context("DATABASE_URL is not set")?.url.expose_secret().to_owned();
    let pool = sqlx::PgPool::connect(&url).await?;
    for first in (0..links).step_by(ROWS as usize) {
        let last = (first + ROWS).min(links) - 1;
        sqlx::query(
            "INSERT INTO links (id, workspace_id, domain, short_code, destination_url, title, description, ios_url,
                 android_url, web_url, active, tags, version, create_time, update_time)
             SELECT (lpad(to_hex(1780000000000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid, $1, '',
                 'code' || n, 'https://www.example.com/collections/' || n || '?utm_source=mail', 'word' || n % 5000,
                 'A page about number ' || n, '', '', '', n % 1000 <> 0,
                 CASE WHEN n % 10000 = 0 THEN '[\"common\", \"rare\"]' WHEN n % 10 = 0 THEN '[\"common\"]' ELSE '[]' END::jsonb,
                 1, to_timestamp((1780000000000 + n) / 1000.0), to_timestamp((1780000000000 + n) / 1000.0)
             FROM generate_series($2::bigint, $3::bigint) AS n",
        )
        .bind(tenant.id.0)
        .bind(first)
        .bind(last)
        .execute(&pool)
        .await?;
    }
    sqlx::query(
        "INSERT INTO link_totals (workspace_id, link_id, clicks, bot_clicks)
         SELECT workspace_id, id, abs(hashtext(short_code)) % 1000, 0 FROM links WHERE abs(hashtext(short_code)) % 3 = 0",
    )
    .execute(&pool)
    .await?;
    // As autovacuum would have done by the time that there are so many.
    for table in ["links", "link_totals", "link_tags"] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("VACUUM (ANALYZE) {table}"))).execute(&pool).await?;
    }
    pool.close().await;
    Ok(())
}
