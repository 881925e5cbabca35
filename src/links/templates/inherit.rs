//! What a link takes from its template. Pure, and done when a link is looked up: a warm link carries the result.

use crate::{
    clock::Moment,
    links::{app_fields, extras, routing, target::Row},
    pb::v1::{LaunchpadMode, LinkDefaults},
};

/// Gives a link what its template has and it does not set itself.
pub(in crate::links) fn inherit(link: &mut Row, template: LinkDefaults) {
    let LinkDefaults {
        destination_url,
        ios_url,
        android_url,
        web_url,
        app_scheme,
        ios_universal_link,
        android_app_link,
        deep_link_path,
        deep_link_parameters,
        utm,
        targeting,
        routing_rules,
        og,
        append_click_id,
        forward_query,
        launchpad_mode,
        // Looked at when something is credited, not when somebody is sent on.
        attribution_window: _,
        event_attribution_window: _,
        expire_after,
        redirect_status,
        cache_duration,
        // Given when a link is created.
        tags: _,
        web_only,
    } = template;
    for (own, other) in [
        (&mut link.destination_url, destination_url),
        (&mut link.ios_url, ios_url),
        (&mut link.android_url, android_url),
        (&mut link.web_url, web_url),
        (&mut link.app_scheme, app_scheme),
        (&mut link.ios_universal_link, ios_universal_link),
        (&mut link.android_app_link, android_app_link),
        (&mut link.deep_link_path, deep_link_path),
    ] {
        if own.is_empty() {
            *own = other;
        }
    }
    let template_utm = utm.unwrap_or_default();
    let template_utm = app_fields::read_utm("", template_utm, &mut crate::error::Violations::default());
    for (own, others) in
        [(&mut link.deep_link_parameters, deep_link_parameters), (&mut link.utm, template_utm)]
    {
        if !others.is_empty() {
            let mut texts = app_fields::from_json(std::mem::take(own));
            for (name, text) in others {
                texts.entry(name).or_insert(text);
            }
            *own = app_fields::to_json(&texts);
        }
    }
    for (own, other) in [
        (&mut link.targeting, extras::to_bytes(targeting.as_ref())),
        (&mut link.routing_rules, routing::to_bytes(&routing_rules)),
        (&mut link.og, extras::to_bytes(og.as_ref())),
    ] {
        if own.is_none() {
            *own = other;
        }
    }
    link.append_click_id |= append_click_id;
    link.forward_query &= forward_query != Some(false);
    if link.launchpad_mode == 0 {
        link.launchpad_mode = i16::try_from(launchpad_mode).unwrap_or_default();
    }
    if link.redirect_status == 0 {
        link.redirect_status = i16::try_from(redirect_status).unwrap_or_default();
    }
    if link.cache_seconds == 0 {
        link.cache_seconds =
            cache_duration.and_then(|kept| i32::try_from(kept.seconds).ok()).unwrap_or_default();
    }
    if link.expire_time.is_none() {
        link.expire_time = expire_after.and_then(|after| expiry(link.create_time, after.seconds));
    }
    if web_only {
        for address in [
            &mut link.ios_url,
            &mut link.android_url,
            &mut link.ios_universal_link,
            &mut link.android_app_link,
            &mut link.app_scheme,
        ] {
            address.clear();
        }
        link.launchpad_mode = LaunchpadMode::Off as i16;
    }
}

fn expiry(created: Moment, seconds: i64) -> Option<Moment> {
    created.checked_add_signed(chrono::Duration::try_seconds(seconds)?)
}

#[cfg(test)]
mod tests {
    use prost_types::Duration;

    use super::*;
    use crate::{
        clock::from_micros,
        pb::v1::{Og, Platform, RoutingRule, Targeting, Utm, routing_rule::Action},
    };

    fn texts(pairs: &[(&str, &str)]) -> app_fields::Texts {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn template() -> LinkDefaults {
        LinkDefaults {
            destination_url: "https://template.example/".into(),
            ios_url: "https://apps.apple.com/template".into(),
            app_scheme: "template".into(),
            deep_link_path: "/template".into(),
            deep_link_parameters: texts(&[("a", "template"), ("b", "template")]),
            utm: Some(Utm { source: "template".into(), medium: "template".into(), ..Utm::default() }),
            targeting: Some(Targeting { platforms: vec![Platform::Ios.into()], ..Targeting::default() }),
            routing_rules: vec![RoutingRule {
                action: Some(Action::Url("https://rule.example/".into())),
                ..RoutingRule::default()
            }],
            og: Some(Og { title: "template".into(), ..Og::default() }),
            append_click_id: true,
            forward_query: Some(false),
            launchpad_mode: LaunchpadMode::On.into(),
            expire_after: Some(Duration { seconds: 60, nanos: 0 }),
            redirect_status: 3,
            cache_duration: Some(Duration { seconds: 7, nanos: 0 }),
            ..LinkDefaults::default()
        }
    }

    #[test]
    fn a_link_that_sets_nothing_takes_everything() {
        let mut link = Row::bare();
        inherit(&mut link, template());
        let template = template();
        assert_eq!(link.destination_url, template.destination_url);
        assert_eq!(link.ios_url, template.ios_url);
        assert_eq!((&*link.app_scheme, &*link.deep_link_path), ("template", "/template"));
        assert_eq!(app_fields::from_json(link.deep_link_parameters), template.deep_link_parameters);
        assert_eq!(app_fields::from_json(link.utm), texts(&[("source", "template"), ("medium", "template")]));
        assert!(link.targeting.is_some() && link.routing_rules.is_some() && link.og.is_some());
        assert_eq!((link.append_click_id, link.forward_query), (true, false));
        assert_eq!((link.launchpad_mode, link.redirect_status, link.cache_seconds), (2, 3, 7));
        assert_eq!(link.expire_time, Some(from_micros(60_000_000)));
    }

    #[test]
    fn what_a_link_sets_itself_stays() {
        let own = Row {
            destination_url: "https://own.example/".into(),
            app_scheme: "own".into(),
            deep_link_parameters: app_fields::to_json(&texts(&[("a", "own")])),
            utm: app_fields::to_json(&texts(&[("source", "own")])),
            targeting: Some(vec![1]),
            routing_rules: Some(vec![2]),
            og: Some(vec![3]),
            launchpad_mode: 3,
            redirect_status: 4,
            cache_seconds: 9,
            expire_time: Some(from_micros(5)),
            ..Row::bare()
        };
        let mut link = own.clone();
        inherit(&mut link, template());
        assert_eq!((&*link.destination_url, &*link.app_scheme), ("https://own.example/", "own"));
        assert_eq!(
            app_fields::from_json(link.deep_link_parameters),
            texts(&[("a", "own"), ("b", "template")])
        );
        assert_eq!(app_fields::from_json(link.utm), texts(&[("source", "own"), ("medium", "template")]));
        assert_eq!(
            (link.targeting, link.routing_rules, link.og),
            (own.targeting.clone(), own.routing_rules.clone(), own.og.clone())
        );
        assert_eq!((link.launchpad_mode, link.redirect_status, link.cache_seconds), (3, 4, 9));
        assert_eq!(link.expire_time, own.expire_time);
        let mut link = Row { web_url: "x".into(), ..own.clone() };
        inherit(&mut link, LinkDefaults::default());
        assert_eq!(link, Row { web_url: "x".into(), ..own }, "an empty template changes nothing");
    }

    #[test]
    fn a_template_for_the_web_sends_everybody_there() {
        let mut link = Row {
            ios_url: "https://apps.apple.com/own".into(),
            android_app_link: "https://app.example/".into(),
            ..Row::bare()
        };
        inherit(&mut link, LinkDefaults { web_only: true, ..template() });
        assert_eq!((&*link.ios_url, &*link.android_app_link, &*link.app_scheme), ("", "", ""));
        assert_eq!(link.destination_url, "https://template.example/");
        assert_eq!(i32::from(link.launchpad_mode), i32::from(LaunchpadMode::Off));
    }
}
