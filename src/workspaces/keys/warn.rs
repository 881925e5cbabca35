//! Keys that end soon: somebody is told, once at each step, however many nodes look.

use chrono::Duration;
use serde_json::json;

use super::{Key, store, uses};
use crate::{
    clock::Moment,
    env::Env,
    error::Result,
    outbox::{self, Fact, Kind},
    pb::{self, v1},
};

/// How many days before its end a key is spoken of, the earliest first.
const STEPS: [i16; 3] = [14, 7, 1];
/// How many keys one sweep looks at.
const MOST: u64 = 1000;
/// How long it is known how often keys were used.
const USES_KEPT_DAYS: i32 = 400;

/// Notes of each key that ends soon that it does. Returns how many were noted.
pub async fn sweep(env: &Env) -> Result<u64> {
    let now = env.now();
    let mut noted = 0;
    for key in store::ending(&env.db.api, now, STEPS, MOST).await? {
        let Some(step) = due(&key, now) else { continue };
        let tx = env.db.begin().await?;
        // Whoever writes the step down speaks of it.
        if store::set_warned(&tx, &key, step).await? {
            outbox::note(&tx, &env.ids, key.workspace_id, [fact(&key)], now).await?;
            tx.commit().await?;
            noted += 1;
        }
    }
    store::forget_uses(&env.db.api, uses::day_of(now) - USES_KEPT_DAYS).await?;
    Ok(noted)
}

/// Returns what is told of it: nothing that opens anything.
fn fact(key: &Key) -> Fact {
    let data = json!({ "api_key": pb::to_json("ApiKey", &v1::ApiKey::from(key.clone())) });
    Fact { kind: Kind::ApiKeyExpiring, subject: key.id.0, body: data.to_string().into_bytes() }
}

/// Returns the step at which somebody is to be told, in days; `None`: they were, or it is too early. A step that passed while nobody
/// looked is not made up for: the next one says it all.
fn due(key: &Key, now: Moment) -> Option<i16> {
    let left = key.expire_time - now;
    if left <= Duration::zero() || key.revoke_time.is_some() {
        return None;
    }
    let step = STEPS.into_iter().rfind(|days| left <= Duration::days(i64::from(*days)))?;
    (key.warned_days == 0 || key.warned_days > step).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::from_micros,
        ids::{ApiKeyId, Ids, WorkspaceId},
    };

    #[test]
    fn a_key_is_spoken_of_at_each_step_once() {
        let now = from_micros(1_800_000_000_000_000);
        let ids = Ids::seeded(1);
        for (hours, warned_days, revoked, expected) in [
            (14 * 24 + 1, 0, false, None),
            (14 * 24, 0, false, Some(14)),
            (14 * 24, 14, false, None),
            (7 * 24 + 1, 14, false, None),
            (7 * 24, 14, false, Some(7)),
            (7 * 24, 0, false, Some(7)),
            (25, 7, false, None),
            (24, 7, false, Some(1)),
            (24, 14, false, Some(1)),
            (1, 1, false, None),
            (0, 7, false, None),
            (24, 7, true, None),
        ] {
            let key = Key {
                id: ApiKeyId::mint(&ids, now),
                workspace_id: WorkspaceId::mint(&ids, now),
                name: "ci".into(),
                prefix: String::new(),
                secret_hash: Vec::new(),
                scopes: serde_json::json!([]),
                create_time: now,
                expire_time: now + Duration::hours(hours),
                revoke_time: revoked.then_some(now),
                last_use_time: None,
                test: false,
                previous_hash: None,
                previous_expire_time: None,
                rotate_time: None,
                project_ids: None,
                domain_ids: None,
                warned_days,
                certificate_name: None,
            };
            assert_eq!(due(&key, now), expected, "{hours} hours, warned at {warned_days}");
        }
    }
}
