//! Queries of the tables `link_imports`, `link_import_errors` and `link_import_drafts`.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, sea_query::OnConflict,
};

use crate::{
    clock::Moment,
    entity::{
        link_import::{ActiveModel, Column, Entity, Model},
        link_import_draft as draft, link_import_error as error,
    },
    ids::{ImportId, WorkspaceId},
};

/// Rows of one statement.
const ROWS: usize = 500;

/// Stores a new import.
pub async fn insert(tx: &impl ConnectionTrait, import: Model) -> Result<(), DbErr> {
    Entity::insert(ActiveModel::from(import).reset_all()).exec_without_returning(tx).await.map(drop)
}

/// Returns an import.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ImportId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns an import and keeps everybody else from getting on with it until the transaction ends.
pub async fn lock(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ImportId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::WorkspaceId.eq(workspace)).lock_exclusive().one(tx).await
}

/// Stores how far an import is.
pub async fn save(tx: &impl ConnectionTrait, import: Model) -> Result<(), DbErr> {
    Entity::update(ActiveModel::from(import).reset_all()).exec(tx).await.map(drop)
}

/// Stores rows that were not imported.
pub async fn insert_errors(tx: &impl ConnectionTrait, errors: Vec<error::Model>) -> Result<(), DbErr> {
    for rows in errors.chunks(ROWS) {
        let rows = rows.iter().cloned().map(|row| error::ActiveModel::from(row).reset_all());
        error::Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Returns up to `most` rows that were not imported, those behind the row `after`.
pub async fn list_errors(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ImportId,
    after: i64,
    most: u64,
) -> Result<Vec<error::Model>, DbErr> {
    error::Entity::find()
        .filter(error::Column::WorkspaceId.eq(workspace))
        .filter(error::Column::ImportId.eq(id))
        .filter(error::Column::RowNumber.gt(after))
        .order_by_asc(error::Column::RowNumber)
        .limit(most)
        .all(db)
        .await
}

/// Returns what a dry run would have made under these codes.
pub async fn find_drafts(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ImportId,
    codes: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, Vec<u8>>, DbErr> {
    let found = draft::Entity::find()
        .filter(draft::Column::WorkspaceId.eq(workspace))
        .filter(draft::Column::ImportId.eq(id))
        .filter(draft::Column::ShortCode.is_in(codes))
        .all(db)
        .await?;
    Ok(found.into_iter().map(|draft| (draft.short_code, draft.link)).collect())
}

/// Stores what a dry run would have made.
pub async fn save_drafts(tx: &impl ConnectionTrait, drafts: Vec<draft::Model>) -> Result<(), DbErr> {
    let again =
        OnConflict::columns([draft::Column::WorkspaceId, draft::Column::ImportId, draft::Column::ShortCode])
            .update_column(draft::Column::Link)
            .to_owned();
    for rows in drafts.chunks(ROWS) {
        let rows = rows.iter().cloned().map(|row| draft::ActiveModel::from(row).reset_all());
        draft::Entity::insert_many(rows).on_conflict(again.clone()).exec_without_returning(tx).await?;
    }
    Ok(())
}

/// Forgets what a dry run would have made.
pub async fn remove_drafts(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: ImportId,
) -> Result<(), DbErr> {
    draft::Entity::delete_many()
        .filter(draft::Column::WorkspaceId.eq(workspace))
        .filter(draft::Column::ImportId.eq(id))
        .exec(tx)
        .await
        .map(drop)
}

/// Returns the imports that nobody has got on with since `then`, of whatever workspace.
pub async fn list_old(db: &impl ConnectionTrait, then: Moment, most: u64) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::UpdateTime.lt(then)).limit(most).all(db).await
}

/// Forgets an import.
pub async fn remove(tx: &impl ConnectionTrait, workspace: WorkspaceId, id: ImportId) -> Result<(), DbErr> {
    remove_drafts(tx, workspace, id).await?;
    error::Entity::delete_many()
        .filter(error::Column::WorkspaceId.eq(workspace))
        .filter(error::Column::ImportId.eq(id))
        .exec(tx)
        .await?;
    Entity::delete_by_id(id).filter(Column::WorkspaceId.eq(workspace)).exec(tx).await.map(drop)
}
