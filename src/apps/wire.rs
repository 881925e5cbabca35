//! Between the messages of the contract and the types of this room.

use chrono::Duration;
use prost_types::FieldMask;
use url::Url;

use super::{
    Change, MOST_OVERLAP, Match, OVERLAP, Shown, Standing, Verdict, etag,
    fields::{self, Extent},
};
use crate::{
    error::{Error, Result, Violations},
    ids::AppId,
    pb::v1,
    rpc::timestamp,
    workspaces::Tenant,
};

const NOT_A_UUID: &str = "must be a UUID of 36 characters";
const MAX_URL: usize = 2048;

/// Reads the id of an app.
pub(super) fn app_id(field: &str, id: &str, wrong: &mut Violations) -> Option<AppId> {
    wrong.take(field, AppId::parse(id).ok_or(NOT_A_UUID))
}

/// Reads a new app.
pub(super) fn new_app(app: Option<v1::App>, wrong: &mut Violations) -> v1::App {
    let Some(app) = app else {
        wrong.add("app", "is required");
        return v1::App::default();
    };
    fields::check(app, Extent::Complete, wrong)
}

/// Reads a change. What is wrong with an app as a whole shows when the change meets what is stored.
pub(super) fn change(
    app: Option<v1::App>,
    mask: Option<&FieldMask>,
    wrong: &mut Violations,
) -> Option<Change> {
    let Some(app) = app else {
        wrong.add("app", "is required");
        return None;
    };
    let id = app_id("app.id", &app.id, wrong);
    let named = fields::read_mask(mask, &app, wrong);
    let mut meant = v1::App::default();
    fields::copy(&named, &app, &mut meant);
    let content = fields::check(meant, Extent::Part, wrong);
    Some(Change { id: id?, etag: app.etag, fields: named, content })
}

/// Reads how long tokens stay good beside a new one.
pub(super) fn overlap(given: Option<prost_types::Duration>) -> Result<Duration, &'static str> {
    let Some(given) = given else { return Ok(OVERLAP) };
    let overlap = Duration::try_seconds(given.seconds).filter(|_| given.nanos == 0);
    overlap
        .filter(|overlap| (Duration::zero()..=MOST_OVERLAP).contains(overlap))
        .ok_or("must be 0 to 3,650 days, in whole seconds")
}

/// Reads the URL somebody taps.
pub(super) fn tapped(raw: &str) -> Result<Url, &'static str> {
    if raw.is_empty() || raw.chars().nth(MAX_URL).is_some() {
        return Err("must have 1 to 2,048 characters");
    }
    let url = Url::parse(raw).map_err(|_| "is not a valid absolute URL")?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err("must begin with https:// or http:// and name a host");
    }
    Ok(url)
}

/// Returns everything about a list but its page: a page token is good for this and nothing else.
pub(super) fn question(tenant: &Tenant) -> Vec<u8> {
    [b"ListApps".as_slice(), tenant.id.0.as_bytes()].concat()
}

/// Writes an app.
pub(super) fn app(shown: Shown) -> v1::App {
    let Shown { app, content, served_hosts, token } = shown;
    v1::App {
        id: app.id.to_string(),
        workspace_id: app.workspace_id.to_string(),
        served_hosts,
        create_time: Some(timestamp(app.create_time)),
        update_time: Some(timestamp(app.update_time)),
        etag: etag::of(&app),
        app_token: token,
        has_meta_referrer_key: app.meta_key.is_some(),
        ..content
    }
}

/// Writes what becomes of a URL.
pub(super) fn matched(of: Match) -> v1::AppLinkMatch {
    use v1::AppLinkOutcome as Outcome;
    let mut answer = v1::AppLinkMatch {
        app_id: of.app.to_string(),
        platform: of.platform.into(),
        opens_before_android_15: of.platform == v1::Platform::Android && of.standing == Standing::Listed,
        ..v1::AppLinkMatch::default()
    };
    let place = |place: usize| i32::try_from(place).ok();
    let outcome = match (of.standing, of.verdict) {
        (Standing::HostUnknown, _) => Outcome::HostUnknown,
        (Standing::HostNotNamed, _) => Outcome::HostNotNamed,
        (Standing::HostNotAllowed, _) => Outcome::HostNotAllowed,
        (Standing::Suspended, _) => Outcome::Suspended,
        (Standing::Listed, Some(Verdict::Opens(component))) => {
            answer.component_index = component.and_then(place);
            Outcome::Opens
        }
        (Standing::Listed, Some(Verdict::Excluded(component))) => {
            answer.component_index = place(component);
            Outcome::Excluded
        }
        (Standing::Listed, Some(Verdict::OwnPage(pattern))) => {
            answer.own_page = pattern.to_owned();
            Outcome::OwnPage
        }
        (Standing::Listed, Some(Verdict::NoComponent(misses))) => {
            let miss = |(number, miss): (usize, super::matching::Miss)| v1::ComponentMiss {
                component_index: place(number).unwrap_or(i32::MAX),
                part: miss.part.into(),
                pattern: miss.pattern,
                found: miss.found,
                query_item: miss.item,
            };
            answer.misses = misses.into_iter().enumerate().map(miss).collect();
            Outcome::NoComponent
        }
        (Standing::Listed, None) => Outcome::Unspecified,
    };
    answer.outcome = outcome.into();
    answer
}

/// Says that something unreadable was read: a defect of ours.
pub(super) fn unread() -> Error {
    Error::internal("an unreadable field passed as a good one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_urls_of_the_web_are_tapped() {
        for (raw, host) in [
            ("https://go.example.com/x", Some("go.example.com")),
            ("HTTP://GO.example.com", Some("go.example.com")),
            ("https://käse.example/x", Some("xn--kse-qla.example")),
            ("myapp://x", None),
            ("/x", None),
            ("", None),
            ("mailto:a@example.com", None),
            ("https://", None),
        ] {
            let read = tapped(raw);
            assert_eq!(read.as_ref().ok().and_then(|url| url.host_str()), host, "{raw}");
        }
        let long = |length: usize| format!("https://a.example/{}", "x".repeat(length - 18));
        assert_eq!((tapped(&long(2048)).is_ok(), tapped(&long(2049)).is_ok()), (true, false));
    }
}
