//! Ways into a workspace for people who are sent one.
//!
//! Guarantees: a token is shown once, to whoever invites, and stored only as a hash; it is good for one person, once, for seven days.
//! Whoever holds a token that is unknown, over, taken back or used hears the same.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Duration;
use futures::future::BoxFuture;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use uuid::Uuid;

use super::{Membership, Role, Tenant, members, membership, quotas, role, store};
pub use crate::entity::invitation::Model as Invitation;
use crate::{
    clock::Moment,
    email,
    entity::user::Model as User,
    env::Env,
    error::{Error, Reason, Result, Violations},
    hashing,
    idempotency::{self, Claim, Request},
    ids::{InvitationId, SessionId, UserId, WorkspaceId, parse},
    mail::{self, Letter, Part},
    page::{Cursor, Page, PageRequest},
    pb::v1,
    rpc::Permission,
    trail::{self, Action, Actor, Changes, Origin, Who},
};

/// How long an invitation is good for.
pub const LIFE: Duration = Duration::days(7);
/// How long one that is over is still listed.
const KEPT: Duration = Duration::days(30);
/// How many open ones a workspace may have: each may be a mail to somebody who never asked for it.
const MOST: u64 = 100;
const TOKEN_BYTES: usize = 32;

/// Whom to invite, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvitation {
    /// In lower case.
    pub email: String,
    /// Never an owner.
    pub role: Role,
}

/// An invitation that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The invitation.
    pub invitation: Invitation,
    /// What accepts it; `None` when the request was a repeat, since it is stored nowhere.
    pub token: Option<String>,
}

/// How accounts are made for people who were invited. `accounts`, which knows workspaces and not the other way round, says how.
#[derive(Clone, Copy)]
pub struct Newcomers {
    /// Makes an account of an e-mail and what its holder chose, stored nowhere yet. Hashing the password takes a while.
    pub prepare: for<'a> fn(&'a Env, String, v1::NewAccount) -> BoxFuture<'a, Result<User>>,
    /// Stores it; `false` when somebody has the e-mail.
    pub insert: for<'a> fn(&'a DatabaseTransaction, &'a User) -> BoxFuture<'a, Result<bool>>,
}

impl std::fmt::Debug for Newcomers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Newcomers")
    }
}

/// Who accepts an invitation.
#[derive(Debug, Clone, PartialEq)]
pub enum Guest {
    /// Somebody who is signed in.
    Person(UserId, Option<SessionId>),
    /// Somebody without an account, who wants this one.
    Newcomer(v1::NewAccount),
    /// Nobody knows.
    Unknown,
}

/// Reads whom to invite, and notes everything that is wrong with it.
pub fn read(asked: &v1::Invitation, wrong: &mut Violations) -> Option<NewInvitation> {
    let email = wrong.take("invitation.email", email::read(&asked.email));
    let role = match asked.role() {
        v1::Role::Viewer => Some(Role::Viewer),
        v1::Role::Member => Some(Role::Member),
        v1::Role::Admin => Some(Role::Admin),
        v1::Role::Unspecified | v1::Role::Owner => {
            wrong.add("invitation.role", "must be viewer, member or admin");
            None
        }
    };
    Some(NewInvitation { email: email?, role: role? })
}

/// Invites somebody. A repeat of `request` returns the invitation without its token.
pub async fn invite(
    env: &Env,
    tenant: &Tenant,
    new: NewInvitation,
    request: Option<&Request>,
) -> Result<Sent> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        return made_earlier(&tx, tenant, &id).await;
    }
    let workspace = members::lock(&tx, tenant, Permission::MembersWrite).await?;
    if store::has_member_of_email(&tx, tenant.id, &new.email).await? {
        return Err(already("this person belongs to the workspace already"));
    }
    if let Some(before) = store::find_invitation_for(&tx, tenant.id, &new.email).await? {
        if before.expire_time > now {
            return Err(already("this person is invited already: send the invitation again, or revoke it"));
        }
        store::remove_invitation(&tx, tenant.id, before.id).await?;
    }
    require_room(&tx, tenant, now).await?;
    let token = URL_SAFE_NO_PAD.encode(env.ids.bytes::<TOKEN_BYTES>());
    let invitation = Invitation {
        id: InvitationId::mint(&env.ids, now),
        workspace_id: tenant.id,
        email: new.email,
        role: new.role.number(),
        token_hash: hashing::of_token(&token),
        inviter_id: Some(tenant.principal).filter(|id| !id.is_nil()),
        create_time: now,
        expire_time: now + LIFE,
    };
    store::insert_invitation(&tx, &invitation).await?;
    let changes = Changes::none().with("email", invitation.email.clone()).with("role", new.role.name());
    trail::note(&tx, &env.ids, [tenant.did(Action::InvitationCreated, invitation.id.0, changes)], now)
        .await?;
    invited(env, &tx, &workspace.name, &invitation, &token, now).await?;
    idempotency::made(&tx, request, invitation.id.to_string()).await?;
    tx.commit().await?;
    tracing::info!(workspace.id = %tenant.id, invitation.id = %invitation.id, "somebody was invited");
    Ok(Sent { invitation, token: Some(token) })
}

/// Sends an invitation again, with another token and all of its days. A repeat of `request` returns it without its token.
pub async fn resend(env: &Env, tenant: &Tenant, id: InvitationId, request: Option<&Request>) -> Result<Sent> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        return made_earlier(&tx, tenant, &id).await;
    }
    let workspace = members::lock(&tx, tenant, Permission::MembersWrite).await?;
    let before = store::find_invitation(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    if before.expire_time <= now {
        require_room(&tx, tenant, now).await?;
    }
    let token = URL_SAFE_NO_PAD.encode(env.ids.bytes::<TOKEN_BYTES>());
    let invitation = Invitation { token_hash: hashing::of_token(&token), expire_time: now + LIFE, ..before };
    store::save_invitation(&tx, &invitation).await?;
    let did = tenant.did(Action::InvitationResent, id.0, Changes::none());
    trail::note(&tx, &env.ids, [did], now).await?;
    invited(env, &tx, &workspace.name, &invitation, &token, now).await?;
    idempotency::made(&tx, request, id.to_string()).await?;
    tx.commit().await?;
    tracing::info!(workspace.id = %tenant.id, invitation.id = %invitation.id, "somebody was invited");
    Ok(Sent { invitation, token: Some(token) })
}

/// Lists invitations that nobody has accepted, newest first.
pub async fn list(env: &Env, tenant: &Tenant, page: &PageRequest) -> Result<Page<Invitation>> {
    let before = page.after.as_ref().and_then(|cursor| parse(&cursor.id));
    let rows = store::list_invitations(&env.db.api, tenant.id, before, u64::from(page.size) + 1).await?;
    Ok(Page::of(rows, page.size, |found| Cursor { key: String::new(), id: found.id.to_string() }))
}

/// Takes an invitation back.
pub async fn revoke(env: &Env, tenant: &Tenant, id: InvitationId, request: Option<&Request>) -> Result<()> {
    let tx = env.db.begin().await?;
    if let Claim::Made(_) = idempotency::claim(&tx, request, env.now()).await? {
        return Ok(());
    }
    members::lock(&tx, tenant, Permission::MembersWrite).await?;
    if !store::remove_invitation(&tx, tenant.id, id).await? {
        return Err(unknown());
    }
    let did = tenant.did(Action::InvitationRevoked, id.0, Changes::none());
    trail::note(&tx, &env.ids, [did], env.now()).await?;
    idempotency::made(&tx, request, id.to_string()).await?;
    tx.commit().await?;
    tracing::info!(workspace.id = %tenant.id, invitation.id = %id, principal = %tenant.principal, "an invitation was revoked");
    Ok(())
}

/// Accepts an invitation, once. A repeat of `request` returns the membership as it is now.
pub async fn accept(
    env: &Env,
    newcomers: Newcomers,
    token: &str,
    (guest, origin): (Guest, Origin),
    request: Option<&Request>,
) -> Result<Membership> {
    let now = env.now();
    let hash = hashing::of_token(token);
    let session = if let Guest::Person(_, session) = &guest { *session } else { None };
    // Before the transaction: hashing a password takes a while, and nobody's is hashed for a token that opens nothing.
    let newcomer = match &guest {
        Guest::Newcomer(account) => match open(&env.db.api, &hash, now).await? {
            Some(invitation) => Some((newcomers.prepare)(env, invitation.email, account.clone()).await?),
            None => None,
        },
        Guest::Person(..) | Guest::Unknown => None,
    };
    let tx = env.db.begin().await?;
    if let Claim::Made(outcome) = idempotency::claim(&tx, request, now).await? {
        return accepted_earlier(&tx, &outcome).await;
    }
    let invitation = open(&tx, &hash, now).await?.ok_or_else(unknown)?;
    let (id, as_what) = (invitation.workspace_id, role(invitation.role)?);
    let workspace = store::lock(&tx, id).await?.filter(|found| found.delete_time.is_none());
    let workspace = workspace.ok_or_else(unknown)?;
    let user = match guest {
        Guest::Person(user, _) => {
            let email = store::email_of(&tx, user).await?.ok_or_else(Error::credentials_invalid)?;
            if email != invitation.email {
                return Err(Error::new(
                    Reason::InvitationForAnother,
                    "the invitation is for another e-mail: sign in with the one it was sent to",
                ));
            }
            user
        }
        Guest::Newcomer(_) => {
            let newcomer = newcomer.filter(|newcomer| newcomer.email == invitation.email);
            let newcomer = newcomer.ok_or_else(unknown)?;
            if !(newcomers.insert)(&tx, &newcomer).await? {
                return Err(already("somebody signs in with this e-mail already: sign in, and accept then"));
            }
            let actor = Actor { who: Who::Person(newcomer.id, None), origin: origin.clone() };
            let changes = Changes::none().with("email", newcomer.email.clone());
            let note = actor.did(None, Action::UserCreated, Some(newcomer.id.0), changes);
            trail::note(&tx, &env.ids, [note], now).await?;
            newcomer.id
        }
        Guest::Unknown => {
            return Err(Error::new(
                Reason::CredentialsMissing,
                "sign in with the e-mail that was invited, or send `new_account`",
            ));
        }
    };
    // Whoever removes it has used it: of many at once one does.
    if !store::remove_invitation(&tx, id, invitation.id).await? {
        return Err(unknown());
    }
    if store::insert_member(&tx, id, user, as_what, now).await? {
        let allowed = quotas::effective(env, workspace.quotas.as_ref());
        quotas::require(&tx, id, allowed, v1::Quota::Members, now).await?;
        let changes = Changes::none().with("role", as_what.name());
        let actor = Actor { who: Who::Person(user, session), origin };
        let note = actor.did(Some(id), Action::InvitationAccepted, Some(user.0), changes);
        trail::note(&tx, &env.ids, [note], now).await?;
    }
    idempotency::made(&tx, request, format!("{id} {user}")).await?;
    let joined = membership(&tx, id, user).await?;
    tx.commit().await?;
    tracing::info!(workspace.id = %id, user.id = %user, invitation.id = %invitation.id, "an invitation was accepted");
    Ok(joined)
}

/// Says whether somebody is invited under an e-mail, by whatever workspace, and can still accept.
pub async fn is_invited(db: &impl ConnectionTrait, email: &str, now: Moment) -> Result<bool, DbErr> {
    store::has_invitation(db, email, now).await
}

/// Returns under whose name the request ids of a token are kept, whoever holds it.
pub fn holder(token: &str) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hashing::of_token(token)[..16]);
    Uuid::from_bytes(bytes)
}

/// Returns the page of the dashboard that accepts an invitation, if there is a dashboard. What stands behind the `#` is sent to no server.
pub fn accept_url(env: &Env, token: &str) -> Option<String> {
    let mut url = env.config.frontend_urls.first()?.join("invitations").ok()?;
    url.set_fragment(Some(&format!("token={token}")));
    Some(url.into())
}

/// Forgets invitations that have been over for long.
pub async fn sweep(env: &Env) -> Result<u64, DbErr> {
    store::delete_invitations(&env.db.api, env.now() - KEPT).await
}

/// Writes to somebody that they are invited. Who sees the answer of the call can tell them too, so nothing depends on it.
async fn invited(
    env: &Env,
    tx: &DatabaseTransaction,
    workspace: &str,
    invitation: &Invitation,
    token: &str,
    now: Moment,
) -> Result<()> {
    let Some(url) = accept_url(env, token) else { return Ok(()) };
    let letter = Letter {
        to: invitation.email.clone(),
        subject: "You are invited to a workspace of linkforty".to_owned(),
        parts: vec![
            Part::Text(format!(
                "Somebody invited you to the workspace \u{201c}{workspace}\u{201d} as {}.",
                role(invitation.role)?.name()
            )),
            Part::Link { label: "Accept".to_owned(), url },
            Part::Text(
                "The link is good once and for seven days. If you know nothing of it, do nothing.".to_owned(),
            ),
        ],
    };
    Ok(mail::post(env, tx, &letter, LIFE, now).await?)
}

/// Returns the invitation of a token, if it is good.
async fn open(
    db: &impl sea_orm::ConnectionTrait,
    hash: &[u8],
    now: Moment,
) -> Result<Option<Invitation>, DbErr> {
    let found = store::find_invitation_by_hash(db, hash).await?;
    Ok(found.filter(|found| found.expire_time > now))
}

/// Fails when the workspace has as many open invitations, or members, as it may have.
async fn require_room(tx: &DatabaseTransaction, tenant: &Tenant, now: Moment) -> Result<()> {
    if store::count_invitations(tx, tenant.id, now).await? >= MOST {
        let message = format!("a workspace may have at most {MOST} open invitations");
        return Err(Error::new(Reason::TooManyInvitations, message).with("limit", MOST.to_string()));
    }
    quotas::require_another(tx, tenant, v1::Quota::Members, now).await
}

async fn made_earlier(tx: &DatabaseTransaction, tenant: &Tenant, id: &str) -> Result<Sent> {
    let id = InvitationId::parse(id).ok_or_else(|| Error::internal("a request id led to no id"))?;
    let invitation = store::find_invitation(tx, tenant.id, id).await?.ok_or_else(unknown)?;
    Ok(Sent { invitation, token: None })
}

async fn accepted_earlier(tx: &DatabaseTransaction, outcome: &str) -> Result<Membership> {
    let ids = outcome.split_once(' ');
    let ids = ids.and_then(|(id, user)| Some((WorkspaceId::parse(id)?, UserId::parse(user)?)));
    let (id, user) = ids.ok_or_else(|| Error::internal("a request id led to no ids"))?;
    membership(tx, id, user).await
}

fn unknown() -> Error {
    Error::not_found("invitation")
}

fn already(message: &'static str) -> Error {
    Error::new(Reason::AlreadyExists, message).with("field", "email")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_with_an_invitation_is_told() {
        for (email, role, expected) in [
            ("ann@example.com", v1::Role::Admin, &[][..]),
            ("ann", v1::Role::Member, &["invitation.email"]),
            ("ann@example.com", v1::Role::Owner, &["invitation.role"]),
            ("", v1::Role::Unspecified, &["invitation.email", "invitation.role"]),
        ] {
            let asked = v1::Invitation { email: email.into(), role: role.into(), ..Default::default() };
            let mut wrong = Violations::default();
            let read = read(&asked, &mut wrong);
            let fields: Vec<String> = wrong.into_inner().into_iter().map(|wrong| wrong.field).collect();
            assert_eq!(fields, expected, "{email} {role:?}");
            assert_eq!(read.is_some(), expected.is_empty(), "{email} {role:?}");
        }
    }
}
