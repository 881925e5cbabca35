//! What clients send of the defaults of a template, by the rules of links. Pure.

use std::{collections::BTreeSet, ops::RangeInclusive};

use prost::Message as _;

use crate::{
    error::Violations,
    links::{
        app_fields,
        fields::{Door, Field, duration, whole_seconds},
    },
    pb::v1::{Link, LinkDefaults},
};

/// A minute to ten years.
const LIFE: RangeInclusive<i64> = 60..=3650 * 86_400;

/// Makes the list of the fields and what copies one of them, so that neither forgets one.
macro_rules! fields {
    ($($field:ident)*) => {
        /// Every field, by its name in the contract.
        pub(super) const FIELDS: &[&str] = &[$(stringify!($field)),*];

        /// Copies one field.
        pub(super) fn copy(field: &str, from: &LinkDefaults, to: &mut LinkDefaults) {
            // A field that is missing above does not compile here.
            let LinkDefaults { $($field: _),* } = from;
            match field {
                $(stringify!($field) => to.$field.clone_from(&from.$field),)*
                _ => {}
            }
        }
    };
}

fields! {
    destination_url ios_url android_url web_url app_scheme ios_universal_link android_app_link deep_link_path
    deep_link_parameters utm targeting routing_rules og append_click_id forward_query launchpad_mode attribution_window
    event_attribution_window expire_after redirect_status cache_duration tags web_only
}

/// Reads what is stored.
pub(super) fn stored(bytes: &[u8]) -> LinkDefaults {
    LinkDefaults::decode(bytes).unwrap_or_default()
}

/// Reads the fields of defaults that are meant, as they are stored, and notes what is wrong with them.
pub(super) fn check(
    door: &Door<'_>,
    fields: &BTreeSet<&str>,
    given: &LinkDefaults,
    wrong: &mut Violations,
) -> LinkDefaults {
    let mut meant = LinkDefaults::default();
    for field in fields {
        copy(field, given, &mut meant);
    }
    let expire_after = meant.expire_after.and_then(|after| {
        let read = whole_seconds(&after, &LIFE, "must be 1 minute to 3,650 days, in whole seconds");
        duration(wrong.take(&format!("{}expire_after", door.path), read)?)
    });
    let link = Link {
        destination_url: meant.destination_url,
        ios_url: meant.ios_url,
        android_url: meant.android_url,
        web_url: meant.web_url,
        app_scheme: meant.app_scheme,
        ios_universal_link: meant.ios_universal_link,
        android_app_link: meant.android_app_link,
        deep_link_path: meant.deep_link_path,
        deep_link_parameters: meant.deep_link_parameters,
        utm: meant.utm,
        targeting: meant.targeting,
        routing_rules: meant.routing_rules,
        og: meant.og,
        append_click_id: meant.append_click_id,
        forward_query: meant.forward_query,
        launchpad_mode: meant.launchpad_mode,
        attribution_window: meant.attribution_window,
        event_attribution_window: meant.event_attribution_window,
        redirect_status: meant.redirect_status,
        cache_duration: meant.cache_duration,
        tags: meant.tags,
        ..Link::default()
    };
    let link = door.content(&Field::ALL.into(), link, wrong);
    LinkDefaults {
        destination_url: link.destination_url,
        ios_url: link.ios_url,
        android_url: link.android_url,
        web_url: link.web_url,
        app_scheme: link.app_scheme,
        ios_universal_link: link.ios_universal_link,
        android_app_link: link.android_app_link,
        deep_link_path: link.deep_link_path,
        deep_link_parameters: link.deep_link_parameters,
        utm: app_fields::utm(&link.utm),
        targeting: link.targeting,
        routing_rules: link.routing_rules,
        og: link.og,
        append_click_id: link.append_click_id,
        // The default is stored as nothing.
        forward_query: Some(link.forward_query).filter(|forwarded| !forwarded),
        launchpad_mode: link.launchpad_mode.into(),
        attribution_window: duration(link.attribution_window),
        event_attribution_window: duration(link.event_attribution_window),
        expire_after,
        redirect_status: link.redirect_status.into(),
        cache_duration: duration(link.cache_seconds),
        tags: link.tags,
        web_only: meant.web_only,
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Duration;
    use url::Url;

    use super::*;
    use crate::{destination_url::Own, pb::v1};

    fn read(given: &LinkDefaults, fields: &[&'static str]) -> (LinkDefaults, Vec<String>) {
        let own = Url::parse("https://go.example.com").expect("the test's own URL");
        let door = Door {
            own: Own { url: &own, hosts: &[] },
            path: "template.defaults.",
            default_leads: false,
            decide: None,
        };
        let mut wrong = Violations::default();
        let read = check(&door, &fields.iter().copied().collect(), given, &mut wrong);
        (read, wrong.into_inner().into_iter().map(|wrong| wrong.field).collect())
    }

    #[test]
    fn defaults_follow_the_rules_of_links() {
        let bad = LinkDefaults {
            destination_url: "ftp://x".into(),
            app_scheme: "javascript".into(),
            attribution_window: Some(Duration { seconds: 60, nanos: 0 }),
            expire_after: Some(Duration { seconds: 1, nanos: 0 }),
            cache_duration: Some(Duration { seconds: 86_401, nanos: 0 }),
            tags: vec![String::new()],
            redirect_status: 9,
            ..LinkDefaults::default()
        };
        let (_, wrong) = read(&bad, FIELDS);
        let expected = [
            "expire_after",
            "destination_url",
            "app_scheme",
            "tags[0]",
            "attribution_window",
            "cache_duration",
            "redirect_status",
        ];
        assert_eq!(wrong, expected.map(|field| format!("template.defaults.{field}")));
        assert!(read(&bad, &["ios_url", "web_only"]).1.is_empty(), "what is not meant is not looked at");
    }

    #[test]
    fn what_is_meant_is_kept_as_links_keep_it() {
        let given = LinkDefaults {
            destination_url: "HTTPS://example.com".into(),
            utm: Some(v1::Utm { source: " mail ".into(), ..v1::Utm::default() }),
            forward_query: Some(true),
            launchpad_mode: v1::LaunchpadMode::Inherit.into(),
            expire_after: Some(Duration { seconds: 60, nanos: 0 }),
            web_only: true,
            ..LinkDefaults::default()
        };
        let (kept, wrong) = read(&given, FIELDS);
        assert!(wrong.is_empty(), "{wrong:?}");
        let expected = LinkDefaults {
            destination_url: "https://example.com/".into(),
            utm: Some(v1::Utm { source: "mail".into(), ..v1::Utm::default() }),
            forward_query: None,
            launchpad_mode: 0,
            ..given
        };
        assert_eq!(kept, expected);
        assert_eq!(stored(&kept.encode_to_vec()), kept);
        let (some, _) = read(&expected, &["web_only"]);
        assert_eq!(some, LinkDefaults { web_only: true, ..LinkDefaults::default() });
    }
}
