//! Queries of `users` and `sessions`. People are above the tenants, so these start from the person.

use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, sea_query::OnConflict,
};

use super::{Session, User};
use crate::{
    clock::Moment,
    entity::{
        session::{self, Entity as Sessions},
        user::{self, Entity as Users},
    },
    ids::{SessionId, UserId},
};

/// Says whether there is anybody at all.
pub async fn is_anybody(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(Users::find().limit(1).count(db).await? > 0)
}

/// Inserts a person; `false` when somebody has that e-mail.
pub async fn insert_user(tx: &impl ConnectionTrait, user: &User) -> Result<bool, DbErr> {
    let row: user::ActiveModel = user.clone().into();
    let conflict = OnConflict::column(user::Column::Email).do_nothing().to_owned();
    Ok(Users::insert(row.reset_all()).on_conflict(conflict).exec_without_returning(tx).await? > 0)
}

/// Returns the person, if there is one.
pub async fn find_user(db: &impl ConnectionTrait, id: UserId) -> Result<Option<User>, DbErr> {
    Users::find_by_id(id).one(db).await
}

/// Returns the person with that e-mail, if there is one.
pub async fn find_user_by_email(db: &impl ConnectionTrait, email: &str) -> Result<Option<User>, DbErr> {
    Users::find().filter(user::Column::Email.eq(email)).one(db).await
}

/// Returns the person and keeps others from changing them until the transaction ends. SQLite needs no lock: there one
/// transaction writes at a time.
pub async fn lock_user(tx: &impl ConnectionTrait, id: UserId) -> Result<Option<User>, DbErr> {
    Users::find_by_id(id).lock_exclusive().one(tx).await
}

/// Lists up to `limit` people after `after`, by e-mail.
pub async fn list_users(
    db: &impl ConnectionTrait,
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<User>, DbErr> {
    let mut query = Users::find();
    if let Some(after) = after {
        query = query.filter(user::Column::Email.gt(after));
    }
    query.order_by_asc(user::Column::Email).limit(limit).all(db).await
}

/// Sets a person's password.
pub async fn set_password(
    tx: &impl ConnectionTrait,
    id: UserId,
    hash: String,
    change_required: bool,
    now: Moment,
) -> Result<(), DbErr> {
    let row = user::ActiveModel {
        password_hash: Set(hash),
        password_change_required: Set(change_required),
        update_time: Set(now),
        ..Default::default()
    };
    Users::update_many().set(row).filter(user::Column::Id.eq(id)).exec(tx).await.map(drop)
}

/// Takes a person's e-mail for proved.
pub async fn set_email_verified(tx: &impl ConnectionTrait, id: UserId, now: Moment) -> Result<(), DbErr> {
    let row =
        user::ActiveModel { email_verify_time: Set(Some(now)), update_time: Set(now), ..Default::default() };
    Users::update_many().set(row).filter(user::Column::Id.eq(id)).exec(tx).await.map(drop)
}

/// Asks a person for a new password.
pub async fn require_password_change(
    tx: &impl ConnectionTrait,
    id: UserId,
    now: Moment,
) -> Result<(), DbErr> {
    let row = user::ActiveModel {
        password_change_required: Set(true),
        update_time: Set(now),
        ..Default::default()
    };
    Users::update_many().set(row).filter(user::Column::Id.eq(id)).exec(tx).await.map(drop)
}

/// Lets a person sign in, or no longer.
pub async fn set_disabled(
    tx: &impl ConnectionTrait,
    id: UserId,
    since: Option<Moment>,
    now: Moment,
) -> Result<(), DbErr> {
    let row = user::ActiveModel { disable_time: Set(since), update_time: Set(now), ..Default::default() };
    Users::update_many().set(row).filter(user::Column::Id.eq(id)).exec(tx).await.map(drop)
}

/// Inserts a session.
pub async fn insert_session(tx: &impl ConnectionTrait, session: &Session) -> Result<(), DbErr> {
    let row: session::ActiveModel = session.clone().into();
    Sessions::insert(row.reset_all()).exec_without_returning(tx).await.map(drop)
}

/// Returns the session, if there is one.
pub async fn find_session(db: &impl ConnectionTrait, id: SessionId) -> Result<Option<Session>, DbErr> {
    Sessions::find_by_id(id).one(db).await
}

/// Lists up to `limit` sessions of a person that live, the newest first, older than `after`.
pub async fn list_sessions(
    db: &impl ConnectionTrait,
    user: UserId,
    after: Option<SessionId>,
    limit: u64,
    now: Moment,
) -> Result<Vec<Session>, DbErr> {
    let mut query = Sessions::find()
        .filter(session::Column::UserId.eq(user))
        .filter(session::Column::EndTime.is_null())
        .filter(session::Column::RefreshExpireTime.gt(now));
    if let Some(after) = after {
        query = query.filter(session::Column::Id.lt(after));
    }
    query.order_by_desc(session::Column::Id).limit(limit).all(db).await
}

/// What a refresh token is replaced by.
pub struct Replacement {
    /// The hash of the new one.
    pub hash: Vec<u8>,
    /// The hash under which the answer may be asked for again.
    pub previous: Option<Vec<u8>>,
    /// When the new one ends.
    pub end: Moment,
}

/// Replaces the refresh token of a session that has not ended; `false` when it is no longer `from`.
pub async fn rotate(
    db: &impl ConnectionTrait,
    id: SessionId,
    from: &[u8],
    to: Replacement,
    now: Moment,
) -> Result<bool, DbErr> {
    let row = session::ActiveModel {
        refresh_hash: Set(to.hash),
        previous_refresh_hash: Set(to.previous),
        refresh_expire_time: Set(to.end),
        rotate_time: Set(now),
        ..Default::default()
    };
    let changed = Sessions::update_many()
        .set(row)
        .filter(session::Column::Id.eq(id))
        .filter(session::Column::RefreshHash.eq(from))
        .filter(session::Column::EndTime.is_null())
        .exec(db)
        .await?;
    Ok(changed.rows_affected > 0)
}

/// Ends a session unless it was ended before, and says whether it was this call that did.
pub async fn end_session(db: &impl ConnectionTrait, id: SessionId, now: Moment) -> Result<bool, DbErr> {
    let row = session::ActiveModel { end_time: Set(Some(now)), ..Default::default() };
    let ended = Sessions::update_many()
        .set(row)
        .filter(session::Column::Id.eq(id))
        .filter(session::Column::EndTime.is_null())
        .exec(db)
        .await?;
    Ok(ended.rows_affected > 0)
}

/// Ends all sessions of a person but `keep`, and returns which those were.
pub async fn end_sessions(
    tx: &impl ConnectionTrait,
    user: UserId,
    keep: Option<SessionId>,
    now: Moment,
) -> Result<Vec<SessionId>, DbErr> {
    let alive = Sessions::find()
        .filter(session::Column::UserId.eq(user))
        .filter(session::Column::EndTime.is_null())
        .filter(session::Column::ExpireTime.gt(now))
        .all(tx)
        .await?;
    let ended: Vec<SessionId> =
        alive.into_iter().map(|session| session.id).filter(|id| Some(*id) != keep).collect();
    let row = session::ActiveModel { end_time: Set(Some(now)), ..Default::default() };
    Sessions::update_many()
        .set(row)
        .filter(session::Column::UserId.eq(user))
        .filter(session::Column::Id.is_in(ended.iter().copied()))
        .exec(tx)
        .await?;
    Ok(ended)
}

/// Deletes sessions that were over before `before`.
pub async fn delete_sessions(db: &impl ConnectionTrait, before: Moment) -> Result<u64, DbErr> {
    let gone = Sessions::delete_many().filter(session::Column::ExpireTime.lt(before)).exec(db).await?;
    Ok(gone.rows_affected)
}
