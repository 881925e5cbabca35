//! Reads rollups, and nothing else: what an answer costs depends on how much it shows, not on how much was recorded.
//!
//! Several questions that are to agree are asked in one snapshot. The empty value of a dimension is what its other values lack of the
//! total, so the parts are the total in every answer.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    ops::Range,
};

use sea_orm::{ConnectionTrait, DbErr, Statement, Value};

use super::{
    content::{self, NOTHING, each_of},
    key::{Bundle, Level, SLOTS_A_DAY, SLOTS_AN_HOUR, Scoped},
    names,
    sketch::Sketch,
};
pub use super::{
    key::Part,
    measures::{Currency, Measures},
};
use crate::{
    analytics::dims::Dimension,
    db::{Dialect, dialect},
    ids::WorkspaceId,
};

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

/// Returns what was counted in a span.
pub async fn totals(db: &impl ConnectionTrait, scope: &Scope, slots: Slots) -> Result<Measures, DbErr> {
    let Some(part) = code_of(db, scope).await? else { return Ok(Measures::default()) };
    let mut total = Measures::default();
    each_total(db, (scope, part), slots, |slot, measures| {
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
    db: &impl ConnectionTrait,
    scope: &Scope,
    buckets: &[Slots],
    of: Option<(Dimension, &[String])>,
) -> Result<Vec<Measures>, DbErr> {
    let mut sums = vec![Measures::default(); buckets.len()];
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else { return Ok(sums) };
    let all = Slots { first: first.first, end: last.end };
    let Some(part) = code_of(db, scope).await? else { return Ok(sums) };
    let place = |slot: i32| {
        let at = buckets.partition_point(|bucket| bucket.end <= slot);
        buckets.get(at).is_some_and(|bucket| bucket.has(slot)).then_some(at)
    };
    let itself = of.and_then(|(dimension, _)| itself(scope, dimension));
    let is_all_asked = match (of, &itself) {
        (None, _) => true,
        // A link is all of itself.
        (Some((_, values)), Some(itself)) => values.contains(itself),
        // All, less what has another value.
        (Some((_, values)), None) => values.iter().any(String::is_empty),
    };
    if is_all_asked {
        each_total(db, (scope, part), all, |slot, measures| {
            if let Some(at) = place(slot) {
                sums[at] += measures;
            }
        })
        .await?;
    }
    let (Some((dimension, values)), None) = (of, itself) else { return Ok(sums) };
    let texts: Vec<&str> = values.iter().map(String::as_str).collect();
    let asked: HashSet<u32> = names::codes_of(db, &texts).await?.into_values().collect();
    each_value(db, (scope, part), buckets, dimension, |slot, value, measures| {
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
    db: &impl ConnectionTrait,
    scope: &Scope,
    slots: Slots,
    dimension: Dimension,
) -> Result<HashMap<String, Measures>, DbErr> {
    let Some(part) = code_of(db, scope).await? else { return Ok(HashMap::new()) };
    let mut nothing = Measures::default();
    each_total(db, (scope, part), slots, |slot, measures| {
        if slots.has(slot) {
            nothing += measures;
        }
    })
    .await?;
    if let Some(itself) = itself(scope, dimension) {
        return Ok(if nothing.is_zero() { HashMap::new() } else { HashMap::from([(itself, nothing)]) });
    }
    let mut values: HashMap<u32, Measures> = HashMap::new();
    each_value(db, (scope, part), &[slots], dimension, |slot, value, measures| {
        if slots.has(slot) {
            nothing -= &measures;
            *values.entry(value).or_default() += measures;
        }
    })
    .await?;
    values.insert(NOTHING, nothing);
    values.retain(|_, measures| !measures.is_zero());
    let texts = names::texts_of(db, &values.keys().copied().collect()).await?;
    values
        .into_iter()
        .map(|(value, measures)| {
            let text = texts.get(&value).cloned();
            Ok((text.ok_or_else(|| DbErr::Custom("a value has no text".to_owned()))?, measures))
        })
        .collect()
}

/// Estimates how many distinct visitors there were on days of UTC, each a number since 1970. Apps have none.
pub async fn visitors(db: &impl ConnectionTrait, scope: &Scope, days: Range<i32>) -> Result<u64, DbErr> {
    Ok(visitors_each(db, scope, &[days]).await?.into_iter().sum())
}

/// The same for each of several spans of days.
pub async fn visitors_each(
    db: &impl ConnectionTrait,
    scope: &Scope,
    spans: &[Range<i32>],
) -> Result<Vec<u64>, DbErr> {
    let mut sketches = vec![Sketch::default(); spans.len()];
    let first = spans.iter().map(|span| span.start).min();
    let end = spans.iter().map(|span| span.end).max();
    if let (Some(first), Some(end), Some(part)) = (first, end, code_of(db, scope).await?) {
        let bundle = bundle(scope, Bundle::Visitors);
        for (day, bytes) in rows(db, (scope, part), bundle, Periods::Days(first..end)).await? {
            let Some(sketch) = content::visitors_of(&bytes).ok_or_else(malformed)? else { continue };
            for (own, _) in sketches.iter_mut().zip(spans).filter(|(_, span)| span.contains(&day)) {
                own.merge(&sketch);
            }
        }
    }
    Ok(sketches.iter().map(Sketch::estimate).collect())
}

/// Returns the value that everything of a link has in the dimension of links.
fn itself(scope: &Scope, dimension: Dimension) -> Option<String> {
    match (&scope.part, dimension) {
        (Part::Link(link), Dimension::Link) => Some(link.to_string()),
        _ => None,
    }
}

fn bundle(scope: &Scope, of_others: Bundle) -> Bundle {
    if scope.part.scope() == Scoped::Link { Bundle::Whole } else { of_others }
}

/// Returns the code of a part; `None`: nothing was ever counted of it.
async fn code_of(db: &impl ConnectionTrait, scope: &Scope) -> Result<Option<u32>, DbErr> {
    let text = scope.part.text();
    if scope.part == Part::All {
        return Ok(Some(NOTHING));
    }
    Ok(names::codes_of(db, &[&text]).await?.remove(&text).filter(|code| *code != NOTHING))
}

/// Calls `of` with what was counted in each quarter-hour of the days that a span touches.
async fn each_total(
    db: &impl ConnectionTrait,
    of: (&Scope, u32),
    slots: Slots,
    mut call: impl FnMut(i32, Measures),
) -> Result<(), DbErr> {
    let bundle = bundle(of.0, Bundle::Totals);
    for (day, bytes) in rows(db, of, bundle, Periods::Days(slots.days())).await? {
        each_of(&bytes, content::ALL, |_, slot, measures| {
            call(day * SLOTS_A_DAY + i32::from(slot), measures)
        })
        .ok_or_else(malformed)?;
    }
    Ok(())
}

/// Calls `of` with what was counted of each value: days that are whole in one of the spans as their first quarter-hour, and what is around
/// them as it is.
async fn each_value(
    db: &impl ConnectionTrait,
    of: (&Scope, u32),
    spans: &[Slots],
    dimension: Dimension,
    mut call: impl FnMut(i32, u32, Measures),
) -> Result<(), DbErr> {
    let number = dimension.number();
    if of.0.part.scope() == Scoped::Link {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Ok(()) };
        let days = Slots { first: first.first, end: last.end }.days();
        for (day, bytes) in rows(db, of, Bundle::Whole, Periods::Days(days)).await? {
            each_of(&bytes, number, |value, slot, measures| {
                call(day * SLOTS_A_DAY + i32::from(slot), value, measures);
            })
            .ok_or_else(malformed)?;
        }
        return Ok(());
    }
    let bundle = Bundle::of(dimension);
    let days: BTreeSet<i32> = spans.iter().flat_map(|span| span.whole_days()).collect();
    let hours: BTreeSet<i32> = spans.iter().flat_map(|span| span.edges()).collect();
    for (day, bytes) in rows(db, of, bundle, Periods::These(Level::Day, days)).await? {
        each_of(&bytes, number, |value, _, measures| call(day * SLOTS_A_DAY, value, measures))
            .ok_or_else(malformed)?;
    }
    for (hour, bytes) in rows(db, of, bundle, Periods::These(Level::Hour, hours)).await? {
        let first = hour * SLOTS_AN_HOUR;
        // Of an hour that a whole day shares with what is around it nothing is counted twice: days end with hours.
        each_of(&bytes, number, |value, slot, measures| call(first + i32::from(slot), value, measures))
            .ok_or_else(malformed)?;
    }
    Ok(())
}

enum Periods {
    Days(Range<i32>),
    These(Level, BTreeSet<i32>),
}

/// Returns the contents of rows with their periods.
async fn rows(
    db: &impl ConnectionTrait,
    (scope, part): (&Scope, u32),
    bundle: Bundle,
    periods: Periods,
) -> Result<Vec<(i32, Vec<u8>)>, DbErr> {
    let mut values: Vec<Value> = vec![
        scope.workspace.into(),
        (scope.part.scope() as i16).into(),
        part.cast_signed().into(),
        (bundle as i16).into(),
    ];
    let (level, which) = match periods {
        Periods::Days(days) if days.is_empty() => return Ok(Vec::new()),
        Periods::Days(days) => {
            values.extend([Value::from(days.start), Value::from(days.end)]);
            (Level::Day, "period >= $6 AND period < $7")
        }
        Periods::These(level, periods) => {
            let (Some(first), Some(last)) = (periods.first(), periods.last()) else { return Ok(Vec::new()) };
            if (last - first) as usize + 1 == periods.len() {
                values.extend([Value::from(*first), Value::from(last + 1)]);
                (level, "period >= $6 AND period < $7")
            } else {
                values.push(serde_json::to_string(&periods).unwrap_or_default().into());
                let which = match dialect(db.get_database_backend()) {
                    Dialect::Postgres => {
                        "period = ANY (ARRAY(SELECT value::integer FROM json_array_elements_text($6::json) AS value))"
                    }
                    Dialect::Sqlite => "period IN (SELECT value FROM json_each($6))",
                };
                (level, which)
            }
        }
    };
    values.insert(4, (level as i16).into());
    let sql = format!(
        "SELECT period, content FROM rollups
         WHERE workspace_id = $1 AND scope = $2 AND part = $3 AND bundle = $4 AND level = $5 AND {which}"
    );
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let rows = db.query_all_raw(statement).await?;
    rows.into_iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

fn malformed() -> DbErr {
    DbErr::Custom("a row of rollups is of no release that is known here".to_owned())
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
