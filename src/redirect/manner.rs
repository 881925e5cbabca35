//! With which status a redirect is answered, and how long a browser may keep it. Pure.

use http::{HeaderValue, StatusCode};

use super::http::NO_STORE;
use crate::{
    clock::Moment,
    links::{Extras, Target},
    pb::v1::RedirectStatus,
};

/// Returns the status and the Cache-Control of a redirect.
pub(super) fn of(link: &Target, extras: &Extras, now: Moment) -> (StatusCode, HeaderValue) {
    let status = match extras.redirect_status {
        RedirectStatus::Unspecified | RedirectStatus::Inherit | RedirectStatus::Found => StatusCode::FOUND,
        RedirectStatus::MovedPermanently => StatusCode::MOVED_PERMANENTLY,
        RedirectStatus::TemporaryRedirect => StatusCode::TEMPORARY_REDIRECT,
        RedirectStatus::PermanentRedirect => StatusCode::PERMANENT_REDIRECT,
    };
    let kept = match seconds(link, extras, now) {
        0 => NO_STORE,
        // Shared caches would answer other visitors, who may be sent elsewhere.
        seconds => HeaderValue::try_from(format!("private, max-age={seconds}")).unwrap_or(NO_STORE),
    };
    (status, kept)
}

/// Returns for how long: never beyond the next moment at which the link itself says something else, and not at all where every
/// visit must come here.
fn seconds(link: &Target, extras: &Extras, now: Moment) -> u32 {
    if link.max_clicks != 0 || extras.has_password {
        return 0;
    }
    let ends = [link.expire_time, extras.warn_time, extras.disable_time];
    let first = ends.into_iter().flatten().filter(|end| *end > now).min();
    let left = first.map_or(u32::MAX, |end| u32::try_from((end - now).num_seconds()).unwrap_or(u32::MAX));
    extras.cache_seconds.min(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn a_redirect_is_kept_no_longer_than_it_holds() {
        let now = from_micros(100_000_000);
        let at = |seconds: i64| Some(from_micros(seconds * 1_000_000));
        let bare = || (Target::bare(), Extras { cache_seconds: 60, ..Extras::default() });
        let changed = |change: &dyn Fn(&mut Target, &mut Extras)| {
            let (mut link, mut extras) = bare();
            change(&mut link, &mut extras);
            of(&link, &extras, now).1
        };
        let cases: [(&dyn Fn(&mut Target, &mut Extras), &str); 9] = [
            (&|_, extras| extras.cache_seconds = 0, "private, no-store"),
            (&|_, _| {}, "private, max-age=60"),
            (&|link, _| link.max_clicks = 5, "private, no-store"),
            (&|_, extras| extras.has_password = true, "private, no-store"),
            (&|link, _| link.expire_time = at(130), "private, max-age=30"),
            (&|link, _| link.expire_time = at(1000), "private, max-age=60"),
            (&|_, extras| extras.disable_time = at(101), "private, max-age=1"),
            (&|_, extras| extras.warn_time = Some(from_micros(100_500_000)), "private, no-store"),
            (&|_, extras| extras.warn_time = at(50), "private, max-age=60"),
        ];
        for (number, (change, expected)) in cases.into_iter().enumerate() {
            assert_eq!(changed(change), expected, "case {number}");
        }
    }

    #[test]
    fn the_status_is_the_one_that_was_chosen() {
        for (chosen, status) in [
            (RedirectStatus::Unspecified, 302),
            (RedirectStatus::Found, 302),
            (RedirectStatus::MovedPermanently, 301),
            (RedirectStatus::TemporaryRedirect, 307),
            (RedirectStatus::PermanentRedirect, 308),
        ] {
            let extras = Extras { redirect_status: chosen, ..Extras::default() };
            let (answered, kept) = of(&Target::bare(), &extras, from_micros(0));
            assert_eq!((answered.as_u16(), kept), (status, NO_STORE));
        }
    }
}
