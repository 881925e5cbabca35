//! Reads the feed of one workspace for one stream, item by item, from wherever it stands.

use std::collections::VecDeque;

use chrono::Duration;
use sea_orm::DbErr;

use super::{cursor::Cursor, filter::Filter, wire};
use crate::{
    clock::Moment,
    env::Env,
    feed::{
        self, Items, Position, Row,
        tail::{Ahead, Watch},
    },
    ids::WorkspaceId,
    pb::v1::{Lagged, watch_events_response::Event},
};

/// How far a stream may be behind. What a good cursor begins with is younger, and is read before it gets so old.
const MOST_BEHIND: Duration = Duration::minutes(24 * 60 + 30);
/// How many rows are read at once by whoever is behind.
const ROWS_AT_ONCE: u64 = 4;

/// Where a stream stands.
#[derive(Debug)]
pub struct Reading {
    env: Env,
    workspace: WorkspaceId,
    watch: Watch,
    filter: Filter,
    /// All rows up to here are done.
    position: Position,
    /// When this was the end of the feed.
    time: Moment,
    /// The row being shown, and how many of its items are done.
    open: Option<(Row, usize)>,
    /// What a cursor says is done of a row that is still to come.
    resumed: Option<(Position, usize)>,
    /// Rows that come next.
    read: VecDeque<Row>,
    /// What was passed over and not told yet; `None` inside: nobody knows how much.
    missed: Option<Option<u64>>,
}

/// What a stream does next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Shows this.
    Show(Event),
    /// Reads up to here.
    Read(Position),
    /// Waits for something to happen.
    Wait,
}

/// Says where a reading begins.
#[derive(Debug, Clone, Copy)]
pub enum Begin {
    /// With what is stored from now on.
    Now,
    /// Behind an item.
    Behind(Cursor),
}

impl Reading {
    /// Begins; `end` is where the feed ends just now.
    pub fn new(
        env: &Env,
        workspace: WorkspaceId,
        (watch, end): (Watch, Position),
        filter: Filter,
        begin: Begin,
    ) -> Self {
        let (position, resumed, time) = match begin {
            Begin::Now => (end, None, env.now()),
            Begin::Behind(Cursor { row, taken: Cursor::ALL, time }) => (row, None, time),
            Begin::Behind(Cursor { row, taken, time }) => {
                (Position(row.0 - 1), Some((row, taken as usize)), time)
            }
        };
        Self {
            env: env.clone(),
            workspace,
            watch,
            filter,
            position,
            time,
            open: None,
            resumed,
            read: VecDeque::new(),
            missed: None,
        }
    }

    /// Returns where this stands: behind all that was returned.
    pub fn cursor(&self) -> Cursor {
        match (&self.open, self.resumed) {
            (Some((row, done)), _) => cursor_in(row.position, *done, row.time),
            (None, Some((row, done))) => cursor_in(row, done, self.time),
            (None, None) => Cursor { row: self.position, taken: Cursor::ALL, time: self.time },
        }
    }

    /// Says what is to be done now.
    pub fn step(&mut self) -> Step {
        loop {
            if let Some(event) = self.next_of_open() {
                return Step::Show(event);
            }
            if let Some(row) = self.read.pop_front() {
                self.begin(row);
                continue;
            }
            match self.watch.after(self.position) {
                Ahead::Row(row) => self.begin(row),
                Ahead::Stored(end) => return Step::Read(end),
                Ahead::Nothing(end) => {
                    self.reached(end);
                    return self.tell_missed().map_or(Step::Wait, Step::Show);
                }
            }
        }
    }

    /// Returns when there may be more than at the last step.
    pub async fn grown(&mut self) {
        self.watch.grown().await;
    }

    /// Reads what the database alone knows.
    pub async fn read(&mut self, end: Position) -> Result<(), DbErr> {
        let span = (self.position, end);
        if self.time < self.env.now() - feed::LIFE {
            // What was here may have been forgotten.
            self.missed = Some(None);
        }
        let rows = feed::read_between(&self.env.db.api, Some(&[self.workspace]), span, ROWS_AT_ONCE).await?;
        if rows.is_empty() {
            self.reached(end);
        }
        self.read = rows.into();
        Ok(())
    }

    /// Takes up a row; one that lies too far back is passed over.
    fn begin(&mut self, row: Row) {
        let done = match self.resumed.take() {
            Some((of, done)) if of == row.position => done,
            // It is gone, which a good cursor's is not.
            Some(_) | None => 0,
        };
        let now = self.env.now();
        if row.time >= now - MOST_BEHIND {
            self.open = Some((row, done));
            return;
        }
        // Rows in between may have been forgotten before this one was read.
        let is_whole = self.time >= now - feed::LIFE;
        let passed = (done..row.items.len()).filter(|at| self.shown(&row, *at).is_some()).count() as u64;
        self.missed = match (self.missed, is_whole) {
            (None, true) => Some(Some(passed)),
            (Some(Some(before)), true) => Some(Some(before + passed)),
            _ => Some(None),
        };
        // The time stays: whether all that is missing was seen depends on when this fell behind.
        self.position = row.position;
    }

    fn next_of_open(&mut self) -> Option<Event> {
        self.open.as_ref()?;
        if let Some(event) = self.tell_missed() {
            return Some(event);
        }
        let (row, done) = self.open.as_ref()?;
        let found = (*done..row.items.len()).find_map(|at| Some((at, self.shown(row, at)?)));
        let (position, time) = (row.position, row.time);
        if let (Some((at, event)), Some((_, done))) = (found, &mut self.open) {
            *done = at + 1;
            return Some(event);
        }
        self.open = None;
        (self.position, self.time) = (position, time);
        None
    }

    fn tell_missed(&mut self) -> Option<Event> {
        let missed = match self.missed.take()? {
            // Nothing that anybody wants to see.
            Some(0) => return None,
            Some(count) => i64::try_from(count).unwrap_or(i64::MAX),
            None => 0,
        };
        Some(Event::Lagged(Lagged { missed }))
    }

    /// Returns an item of a row as the contract shows it, if it is wanted.
    fn shown(&self, row: &Row, at: usize) -> Option<Event> {
        let filter = &self.filter;
        match &*row.items {
            Items::Clicks(clicks) => clicks
                .get(at)
                .filter(|click| filter.click(click))
                .map(|click| Event::Click(wire::click(click))),
            Items::Installs(installs) => {
                let wanted = installs.get(at).filter(|install| filter.install(install));
                wanted.map(|install| Event::Install(wire::install(install)))
            }
            Items::Events(events) => {
                let wanted = events.get(at).filter(|event| filter.event(event));
                wanted.map(|event| Event::AppEvent(wire::event(event)))
            }
        }
    }

    /// Notes that there is nothing before this place.
    fn reached(&mut self, end: Position) {
        // What is done of a row that is still to come stays so.
        if self.resumed.is_none_or(|(row, _)| row <= end) && end >= self.position {
            (self.position, self.time, self.resumed) = (end, self.env.now(), None);
        }
    }
}

fn cursor_in(row: Position, done: usize, time: Moment) -> Cursor {
    Cursor { row, taken: u32::try_from(done).unwrap_or(Cursor::ALL), time }
}
