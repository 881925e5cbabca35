//! What reports are made from, made of what was taken over: day by day, each in one step that may be repeated (`rollup::rebuild`), so that every click
//! counts once however the takeover went.

use anyhow::Context as _;
use sea_orm::FromQueryResult;
use serde::Serialize;

use super::{Run, Told, part::Cx, store};
use crate::analytics::rollup::{self, Outcome, Wanted};

/// The number of the part.
const NUMBER: i16 = 8;
const DAY_MICROS: i64 = 86_400_000_000;

/// What the days came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Settled {
    /// How many there are.
    pub days: u64,
    /// How many were left alone, because their clicks are gone here.
    pub left_alone: u64,
    /// In how many places they are not what was recorded.
    pub differences: u64,
}

#[derive(Debug, FromQueryResult)]
struct Span {
    first: Option<i64>,
    last: Option<i64>,
}

/// Makes the days, from where it is, and compares all of them with what was recorded.
pub async fn settle(cx: &Cx<'_>) -> anyhow::Result<Settled> {
    let mut settled = Settled::default();
    let Some((first, last)) = days(cx).await? else { return Ok(settled) };
    let workspace = cx.tenant.id;
    let all = u64::from(last.abs_diff(first)) + 1;
    let tell = |what: &str, day: i32| {
        let done = u64::from(day.abs_diff(first)) + 1;
        (cx.tell)(&Told { what: what.to_owned(), done, all });
    };
    if cx.run == Run::Carry {
        let db = &cx.env.db.api;
        let mut part = store::find(db, workspace, &cx.fingerprint, NUMBER, cx.env.now()).await?;
        let from = part.place.parse::<i32>().map_or(first, |day| day + 1).max(first);
        for day in from..=last {
            let made = rollup::rebuild(&cx.env, Wanted { workspace, day }).await;
            let made = made.with_context(|| format!("the reports of day {day} cannot be made"))?;
            part.place = day.to_string();
            part.seen += 1;
            match made {
                Outcome::Rebuilt(_) => part.stored += 1,
                Outcome::LeftAlone => part.present += 1,
            }
            part.done = day == last;
            part.update_time = cx.env.now();
            store::save(db, part.clone()).await?;
            tell("counting days", day);
        }
    }
    for day in first..=last {
        settled.days += 1;
        match rollup::verify(&cx.env, Wanted { workspace, day }).await? {
            Some(differences) => settled.differences += differences.len() as u64,
            None => settled.left_alone += 1,
        }
        tell("comparing days", day);
    }
    Ok(settled)
}

/// Returns the days of which the source has anything that can be taken over, first and last.
async fn days(cx: &Cx<'_>) -> anyhow::Result<Option<(i32, i32)>> {
    let source = &cx.source;
    let tables = [
        ("click_events", "clicked_at"),
        ("install_events", "installed_at"),
        ("in_app_events", "event_timestamp"),
    ];
    let now = cx.env.now().timestamp_micros();
    let mut days: Option<(i32, i32)> = None;
    for (table, column) in tables.into_iter().filter(|(table, _)| source.has(table)) {
        let (first, last) =
            (source.micros(&format!("min({column})")), source.micros(&format!("max({column})")));
        let sql = format!(
            "SELECT {first} AS first, {last} AS last FROM {table} WHERE isfinite({column})
             AND {column} >= '1970-01-02' AND {column} < now() + interval '2 days'"
        );
        for Span { first, last } in source.rows::<Span>(sql, Vec::new()).await? {
            let Some((first, last)) = first.zip(last) else { continue };
            // A device's clock may be a day ahead, and what is counted under a day stands up to a day behind it.
            let day = |micros: i64| micros.clamp(0, now).div_euclid(DAY_MICROS) as i32;
            let (first, last) = (day(first - DAY_MICROS), day(last));
            days = Some(days.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
        }
    }
    Ok(days)
}
