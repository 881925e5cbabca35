//! Queries of `decisions`, `decision_logs`, `decision_nodes` and `decision_checkpoints`.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, LockBehavior, LockType, OnConflict},
};

use super::tree::{Hash, Known, Row, leaf};
use crate::{
    clock::Moment,
    db::{Dialect, dialect},
    entity::{
        decision::{self, Column, Entity, Model},
        decision_checkpoint::{self, Column as Checkpoint},
        decision_log::{self, Column as Log},
        decision_node::{self, Column as Node},
        install,
    },
    ids::{InstallId, WorkspaceId},
    page::{Cursor, Page, PageRequest},
};

/// Appends an entry, which has no place yet.
pub async fn append(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    install: InstallId,
    entry: String,
) -> Result<(), DbErr> {
    let row = decision::ActiveModel {
        number: NotSet,
        workspace_id: Set(workspace),
        install_id: Set(install),
        entry: Set(entry),
        leaf: Set(None),
        hash: Set(None),
    };
    Entity::insert(row).exec_without_returning(tx).await.map(drop)
}

/// Returns some workspaces that have entries without a place, or a log that is longer than what is signed of it since `before`.
pub async fn waiting(
    db: &impl ConnectionTrait,
    before: Moment,
    most: u64,
) -> Result<Vec<WorkspaceId>, DbErr> {
    let mut found: Vec<WorkspaceId> = Entity::find()
        .select_only()
        .column(Column::WorkspaceId)
        .distinct()
        // As it stands in the index.
        .filter(Expr::cust("leaf IS NULL"))
        .limit(most)
        .into_tuple()
        .all(db)
        .await?;
    let unsigned: Vec<WorkspaceId> = decision_log::Entity::find()
        .select_only()
        .column(Log::WorkspaceId)
        .filter(Expr::cust("signed_size < size"))
        .filter(Log::SignedTime.lte(before))
        .limit(most)
        .into_tuple()
        .all(db)
        .await?;
    for workspace in unsigned {
        if !found.contains(&workspace) {
            found.push(workspace);
        }
    }
    Ok(found)
}

/// Takes the log of a workspace until the transaction ends, and makes one if there is none. `None`: another node has it.
pub async fn take(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    start: &Hash,
) -> Result<Option<decision_log::Model>, DbErr> {
    let new = decision_log::Model {
        workspace_id: workspace,
        size: 0,
        head: start.to_vec(),
        signed_size: 0,
        signed_time: None,
    };
    decision_log::Entity::insert(new.into_active_model())
        .on_conflict(OnConflict::column(Log::WorkspaceId).do_nothing().to_owned())
        .exec_without_returning(tx)
        .await?;
    let mut query = decision_log::Entity::find_by_id(workspace);
    if dialect(tx.get_database_backend()) == Dialect::Postgres {
        query = query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    query.one(tx).await
}

/// Returns the log of a workspace, if it has any.
pub async fn log(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
) -> Result<Option<decision_log::Model>, DbErr> {
    decision_log::Entity::find_by_id(workspace).one(db).await
}

/// Returns every workspace that has a log. For the operator.
pub async fn logs(db: &impl ConnectionTrait) -> Result<Vec<WorkspaceId>, DbErr> {
    let ids = decision_log::Entity::find().select_only().column(Log::WorkspaceId);
    ids.order_by_asc(Log::WorkspaceId).into_tuple().all(db).await
}

/// Writes how far a log has come.
pub async fn save(tx: &impl ConnectionTrait, log: decision_log::Model) -> Result<(), DbErr> {
    decision_log::Entity::update_many()
        .filter(Log::WorkspaceId.eq(log.workspace_id))
        .set(log.into_active_model().reset_all())
        .exec(tx)
        .await
        .map(drop)
}

/// Returns entries of a workspace that have no place yet, in their order.
pub async fn unsealed(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    most: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Expr::cust("leaf IS NULL"))
        .order_by_asc(Column::Number)
        .limit(most)
        .all(db)
        .await
}

/// Gives an entry its place, unless it has one; `false` then.
pub async fn place(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    number: i64,
    (leaf, hash): (i64, &Hash),
) -> Result<bool, DbErr> {
    let placed = Entity::update_many()
        .col_expr(Column::Leaf, Expr::value(leaf))
        .col_expr(Column::Hash, Expr::value(hash.to_vec()))
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Number.eq(number))
        .filter(Column::Leaf.is_null())
        .exec(tx)
        .await?;
    Ok(placed.rows_affected == 1)
}

/// Returns entries from a place on, in their order.
pub async fn entries(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    from: i64,
    most: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Leaf.gte(from))
        .order_by_asc(Column::Leaf)
        .limit(most)
        .all(db)
        .await
}

/// Returns the entries of an install before a place, the newest first.
pub async fn of_install(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    install: InstallId,
    before: i64,
    most: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::InstallId.eq(install))
        .filter(Column::Leaf.lt(before))
        .order_by_desc(Column::Number)
        .limit(most)
        .all(db)
        .await
}

/// Returns the newest entry of each of some installs.
pub async fn newest(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    installs: &[InstallId],
) -> Result<HashMap<InstallId, i64>, DbErr> {
    let found: Vec<(InstallId, i64)> = Entity::find()
        .select_only()
        .column(Column::InstallId)
        .column_as(Column::Number.max(), "newest")
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::InstallId.is_in(installs.iter().copied()))
        .group_by(Column::InstallId)
        .into_tuple()
        .all(db)
        .await?;
    Ok(found.into_iter().collect())
}

/// Returns some installs.
pub async fn installs(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[InstallId],
) -> Result<HashMap<InstallId, install::Model>, DbErr> {
    let found = install::Entity::find()
        .filter(install::Column::WorkspaceId.eq(workspace))
        .filter(install::Column::Id.is_in(ids.iter().copied()))
        .all(db)
        .await?;
    Ok(found.into_iter().map(|row| (row.id, row)).collect())
}

/// Counts the installs of a workspace that have no entry.
pub async fn without_entry(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<u64, DbErr> {
    use sea_orm::PaginatorTrait as _;
    install::Entity::find()
        .filter(install::Column::WorkspaceId.eq(workspace))
        .filter(Expr::cust(
            "NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.workspace_id = installs.workspace_id
             AND decisions.install_id = installs.id)",
        ))
        .count(db)
        .await
}

/// Adds a hash of a level above the entries.
pub async fn add_node(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    (level, place, hash): (u32, u64, &Hash),
) -> Result<(), DbErr> {
    let row = decision_node::Model {
        workspace_id: workspace,
        level: i16::try_from(level).unwrap_or(i16::MAX),
        place: place.cast_signed(),
        hash: hash.to_vec(),
    };
    decision_node::Entity::insert(row.into_active_model()).exec_without_returning(tx).await.map(drop)
}

/// Returns how many hashes of levels above the entries there are.
pub async fn count_nodes(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<u64, DbErr> {
    use sea_orm::PaginatorTrait as _;
    decision_node::Entity::find().filter(Node::WorkspaceId.eq(workspace)).count(db).await
}

/// Returns one hash of a level above the entries.
pub async fn node(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    level: u32,
    place: u64,
) -> Result<Option<Vec<u8>>, DbErr> {
    let key = (workspace, i16::try_from(level).unwrap_or(i16::MAX), place.cast_signed());
    Ok(decision_node::Entity::find_by_id(key).one(db).await?.map(|row| row.hash))
}

/// Reads rows of hashes.
pub async fn known(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    rows: &[Row],
    known: &mut Known,
) -> Result<(), DbErr> {
    for Row { level, begin, end } in rows {
        let (from, to) = (begin.cast_signed(), end.cast_signed());
        if *level == 0 {
            for row in entries(db, workspace, from, end - begin).await? {
                let Some(place) = row.leaf.filter(|place| *place < to) else { continue };
                known.add(0, place.cast_unsigned(), leaf(row.entry.as_bytes()));
            }
            continue;
        }
        let found = decision_node::Entity::find()
            .filter(Node::WorkspaceId.eq(workspace))
            .filter(Node::Level.eq(i16::try_from(*level).unwrap_or(i16::MAX)))
            .filter(Node::Place.gte(from))
            .filter(Node::Place.lt(to))
            .all(db)
            .await?;
        for row in found {
            if let Ok(hash) = row.hash.try_into() {
                known.add(*level, row.place.cast_unsigned(), hash);
            }
        }
    }
    Ok(())
}

/// Keeps a checkpoint.
pub async fn add_checkpoint(
    tx: &impl ConnectionTrait,
    checkpoint: decision_checkpoint::Model,
) -> Result<(), DbErr> {
    decision_checkpoint::Entity::insert(checkpoint.into_active_model())
        .exec_without_returning(tx)
        .await
        .map(drop)
}

/// Returns the last checkpoint of a workspace.
pub async fn last_checkpoint(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
) -> Result<Option<decision_checkpoint::Model>, DbErr> {
    decision_checkpoint::Entity::find()
        .filter(Checkpoint::WorkspaceId.eq(workspace))
        .order_by_desc(Checkpoint::Size)
        .one(db)
        .await
}

/// Returns the first checkpoint of a workspace over more entries than `size`.
pub async fn next_checkpoint(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    size: i64,
) -> Result<Option<decision_checkpoint::Model>, DbErr> {
    decision_checkpoint::Entity::find()
        .filter(Checkpoint::WorkspaceId.eq(workspace))
        .filter(Checkpoint::Size.gt(size))
        .order_by_asc(Checkpoint::Size)
        .one(db)
        .await
}

/// Returns one page of the checkpoints of a workspace, the newest first.
pub async fn list_checkpoints(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    page: &PageRequest,
) -> Result<Page<decision_checkpoint::Model>, DbErr> {
    let mut query = decision_checkpoint::Entity::find().filter(Checkpoint::WorkspaceId.eq(workspace));
    if let Some(after) = page.after.as_ref().and_then(|cursor| cursor.key.parse::<i64>().ok()) {
        query = query.filter(Checkpoint::Size.lt(after));
    }
    let rows = query.order_by_desc(Checkpoint::Size).limit(u64::from(page.size) + 1).all(db).await?;
    Ok(Page::of(rows, page.size, |last| Cursor { key: last.size.to_string(), id: String::new() }))
}
