//! What bodies are signed with: made, replaced, shown. Pure.
//!
//! Each is 32 random bytes: the secret of HMAC-SHA-256, or the seed of an Ed25519 pair. The secret is told once; of a pair the public key is told always
//! and the seed never.

use chrono::Duration;

use super::{
    endpoint::{Format, Secret, Settings, Signing},
    sign,
};
use crate::{clock::Moment, ids::Ids};

/// How long the one until now is good when nobody says.
pub const DEFAULT_OVERLAP: Duration = Duration::hours(24);
/// How long it is good at the most.
pub const MAX_OVERLAP: Duration = Duration::days(7);
/// How many are good at once at the most: each makes the header longer.
const MOST: usize = 3;

/// Makes one.
pub fn mint(ids: &Ids, now: Moment) -> Secret {
    Secret { key: ids.bytes(), create_time: now, expire_time: None, text: None }
}

/// Says whether such an endpoint has any.
pub fn are_of(settings: &Settings) -> bool {
    settings.format != Format::Postback
}

/// Returns what is told of one, once; empty where it is never told.
pub fn told(secret: &Secret, settings: &Settings) -> String {
    match settings.signing {
        Signing::Hmac if are_of(settings) => sign::secret_text(&secret.key),
        _ => String::new(),
    }
}

/// Returns what is shown of one always; empty where nothing is.
pub fn shown(secret: &Secret, settings: &Settings) -> String {
    match settings.signing {
        Signing::Ed25519 => sign::public_key_text(&secret.key).unwrap_or_default(),
        Signing::Hmac => String::new(),
    }
}

/// Returns what is good once `new` is there: the one until now for `overlap` longer, those before it no longer than that, and no more than three.
pub fn rotated(held: &[Secret], new: Secret, overlap: Duration, now: Moment) -> Vec<Secret> {
    let end = now + overlap;
    let before = held.iter().map(|secret| Secret {
        expire_time: Some(secret.expire_time.map_or(end, |earlier| earlier.min(end))),
        ..secret.clone()
    });
    std::iter::once(new).chain(before.filter(|secret| secret.is_valid(now))).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::from_micros,
        webhooks::{
            Filter,
            endpoint::{ClickMode, EVERY_CLICK},
        },
    };

    fn at(hours: i64) -> Moment {
        from_micros(0) + Duration::hours(hours)
    }

    fn secret(key: u8, expires: Option<i64>) -> Secret {
        Secret { key: [key; 32], create_time: at(0), expire_time: expires.map(at), text: None }
    }

    #[test]
    fn the_one_until_now_is_good_a_while_longer_and_no_more_than_three_are() {
        for (held, overlap, expected) in [
            (vec![secret(1, None)], 24, vec![(9, None), (1, Some(124))]),
            (vec![secret(1, None)], 0, vec![(9, None)]),
            (vec![secret(2, None), secret(1, Some(99))], 24, vec![(9, None), (2, Some(124))]),
            (
                vec![secret(2, None), secret(1, Some(101))],
                24,
                vec![(9, None), (2, Some(124)), (1, Some(101))],
            ),
            // A shorter overlap ends all of them sooner: whoever rotates in haste means all that was.
            (vec![secret(2, None), secret(1, Some(150))], 1, vec![(9, None), (2, Some(101)), (1, Some(101))]),
            (vec![secret(2, None), secret(1, Some(150))], 0, vec![(9, None)]),
            (
                vec![secret(3, None), secret(2, Some(150)), secret(1, Some(160))],
                168,
                vec![(9, None), (3, Some(268)), (2, Some(150))],
            ),
            (vec![], 24, vec![(9, None)]),
        ] {
            let now = at(100);
            let after = rotated(&held, secret(9, None), Duration::hours(overlap), now);
            let after: Vec<_> = after.iter().map(|secret| (secret.key[0], secret.expire_time)).collect();
            let expected: Vec<_> = expected.into_iter().map(|(key, end)| (key, end.map(at))).collect();
            assert_eq!(after, expected, "{overlap}");
        }
    }

    #[test]
    fn a_secret_is_told_and_a_public_key_is_shown() {
        let settings = |format, signing| Settings {
            event_types: Vec::new(),
            filter: Filter::default(),
            format,
            clicks: ClickMode::Each,
            click_sample: EVERY_CLICK,
            signing,
            postback: None,
        };
        for (format, signing, tells, shows) in [
            (Format::Standard, Signing::Hmac, "whsec_", ""),
            (Format::LinkForty, Signing::Hmac, "whsec_", ""),
            (Format::Standard, Signing::Ed25519, "", "whpk_"),
            (Format::Postback, Signing::Hmac, "", ""),
        ] {
            let settings = settings(format, signing);
            let minted = mint(&Ids::seeded(1), at(0));
            let (told, shown) = (told(&minted, &settings), shown(&minted, &settings));
            assert_eq!((told.get(..6).unwrap_or(""), shown.get(..5).unwrap_or("")), (tells, shows));
        }
    }
}
