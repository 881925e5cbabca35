//! Clicks as they are recorded, for whoever watches, on whatever node.
//!
//! The drain publishes what it really inserted on [`Topic::Live`], in messages of one workspace each; [`listen`] reads them, once for
//! the whole node, and puts each click into the buffers of those who want it. While nobody watches, the drain encodes and
//! sends nothing: a node with watchers leaves a word in the shared cache, and the drains of all nodes look for it.
//!
//! Guarantees: a watcher sees its own workspace's clicks alone, each at most once; a slow one has [`BUFFERED`] places, keeps nobody
//! waiting, and learns where and how many clicks it missed.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use metrics::{counter, gauge};
use prost::Message as _;
use tokio::{
    sync::{Notify, broadcast::error::RecvError},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::store::Inserted;
use crate::{
    cache::{Signal, Topic},
    env::Env,
    error::{Error, Reason, Result},
    ids::{ClickId, LinkId, WorkspaceId},
    pb::internal::v1::{LiveClick, LiveClicks},
};

/// How many clicks wait for a slow watcher.
pub const BUFFERED: usize = 1000;
/// How many may watch one workspace, and everything, on one node.
const MOST_OF_A_WORKSPACE: usize = 100;
const MOST_ON_A_NODE: usize = 1000;
const ROOM_AGAIN: Duration = Duration::from_secs(10);

/// What one message holds at the most.
const MESSAGE_CLICKS: usize = 100;
const MESSAGE_BYTES: usize = 256 * 1024;
/// How long a batch of the drain may take to be published; what is left over is not shown.
const PUBLISHING: Duration = Duration::from_millis(500);

/// The word that somebody watches, how long it stands, and how often it is said and looked for.
const WORD: &str = "live";
const WORD_LIFE: Duration = Duration::from_secs(20);
const SAY_EVERY: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How many messages are remembered: one that comes twice comes twice at about the same time.
const REMEMBERED: usize = 256;

/// One click as watchers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which click.
    pub id: ClickId,
    /// Which link.
    pub link: LinkId,
    /// The number of the visitor's platform.
    pub platform: u32,
    /// The number of who made it: 0 for people.
    pub class: u32,
    /// Where the visitor came from.
    pub referrer_host: String,
    /// What language they ask for.
    pub language: String,
    /// The query of the short URL.
    pub query: String,
}

/// What a watcher learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A click.
    Click(Arc<Seen>),
    /// So many clicks are missing here, at least; 0 when nobody knows.
    Missed(u64),
}

type Wants = Box<dyn Fn(&Seen) -> bool + Send + Sync>;

/// Those who watch on this node.
#[derive(Default)]
struct Feed {
    watchers: Mutex<HashMap<WorkspaceId, Vec<Arc<Watcher>>>>,
    looked: Mutex<Option<(Instant, bool)>>,
    numbers: AtomicU64,
}

struct Watcher {
    number: u64,
    wants: Wants,
    buffer: Mutex<Buffer>,
    news: Notify,
}

/// Clicks that wait, and marks where some are missing.
#[derive(Debug, Default)]
struct Buffer(VecDeque<Heard>);

impl Buffer {
    /// Adds a click, or counts it as missed when there is no place.
    fn click(&mut self, seen: &Arc<Seen>) {
        if self.0.len() < BUFFERED {
            self.0.push_back(Heard::Click(seen.clone()));
        } else if let Some(Heard::Missed(count)) = self.0.back_mut() {
            *count += 1;
        } else {
            self.0.push_back(Heard::Missed(1));
        }
    }

    /// Marks that an unknown number is missing.
    fn gap(&mut self) {
        if !matches!(self.0.back(), Some(Heard::Missed(_))) {
            self.0.push_back(Heard::Missed(0));
        }
    }
}

/// A watch that goes on until it is dropped.
pub struct Watch {
    feed: Arc<Feed>,
    workspace: WorkspaceId,
    watcher: Arc<Watcher>,
}

impl Watch {
    /// Returns what comes next.
    pub async fn next(&mut self) -> Heard {
        loop {
            if let Some(heard) = lock(&self.watcher.buffer).0.pop_front() {
                return heard;
            }
            self.watcher.news.notified().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watchers = lock(&self.feed.watchers);
        if let Some(here) = watchers.get_mut(&self.workspace) {
            here.retain(|watcher| watcher.number != self.watcher.number);
            if here.is_empty() {
                watchers.remove(&self.workspace);
            }
        }
        gauge!("linkforty_live_watchers").decrement(1.0);
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

/// Watches the clicks of a workspace that `wants` says yes to, from now on. Fails with RATE_LIMITED when too many do.
pub async fn watch(
    env: &Env,
    workspace: WorkspaceId,
    wants: impl Fn(&Seen) -> bool + Send + Sync + 'static,
) -> Result<Watch> {
    let watch = feed(env).enter(workspace, Box::new(wants))?;
    // At once, so that the first watcher need not wait for its turn.
    say(env).await;
    Ok(watch)
}

/// Shows this node's watchers what all nodes record, until `token` is cancelled.
pub async fn listen(env: Env, token: CancellationToken) {
    let feed = feed(&env);
    let mut news = env.fanout.subscribe(Topic::Live);
    let mut remembered = VecDeque::with_capacity(REMEMBERED);
    let mut turns = interval(SAY_EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            _ = turns.tick() => if feed.is_watched() { say(&env).await },
            heard = news.recv() => match heard {
                Ok(Signal::Message(message)) => feed.tell(&message, &mut remembered),
                Ok(Signal::Gap) | Err(RecvError::Lagged(_)) => feed.tell_gap(),
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// Sends what the drain has just inserted to whoever watches. Never fails: nobody may wait for a watcher.
pub(super) async fn publish(env: &Env, inserted: &[Inserted<'_>]) {
    if inserted.is_empty() || !is_watched_anywhere(env).await {
        return;
    }
    let sending = async {
        for message in messages(inserted) {
            // What does not reach the other nodes has reached this one.
            if env.fanout.publish(Topic::Live, message).await.is_err() {
                counter!("linkforty_live_failures_total").increment(1);
            }
        }
    };
    if timeout(PUBLISHING, sending).await.is_err() {
        counter!("linkforty_live_failures_total").increment(1);
        feed(env).tell_gap();
    }
}

fn feed(env: &Env) -> Arc<Feed> {
    env.memory.of(Feed::default)
}

/// Says to the drains of all nodes that somebody watches here.
async fn say(env: &Env) {
    if env.cache.set(WORD, Bytes::from_static(b"1"), WORD_LIFE).await.is_err() {
        tracing::debug!("the other nodes were not told that somebody watches");
    }
}

/// Says whether anybody watches, on whatever node: what was known half a second ago is good enough for the others.
async fn is_watched_anywhere(env: &Env) -> bool {
    let feed = feed(env);
    if feed.is_watched() {
        return true;
    }
    let known = *lock(&feed.looked);
    if let Some((at, watched)) = known
        && at.elapsed() < LOOK_EVERY
    {
        return watched;
    }
    // While the cache is away, so is the way to the other nodes.
    let watched = matches!(env.cache.get(WORD).await, Ok(Some(_)));
    *lock(&feed.looked) = Some((Instant::now(), watched));
    watched
}

impl Feed {
    fn enter(self: Arc<Self>, workspace: WorkspaceId, wants: Wants) -> Result<Watch> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let watcher = Arc::new(Watcher { number, wants, buffer: Mutex::default(), news: Notify::new() });
        {
            let mut watchers = lock(&self.watchers);
            if watchers.values().map(Vec::len).sum::<usize>() >= MOST_ON_A_NODE {
                return Err(too_many("node_streams"));
            }
            let here = watchers.entry(workspace).or_default();
            if here.len() >= MOST_OF_A_WORKSPACE {
                return Err(too_many("workspace_streams"));
            }
            here.push(watcher.clone());
        }
        gauge!("linkforty_live_watchers").increment(1.0);
        Ok(Watch { feed: self, workspace, watcher })
    }

    fn is_watched(&self) -> bool {
        !lock(&self.watchers).is_empty()
    }

    /// Puts the clicks of a message before those who want them.
    fn tell(&self, message: &Bytes, remembered: &mut VecDeque<Uuid>) {
        if !self.is_watched() {
            return;
        }
        let Some((workspace, clicks)) = read(message) else { return };
        let Some(first) = clicks.first().map(|seen| seen.id.0) else { return };
        if remembered.contains(&first) {
            return;
        }
        if remembered.len() == REMEMBERED {
            remembered.pop_front();
        }
        remembered.push_back(first);
        let watchers = lock(&self.watchers).get(&workspace).cloned().unwrap_or_default();
        for watcher in watchers {
            let wanted = clicks.iter().filter(|seen| (watcher.wants)(seen));
            let mut buffer = lock(&watcher.buffer);
            wanted.for_each(|seen| buffer.click(seen));
            drop(buffer);
            watcher.news.notify_one();
        }
    }

    fn tell_gap(&self) {
        for watcher in lock(&self.watchers).values().flatten() {
            lock(&watcher.buffer).gap();
            watcher.news.notify_one();
        }
    }
}

fn too_many(limit: &'static str) -> Error {
    Error::new(Reason::RateLimited, "too many streams are open; close one or come back later")
        .with("limit", limit)
        .retry_after(ROOM_AGAIN)
}

/// Puts clicks into messages: one workspace to a message, bounded, in the order they came.
fn messages(inserted: &[Inserted<'_>]) -> Vec<Bytes> {
    let mut open: BTreeMap<WorkspaceId, (LiveClicks, usize)> = BTreeMap::new();
    let mut closed = Vec::new();
    for one in inserted {
        let click = write(one);
        let bytes = click.encoded_len();
        let (message, size) = open.entry(one.row.workspace).or_insert_with(|| {
            (
                LiveClicks {
                    workspace_id: Bytes::copy_from_slice(one.row.workspace.0.as_bytes()),
                    clicks: Vec::new(),
                },
                0,
            )
        });
        if message.clicks.len() == MESSAGE_CLICKS
            || (*size + bytes > MESSAGE_BYTES && !message.clicks.is_empty())
        {
            closed.push(Bytes::from(message.encode_to_vec()));
            message.clicks.clear();
            *size = 0;
        }
        *size += bytes;
        message.clicks.push(click);
    }
    closed.extend(open.into_values().map(|(message, _)| Bytes::from(message.encode_to_vec())));
    closed
}

fn write(Inserted { row, class }: &Inserted<'_>) -> LiveClick {
    LiveClick {
        id: Bytes::copy_from_slice(row.id.0.as_bytes()),
        link_id: Bytes::copy_from_slice(row.link.0.as_bytes()),
        platform: row.platform.unsigned_abs().into(),
        class: class.number().unsigned_abs().into(),
        referrer_host: row.referrer_host.to_owned(),
        language: row.language.to_owned(),
        query: row.query.to_owned(),
    }
}

/// Reads a message; `None` for what no release sends.
fn read(message: &Bytes) -> Option<(WorkspaceId, Vec<Arc<Seen>>)> {
    let message = LiveClicks::decode(message.clone()).ok()?;
    let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
    let workspace = WorkspaceId(uuid(&message.workspace_id)?);
    let clicks = message.clicks.into_iter().map(|click| {
        Some(Arc::new(Seen {
            id: ClickId(uuid(&click.id)?),
            link: LinkId(uuid(&click.link_id)?),
            platform: click.platform,
            class: click.class,
            referrer_host: click.referrer_host,
            language: click.language,
            query: click.query,
        }))
    });
    Some((workspace, clicks.collect::<Option<_>>()?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked here is whole between any two steps.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clicks::{
            class::{Class, Sign},
            store::Row,
        },
        clock::from_micros,
        ids::Ids,
    };

    fn row<'a>(ids: &Ids, workspace: u128, query: &'a str) -> Row<'a> {
        Row {
            id: ClickId(ids.uuid(from_micros(7_200_000_000))),
            workspace: WorkspaceId(Uuid::from_u128(workspace)),
            link: LinkId(Uuid::from_u128(9)),
            platform: 2,
            class: Class::Human,
            step: 4,
            network: &[],
            visitor: 0,
            user_agent: "never sent",
            referrer_host: "example.com",
            language: "de",
            query,
            link_campaign: Vec::new(),
            country: None,
            lease: None,
            address: None,
        }
    }

    fn sent(rows: &[Row<'_>]) -> Vec<Bytes> {
        messages(
            &rows.iter().map(|row| Inserted { row, class: Class::Bot(Sign::UserAgent) }).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_message_holds_one_workspace_and_is_bounded() {
        let ids = Ids::seeded(5);
        let rows: Vec<Row<'_>> = (0..250).map(|n| row(&ids, n % 2, "")).collect();
        let mut all = Vec::new();
        for message in sent(&rows) {
            let (workspace, clicks) = read(&message).expect("readable");
            assert!(clicks.len() <= MESSAGE_CLICKS && message.len() <= MESSAGE_BYTES + 64);
            all.extend(clicks.iter().map(|seen| (workspace, seen.id)));
        }
        all.sort_unstable();
        let mut expected: Vec<_> = rows.iter().map(|row| (row.workspace, row.id)).collect();
        expected.sort_unstable();
        assert_eq!(all, expected);
        let long = "x".repeat(MESSAGE_BYTES / 2);
        let rows: Vec<Row<'_>> = (0..3).map(|_| row(&ids, 1, &long)).collect();
        assert_eq!(sent(&rows).len(), 3);
        let one = sent(&[row(&ids, 1, "a=b")]);
        let (_, clicks) = read(&one[0]).expect("readable");
        assert_eq!((clicks[0].platform, clicks[0].class, &*clicks[0].query), (2, 2, "a=b"));
        assert!(!one[0].windows(5).any(|bytes| bytes == b"never"));
        assert!(read(&Bytes::from_static(b"garbage")).is_none());
    }

    fn workspace(number: u128) -> WorkspaceId {
        WorkspaceId(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn a_watcher_hears_its_workspace_once_and_learns_what_it_missed() {
        let (feed, ids) = (Arc::new(Feed::default()), Ids::seeded(6));
        let mut watch = feed.clone().enter(workspace(1), Box::new(|seen| seen.query != "no")).expect("room");
        let mut remembered = VecDeque::new();
        for message in sent(&[row(&ids, 2, "theirs"), row(&ids, 1, "no"), row(&ids, 1, "yes")]) {
            feed.tell(&message, &mut remembered);
            feed.tell(&message, &mut remembered);
        }
        let Heard::Click(seen) = watch.next().await else { panic!("a click") };
        assert_eq!(seen.query, "yes");
        assert!(lock(&watch.watcher.buffer).0.is_empty());

        let many: Vec<Row<'_>> = (0..BUFFERED + 7).map(|_| row(&ids, 1, "")).collect();
        sent(&many).iter().for_each(|message| feed.tell(message, &mut remembered));
        feed.tell_gap();
        for row in &many[..BUFFERED] {
            let Heard::Click(seen) = watch.next().await else { panic!("a click") };
            assert_eq!(seen.id, row.id);
        }
        assert_eq!(watch.next().await, Heard::Missed(7));
        feed.tell_gap();
        feed.tell_gap();
        assert_eq!(watch.next().await, Heard::Missed(0));
        sent(&[row(&ids, 1, "on")]).iter().for_each(|message| feed.tell(message, &mut remembered));
        assert!(matches!(watch.next().await, Heard::Click(seen) if seen.query == "on"));
        drop(watch);
        assert!(!feed.is_watched());
    }

    #[test]
    fn there_is_room_for_so_many_and_again_when_one_leaves() {
        let feed = Arc::new(Feed::default());
        let enter = |number| feed.clone().enter(workspace(number), Box::new(|_| true));
        let mut inside: Vec<Watch> = (0..100).map(|_| enter(1).expect("room")).collect();
        let refused = enter(1).expect_err("no room");
        assert_eq!((refused.reason(), refused.retry_delay()), (Reason::RateLimited, Some(ROOM_AGAIN)));
        inside.pop();
        inside.push(enter(1).expect("room again"));
        inside.extend((0..900).map(|n| enter(2 + n / 100).expect("room")));
        assert_eq!(enter(99).expect_err("no room").metadata()[0].1, "node_streams");
        assert_eq!(lock(&feed.watchers).len(), 10, "a refusal leaves nothing behind");
    }
}
