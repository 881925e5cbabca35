//! How fast a click is recorded and drained, and how large it is in Postgres.
//!
//! `drain CLICKS ROUNDS`, with `DATABASE_URL` naming an empty database and `DATA_DIR` a new directory: records so many
//! clicks, drains them, does that again, and measures the tables at the end. Prints a line a round and then `name=value`
//! pairs. `APP_ENV=development`, because the database is the only thing of production that it needs.
//!
//! The clicks: one day of 1,000 links, 200 user agents, 50 sites that refer, 10 languages; one in ten has a query.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use linkforty::{
    attribution, cache,
    clicks::{Click, Recorder, class::Class, drain},
    clock::{Moment, SystemClock},
    config::Config,
    db::{self, Db},
    env::{self, Env},
    ids::{ClickId, Ids, LinkId, WorkspaceId},
    spool::{Spool, SpoolOptions},
};
use secrecy::ExposeSecret as _;

const LINKS: usize = 1000;
const USER_AGENTS: usize = 200;
const REFERRERS: usize = 50;
const LANGUAGES: [&str; 10] =
    ["en-GB", "en-US", "de-DE", "fr-FR", "es-ES", "it-IT", "pt-BR", "ja-JP", "nl-NL", "pl-PL"];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [clicks, rounds] = &arguments[..] else {
        println!("usage: DATABASE_URL=... DATA_DIR=... APP_ENV=development drain CLICKS ROUNDS");
        return Ok(());
    };
    let clicks: usize = clicks.parse().context("CLICKS")?;
    let rounds: usize = rounds.parse().context("ROUNDS")?;

    let env = open().await?;
    let options = SpoolOptions::default();
    let (spool, mut reader) = Spool::open(&env.config.data_dir.join("spool"), options)?;
    let recorder =
        Recorder::new(spool.clone(), env.secrets.session.expose_secret().as_bytes(), env.geo.clone());
    let visits = Visits::new(&env, clicks * rounds);

    let mut recorded = Vec::with_capacity(clicks * rounds);
    let mut rates = Vec::new();
    for round in 0..rounds {
        for number in round * clicks..(round + 1) * clicks {
            recorded.push(visits.record(&recorder, &env, number)?);
        }
        let started = Instant::now();
        let drained = drain::once((&env, attribution::carry), &spool, &mut reader).await?;
        let rate = drained as f64 / started.elapsed().as_secs_f64();
        println!("round {}: {drained} clicks, {rate:.0} a second", round + 1);
        rates.push(rate);
    }
    recorded.sort_unstable();
    rates.sort_by(f64::total_cmp);
    let micros = |part: f64| recorded[(recorded.len() as f64 * part) as usize].as_nanos() as f64 / 1000.0;
    let (rows, clicks_bytes, extra_bytes) = sizes(&env).await?;
    println!(
        "record_p50_us={:.1} record_p99_us={:.1} rows_per_second={:.0} rows={rows} bytes_per_click={:.0} \
         extra_bytes_per_click={:.1}",
        micros(0.5),
        micros(0.99),
        rates[rates.len() / 2],
        clicks_bytes as f64 / rows as f64,
        extra_bytes as f64 / rows as f64,
    );
    Ok(())
}

/// What the drain needs of a node, over an empty database brought up to date.
async fn open() -> anyhow::Result<Env> {
    let config = Arc::new(Config::from_env()?);
    anyhow::ensure!(config.database.is_some(), "DATABASE_URL is not set");
    std::fs::create_dir_all(&config.data_dir)?;
    let ids = Arc::new(Ids::from_os());
    let db = Db::open(&config).await?;
    db::migrate(&db.api).await?;
    let secrets = env::secrets(&config, &ids)?;
    let stores = cache::open(&config, ids.clone(), &tokio::runtime::Handle::current()).await?;
    Ok(Env::new(config, Arc::new(SystemClock), ids, db, (stores.cache, stores.fanout), secrets))
}

/// Clicks that look like a day's, spread evenly over it.
struct Visits {
    workspace: WorkspaceId,
    links: Vec<LinkId>,
    user_agents: Vec<String>,
    referrers: Vec<String>,
    begin: Moment,
    step: Duration,
}

impl Visits {
    fn new(env: &Env, clicks: usize) -> Self {
        let begin = env.now() - DAY;
        Self {
            workspace: WorkspaceId::mint(&env.ids, begin),
            links: (0..LINKS).map(|_| LinkId::mint(&env.ids, begin)).collect(),
            user_agents: (0..USER_AGENTS)
                .map(|number| {
                    format!(
                        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_{number} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                         Version/18.0 Mobile/15E148 Safari/604.1"
                    )
                })
                .collect(),
            referrers: (0..REFERRERS).map(|number| format!("https://news{number}.example.com/today")).collect(),
            begin,
            step: DAY / u32::try_from(clicks).unwrap_or(u32::MAX),
        }
    }

    /// Records a click and says how long that took.
    fn record(&self, recorder: &Recorder, env: &Env, number: usize) -> anyhow::Result<Duration> {
        // A walk without a pattern that the tables could profit from.
        let dice = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let click = Click {
            workspace: self.workspace,
            link: self.links[dice % LINKS],
            platform: 1,
            class: Class::Human,
            step: 1,
            client: Some(IpAddr::V4(Ipv4Addr::from_bits(dice as u32))),
            user_agent: &self.user_agents[(dice / 7) % USER_AGENTS],
            referrer: &self.referrers[(dice / 11) % REFERRERS],
            languages: LANGUAGES[(dice / 13) % LANGUAGES.len()],
            query: if number.is_multiple_of(10) { "utm_source=newsletter&utm_medium=email" } else { "" },
            parameters: &[],
            lease: None,
        };
        let id = ClickId::mint(&env.ids, self.begin + self.step * number as u32);
        let started = Instant::now();
        recorder.record(id, &click)?;
        Ok(started.elapsed())
    }
}

/// Returns how many clicks there are, their bytes with all indexes, and the bytes of what is kept beside them.
async fn sizes(env: &Env) -> anyhow::Result<(i64, i64, i64)> {
    let sizes = sqlx::query_as(
        "SELECT (SELECT count(*) FROM clicks),
                (SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('clicks')),
                pg_total_relation_size('dictionary')
                    + pg_total_relation_size('link_totals')",
    )
    .fetch_one(env.db.api.get_postgres_connection_pool())
    .await?;
    Ok(sizes)
}
