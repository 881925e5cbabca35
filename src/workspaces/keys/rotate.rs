//! Another secret for a key, whose programs get it one after the other: the old one is good for a while longer.

use chrono::Duration;

use super::{Created, Key, Minted, Mode, forget, life, made_earlier, max_life, mint, store, unknown};
use crate::{
    clock::Moment,
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim},
    ids::ApiKeyId,
    pb::v1,
    trail::{self, Action, Changes},
    workspaces::Tenant,
};

/// How long the old secret is good when nobody says.
pub const DEFAULT_OVERLAP: Duration = Duration::hours(24);
/// How long it is good at the most.
pub const MAX_OVERLAP: Duration = Duration::days(7);

/// How a key is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// How long the secret until now is good.
    pub overlap: Duration,
    /// When the key ends; `None` is as long from now as a new one would live.
    pub expire_time: Option<Moment>,
}

/// Gives a key another secret; of one that a certificate opens, only the end moves. A secret that was replaced before ends at once: no more than two are ever good. A repeat of `request` returns
/// the key without its secret.
pub async fn rotate(
    env: &Env,
    tenant: &Tenant,
    id: ApiKeyId,
    how: Rotation,
    request: Option<&idempotency::Request>,
) -> Result<Created> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request, now).await? {
        return made_earlier(&tx, tenant, &id).await;
    }
    let stored = store::lock(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    if stored.revoke_time.is_some() || stored.expire_time <= now {
        return Err(Error::new(
            Reason::ApiKeyOver,
            "the API key is revoked or expired: create another one instead",
        ));
    }
    let mode = if stored.test { Mode::Test } else { Mode::Live };
    if how.expire_time.is_some_and(|end| end > now + max_life(mode)) {
        let days = max_life(mode).num_days();
        return Err(Error::invalid_field("expire_time", format!("must be at most {days} days away")));
    }
    let without_secret = stored.certificate_name.is_some();
    let Minted { secret, prefix, hash } =
        if without_secret { Minted::without_secret(env) } else { mint(env, mode)? };
    let keeps = how.overlap > Duration::zero() && !without_secret;
    let key = Key {
        prefix,
        secret_hash: hash,
        expire_time: how.expire_time.unwrap_or(now + life(mode)),
        previous_hash: Some(stored.secret_hash.clone()).filter(|_| keeps),
        previous_expire_time: Some(now + how.overlap).filter(|_| keeps),
        rotate_time: Some(now),
        warned_days: 0,
        ..stored.clone()
    };
    store::save(&tx, &key).await?;
    let changes = Changes::between(&v1::ApiKey::from(stored.clone()), &v1::ApiKey::from(key.clone()));
    trail::note(&tx, &env.ids, [tenant.did(Action::ApiKeyRotated, id.0, changes)], now).await?;
    idempotency::made(&tx, request, id.to_string()).await?;
    tx.commit().await?;
    // What is believed of the secrets until now does not know when they end.
    forget(env, [&stored]).await;
    tracing::info!(workspace.id = %tenant.id, key.id = %id, principal = %tenant.principal, "an API key was rotated");
    Ok(Created { key, secret })
}
