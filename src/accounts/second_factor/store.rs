//! Queries of `second_factors` and `recovery_codes`.

use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, sea_query::OnConflict,
};

use crate::{
    clock::Moment,
    entity::{
        recovery_code::{self, Entity as Codes},
        second_factor::{self, Entity as Factors, Model as Factor},
    },
    ids::UserId,
};

/// Returns a person's second factor, confirmed or not.
pub async fn find(db: &impl ConnectionTrait, user: UserId) -> Result<Option<Factor>, DbErr> {
    Factors::find_by_id(user).one(db).await
}

/// Puts a second factor that nobody has confirmed in the place of another one.
pub async fn put(tx: &impl ConnectionTrait, user: UserId, secret: Vec<u8>, now: Moment) -> Result<(), DbErr> {
    let row = second_factor::ActiveModel {
        user_id: Set(user),
        secret: Set(secret),
        last_step: Set(-1),
        create_time: Set(now),
        confirm_time: Set(None),
    };
    let conflict = OnConflict::column(second_factor::Column::UserId)
        .update_columns([
            second_factor::Column::Secret,
            second_factor::Column::LastStep,
            second_factor::Column::CreateTime,
            second_factor::Column::ConfirmTime,
        ])
        .to_owned();
    Factors::insert(row).on_conflict(conflict).exec_without_returning(tx).await.map(drop)
}

/// Confirms a second factor.
pub async fn confirm(tx: &impl ConnectionTrait, user: UserId, now: Moment) -> Result<(), DbErr> {
    let row = second_factor::ActiveModel { confirm_time: Set(Some(now)), ..Default::default() };
    Factors::update_many().set(row).filter(second_factor::Column::UserId.eq(user)).exec(tx).await.map(drop)
}

/// Uses a step up; `false` when it, or a newer one, was used before.
pub async fn use_step(tx: &impl ConnectionTrait, user: UserId, step: i64) -> Result<bool, DbErr> {
    let row = second_factor::ActiveModel { last_step: Set(step), ..Default::default() };
    let used = Factors::update_many()
        .set(row)
        .filter(second_factor::Column::UserId.eq(user))
        .filter(second_factor::Column::LastStep.lt(step))
        .exec(tx)
        .await?;
    Ok(used.rows_affected > 0)
}

/// Takes a person's second factor and recovery codes away.
pub async fn delete(tx: &impl ConnectionTrait, user: UserId) -> Result<bool, DbErr> {
    Codes::delete_many().filter(recovery_code::Column::UserId.eq(user)).exec(tx).await?;
    Ok(Factors::delete_by_id(user).exec(tx).await?.rows_affected > 0)
}

/// Replaces a person's recovery codes.
pub async fn replace_codes(
    tx: &impl ConnectionTrait,
    user: UserId,
    hashes: Vec<Vec<u8>>,
) -> Result<(), DbErr> {
    Codes::delete_many().filter(recovery_code::Column::UserId.eq(user)).exec(tx).await?;
    let rows = hashes
        .into_iter()
        .map(|hash| recovery_code::ActiveModel { user_id: Set(user), code_hash: Set(hash) });
    Codes::insert_many(rows).exec_without_returning(tx).await.map(drop)
}

/// Uses a recovery code up, and says how many are left; `None` when it is none.
pub async fn use_code(tx: &impl ConnectionTrait, user: UserId, hash: Vec<u8>) -> Result<Option<u64>, DbErr> {
    if Codes::delete_by_id((user, hash)).exec(tx).await?.rows_affected == 0 {
        return Ok(None);
    }
    Codes::find().filter(recovery_code::Column::UserId.eq(user)).count(tx).await.map(Some)
}
