//! What reports are made from, made of what was taken over: day by day, each in one step that may be repeated (`rollup::rebuild`), so that every click
//! counts once however the takeover went.

use std::collections::BTreeSet;

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
struct Day {
    day: i64,
}

/// Makes the days, from where it is, and compares all of them with what was recorded.
pub async fn settle(cx: &Cx<'_>) -> anyhow::Result<Settled> {
    let days = days(cx).await?;
    let workspace = cx.tenant.id;
    let all = days.len() as u64;
    let tell = |what: &str, at: usize| {
        (cx.tell)(&Told { what: what.to_owned(), done: at as u64 + 1, all });
    };
    if cx.run == Run::Carry {
        let db = &cx.env.db.api;
        let mut part = store::find(db, workspace, &cx.fingerprint, NUMBER, cx.env.now()).await?;
        let counted = part.place.parse::<i32>().ok();
        for (at, day) in days.iter().copied().enumerate() {
            if counted.is_some_and(|counted| day <= counted) {
                continue;
            }
            let made = rollup::rebuild(&cx.env, Wanted { workspace, day }).await;
            let made = made.with_context(|| format!("the reports of day {day} cannot be made"))?;
            part.place = day.to_string();
            part.seen += 1;
            match made {
                Outcome::Rebuilt(_) => part.stored += 1,
                Outcome::LeftAlone => part.present += 1,
            }
            part.done = at + 1 == days.len();
            part.update_time = cx.env.now();
            store::save(db, part.clone()).await?;
            tell("counting days", at);
        }
    }
    let mut settled = Settled::default();
    for (at, day) in days.iter().copied().enumerate() {
        settled.days += 1;
        match rollup::verify(&cx.env, Wanted { workspace, day }).await? {
            Some(differences) => settled.differences += differences.len() as u64,
            None => settled.left_alone += 1,
        }
        tell("comparing days", at);
    }
    Ok(settled)
}

/// Returns the days (of UTC, since 1970) of which the source has anything that can be taken over, oldest first.
async fn days(cx: &Cx<'_>) -> anyhow::Result<BTreeSet<i32>> {
    let source = &cx.source;
    let tables = [
        ("click_events", "clicked_at"),
        ("install_events", "installed_at"),
        ("in_app_events", "event_timestamp"),
    ];
    let today = cx.env.now().timestamp_micros().div_euclid(DAY_MICROS) as i32;
    let mut days = BTreeSet::new();
    for (table, column) in tables.into_iter().filter(|(table, _)| source.has(table)) {
        let micros = source.micros(column);
        let sql = format!(
            "SELECT DISTINCT {micros} / {DAY_MICROS} AS day FROM {table} WHERE isfinite({column})
             AND {column} >= '1969-12-30' AND {column} < now() + interval '3 days'"
        );
        for Day { day } in source.rows::<Day>(sql, Vec::new()).await? {
            // What a device's clock puts ahead counts when it was heard of, up to a day before.
            let day = (day as i32).min(today + 1);
            days.extend((day - 1..=day).filter(|day| *day >= 0));
        }
    }
    Ok(days)
}
