//! Queries of `identities`. They start from the provider, or from the person.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, sea_query::OnConflict,
};

use super::Identity;
use crate::{
    clock::Moment,
    entity::identity::{ActiveModel, Column, Entity},
    ids::{IdentityId, UserId},
};

/// Returns whose identity a provider's subject is.
pub async fn find(db: &impl ConnectionTrait, issuer: &str, subject: &str) -> Result<Option<Identity>, DbErr> {
    Entity::find().filter(Column::Issuer.eq(issuer)).filter(Column::Subject.eq(subject)).one(db).await
}

/// Returns the identity that a person has with a provider.
pub async fn find_of(
    db: &impl ConnectionTrait,
    user: UserId,
    issuer: &str,
) -> Result<Option<Identity>, DbErr> {
    Entity::find().filter(Column::UserId.eq(user)).filter(Column::Issuer.eq(issuer)).one(db).await
}

/// Lists a person's identities, the newest first.
pub async fn list(db: &impl ConnectionTrait, user: UserId) -> Result<Vec<Identity>, DbErr> {
    Entity::find().filter(Column::UserId.eq(user)).order_by_desc(Column::Id).all(db).await
}

/// Inserts an identity; `false` when it is somebody's, or the person has another one of the provider.
pub async fn insert(tx: &impl ConnectionTrait, identity: &Identity) -> Result<bool, DbErr> {
    let row: ActiveModel = identity.clone().into();
    let conflict = OnConflict::new().do_nothing().to_owned();
    Ok(Entity::insert(row.reset_all()).on_conflict(conflict).exec_without_returning(tx).await? > 0)
}

/// Notes that somebody signed in by an identity.
pub async fn used(tx: &impl ConnectionTrait, id: IdentityId, now: Moment) -> Result<(), DbErr> {
    let row = ActiveModel { use_time: Set(Some(now)), ..Default::default() };
    Entity::update_many().set(row).filter(Column::Id.eq(id)).exec(tx).await.map(drop)
}

/// Takes an identity from a person, and returns it; `None` when they have no such.
pub async fn delete(
    tx: &impl ConnectionTrait,
    user: UserId,
    id: IdentityId,
) -> Result<Option<Identity>, DbErr> {
    let found = Entity::find_by_id(id).filter(Column::UserId.eq(user)).one(tx).await?;
    if found.is_some() {
        Entity::delete_by_id(id).exec(tx).await?;
    }
    Ok(found)
}
