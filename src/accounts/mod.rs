//! People, their passwords and their sessions; and who a bearer token stands for.
//!
//! - [`password`] which passwords are accepted, and how they are kept; `common` which are too common
//! - [`tokens`]   the two tokens of a session
//! - [`refresh`]  what a presented refresh token means
//! - [`people`]   what the operator does at the command line, and the first start
//! - `store`      queries of `users` and `sessions`
//! - [`grpc`]     `AuthService`
//!
//! Guarantees: a wrong password and an unknown e-mail are refused in the same words and after the same work. A session
//! that ended is refused at once by the node that ended it, as fast as messages travel by the others, and after ten
//! seconds when none arrives. A session has one line of refresh tokens however its refreshes race, and a refresh token used a
//! second time ends it. After a password change no other session lives, not even one that began at the same moment.

mod common;
pub mod grpc;
pub mod password;
pub mod people;
pub mod refresh;
mod store;
#[cfg(test)]
mod tests;
pub mod tokens;

use std::sync::Arc;

use sea_orm::DbErr;

pub use self::people::{FirstSignIn, bootstrap};
use self::{
    refresh::Verdict,
    store::Replacement,
    tokens::{Keyring, RefreshToken},
};
pub use crate::entity::{session::Model as Session, user::Model as User};
use crate::{
    cache::{Belief, Beliefs},
    clock::Moment,
    env::Env,
    error::{Error, Reason, Result, Violations},
    ids::{SessionId, UserId},
    rpc::Caller,
    trail::Origin,
    workspaces::{self, Membership},
};

/// How many sessions a node believes at once.
const BELIEFS: usize = 10_000;
/// How often a refresh looks again after another one came first.
const REFRESH_TRIES: usize = 5;

/// The two tokens of a session.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// For `authorization: Bearer ...`.
    pub access: String,
    /// When that ends.
    pub access_expire_time: Moment,
    /// For the next refresh.
    pub refresh: String,
    /// When that ends if it is not used.
    pub refresh_expire_time: Moment,
}

/// What is believed of a session that was alive when it was looked up.
#[derive(Debug, Clone, Copy)]
struct Alive {
    user: UserId,
    password_change_required: bool,
    expire_time: Moment,
}

/// Checks an e-mail and a password, and opens a session.
pub async fn sign_in(env: &Env, email: &str, password: &str) -> Result<(Tokens, User)> {
    let now = env.now();
    let known = store::find_user_by_email(&env.db.api, &crate::email::fold(email)).await?;
    let stored = known.as_ref().map(|user| user.password_hash.as_str());
    let right = password::verify(env, password, stored).await?;
    let Some(user) = known.filter(|_| right) else { return Err(sign_in_failed()) };

    let id = SessionId::mint(&env.ids, now);
    let token = RefreshToken::first(id, env.ids.bytes());
    let expire_time = now + refresh::SESSION_LIFE;
    let session = Session {
        id,
        user_id: user.id,
        refresh_hash: token.hash(),
        previous_refresh_hash: None,
        rotate_time: now,
        create_time: now,
        refresh_expire_time: refresh::refresh_end(expire_time, now),
        expire_time,
        end_time: None,
    };
    let tx = env.db.begin().await?;
    // The password may have been changed while we were checking it, and the change ended only the sessions it saw.
    let locked = store::lock_user(&tx, user.id).await?;
    let user =
        locked.filter(|locked| locked.password_hash == user.password_hash).ok_or_else(sign_in_failed)?;
    store::insert_session(&tx, &session).await?;
    tx.commit().await?;
    tracing::info!(user.id = %user.id, session.id = %id, "a person signed in");
    Ok((tokens(env, &session, &token, now)?, user))
}

/// Exchanges a refresh token for new tokens.
pub async fn refresh(env: &Env, refresh_token: &str) -> Result<Tokens> {
    let now = env.now();
    let keyring = keyring(env);
    let presented = keyring.read_refresh(refresh_token).ok_or_else(Error::credentials_invalid)?;
    let next = keyring.next(&presented);
    for _ in 0..REFRESH_TRIES {
        let found = store::find_session(&env.db.api, presented.session).await?;
        let session = found.ok_or_else(Error::credentials_invalid)?;
        match refresh::judge(&session, &presented.hash(), now) {
            Verdict::Rotate => {
                let end = refresh::refresh_end(session.expire_time, now);
                let from = presented.hash();
                let to = Replacement { hash: next.hash(), previous: Some(from.clone()), end };
                if store::rotate(&env.db.api, session.id, &from, to, now).await? {
                    return tokens(env, &Session { refresh_expire_time: end, ..session }, &next, now);
                }
            }
            // With other keys than the first time the next token would be another one; then it is nobody's.
            Verdict::Repeat if session.refresh_hash == next.hash() => {
                return tokens(env, &session, &next, now);
            }
            Verdict::Stolen => {
                store::end_session(&env.db.api, session.id, now).await?;
                retract(env, &[session.id]).await;
                tracing::warn!(
                    user.id = %session.user_id,
                    session.id = %session.id,
                    "a refresh token was used twice; its session was ended"
                );
                return Err(Error::credentials_invalid());
            }
            Verdict::Repeat | Verdict::Over => return Err(Error::credentials_invalid()),
        }
    }
    Err(Error::internal("a refresh token was neither good nor used up"))
}

/// Ends a session.
pub async fn sign_out(env: &Env, session: SessionId) -> Result<()> {
    store::end_session(&env.db.api, session, env.now()).await?;
    retract(env, &[session]).await;
    Ok(())
}

/// Sets a new password, ends the person's other sessions and gives this one new tokens.
pub async fn change_password(
    env: &Env,
    user: UserId,
    session: SessionId,
    current: &str,
    new: &str,
) -> Result<Tokens> {
    let now = env.now();
    let known = store::find_user(&env.db.api, user).await?.ok_or_else(Error::credentials_invalid)?;
    let mut violations = Violations::default();
    for fault in password::faults(new, &known.email, Some(current)) {
        violations.add("new_password", fault);
    }
    violations.into_result(())?;
    if !password::verify(env, current, Some(&known.password_hash)).await? {
        return Err(Error::new(Reason::SignInFailed, "the current password is wrong"));
    }
    let hash = password::hash(env, new).await?;
    let token = RefreshToken::first(session, env.ids.bytes());

    let tx = env.db.begin().await?;
    // Whoever signs in or changes the password at the same time comes before or after, not in between.
    let locked = store::lock_user(&tx, user).await?;
    if locked.is_none_or(|locked| locked.password_hash != known.password_hash) {
        return Err(Error::new(Reason::SignInFailed, "the current password is wrong"));
    }
    store::set_password(&tx, user, hash, false, now).await?;
    let mut changed = store::end_sessions(&tx, user, Some(session), now).await?;
    let stored = store::find_session(&tx, session).await?.ok_or_else(Error::credentials_invalid)?;
    let end = refresh::refresh_end(stored.expire_time, now);
    let to = Replacement { hash: token.hash(), previous: None, end };
    if !store::rotate(&tx, session, &stored.refresh_hash, to, now).await? {
        return Err(Error::credentials_invalid());
    }
    tx.commit().await?;
    // This session too: what is believed of it may be that the password must change.
    changed.push(session);
    retract(env, &changed).await;
    tracing::info!(user.id = %user, session.id = %session, "a person changed their password");
    tokens(env, &Session { refresh_expire_time: end, ..stored }, &token, now)
}

/// Returns a person and where they belong.
pub async fn me(env: &Env, user: UserId) -> Result<(User, Vec<Membership>)> {
    let known = store::find_user(&env.db.api, user).await?.ok_or_else(Error::credentials_invalid)?;
    Ok((known, workspaces::memberships_of(env, user).await?))
}

/// Says who a bearer token stands for: a person's access token or a program's API key.
pub async fn authenticate(env: &Env, bearer: &str) -> Result<Caller> {
    if bearer.starts_with(workspaces::keys::secret::START) {
        return workspaces::keys::authenticate(env, bearer).await;
    }
    if bearer.split('.').count() != 3 {
        return Err(Error::new(
            Reason::CredentialsMissing,
            "the bearer token is neither an access token nor an API key of this server",
        ));
    }
    let now = env.now();
    let read = keyring(env).read_access(bearer, now);
    let (user, session) = read.ok_or_else(Error::credentials_invalid)?;
    let alive = alive(env, session, now).await?;
    if alive.user != user || now >= alive.expire_time {
        return Err(Error::credentials_invalid());
    }
    let password_change_required = alive.password_change_required;
    Ok(Caller::Person { user, session, password_change_required, origin: Origin::default() })
}

/// Forgets sessions that are over for good.
pub async fn sweep(env: &Env) -> Result<u64, DbErr> {
    store::delete_sessions(&env.db.api, env.now()).await
}

async fn alive(env: &Env, session: SessionId, now: Moment) -> Result<Alive> {
    let key = belief_key(session);
    let asked = match beliefs(env).look(&key, now) {
        Belief::Known(alive) => return Ok(alive),
        Belief::Unknown(asked) => asked,
    };
    let found = store::find_session(&env.db.api, session).await?;
    let found = found.filter(|found| found.end_time.is_none()).ok_or_else(Error::credentials_invalid)?;
    let user = store::find_user(&env.db.api, found.user_id).await?.ok_or_else(Error::credentials_invalid)?;
    let alive = Alive {
        user: user.id,
        password_change_required: user.password_change_required,
        expire_time: found.expire_time,
    };
    beliefs(env).keep(asked, &key, alive, now);
    Ok(alive)
}

fn tokens(env: &Env, session: &Session, refresh: &RefreshToken, now: Moment) -> Result<Tokens> {
    let keyring = keyring(env);
    let (access, access_expire_time) =
        keyring.access((session.user_id, session.id, env.ids.uuid(now)), session.expire_time, now)?;
    Ok(Tokens {
        access,
        access_expire_time,
        refresh: keyring.write_refresh(refresh),
        refresh_expire_time: session.refresh_expire_time,
    })
}

fn sign_in_failed() -> Error {
    Error::new(Reason::SignInFailed, "e-mail and password do not belong together")
}

fn keyring(env: &Env) -> Arc<Keyring> {
    env.memory.of(|| Keyring::of(&env.secrets))
}

fn beliefs(env: &Env) -> Arc<Beliefs<Alive>> {
    env.memory.of(|| Beliefs::new(BELIEFS, &*env.fanout))
}

fn belief_key(session: SessionId) -> Vec<u8> {
    [b"session ".as_slice(), session.0.as_bytes()].concat()
}

async fn retract(env: &Env, sessions: &[SessionId]) {
    for session in sessions {
        beliefs(env).retract(&*env.fanout, &belief_key(*session)).await;
    }
}
