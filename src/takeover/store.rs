//! Queries of the table `takeovers`.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, sea_query::OnConflict,
};

use crate::{
    clock::Moment,
    entity::takeover::{Column, Entity, Model},
    ids::WorkspaceId,
};

/// The part that is done when all are.
pub const END: i16 = 0;

/// Returns how far all parts of a source are.
pub async fn all(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    source: &[u8],
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Source.eq(source.to_vec()))
        .all(db)
        .await
}

/// Returns how far a part is: at its beginning, if nothing is stored of it.
pub async fn find(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    source: &[u8],
    part: i16,
    now: Moment,
) -> Result<Model, DbErr> {
    let found = Entity::find_by_id((workspace, source.to_vec(), part)).one(db).await?;
    Ok(found.unwrap_or_else(|| Model {
        workspace_id: workspace,
        source: source.to_vec(),
        part,
        done: false,
        place: String::new(),
        seen: 0,
        stored: 0,
        present: 0,
        checksum: Vec::new(),
        remarks: String::new(),
        update_time: now,
    }))
}

/// Stores how far a part is.
pub async fn save(tx: &impl ConnectionTrait, part: Model) -> Result<(), DbErr> {
    let again = OnConflict::columns([Column::WorkspaceId, Column::Source, Column::Part])
        .update_columns([
            Column::Done,
            Column::Place,
            Column::Seen,
            Column::Stored,
            Column::Present,
            Column::Checksum,
            Column::Remarks,
            Column::UpdateTime,
        ])
        .to_owned();
    let row = part.into_active_model().reset_all();
    Entity::insert(row).on_conflict(again).exec_without_returning(tx).await.map(drop)
}

/// Forgets how far a source is.
pub async fn forget(db: &impl ConnectionTrait, workspace: WorkspaceId, source: &[u8]) -> Result<(), DbErr> {
    Entity::delete_many()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Source.eq(source.to_vec()))
        .exec(db)
        .await
        .map(drop)
}
