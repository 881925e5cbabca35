//! Sealed handles: what a sign-in that takes two calls has to remember between them, kept by the client.
//!
//! Any node opens what another one sealed. A handle is good for its purpose and whoever it was made for, until its time is over, and
//! once: [`take`] leaves a row, in the transaction of what it was good for.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use ring::digest;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    sea_query::OnConflict,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    clock::{Moment, from_micros},
    entity::used_handle::{self, Entity as Used},
    env::Env,
    ids::{SessionId, UserId},
    sealing::Seal,
};

/// What a handle goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A sign-in by an identity provider.
    OidcSignIn,
    /// Linking an identity of a provider.
    IdentityLink,
    /// Adding a passkey.
    PasskeyRegistration,
    /// A sign-in by a passkey.
    PasskeySignIn,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::OidcSignIn => "oidc sign-in",
            Self::IdentityLink => "identity link",
            Self::PasskeyRegistration => "passkey registration",
            Self::PasskeySignIn => "passkey sign-in",
        }
    }

    /// Returns how long such a handle is good.
    pub const fn life(self) -> TimeDelta {
        match self {
            Self::OidcSignIn | Self::IdentityLink => TimeDelta::minutes(10),
            Self::PasskeyRegistration | Self::PasskeySignIn => TimeDelta::minutes(5),
        }
    }
}

/// A handle that was opened.
pub struct Opened<T> {
    /// What was sealed in it.
    pub content: T,
    hash: Vec<u8>,
    expire_time: Moment,
}

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    expire_micros: i64,
    content: T,
}

/// Seals something for a purpose and for whoever `whose` names, and says when it ends.
pub fn seal<T: Serialize>(
    env: &Env,
    (purpose, whose): (Purpose, &[u8]),
    content: T,
    now: Moment,
) -> (String, Moment) {
    let expire_time = now + purpose.life();
    let sealed = Sealed { expire_micros: expire_time.timestamp_micros(), content };
    let bytes = serde_json::to_vec(&sealed).expect("what we seal has a form in JSON");
    let sealed = key(env).seal(&env.ids, &thing(purpose, whose), &bytes);
    (URL_SAFE_NO_PAD.encode(sealed), expire_time)
}

/// Opens a handle; `None` unless this server sealed it for that, and its time is not over.
pub fn open<T: DeserializeOwned>(
    env: &Env,
    (purpose, whose): (Purpose, &[u8]),
    handle: &str,
    now: Moment,
) -> Option<Opened<T>> {
    let sealed = URL_SAFE_NO_PAD.decode(handle).ok()?;
    let bytes = key(env).open(&thing(purpose, whose), &sealed)?;
    let Sealed { expire_micros, content } = serde_json::from_slice(&bytes).ok()?;
    let expire_time = from_micros(expire_micros);
    let hash = digest::digest(&digest::SHA256, &sealed).as_ref().to_vec();
    (now < expire_time).then_some(Opened { content, hash, expire_time })
}

impl<T> Opened<T> {
    /// Says whether the handle was used, so that nothing is begun for one that was; [`take`](Self::take) decides.
    pub async fn is_used(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        Ok(Used::find_by_id(self.hash.clone()).one(db).await?.is_some())
    }

    /// Uses the handle up; `false` when somebody else did.
    pub async fn take(&self, tx: &impl ConnectionTrait) -> Result<bool, DbErr> {
        let row = used_handle::ActiveModel {
            handle_hash: Set(self.hash.clone()),
            expire_time: Set(self.expire_time),
        };
        let conflict = OnConflict::column(used_handle::Column::HandleHash).do_nothing().to_owned();
        Ok(Used::insert(row).on_conflict(conflict).exec_without_returning(tx).await? > 0)
    }
}

/// Forgets handles that have had their time.
pub async fn sweep(db: &impl ConnectionTrait, now: Moment) -> Result<u64, DbErr> {
    let gone = Used::delete_many().filter(used_handle::Column::ExpireTime.lte(now)).exec(db).await?;
    Ok(gone.rows_affected)
}

fn thing(purpose: Purpose, whose: &[u8]) -> Vec<u8> {
    [purpose.name().as_bytes(), &[0], whose].concat()
}

/// The key that handles are sealed under.
struct HandleSeal(Seal);

fn key(env: &Env) -> Seal {
    let secret = || env.secrets.session.expose_secret().as_bytes();
    let seal: Arc<HandleSeal> = env.memory.of(|| HandleSeal(Seal::derive(secret(), "sign-in handles")));
    seal.0.clone()
}

/// Returns whom a handle is made for that only one session of a person goes on with.
pub fn of_session(user: UserId, session: SessionId) -> Vec<u8> {
    [user.0.as_bytes().as_slice(), session.0.as_bytes()].concat()
}
