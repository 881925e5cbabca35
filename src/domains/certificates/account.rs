//! The server's account at the authority: one for all nodes and workspaces.
//!
//! The key is stored before the authority hears of it, and an authority that is told of a key again answers with the account it opened
//! then. So whoever dies in between, or comes at the same time, opens no second one.

use fail::fail_point;
use secrecy::ExposeSecret as _;

use super::{
    broken, keys,
    order::Stop,
    setback::{Kind, Setback},
    store,
};
use crate::{
    acme::{Account, Client, ExternalAccount, Key, Registration},
    clock::Moment,
    config::Acme,
    entity::acme_account::Model,
    env::Env,
    error::Result,
};

/// Returns the account, opened if there is none.
pub(super) async fn open(env: &Env, client: &Client, settings: &Acme) -> Result<Account, Stop> {
    let directory = settings.directory_url.as_str();
    let (key, stored) = key(env, directory).await?;
    if let Some(url) = stored.url {
        return Ok(Account { key, url });
    }
    let external = settings
        .external_account
        .as_ref()
        .and_then(|(id, key)| ExternalAccount::new(id, key.expose_secret()));
    let asked =
        Registration { email: settings.email.as_deref(), agrees_to_terms: true, external: external.as_ref() };
    let url = client.register(&key, &asked).await.map_err(|fault| {
        let setback = Setback::from(fault);
        // Whatever it is that it refuses here, it is about the account.
        let kind = if setback.kind == Kind::AuthorityAway { setback.kind } else { Kind::Account };
        Stop::Setback(Setback { kind, ..setback })
    })?;
    fail_point!("certificates.account.after");
    store::keep_account_url(&env.db.api, directory, &stored.private_key, Some(&url), env.now())
        .await
        .map_err(broken)?;
    tracing::info!(directory, account = url, "the server has an account at the certificate authority");
    Ok(Account { key, url })
}

/// Returns the key of the account, made if there is none or if it was sealed under another `SESSION_SECRET`.
async fn key(env: &Env, directory: &str) -> Result<(Key, Model), Stop> {
    let name = keys::of_account(directory);
    // Twice: another node may store its key between our look and our write.
    for _ in 0..3 {
        let stored = store::account(&env.db.api, directory).await.map_err(broken)?;
        let read = stored
            .as_ref()
            .and_then(|stored| keys::open(env, &name, &stored.private_key).and_then(|key| Key::read(&key)));
        match (read, stored) {
            (Some(key), Some(stored)) => return Ok((key, stored)),
            (_, stored) => {
                if stored.is_some() {
                    tracing::warn!(
                        directory,
                        "the key of the account was sealed under another SESSION_SECRET; making another account"
                    );
                }
                let sealed = keys::seal(env, &name, &Key::generate());
                let old = stored.map(|stored| stored.private_key);
                store::keep_account_key(&env.db.api, directory, old, sealed, env.now())
                    .await
                    .map_err(broken)?;
            }
        }
    }
    Err(Stop::Setback(Setback::new(Kind::Account, "the key of the account cannot be kept")))
}

/// Has the account looked up again before it is used the next time: the authority does not know it, or not as it was.
pub(super) async fn doubt(env: &Env, settings: &Acme, now: Moment) -> Result<()> {
    let directory = settings.directory_url.as_str();
    if let Some(stored) = store::account(&env.db.api, directory).await? {
        store::keep_account_url(&env.db.api, directory, &stored.private_key, None, now).await?;
    }
    Ok(())
}
