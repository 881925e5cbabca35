//! Counts what is tried against accounts, in the database: on every node, over restarts, exact however many try at once.
//!
//! A try is counted before it is made, under the locks of its counts, and taken back when it succeeds. Accounts that do not exist are
//! counted in the same way: whoever tries cannot tell. The keys are hashes under `SESSION_SECRET`, so the table says neither who was
//! tried nor from where.

use std::{net::IpAddr, time::Duration};

use chrono::TimeDelta;
use ring::hmac;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, OnConflict},
};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::{
    Client,
    throttle::{Purpose, Scope, Tries, Verdict, judge, rule},
};
use crate::{
    clock::Moment,
    entity::{
        sign_in_attempt::{self, Entity as Attempts},
        sign_in_place::{self, Entity as Places},
    },
    env::Env,
    error::{Error, Reason, Result},
    ids::UserId,
};

/// How long a network is known as one that the person signed in from.
const PLACE_LIFE: TimeDelta = TimeDelta::days(90);
/// After so long everything is forgiven.
const COUNT_LIFE: TimeDelta = TimeDelta::days(1);

/// A try that was counted.
#[derive(Debug)]
pub struct Attempt {
    /// In the order in which they are locked.
    counts: Vec<(Vec<u8>, Scope)>,
}

/// Counts a try, or says how long to wait. `account` is what it goes by, `user` who that is, if anybody.
pub async fn begin(
    env: &Env,
    purpose: Purpose,
    (account, user): (&str, Option<UserId>),
    client: &Client,
    now: Moment,
) -> Result<Attempt> {
    let network = client.network();
    let counts = counts(env, purpose, account, network);
    // Asked for nobody too.
    let known = is_known(&env.db.api, user.unwrap_or(UserId(Uuid::nil())), network, now).await?;

    let tx = env.db.begin().await?;
    let nothing = counts.iter().map(|(key, _)| row(key, Tries::none(now)));
    let conflict = OnConflict::column(sign_in_attempt::Column::Id).do_nothing().to_owned();
    Attempts::insert_many(nothing).on_conflict(conflict).exec_without_returning(&tx).await?;
    let stored = Attempts::find()
        .filter(sign_in_attempt::Column::Id.is_in(counts.iter().map(|(key, _)| key.clone())))
        .order_by_asc(sign_in_attempt::Column::Id)
        .lock_exclusive()
        .all(&tx)
        .await?;
    let mut wait = Duration::ZERO;
    let mut next = Vec::with_capacity(counts.len());
    for (key, scope) in &counts {
        let found = stored.iter().find(|row| row.id == *key);
        let tries = found.map_or(Tries::none(now), |row| Tries {
            count: u32::try_from(row.tries).unwrap_or(0),
            last: row.update_time,
        });
        let rule = rule(purpose, *scope);
        match judge(rule, tries, now) {
            Verdict::Wait(rest) if !(known && *scope == Scope::Account) => wait = wait.max(rest),
            _ => {}
        }
        next.push(row(key, tries.and_one(rule, now)));
    }
    if !wait.is_zero() {
        tx.rollback().await?;
        metrics::counter!("linkforty_rate_limited_total", "limit" => purpose.name()).increment(1);
        return Err(Error::new(Reason::RateLimited, "too many tries; wait a moment")
            .with("limit", purpose.name())
            .retry_after(wait));
    }
    let conflict = OnConflict::column(sign_in_attempt::Column::Id)
        .update_columns([sign_in_attempt::Column::Tries, sign_in_attempt::Column::UpdateTime])
        .to_owned();
    Attempts::insert_many(next).on_conflict(conflict).exec_without_returning(&tx).await?;
    tx.commit().await?;
    Ok(Attempt { counts })
}

/// Takes a try back that succeeded. The account's tries from this network are forgotten; those from elsewhere, and those of the
/// network for other accounts, are not: nobody clears them by signing in as themselves.
pub async fn succeeded(tx: &impl ConnectionTrait, attempt: &Attempt) -> Result<(), DbErr> {
    for (key, scope) in &attempt.counts {
        let this = sign_in_attempt::Column::Id.eq(key.clone());
        if *scope == Scope::Pair {
            Attempts::delete_many().filter(this).exec(tx).await?;
        } else {
            let less = Expr::col(sign_in_attempt::Column::Tries).sub(1);
            Attempts::update_many()
                .col_expr(sign_in_attempt::Column::Tries, less)
                .filter(this)
                .filter(sign_in_attempt::Column::Tries.gt(0))
                .exec(tx)
                .await?;
        }
    }
    Ok(())
}

/// Remembers that the person signed in from a network.
pub async fn remember(
    tx: &impl ConnectionTrait,
    user: UserId,
    network: Option<IpAddr>,
    now: Moment,
) -> Result<(), DbErr> {
    let Some(network) = network else { return Ok(()) };
    let row = sign_in_place::ActiveModel {
        user_id: Set(user),
        network: Set(network.to_string()),
        update_time: Set(now),
    };
    let conflict = OnConflict::columns([sign_in_place::Column::UserId, sign_in_place::Column::Network])
        .update_column(sign_in_place::Column::UpdateTime)
        .to_owned();
    Places::insert(row).on_conflict(conflict).exec_without_returning(tx).await.map(drop)
}

/// Forgets counts that are forgiven and networks that nobody signed in from for long.
pub async fn sweep(db: &impl ConnectionTrait, now: Moment) -> Result<u64, DbErr> {
    let counts = Attempts::delete_many()
        .filter(sign_in_attempt::Column::UpdateTime.lt(now - COUNT_LIFE))
        .exec(db)
        .await?;
    let places =
        Places::delete_many().filter(sign_in_place::Column::UpdateTime.lt(now - PLACE_LIFE)).exec(db).await?;
    Ok(counts.rows_affected + places.rows_affected)
}

async fn is_known(
    db: &impl ConnectionTrait,
    user: UserId,
    network: Option<IpAddr>,
    now: Moment,
) -> Result<bool, DbErr> {
    let Some(network) = network else { return Ok(false) };
    let found = Places::find_by_id((user, network.to_string())).one(db).await?;
    Ok(found.is_some_and(|place| now < place.update_time + PLACE_LIFE))
}

fn counts(env: &Env, purpose: Purpose, account: &str, network: Option<IpAddr>) -> Vec<(Vec<u8>, Scope)> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, env.secrets.session.expose_secret().as_bytes());
    let hash = |scope: &str, parts: [&str; 2]| {
        let text = ["linkforty attempts v1", purpose.name(), scope, parts[0], parts[1]].join("\0");
        hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
    };
    let mut counts = vec![(hash("account", [account, ""]), Scope::Account)];
    if let Some(network) = network {
        let network = network.to_string();
        counts.push((hash("network", ["", &network]), Scope::Network));
        counts.push((hash("pair", [account, &network]), Scope::Pair));
    }
    // Everybody locks in the same order.
    counts.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    counts
}

fn row(key: &[u8], tries: Tries) -> sign_in_attempt::ActiveModel {
    sign_in_attempt::ActiveModel {
        id: Set(key.to_vec()),
        tries: Set(i32::try_from(tries.count).unwrap_or(i32::MAX)),
        update_time: Set(tries.last),
    }
}
