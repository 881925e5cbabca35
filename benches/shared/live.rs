//! What a report shows of what has just happened: how fast clicks are drained while the roller counts them, and how long it takes until a click is in a
//! report and on a stream of events.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use linkforty::{
    analytics::rollup,
    attribution,
    clicks::{Click, Recorder, class::Class, drain},
    clock::SystemClock,
    config::Config,
    db::Dialect,
    env::Env,
    feed,
    ids::{ClickId, Ids, LinkId},
    pb::v1::{
        GetOverviewRequest, WatchEventsRequest, analytics_service_client::AnalyticsServiceClient,
        watch_events_response::Event,
    },
    rpc::Permission,
    serve::{self, Ground},
    spool::{Spool, SpoolOptions},
    workspaces::{
        Tenant,
        keys::{self, NewKey},
    },
};
use prost_types::Timestamp;
use sea_orm::{ConnectionTrait as _, Statement};
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, transport::Channel};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const USER_AGENTS: usize = 200;
/// How long one waits for a click before something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Records so many clicks of the last day, drains them while the roller counts them, and waits until both have nothing left. Returns how many a second that were,
/// and the bytes of a stored one with all indexes.
pub async fn drained(
    env: &Env,
    tenant: &Tenant,
    links: &[LinkId],
    clicks: usize,
) -> anyhow::Result<(f64, f64)> {
    let (spool, mut reader) =
        Spool::open(&env.config.data_dir.join("drained-spool"), SpoolOptions::default())?;
    let recorder =
        Recorder::new(spool.clone(), env.secrets.session.expose_secret().as_bytes(), env.geo.clone());
    let agents: Vec<String> = (0..USER_AGENTS)
        .map(|number| {
            format!("Mozilla/5.0 (X11; Linux x86_64; rv:{number}.0) Gecko/20100101 Firefox/{number}.0")
        })
        .collect();
    let begin = env.now() - DAY;
    for number in 0..clicks {
        let dice = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let click = Click {
            workspace: tenant.id,
            link: links[dice % links.len()],
            platform: 1,
            class: Class::Human,
            step: 1,
            client: Some(std::net::Ipv4Addr::from_bits(dice as u32).into()),
            user_agent: &agents[dice / 7 % USER_AGENTS],
            referrer: ["", "https://news.example.com/today", "https://search.example.com/"][dice / 11 % 3],
            languages: ["en-GB", "de-DE", "fr-FR"][dice / 13 % 3],
            query: if number.is_multiple_of(10) { "utm_source=newsletter&utm_medium=email" } else { "" },
            parameters: &[],
            lease: None,
        };
        let time = begin + DAY.mul_f64(number as f64 / clicks as f64);
        recorder.record(ClickId::mint(&env.ids, time), &click)?;
    }
    let started = Instant::now();
    let stop = CancellationToken::new();
    let rolling = tokio::spawn(rollup::run(env.clone(), stop.clone()));
    let draining = tokio::spawn({
        let env = env.clone();
        async move { drain::once((&env, attribution::carry), &spool, &mut reader).await }
    });
    let drained = draining.await??;
    while rollup::counted(&env.db.api).await? < feed::settled(&env.db.api).await? {
        tokio::time::sleep(POLL_EVERY).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    stop.cancel();
    rolling.await?;
    let rate = drained as f64 / seconds;
    anyhow::ensure!(drained == clicks as u64, "{drained} of {clicks} were drained");
    Ok((rate, stored_bytes(env).await?))
}

async fn stored_bytes(env: &Env) -> anyhow::Result<f64> {
    let sql = match env.db.dialect() {
        Dialect::Postgres => {
            "SELECT CAST(sum(pg_total_relation_size(relid)) AS float8) / (SELECT count(*) FROM clicks)
             FROM pg_partition_tree('clicks')"
        }
        Dialect::Sqlite => {
            "SELECT CAST(sum(pgsize) AS REAL) / (SELECT count(*) FROM clicks) FROM dbstat
             WHERE aggregate = TRUE AND name IN (SELECT name FROM sqlite_schema WHERE tbl_name = 'clicks')"
        }
    };
    let statement = Statement::from_string(env.db.api.get_database_backend(), sql);
    Ok(env.db.api.query_one_raw(statement).await?.context("one row")?.try_get_by_index(0)?)
}

/// How long it took from before a visit until it was seen, for each.
#[derive(Debug, Default)]
pub struct Seen {
    /// In an overview of the workspace.
    pub in_report: Vec<Duration>,
    /// On a stream of events.
    pub on_stream: Vec<Duration>,
}

/// Starts a whole server over the same database, and visits links by HTTP, one visit after the other, each until it is seen.
pub async fn seen(tenant: &Tenant, visits: usize) -> anyhow::Result<Seen> {
    let mut config = Config::from_env()?;
    let here = "127.0.0.1:0".parse()?;
    config.listen.links = here;
    config.listen.api = here;
    config.listen.ops = here;
    config.limits.enabled = false;
    let host = config.links_host();
    let ground = Ground { clock: Arc::new(SystemClock), ids: Arc::new(Ids::from_os()) };
    let running = serve::start(config, ground).await?;
    let new = NewKey::new("bench", vec![Permission::AnalyticsRead]);
    let key = keys::create(&running.env, tenant, new, None).await?.secret.context("a new key has one")?;
    let channel = Channel::from_shared(format!("http://{}", running.api))?.connect().await?;
    let mut analytics = AnalyticsServiceClient::with_interceptor(channel, bearer(key));

    let mut stream = analytics.watch_events(WatchEventsRequest::default()).await?.into_inner();
    let (tell, mut told) = mpsc::unbounded_channel();
    let watching = tokio::spawn(async move {
        while let Ok(Some(message)) = stream.message().await {
            if matches!(message.event, Some(Event::Click(_))) && tell.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    // Thirty days that stay the same ones at the turn of an hour.
    let at = |days: i64| {
        Some(Timestamp { seconds: (running.env.now() + chrono::Duration::days(days)).timestamp(), nanos: 0 })
    };
    let month = GetOverviewRequest { start_time: at(-29), end_time: at(1), ..GetOverviewRequest::default() };
    let mut seen = Seen::default();
    // The first few find everything cold.
    let warm_up = 3;
    for visit in 0..visits + warm_up {
        let before = clicks(&mut analytics, &month).await?;
        // Of each thousand one is not active.
        let code = visit * 10 + 1;
        let started = Instant::now();
        follow(running.links, &host, code).await?;
        let watched = async {
            let at = tokio::time::timeout(PATIENCE, told.recv()).await.context("the stream shows it")?;
            anyhow::Ok(at.context("the stream ended")? - started)
        };
        let mut asking = analytics.clone();
        let reported = async {
            while clicks(&mut asking, &month).await? == before {
                anyhow::ensure!(started.elapsed() < PATIENCE, "no report shows it");
                tokio::time::sleep(POLL_EVERY).await;
            }
            anyhow::Ok(started.elapsed())
        };
        let (on_stream, in_report) = tokio::try_join!(watched, reported)?;
        if visit >= warm_up {
            seen.on_stream.push(on_stream);
            seen.in_report.push(in_report);
        }
    }
    watching.abort();
    running.stop().await;
    Ok(seen)
}

type Analytics<F> = AnalyticsServiceClient<tonic::service::interceptor::InterceptedService<Channel, F>>;

async fn clicks<F>(analytics: &mut Analytics<F>, month: &GetOverviewRequest) -> anyhow::Result<i64>
where
    F: FnMut(Request<()>) -> Result<Request<()>, Status>,
{
    Ok(analytics.get_overview(month.clone()).await?.into_inner().clicks)
}

fn bearer(token: String) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone {
    move |mut request: Request<()>| {
        let value = format!("Bearer {token}").parse().map_err(|_| Status::internal("no header value"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// Follows a link as a browser does.
async fn follow(address: std::net::SocketAddr, host: &str, code: usize) -> anyhow::Result<()> {
    let mut connection = TcpStream::connect(address).await?;
    let request = format!(
        "GET /code{code} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:130.0) Gecko/20100101 Firefox/130.0\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 302"), "{}", answer.lines().next().unwrap_or("nothing"));
    Ok(())
}
