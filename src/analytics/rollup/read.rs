//! Reads rollups, and nothing else: what an answer costs depends on how much it shows, not on how much was recorded.
//!
//! Several questions that are to agree are asked in one snapshot. The empty value of a dimension is what its other values lack of the
//! total, so the parts are the total in every answer.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use sea_orm::{ConnectionTrait, DbErr};

use super::{
    content::{self, NOTHING},
    key::{Bundle, Level, SLOTS_A_DAY, SLOTS_AN_HOUR, Scoped},
    names,
    rows::{self, Rows, malformed},
    sketch::Sketch,
};
pub use super::{
    key::Part,
    measures::{Currency, Measures},
    rows::{Cost, Kept},
    sums::Sums,
};
use crate::{analytics::dims::Dimension, ids::WorkspaceId};

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Which part of it.
    pub part: Part,
}

/// A span of quarter-hours since 1970: from `first` on and before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// The first that is counted.
    pub first: i32,
    /// The first that is not counted any more.
    pub end: i32,
}

impl Slots {
    fn has(self, slot: i32) -> bool {
        self.first <= slot && slot < self.end
    }

    /// Returns the days it touches.
    fn days(self) -> Range<i32> {
        self.first.div_euclid(SLOTS_A_DAY)..ceiling(self.end, SLOTS_A_DAY)
    }

    /// Returns the days that are whole in it.
    fn whole_days(self) -> Range<i32> {
        let (first, end) = (ceiling(self.first, SLOTS_A_DAY), self.end.div_euclid(SLOTS_A_DAY));
        first..end.max(first)
    }

    /// Returns the hours it touches outside of whole days.
    fn edges(self) -> impl Iterator<Item = i32> {
        let whole = self.whole_days();
        let hours = |slots: Self| slots.first.div_euclid(SLOTS_AN_HOUR)..ceiling(slots.end, SLOTS_AN_HOUR);
        let (before, after) = if whole.is_empty() {
            (hours(self), 0..0)
        } else {
            let before = Self { first: self.first, end: whole.start * SLOTS_A_DAY };
            let after = Self { first: whole.end * SLOTS_A_DAY, end: self.end };
            (hours(before), hours(after))
        };
        before.chain(after)
    }
}

fn ceiling(number: i32, of: i32) -> i32 {
    -(-number).div_euclid(of)
}

/// Answers questions about one part of a workspace, all from one snapshot. What several of them need is read once.
pub struct Reader<'a, C> {
    db: &'a C,
    kept: &'a Kept,
    scope: &'a Scope,
    /// `None`: nothing was ever counted of it.
    rows: Option<Rows<'a, C>>,
}

/// What is going to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Everything together, by quarter-hours.
    Totals(Slots),
    /// The values of a dimension.
    Values(Slots, Dimension),
    /// The visitors of days.
    Visitors(Range<i32>),
}

impl<'a, C: ConnectionTrait> Reader<'a, C> {
    /// Begins to read in a snapshot.
    pub async fn open(db: &'a C, kept: &'a Kept, scope: &'a Scope) -> Result<Self, DbErr> {
        let sort = scope.part.scope();
        let part = code_of(db, kept, scope).await?;
        let rows = part.map(|part| Rows::new(db, kept, scope.workspace, (sort, part)));
        Ok(Self { db, kept, scope, rows })
    }

    /// Returns the snapshot.
    pub fn db(&self) -> &'a C {
        self.db
    }

    /// Reads all that some questions need, in one statement or two.
    pub async fn fetch(&mut self, asks: &[Ask]) -> Result<(), DbErr> {
        let is_link = self.is_link();
        let Some(rows) = &mut self.rows else { return Ok(()) };
        let mut wanted: Vec<(Bundle, Level, i32)> = Vec::new();
        let days = |bundle, days: Range<i32>| {
            let bundle = if is_link { Bundle::Whole } else { bundle };
            days.map(move |day| (bundle, Level::Day, day))
        };
        for ask in asks {
            match ask {
                Ask::Totals(slots) => wanted.extend(days(Bundle::Totals, slots.days())),
                Ask::Values(slots, _) if is_link => wanted.extend(days(Bundle::Whole, slots.days())),
                Ask::Values(slots, dimension) => {
                    let bundle = Bundle::of(*dimension);
                    wanted.extend(days(bundle, slots.whole_days()));
                    wanted.extend(slots.edges().map(|hour| (bundle, Level::Hour, hour)));
                }
                Ask::Visitors(of) => wanted.extend(days(Bundle::Visitors, of.clone())),
            }
        }
        rows.fetch(wanted.into_iter()).await
    }

    /// Returns what was counted in a span.
    pub async fn totals(&mut self, slots: Slots) -> Result<Measures, DbErr> {
        let mut total = Measures::default();
        self.each_total(slots, |slot, measures| {
            if slots.has(slot) {
                total += measures;
            }
        })
        .await?;
        Ok(total)
    }

    /// Returns what was counted in each of some spans, which follow on each other, oldest first: of everything, or of those values of a
    /// dimension.
    pub async fn series(
        &mut self,
        buckets: &[Slots],
        of: Option<(Dimension, &[String])>,
    ) -> Result<Vec<Measures>, DbErr> {
        let mut sums = vec![Measures::default(); buckets.len()];
        let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return Ok(sums) };
        let all = Slots { first: first.first, end: last.end };
        let place = |slot: i32| {
            let at = buckets.partition_point(|bucket| bucket.end <= slot);
            buckets.get(at).is_some_and(|bucket| bucket.has(slot)).then_some(at)
        };
        let itself = of.and_then(|(dimension, _)| self.itself(dimension));
        let is_all_asked = match (of, &itself) {
            (None, _) => true,
            // A link is all of itself.
            (Some((_, values)), Some(itself)) => values.contains(itself),
            // All, less what has another value.
            (Some((_, values)), None) => values.iter().any(String::is_empty),
        };
        if is_all_asked {
            self.each_total(all, |slot, measures| {
                if let Some(at) = place(slot) {
                    sums[at] += measures;
                }
            })
            .await?;
        }
        let (Some((dimension, values)), None) = (of, itself) else { return Ok(sums) };
        let texts: Vec<&str> = values.iter().map(String::as_str).collect();
        let asked: BTreeSet<u32> = names::codes_of(self.db, &texts).await?.into_values().collect();
        self.each_value(buckets, dimension, |slot, value, measures| {
            let Some(at) = place(slot) else { return };
            // With the empty value all that others have goes off, and what is asked for stays.
            match (is_all_asked, asked.contains(&value)) {
                (false, true) => sums[at] += measures,
                (true, false) => sums[at] -= measures,
                (false, false) | (true, true) => {}
            }
        })
        .await?;
        Ok(sums)
    }

    /// Returns what was counted in a span by the values of a dimension, the empty one and `dims::OTHER` among them.
    pub async fn breakdown(
        &mut self,
        slots: Slots,
        dimension: Dimension,
    ) -> Result<HashMap<String, Measures>, DbErr> {
        if let Some(itself) = self.itself(dimension) {
            let total = self.totals(slots).await?;
            return Ok(if total.is_zero() { HashMap::new() } else { HashMap::from([(itself, total)]) });
        }
        let values = self.values(slots, dimension).await?;
        let texts = self.texts(values.iter().map(|(value, _)| value).collect()).await?;
        values
            .into_iter()
            .map(|(value, measures)| {
                let text = texts.get(&value).map(|text| text.to_string());
                Ok((text.ok_or_else(|| DbErr::Custom("a value has no text".to_owned()))?, measures))
            })
            .collect()
    }

    /// The same by the codes of values. Of a link by its links it is nothing but the total.
    pub async fn values(&mut self, slots: Slots, dimension: Dimension) -> Result<Sums, DbErr> {
        self.fetch(&[Ask::Totals(slots), Ask::Values(slots, dimension)]).await?;
        let total = self.totals(slots).await?;
        let mut sums = Sums::default();
        let number = dimension.number();
        for Period { bundle, level, period, first } in self.periods(&[slots], dimension) {
            let Some(bytes) = self.get(bundle, level, period) else { continue };
            let is_whole = slots.has(first) && slots.has(first + length(level) - 1);
            let added = if is_whole {
                sums.add(bytes, number, |_| true)
            } else {
                sums.add(bytes, number, |slot| slots.has(first + i32::from(slot)))
            };
            added.ok_or_else(malformed)?;
        }
        sums.complete(total);
        Ok(sums)
    }

    /// Returns the texts of codes.
    pub async fn texts(&self, codes: HashSet<u32>) -> Result<HashMap<u32, Arc<str>>, DbErr> {
        self.kept.texts(self.db, codes).await
    }

    /// Estimates how many distinct visitors there were on days of UTC, each a number since 1970. Apps have none.
    pub async fn visitors(&mut self, days: Range<i32>) -> Result<u64, DbErr> {
        Ok(self.visitors_each(&[days]).await?.into_iter().sum())
    }

    /// The same for each of several spans of days.
    pub async fn visitors_each(&mut self, spans: &[Range<i32>]) -> Result<Vec<u64>, DbErr> {
        self.fetch(&spans.iter().cloned().map(Ask::Visitors).collect::<Vec<_>>()).await?;
        let mut sketches = vec![Sketch::default(); spans.len()];
        let days: BTreeSet<i32> = spans.iter().cloned().flatten().collect();
        for day in days {
            let Some(bytes) = self.get(self.bundle(Bundle::Visitors), Level::Day, day) else { continue };
            let Some(sketch) = content::visitors_of(bytes).ok_or_else(malformed)? else { continue };
            for (own, _) in sketches.iter_mut().zip(spans).filter(|(_, span)| span.contains(&day)) {
                own.merge(&sketch);
            }
        }
        Ok(sketches.iter().map(Sketch::estimate).collect())
    }

    /// The same for each of some links, whose codes are asked for.
    pub async fn visitors_of_links(&self, links: &[u32], days: Range<i32>) -> Result<Vec<u64>, DbErr> {
        rows::visitors_of_links(self.db, self.kept, self.scope.workspace, links, days).await
    }

    fn is_link(&self) -> bool {
        self.scope.part.scope() == Scoped::Link
    }

    /// Returns the value that everything of a link has in the dimension of links.
    fn itself(&self, dimension: Dimension) -> Option<String> {
        match (&self.scope.part, dimension) {
            (Part::Link(link), Dimension::Link) => Some(link.to_string()),
            _ => None,
        }
    }

    fn bundle(&self, of_others: Bundle) -> Bundle {
        if self.is_link() { Bundle::Whole } else { of_others }
    }

    fn get(&self, bundle: Bundle, level: Level, period: i32) -> Option<&[u8]> {
        self.rows.as_ref()?.get(bundle, level, period)
    }

    /// Calls `call` with what was counted in each quarter-hour of the days that a span touches.
    async fn each_total(&mut self, slots: Slots, mut call: impl FnMut(i32, Measures)) -> Result<(), DbErr> {
        self.fetch(&[Ask::Totals(slots)]).await?;
        let bundle = self.bundle(Bundle::Totals);
        for day in slots.days() {
            let Some(bytes) = self.get(bundle, Level::Day, day) else { continue };
            content::each_of(bytes, content::ALL, |_, slot, measures| {
                call(day * SLOTS_A_DAY + i32::from(slot), measures)
            })
            .ok_or_else(malformed)?;
        }
        Ok(())
    }

    /// Calls `call` with what was counted of each value: days that are whole in one of the spans as their first quarter-hour, and what is around
    /// them as it is.
    async fn each_value(
        &mut self,
        spans: &[Slots],
        dimension: Dimension,
        mut call: impl FnMut(i32, u32, Measures),
    ) -> Result<(), DbErr> {
        self.fetch(&spans.iter().map(|slots| Ask::Values(*slots, dimension)).collect::<Vec<_>>()).await?;
        for Period { bundle, level, period, first } in self.periods(spans, dimension) {
            let Some(bytes) = self.get(bundle, level, period) else { continue };
            content::each_of(bytes, dimension.number(), |value, slot, measures| {
                call(first + i32::from(slot), value, measures);
            })
            .ok_or_else(malformed)?;
        }
        Ok(())
    }

    /// Returns the rows that have the values of a dimension in some spans, each once. Of an hour that a whole day shares with what is around it
    /// nothing is counted twice: days end with hours.
    fn periods(&self, spans: &[Slots], dimension: Dimension) -> impl Iterator<Item = Period> + use<C> {
        let (bundle, days, hours): (Bundle, BTreeSet<i32>, BTreeSet<i32>) = if self.is_link() {
            (Bundle::Whole, spans.iter().flat_map(|span| span.days()).collect(), BTreeSet::new())
        } else {
            let days = spans.iter().flat_map(|span| span.whole_days()).collect();
            (Bundle::of(dimension), days, spans.iter().flat_map(|span| span.edges()).collect())
        };
        let days = days.into_iter().map(|day| (Level::Day, day, day * SLOTS_A_DAY));
        let hours = hours.into_iter().map(|hour| (Level::Hour, hour, hour * SLOTS_AN_HOUR));
        days.chain(hours).map(move |(level, period, first)| Period { bundle, level, period, first })
    }
}

/// A row, and the quarter-hour since 1970 that it begins with.
struct Period {
    bundle: Bundle,
    level: Level,
    period: i32,
    first: i32,
}

/// Returns how many quarter-hours a period has.
fn length(level: Level) -> i32 {
    match level {
        Level::Hour => SLOTS_AN_HOUR,
        Level::Day => SLOTS_A_DAY,
    }
}

/// Returns the code of a part; `None`: nothing was ever counted of it.
async fn code_of(db: &impl ConnectionTrait, kept: &Kept, scope: &Scope) -> Result<Option<u32>, DbErr> {
    if scope.part == Part::All {
        return Ok(Some(NOTHING));
    }
    Ok(kept.code(db, scope.part.text()).await?.filter(|code| *code != NOTHING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_whole_days_and_the_hours_around_them() {
        let day = SLOTS_A_DAY;
        for (first, end, whole, edges) in [
            (0, day, 0..1, vec![]),
            (-day, 2 * day, -1..2, vec![]),
            (-4, day, 0..1, vec![-1]),
            (0, day + 5, 0..1, vec![24, 25]),
            (day - 3, 2 * day + 1, 1..2, vec![23, 48]),
            (10, 20, 1..1, vec![2, 3, 4]),
            (day - 1, day + 1, 1..1, vec![23, 24]),
            (-1, 1, 0..0, vec![-1, 0]),
        ] {
            let slots = Slots { first, end };
            assert_eq!(slots.whole_days(), whole, "{first}..{end}");
            assert_eq!(slots.edges().collect::<Vec<_>>(), edges, "{first}..{end}");
        }
        assert_eq!(Slots { first: -1, end: day + 1 }.days(), -1..2);
        assert_eq!(Slots { first: 0, end: day }.days(), 0..1);
    }
}
