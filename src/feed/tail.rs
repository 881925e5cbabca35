//! The end of the feed as it grows, read once for all who watch on this node.
//!
//! [`run`] looks when it is woken, by a drain of this node or by a message of another, and every 250 ms besides, which is enough when no
//! message comes through. It reads the rows of all workspaces that somebody watches and keeps the last of each. Who is up with them
//! asks the database for nothing; who is not reads on there, at their own pace. While nobody watches nothing is read.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use metrics::{counter, gauge};
use sea_orm::DbErr;
use tokio::{
    sync::{broadcast::error::RecvError, watch},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Position, Row, store};
use crate::{
    cache::Topic,
    env::Env,
    error::{Error, Reason, Result},
    ids::WorkspaceId,
};

/// How many may watch one workspace, and everything, on one node.
const MOST_OF_A_WORKSPACE: usize = 100;
const MOST_ON_A_NODE: usize = 1000;
const ROOM_AGAIN: Duration = Duration::from_secs(10);
/// How often the end is looked at when no word comes.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The shortest pause between two looks, and between two words to the other nodes.
const PAUSE: Duration = Duration::from_millis(25);
const ROWS_AT_ONCE: u64 = 64;
/// How much is kept of a workspace for those who are nearly up with it.
const KEPT_ROWS: usize = 32;
const KEPT_ITEMS: usize = 2000;
/// What is said to the other nodes; that it is said is all there is to it.
const WORD: &[u8] = b"feed";

/// What is watched on this node.
#[derive(Debug)]
struct Tail {
    state: Mutex<State>,
    /// How often something was stored here.
    stored: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// Up to where the rows of all that is watched were read; nothing while nobody watches.
    position: Option<Position>,
    rooms: HashMap<WorkspaceId, Room>,
}

/// What is known of one workspace.
#[derive(Debug)]
struct Room {
    watchers: usize,
    /// All rows behind this and not behind `end` are in `recent`.
    since: Position,
    end: Position,
    recent: VecDeque<Row>,
    items: usize,
    grown: watch::Sender<()>,
}

/// What comes next behind a position.
#[derive(Debug)]
pub enum Ahead {
    /// This row.
    Row(Row),
    /// Nothing up to here, which is as far as anybody knows.
    Nothing(Position),
    /// Something that only the database knows, up to here.
    Stored(Position),
}

/// A place among those who watch a workspace, until it is dropped.
pub struct Watch {
    tail: Arc<Tail>,
    workspace: WorkspaceId,
    grown: watch::Receiver<()>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("workspace", &self.workspace).finish_non_exhaustive()
    }
}

impl Watch {
    /// Says what comes behind a position.
    pub fn after(&self, position: Position) -> Ahead {
        let state = self.tail.lock();
        // It is there as long as somebody watches.
        state.rooms.get(&self.workspace).map_or(Ahead::Nothing(position), |room| room.after(position))
    }

    /// Returns when there may be more than there was when this was called last.
    pub async fn grown(&mut self) {
        if self.grown.changed().await.is_err() {
            // Cannot happen while there is a place: nothing would ever come.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.tail.lock();
        if let Some(room) = state.rooms.get_mut(&self.workspace) {
            room.watchers -= 1;
            if room.watchers == 0 {
                state.rooms.remove(&self.workspace);
            }
        }
        if state.rooms.is_empty() {
            state.position = None;
        }
        gauge!("linkforty_live_watchers").decrement(1.0);
    }
}

/// Takes a place among those who watch a workspace, and says where the feed ends just now. Fails with RATE_LIMITED when too many
/// watch.
pub async fn watch(env: &Env, workspace: WorkspaceId) -> Result<(Watch, Position)> {
    let tail = tail(env);
    tail.is_there_room(workspace)?;
    let end = store::settled(&env.db.api).await?;
    Ok((tail.enter(workspace, end)?, end))
}

/// Says that something was stored: whoever waits for it, here or on other nodes, looks.
pub fn wake(env: &Env) {
    tail(env).stored.send_modify(|times| *times = times.wrapping_add(1));
}

/// Returns what changes whenever this node has stored something.
pub fn woken(env: &Env) -> watch::Receiver<u64> {
    tail(env).stored.subscribe()
}

/// Reads what is new for those who watch on this node, until `token` is cancelled.
pub async fn run(env: Env, token: CancellationToken) {
    let tail = tail(&env);
    let mut stored = tail.stored.subscribe();
    let mut news = env.fanout.subscribe(Topic::Live);
    let mut turns = interval(LOOK_EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            _ = turns.tick() => {}
            _ = stored.changed() => {}
            heard = news.recv() => if matches!(heard, Err(RecvError::Closed)) { return },
        }
        if let Some(Err(error)) = token.run_until_cancelled(tail.look(&env)).await {
            counter!("linkforty_live_failures_total").increment(1);
            tracing::debug!(%error, "the end of the feed cannot be read; trying again");
        }
        // Several words at once are one.
        sleep(PAUSE).await;
        while news.try_recv().is_ok() {}
    }
}

/// Tells the other nodes whenever something was stored here, until `token` is cancelled.
pub async fn tell(env: Env, token: CancellationToken) {
    let mut stored = woken(&env);
    while let Some(Ok(())) = token.run_until_cancelled(stored.changed()).await {
        if let Some(Err(_)) =
            token.run_until_cancelled(env.fanout.publish(Topic::Live, Bytes::from_static(WORD))).await
        {
            counter!("linkforty_live_failures_total").increment(1);
        }
        sleep(PAUSE).await;
    }
}

fn tail(env: &Env) -> Arc<Tail> {
    env.memory.of(Tail::default)
}

impl Default for Tail {
    fn default() -> Self {
        Self { state: Mutex::default(), stored: watch::Sender::new(0) }
    }
}

impl Tail {
    fn lock(&self) -> MutexGuard<'_, State> {
        // What is locked here is whole between any two steps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_there_room(&self, workspace: WorkspaceId) -> Result<()> {
        let state = self.lock();
        if state.rooms.values().map(|room| room.watchers).sum::<usize>() >= MOST_ON_A_NODE {
            return Err(too_many("node_streams"));
        }
        let here = state.rooms.get(&workspace).map_or(0, |room| room.watchers);
        if here >= MOST_OF_A_WORKSPACE { Err(too_many("workspace_streams")) } else { Ok(()) }
    }

    fn enter(self: Arc<Self>, workspace: WorkspaceId, end: Position) -> Result<Watch> {
        self.is_there_room(workspace)?;
        let mut state = self.lock();
        // Where others watch already, what is read next is what is behind their position.
        let position = *state.position.get_or_insert(end);
        let room = state.rooms.entry(workspace).or_insert_with(|| Room {
            watchers: 0,
            since: position,
            end: position,
            recent: VecDeque::new(),
            items: 0,
            grown: watch::Sender::new(()),
        });
        room.watchers += 1;
        let grown = room.grown.subscribe();
        drop(state);
        gauge!("linkforty_live_watchers").increment(1.0);
        Ok(Watch { tail: self, workspace, grown })
    }

    /// Reads what is new.
    async fn look(&self, env: &Env) -> Result<(), DbErr> {
        loop {
            let Some((from, workspaces)) = self.wanted() else { return Ok(()) };
            let end = store::settled(&env.db.api).await?;
            let wanted: Vec<WorkspaceId> = workspaces.iter().copied().collect();
            let rows = store::read_between(&env.db.api, Some(&wanted), (from, end), ROWS_AT_ONCE).await?;
            let last = rows.last().map(|row| row.position);
            let is_full = rows.len() as u64 == ROWS_AT_ONCE;
            let to = if is_full { last.unwrap_or(end) } else { end.max(from) };
            self.lock().tell(&workspaces, (from, to), rows);
            if !is_full {
                return Ok(());
            }
        }
    }

    fn wanted(&self) -> Option<(Position, BTreeSet<WorkspaceId>)> {
        let state = self.lock();
        Some((state.position?, state.rooms.keys().copied().collect()))
    }
}

impl State {
    /// Takes in the rows of some workspaces between two positions.
    fn tell(&mut self, of: &BTreeSet<WorkspaceId>, (from, to): (Position, Position), rows: Vec<Row>) {
        // All who watched have left since, and others came.
        if self.position != Some(from) {
            return;
        }
        self.position = Some(to);
        for (workspace, room) in &mut self.rooms {
            room.end = to;
            if !of.contains(workspace) {
                // It was not asked about.
                room.since = to;
                room.grown.send_replace(());
            }
        }
        for row in rows {
            if let Some(room) = self.rooms.get_mut(&row.workspace) {
                room.push(row);
            }
        }
    }
}

impl Room {
    fn push(&mut self, row: Row) {
        self.items += row.items.len();
        self.recent.push_back(row);
        while self.recent.len() > KEPT_ROWS || (self.items > KEPT_ITEMS && self.recent.len() > 1) {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.items -= oldest.items.len();
            self.since = oldest.position;
        }
        self.grown.send_replace(());
    }

    fn after(&self, position: Position) -> Ahead {
        if position >= self.end {
            return Ahead::Nothing(position);
        }
        if position < self.since {
            return Ahead::Stored(self.end);
        }
        let next = self.recent.iter().find(|row| row.position > position);
        next.map_or(Ahead::Nothing(self.end), |row| Ahead::Row(row.clone()))
    }
}

fn too_many(limit: &'static str) -> Error {
    Error::new(Reason::RateLimited, "too many streams are open; close one or come back later")
        .with("limit", limit)
        .retry_after(ROOM_AGAIN)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{clock::from_micros, feed::Items};

    fn of(number: u128) -> WorkspaceId {
        WorkspaceId(Uuid::from_u128(number))
    }

    fn row(workspace: u128, position: i64) -> Row {
        Row {
            position: Position(position),
            workspace: of(workspace),
            time: from_micros(0),
            items: Arc::new(Items::Events(Vec::new())),
        }
    }

    /// What comes behind a position: the row's number, `-end` where the database knows, nothing otherwise.
    fn after(watch: &Watch, position: i64) -> Option<i64> {
        match watch.after(Position(position)) {
            Ahead::Row(row) => Some(row.position.0),
            Ahead::Stored(end) => Some(-end.0),
            Ahead::Nothing(_) => None,
        }
    }

    fn tell(tail: &Tail, asked: &[u128], from: i64, to: i64, rows: Vec<Row>) {
        let asked = asked.iter().map(|number| of(*number)).collect();
        tail.lock().tell(&asked, (Position(from), Position(to)), rows);
    }

    #[test]
    fn who_is_up_with_the_feed_asks_nobody_and_who_is_not_the_database() {
        let tail = Arc::new(Tail::default());
        let one = tail.clone().enter(of(1), Position(10)).expect("room");
        assert_eq!((after(&one, 10), after(&one, 12), after(&one, 9)), (None, None, Some(-10)));
        tell(&tail, &[1], 10, 15, vec![row(1, 11), row(1, 14)]);
        let seen = [10, 11, 13, 14, 15].map(|position| after(&one, position));
        assert_eq!(seen, [Some(11), Some(14), Some(14), None, None]);
        for position in 16..60 {
            tell(&tail, &[1], position - 1, position, vec![row(1, position)]);
        }
        assert_eq!((after(&one, 20), after(&one, 27), after(&one, 58)), (Some(-59), Some(28), Some(59)));
    }

    #[test]
    fn a_workspace_that_was_not_asked_about_is_read_from_the_database() {
        let tail = Arc::new(Tail::default());
        let _one = tail.clone().enter(of(1), Position(10)).expect("room");
        let other = tail.clone().enter(of(2), Position(20)).expect("room");
        // Asked before the second came.
        tell(&tail, &[1], 10, 30, vec![row(1, 25)]);
        assert_eq!((after(&other, 20), after(&other, 30)), (Some(-30), None));
        tell(&tail, &[1, 2], 30, 40, vec![row(2, 35)]);
        assert_eq!((after(&other, 30), after(&other, 20)), (Some(35), Some(-40)));
    }

    #[test]
    fn what_was_read_for_those_who_left_is_nobodys() {
        let tail = Arc::new(Tail::default());
        let one = tail.clone().enter(of(1), Position(10)).expect("room");
        drop(one);
        let again = tail.clone().enter(of(1), Position(50)).expect("room");
        tell(&tail, &[1], 10, 40, vec![row(1, 35)]);
        assert_eq!((after(&again, 50), after(&again, 30)), (None, Some(-50)));
    }

    #[test]
    fn places_are_bounded_and_come_free_again() {
        let tail = Arc::new(Tail::default());
        let mut watches: Vec<Watch> =
            (0..MOST_OF_A_WORKSPACE).map(|_| tail.clone().enter(of(1), Position(0)).expect("room")).collect();
        assert!(tail.clone().enter(of(1), Position(0)).is_err());
        watches.pop();
        assert!(tail.clone().enter(of(1), Position(0)).is_ok());
        for number in 0..(MOST_ON_A_NODE - watches.len()) as u128 {
            watches.push(tail.clone().enter(of(2 + number), Position(0)).expect("room"));
        }
        assert!(tail.clone().enter(of(9999), Position(0)).is_err());
        drop(watches);
        assert!(tail.wanted().is_none());
    }
}
