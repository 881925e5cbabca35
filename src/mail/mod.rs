//! Mail: written down in the transaction of what it tells of, sent by a task.
//!
//! - [`letter`]   what is written, as text and as HTML
//! - [`retry`]    when a mail that could not be sent is tried again
//! - [`delivery`] the task
//! - `driver`     SMTP, or the log
//!
//! Guarantees: no call waits for a mail server, and a mail whose transaction was committed is sent at least once, however often the
//! node is killed, until it has had its time: a repeat carries the same `Message-ID`. What it says, which may be a link that opens an
//! account, stands sealed in the table until it is sent and nowhere after that; in production it is never logged.

pub mod delivery;
mod driver;
pub mod letter;
pub mod retry;

use std::sync::Arc;

use chrono::TimeDelta;
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait as _};
use secrecy::ExposeSecret as _;

pub use self::{
    driver::Mailer,
    letter::{Letter, Part},
};
use crate::{
    clock::Moment,
    entity::mail,
    env::Env,
    error::{Error, Result},
    sealing::Seal,
};

/// Writes a mail down, to be sent until `life` is over. A letter to nobody is written like any other and never sent: whoever asks
/// for mails to people cannot tell by the time it takes whether there are such people.
pub async fn post(
    env: &Env,
    tx: &impl ConnectionTrait,
    letter: &Letter,
    life: TimeDelta,
    now: Moment,
) -> Result<()> {
    let id = env.ids.uuid(now);
    let content = serde_json::to_vec(letter).map_err(Error::internal)?;
    let row = mail::ActiveModel {
        id: Set(id),
        content: Set(seal(env).seal(&env.ids, id.as_bytes(), &content)),
        attempts: Set(0),
        next_time: Set(now),
        expire_time: Set(now + life),
    };
    mail::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}

/// The key that letters are sealed under.
struct LetterSeal(Seal);

fn seal(env: &Env) -> Seal {
    let secret = || env.secrets.session.expose_secret().as_bytes();
    let seal: Arc<LetterSeal> = env.memory.of(|| LetterSeal(Seal::derive(secret(), "letters")));
    seal.0.clone()
}
