//! People, their passwords and their sessions; and who a bearer token stands for.
//!
//! - [`sign_in`]  signing in and changing the password
//! - [`sessions`] how a session begins ([`open_session`]), goes on, is looked at and ends
//! - [`password`] which passwords are accepted, and how they are kept; `common` which are too common
//! - [`throttle`] when somebody may try again; `attempts` counts the tries
//! - [`tokens`]   the two tokens of a session
//! - [`refresh`]  what a presented refresh token means
//! - [`people`]   what the operator does at the command line, and the first start
//! - [`recovery`] ways back in by mail; `account_tokens` the tokens for them, `letters` what people are written
//! - [`second_factor`] codes of apps, and recovery codes
//! - [`oidc`]     signing in by an identity provider
//! - [`passkeys`] signing in by a passkey
//! - `handles`    what a sign-in that takes two calls remembers between them
//! - [`cookie`]   where browsers keep the refresh token
//! - `client`     where a call comes from
//! - `store`      queries of `users` and `sessions`
//! - [`grpc`]     `AuthService`
//!
//! Guarantees: a wrong password, an unknown e-mail and a person who was disabled are refused in the same words and after the same
//! work. Who guesses waits longer and longer, on every node and over restarts, and never keeps the person out of a network they signed
//! in from. A session that ended is refused at once by the node that ended it, as fast as messages travel by the others, and after ten
//! seconds when none arrives. A session has one line of refresh tokens however its refreshes race, and a refresh token used a
//! second time ends it. After a password change no other session lives, not even one that began at the same moment.

mod account_tokens;
mod attempts;
mod client;
mod common;
pub mod cookie;
pub mod grpc;
mod handles;
mod letters;
mod noted;
pub mod oidc;
pub mod passkeys;
pub mod password;
pub mod people;
pub mod recovery;
pub mod refresh;
pub mod second_factor;
pub mod sessions;
mod sign_in;
mod store;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod tokens;

pub use self::{
    client::Client,
    people::{FirstSignIn, bootstrap},
    sessions::{How, Opened, Tokens, authenticate, open_session, refresh, sign_out, sweep},
    sign_in::{Challenge, SignedIn, change_password, sign_in},
};
pub use crate::entity::{session::Model as Session, user::Model as User};
use crate::{
    env::Env,
    error::{Error, Result},
    ids::UserId,
    workspaces::{self, Membership},
};

/// Returns a person and where they belong.
pub async fn me(env: &Env, user: UserId) -> Result<(User, Vec<Membership>)> {
    Ok((known(env, user).await?, workspaces::memberships_of(env, user).await?))
}

/// Returns whoever is signed in. Somebody who is not there has no session either.
async fn known(env: &Env, user: UserId) -> Result<User> {
    store::find_user(&env.db.api, user).await?.ok_or_else(Error::credentials_invalid)
}
