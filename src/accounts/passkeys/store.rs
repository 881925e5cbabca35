//! Queries of `passkeys`. They start from the person, or from what an authenticator shows.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, sea_query::OnConflict,
};

use super::Passkey;
use crate::{
    clock::Moment,
    entity::passkey::{ActiveModel, Column, Entity},
    ids::{PasskeyId, UserId},
};

/// Lists a person's passkeys, the newest first.
pub async fn list(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Passkey>, DbErr> {
    Entity::find().filter(Column::UserId.eq(user)).order_by_desc(Column::Id).all(db).await
}

/// Returns the passkey of a person.
pub async fn find(db: &impl ConnectionTrait, user: UserId, id: PasskeyId) -> Result<Option<Passkey>, DbErr> {
    Entity::find_by_id(id).filter(Column::UserId.eq(user)).one(db).await
}

/// Returns the passkey that an authenticator calls so.
pub async fn find_by_credential(
    db: &impl ConnectionTrait,
    credential: &[u8],
) -> Result<Option<Passkey>, DbErr> {
    Entity::find().filter(Column::CredentialId.eq(credential)).one(db).await
}

/// Inserts a passkey; `false` when there is one that its authenticator calls so.
pub async fn insert(tx: &impl ConnectionTrait, passkey: &Passkey) -> Result<bool, DbErr> {
    let row: ActiveModel = passkey.clone().into();
    let conflict = OnConflict::column(Column::CredentialId).do_nothing().to_owned();
    Ok(Entity::insert(row.reset_all()).on_conflict(conflict).exec_without_returning(tx).await? > 0)
}

/// Gives a passkey another name.
pub async fn rename(tx: &impl ConnectionTrait, id: PasskeyId, name: &str) -> Result<(), DbErr> {
    let row = ActiveModel { name: Set(name.to_owned()), ..Default::default() };
    Entity::update_many().set(row).filter(Column::Id.eq(id)).exec(tx).await.map(drop)
}

/// Notes that somebody signed in by a passkey.
pub async fn used(
    tx: &impl ConnectionTrait,
    id: PasskeyId,
    state: Vec<u8>,
    now: Moment,
) -> Result<(), DbErr> {
    let row = ActiveModel { state: Set(state), use_time: Set(Some(now)), ..Default::default() };
    Entity::update_many().set(row).filter(Column::Id.eq(id)).exec(tx).await.map(drop)
}

/// Deletes a passkey.
pub async fn delete(tx: &impl ConnectionTrait, id: PasskeyId) -> Result<(), DbErr> {
    Entity::delete_by_id(id).exec(tx).await.map(drop)
}

/// Deletes all passkeys of a person, and says how many those were.
pub async fn delete_all(tx: &impl ConnectionTrait, user: UserId) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::UserId.eq(user)).exec(tx).await?.rows_affected)
}
