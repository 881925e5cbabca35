//! Tokens that let whoever holds them do one thing once for a person: those in mails, and what stands between a password and a code.
//!
//! The table holds their hashes. One that is used is gone, so a used, an old and an invented one are alike.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
};

use super::User;
use crate::{
    clock::Moment,
    entity::account_token::{self, Entity as Tokens, Model as Stored},
    error::{Error, Reason},
    hashing,
    ids::{Ids, UserId},
};

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Setting a new password without the old one.
    PasswordReset,
    /// Proving that an e-mail is the person's.
    EmailVerification,
    /// Going on with a sign-in whose password was right.
    SignIn,
    /// Going on with a sign-in for which the identity provider vouched.
    OidcSignIn,
}

impl Purpose {
    /// Returns the name that is stored.
    const fn name(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailVerification => "email_verification",
            Self::SignIn => "sign_in",
            Self::OidcSignIn => "oidc_sign_in",
        }
    }

    /// Returns how long such a token is good.
    pub const fn life(self) -> TimeDelta {
        match self {
            Self::PasswordReset => TimeDelta::minutes(30),
            Self::EmailVerification => TimeDelta::hours(24),
            Self::SignIn | Self::OidcSignIn => TimeDelta::minutes(5),
        }
    }
}

/// Makes a token for a person, or one that is good for nobody.
pub async fn make(
    tx: &impl ConnectionTrait,
    ids: &Ids,
    purpose: Purpose,
    user: Option<&User>,
    now: Moment,
) -> Result<String, DbErr> {
    let token = URL_SAFE_NO_PAD.encode(ids.bytes::<32>());
    let row = account_token::ActiveModel {
        token_hash: Set(hashing::of_token(&token)),
        user_id: Set(user.map(|user| user.id)),
        purpose: Set(purpose.name().to_owned()),
        email: Set(user.map(|user| user.email.clone()).unwrap_or_default()),
        expire_time: Set(now + purpose.life()),
    };
    Tokens::insert(row).exec_without_returning(tx).await?;
    Ok(token)
}

/// Returns for whom a token is good, and the e-mail they had when it was made.
pub async fn find(
    db: &impl ConnectionTrait,
    purpose: Purpose,
    token: &str,
    now: Moment,
) -> Result<Option<(UserId, String)>, DbErr> {
    let found = Tokens::find_by_id(hashing::of_token(token)).one(db).await?;
    let good = |found: &Stored| found.purpose == purpose.name() && now < found.expire_time;
    Ok(found.filter(good).and_then(|found| Some((found.user_id?, found.email))))
}

/// Uses a token up; `false` when somebody else did.
pub async fn take(tx: &impl ConnectionTrait, token: &str) -> Result<bool, DbErr> {
    Ok(Tokens::delete_by_id(hashing::of_token(token)).exec(tx).await?.rows_affected > 0)
}

/// Ends every token of a person.
pub async fn end_all(tx: &impl ConnectionTrait, user: UserId) -> Result<(), DbErr> {
    Tokens::delete_many().filter(account_token::Column::UserId.eq(user)).exec(tx).await.map(drop)
}

/// Forgets tokens that have had their time.
pub async fn sweep(db: &impl ConnectionTrait, now: Moment) -> Result<u64, DbErr> {
    let gone = Tokens::delete_many().filter(account_token::Column::ExpireTime.lte(now)).exec(db).await?;
    Ok(gone.rows_affected)
}

/// Returns the error for a token that is good for nothing.
pub fn invalid() -> Error {
    Error::new(Reason::TokenInvalid, "the token is used, too old, or was never good; begin again")
}
