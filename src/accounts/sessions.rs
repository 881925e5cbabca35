//! Sessions: how one begins, goes on, is looked at and ends.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::{
    Client, Session, User, account_tokens, attempts, handles,
    noted::note,
    refresh::{self, Lives, Verdict},
    store::{self, Replacement},
    tokens::{Keyring, RefreshToken},
};
use crate::{
    cache::{Belief, Beliefs},
    clock::Moment,
    env::Env,
    error::{Error, Reason, Result},
    ids::{SessionId, UserId},
    page::{Cursor, Page, PageRequest},
    rpc::Caller,
    trail::{Action, Actor, Changes, Origin, Who},
    workspaces,
};

/// How many sessions a node believes at once.
const BELIEFS: usize = 10_000;
/// How often a refresh looks again after another one came first.
const REFRESH_TRIES: usize = 5;

/// The two tokens of a session.
#[derive(Clone)]
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

impl std::fmt::Debug for Tokens {
    // They are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("access_expire_time", &self.access_expire_time).finish_non_exhaustive()
    }
}

/// How a person proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By their password.
    Password,
    /// By their password and a code of their app.
    PasswordAndCode,
    /// By their password and a recovery code.
    PasswordAndRecoveryCode,
    /// By the identity provider.
    Identity,
    /// By the identity provider and a code of their app.
    IdentityAndCode,
    /// By the identity provider and a recovery code.
    IdentityAndRecoveryCode,
    /// By a passkey, whose authenticator asked for something besides: two factors.
    Passkey,
}

impl How {
    /// Returns what the audit trail calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::PasswordAndCode => "password and code",
            Self::PasswordAndRecoveryCode => "password and recovery code",
            Self::Identity => "identity",
            Self::IdentityAndCode => "identity and code",
            Self::IdentityAndRecoveryCode => "identity and recovery code",
            Self::Passkey => "passkey",
        }
    }
}

/// A session that has just begun, inside the transaction that makes it so.
pub struct Opened {
    session: Session,
    token: RefreshToken,
}

/// What is believed of a session that was alive when it was looked up.
#[derive(Debug, Clone, Copy)]
struct Alive {
    user: UserId,
    password_change_required: bool,
    expire_time: Moment,
}

/// Opens a session of a person who has proved who they are; the one way in which sessions begin. The caller holds the lock of the
/// person's row, and asks for the [`Opened::tokens`] after the commit.
pub async fn open_session(
    env: &Env,
    tx: &impl ConnectionTrait,
    user: &User,
    how: How,
    client: &Client,
    now: Moment,
) -> Result<Opened> {
    let id = SessionId::mint(&env.ids, now);
    let token = RefreshToken::first(id, env.ids.bytes());
    let lives = lives(env);
    let expire_time = now + lives.session;
    let session = Session {
        id,
        user_id: user.id,
        refresh_hash: token.hash(),
        previous_refresh_hash: None,
        rotate_time: now,
        create_time: now,
        refresh_expire_time: refresh::refresh_end(expire_time, lives, now),
        expire_time,
        end_time: None,
        user_agent: client.user_agent.clone(),
        address: client.address_text(),
    };
    store::insert_session(tx, &session).await?;
    let actor = client.actor(Who::Person(user.id, Some(id)));
    let what = (Action::SessionOpened, Some(user.id), Changes::none().with("how", how.name()));
    note(env, tx, actor, what, now).await?;
    metrics::counter!("linkforty_sign_ins_total", "how" => how.name()).increment(1);
    tracing::info!(user.id = %user.id, session.id = %id, how = ?how, "a person signed in");
    Ok(Opened { session, token })
}

impl Opened {
    /// Returns the tokens of the session.
    pub fn tokens(&self, env: &Env, now: Moment) -> Result<Tokens> {
        tokens(env, &self.session, &self.token, now)
    }
}

/// Exchanges a refresh token for new tokens.
pub async fn refresh(env: &Env, refresh_token: &str, client: &Client) -> Result<Tokens> {
    let now = env.now();
    let keyring = keyring(env);
    let presented = keyring.read_refresh(refresh_token).ok_or_else(Error::credentials_invalid)?;
    let next = keyring.next(&presented);
    for _ in 0..REFRESH_TRIES {
        let found = store::find_session(&env.db.api, presented.session).await?;
        let session = found.ok_or_else(Error::credentials_invalid)?;
        match refresh::judge(&session, &presented.hash(), now) {
            Verdict::Rotate => {
                let end = refresh::refresh_end(session.expire_time, lives(env), now);
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
                let what = (Action::SessionTokenReused, Some(session.user_id), of(session.id));
                end(env, session.id, (client.actor(Who::Anybody), what), now).await?;
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

/// Returns the session of a refresh token; `None` unless it is one of ours.
pub fn of_refresh_token(env: &Env, token: &str) -> Option<SessionId> {
    keyring(env).read_refresh(token).map(|token| token.session)
}

/// Ends the session that a person signs out of.
pub async fn sign_out(env: &Env, (user, session): (UserId, SessionId), client: &Client) -> Result<()> {
    let actor = client.actor(Who::Person(user, Some(session)));
    end(env, session, (actor, (Action::SessionEnded, Some(user), of(session))), env.now()).await
}

async fn end(
    env: &Env,
    session: SessionId,
    (actor, what): (Actor, (Action, Option<UserId>, Changes)),
    now: Moment,
) -> Result<()> {
    let tx = env.db.begin().await?;
    if store::end_session(&tx, session, now).await? {
        note(env, &tx, actor, what, now).await?;
    }
    tx.commit().await?;
    retract(env, &[session]).await;
    Ok(())
}

fn of(session: SessionId) -> Changes {
    Changes::none().without("session", session.to_string())
}

/// Lists the sessions of a person that live, the newest first.
pub async fn list(env: &Env, user: UserId, page: &PageRequest) -> Result<Page<Session>> {
    let after = match &page.after {
        Some(cursor) => Some(SessionId::parse(&cursor.id).ok_or_else(|| Error::internal("no session's id"))?),
        None => None,
    };
    let limit = u64::from(page.size) + 1;
    let rows = store::list_sessions(&env.db.api, user, after, limit, env.now()).await?;
    Ok(Page::of(rows, page.size, |session| Cursor { key: String::new(), id: session.id.to_string() }))
}

/// Ends a session of a person, who calls in another. One that is over already stays so.
pub async fn revoke(
    env: &Env,
    (user, current): (UserId, SessionId),
    session: SessionId,
    client: &Client,
) -> Result<()> {
    let found = store::find_session(&env.db.api, session).await?;
    if found.is_none_or(|found| found.user_id != user) {
        return Err(Error::not_found("session"));
    }
    let actor = client.actor(Who::Person(user, Some(current)));
    end(env, session, (actor, (Action::SessionEnded, Some(user), of(session))), env.now()).await?;
    tracing::info!(user.id = %user, session.id = %session, "a session was ended by its owner");
    Ok(())
}

/// Ends all sessions of a person but one, and says how many.
pub async fn revoke_others(env: &Env, user: UserId, keep: SessionId, client: &Client) -> Result<usize> {
    let now = env.now();
    let tx = env.db.begin().await?;
    // Locked, so that a sign-in comes before or after, not in between.
    store::lock_user(&tx, user).await?.ok_or_else(Error::credentials_invalid)?;
    let ended = store::end_sessions(&tx, user, Some(keep), now).await?;
    let changes = Changes::none().without("sessions", ended.len());
    let actor = client.actor(Who::Person(user, Some(keep)));
    note(env, &tx, actor, (Action::OtherSessionsEnded, Some(user), changes), now).await?;
    tx.commit().await?;
    retract(env, &ended).await;
    tracing::info!(user.id = %user, sessions = ended.len(), "the other sessions were ended by their owner");
    Ok(ended.len())
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

/// Forgets sessions and tokens that are over for good, and tries that are forgiven. Says how many sessions those were.
pub async fn sweep(env: &Env) -> Result<u64, DbErr> {
    let now = env.now();
    let sessions = store::delete_sessions(&env.db.api, now).await?;
    attempts::sweep(&env.db.api, now).await?;
    account_tokens::sweep(&env.db.api, now).await?;
    handles::sweep(&env.db.api, now).await?;
    Ok(sessions)
}

async fn alive(env: &Env, session: SessionId, now: Moment) -> Result<Alive> {
    let key = belief_key(session.0);
    let asked = match beliefs(env).look(&key, now) {
        Belief::Known(alive) => return Ok(alive),
        Belief::Unknown(asked) => asked,
    };
    let found = store::find_session(&env.db.api, session).await?;
    let found = found.filter(|found| found.end_time.is_none()).ok_or_else(Error::credentials_invalid)?;
    let user = store::find_user(&env.db.api, found.user_id).await?;
    let user = user.filter(|user| user.disable_time.is_none()).ok_or_else(Error::credentials_invalid)?;
    let alive = Alive {
        user: user.id,
        password_change_required: user.password_change_required,
        expire_time: found.expire_time,
    };
    beliefs(env).keep(asked, &key, alive, now);
    Ok(alive)
}

pub(super) fn tokens(env: &Env, session: &Session, refresh: &RefreshToken, now: Moment) -> Result<Tokens> {
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

/// Returns how long sessions live here.
pub(super) fn lives(env: &Env) -> Lives {
    Lives::of(&env.config.sessions)
}

pub(super) fn keyring(env: &Env) -> Arc<Keyring> {
    env.memory.of(|| Keyring::of(&env.secrets))
}

fn beliefs(env: &Env) -> Arc<Beliefs<Alive>> {
    env.memory.of(|| Beliefs::new(BELIEFS, &*env.fanout))
}

fn belief_key(session: Uuid) -> Vec<u8> {
    [b"session ".as_slice(), session.as_bytes()].concat()
}

/// Ends what is believed of sessions, on every node. Call it after the commit.
pub(super) async fn retract(env: &Env, sessions: &[SessionId]) {
    for session in sessions {
        beliefs(env).retract(&*env.fanout, &belief_key(session.0)).await;
    }
}
