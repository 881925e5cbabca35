//! People as the operator sees them: the first owner at the first start, and the verbs of `linkforty user`.
//!
//! Nobody but the person knows their password for long: each one made here must be changed at the first sign-in.

use sea_orm::{ConnectionTrait, DbErr};

use super::{
    Client, User, account_tokens,
    letters::{self, News},
    noted::note,
    passkeys,
    password::{self, Person},
    second_factor,
    sessions::retract,
    store,
};
use crate::{
    clock::Moment,
    email,
    env::Env,
    error::{Error, Reason, Result, Violations},
    hashing,
    ids::UserId,
    page::{Cursor, Page, PageRequest},
    pb::v1,
    trail::{Action, Actor, Changes, Who},
    workspaces::{self, Newcomers, Role, Tenant},
};

const MAX_NAME_CHARACTERS: usize = 200;
const BAD_NAME: &str = "must have at most 200 characters, none of them a control character";
const FIRST_WORKSPACE: &str = "My workspace";

/// What a person signs in with the first time: to be shown once, and changed by them.
#[derive(Clone, PartialEq, Eq)]
pub struct FirstSignIn {
    /// The e-mail.
    pub email: String,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for FirstSignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstSignIn").field("email", &self.email).finish_non_exhaustive()
    }
}

/// Makes the first owner and their workspace when there is nobody yet, and returns what to sign in with. However many
/// nodes start at once, one of them makes it; the others get `None`.
pub async fn bootstrap(env: &Env) -> Result<Option<FirstSignIn>> {
    if store::is_anybody(&env.db.api).await? {
        return Ok(None);
    }
    let email = email::read(&env.config.owner_email)
        .map_err(|fault| Error::internal(format!("OWNER_EMAIL {fault}")))?;
    let (owner, sign_in) = new_user(env, email, String::new()).await?;
    let now = owner.create_time;
    let tx = env.db.begin().await?;
    // Asked again inside: another node may have been here, under another e-mail perhaps. Under the same one the unique
    // e-mail decides.
    if store::is_anybody(&tx).await? || !store::insert_user(&tx, &owner).await? {
        return Ok(None);
    }
    by_operator(env, &tx, Action::UserCreated, &owner, now).await?;
    let actor = Actor::here(Who::Operator);
    workspaces::found(env, &tx, owner.id, (FIRST_WORKSPACE.to_owned(), actor), now).await?;
    tx.commit().await?;
    tracing::info!(user.id = %owner.id, "the first owner was made");
    Ok(Some(sign_in))
}

/// Adds a person, to a workspace too if one is given, and returns what they sign in with.
pub async fn create(
    env: &Env,
    email_text: &str,
    display_name: &str,
    place: Option<(&Tenant, Role)>,
) -> Result<FirstSignIn> {
    let mut violations = Violations::default();
    let email = violations.take("email", email::read(email_text)).unwrap_or_default();
    let display_name = violations.take("display_name", name(display_name)).unwrap_or_default();
    violations.into_result(())?;
    let (user, sign_in) = new_user(env, email, display_name).await?;
    let tx = env.db.begin().await?;
    if !store::insert_user(&tx, &user).await? {
        return Err(
            Error::new(Reason::AlreadyExists, "somebody has this e-mail already").with("field", "email")
        );
    }
    by_operator(env, &tx, Action::UserCreated, &user, user.create_time).await?;
    if let Some((tenant, role)) = place {
        workspaces::join(env, &tx, tenant, user.id, role, user.create_time).await?;
    }
    tx.commit().await?;
    tracing::info!(user.id = %user.id, "a person was added");
    Ok(sign_in)
}

/// Gives a person a new password, ends all their sessions, and returns what they sign in with.
pub async fn reset_password(env: &Env, email: &str) -> Result<FirstSignIn> {
    let now = env.now();
    let user = find(env, email).await?;
    let password = password::make(&env.ids);
    let hash = password::hash(env, &password).await?;
    let tx = env.db.begin().await?;
    // Locked, so that no sign-in with the old password slips in between.
    store::lock_user(&tx, user.id).await?.ok_or_else(|| Error::not_found("person"))?;
    store::set_password(&tx, user.id, hash, true, now).await?;
    by_operator(env, &tx, Action::PasswordReset, &user, now).await?;
    account_tokens::end_all(&tx, user.id).await?;
    let ended = store::end_sessions(&tx, user.id, None, now).await?;
    tx.commit().await?;
    retract(env, &ended).await;
    tracing::info!(user.id = %user.id, sessions = ended.len(), "a person's password was reset");
    Ok(FirstSignIn { email: user.email, password })
}

/// Lets a person sign in no longer and ends all their sessions; what they made stays, their API keys' workspaces too.
pub async fn disable(env: &Env, email: &str) -> Result<User> {
    let now = env.now();
    let user = find(env, email).await?;
    let tx = env.db.begin().await?;
    // Locked, so that no sign-in slips in between.
    let locked = store::lock_user(&tx, user.id).await?.ok_or_else(|| Error::not_found("person"))?;
    store::set_disabled(&tx, user.id, locked.disable_time.or(Some(now)), now).await?;
    by_operator(env, &tx, Action::UserDisabled, &user, now).await?;
    account_tokens::end_all(&tx, user.id).await?;
    let ended = store::end_sessions(&tx, user.id, None, now).await?;
    tx.commit().await?;
    retract(env, &ended).await;
    tracing::info!(user.id = %user.id, sessions = ended.len(), "a person was disabled");
    Ok(user)
}

/// Takes away the second factor and the passkeys of a person who lost them, and ends all their sessions. Their password must be changed at the next
/// sign-in: it may be one that is too short to stand alone. They are told by mail.
pub async fn reset_second_factor(env: &Env, email: &str) -> Result<User> {
    let now = env.now();
    let user = find(env, email).await?;
    let tx = env.db.begin().await?;
    store::lock_user(&tx, user.id).await?.ok_or_else(|| Error::not_found("person"))?;
    let passkeys = passkeys::remove_all(&tx, user.id).await?;
    if !second_factor::remove(&tx, user.id).await? && passkeys == 0 {
        return Err(Error::not_found("second factor of this person"));
    }
    store::require_password_change(&tx, user.id, now).await?;
    by_operator(env, &tx, Action::SecondFactorReset, &user, now).await?;
    account_tokens::end_all(&tx, user.id).await?;
    let ended = store::end_sessions(&tx, user.id, None, now).await?;
    let news = News::SecondFactorDisabled;
    letters::tell(env, &tx, &user.email, news, &Client::default(), now).await?;
    tx.commit().await?;
    retract(env, &ended).await;
    tracing::info!(user.id = %user.id, sessions = ended.len(), "a person's second factor was reset");
    Ok(user)
}

/// Lets a disabled person sign in again, with the password they had.
pub async fn enable(env: &Env, email: &str) -> Result<User> {
    let now = env.now();
    let user = find(env, email).await?;
    let tx = env.db.begin().await?;
    store::set_disabled(&tx, user.id, None, now).await?;
    by_operator(env, &tx, Action::UserEnabled, &user, now).await?;
    tx.commit().await?;
    tracing::info!(user.id = %user.id, "a person was enabled");
    Ok(user)
}

/// Notes what the operator did to an account.
async fn by_operator(
    env: &Env,
    tx: &impl ConnectionTrait,
    action: Action,
    user: &User,
    now: Moment,
) -> Result<(), DbErr> {
    let changes = match action {
        Action::UserCreated => Changes::none().with("email", user.email.clone()),
        _ => Changes::none(),
    };
    note(env, tx, Actor::here(Who::Operator), (action, Some(user.id), changes), now).await
}

async fn find(env: &Env, email: &str) -> Result<User> {
    let user = store::find_user_by_email(&env.db.api, &email::fold(email)).await?;
    user.ok_or_else(|| Error::not_found("person"))
}

/// Lists people by e-mail.
pub async fn list(env: &Env, page: &PageRequest) -> Result<Page<User>> {
    let after = page.after.as_ref().map(|cursor| cursor.key.as_str());
    let rows = store::list_users(&env.db.api, after, u64::from(page.size) + 1).await?;
    Ok(Page::of(rows, page.size, |user| Cursor { key: user.email.clone(), id: user.id.to_string() }))
}

/// Reads the name that others are shown, or says what is wrong with it.
fn name(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    if name.chars().count() > MAX_NAME_CHARACTERS || name.chars().any(char::is_control) {
        return Err(BAD_NAME);
    }
    Ok(name.to_owned())
}

/// Makes the account of somebody who was invited and chose their own password, to be stored with the membership. Says everything
/// that is wrong with it, in the words of `AcceptInvitation`.
async fn newcomer(env: &Env, email: String, account: v1::NewAccount) -> Result<User> {
    let mut violations = Violations::default();
    let display_name = name(&account.display_name);
    let display_name = violations.take("new_account.display_name", display_name).unwrap_or_default();
    let person = Person { email: &email, display_name: &display_name, second_factor: false };
    for fault in password::faults(&account.password, person, None) {
        violations.add("new_account.password", fault);
    }
    violations.into_result(())?;
    let now = env.now();
    Ok(User {
        id: UserId::mint(&env.ids, now),
        email,
        display_name,
        password_hash: password::hash(env, &account.password).await?,
        password_change_required: false,
        create_time: now,
        update_time: now,
        disable_time: None,
        email_verify_time: None,
    })
}

/// Makes the account of somebody whom the identity provider vouches for, to be stored with the identity. It has no password: whoever
/// wants one asks for a link by mail. What the provider calls them is taken as far as a name can be that.
pub(super) fn vouched_for(env: &Env, email: String, display_name: &str, now: Moment) -> User {
    User {
        id: UserId::mint(&env.ids, now),
        email,
        display_name: name(display_name).unwrap_or_default(),
        password_hash: hashing::of_no_password(),
        password_change_required: false,
        create_time: now,
        update_time: now,
        disable_time: None,
        email_verify_time: Some(now),
    }
}

/// How `workspaces`, which knows nothing of passwords, makes accounts for those who were invited.
pub const NEWCOMERS: Newcomers = Newcomers {
    prepare: |env, email, account| Box::pin(newcomer(env, email, account)),
    insert: |tx, user| Box::pin(async move { Ok(store::insert_user(tx, user).await?) }),
};

async fn new_user(env: &Env, email: String, display_name: String) -> Result<(User, FirstSignIn)> {
    let now: Moment = env.now();
    let password = password::make(&env.ids);
    let user = User {
        id: UserId::mint(&env.ids, now),
        email: email.clone(),
        display_name,
        password_hash: password::hash(env, &password).await?,
        password_change_required: true,
        create_time: now,
        update_time: now,
        disable_time: None,
        email_verify_time: None,
    };
    Ok((user, FirstSignIn { email, password }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_to_be_shown_once_is_not_logged() {
        let shown = format!("{:?}", FirstSignIn { email: "a@b".into(), password: "hush".into() });
        assert!(shown.contains("a@b") && !shown.contains("hush"));
    }
}
