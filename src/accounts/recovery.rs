//! Ways back in, and whether an e-mail reaches its person: links by mail.

use super::{
    Client, User,
    account_tokens::{self, Purpose},
    attempts, known,
    letters::{self, News},
    noted::note,
    password::{self, Person},
    second_factor,
    sessions::retract,
    store, throttle,
};
use crate::{
    email,
    env::Env,
    error::{Result, Violations},
    ids::UserId,
    mail,
    trail::{Action, Changes, Who},
};

/// Sends somebody a link to set a new password with. Whether there is anybody with that e-mail cannot be told from the answer, nor
/// from how long it takes: what is written for nobody is written all the same, and sent to nobody.
pub async fn request_password_reset(env: &Env, email: &str, client: &Client) -> Result<()> {
    let now = env.now();
    let email = email::fold(email);
    let known = store::find_user_by_email(&env.db.api, &email).await?;
    let account = (email.as_str(), known.as_ref().map(|user| user.id));
    attempts::begin(env, throttle::Purpose::Mail, account, client, now).await?;
    let known = known.filter(|user| user.disable_time.is_none());
    send_link(env, Purpose::PasswordReset, known.as_ref(), client).await
}

/// Sends a signed-in person a link to prove their e-mail with; nothing to one who has.
pub async fn request_email_verification(env: &Env, user: UserId, client: &Client) -> Result<()> {
    let known = known(env, user).await?;
    if known.email_verify_time.is_some() {
        return Ok(());
    }
    let account = (known.email.as_str(), Some(known.id));
    attempts::begin(env, throttle::Purpose::Mail, account, client, env.now()).await?;
    send_link(env, Purpose::EmailVerification, Some(&known), client).await
}

async fn send_link(env: &Env, purpose: Purpose, user: Option<&User>, client: &Client) -> Result<()> {
    let now = env.now();
    let to = user.map(|user| user.email.as_str()).unwrap_or_default();
    let tx = env.db.begin().await?;
    let token = account_tokens::make(&tx, &env.ids, purpose, user, now).await?;
    let letter = match purpose {
        Purpose::EmailVerification => letters::email_verification(&env.config, to, &token),
        Purpose::PasswordReset | Purpose::SignIn | Purpose::OidcSignIn => {
            letters::password_reset(&env.config, to, &token)
        }
    };
    mail::post(env, &tx, &letter, purpose.life(), now).await?;
    let action = match purpose {
        Purpose::EmailVerification => Action::EmailVerificationRequested,
        Purpose::PasswordReset | Purpose::SignIn | Purpose::OidcSignIn => Action::PasswordResetRequested,
    };
    let what = (action, user.map(|user| user.id), Changes::none());
    note(env, &tx, client.actor(Who::Anybody), what, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Sets a new password with a token from a mail, ends all sessions of the person, and takes their e-mail for proved. Nobody is signed in
/// by it: who has a second factor is still asked for it.
pub async fn reset_password(env: &Env, token: &str, new: &str, client: &Client) -> Result<()> {
    let now = env.now();
    let found = account_tokens::find(&env.db.api, Purpose::PasswordReset, token, now).await?;
    let (id, email) = found.ok_or_else(account_tokens::invalid)?;
    let user = store::find_user(&env.db.api, id).await?.ok_or_else(account_tokens::invalid)?;
    let second_factor = second_factor::is_enrolled(&env.db.api, id).await?;
    let mut violations = Violations::default();
    for fault in password::faults(new, Person { second_factor, ..Person::of(&user) }, None) {
        violations.add("new_password", fault);
    }
    violations.into_result(())?;
    let hash = password::hash(env, new).await?;

    let tx = env.db.begin().await?;
    // Whoever signs in at the same time comes before or after, not in between.
    let locked = store::lock_user(&tx, id).await?;
    let good = |locked: &User| locked.disable_time.is_none() && locked.email == email;
    if !locked.as_ref().is_some_and(good) || !account_tokens::take(&tx, token).await? {
        return Err(account_tokens::invalid());
    }
    store::set_password(&tx, id, hash, false, now).await?;
    store::set_email_verified(&tx, id, now).await?;
    let what = (Action::PasswordReset, Some(id), Changes::none().with("how", "mail"));
    note(env, &tx, client.actor(Who::Person(id, None)), what, now).await?;
    account_tokens::end_all(&tx, id).await?;
    let ended = store::end_sessions(&tx, id, None, now).await?;
    // They were just told from here that the account is theirs: strangers who guess cannot keep them out.
    attempts::remember(&tx, id, client.network(), now).await?;
    letters::tell(env, &tx, &email, News::PasswordChanged, client, now).await?;
    tx.commit().await?;
    retract(env, &ended).await;
    tracing::info!(user.id = %id, sessions = ended.len(), "a person set a new password by mail");
    Ok(())
}

/// Takes an e-mail for proved, with a token from a mail to it.
pub async fn verify_email(env: &Env, token: &str, client: &Client) -> Result<()> {
    let now = env.now();
    let found = account_tokens::find(&env.db.api, Purpose::EmailVerification, token, now).await?;
    let (id, email) = found.ok_or_else(account_tokens::invalid)?;
    let tx = env.db.begin().await?;
    let locked = store::lock_user(&tx, id).await?;
    if locked.is_none_or(|locked| locked.email != email) || !account_tokens::take(&tx, token).await? {
        return Err(account_tokens::invalid());
    }
    store::set_email_verified(&tx, id, now).await?;
    let what = (Action::EmailVerified, Some(id), Changes::none());
    note(env, &tx, client.actor(Who::Person(id, None)), what, now).await?;
    tx.commit().await?;
    tracing::info!(user.id = %id, "a person proved their e-mail");
    Ok(())
}
