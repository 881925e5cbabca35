//! Signing in, and changing the password one signs in with.

use sea_orm::DatabaseTransaction;

use chrono::TimeDelta;

use super::{
    Client, How, Session, Tokens, User, account_tokens,
    attempts::{self, Attempt},
    known,
    letters::{self, News},
    noted::note,
    password::{self, Person},
    refresh, second_factor,
    sessions::{lives, open_session, retract, tokens},
    store::{self, Replacement},
    throttle::Purpose,
    tokens::RefreshToken,
};
use crate::{
    clock::Moment,
    email,
    env::Env,
    error::{Error, Reason, Result, Violations},
    ids::{SessionId, UserId},
    trail::{Action, Changes, Who},
};

/// How long a sign-in stands for the password where that may be left out.
const RECENT: TimeDelta = TimeDelta::minutes(10);

/// What a first proof that is right leads to.
#[derive(Debug)]
pub enum SignedIn {
    /// A session.
    Session(Tokens, Box<User>),
    /// The question for a second factor.
    Challenge(Challenge),
}

/// Stands between a first proof that is right and a session, for whoever has a second factor.
pub struct Challenge {
    /// What to go on with: good once, for nothing else, and for five minutes.
    pub token: String,
    /// When it ends.
    pub expire_time: Moment,
}

impl std::fmt::Debug for Challenge {
    // It is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenge").field("expire_time", &self.expire_time).finish_non_exhaustive()
    }
}

/// Checks an e-mail and a password, and opens a session, or asks for the second factor.
pub async fn sign_in(env: &Env, email: &str, password: &str, client: &Client) -> Result<SignedIn> {
    let now = env.now();
    let email = email::fold(email);
    let known = store::find_user_by_email(&env.db.api, &email).await?;
    let account = (email.as_str(), known.as_ref().map(|user| user.id));
    let attempt = attempts::begin(env, Purpose::SignIn, account, client, now).await?;
    let stored = known.as_ref().map(|user| user.password_hash.as_str());
    let right = password::verify(env, password, stored).await?;
    let account = known.as_ref().map(|user| user.id);
    let Some(user) = known.filter(|_| right) else {
        // Of nobody too, so that it takes as long.
        refused(env, account, "password", client, now).await?;
        return Err(sign_in_failed());
    };

    let tx = env.db.begin().await?;
    // The password may have been changed while we were checking it, and the change ended only the sessions it saw.
    let locked = store::lock_user(&tx, user.id).await?;
    let same = |locked: &User| locked.password_hash == user.password_hash && locked.disable_time.is_none();
    let user = locked.filter(same).ok_or_else(sign_in_failed)?;
    attempts::succeeded(&tx, &attempt).await?;
    conclude(env, tx, user, (How::Password, account_tokens::Purpose::SignIn), client, now).await
}

/// Opens a session for whoever has proved who they are, or asks for the second factor; `challenge` says what the answer to that goes on with.
pub(super) async fn conclude(
    env: &Env,
    tx: DatabaseTransaction,
    user: User,
    (how, challenge): (How, account_tokens::Purpose),
    client: &Client,
    now: Moment,
) -> Result<SignedIn> {
    if second_factor::is_enrolled(&tx, user.id).await? {
        let token = account_tokens::make(&tx, &env.ids, challenge, Some(&user), now).await?;
        tx.commit().await?;
        return Ok(SignedIn::Challenge(Challenge { token, expire_time: now + challenge.life() }));
    }
    let opened = open_session(env, &tx, &user, how, client, now).await?;
    attempts::remember(&tx, user.id, client.network(), now).await?;
    tx.commit().await?;
    Ok(SignedIn::Session(opened.tokens(env, now)?, Box::new(user)))
}

/// Sets a new password, ends the person's other sessions and gives this one new tokens.
pub async fn change_password(
    env: &Env,
    (user, session): (UserId, SessionId),
    (current, new): (&str, &str),
    client: &Client,
) -> Result<Tokens> {
    let now = env.now();
    let known = known(env, user).await?;
    let mut violations = Violations::default();
    let second_factor = second_factor::is_enrolled(&env.db.api, user).await?;
    for fault in password::faults(new, Person { second_factor, ..Person::of(&known) }, Some(current)) {
        violations.add("new_password", fault);
    }
    violations.into_result(())?;
    let attempt = verify_password(env, &known, current, client, now).await?;
    let hash = password::hash(env, new).await?;
    let token = RefreshToken::first(session, env.ids.bytes());

    let tx = env.db.begin().await?;
    // Whoever signs in or changes the password at the same time comes before or after, not in between.
    let locked = store::lock_user(&tx, user).await?;
    if locked.is_none_or(|locked| locked.password_hash != known.password_hash) {
        return Err(password_wrong());
    }
    attempts::succeeded(&tx, &attempt).await?;
    store::set_password(&tx, user, hash, false, now).await?;
    let actor = client.actor(Who::Person(user, Some(session)));
    note(env, &tx, actor, (Action::PasswordChanged, Some(user), Changes::none()), now).await?;
    account_tokens::end_all(&tx, user).await?;
    letters::tell(env, &tx, &known.email, News::PasswordChanged, client, now).await?;
    let mut changed = store::end_sessions(&tx, user, Some(session), now).await?;
    let stored = store::find_session(&tx, session).await?.ok_or_else(Error::credentials_invalid)?;
    let end = refresh::refresh_end(stored.expire_time, lives(env), now);
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

/// Checks the password of somebody who is signed in already: a session that was left open is not enough to take an account over.
/// The try is the caller's to take back, in the transaction of what it was for.
pub(super) async fn verify_password(
    env: &Env,
    user: &User,
    password: &str,
    client: &Client,
    now: Moment,
) -> Result<Attempt> {
    let account = (user.email.as_str(), Some(user.id));
    let attempt = attempts::begin(env, Purpose::SignIn, account, client, now).await?;
    if password::verify(env, password, Some(&user.password_hash)).await? {
        Ok(attempt)
    } else {
        refused(env, Some(user.id), "current password", client, now).await?;
        Err(password_wrong())
    }
}

/// Lets somebody go on who is signed in and proves again who they are: by their password, or by having signed in a moment ago, since not
/// everybody has a password. The try, if there was one, is the caller's to take back.
pub(super) async fn prove_again(
    env: &Env,
    (user, session): (&User, SessionId),
    password: &str,
    client: &Client,
    now: Moment,
) -> Result<Option<Attempt>> {
    if !password.is_empty() {
        return verify_password(env, user, password, client, now).await.map(Some);
    }
    let session = store::find_session(&env.db.api, session).await?.ok_or_else(Error::credentials_invalid)?;
    if now < session.create_time + RECENT {
        Ok(None)
    } else {
        Err(Error::new(
            Reason::SignInFailed,
            "the session is older than ten minutes: give the current password, or sign in again",
        ))
    }
}

/// Notes that a proof was wrong.
pub(super) async fn refused(
    env: &Env,
    user: Option<UserId>,
    what: &str,
    client: &Client,
    now: Moment,
) -> Result<()> {
    metrics::counter!("linkforty_sign_ins_refused_total", "wrong" => what.to_owned()).increment(1);
    let changes = Changes::none().with("wrong", what);
    let what = (Action::SessionRefused, user, changes);
    Ok(note(env, &env.db.api, client.actor(Who::Anybody), what, now).await?)
}

fn sign_in_failed() -> Error {
    Error::new(Reason::SignInFailed, "e-mail and password do not belong together")
}

pub(super) fn password_wrong() -> Error {
    Error::new(Reason::SignInFailed, "the current password is wrong")
}
