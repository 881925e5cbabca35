//! The task that sends what was written down.
//!
//! A node claims a mail by moving its next attempt into the future, so that no other one sends it at the same time; if the node is killed
//! before it is done, that attempt comes.

use chrono::TimeDelta;
use futures::StreamExt as _;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, DbErr, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use super::{
    Letter, Mailer,
    retry::{Fate, Outcome, decide},
    seal,
};
use crate::{
    clock::Moment,
    entity::mail::{self, Entity as Mails, Model as Mail},
    env::Env,
};

/// How many mails are taken up at once, and how many of them are on their way at the same time.
const AT_ONCE: u64 = 32;
const UNDER_WAY: usize = 4;
/// How long a claim lasts: longer than the driver tries.
const CLAIM: TimeDelta = TimeDelta::minutes(3);

/// Sends what is due, and says how many mails were looked at.
pub async fn deliver_due(env: &Env, mailer: &Mailer) -> Result<usize, DbErr> {
    let now = env.now();
    let due = Mails::find()
        .filter(mail::Column::NextTime.lte(now))
        .order_by_asc(mail::Column::NextTime)
        .limit(AT_ONCE)
        .all(&env.db.drain)
        .await?;
    let count = due.len();
    let sent =
        futures::stream::iter(due).map(|mail| deliver(env, mailer, mail, now)).buffer_unordered(UNDER_WAY);
    for outcome in sent.collect::<Vec<_>>().await {
        outcome?;
    }
    let waiting = Mails::find().count(&env.db.drain).await?;
    metrics::gauge!("linkforty_mails_waiting").set(waiting as f64);
    Ok(count)
}

async fn deliver(env: &Env, mailer: &Mailer, mail: Mail, now: Moment) -> Result<(), DbErr> {
    let attempts = mail.attempts.saturating_add(1);
    if !claim(env, &mail, attempts, now).await? {
        return Ok(());
    }
    let opened = seal(env).open(mail.id.as_bytes(), &mail.content);
    let letter: Option<Letter> = opened.and_then(|content| serde_json::from_slice(&content).ok());
    let outcome = match letter {
        // To nobody.
        Some(letter) if letter.to.is_empty() => return forget(env, &mail).await,
        Some(_) if now >= mail.expire_time => Outcome::Refused,
        Some(letter) => mailer.send(mail.id, &letter, now).await,
        None => {
            tracing::error!(mail.id = %mail.id, "a mail was written under another SESSION_SECRET; it cannot be sent");
            Outcome::Refused
        }
    };
    match decide(outcome, attempts, mail.expire_time, now) {
        Fate::Done => {
            counted(if outcome == Outcome::Nowhere { "not_sent" } else { "sent" });
            forget(env, &mail).await
        }
        Fate::GivenUp => {
            counted("failed");
            tracing::error!(mail.id = %mail.id, attempts, "a mail could not be sent and is given up");
            forget(env, &mail).await
        }
        Fate::Again(next) => {
            counted("put_off");
            put_off(env, &mail, next).await
        }
    }
}

fn counted(outcome: &'static str) {
    metrics::counter!("linkforty_mails_total", "outcome" => outcome).increment(1);
}

/// Claims a mail; `false` when another node did, or it is gone.
async fn claim(env: &Env, mail: &Mail, attempts: i32, now: Moment) -> Result<bool, DbErr> {
    let row =
        mail::ActiveModel { attempts: Set(attempts), next_time: Set(now + CLAIM), ..Default::default() };
    let claimed = Mails::update_many()
        .set(row)
        .filter(mail::Column::Id.eq(mail.id))
        .filter(mail::Column::Attempts.eq(mail.attempts))
        .exec(&env.db.drain)
        .await?;
    Ok(claimed.rows_affected > 0)
}

async fn put_off(env: &Env, mail: &Mail, next: Moment) -> Result<(), DbErr> {
    let row = mail::ActiveModel { next_time: Set(next), ..Default::default() };
    Mails::update_many().set(row).filter(mail::Column::Id.eq(mail.id)).exec(&env.db.drain).await.map(drop)
}

async fn forget(env: &Env, mail: &Mail) -> Result<(), DbErr> {
    Mails::delete_by_id(mail.id).exec(&env.db.drain).await.map(drop)
}
