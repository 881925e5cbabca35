//! How fast endpoints are told what they are to be told, how soon after the commit that makes it true, and what a dead endpoint costs the others.
//!
//! `webhooks DELIVERIES SECONDS`, with `DATA_DIR` a new directory and, but for SQLite, `DATABASE_URL` naming an empty database: starts a whole server and a
//! receiver in this process, so both are on the same cores. First so many deliveries are made due at once, for four endpoints; then the same again beside a fifth
//! endpoint that never answers and has as many waiting; then fifty facts a second are committed for so many seconds, and it is measured how long after each commit its
//! request comes. Prints `name=value` pairs. `APP_ENV=development`, because the receiver speaks plain HTTP.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use linkforty::{
    accounts::bootstrap,
    clock::SystemClock,
    config::Config,
    db::{self, Db},
    entity::{webhook_delivery, webhook_endpoint, webhook_message},
    env::Env,
    ids::{Ids, MessageId, WebhookEndpointId, WorkspaceId},
    outbox::{self, Fact, Kind},
    serve::{self, Ground},
    webhooks::{
        DeliveryState, Endpoint, EventType, Filter, Message, Settings,
        endpoint::{self, ClickMode, Format, Sealed, Secret, Signing, State},
        wake,
    },
    workspaces::enter_as_operator,
};
use sea_orm::{EntityTrait as _, IntoActiveModel as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// Endpoints that answer.
const ENDPOINTS: usize = 4;
const FACTS_A_SECOND: u64 = 50;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Where things are told.
#[derive(Default)]
struct Receiver {
    count: AtomicUsize,
    /// When the request about each fact came.
    facts: Mutex<HashMap<u64, Instant>>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [deliveries, seconds] = &arguments[..] else {
        println!("usage: DATA_DIR=... [DATABASE_URL=...] APP_ENV=development webhooks DELIVERIES SECONDS");
        return Ok(());
    };
    let deliveries: usize = deliveries.parse().context("DELIVERIES")?;
    let seconds: u64 = seconds.parse().context("SECONDS")?;

    let listener = TcpListener::bind("127.0.0.2:0").await?;
    let port = listener.local_addr()?.port();
    let receiver = Arc::new(Receiver::default());
    tokio::spawn(receive(listener, receiver.clone()));
    let silent = TcpListener::bind("127.0.0.3:0").await?;
    let silent_port = silent.local_addr()?.port();

    let own = [
        ("OUTBOUND_ALLOW_NETWORKS", "127.0.0.2/31".to_owned()),
        ("OUTBOUND_ALLOW_PORTS", format!("{port},{silent_port}")),
        ("OUTBOUND_MAX_PER_HOST", "32".to_owned()),
    ];
    let set = |name: &str| own.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone());
    let config = Config::from_lookup(&|name| set(name).or_else(|| variable(name)))?;
    std::fs::create_dir_all(&config.data_dir)?;
    if config.database.is_some() {
        db::migrate(&Db::open(&config).await?.api).await?;
    }
    let ground = Ground { clock: Arc::new(SystemClock), ids: Arc::new(Ids::from_os()) };
    let running = serve::start(config, ground).await?;
    let env = running.env.clone();
    if running.first_sign_in.is_none() {
        bootstrap(&env).await?;
    }
    let workspace = enter_as_operator(&env, None).await?.id;
    let mut alive = Vec::new();
    for number in 0..ENDPOINTS {
        alive.push(hook(&env, workspace, &format!("http://127.0.0.2:{port}/{number}")).await?);
    }

    // The first ones warm up what is measured.
    told(&env, &receiver, workspace, &alive, None, deliveries / 10).await?;
    let alone = told(&env, &receiver, workspace, &alive, None, deliveries).await?;
    let dead = hook(&env, workspace, &format!("http://127.0.0.3:{silent_port}/")).await?;
    let beside = told(&env, &receiver, workspace, &alive, Some(dead), deliveries).await?;
    let mut waits = facts(&env, &receiver, workspace, seconds).await?;
    waits.sort_unstable();
    let part = |part: f64| {
        let at = (waits.len() as f64 * part) as usize;
        waits.get(at).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
    };
    println!(
        "deliveries={deliveries} deliveries_per_second={alone:.0} beside_dead_per_second={beside:.0} dead_ratio={:.2} \
         facts={} commit_to_attempt_p50_ms={:.1} commit_to_attempt_p99_ms={:.1}",
        alone / beside,
        waits.len(),
        part(0.5),
        part(0.99),
    );
    running.stop().await;
    drop(silent);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "what the bench is told besides is no setting of the server")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Makes so many deliveries due and returns how many a second arrive, until all have.
async fn told(
    env: &Env,
    receiver: &Receiver,
    workspace: WorkspaceId,
    alive: &[WebhookEndpointId],
    dead: Option<WebhookEndpointId>,
    deliveries: usize,
) -> anyhow::Result<f64> {
    let before = receiver.count.load(Ordering::SeqCst);
    let tx = env.db.begin().await?;
    let messages = deliveries / alive.len();
    for _ in 0..messages.div_ceil(500) {
        make_due(env, &tx, workspace, alive, dead, 500.min(messages)).await?;
    }
    let expected = messages.div_ceil(500) * 500.min(messages) * alive.len();
    let begun = Instant::now();
    tx.commit().await?;
    wake(env);
    while receiver.count.load(Ordering::SeqCst) < before + expected {
        sleep(Duration::from_millis(5)).await;
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(300), "they do not arrive");
    }
    let rate = expected as f64 / begun.elapsed().as_secs_f64();
    println!("{expected} deliveries, {rate:.0} a second");
    Ok(rate)
}

async fn make_due(
    env: &Env,
    tx: &sea_orm::DatabaseTransaction,
    workspace: WorkspaceId,
    alive: &[WebhookEndpointId],
    dead: Option<WebhookEndpointId>,
    count: usize,
) -> anyhow::Result<()> {
    let now = env.now();
    let messages: Vec<Message> = (0..count)
        .map(|_| Message {
            id: MessageId::mint(&env.ids, now),
            workspace,
            endpoint: None,
            event_type: EventType::LinkCreated,
            subject: env.ids.uuid(now),
            time: now,
            // About as long as what is told of a link.
            body: format!("{{\"link\":{{\"title\":\"{}\"}}}}", "x".repeat(600)).into_bytes(),
        })
        .collect();
    for endpoint in alive.iter().copied().chain(dead) {
        let rows = messages.iter().map(|message| {
            webhook_delivery::Model {
                endpoint_id: endpoint,
                message_id: message.id,
                workspace_id: workspace,
                next_time: now,
                update_time: now,
                attempts: 0,
                last_status: None,
                state: DeliveryState::Due as i16,
                last_outcome: 0,
            }
            .into_active_model()
        });
        webhook_delivery::Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    let rows = messages.into_iter().map(|message| message.write().into_active_model());
    webhook_message::Entity::insert_many(rows).exec_without_returning(tx).await?;
    Ok(())
}

/// Commits facts one by one and returns how long after each commit its first request came.
async fn facts(
    env: &Env,
    receiver: &Receiver,
    workspace: WorkspaceId,
    seconds: u64,
) -> anyhow::Result<Vec<Duration>> {
    let begun = Instant::now();
    let mut committed = HashMap::new();
    for number in 0..seconds * FACTS_A_SECOND {
        sleep((Duration::from_millis(1000 / FACTS_A_SECOND) * number as u32).saturating_sub(begun.elapsed()))
            .await;
        let tx = env.db.begin().await?;
        let body = format!("{{\"fact\":{number}}}").into_bytes();
        let fact = Fact { kind: Kind::LinkCreated, subject: env.ids.uuid(env.now()), body };
        outbox::note(&tx, &env.ids, workspace, [fact], env.now()).await?;
        tx.commit().await?;
        committed.insert(number, Instant::now());
    }
    let all = committed.len();
    let waited = Instant::now();
    while receiver.facts.lock().expect("nobody panicked").len() < all {
        sleep(Duration::from_millis(20)).await;
        anyhow::ensure!(waited.elapsed() < Duration::from_secs(60), "some facts are not told");
    }
    let came = receiver.facts.lock().expect("nobody panicked");
    Ok(committed.iter().map(|(number, at)| came[number].saturating_duration_since(*at)).collect())
}

async fn hook(env: &Env, workspace: WorkspaceId, url: &str) -> anyhow::Result<WebhookEndpointId> {
    let now = env.now();
    let id = WebhookEndpointId::mint(&env.ids, now);
    let secret = Secret { key: [7; 32], create_time: now, expire_time: None, text: None };
    let sealed = Sealed { secrets: vec![secret], headers: Vec::new() };
    let endpoint = Endpoint {
        id,
        workspace,
        name: "bench".to_owned(),
        url: url.to_owned(),
        settings: Settings {
            event_types: vec![EventType::LinkCreated],
            filter: Filter::default(),
            format: Format::Standard,
            clicks: ClickMode::Batched,
            click_sample: endpoint::EVERY_CLICK,
            signing: Signing::Hmac,
            postback: None,
        },
        sealed: sealed.seal(&endpoint::seal(env), &env.ids, id),
        state: State::Active,
        failing_since: None,
        version: 1,
        create_time: now,
        update_time: now,
    };
    let row = endpoint.write().into_active_model();
    webhook_endpoint::Entity::insert(row).exec_without_returning(&env.db.api).await?;
    Ok(id)
}

/// Answers everything, and remembers what it was told of facts.
async fn receive(listener: TcpListener, receiver: Arc<Receiver>) {
    while let Ok((stream, _)) = listener.accept().await {
        let receiver = receiver.clone();
        tokio::spawn(async move {
            drop(answer(stream, &receiver).await);
        });
    }
}

async fn answer(mut stream: TcpStream, receiver: &Receiver) -> std::io::Result<()> {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    let body_at = loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        read.extend_from_slice(&buffer[..count]);
        if let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&read[..body_at]).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    while read.len() < body_at + length {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        read.extend_from_slice(&buffer[..count]);
    }
    receiver.count.fetch_add(1, Ordering::SeqCst);
    let body = String::from_utf8_lossy(&read[body_at..]);
    let number = body.split("\"fact\":").nth(1).and_then(|rest| rest.trim_end_matches('}').parse().ok());
    if let Some(number) = number {
        receiver.facts.lock().expect("nobody panicked").entry(number).or_insert_with(Instant::now);
    }
    stream.write_all(ANSWER).await?;
    stream.shutdown().await
}
