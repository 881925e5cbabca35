//! How long an app waits for the answer which link brought its user, by how many clicks are stored.
//!
//! `installs CLICKS[,CLICKS...] ROUNDS`, with `DATABASE_URL` naming an empty Postgres database, `DATA_DIR` a new directory and `TRUSTED_PROXIES=127.0.0.1/32`:
//! starts a whole server in this process, fills the table up to each number of clicks in turn, and reports so many installs over gRPC, one at a time and then eight at once:
//! new ones that have a click, new ones that have none, and known ones again. The caller runs on the same cores. Prints `name=value` pairs, a line for each number of clicks, and how
//! many statements each kind takes. Fails when an install is not credited to its own click. `APP_ENV=development`.
//!
//! The clicks: of the last seven days, seven of eight of them in one workspace, on 262,144 networks whatever their number, so that an install has the more clicks of its network to tell
//! apart the more there are. The click of an install is the oldest within its window, which is the longest of a link's by default. Written past the API, with every index there from the beginning.

#[path = "../tests/it/support/statements.rs"]
mod statements;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use linkforty::{
    accounts::bootstrap,
    clicks::VisitorHash,
    clock::{Clock as _, SystemClock},
    config::Config,
    db::{self, Db},
    ids::{ClickId, Ids, WorkspaceId},
    pb::{
        sdk::v1::{
            AttributionState, Device, Platform, ReportInstallRequest, ReportInstallResponse,
            sdk_service_client::SdkServiceClient,
        },
        v1::{
            App, AppAttribution, CreateAppRequest, CreateLinkRequest, Link,
            app_service_client::AppServiceClient, link_service_client::LinkServiceClient,
        },
    },
    rpc::Permission,
    serve::{self, Ground, Running},
    workspaces::{
        enter_as_operator,
        keys::{self, NewKey},
    },
};
use secrecy::ExposeSecret as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tonic::{Request, transport::Channel};
use uuid::Uuid;

use self::statements::Statements;

const WEEK: chrono::Duration = chrono::Duration::days(7);
/// How long before its window ends an install comes: a run has to fit in.
const SPARE: chrono::Duration = chrono::Duration::hours(2);
const NETWORKS: usize = 1 << 18;
const AT_ONCE: usize = 8;
/// Every connection plans a statement anew the first five times, and there are as many connections as the pool may have.
const WARM_UP: usize = 400;
/// The first two bytes of the first network.
const FIRST_NETWORK: usize = 20 << 16;
const USER_AGENT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sizes, rounds] = &arguments[..] else {
        println!(
            "usage: DATABASE_URL=... DATA_DIR=... TRUSTED_PROXIES=127.0.0.1/32 APP_ENV=development installs CLICKS[,CLICKS...] ROUNDS"
        );
        return Ok(());
    };
    let sizes = sizes.split(',').map(str::parse).collect::<Result<Vec<i64>, _>>().context("CLICKS")?;
    let rounds: usize = rounds.parse().context("ROUNDS")?;
    anyhow::ensure!(
        sizes.len() * (WARM_UP + 2 * rounds) + 100 < NETWORKS / 2,
        "so many installs have no networks"
    );

    let mut config = Config::from_env()?;
    let database = config.database.as_ref().context("DATABASE_URL is not set")?.url.clone();
    std::fs::create_dir_all(&config.data_dir)?;
    db::migrate(&Db::open(&config).await?.api).await?;
    let ids = Arc::new(Ids::from_os());
    let ground = || Ground { clock: Arc::new(SystemClock), ids: ids.clone() };
    let running = serve::start(config.clone(), ground()).await?;
    let mut sql = PgConnection::connect(database.expose_secret()).await?;
    let mut field = Field::prepare(&running, &mut sql).await?;

    let mut stored = 0;
    for size in sizes {
        let started = Instant::now();
        fill(database.expose_secret(), &field, (stored, size)).await?;
        stored = size;
        println!("{size} clicks after {:.0} s", started.elapsed().as_secs_f64());
        let one = field.measure(&running, &mut sql, rounds, 1).await?;
        let many = field.measure(&running, &mut sql, rounds, AT_ONCE).await?;
        let bytes: f64 = sqlx::query_scalar(
            "SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('clicks'))::float8
                / (SELECT count(*) FROM clicks)::float8",
        )
        .fetch_one(&mut sql)
        .await?;
        println!("clicks={size} {one} {many} bytes_per_click={bytes:.0}");
    }
    running.stop().await;

    let proxy = Statements::to(database.expose_secret()).await;
    config.database.as_mut().context("it was there")?.url = proxy.url.clone().into();
    // Answers are counted here, not timed.
    config.install_budget = Duration::from_secs(20);
    let running = serve::start(config, ground()).await?;
    // Until then installs are kept and not decided.
    while !running.spool.has_drained_earlier_runs() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{}", field.count(&running, &mut sql, &proxy).await?);
    running.stop().await;
    Ok(())
}

/// What installs are reported to, and how many there were.
struct Field {
    workspace: WorkspaceId,
    link: Uuid,
    token: String,
    hashes: VisitorHash,
    user_agent: i32,
    language: i32,
    used: usize,
    strangers: usize,
}

impl Field {
    async fn prepare(running: &Running, sql: &mut PgConnection) -> anyhow::Result<Self> {
        let env = &running.env;
        if running.first_sign_in.is_none() {
            bootstrap(env).await?;
        }
        let tenant = enter_as_operator(env, None).await?;
        let scopes = vec![Permission::AppsWrite, Permission::LinksWrite];
        let new = NewKey::new("bench", scopes);
        let key = keys::create(env, &tenant, new, None).await?.secret.context("a new key has one")?;
        let channel = Channel::from_shared(format!("http://{}", running.api))?.connect().await?;
        let week = Some(prost_types::Duration { seconds: WEEK.num_seconds(), nanos: 0 });
        let attribution = AppAttribution { probabilistic_window: week, ..AppAttribution::default() };
        let app = App {
            name: "Bench".to_owned(),
            url_schemes: vec!["bench".to_owned()],
            attribution: Some(attribution),
            ..App::default()
        };
        let request = CreateAppRequest { app: Some(app), ..CreateAppRequest::default() };
        let app = AppServiceClient::new(channel.clone()).create_app(with(request, &key, None)?).await?;
        let link = Link { destination_url: "https://www.example.com/".to_owned(), ..Link::default() };
        let request = CreateLinkRequest { link: Some(link), ..CreateLinkRequest::default() };
        let link = LinkServiceClient::new(channel).create_link(with(request, &key, None)?).await?;

        sqlx::query("SELECT linkforty_make_click_partitions((now() - interval '8 days')::date, now()::date)")
            .execute(&mut *sql)
            .await?;
        let mut text = async |kind: i16, value: &str| -> sqlx::Result<i32> {
            sqlx::query_scalar("INSERT INTO dictionary (kind, value) VALUES ($1, $2) ON CONFLICT (kind, value) DO UPDATE SET value = excluded.value RETURNING id")
                .bind(kind)
                .bind(value)
                .fetch_one(&mut *sql)
                .await
        };
        // Kinds of the bench's own: what the server reads of a dictionary by id has any kind.
        let (user_agent, language) = (text(101, USER_AGENT).await?, text(102, "de-CH").await?);
        Ok(Self {
            workspace: tenant.id,
            link: Uuid::parse_str(&link.into_inner().link.context("always there")?.id)?,
            token: app.into_inner().app.context("always there")?.app_token,
            hashes: VisitorHash::new(env.secrets.session.expose_secret().as_bytes()),
            user_agent,
            language,
            used: 0,
            strangers: 0,
        })
    }

    /// Writes the clicks of installs to come, each the oldest in its window.
    async fn click(
        &mut self,
        env_ids: &Ids,
        sql: &mut PgConnection,
        count: usize,
    ) -> anyhow::Result<Vec<Phone>> {
        let phones: Vec<Phone> = (self.used..self.used + count)
            .map(|number| {
                let address = Ipv4Addr::from_bits((((FIRST_NETWORK + number) << 8) | 7) as u32);
                let time = SystemClock.now() - WEEK + SPARE;
                Phone { number, address, click: Some(ClickId::mint(env_ids, time)) }
            })
            .collect();
        self.used += count;
        let hash =
            |phone: &Phone| self.hashes.address(self.workspace, IpAddr::V4(phone.address)).cast_signed();
        sqlx::query(
            "INSERT INTO clicks (id, workspace_id, link_id, visitor, user_agent_id, referrer_id, language_id, platform, bot, step, network, address)
             SELECT id, $2, $3, hash, $4, $5, $5, 1, 0, 1, network, hash FROM unnest($1::uuid[], $6::bytea[], $7::integer[]) AS new (id, network, hash)",
        )
        .bind(phones.iter().filter_map(|phone| phone.click.map(|click| click.0)).collect::<Vec<_>>())
        .bind(self.workspace.0)
        .bind(self.link)
        .bind(self.user_agent)
        .bind(self.language)
        .bind(phones.iter().map(|phone| phone.address.octets()[..3].to_vec()).collect::<Vec<_>>())
        .bind(phones.iter().map(hash).collect::<Vec<_>>())
        .execute(sql)
        .await?;
        Ok(phones)
    }

    /// Phones on networks on which others clicked.
    fn strangers(&mut self, count: usize) -> Vec<Phone> {
        let first = NETWORKS / 2 + self.strangers;
        self.strangers += count;
        (first..first + count)
            .map(|number| {
                let address = Ipv4Addr::from_bits((((FIRST_NETWORK + number) << 8) | 9) as u32);
                Phone { number, address, click: None }
            })
            .collect()
    }

    /// Reports installs, so many at once, and says how long that took.
    async fn measure(
        &mut self,
        running: &Running,
        sql: &mut PgConnection,
        rounds: usize,
        at_once: usize,
    ) -> anyhow::Result<String> {
        let warm_up = self.click(&running.env.ids, sql, WARM_UP / 2).await?;
        self.report(running, warm_up, 1).await?;
        let phones = self.click(&running.env.ids, sql, rounds).await?;
        let strangers = self.strangers(rounds);
        let mut told = String::new();
        for (kind, phones) in [("new", phones.clone()), ("organic", strangers), ("repeat", phones)] {
            let mut times = self.report(running, phones, at_once).await?;
            times.sort_unstable();
            let part = |part: f64| {
                let place = ((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1));
                times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
            };
            told +=
                &format!("{kind}{at_once}_p50_ms={:.2} {kind}{at_once}_p99_ms={:.2} ", part(0.5), part(0.99));
        }
        Ok(told.trim_end().to_owned())
    }

    async fn report(
        &self,
        running: &Running,
        phones: Vec<Phone>,
        at_once: usize,
    ) -> anyhow::Result<Vec<Duration>> {
        let mut tasks = Vec::new();
        for part in phones.chunks(phones.len().div_ceil(at_once).max(1)) {
            let mut client = client(running).await?;
            let (token, part) = (self.token.clone(), part.to_vec());
            tasks.push(tokio::spawn(async move {
                let mut times = Vec::new();
                for phone in part {
                    let request = with(phone.first_open(), &token, Some(phone.address))?;
                    let asked = Instant::now();
                    let answer = client.report_install(request).await?.into_inner();
                    times.push(asked.elapsed());
                    phone.check(&answer)?;
                }
                anyhow::Ok(times)
            }));
        }
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await??);
        }
        Ok(times)
    }

    /// Counts statements by kind of report.
    async fn count(
        &mut self,
        running: &Running,
        sql: &mut PgConnection,
        proxy: &Statements,
    ) -> anyhow::Result<String> {
        let mut client = client(running).await?;
        let phones = self.click(&running.env.ids, sql, 10).await?;
        let strangers = self.strangers(10);
        let mut told = String::new();
        for (kind, phones) in [("new", &phones), ("organic", &strangers), ("repeat", &phones)] {
            let mut next = phones.iter();
            let mut failed = None;
            let count = proxy
                .of(async || {
                    let done = async {
                        let phone = next.next().context("there are enough")?;
                        let request = with(phone.first_open(), &self.token, Some(phone.address))?;
                        phone.check(&client.report_install(request).await?.into_inner())
                    };
                    failed = done.await.err().or(failed.take());
                })
                .await;
            if let Some(error) = failed {
                return Err(error);
            }
            told += &format!("{kind}_statements={count} ");
        }
        Ok(told.trim_end().to_owned())
    }
}

async fn client(running: &Running) -> anyhow::Result<SdkServiceClient<Channel>> {
    let channel = Channel::from_shared(format!("http://{}", running.links))?.connect().await?;
    Ok(SdkServiceClient::new(channel))
}

fn with<T>(message: T, token: &str, from: Option<Ipv4Addr>) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    if let Some(from) = from {
        request.metadata_mut().insert("x-forwarded-for", from.to_string().parse()?);
    }
    Ok(request)
}

#[derive(Debug, Clone)]
struct Phone {
    number: usize,
    address: Ipv4Addr,
    click: Option<ClickId>,
}

impl Phone {
    fn first_open(&self) -> ReportInstallRequest {
        ReportInstallRequest {
            installation_id: format!("phone-{:08}", self.number),
            device: Some(Device {
                platform: Platform::Ios.into(),
                os_version: "17.5.1".to_owned(),
                model: "iPhone16,1".to_owned(),
                time_zone: "Europe/Zurich".to_owned(),
                language: "de-CH".to_owned(),
                screen_width: 1179,
                screen_height: 2556,
                app_version: "3.1".to_owned(),
                ..Device::default()
            }),
            ..ReportInstallRequest::default()
        }
    }

    /// Fails unless the install was credited to its click.
    fn check(&self, answer: &ReportInstallResponse) -> anyhow::Result<()> {
        let expected = match self.click {
            Some(_) => AttributionState::Attributed,
            None => AttributionState::Organic,
        };
        let click = answer.deep_link.as_ref().map(|told| told.click_id.clone());
        anyhow::ensure!(
            answer.state() == expected && click == self.click.map(|click| click.to_string()),
            "{self:?} was answered with {answer:?}"
        );
        Ok(())
    }
}

/// Writes further clicks over connections of their own, each its share of the week from the oldest to the newest, as they would have come.
async fn fill(url: &str, field: &Field, (from, to): (i64, i64)) -> anyhow::Result<()> {
    let end = SystemClock.now();
    // None as old as those of the installs.
    let begin = (end - WEEK + SPARE * 2).timestamp_millis();
    let (length, end) = (end.timestamp_millis() - begin, end.timestamp_millis());
    let shares = 2;
    let mut tasks = Vec::new();
    for share in 0..shares {
        let (first, last) = (from + (to - from) * share / shares, from + (to - from) * (share + 1) / shares);
        // The workspaces of others are made up: nothing asks for them.
        let statement = format!(
            "SET synchronous_commit = off;
             INSERT INTO clicks (id, workspace_id, link_id, visitor, user_agent_id, referrer_id, language_id, platform, bot, step, network, address)
             SELECT (lpad(to_hex(least({begin} + ((n - {from})::float8 * {length} / {count})::bigint, {end})), 12, '0') || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid,
                 CASE WHEN n % 8 = 0 THEN ('00000000-0000-7000-8000-' || lpad(to_hex(n % 512), 12, '0'))::uuid ELSE '{}'::uuid END,
                 '{}', ('x' || substr(hash, 17, 16))::bit(64)::bigint, {}, {}, {}, 1, CASE WHEN n % 20 = 0 THEN 1 ELSE 0 END, 1,
                 decode(lpad(to_hex({FIRST_NETWORK} + (random() * {})::integer), 6, '0'), 'hex'), ('x' || substr(hash, 25, 8))::bit(32)::integer
             FROM (SELECT n, md5(n || ':{from}') AS hash FROM generate_series({first}::bigint, {}) AS n) AS numbered",
            field.workspace, field.link, field.user_agent, field.language, field.language, NETWORKS - 1, last - 1,
            count = to - from,
        );
        let mut sql = PgConnection::connect(url).await?;
        tasks.push(tokio::spawn(
            async move { sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut sql).await },
        ));
    }
    for task in tasks {
        task.await??;
    }
    // As autovacuum would have done by the time that there are so many.
    let mut sql = PgConnection::connect(url).await?;
    for statement in ["VACUUM (ANALYZE) clicks", "VACUUM (ANALYZE) dictionary", "CHECKPOINT"] {
        sqlx::raw_sql(statement).execute(&mut sql).await?;
    }
    Ok(())
}
