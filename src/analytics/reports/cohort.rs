//! The installs and the events that funnels and retention look at: by index, one by one, and never more than `REPORT_MAX_ROWS` of either.

use std::collections::HashMap;

use futures::TryStreamExt as _;
use sea_orm::{DatabaseTransaction, FromQueryResult as _};

use crate::{
    analytics::{
        rollup::read::{Part, Scope},
        store::{self, EventRow, InstallRow},
    },
    clock::Moment,
    env::Env,
    error::{Error, Reason, Result},
    ids::InstallId,
};

/// Up to so many installs their events are found by install; beyond that by time, since most of them are theirs.
const FEW: usize = 1000;

/// Fails for a part of a workspace that installs are not told apart by.
pub fn require_installs(part: Part) -> Result<Part> {
    if matches!(part, Part::Domain(_)) {
        return Err(Error::invalid_field("scope.domain", "must not be set: installs belong to no domain"));
    }
    Ok(part)
}

/// Returns the installs between two moments that are of no developers' device; one that is not decided yet is of no link so far.
pub async fn installs(
    env: &Env,
    db: &DatabaseTransaction,
    scope: &Scope,
    time: (Moment, Moment),
) -> Result<Vec<InstallRow>> {
    let most = env.config.report_max_rows;
    let mut rows = InstallRow::find_by_statement(store::installs(db, scope, time, most.saturating_add(1)))
        .stream(db)
        .await?;
    let (mut seen, mut installs) = (0, Vec::new());
    while let Some(install) = rows.try_next().await? {
        seen += 1;
        if install.fits {
            installs.push(install);
        }
    }
    if seen > most { Err(too_large("installs", most)) } else { Ok(installs) }
}

/// Calls `heed` with the events between two moments of installs, each with the place of its install; of these names, or if there are none of
/// any.
pub async fn events(
    env: &Env,
    db: &DatabaseTransaction,
    (scope, installs): (&Scope, &[InstallRow]),
    time: (Moment, Moment),
    names: &[String],
    mut heed: impl FnMut(usize, EventRow),
) -> Result<()> {
    if installs.is_empty() || time.0 >= time.1 {
        return Ok(());
    }
    let most = env.config.report_max_rows;
    let places: HashMap<InstallId, usize> =
        installs.iter().enumerate().map(|(place, install)| (install.id, place)).collect();
    let few: Vec<InstallId> =
        if installs.len() <= FEW { installs.iter().map(|install| install.id).collect() } else { Vec::new() };
    let statement = store::events(db, scope.workspace, time, (names, &few), most.saturating_add(1));
    let mut rows = EventRow::find_by_statement(statement).stream(db).await?;
    let mut seen = 0;
    while let Some(event) = rows.try_next().await? {
        seen += 1;
        if let Some(place) = places.get(&event.install_id)
            && (time.0..time.1).contains(&event.event_time)
        {
            heed(*place, event);
        }
    }
    if seen > most { Err(too_large("events", most)) } else { Ok(()) }
}

fn too_large(rows: &'static str, limit: usize) -> Error {
    let message =
        format!("more than {limit} {rows} would have to be looked at: ask for a shorter time or one link");
    Error::new(Reason::ReportTooLarge, message).with("rows", rows).with("limit", limit.to_string())
}
