//! How many events a node acknowledges, each on the disk by then, and how fast they are stored behind that.
//!
//! `events SECONDS BATCH CALLS`, with `DATA_DIR` a new directory and, but for SQLite, `DATABASE_URL` naming an empty database:
//! starts a whole server in this process, and calls its `RecordEvents` over gRPC with so many events a call and so many calls at once. The caller runs on the same cores.
//! Beside it stands what the spool alone does with records of that size on that disk: one sync for each (`raw`), and in batches (`raw_batch`). Prints `name=value`
//! pairs, all of them events a second, but for the latency of a call in milliseconds. `APP_ENV=development`.
//!
//! An event has four properties and a session; one in ten earned something.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use futures::future::join_all;
use linkforty::{
    accounts::bootstrap,
    clock::{Clock as _, SystemClock},
    config::Config,
    db::{self, Db},
    ids::Ids,
    pb::{
        sdk::v1::{Event, EventStatus, Money, RecordEventsRequest, sdk_service_client::SdkServiceClient},
        v1::{App, CreateAppRequest, app_service_client::AppServiceClient},
    },
    rpc::Permission,
    serve::{self, Ground, Running},
    spool::{RecordKind, Spool, SpoolOptions},
    workspaces::{
        enter_as_operator,
        keys::{self, NewKey},
    },
};
use prost::Message as _;
use prost_types::{Struct, Timestamp, Value, value::Kind};
use tonic::{Request, Status, transport::Channel};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seconds, batch, calls] = &arguments[..] else {
        println!("usage: DATA_DIR=... [DATABASE_URL=...] APP_ENV=development events SECONDS BATCH CALLS");
        return Ok(());
    };
    let length = Duration::from_secs(seconds.parse().context("SECONDS")?);
    let (batch, calls): (usize, usize) = (batch.parse().context("BATCH")?, calls.parse().context("CALLS")?);

    let config = Config::from_env()?;
    let raw_dir = config.data_dir.join("raw");
    std::fs::create_dir_all(&raw_dir)?;
    let size = event(0, &Ids::seeded(1)).encode_to_vec().len();
    let raw = raw(&raw_dir, size, calls, length / 4).await?;
    let raw_batch = raw_batch(&raw_dir, (size, batch), calls, length / 4).await?;

    if config.database.is_some() {
        db::migrate(&Db::open(&config).await?.api).await?;
    }
    let ground = Ground { clock: Arc::new(SystemClock), ids: Arc::new(Ids::from_os()) };
    let running = serve::start(config, ground).await?;
    let token = app_token(&running).await?;
    let begun = Instant::now();
    let (acknowledged, mut latencies) = load(&running, &token, (batch, calls), length).await?;
    let rate = acknowledged as f64 / begun.elapsed().as_secs_f64();
    while running.spool.status().lag_records > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stored = acknowledged as f64 / begun.elapsed().as_secs_f64();
    running.stop().await;
    latencies.sort_unstable();
    let part = |part: f64| {
        let at = (latencies.len() as f64 * part) as usize;
        latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    };
    println!(
        "events={acknowledged} acknowledged_per_second={rate:.0} stored_per_second={stored:.0} \
         raw_per_second={raw:.0} raw_batch_per_second={raw_batch:.0} p50_ms={:.1} p99_ms={:.1}",
        part(0.5),
        part(0.99)
    );
    Ok(())
}

fn event(number: u64, ids: &Ids) -> Event {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let count = Value { kind: Some(Kind::NumberValue(number as f64)) };
    let earned = number.is_multiple_of(10);
    let now = SystemClock.now();
    Event {
        event_id: ids.uuid(now).to_string(),
        name: if earned { "purchase" } else { "product_viewed" }.to_owned(),
        event_time: Some(Timestamp { seconds: now.timestamp(), nanos: now.timestamp_subsec_nanos() as i32 }),
        session_id: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f507".to_owned(),
        properties: Some(Struct {
            fields: [
                ("sku".to_owned(), text("SHOE-42-BLACK")),
                ("category".to_owned(), text("shoes")),
                ("position".to_owned(), count),
                ("source".to_owned(), text("recommendations")),
            ]
            .into(),
        }),
        revenue: earned.then(|| Money { currency: "CHF".to_owned(), units: 89, nanos: 900_000_000 }),
        transaction_id: if earned { format!("order-{number}") } else { String::new() },
        ..Event::default()
    }
}

/// What the spool alone does: one record, one wait for the disk.
async fn raw(dir: &std::path::Path, size: usize, tasks: usize, length: Duration) -> anyhow::Result<f64> {
    let (spool, _reader) = Spool::open(&dir.join("one"), SpoolOptions::default())?;
    let (begun, payload) = (Instant::now(), vec![7; size]);
    let ids = Ids::seeded(1);
    let counts = join_all((0..tasks).map(|_| async {
        let mut count = 0_u64;
        while begun.elapsed() < length {
            let id = ids.uuid(SystemClock.now());
            spool.append_durable(RecordKind::Event, id, &payload).await?;
            count += 1;
        }
        anyhow::Ok(count)
    }))
    .await;
    let count: u64 = counts.into_iter().sum::<anyhow::Result<u64>>()?;
    spool.close().await;
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

/// The same in batches.
async fn raw_batch(
    dir: &std::path::Path,
    (size, batch): (usize, usize),
    tasks: usize,
    length: Duration,
) -> anyhow::Result<f64> {
    let (spool, _reader) = Spool::open(&dir.join("many"), SpoolOptions::default())?;
    let begun = Instant::now();
    let id = Ids::seeded(1).uuid(SystemClock.now());
    let records: Vec<_> = (0..batch).map(|_| (id, vec![7; size])).collect();
    let counts = join_all((0..tasks).map(|_| async {
        let mut count = 0_u64;
        while begun.elapsed() < length {
            let outcomes = spool.append_all_durable(RecordKind::Event, &records).await;
            count += outcomes.into_iter().filter(Result::is_ok).count() as u64;
        }
        count
    }))
    .await;
    spool.close().await;
    Ok(counts.into_iter().sum::<u64>() as f64 / begun.elapsed().as_secs_f64())
}

/// Makes an app, as an API key does.
async fn app_token(running: &Running) -> anyhow::Result<String> {
    let env = &running.env;
    if running.first_sign_in.is_none() {
        bootstrap(env).await?;
    }
    let tenant = enter_as_operator(env, None).await?;
    let new = NewKey::new("bench", vec![Permission::AppsWrite]);
    let key = keys::create(env, &tenant, new, None).await?.secret.context("a new key has one")?;
    let channel = Channel::from_shared(format!("http://{}", running.api))?.connect().await?;
    let mut apps = AppServiceClient::with_interceptor(channel, bearer(key));
    let app = App { name: "Bench".to_owned(), url_schemes: vec!["bench".to_owned()], ..App::default() };
    let request = CreateAppRequest { app: Some(app), ..CreateAppRequest::default() };
    Ok(apps.create_app(request).await?.into_inner().app.context("always there")?.app_token)
}

fn bearer(token: String) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone {
    move |mut request: Request<()>| {
        let value = format!("Bearer {token}").parse().map_err(|_| Status::internal("no header value"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

async fn load(
    running: &Running,
    token: &str,
    (batch, calls): (usize, usize),
    length: Duration,
) -> anyhow::Result<(u64, Vec<Duration>)> {
    let (begun, acknowledged) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for number in 0..calls {
        // Each with a connection of its own, as apps have.
        let channel = Channel::from_shared(format!("http://{}", running.links))?.connect().await?;
        let mut client = SdkServiceClient::with_interceptor(channel, bearer(token.to_owned()));
        let acknowledged = acknowledged.clone();
        tasks.push(tokio::spawn(async move {
            let ids = Ids::seeded(number as u64 + 2);
            let (mut latencies, mut next) = (Vec::new(), number as u64 * 1_000_000_000);
            while begun.elapsed() < length {
                let events = (0..batch as u64).map(|n| event(next + n, &ids)).collect();
                next += batch as u64;
                let request = RecordEventsRequest {
                    install_id: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506".to_owned(),
                    events,
                };
                let asked = Instant::now();
                let results = client.record_events(request).await?.into_inner().results;
                latencies.push(asked.elapsed());
                let good = results.iter().filter(|one| one.status() == EventStatus::Accepted).count();
                anyhow::ensure!(good == batch, "only {good} of {batch} were accepted: {:?}", results.first());
                acknowledged.fetch_add(good as u64, Ordering::Relaxed);
            }
            anyhow::Ok(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    Ok((acknowledged.load(Ordering::Relaxed), latencies))
}
