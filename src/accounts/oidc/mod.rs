//! Signing in by an identity provider: OpenID Connect, authorization code with PKCE.
//!
//! - [`provider`] what the provider is asked
//! - [`keys`]     whether its tokens are signed by its keys
//! - [`id_token`] whether they are about this sign-in
//! - [`admit`]    who may come in
//! - [`fault`]    how it ends without a person
//! - `store`      queries of `identities`
//! - `grpc`       the methods of `AuthService`
//!
//! Guarantees: what comes back counts only where it began, since everything it must match (state, nonce, the verifier of the code) is in a
//! sealed handle that the browser keeps out of URLs, and once. The provider sends browsers to the dashboard and nowhere else. A second
//! factor of the person's is asked for all the same. Nobody gets anybody's account by an e-mail that is not proved on both sides.

pub mod admit;
pub mod fault;
mod grpc;
pub mod id_token;
pub mod keys;
pub mod provider;
mod store;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use url::Url;

use self::{
    admit::{Admission, Refusal, Rules, Seen, admit},
    fault::{Fault, Trouble},
    id_token::Vouched,
    provider::{Exchange, Provider},
};
use super::{
    Client, How, SignedIn, User, account_tokens, attempts,
    handles::{self, Purpose},
    known,
    letters::{self, News},
    noted::note,
    people,
    sign_in::{conclude, prove_again, refused},
    store as people_store,
};
pub use crate::entity::identity::Model as Identity;
use crate::{
    clock::Moment,
    env::Env,
    error::{Error, Reason, Result},
    ids::{IdentityId, SessionId, UserId},
    trail::{Action, Changes, Who},
    workspaces::invitations,
};

/// The page of the dashboard that the provider sends browsers back to.
const CALLBACK: &str = "/sign-in/oidc";

/// A way to the provider and back.
pub struct Way {
    /// Where to send the browser.
    pub url: String,
    /// What to go on with.
    pub handle: String,
    /// When that ends.
    pub expire_time: Moment,
}

/// What the browser came back with.
pub struct Callback {
    /// What the way began with.
    pub handle: String,
    /// The sign-in, as the provider was told.
    pub state: String,
    /// What is exchanged for the ID token.
    pub code: String,
    /// The provider, as it calls itself; may be empty.
    pub iss: String,
}

/// What is remembered of a way.
#[derive(Serialize, Deserialize)]
struct Journey {
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
}

/// Begins a sign-in. `origin` is the page that asks, if a browser says so.
pub async fn begin_sign_in(env: &Env, provider: &Provider, origin: Option<&str>) -> Result<Way> {
    begin(env, provider, (Purpose::OidcSignIn, &[]), origin).await
}

/// Begins to link an identity to a person.
pub async fn begin_link(
    env: &Env,
    provider: &Provider,
    (user, session): (UserId, SessionId),
    (password, origin): (&str, Option<&str>),
    client: &Client,
) -> Result<Way> {
    let now = env.now();
    let known = known(env, user).await?;
    if let Some(attempt) = prove_again(env, (&known, session), password, client, now).await? {
        attempts::succeeded(&env.db.api, &attempt).await?;
    }
    begin(env, provider, (Purpose::IdentityLink, &handles::of_session(user, session)), origin).await
}

async fn begin(env: &Env, provider: &Provider, what: (Purpose, &[u8]), origin: Option<&str>) -> Result<Way> {
    let now = env.now();
    let addresses = provider.addresses(now).await?;
    let random = || URL_SAFE_NO_PAD.encode(env.ids.bytes::<32>());
    let journey = Journey {
        state: random(),
        nonce: random(),
        verifier: random(),
        redirect_uri: redirect_uri(env, origin),
    };
    let settings = provider.settings();
    let challenge = digest::digest(&digest::SHA256, journey.verifier.as_bytes());
    let mut url = addresses.authorization.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &settings.client_id)
        .append_pair("redirect_uri", &journey.redirect_uri)
        .append_pair("scope", &settings.scopes)
        .append_pair("state", &journey.state)
        .append_pair("nonce", &journey.nonce)
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
        .append_pair("code_challenge_method", "S256");
    let (handle, expire_time) = handles::seal(env, what, journey, now);
    Ok(Way { url: url.into(), handle, expire_time })
}

/// Goes on with a sign-in that came back.
pub async fn complete_sign_in(
    env: &Env,
    provider: &Provider,
    callback: &Callback,
    client: &Client,
) -> Result<SignedIn> {
    let now = env.now();
    let back = come_back(env, provider, (Purpose::OidcSignIn, &[]), callback).await?;
    let vouched = match back.vouched {
        Ok(vouched) => vouched,
        Err(trouble) => return Err(turn_away(env, None, trouble, client, now).await?),
    };
    let issuer = &provider.settings().issuer;
    let tx = env.db.begin().await?;
    if !back.handle.take(&tx).await? {
        return Err(account_tokens::invalid());
    }
    let linked = store::find(&tx, issuer, &vouched.subject).await?;
    let linked_user = match &linked {
        Some(identity) => people_store::lock_user(&tx, identity.user_id).await?,
        None => None,
    };
    let by_email = match &vouched.email {
        Some(email) if linked.is_none() => people_store::find_user_by_email(&tx, email).await?,
        _ => None,
    };
    // Locked, and looked at as they are then.
    let by_email = match by_email {
        Some(user) => people_store::lock_user(&tx, user.id).await?,
        None => None,
    };
    let has_another = match &by_email {
        Some(user) => store::find_of(&tx, user.id, issuer).await?.is_some(),
        None => false,
    };
    let invited = match &vouched.email {
        Some(email) if linked.is_none() && by_email.is_none() => {
            invitations::is_invited(&tx, email, now).await?
        }
        _ => false,
    };
    let seen = Seen { linked: linked_user.as_ref(), by_email: by_email.as_ref(), has_another, invited };
    let settings = provider.settings();
    let rules = Rules { create_accounts: settings.create_accounts, domains: &settings.allowed_email_domains };
    let user = match admit(&vouched, seen, rules) {
        Admission::Known(user) => user.clone(),
        Admission::Link(user) => {
            link_to(env, &tx, user, (issuer, &vouched), client, now)
                .await?
                .ok_or_else(account_tokens::invalid)?;
            letters::tell(
                env,
                &tx,
                &user.email,
                News::IdentityLinked { provider: settings.display_name.clone() },
                client,
                now,
            )
            .await?;
            user.clone()
        }
        Admission::Create(email) => {
            let user = people::vouched_for(env, email.to_owned(), &vouched.name, now);
            if !people_store::insert_user(&tx, &user).await? {
                return Err(account_tokens::invalid());
            }
            let changes = Changes::none().with("email", user.email.clone());
            note(env, &tx, client.actor(Who::Anybody), (Action::UserCreated, Some(user.id), changes), now)
                .await?;
            link_to(env, &tx, &user, (issuer, &vouched), client, now)
                .await?
                .ok_or_else(account_tokens::invalid)?;
            tracing::info!(user.id = %user.id, "a person whom the identity provider vouches for was added");
            user
        }
        Admission::Refused(refusal) => {
            let about =
                linked.as_ref().map(|identity| identity.user_id).or(by_email.as_ref().map(|user| user.id));
            // What was used up stays so, and nothing else was done.
            tx.commit().await?;
            return Err(refuse(env, about, refusal, client, now).await?);
        }
    };
    if let Some(identity) = store::find(&tx, issuer, &vouched.subject).await? {
        store::used(&tx, identity.id, now).await?;
    }
    conclude(env, tx, user, (How::Identity, account_tokens::Purpose::OidcSignIn), client, now).await
}

/// Links what came back to the person who began it.
pub async fn link(
    env: &Env,
    provider: &Provider,
    (user, session): (UserId, SessionId),
    callback: &Callback,
    client: &Client,
) -> Result<Identity> {
    let now = env.now();
    let back =
        come_back(env, provider, (Purpose::IdentityLink, &handles::of_session(user, session)), callback)
            .await?;
    let vouched = match back.vouched {
        Ok(vouched) => vouched,
        Err(trouble) => return Err(turn_away(env, Some(user), trouble, client, now).await?),
    };
    let settings = provider.settings();
    let tx = env.db.begin().await?;
    if !back.handle.take(&tx).await? {
        return Err(account_tokens::invalid());
    }
    let known = people_store::lock_user(&tx, user).await?.ok_or_else(Error::credentials_invalid)?;
    let linked = link_to(env, &tx, &known, (&settings.issuer, &vouched), client, now).await?;
    let identity = linked.ok_or_else(|| {
        Error::new(
            Reason::AlreadyExists,
            "the identity is linked to somebody already, or you have another one of this provider",
        )
        .with("field", "identity")
    })?;
    letters::tell(
        env,
        &tx,
        &known.email,
        News::IdentityLinked { provider: settings.display_name.clone() },
        client,
        now,
    )
    .await?;
    tx.commit().await?;
    tracing::info!(user.id = %user, "a person linked an identity");
    Ok(identity)
}

/// Lists the identities of a person.
pub async fn list(env: &Env, user: UserId) -> Result<Vec<Identity>> {
    Ok(store::list(&env.db.api, user).await?)
}

/// Takes an identity from a person.
pub async fn unlink(
    env: &Env,
    (user, session): (UserId, SessionId),
    (identity, password): (IdentityId, &str),
    client: &Client,
) -> Result<()> {
    let now = env.now();
    let known = known(env, user).await?;
    let attempt = prove_again(env, (&known, session), password, client, now).await?;
    let tx = env.db.begin().await?;
    if let Some(attempt) = attempt {
        attempts::succeeded(&tx, &attempt).await?;
    }
    let Some(gone) = store::delete(&tx, user, identity).await? else {
        tx.commit().await?;
        return Err(Error::not_found("identity"));
    };
    let changes = Changes::none().without("issuer", gone.issuer.clone()).without("subject", gone.subject);
    let actor = client.actor(Who::Person(user, Some(session)));
    note(env, &tx, actor, (Action::IdentityUnlinked, Some(user), changes), now).await?;
    letters::tell(env, &tx, &known.email, News::IdentityUnlinked { provider: gone.issuer }, client, now)
        .await?;
    tx.commit().await?;
    tracing::info!(user.id = %user, "a person unlinked an identity");
    Ok(())
}

/// What came back, and from where.
struct Back {
    handle: handles::Opened<Journey>,
    vouched: Result<Vouched, Trouble>,
}

/// Holds what came back against what it began with, and asks the provider who it is.
async fn come_back(
    env: &Env,
    provider: &Provider,
    what: (Purpose, &[u8]),
    callback: &Callback,
) -> Result<Back> {
    let now = env.now();
    let opened = handles::open::<Journey>(env, what, &callback.handle, now);
    let handle = opened.ok_or_else(account_tokens::invalid)?;
    let journey = &handle.content;
    // Who was sent here with somebody else's code has another handle, or none.
    let same = bool::from(journey.state.as_bytes().ct_eq(callback.state.as_bytes()));
    if !same || handle.is_used(&env.db.api).await? {
        return Err(account_tokens::invalid());
    }
    let exchange = Exchange {
        code: &callback.code,
        redirect_uri: &journey.redirect_uri,
        verifier: &journey.verifier,
        nonce: &journey.nonce,
    };
    let vouched = async {
        let addresses = provider.addresses(now).await?;
        let named = !callback.iss.is_empty();
        if (named && callback.iss != provider.settings().issuer) || (!named && addresses.names_itself) {
            return Err(Fault::ResponseIssuer.into());
        }
        provider.exchange(exchange, now).await
    };
    let vouched = vouched.await;
    Ok(Back { handle, vouched })
}

/// Notes that what came back is not believed, and returns the error. That the provider failed says nothing of anybody.
async fn turn_away(
    env: &Env,
    user: Option<UserId>,
    trouble: Trouble,
    client: &Client,
    now: Moment,
) -> Result<Error> {
    match trouble {
        Trouble::Failed(failed) => Ok(failed.into()),
        Trouble::Fault(fault) => {
            refused(env, user, &format!("identity: {}", fault.name()), client, now).await?;
            Ok(fault.into())
        }
    }
}

/// Notes that somebody may not come in, and returns the error: the same one whoever they are.
async fn refuse(
    env: &Env,
    user: Option<UserId>,
    refusal: Refusal,
    client: &Client,
    now: Moment,
) -> Result<Error> {
    refused(env, user, &format!("identity: {}", refusal.name()), client, now).await?;
    Ok(match refusal {
        Refusal::EmailUnverified => Fault::EmailUnverified.into(),
        Refusal::Unknown
        | Refusal::Disabled
        | Refusal::Domain
        | Refusal::EmailUnproved
        | Refusal::AnotherIdentity => Error::new(
            Reason::IdentityUnknown,
            "nobody who may sign in here has this identity: ask for an invitation, or sign in otherwise and link it",
        ),
    })
}

/// Links an identity to a person whose row is locked; `None` when it is somebody's, or they have another one.
async fn link_to(
    env: &Env,
    tx: &DatabaseTransaction,
    user: &User,
    (issuer, vouched): (&str, &Vouched),
    client: &Client,
    now: Moment,
) -> Result<Option<Identity>> {
    let identity = Identity {
        id: IdentityId::mint(&env.ids, now),
        user_id: user.id,
        issuer: issuer.to_owned(),
        subject: vouched.subject.clone(),
        email: vouched.email.clone().unwrap_or_default(),
        create_time: now,
        use_time: None,
    };
    if !store::insert(tx, &identity).await? {
        return Ok(None);
    }
    let changes = Changes::none().with("issuer", issuer).with("subject", vouched.subject.clone());
    let actor = client.actor(Who::Person(user.id, None));
    note(env, tx, actor, (Action::IdentityLinked, Some(user.id), changes), now).await?;
    Ok(Some(identity))
}

/// Returns where browsers come back to: to the dashboard that asked, if it is one of the settings, or else the first.
fn redirect_uri(env: &Env, origin: Option<&str>) -> String {
    let urls = &env.config.frontend_urls;
    let asked = |url: &&Url| Some(&*url.origin().ascii_serialization()) == origin;
    let frontend = urls.iter().find(asked).or(urls.first()).unwrap_or(&env.config.links_url);
    format!("{}{CALLBACK}", frontend.as_str().trim_end_matches('/'))
}
