//! The doors and the process: the three listeners, what stands before the rooms on each, the work in the background, and the stop.
//!
//! [`start`] is the only way a server begins, in `linkforty serve` and in `tests/it` alike; only the [`Ground`] differs. It needs
//! no store: a node starts, answers `/health` and redirects what it remembers while its database is away.
//!
//! Rooms plug in at one place each: [`grpc`] lists the services, [`links`] asks for redirects, [`work`] lists the tasks.

mod classes;
mod grpc;
mod guesses;
mod health;
mod last_call;
mod layers;
mod links;
mod listen;
mod ops;
mod plain;
mod privileges;
mod refusal;
mod shutdown;
mod threads;
mod tls;
mod work;

pub use self::{shutdown::Signals, threads::take_short_turns};

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tokio::{net::TcpListener, runtime::Handle};
use tokio_util::context::TokioContext;

use self::{
    health::Health,
    listen::Door,
    shutdown::Life,
    threads::Threads,
    work::{Work, Works},
};
use crate::{
    accounts::{self, FirstSignIn},
    admission::{Admission, Shares},
    apps::Associations,
    attribution::{self, Sdk},
    cache,
    clicks::Recorder,
    clock::{Clock, SystemClock},
    config::{self, Config},
    db::{self, Db, Dialect},
    domains::{
        Sites,
        certificates::{Authority, Challenges, Keyring},
    },
    env::{self, Env},
    ids::Ids,
    limits,
    links::{Budgets, Resolver, Snapshots},
    mail::Mailer,
    outbound::Outbound,
    redirect::{Redirects, history::History},
    spool::{Spool, SpoolOptions},
};

/// What a test replaces: the time and the dice.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids and randomness.
    pub ids: Arc<Ids>,
}

impl Ground {
    /// Returns the machine's clock and dice seeded by the operating system.
    pub fn real() -> Self {
        Self { clock: Arc::new(SystemClock), ids: Arc::new(Ids::from_os()) }
    }
}

/// A server that runs. Dropping it stops nothing: call [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    /// Where redirects are answered; the real port when the settings said 0.
    pub links: SocketAddr,
    /// Where gRPC is answered.
    pub api: SocketAddr,
    /// Where operators look.
    pub ops: SocketAddr,
    /// Where visitors without `https://` are sent on, if they are.
    pub plain: Option<SocketAddr>,
    /// The handles the server was given.
    pub env: Env,
    /// The first owner's sign-in, when this start made it: shown once, stored nowhere.
    pub first_sign_in: Option<FirstSignIn>,
    /// What was acknowledged and is not stored yet.
    pub spool: Spool,
    /// Who works and who waits.
    pub admission: Admission,
    life: Life,
    health: Health,
    work: Work,
    threads: Threads,
}

/// Starts a server. Only what no retry would mend fails: bad files, addresses in use, a broken embedded database.
pub async fn start(config: Config, ground: Ground) -> anyhow::Result<Running> {
    let threads = Threads::begin().context("cannot start the threads of calls")?;
    let calls = threads.handle();
    // Whatever is opened there is read and written there: connections to stores, and what works in the background. So nothing wakes the
    // threads of visitors but visitors, and nobody's call waits for two threads.
    TokioContext::new(begin(config, ground, Handle::current(), threads), calls).await
}

/// Starts a server in the context of the threads of calls, but what answers visitors and operators on `visitors`.
async fn begin(
    config: Config,
    ground: Ground,
    visitors: Handle,
    threads: Threads,
) -> anyhow::Result<Running> {
    // A second call, as in tests, finds it installed: the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    ops::install_recorder();
    let config = Arc::new(config);
    let Ground { clock, ids } = ground;

    make_data_dir(&config.data_dir)?;
    let db = Db::open(&config).await.context("cannot open the database")?;
    for risk in &config.accepted_risks {
        tracing::warn!(risk = risk.name(), "ACCEPTED_RISKS lets something pass that production refuses");
    }
    let privileges_known = privileges::check(&config, &db).await?;
    let secrets = env::secrets(&config, &ids)?;
    let cache::Opened { cache, fanout, redis, tasks } = cache::open(&config, ids.clone(), &visitors).await?;
    let env = Env::new(config, clock, ids, db, (cache, fanout), secrets);
    let (spool, reader) = Spool::open(&env.config.spool_dir(), spool_options(&env.config.spool))?;
    let first_sign_in = match env.db.dialect() {
        // Nobody else can have this file open in another version: it is safe to bring it up to date here.
        Dialect::Sqlite => {
            db::migrate(&env.db.api).await.context("cannot bring the embedded database up to date")?;
            accounts::bootstrap(&env).await?
        }
        Dialect::Postgres => None,
    };

    // What the world sees of a domain, the name servers say, whatever this machine's own files do.
    let outbound = Outbound::new(&env.config, Arc::new(env.dns.clone()))?;
    let mailer = Arc::new(Mailer::new(&env.config)?);
    let life = Life::new();
    let health = Health::new(&env, &life);
    let spooled = spool.clone();
    health.watch_spool(move || spooled.status().into());
    let shares = limits::open(&env.config.limits, env.clock.clone(), redis.as_ref());
    let limits =
        layers::Limiters::new(&env.config.limits, shares.clone(), env.clock.clone(), env.ids.clone());
    let places = Shares::of_places(env.config.calls.at_once, env.config.pools.bulk_max as usize);
    let gate = layers::Gate::new(Admission::new(places), env.ids.clone());
    let listen = &env.config.listen;
    let (links, api, ops) = (
        bind("links", "LINKS_ADDR", listen.links, &visitors).await?,
        bind("API", "API_ADDR", listen.api, &Handle::current()).await?,
        bind("ops", "OPS_ADDR", listen.ops, &visitors).await?,
    );
    let certificates = env.config.tls.as_ref().map(tls::Certificates::load).transpose()?;
    let for_callers = env.config.tls.as_ref().map(tls::Certificates::for_callers).transpose()?;
    let addresses = (links.local_addr()?, api.local_addr()?, ops.local_addr()?);
    let plain = match listen.plain {
        Some(address) => Some(bind("plain", "LINKS_HTTP_ADDR", address, &visitors).await?),
        None => None,
    };
    let plain_address = plain.as_ref().map(TcpListener::local_addr).transpose()?;

    let (resolver, refreshes) = Resolver::new(env.clone());
    let snapshots = Snapshots::load(&env, resolver.clone());
    let associations = Associations::new(env.clone());
    associations.remember();
    env.geo.refresh();
    let secret = env.secrets.session.expose_secret().as_bytes();
    let recorder = Recorder::new(spool.clone(), secret, env.geo.clone());
    let budgets = Budgets::new(env.clone(), spool.clone());
    let sites = Sites::load(&env).await;
    attribution::refresh_shared_networks(&env);
    let sdk = Sdk {
        env: env.clone(),
        spool: spool.clone(),
        recorder: recorder.clone(),
        resolver: resolver.clone(),
        sites: sites.clone(),
    };
    let history = History::load(&env);
    let redirects = Redirects::new(
        env.clone(),
        resolver.clone(),
        budgets.clone(),
        recorder,
        shares.clone(),
        history.clone(),
    );

    let (keyring, challenges) = (Keyring::load(&env).await, Challenges::of(&env));
    let acme = keyring.clone().zip(challenges.clone());
    let front = tls::Front::new(certificates.clone(), acme.clone());
    // Behind a proxy it speaks plain text while the links listener has certificates of its own.
    let on_api = for_callers.is_some() || env.config.acme.as_ref().is_some_and(|acme| acme.for_api);
    let front_for_callers = tls::Front::new(for_callers.clone(), acme.filter(|_| on_api));
    let door = |name, listener, tls: Option<&tls::Front>| {
        Door::new(name, listener, tls.cloned(), &env, life.clone())
    };
    let walls = (&gate, limits.as_ref());
    let for_apps = grpc::for_apps(&sdk, &life, walls);
    let bounds =
        links::Bounds { admission: gate.admission.clone(), limits: shares.clone(), calls: Handle::current() };
    let visits =
        links::Visits::new(&env, &health, sites.clone(), redirects, associations.clone(), for_apps, bounds);
    let calls = grpc::router(&env, &outbound, &life, &health, &shares, walls);
    let porch = layers::Porch::new(&env.ids, &env.clock, layers::Told::by("api", &env));
    door("links", links, front.as_ref()).open(&visitors, move |peer, request| visits.answer(peer, request));
    door("api", api, front_for_callers.as_ref())
        .open_behind_porch(&Handle::current(), porch.before(listen::to_router(calls)));
    if let Some(plain) = plain {
        let answer = listen::to_router(plain::router(&env, sites.clone(), challenges));
        door("plain", plain, None).open(&visitors, answer);
    }
    door("ops", ops, None).open(&visitors, listen::to_router(ops::router(&env, &health, sites.clone())?));

    let drain = (spool.clone(), reader);
    let works = Works {
        env: &env,
        health: &health,
        limits,
        gate,
        privileges_known,
        certificates: certificates.into_iter().chain(for_callers).collect(),
        keyring,
        authority: Authority::of(&env.for_background(), &outbound),
        tasks,
        resolver,
        refreshes,
        snapshots,
        associations,
        budgets,
        sites,
        history,
        mailer,
        outbound,
        drain,
    };
    let admission = works.gate.admission.clone();
    let work = work::begin(works);
    life.ready();
    let (links, api, ops) = addresses;
    tracing::info!(%links, %api, %ops, "linkforty {} is up", env!("CARGO_PKG_VERSION"));
    Ok(Running {
        links,
        api,
        ops,
        plain: plain_address,
        env,
        first_sign_in,
        spool,
        admission,
        threads,
        life,
        health,
        work,
    })
}

fn spool_options(settings: &config::Spool) -> SpoolOptions {
    SpoolOptions {
        segment_bytes: settings.segment_bytes,
        max_bytes: settings.max_bytes,
        min_free_bytes: settings.min_free_bytes,
        ..SpoolOptions::default()
    }
}

/// Makes the data directory, for its owner's eyes only: it holds secrets.
fn make_data_dir(dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        fs::create_dir_all(dir)
            .and_then(|()| fs::set_permissions(dir, fs::Permissions::from_mode(0o700)))
            .with_context(|| format!("cannot make the data directory {} (DATA_DIR)", dir.display()))?;
    }
    Ok(())
}

/// Listens on an address, for `threads` to accept.
async fn bind(
    name: &str,
    setting: &str,
    address: SocketAddr,
    threads: &Handle,
) -> anyhow::Result<TcpListener> {
    TokioContext::new(TcpListener::bind(address), threads.clone())
        .await
        .with_context(|| format!("cannot listen on {address} for the {name} listener ({setting})"))
}
