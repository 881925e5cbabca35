//! How fast what happens is counted, how large that is, how long reports take, and how soon they show what has just happened.
//!
//! `analytics CLICKS DAYS LINKS ROUNDS [DRAINED [VISITS]]`, with `DATA_DIR` naming a new directory, and `DATABASE_URL` an empty database unless SQLite is to be
//! measured: counts 100,000 clicks in one workspace and so many in another, spread evenly over days and links, past the API and the drain: what the
//! drain would tell the feed is put there, and the roller carries it into rollups. Then asks both for reports of the last 30 days, each so many
//! times. Then drains so many more clicks of the last day (200,000) while the roller counts them, and at last starts a whole server over all of that,
//! visits links by HTTP (40 times) and waits each time until an overview and a stream of events show it. Prints lines and then `name=value` pairs.
//! `APP_ENV=development`, because the database is the only thing of production that it needs.
//!
//! Beside the times of a report stands what it reads, which is the same on every machine: of a process that remembers nothing, and of one that was asked
//! the same before.
//!
//! The clicks: 200 user agents, 50 sites that refer, 10 languages, 40 countries of five regions with four cities each; one in ten has a campaign.

#[path = "shared/live.rs"]
mod live;
#[path = "shared/many_links.rs"]
mod many_links;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use chrono::Duration as Days;
use linkforty::{
    accounts,
    analytics::{
        reports,
        rollup::{
            self, Round,
            read::{Cost, Kept},
        },
    },
    cache,
    clock::{Moment, SystemClock},
    config::Config,
    db::{self, Db, Dialect},
    entity::workspace,
    env::{self, Env},
    feed,
    ids::{ClickId, Ids, LinkId, WorkspaceId},
    memory::Memory,
    pb::v1::{
        Dimension, GetOverviewRequest, QueryBreakdownRequest, QueryTimeSeriesRequest, ReportScope, ReportSpan,
    },
    workspaces::{Tenant, enter_as_operator},
};
use prost_types::Timestamp;
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _, Statement,
};

/// What the larger workspace is compared with.
const FEW: usize = 100_000;
/// How often a report is asked for with nothing remembered.
const FIRST_TIMES: usize = 5;
/// How many clicks one batch of the drain has.
const BATCH: usize = 5000;
const USER_AGENTS: usize = 200;
const REFERRERS: usize = 50;
const LANGUAGES: [&str; 10] =
    ["en-GB", "en-US", "de-DE", "fr-FR", "es-ES", "it-IT", "pt-BR", "ja-JP", "nl-NL", "pl-PL"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(([clicks, days, links, rounds], rest)) = arguments.split_first_chunk() else {
        println!(
            "usage: [DATABASE_URL=...] DATA_DIR=... APP_ENV=development analytics CLICKS DAYS LINKS ROUNDS [DRAINED [VISITS]]"
        );
        return Ok(());
    };
    let optional = |at: usize, otherwise: usize| -> Result<usize, std::num::ParseIntError> {
        rest.get(at).map_or(Ok(otherwise), |text: &String| text.parse())
    };
    let drained: usize = optional(0, 200_000).context("DRAINED")?;
    let visits: usize = optional(1, 40).context("VISITS")?;
    let clicks: usize = clicks.parse().context("CLICKS")?;
    let days: i64 = days.parse().context("DAYS")?;
    let links: i64 = links.parse().context("LINKS")?;
    let rounds: usize = rounds.parse().context("ROUNDS")?;

    let env = open().await?;
    accounts::bootstrap(&env).await?;
    let many = enter_as_operator(&env, None).await?;
    many_links::write(&env, &many, links).await?;
    // Its links are in no list; their ids are the same.
    let few = another(&env, &many).await?;
    let traffic = Traffic::new(env.now() - Days::days(days), days, links);
    let before = bytes(&env).await?;
    count(&env, few.id, &traffic, FEW).await?;
    let between = bytes(&env).await?;
    let rate = count(&env, many.id, &traffic, clicks).await?;
    let after = bytes(&env).await?;
    let per_million = |bytes: i64, clicks: usize| bytes as f64 / clicks as f64 * 1_000_000.0 / 1_048_576.0;
    println!(
        "{clicks} clicks counted, {rate:.0} a second; rollups: {:.1} MiB a million clicks ({:.1} of {FEW})",
        per_million(after - between, clicks),
        per_million(between - before, FEW),
    );

    let mut told = String::new();
    let mut overviews = Vec::new();
    for (name, tenant) in [("few", &few), ("many", &many)] {
        let mut worst: (f64, &str) = (0.0, "");
        let mut worst_first: f64 = 0.0;
        for (report, dimension) in REPORTS {
            // Once to warm up: what is not in memory is the disk's time.
            ask(&env, tenant, report, dimension).await?;
            let (mut first_times, mut times) = (Vec::new(), Vec::with_capacity(rounds));
            let mut first = Cost::default();
            for _ in 0..FIRST_TIMES {
                let env = Env { memory: Memory::default(), ..env.clone() };
                let started = Instant::now();
                ask(&env, tenant, report, dimension).await?;
                first_times.push(started.elapsed());
                first = env.memory.of(Kept::default).cost();
            }
            let kept = env.memory.of(Kept::default);
            ask(&env, tenant, report, dimension).await?;
            let before = kept.cost();
            for _ in 0..rounds {
                let started = Instant::now();
                ask(&env, tenant, report, dimension).await?;
                times.push(started.elapsed());
            }
            let again = kept.cost();
            let each = |after: u64, before: u64| (after - before) / rounds.max(1) as u64;
            let (rows, bytes) = (each(again.read, before.read), each(again.bytes, before.bytes));
            let (middle, p99) = (millis(&mut times, 0.5), millis(&mut times, 0.99));
            let first_time = millis(&mut first_times, 0.99);
            println!(
                "{name}, {report}: p50 {middle:.1} ms, p99 {p99:.1} ms, reading {rows} rows of {bytes} bytes; with nothing remembered {first_time:.1} ms, {} rows of {} bytes",
                first.read, first.bytes
            );
            match report {
                "overview" => overviews.push(middle),
                _ if p99 > worst.0 => worst = (p99, report),
                _ => {}
            }
            worst_first = worst_first.max(first_time);
            if report == "overview" {
                told.push_str(&format!(
                    "overview_{name}_p50_ms={middle:.1} overview_{name}_p99_ms={p99:.1} overview_{name}_first_ms={first_time:.1} \
                     overview_{name}_rows={} overview_{name}_bytes={} overview_{name}_rows_again={rows} overview_{name}_bytes_again={bytes} ",
                    first.read, first.bytes
                ));
            }
        }
        println!("{name}: the slowest of the others was {}", worst.1);
        told.push_str(&format!(
            "reports_{name}_p99_ms={:.1} reports_{name}_first_ms={worst_first:.1} ",
            worst.0
        ));
    }
    let (drain_rate, click_bytes) = live::drained(&env, &many, &traffic.links, drained).await?;
    println!(
        "{drained} more clicks drained and counted, {drain_rate:.0} a second; {click_bytes:.0} bytes a stored click"
    );
    let mut seen = live::seen(&many, visits).await?;
    for (name, times) in [("report", &mut seen.in_report), ("stream", &mut seen.on_stream)] {
        let (middle, p99) = (millis(times, 0.5), millis(times, 0.99));
        println!("from a click to the {name} that shows it: p50 {middle:.0} ms, p99 {p99:.0} ms");
        told.push_str(&format!("{name}_shows_p50_ms={middle:.0} {name}_shows_p99_ms={p99:.0} "));
    }
    println!(
        "{told}drained_per_second={drain_rate:.0} bytes_per_click={click_bytes:.0} overview_ratio={:.2} rolled_per_second={rate:.0} rollup_bytes_per_million={:.0} clicks={clicks}",
        overviews[1] / overviews[0],
        (after - between) as f64 / clicks as f64 * 1_000_000.0,
    );
    Ok(())
}

const REPORTS: [(&str, Option<Dimension>); 25] = [
    ("overview", None),
    ("days in Zurich", None),
    ("by country", Some(Dimension::Country)),
    ("by region", Some(Dimension::Region)),
    ("by city", Some(Dimension::City)),
    ("by device", Some(Dimension::Device)),
    ("by system", Some(Dimension::Os)),
    ("by version of a system", Some(Dimension::OsVersion)),
    ("by browser", Some(Dimension::Browser)),
    ("by in-app browser", Some(Dimension::InAppBrowser)),
    ("by referrer", Some(Dimension::Referrer)),
    ("by language", Some(Dimension::Language)),
    ("by source", Some(Dimension::UtmSource)),
    ("by medium", Some(Dimension::UtmMedium)),
    ("by campaign", Some(Dimension::UtmCampaign)),
    ("by term", Some(Dimension::UtmTerm)),
    ("by content", Some(Dimension::UtmContent)),
    ("by class", Some(Dimension::Class)),
    ("by rule", Some(Dimension::Rule)),
    ("by variant", Some(Dimension::Variant)),
    ("by destination", Some(Dimension::Destination)),
    ("by domain", Some(Dimension::Domain)),
    ("by platform", Some(Dimension::Platform)),
    ("by link", Some(Dimension::Link)),
    ("by project", Some(Dimension::Project)),
];

async fn ask(env: &Env, tenant: &Tenant, report: &str, dimension: Option<Dimension>) -> anyhow::Result<()> {
    let now = env.now();
    let at = |time: Moment| Some(Timestamp { seconds: time.timestamp(), nanos: 0 });
    let span = ReportSpan {
        start_time: at(now - Days::days(30)),
        end_time: at(now),
        time_zone: if report == "days in Zurich" { "Europe/Zurich".to_owned() } else { String::new() },
    };
    let scope = Some(ReportScope { workspace_id: tenant.id.to_string(), ..ReportScope::default() });
    if let Some(dimension) = dimension {
        let asked = QueryBreakdownRequest {
            scope,
            span: Some(span),
            dimension: dimension.into(),
            ..QueryBreakdownRequest::default()
        };
        let answer = reports::breakdown(env, tenant, &asked).await?;
        anyhow::ensure!(answer.total.is_some_and(|total| total.clicks > 0), "{report} counts nothing");
    } else if report == "overview" {
        let asked = GetOverviewRequest {
            workspace_id: tenant.id.to_string(),
            start_time: span.start_time,
            end_time: span.end_time,
            ..GetOverviewRequest::default()
        };
        anyhow::ensure!(
            reports::overview(env, tenant, &asked).await?.clicks > 0,
            "the overview counts nothing"
        );
    } else {
        let asked = QueryTimeSeriesRequest { scope, span: Some(span), ..QueryTimeSeriesRequest::default() };
        let answer = reports::time_series(env, tenant, &asked).await?;
        anyhow::ensure!(answer.total.is_some_and(|total| total.clicks > 0), "{report} counts nothing");
    }
    Ok(())
}

/// Makes another workspace.
async fn another(env: &Env, first: &Tenant) -> anyhow::Result<Tenant> {
    let row =
        workspace::Entity::find_by_id(first.id).one(&env.db.api).await?.context("the first workspace")?;
    let id = WorkspaceId::mint(&env.ids, env.now());
    let copy = workspace::Model { id, ..row }.into_active_model().reset_all();
    workspace::Entity::insert(copy).exec_without_returning(&env.db.api).await?;
    Ok(enter_as_operator(env, Some(&id.to_string())).await?)
}

/// Puts clicks into the feed as the drain does and counts them, some batches at a time. Returns how many a second were counted.
async fn count(env: &Env, workspace: WorkspaceId, traffic: &Traffic, clicks: usize) -> anyhow::Result<f64> {
    let mut counting = Duration::ZERO;
    let mut number = 0;
    while number < clicks {
        for _ in 0..8 {
            let end = (number + BATCH).min(clicks);
            let batch = (number..end).map(|number| (workspace, traffic.click(env, number, clicks)));
            feed::append(&env.db.api, feed::clicks(batch), env.now()).await?;
            number = end;
        }
        let started = Instant::now();
        while rollup::roll(env).await? != Round::Idle {}
        counting += started.elapsed();
        // What is counted need not be kept for a day here.
        let sql = "DELETE FROM feed";
        env.db.api.execute_raw(Statement::from_string(env.db.api.get_database_backend(), sql)).await?;
    }
    if env.db.dialect() == Dialect::Postgres {
        let sql = "VACUUM ANALYZE rollups";
        env.db.api.execute_raw(Statement::from_string(env.db.api.get_database_backend(), sql)).await?;
    }
    Ok(clicks as f64 / counting.as_secs_f64())
}

/// Returns how many bytes rollups take with their indexes.
async fn bytes(env: &Env) -> anyhow::Result<i64> {
    let sql = match env.db.dialect() {
        Dialect::Postgres => "SELECT pg_total_relation_size('rollups')",
        Dialect::Sqlite => "SELECT coalesce(SUM(length(content) + 40), 0) FROM rollups",
    };
    let statement = Statement::from_string(env.db.api.get_database_backend(), sql);
    let row = env.db.api.query_one_raw(statement).await?.context("one row")?;
    Ok(row.try_get_by_index(0)?)
}

/// What a node needs to count and to answer, over an empty database brought up to date.
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

struct Traffic {
    begin: Moment,
    days: i64,
    links: Vec<LinkId>,
    user_agents: Vec<String>,
    referrers: Vec<String>,
    places: Vec<[String; 3]>,
    campaigns: Vec<String>,
}

impl Traffic {
    fn new(begin: Moment, days: i64, links: i64) -> Self {
        let agent = |number: usize| match number % 3 {
            0 => format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS 1{}_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
                number % 8,
                number % 7
            ),
            1 => format!(
                "Mozilla/5.0 (Linux; Android 1{}; Pixel {number}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1{number}.0.0.0 Mobile Safari/537.36",
                number % 5
            ),
            _ => format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:1{number}.0) Gecko/20100101 Firefox/1{number}.0"
            ),
        };
        let place = |number: usize| {
            let (country, region, city) = (number / 20, number / 4 % 5, number % 4);
            let letter = |n: usize| char::from(b'A' + u8::try_from(n).unwrap_or_default());
            let country = format!("{}{}", letter(country / 10), letter(country % 10));
            [country.clone(), format!("R{region}"), format!("City {region} {city} of {country}")]
        };
        Self {
            begin,
            days,
            links: (0..links).filter_map(|number| LinkId::parse(&many_links::id(number))).collect(),
            user_agents: (0..USER_AGENTS).map(agent).collect(),
            referrers: (0..REFERRERS).map(|number| format!("news{number}.example.com")).collect(),
            places: (0..800).map(place).collect(),
            campaigns: (0..30)
                .map(|number| format!("utm_source=s{}\nutm_medium=email\nutm_campaign=c{number}", number % 4))
                .collect(),
        }
    }

    fn click(&self, env: &Env, number: usize, of: usize) -> feed::Click<&str> {
        // A walk without a pattern that the tables could profit from.
        let dice = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let millis = i128::from(self.days * 86_400_000) * number as i128 / of as i128;
        let time = self.begin + Days::milliseconds(i64::try_from(millis).unwrap_or_default());
        let [country, region, city] = &self.places[dice / 17 % self.places.len()];
        feed::Click {
            id: ClickId(env.ids.past_uuid(time)),
            link: self.links[dice % self.links.len()],
            domain: "go.example.com",
            project: "",
            platform: [1, 2, 0][dice / 7 % USER_AGENTS % 3],
            class: if dice.is_multiple_of(19) { 2 } else { 0 },
            step: 4,
            visitor: (dice / 3 % (of / 2 + 1)) as i64,
            user_agent: &self.user_agents[dice / 7 % USER_AGENTS],
            referrer_host: &self.referrers[dice / 11 % REFERRERS],
            language: LANGUAGES[dice / 13 % LANGUAGES.len()],
            query: "",
            country,
            region,
            city,
            campaign: if dice.is_multiple_of(10) {
                &self.campaigns[dice / 29 % self.campaigns.len()]
            } else {
                ""
            },
        }
    }
}

fn millis(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    let at = ((times.len() as f64 * part) as usize).min(times.len() - 1);
    times[at].as_secs_f64() * 1000.0
}
