//! The second factor: codes of an authenticator app, and recovery codes for when it is lost.
//!
//! - [`totp`]           codes of apps
//! - [`recovery_codes`] codes on paper
//! - `store`            queries of `second_factors` and `recovery_codes`
//!
//! Guarantees: a step's code is good once, on whatever node it is used twice; a recovery code too. The secret stands sealed in the
//! database. Whoever changes the factor proves their password, and is told of it by mail.

pub mod recovery_codes;
mod store;
pub mod totp;

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbErr};
use secrecy::ExposeSecret as _;

use super::{
    Client, How, User, account_tokens, attempts, known,
    letters::{self, News},
    noted::note,
    password, sessions,
    sign_in::{password_wrong, refused, verify_password},
    store as people_store, throttle,
};
use crate::{
    clock::Moment,
    entity::second_factor::Model as Factor,
    env::Env,
    error::{Error, Reason, Result},
    ids::UserId,
    sealing::Seal,
    trail::{Action, Changes, Who},
};

/// What is shown as a second factor.
pub enum Proof {
    /// A code of the app.
    Code(String),
    /// A recovery code.
    RecoveryCode(String),
}

/// What an app is told: shown once.
pub struct Enrolment {
    /// The secret as people type it.
    pub secret: String,
    /// The same as apps read it from a QR code.
    pub uri: String,
}

/// Says whether a person has a second factor that was confirmed.
pub async fn is_enrolled(db: &impl ConnectionTrait, user: UserId) -> Result<bool, DbErr> {
    Ok(store::find(db, user).await?.is_some_and(|factor| factor.confirm_time.is_some()))
}

/// Makes a secret for a person's app. Nothing is asked for until [`confirm`].
pub async fn enroll(env: &Env, user: UserId, password: &str, client: &Client) -> Result<Enrolment> {
    let now = env.now();
    let user = known(env, user).await?;
    let attempt = verify_password(env, &user, password, client, now).await?;
    let secret = env.ids.bytes::<{ totp::SECRET }>();
    let sealed = seal(env).seal(&env.ids, user.id.0.as_bytes(), &secret);
    let tx = env.db.begin().await?;
    lock(&tx, &user).await?;
    if is_enrolled(&tx, user.id).await? {
        return Err(enrolled());
    }
    store::put(&tx, user.id, sealed, now).await?;
    attempts::succeeded(&tx, &attempt).await?;
    tx.commit().await?;
    Ok(Enrolment { secret: totp::text(&secret), uri: totp::uri(&secret, &user.email) })
}

/// Confirms a second factor by a first code, and returns the recovery codes.
pub async fn confirm(env: &Env, user: UserId, code: &str, client: &Client) -> Result<Vec<String>> {
    let now = env.now();
    let user = known(env, user).await?;
    let account = (user.email.as_str(), Some(user.id));
    let attempt = attempts::begin(env, throttle::Purpose::Code, account, client, now).await?;
    let tx = env.db.begin().await?;
    lock(&tx, &user).await?;
    let factor = store::find(&tx, user.id).await?.ok_or_else(not_enrolled)?;
    if factor.confirm_time.is_some() {
        return Err(enrolled());
    }
    if !is_code(env, &tx, &factor, code, now).await? {
        return Err(failed());
    }
    store::confirm(&tx, user.id, now).await?;
    noted(env, &tx, Action::SecondFactorEnrolled, user.id, client, now).await?;
    let codes = new_codes(env, &tx, user.id).await?;
    attempts::succeeded(&tx, &attempt).await?;
    letters::tell(env, &tx, &user.email, News::SecondFactorEnrolled, client, now).await?;
    tx.commit().await?;
    tracing::info!(user.id = %user.id, "a person enrolled a second factor");
    Ok(codes)
}

/// Takes the second factor away. Not from somebody whose password is too short to stand alone.
pub async fn disable(env: &Env, user: UserId, password: &str, client: &Client) -> Result<()> {
    let now = env.now();
    let user = known(env, user).await?;
    let attempt = verify_password(env, &user, password, client, now).await?;
    if password::needs_second_factor(password) {
        return Err(Error::invalid_field(
            "password",
            "has fewer than 15 characters, which is enough with a second factor only: change it first",
        ));
    }
    let tx = env.db.begin().await?;
    lock(&tx, &user).await?;
    if !is_enrolled(&tx, user.id).await? {
        return Err(not_enrolled());
    }
    store::delete(&tx, user.id).await?;
    noted(env, &tx, Action::SecondFactorDisabled, user.id, client, now).await?;
    attempts::succeeded(&tx, &attempt).await?;
    letters::tell(env, &tx, &user.email, News::SecondFactorDisabled, client, now).await?;
    tx.commit().await?;
    tracing::info!(user.id = %user.id, "a person disabled their second factor");
    Ok(())
}

/// Replaces the recovery codes and returns the new ones.
pub async fn regenerate_codes(
    env: &Env,
    user: UserId,
    password: &str,
    client: &Client,
) -> Result<Vec<String>> {
    let now = env.now();
    let user = known(env, user).await?;
    let attempt = verify_password(env, &user, password, client, now).await?;
    let tx = env.db.begin().await?;
    lock(&tx, &user).await?;
    if !is_enrolled(&tx, user.id).await? {
        return Err(not_enrolled());
    }
    let codes = new_codes(env, &tx, user.id).await?;
    noted(env, &tx, Action::RecoveryCodesReplaced, user.id, client, now).await?;
    attempts::succeeded(&tx, &attempt).await?;
    letters::tell(env, &tx, &user.email, News::RecoveryCodesReplaced, client, now).await?;
    tx.commit().await?;
    Ok(codes)
}

async fn noted(
    env: &Env,
    tx: &impl ConnectionTrait,
    action: Action,
    user: UserId,
    client: &Client,
    now: Moment,
) -> Result<(), DbErr> {
    note(env, tx, client.actor(Who::Person(user, None)), (action, Some(user), Changes::none()), now).await
}

/// Goes on with a sign-in whose first proof was right, and opens the session.
pub async fn complete_sign_in(
    env: &Env,
    challenge: &str,
    proof: Proof,
    client: &Client,
) -> Result<(sessions::Tokens, User)> {
    let now = env.now();
    let (first, (id, email)) = challenged(env, challenge, now).await?.ok_or_else(account_tokens::invalid)?;
    let account = (email.as_str(), Some(id));
    let attempt = attempts::begin(env, throttle::Purpose::Code, account, client, now).await?;

    let tx = env.db.begin().await?;
    let user = people_store::lock_user(&tx, id).await?.filter(|user| user.disable_time.is_none());
    let user = user.ok_or_else(account_tokens::invalid)?;
    let factor = store::find(&tx, id).await?.filter(|factor| factor.confirm_time.is_some());
    let factor = factor.ok_or_else(account_tokens::invalid)?;
    let how = match &proof {
        Proof::Code(code) => {
            if !is_code(env, &tx, &factor, code, now).await? {
                tx.rollback().await?;
                refused(env, Some(id), "code", client, now).await?;
                return Err(failed());
            }
            match first {
                First::Password => How::PasswordAndCode,
                First::Identity => How::IdentityAndCode,
            }
        }
        Proof::RecoveryCode(code) => {
            let Some(left) = store::use_code(&tx, id, recovery_codes::hash(id, code)).await? else {
                tx.rollback().await?;
                refused(env, Some(id), "recovery code", client, now).await?;
                return Err(failed());
            };
            letters::tell(env, &tx, &user.email, News::RecoveryCodeUsed { left }, client, now).await?;
            match first {
                First::Password => How::PasswordAndRecoveryCode,
                First::Identity => How::IdentityAndRecoveryCode,
            }
        }
    };
    // The challenge goes when it is used, and with the password that it stands for.
    if !account_tokens::take(&tx, challenge).await? {
        return Err(account_tokens::invalid());
    }
    let opened = sessions::open_session(env, &tx, &user, how, client, now).await?;
    attempts::succeeded(&tx, &attempt).await?;
    attempts::remember(&tx, id, client.network(), now).await?;
    tx.commit().await?;
    Ok((opened.tokens(env, now)?, user))
}

/// What somebody proved before they are asked for the second factor.
#[derive(Debug, Clone, Copy)]
enum First {
    /// By their password.
    Password,
    /// By the identity provider.
    Identity,
}

/// Returns who was challenged, and after which proof.
async fn challenged(
    env: &Env,
    challenge: &str,
    now: Moment,
) -> Result<Option<(First, (UserId, String))>, DbErr> {
    use account_tokens::Purpose;
    for (first, purpose) in [(First::Password, Purpose::SignIn), (First::Identity, Purpose::OidcSignIn)] {
        if let Some(found) = account_tokens::find(&env.db.api, purpose, challenge, now).await? {
            return Ok(Some((first, found)));
        }
    }
    Ok(None)
}

/// Takes a person's second factor away without asking them; the operator's way. Says whether there was one.
pub(super) async fn remove(tx: &impl ConnectionTrait, user: UserId) -> Result<bool, DbErr> {
    store::delete(tx, user).await
}

/// Says whether a code is one of now, and uses it up.
async fn is_code(
    env: &Env,
    tx: &impl ConnectionTrait,
    factor: &Factor,
    code: &str,
    now: Moment,
) -> Result<bool> {
    let secret = seal(env).open(factor.user_id.0.as_bytes(), &factor.secret);
    let secret = secret.ok_or_else(|| {
        Error::internal(
            "a second factor was sealed under another SESSION_SECRET: `linkforty user reset-second-factor`",
        )
    })?;
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    match totp::matching_step(&secret, &code, factor.last_step, now) {
        Some(step) => Ok(store::use_step(tx, factor.user_id, step).await?),
        None => Ok(false),
    }
}

async fn new_codes(env: &Env, tx: &impl ConnectionTrait, user: UserId) -> Result<Vec<String>> {
    let codes = recovery_codes::make(&env.ids);
    let hashes = codes.iter().map(|code| recovery_codes::hash(user, code)).collect();
    store::replace_codes(tx, user, hashes).await?;
    Ok(codes)
}

/// Locks a person, whose password may have been changed since it was proved.
async fn lock(tx: &impl ConnectionTrait, user: &User) -> Result<()> {
    let locked = people_store::lock_user(tx, user.id).await?;
    if locked.is_some_and(|locked| locked.password_hash == user.password_hash) {
        Ok(())
    } else {
        Err(password_wrong())
    }
}

/// The key that secrets of apps are sealed under.
struct FactorSeal(Seal);

fn seal(env: &Env) -> Seal {
    let secret = || env.secrets.session.expose_secret().as_bytes();
    let seal: Arc<FactorSeal> = env.memory.of(|| FactorSeal(Seal::derive(secret(), "second factors")));
    seal.0.clone()
}

fn failed() -> Error {
    Error::new(Reason::SecondFactorFailed, "the code is not the one of now, or was used before")
}

fn enrolled() -> Error {
    Error::new(Reason::SecondFactorEnrolled, "there is a second factor already; disable it first")
}

fn not_enrolled() -> Error {
    Error::new(Reason::SecondFactorNotEnrolled, "there is no second factor; enroll one first")
}
