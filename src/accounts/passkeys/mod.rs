//! Passkeys: signing in by something that a person has and unlocks, without a name and a password.
//!
//! - [`ceremony`] what browsers are told and what comes back
//! - `fault`      why a passkey is not believed
//! - `store`      queries of `passkeys`
//! - `grpc`       the methods of `AuthService`
//!
//! Guarantees: a challenge is good once, for five minutes, whatever comes of it and on whatever node. A passkey is a way in beside the
//! password, not a second factor to it, so it makes no password shorter; it stands for two factors itself, since its authenticator must make
//! sure who uses it. Whoever adds or deletes one proves who they are, and the person is told by mail. A signature counter never goes back.

pub mod ceremony;
mod fault;
mod grpc;
mod store;

use sea_orm::{ConnectionTrait, DbErr};

use self::ceremony::{Party, Shown};
use super::{
    Client, How, Tokens, User, account_tokens, attempts,
    handles::{self, Purpose},
    known,
    letters::{self, News},
    noted::note,
    second_factor, sessions,
    sign_in::{prove_again, refused},
    store as people_store,
};
pub use crate::entity::passkey::Model as Passkey;
use crate::{
    clock::Moment,
    env::Env,
    error::{Error, Reason, Result},
    ids::{PasskeyId, SessionId, UserId},
    trail::{Action, Changes, Who},
};

/// How many a person may have.
const MOST: usize = 20;
const MAX_NAME_CHARACTERS: usize = 100;

/// A ceremony that a browser goes on with.
pub struct Begun {
    /// What it is told.
    pub options: String,
    /// What to come back with.
    pub handle: String,
    /// When that ends.
    pub expire_time: Moment,
}

/// Reads the name of a passkey, or says what is wrong with it.
pub fn name(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    let fine =
        (1..=MAX_NAME_CHARACTERS).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fine {
        Ok(name.to_owned())
    } else {
        Err("must have 1 to 100 characters, none of them a control character")
    }
}

/// Begins to add a passkey.
pub async fn begin_registration(
    env: &Env,
    party: &Party,
    (user, session): (UserId, SessionId),
    password: &str,
    client: &Client,
) -> Result<Begun> {
    let now = env.now();
    let user = known(env, user).await?;
    if let Some(attempt) = prove_again(env, (&user, session), password, client, now).await? {
        attempts::succeeded(&env.db.api, &attempt).await?;
    }
    let passkeys = store::list(&env.db.api, user.id).await?;
    require_room(&passkeys)?;
    let begun = party.begin_registration(&user, &passkeys);
    let begun = begun.ok_or_else(|| Error::internal("no options for a passkey of this person"))?;
    let what = (Purpose::PasskeyRegistration, &*handles::of_session(user.id, session));
    let (handle, expire_time) = handles::seal(env, what, begun.state, now);
    Ok(Begun { options: begun.options, handle, expire_time })
}

/// Adds the passkey that an authenticator made.
pub async fn finish_registration(
    env: &Env,
    party: &Party,
    (user, session): (UserId, SessionId),
    (handle, credential, name): (&str, &str, String),
    client: &Client,
) -> Result<Passkey> {
    let now = env.now();
    let what = (Purpose::PasskeyRegistration, &*handles::of_session(user, session));
    let state = take(env, what, handle, now).await?;
    let made = match party.finish_registration(&state, credential) {
        Ok(made) => made,
        Err(fault) => {
            refused(env, Some(user), &format!("new passkey: {fault}"), client, now).await?;
            return Err(Error::new(
                Reason::PasskeyRefused,
                "what the authenticator says of the passkey cannot be believed; begin again",
            )
            .with("fault", fault));
        }
    };
    let passkey = Passkey {
        id: PasskeyId::mint(&env.ids, now),
        user_id: user,
        credential_id: made.credential_id,
        name,
        transports: made.transports,
        public_key: made.public_key,
        state: made.state,
        create_time: now,
        use_time: None,
    };
    let tx = env.db.begin().await?;
    let user = people_store::lock_user(&tx, user).await?.ok_or_else(Error::credentials_invalid)?;
    require_room(&store::list(&tx, user.id).await?)?;
    if !store::insert(&tx, &passkey).await? {
        return Err(Error::new(Reason::AlreadyExists, "this passkey was added before")
            .with("field", "credential_json"));
    }
    let changes = Changes::none().with("passkey", passkey.id.to_string()).with("name", passkey.name.clone());
    noted(env, &tx, (Action::PasskeyAdded, changes), (user.id, session), client, now).await?;
    letters::tell(env, &tx, &user.email, News::PasskeyAdded { name: passkey.name.clone() }, client, now)
        .await?;
    tx.commit().await?;
    tracing::info!(user.id = %user.id, "a person added a passkey");
    Ok(passkey)
}

/// Lists the passkeys of a person.
pub async fn list(env: &Env, user: UserId) -> Result<Vec<Passkey>> {
    Ok(store::list(&env.db.api, user).await?)
}

/// Gives a passkey another name.
pub async fn rename(
    env: &Env,
    who: (UserId, SessionId),
    (id, name): (PasskeyId, String),
    client: &Client,
) -> Result<Passkey> {
    let now = env.now();
    let tx = env.db.begin().await?;
    let before = store::find(&tx, who.0, id).await?.ok_or_else(|| Error::not_found("passkey"))?;
    if before.name != name {
        store::rename(&tx, id, &name).await?;
        let changes = Changes::none().without("name", before.name.clone()).with("name", name.clone());
        noted(env, &tx, (Action::PasskeyRenamed, changes), who, client, now).await?;
    }
    tx.commit().await?;
    Ok(Passkey { name, ..before })
}

/// Takes a passkey from a person.
pub async fn delete(
    env: &Env,
    who: (UserId, SessionId),
    (id, password): (PasskeyId, &str),
    client: &Client,
) -> Result<()> {
    let now = env.now();
    let user = known(env, who.0).await?;
    let attempt = prove_again(env, (&user, who.1), password, client, now).await?;
    let tx = env.db.begin().await?;
    if let Some(attempt) = attempt {
        attempts::succeeded(&tx, &attempt).await?;
    }
    let Some(gone) = store::find(&tx, user.id, id).await? else {
        tx.commit().await?;
        return Err(Error::not_found("passkey"));
    };
    store::delete(&tx, id).await?;
    let changes = Changes::none().without("passkey", id.to_string()).without("name", gone.name.clone());
    noted(env, &tx, (Action::PasskeyDeleted, changes), who, client, now).await?;
    letters::tell(env, &tx, &user.email, News::PasskeyDeleted { name: gone.name }, client, now).await?;
    tx.commit().await?;
    tracing::info!(user.id = %user.id, "a person deleted a passkey");
    Ok(())
}

/// Takes all passkeys from a person without asking them; the operator's way. Says how many there were.
pub(super) async fn remove_all(tx: &impl ConnectionTrait, user: UserId) -> Result<u64, DbErr> {
    store::delete_all(tx, user).await
}

/// Begins a sign-in.
pub fn begin_sign_in(env: &Env, party: &Party) -> Result<Begun> {
    let begun = party.begin_sign_in().ok_or_else(|| Error::internal("no options for a sign-in"))?;
    let (handle, expire_time) = handles::seal(env, (Purpose::PasskeySignIn, &[]), begun.state, env.now());
    Ok(Begun { options: begun.options, handle, expire_time })
}

/// Opens a session for whoever has the passkey, and says whether they have a second factor besides.
pub async fn finish_sign_in(
    env: &Env,
    party: &Party,
    (handle, shown): (&str, &Shown),
    client: &Client,
) -> Result<(Tokens, User, bool)> {
    let now = env.now();
    let state = take(env, (Purpose::PasskeySignIn, &[]), handle, now).await?;
    let credential = shown.credential_id();
    let Some(found) = store::find_by_credential(&env.db.api, &credential).await? else {
        return Err(turned_away(env, None, "unknown", client, now).await?);
    };
    let tx = env.db.begin().await?;
    // Locked, so that of two sign-ins by one passkey the second sees the counter of the first, and a deleted one is gone.
    let user = people_store::lock_user(&tx, found.user_id).await?;
    let passkey = store::find(&tx, found.user_id, found.id).await?;
    let (Some(user), Some(passkey)) = (user, passkey) else {
        tx.rollback().await?;
        return Err(turned_away(env, Some(found.user_id), "unknown", client, now).await?);
    };
    let judged = party.finish_sign_in(&state, shown, &passkey);
    let judged =
        judged.and_then(|after| if user.disable_time.is_none() { Ok(after) } else { Err("disabled") });
    let after = match judged {
        Ok(after) => after,
        Err(fault) => {
            tx.rollback().await?;
            if fault == "counter" {
                tracing::warn!(
                    user.id = %user.id,
                    passkey.id = %passkey.id,
                    "the signature counter of a passkey went back: there may be a copy of it"
                );
            }
            return Err(turned_away(env, Some(user.id), fault, client, now).await?);
        }
    };
    store::used(&tx, passkey.id, after, now).await?;
    let opened = sessions::open_session(env, &tx, &user, How::Passkey, client, now).await?;
    attempts::remember(&tx, user.id, client.network(), now).await?;
    let enrolled = second_factor::is_enrolled(&tx, user.id).await?;
    tx.commit().await?;
    Ok((opened.tokens(env, now)?, user, enrolled))
}

/// Opens a handle and uses it up.
async fn take(env: &Env, what: (Purpose, &[u8]), handle: &str, now: Moment) -> Result<String> {
    let opened = handles::open::<String>(env, what, handle, now).ok_or_else(account_tokens::invalid)?;
    if opened.take(&env.db.api).await? { Ok(opened.content) } else { Err(account_tokens::invalid()) }
}

/// Notes that a passkey was not believed, and returns the error: the same one whatever is wrong.
async fn turned_away(
    env: &Env,
    user: Option<UserId>,
    fault: &str,
    client: &Client,
    now: Moment,
) -> Result<Error> {
    refused(env, user, &format!("passkey: {fault}"), client, now).await?;
    Ok(Error::new(
        Reason::PasskeyRefused,
        "nobody here has this passkey, or it does not prove itself; begin again",
    ))
}

fn require_room(passkeys: &[Passkey]) -> Result<()> {
    if passkeys.len() < MOST {
        return Ok(());
    }
    Err(Error::new(Reason::TooManyPasskeys, "a person may have 20 passkeys; delete one first")
        .with("limit", MOST.to_string()))
}

async fn noted(
    env: &Env,
    tx: &impl ConnectionTrait,
    (action, changes): (Action, Changes),
    (user, session): (UserId, SessionId),
    client: &Client,
    now: Moment,
) -> Result<(), DbErr> {
    note(env, tx, client.actor(Who::Person(user, Some(session))), (action, Some(user), changes), now).await
}
