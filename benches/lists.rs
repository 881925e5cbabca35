//! How long lists of links take in a workspace that has many.
//!
//! `lists LINKS ROUNDS`, with `DATA_DIR` naming a new directory, and `DATABASE_URL` an empty database unless SQLite is to be measured: writes
//! so many links into one workspace, past the API, and then asks for pages of 50 in every way, each so many times or for three seconds. Prints a
//! line for each way, its first pages and those in the middle of the links, and then `name=value` pairs. `APP_ENV=development`, because
//! the database is the only thing of production that it needs.
//!
//! The links: every third was clicked, one in ten has the tag `common` and one in 10,000 the tag `rare`, one in 1,000 is
//! inactive, one in 997 archived, one in ten on a domain of its own, every second of a project and of a template; titles have one of 5,000 words
//! each. One in 100 and one in 1,000 has a word of its own, and the oldest 8,000 and the oldest half have one.

#[path = "shared/many_links.rs"]
mod many_links;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use linkforty::{
    accounts, cache,
    clock::{SystemClock, from_micros},
    config::Config,
    db::{self, Db},
    env::{self, Env},
    ids::Ids,
    links::{self, Archived, Kin, LinkOrder, LinkQuery},
    page::{Cursor, PageRequest},
    workspaces::{Tenant, enter_as_operator},
};

/// How long one question is asked.
const MOST: Duration = Duration::from_secs(3);

/// The namespace that one in ten links lives in.
const DOMAIN: &str = "go.example.org/1";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [links, rounds] = &arguments[..] else {
        println!("usage: [DATABASE_URL=...] DATA_DIR=... APP_ENV=development lists LINKS ROUNDS");
        return Ok(());
    };
    let links: i64 = links.parse().context("LINKS")?;
    let rounds: usize = rounds.parse().context("ROUNDS")?;
    let env = open().await?;
    accounts::bootstrap(&env).await?;
    let tenant = enter_as_operator(&env, None).await?;
    let started = Instant::now();
    many_links::write(&env, &tenant, links).await?;
    println!("wrote {links} links in {:.0} s", started.elapsed().as_secs_f64());

    let mut slowest = (0.0, "");
    for (name, query) in &questions(links) {
        let mut first = Vec::new();
        let mut further = Vec::new();
        // Once to warm up: what is not in memory is the disk's time.
        ask(&env, &tenant, query, links, (&mut Vec::new(), &mut Vec::new())).await?;
        let begun = Instant::now();
        for _ in 0..rounds {
            ask(&env, &tenant, query, links, (&mut first, &mut further)).await?;
            if begun.elapsed() > MOST {
                break;
            }
        }
        let worst = millis(&mut first, 0.99).max(millis(&mut further, 0.99));
        println!(
            "{name}: p50 {:.1} ms, p99 {:.1} ms; in the middle {:.1} ms, {:.1} ms",
            millis(&mut first, 0.5),
            millis(&mut first, 0.99),
            millis(&mut further, 0.5),
            millis(&mut further, 0.99)
        );
        if worst > slowest.0 {
            slowest = (worst, name);
        }
    }
    println!("the slowest: {}", slowest.1);
    println!("list_p99_ms={:.1} list_links={links}", slowest.0);
    Ok(())
}

fn questions(links: i64) -> Vec<(&'static str, LinkQuery)> {
    let any = LinkQuery::default;
    let ordered = |order| LinkQuery { order, ..any() };
    let tagged = |tag: &str| LinkQuery { tags: vec![tag.into()], ..any() };
    let search = |text: &str| LinkQuery { search: text.into(), ..any() };
    let moment =
        |number: i64| Some(from_micros((many_links::FIRST_MILLIS + number * many_links::STEP_MILLIS) * 1000));
    let kin = Kin::This(many_links::KIN);
    let both = || vec!["common".into(), "rare".into()];
    vec![
        ("newest first", any()),
        ("oldest first", ordered(LinkOrder::Oldest)),
        ("most clicked first", ordered(LinkOrder::MostClicked)),
        ("by title", ordered(LinkOrder::Title)),
        ("inactive", LinkQuery { active: Some(false), ..any() }),
        ("archived", LinkQuery { archived: Archived::Only, ..any() }),
        ("archived or not", LinkQuery { archived: Archived::Included, ..any() }),
        (
            "of a thousandth of the time",
            LinkQuery {
                created_after: moment(links / 3),
                created_before: moment(links / 3 + links / 1000),
                ..any()
            },
        ),
        ("of a project", LinkQuery { project: kin, ..any() }),
        ("of no project", LinkQuery { project: Kin::None, ..any() }),
        ("of a template", LinkQuery { template: kin, ..any() }),
        ("on a domain", LinkQuery { domain: Some(DOMAIN.into()), ..any() }),
        ("on the server's own", LinkQuery { domain: Some(String::new()), ..any() }),
        ("of a source", LinkQuery { source: "import".into(), ..any() }),
        ("of a user elsewhere", LinkQuery { external_user_id: "user7".into(), ..any() }),
        ("an external id that none has", LinkQuery { external_id: "order".into(), ..any() }),
        ("a common tag", tagged("common")),
        ("a rare tag", tagged("rare")),
        ("two tags", LinkQuery { tags: both(), ..any() }),
        ("text: that all have", search("example.com")),
        ("text: one in 100", search("hundredth")),
        ("text: one in 1,000", search("thousandth")),
        ("text: one in 5,000", search("word4711")),
        ("text: one code", search("code777777")),
        ("text: none, words that none has", search("no such text")),
        ("text: none, of pieces that all have", search("com/com")),
        ("text: the oldest 8,000", search("longago")),
        ("text: the oldest half", search("oldhalf")),
        ("text: two characters that few have", search("zq")),
        (
            "text: all, most clicked first",
            LinkQuery { order: LinkOrder::MostClicked, ..search("example.com") },
        ),
        (
            "text: one in 1,000, most clicked first",
            LinkQuery { order: LinkOrder::MostClicked, ..search("thousandth") },
        ),
        ("text: one in 1,000, by title", LinkQuery { order: LinkOrder::Title, ..search("thousandth") }),
        ("text: one in 5,000, oldest first", LinkQuery { order: LinkOrder::Oldest, ..search("word4711") }),
        ("text: all, of a rare tag", LinkQuery { tags: vec!["rare".into()], ..search("example.com") }),
        (
            "text: one in 1,000, of a common tag",
            LinkQuery { tags: vec!["common".into()], ..search("thousandth") },
        ),
        ("text: one in 5,000, inactive", LinkQuery { active: Some(false), ..search("word4000") }),
        ("text: one in 1,000, of a project", LinkQuery { project: kin, ..search("thousandth") }),
        ("text: all, on a domain", LinkQuery { domain: Some(DOMAIN.into()), ..search("example.com") }),
    ]
}

/// Reads the first page, one in the middle of the links, and the one behind that.
async fn ask(
    env: &Env,
    tenant: &Tenant,
    query: &LinkQuery,
    links: i64,
    (first, further): (&mut Vec<Duration>, &mut Vec<Duration>),
) -> anyhow::Result<()> {
    let middle = Cursor {
        key: match query.order {
            LinkOrder::Newest | LinkOrder::Oldest => String::new(),
            LinkOrder::MostClicked => "500".into(),
            LinkOrder::Title => "word2500".into(),
        },
        id: many_links::id(links / 2),
    };
    let mut after = None;
    for page in 0..3 {
        let started = Instant::now();
        let found = links::list(env, tenant, query, &PageRequest { size: 50, after }).await?;
        if page == 0 { &mut *first } else { &mut *further }.push(started.elapsed());
        after = if page == 0 { Some(middle.clone()) } else { found.next };
        if after.is_none() {
            break;
        }
    }
    Ok(())
}

fn millis(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    let place = ((times.len() as f64 * part) as usize).min(times.len() - 1);
    times[place].as_secs_f64() * 1000.0
}

/// What lists need of a node, over an empty database brought up to date.
async fn open() -> anyhow::Result<Env> {
    let config = Arc::new(Config::from_env()?);
    std::fs::create_dir_all(&config.data_dir)?;
    let ids = Arc::new(Ids::from_os());
    let db = Db::open(&config).await?;
    db::migrate(&db.api).await?;
    let secrets = env::secrets(&config, &ids)?;
    let stores = cache::open(&config, ids.clone(), &tokio::runtime::Handle::current()).await?;
    Ok(Env::new(config, Arc::new(SystemClock), ids, db, (stores.cache, stores.fanout), secrets))
}
