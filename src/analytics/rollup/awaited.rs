//! What was counted before the click was stored that it is credited to: under the campaign and the home of the link as it is now, until the click
//! says what they were. It is noted what it was counted as (`awaited_clicks`), so that exactly that is taken back when the click comes.

use std::collections::{HashMap, HashSet};

use chrono::Duration;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QuerySelect as _, sea_query::OnConflict,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    credits::{self, Counted, Installed, Origin, Sign},
    fold::Fold,
};
use crate::{
    clock::Moment,
    entity::awaited_click::{ActiveModel, Column, Entity},
    ids::{ClickId, WorkspaceId, floor, time_of},
};

const ROWS_A_STATEMENT: usize = 1000;
/// For how long a click is waited for: no install is credited to an older one.
const FOR: Duration = Duration::days(91);
/// How far the clocks of nodes are apart at the most.
const CLOCKS_APART: Duration = Duration::hours(1);

/// What was counted, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item {
    /// An install, and the link it counts under.
    Install(Installed, Origin),
    /// An event.
    Event(Counted),
}

impl Item {
    /// Returns its id.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Install(install, _) => install.id.0,
            Self::Event(counted) => counted.event.id.0,
        }
    }

    /// Returns the link it counts under.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Install(_, origin) => Some(origin),
            Self::Event(counted) => counted.origin.as_ref(),
        }
    }

    /// Returns the same under another campaign, or at another home.
    pub fn under(self, origin: Origin) -> Self {
        match self {
            Self::Install(install, _) => Self::Install(install, origin),
            Self::Event(counted) => Self::Event(Counted { origin: Some(origin), ..counted }),
        }
    }

    /// Counts it, or takes it back.
    pub fn fold(&self, fold: &mut Fold, workspace: WorkspaceId, sign: Sign) {
        match self {
            Self::Install(install, origin) => {
                credits::fold_install(fold, workspace, install, Some(origin), sign);
            }
            Self::Event(counted) => counted.fold(fold, workspace, counted.event.measures(), sign),
        }
    }
}

/// Says whether a click may still come at `now`, as far as its time tells: an app may name any.
pub fn may_come(click: ClickId, now: Moment) -> bool {
    (now - FOR..=now + CLOCKS_APART).contains(&time_of(click.0))
}

/// An item and the click that it waits for.
pub type Waiting = (ClickId, Item);

/// What waits, as a round finds and leaves it.
#[derive(Debug, Default)]
pub struct Ledger {
    /// What is stored, as far as it was looked up.
    stored: HashMap<(WorkspaceId, Uuid), Waiting>,
    /// What becomes of it; `None`: it waits no more.
    changed: HashMap<(WorkspaceId, Uuid), Option<Waiting>>,
}

impl Ledger {
    /// Looks up what is stored of items, before they are taken.
    pub async fn look_up(
        &mut self,
        db: &impl ConnectionTrait,
        workspace: WorkspaceId,
        items: impl IntoIterator<Item = Uuid>,
    ) -> Result<(), DbErr> {
        let items = items.into_iter().filter(|item| !self.changed.contains_key(&(workspace, *item)));
        let items: Vec<Uuid> = items.collect();
        for (item, waiting) in of_items(db, workspace, &items).await? {
            self.stored.insert((workspace, item), waiting);
        }
        Ok(())
    }

    /// Returns what an item that was looked up waits for. It waits no more, unless it is noted again.
    pub fn take(&mut self, workspace: WorkspaceId, item: Uuid) -> Option<Waiting> {
        let key = (workspace, item);
        let waiting = match self.changed.get_mut(&key) {
            Some(changed) => changed.take(),
            None => self.stored.remove(&key),
        }?;
        self.changed.insert(key, None);
        Some(waiting)
    }

    /// Notes that an item waits for a click.
    pub fn note(&mut self, workspace: WorkspaceId, click: ClickId, item: Item) {
        self.changed.insert((workspace, item.id()), Some((click, item)));
    }

    /// Takes all that waits for any of these clicks, which have come.
    pub async fn take_all_of(
        &mut self,
        db: &impl ConnectionTrait,
        clicks: &[(WorkspaceId, ClickId)],
    ) -> Result<Vec<(WorkspaceId, Waiting)>, DbErr> {
        let ids = || clicks.iter().map(|(_, click)| *click);
        let Some((first, last)) = ids().min().zip(ids().max()) else { return Ok(Vec::new()) };
        // Hardly anything waits, so there is nothing to do for nearly all clicks.
        let stored: Vec<(WorkspaceId, Uuid, ClickId)> = Entity::find()
            .select_only()
            .columns([Column::WorkspaceId, Column::ItemId, Column::ClickId])
            .filter(Column::ClickId.gte(first))
            .filter(Column::ClickId.lte(last))
            .into_tuple()
            .all(db)
            .await?;
        let here = self.changed.iter().filter_map(|(key, waiting)| Some((*key, waiting.as_ref()?.0)));
        let mut waiting: Vec<((WorkspaceId, Uuid), ClickId)> = stored
            .into_iter()
            .map(|(workspace, item, click)| ((workspace, item), click))
            .chain(here)
            .collect();
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let came: HashSet<(WorkspaceId, ClickId)> = clicks.iter().copied().collect();
        waiting.retain(|((workspace, _), click)| came.contains(&(*workspace, *click)));
        let mut by_workspace: HashMap<WorkspaceId, Vec<Uuid>> = HashMap::new();
        for ((workspace, item), _) in waiting {
            by_workspace.entry(workspace).or_default().push(item);
        }
        let mut taken = Vec::new();
        for (workspace, items) in by_workspace {
            self.look_up(db, workspace, items.iter().copied()).await?;
            let of_those = items.into_iter().filter_map(|item| self.take(workspace, item));
            taken.extend(of_those.map(|waiting| (workspace, waiting)));
        }
        Ok(taken)
    }

    /// Writes what changed.
    pub async fn write(&self, tx: &impl ConnectionTrait) -> Result<(), DbErr> {
        let mut gone: HashMap<WorkspaceId, Vec<Uuid>> = HashMap::new();
        let mut waiting = Vec::new();
        for ((workspace, item), changed) in &self.changed {
            match changed {
                Some(changed) => waiting.push((*workspace, changed)),
                None => gone.entry(*workspace).or_default().push(*item),
            }
        }
        for (workspace, items) in gone {
            forget(tx, workspace, &items).await?;
        }
        remember(tx, &waiting).await
    }
}

/// Returns what items wait for.
pub async fn of_items(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    items: &[Uuid],
) -> Result<HashMap<Uuid, Waiting>, DbErr> {
    let mut found = HashMap::new();
    for some in items.chunks(ROWS_A_STATEMENT) {
        let rows = Entity::find()
            .filter(Column::WorkspaceId.eq(workspace))
            .filter(Column::ItemId.is_in(some.iter().copied()))
            .all(db)
            .await?;
        for row in rows {
            let item = serde_json::from_slice(&row.content).map_err(|error| {
                DbErr::Custom(format!("what {} was counted as is remembered badly: {error}", row.item_id))
            })?;
            found.insert(row.item_id, (row.click_id, item));
        }
    }
    Ok(found)
}

/// Remembers what items wait for.
pub async fn remember(tx: &impl ConnectionTrait, waiting: &[(WorkspaceId, &Waiting)]) -> Result<(), DbErr> {
    for some in waiting.chunks(ROWS_A_STATEMENT) {
        let rows = some.iter().map(|(workspace, (click, item))| ActiveModel {
            workspace_id: Set(*workspace),
            item_id: Set(item.id()),
            click_id: Set(*click),
            content: Set(serde_json::to_vec(item).unwrap_or_default()),
        });
        let again = OnConflict::columns([Column::WorkspaceId, Column::ItemId])
            .update_columns([Column::ClickId, Column::Content])
            .to_owned();
        Entity::insert_many(rows).on_conflict(again).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Forgets what items wait for.
pub async fn forget(tx: &impl ConnectionTrait, workspace: WorkspaceId, items: &[Uuid]) -> Result<(), DbErr> {
    for some in items.chunks(ROWS_A_STATEMENT) {
        Entity::delete_many()
            .filter(Column::WorkspaceId.eq(workspace))
            .filter(Column::ItemId.is_in(some.iter().copied()))
            .exec(tx)
            .await?;
    }
    Ok(())
}

/// Forgets what waits for clicks that will not come any more.
pub async fn forget_old(db: &impl ConnectionTrait, now: Moment) -> Result<u64, DbErr> {
    let old = Entity::delete_many().filter(Column::ClickId.lt(ClickId(floor(now - FOR))));
    Ok(old.exec(db).await?.rows_affected)
}
