//! The association files of every host, in memory, on every node.
//!
//! - There is one pair for the server's own host, one for the hosts of each workspace, and one for each of those that an app
//!   names: whose a host is, `domains` knows.
//! - All of them are made from the database at the start, after a gap in the messages and every five minutes; those of one
//!   workspace when a message says that its apps, or the workspace itself, changed. Where there is one node, whose operator
//!   changes workspaces from another process, the database is asked for that twice a second.
//! - They need no store then, however long it is away; [`super::snapshot`] brings them over a restart. What came from there is
//!   old, so the next who asks waits a moment for the database.
//! - That a host has none only the database can say. Until it did the answer is that nobody knows: fetchers would believe for days
//!   that there are none.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::HeaderValue;
use ring::digest;
use tokio::{
    sync::{Mutex, broadcast},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{association::File, changes::changed_apps, content_of, place, snapshot, store};
use crate::{
    cache::Signal,
    clock::{Moment, from_micros},
    db::Dialect,
    env::Env,
    error::{Error, Result},
    ids::WorkspaceId,
    pb::v1,
    workspaces::{changed_since, changed_workspace},
};

/// How often the task looks whether there is something to read or to write.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How old the files get at the most when no message reaches this node.
const ALL_EVERY: Duration = Duration::from_mins(5);
/// How long the database may take.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long somebody waits for files that nobody knows yet, and for those that are from before a restart.
const FIRST_PATIENCE: Duration = Duration::from_millis(800);
const CONFIRM_PATIENCE: Duration = Duration::from_millis(150);
/// How far back the database is asked for changed workspaces, and for how many.
const LOOK_BACK: chrono::Duration = chrono::Duration::minutes(10);
const WORKSPACES: u64 = 1000;

/// The files of every host. A cheap clone.
#[derive(Debug, Clone)]
pub struct Associations {
    env: Env,
    held: Arc<Held>,
}

/// Part of the process's memory, so that whoever changes an app here is heard at once.
#[derive(Debug)]
struct Held {
    /// The name of the server's own host.
    own_host: String,
    published: ArcSwap<Published>,
    /// What the files are made of. Whoever reads the database holds this, so that nothing older replaces anything newer.
    parts: Mutex<Parts>,
    /// When the database last said so, in microseconds.
    confirmed: AtomicI64,
    unsaved: AtomicBool,
}

#[derive(Debug, Default)]
struct Parts {
    /// All of them are here.
    complete: bool,
    /// Ordered: the first workspace comes first in the file of the server's own host.
    of: BTreeMap<WorkspaceId, Part>,
}

/// The apps of one workspace.
#[derive(Debug, Default, PartialEq)]
struct Part {
    apps: Vec<v1::App>,
    on_own_host: bool,
}

/// Whose host a file is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// The server's own.
    Own,
    /// A workspace's, with its name.
    Of(WorkspaceId, &'a str),
}

/// Files by [`Whose::key`] and [`of_workspace`].
pub(super) type Hosts = HashMap<Box<str>, Arc<Files>>;

/// The key of the files of the server's own host.
const OWN: &str = "";

/// Returns the key of the files of a workspace's hosts that no app names.
fn of_workspace(workspace: WorkspaceId) -> String {
    workspace.to_string()
}

impl Whose<'_> {
    /// Returns the key of a host's files, if it has some for itself.
    fn key(self) -> String {
        match self {
            Self::Own => OWN.to_owned(),
            Self::Of(workspace, host) => format!("{workspace} {host}"),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Published {
    known: Known,
    hosts: Hosts,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Known {
    /// To nobody.
    #[default]
    No,
    /// From before a restart.
    Once,
    /// From the database.
    Yes,
}

impl Published {
    fn find(&self, file: File, whose: Whose<'_>) -> Found {
        let files = self.hosts.get(whose.key().as_str()).or_else(|| match whose {
            Whose::Own => None,
            // What holds for hosts that no app names is in the files of the others too.
            Whose::Of(workspace, _) => self.hosts.get(of_workspace(workspace).as_str()),
        });
        let body = files.and_then(|files| match file {
            File::Apple => files.apple.clone(),
            File::Android => files.android.clone(),
        });
        match (body, self.known) {
            (Some(body), _) => Found::File(body),
            // An app may have come after what was remembered.
            (None, Known::No | Known::Once) => Found::Away,
            (None, Known::Yes) => Found::None,
        }
    }
}

/// The files of one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub apple: Option<Body>,
    pub android: Option<Body>,
}

/// The bytes of a file, ready to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes.
    pub bytes: Bytes,
    /// What tells them from others.
    pub etag: HeaderValue,
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// This is it.
    File(Body),
    /// The host has none.
    None,
    /// Nobody can say.
    Away,
}

impl Body {
    /// Returns the body of a text.
    pub fn of(text: String) -> Self {
        Self::of_bytes(Bytes::from(text))
    }

    pub(super) fn of_bytes(bytes: Bytes) -> Self {
        let hash = digest::digest(&digest::SHA256, &bytes);
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..12]));
        let etag = HeaderValue::try_from(tag).expect("base64 between quotes can stand in a header");
        Self { bytes, etag }
    }
}

impl Associations {
    /// Returns those of this process.
    pub fn new(env: Env) -> Self {
        let held = env.memory.of(|| Held {
            own_host: env.config.links_url.host_str().unwrap_or_default().to_owned(),
            published: ArcSwap::default(),
            parts: Mutex::default(),
            confirmed: AtomicI64::new(0),
            unsaved: AtomicBool::new(false),
        });
        Self { env, held }
    }

    /// Remembers what the last run knew, unless it is too old. Before the listeners open.
    pub fn remember(&self) {
        let bound = self.env.config.cache.max_stale_if_error;
        let bound = chrono::Duration::from_std(bound).unwrap_or(chrono::Duration::MAX);
        let (hosts, confirmed) = match snapshot::read(&self.env.config.data_dir) {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "the file of association files cannot be used; starting without");
                return;
            }
        };
        if self.env.now() - confirmed < bound {
            self.held.confirmed.store(confirmed.timestamp_micros(), Ordering::Relaxed);
            self.held.published.store(Arc::new(Published { known: Known::Once, hosts }));
        }
    }

    /// Returns a file of a host.
    pub async fn find(&self, file: File, whose: Whose<'_>) -> Found {
        let patience = match self.held.published.load().known {
            Known::Yes => None,
            Known::Once => Some(CONFIRM_PATIENCE),
            Known::No => Some(FIRST_PATIENCE),
        };
        if let Some(patience) = patience {
            // Its failure shows in what is known then.
            let _ = timeout(patience, self.load_all()).await;
        }
        self.held.published.load().find(file, whose)
    }

    /// Makes all files anew.
    async fn load_all(&self) -> Result<()> {
        let mut parts = self.held.parts.lock().await;
        let rows = store::listed(&self.env.db.api, None).await?;
        let mut of: BTreeMap<WorkspaceId, Part> = BTreeMap::new();
        for (app, allowed) in rows {
            let part = of.entry(app.workspace_id).or_default();
            part.on_own_host = allowed;
            part.apps.push(content_of(&app));
        }
        *parts = Parts { complete: true, of };
        let mut hosts = Hosts::new();
        self.put_own(&parts, &mut hosts);
        for (workspace, part) in &parts.of {
            put_workspace(&mut hosts, *workspace, part);
        }
        self.publish(hosts);
        Ok(())
    }

    /// Makes the files anew in which apps of a workspace stand or stood.
    pub(super) async fn load(&self, workspace: WorkspaceId) -> Result<()> {
        let mut parts = self.held.parts.lock().await;
        if !parts.complete {
            drop(parts);
            return self.load_all().await;
        }
        let rows = store::listed(&self.env.db.api, Some(workspace)).await?;
        let on_own_host = rows.iter().any(|(_, allowed)| *allowed);
        let part = Part { apps: rows.iter().map(|(app, _)| content_of(app)).collect(), on_own_host };
        let mut hosts = self.held.published.load().hosts.clone();
        let before = parts.of.remove(&workspace).unwrap_or_default();
        let touches_own_host = before.on_own_host || part.on_own_host;
        let keys = of_workspace(workspace);
        hosts.retain(|key, _| !key.starts_with(&keys));
        put_workspace(&mut hosts, workspace, &part);
        if !part.apps.is_empty() {
            parts.of.insert(workspace, part);
        }
        if touches_own_host {
            self.put_own(&parts, &mut hosts);
        }
        self.publish(hosts);
        Ok(())
    }

    fn put_own(&self, parts: &Parts, hosts: &mut Hosts) {
        let apps = parts.of.values().filter(|part| part.on_own_host).flat_map(|part| &part.apps);
        let here = apps.filter(|app| place::names(app, &self.held.own_host));
        put(hosts, Whose::Own.key(), &here.collect::<Vec<_>>());
    }

    fn publish(&self, hosts: Hosts) {
        let changed = {
            let before = self.held.published.load();
            before.known == Known::No || before.hosts != hosts
        };
        self.held.confirmed.store(self.env.now().timestamp_micros(), Ordering::Relaxed);
        self.held.published.store(Arc::new(Published { known: Known::Yes, hosts }));
        if changed {
            self.held.unsaved.store(true, Ordering::Relaxed);
        }
    }

    /// Keeps the files fresh, in memory and on disk, until `stop`.
    pub async fn run(self, mut changes: broadcast::Receiver<Signal>, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep_fresh(&mut changes)).await;
        self.write().await;
    }

    async fn keep_fresh(&self, changes: &mut broadcast::Receiver<Signal>) {
        let alone = self.env.db.dialect() == Dialect::Sqlite;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = HashMap::new();
        let mut missed_some = true;
        let mut all_due = Instant::now();
        loop {
            tokio::select! {
                _ = looks.tick() => {
                    if missed_some || Instant::now() >= all_due {
                        missed_some = !self.in_time(self.load_all()).await;
                        if !missed_some {
                            all_due = Instant::now() + ALL_EVERY;
                            // What was confirmed is written, also if nothing changed.
                            self.held.unsaved.store(true, Ordering::Relaxed);
                        }
                    }
                    if alone && !missed_some {
                        missed_some = !self.in_time(self.look_for_changes(&mut seen)).await;
                    }
                    if self.held.unsaved.swap(false, Ordering::Relaxed) {
                        self.write().await;
                    }
                }
                signal = changes.recv() => match signal {
                    Ok(Signal::Message(message)) => {
                        let message = String::from_utf8_lossy(&message);
                        let workspace = changed_apps(&message)
                            .or_else(|| changed_workspace(&message).map(|(workspace, _)| workspace));
                        if let Some(workspace) = workspace {
                            missed_some |= !self.in_time(self.load(workspace)).await;
                        }
                    }
                    Ok(Signal::Gap) | Err(broadcast::error::RecvError::Lagged(_)) => missed_some = true,
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            }
        }
    }

    /// Says whether something went well, and in time.
    async fn in_time(&self, work: impl Future<Output = Result<()>>) -> bool {
        let error = match timeout(LOAD_TIMEOUT, work).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.inward(),
            Err(_) => "it took too long".to_owned(),
        };
        metrics::counter!("linkforty_association_load_failures_total").increment(1);
        tracing::debug!(cause = %error, "association files cannot be read from the database; trying again");
        false
    }

    /// Asks the database which workspaces another process changed.
    async fn look_for_changes(&self, seen: &mut HashMap<WorkspaceId, Moment>) -> Result<()> {
        let since = self.env.now() - LOOK_BACK;
        let changed = changed_since(&self.env.db.lookup, since, WORKSPACES).await.map_err(Error::from)?;
        for (workspace, at) in changed {
            if seen.get(&workspace) != Some(&at) {
                self.load(workspace).await?;
                seen.insert(workspace, at);
            }
        }
        seen.retain(|_, at| *at >= since);
        Ok(())
    }

    /// Writes the files to disk, if the database ever said what they are.
    async fn write(&self) {
        let published = self.held.published.load_full();
        if published.known != Known::Yes {
            return;
        }
        let confirmed = from_micros(self.held.confirmed.load(Ordering::Relaxed));
        let dir = self.env.config.data_dir.clone();
        let written =
            tokio::task::spawn_blocking(move || snapshot::write(&dir, &published.hosts, confirmed)).await;
        if let Err(error) = written.map_err(std::io::Error::other).flatten() {
            tracing::warn!(%error, "cannot write the association files to disk; trying again later");
        }
    }
}

/// Puts the files of a workspace's hosts in their places.
fn put_workspace(hosts: &mut Hosts, workspace: WorkspaceId, part: &Part) {
    let everywhere = part.apps.iter().filter(|app| app.hosts.is_empty());
    put(hosts, of_workspace(workspace), &everywhere.collect::<Vec<_>>());
    for host in part.apps.iter().flat_map(|app| &app.hosts).collect::<BTreeSet<_>>() {
        let here = part.apps.iter().filter(|app| place::names(app, host));
        put(hosts, Whose::Of(workspace, host).key(), &here.collect::<Vec<_>>());
    }
}

/// Puts the files of hosts that list these apps in their place.
fn put(hosts: &mut Hosts, key: String, apps: &[&v1::App]) {
    let [apple, android] = File::ALL.map(|file| {
        let (text, left_out) = file.write_bounded(apps);
        if left_out > 0 {
            // Each was small enough when it was stored: several came at once, or the operator let a workspace in.
            tracing::error!(
                hosts = key,
                file = file.name(),
                left_out,
                "an association file is full; the last apps stand not in it"
            );
        }
        text.map(Body::of)
    });
    if apple.is_none() && android.is_none() {
        hosts.remove(key.as_str());
    } else {
        hosts.insert(key.into(), Arc::new(Files { apple, android }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ids;

    fn app(bundle_id: &str, hosts: &[&str]) -> v1::App {
        let ios = v1::IosApp {
            bundle_id: bundle_id.to_owned(),
            app_id_prefixes: vec!["ABCDE12345".to_owned()],
            ..v1::IosApp::default()
        };
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        v1::App { ios: Some(ios), hosts, ..v1::App::default() }
    }

    #[test]
    fn a_host_of_a_workspace_lists_its_own_apps_that_are_meant_for_it() {
        let ids = Ids::seeded(1);
        let [one, two] = [(); 2].map(|()| WorkspaceId::mint(&ids, from_micros(1)));
        let of_one = Part {
            apps: vec![app("a.everywhere", &[]), app("a.shop", &["shop.example", "go.example"])],
            on_own_host: false,
        };
        let of_two = Part { apps: vec![app("b.blog", &["blog.example"])], on_own_host: true };
        let mut hosts = Hosts::new();
        put_workspace(&mut hosts, one, &of_one);
        put_workspace(&mut hosts, two, &of_two);
        let published = Published { known: Known::Yes, hosts };
        for (whose, listed) in [
            (Whose::Of(one, "shop.example"), &["a.everywhere", "a.shop"][..]),
            (Whose::Of(one, "go.example"), &["a.everywhere", "a.shop"]),
            (Whose::Of(one, "other.example"), &["a.everywhere"]),
            (Whose::Of(one, "blog.example"), &["a.everywhere"]),
            (Whose::Of(two, "blog.example"), &["b.blog"]),
            (Whose::Of(two, "shop.example"), &[]),
            (Whose::Own, &[]),
        ] {
            let found = published.find(File::Apple, whose);
            let text = match &found {
                Found::File(body) => str::from_utf8(&body.bytes).expect("text"),
                Found::None => "",
                Found::Away => panic!("it is known"),
            };
            for bundle in ["a.everywhere", "a.shop", "b.blog"] {
                let id = format!("\"ABCDE12345.{bundle}\"");
                assert_eq!(text.contains(&id), listed.contains(&bundle), "{bundle} on {whose:?}");
            }
        }
        let once = Published { known: Known::Once, ..published.clone() };
        for (known, at_one, at_own) in [
            (&published, true, Found::None),
            (&once, true, Found::Away),
            (&Published::default(), false, Found::Away),
        ] {
            let found = known.find(File::Apple, Whose::Of(one, "shop.example"));
            assert_eq!(matches!(found, Found::File(_)), at_one);
            assert_eq!(known.find(File::Apple, Whose::Own), at_own);
        }
    }
}
