//! Where a visitor goes: one pure function with an outcome for every case.

use crate::{
    clock::Moment,
    links::{Rule, Target},
};

use super::{
    rules,
    visitor::{Platform, Visit},
};

/// What becomes of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// The visitor goes to `url`, because of `step`.
    Go {
        /// An absolute http or https URL.
        url: &'a str,
        /// The step of the chain that named it.
        step: Step,
    },
    /// The visitor sees what a visitor of an unknown code sees.
    NotFound(Closed),
}

/// The step of the destination chain that named the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The link's iOS address.
    Ios,
    /// The link's Android address.
    Android,
    /// The link's web address.
    Web,
    /// The link's destination: nothing more specific fitted.
    Destination,
    /// The URL that the installed app opens: universal link or app link.
    AppLink,
    /// The routing rule at this place, from 0.
    Rule(u8),
}

impl Step {
    /// Returns the number that is stored with every click: 1 to 4 for the link's addresses for iOS, Android, the web and
    /// for all, 5 for the URL that the app opens, 100 and more for the routing rules in their order.
    pub fn number(self) -> i16 {
        match self {
            Self::Ios => 1,
            Self::Android => 2,
            Self::Web => 3,
            Self::Destination => 4,
            Self::AppLink => 5,
            Self::Rule(index) => 100 + i16::from(index),
        }
    }
}

/// Why a link that exists does not redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Switched off.
    Inactive,
    /// Before its start.
    NotStarted,
    /// At or after its end.
    Expired,
    /// As many visits were sent on as may be.
    Exhausted,
}

/// Chooses where a visitor of a link goes at `now`.
///
/// In order: an inactive link, one that has not started, one that has expired and one whose clicks are used up are not found. Then the first
/// routing rule that fits. Then the first address that is set: on iOS and Android the URL that the app opens, the store, the web, the destination; inside an app's own browser the web before the
/// store, because the system had no chance yet to open the installed app and gets it on the way there; elsewhere the web,
/// then the destination.
pub fn choose<'a>(link: &'a Target, visit: &Visit<'_>, now: Moment) -> Outcome<'a> {
    if !link.active {
        return Outcome::NotFound(Closed::Inactive);
    }
    if link.start_time.is_some_and(|start| now < start) {
        return Outcome::NotFound(Closed::NotStarted);
    }
    if link.expire_time.is_some_and(|expire| now >= expire) {
        return Outcome::NotFound(Closed::Expired);
    }
    if visit.used_up {
        return Outcome::NotFound(Closed::Exhausted);
    }
    let fits = |rule: &&Rule| rule.active && rules::first_failure(rule, visit, now).is_none();
    if let Some(rule) = link.rules.iter().find(fits) {
        return Outcome::Go { url: rules::url_of(rule, link.id, visit), step: Step::Rule(rule.index) };
    }
    let visitor = visit.visitor;
    let web = (link.web_url.as_str(), Step::Web);
    let (app, store) = match visitor.platform {
        Platform::Ios => (link.ios_universal_link.as_str(), (link.ios_url.as_str(), Step::Ios)),
        Platform::Android => (link.android_app_link.as_str(), (link.android_url.as_str(), Step::Android)),
        Platform::Web => ("", ("", Step::Web)),
    };
    let app = (app, Step::AppLink);
    let chain = if visitor.in_app_browser { [app, web, store] } else { [app, store, web] };
    let (url, step) = chain
        .into_iter()
        .find(|(url, _)| !url.is_empty())
        .unwrap_or((link.destination_url.as_str(), Step::Destination));
    Outcome::Go { url, step }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::from_micros,
        ids::{Ids, LinkId, WorkspaceId},
        links::Rules,
        redirect::visitor::Visitor,
    };

    fn link(ios: &str, android: &str, web: &str) -> Target {
        let ids = Ids::seeded(1);
        Target {
            id: LinkId::mint(&ids, from_micros(0)),
            workspace_id: WorkspaceId::mint(&ids, from_micros(0)),
            destination_url: "destination".into(),
            ios_url: ios.into(),
            android_url: android.into(),
            web_url: web.into(),
            ios_universal_link: String::new(),
            android_app_link: String::new(),
            decoration: None,
            forward_query: true,
            rules: Rules::default(),
            active: true,
            start_time: None,
            expire_time: None,
            max_clicks: 0,
            version: 1,
        }
    }

    fn visitor(platform: Platform, in_app_browser: bool) -> Visit<'static> {
        let visitor = Visitor { platform, in_app_browser };
        Visit {
            visitor,
            user_agent: "",
            languages: "",
            referrer: "",
            query: "",
            client: None,
            used_up: false,
        }
    }

    #[test]
    fn the_chain_falls_from_the_special_to_the_general() {
        use Platform::{Android, Ios, Web};
        for (platform, in_app, ios, android, web, expected) in [
            (Ios, false, "ios", "android", "web", ("ios", Step::Ios)),
            (Android, false, "ios", "android", "web", ("android", Step::Android)),
            (Web, false, "ios", "android", "web", ("web", Step::Web)),
            (Ios, true, "ios", "android", "web", ("web", Step::Web)),
            (Android, true, "ios", "android", "", ("android", Step::Android)),
            (Ios, false, "", "android", "web", ("web", Step::Web)),
            (Ios, false, "", "android", "", ("destination", Step::Destination)),
            (Android, false, "ios", "", "", ("destination", Step::Destination)),
            (Web, false, "ios", "android", "", ("destination", Step::Destination)),
            (Web, true, "ios", "android", "", ("destination", Step::Destination)),
        ] {
            let link = link(ios, android, web);
            let outcome = choose(&link, &visitor(platform, in_app), from_micros(0));
            assert_eq!(
                outcome,
                Outcome::Go { url: expected.0, step: expected.1 },
                "{platform:?} {in_app} {ios} {android} {web}"
            );
        }
    }

    #[test]
    fn what_the_app_opens_comes_first_on_its_platform() {
        use Platform::{Android, Ios, Web};
        for (platform, in_app, expected) in [
            (Ios, false, ("universal", Step::AppLink)),
            (Ios, true, ("universal", Step::AppLink)),
            (Android, false, ("app link", Step::AppLink)),
            (Android, true, ("app link", Step::AppLink)),
            (Web, false, ("web", Step::Web)),
        ] {
            let link = Target {
                ios_universal_link: "universal".into(),
                android_app_link: "app link".into(),
                ..link("ios", "android", "web")
            };
            let outcome = choose(&link, &visitor(platform, in_app), from_micros(0));
            assert_eq!(outcome, Outcome::Go { url: expected.0, step: expected.1 }, "{platform:?} {in_app}");
            // The other platform's URL is nobody's business.
            let other = Target {
                ios_universal_link: if platform == Ios { "" } else { "universal" }.into(),
                android_app_link: if platform == Android { "" } else { "app link" }.into(),
                ..link
            };
            let Outcome::Go { step, .. } = choose(&other, &visitor(platform, in_app), from_micros(0)) else {
                panic!("the link is open");
            };
            assert_ne!(step, Step::AppLink);
        }
    }

    #[test]
    fn a_link_whose_clicks_are_used_up_is_closed_unless_it_is_closed_anyway() {
        let used_up = Visit { used_up: true, ..visitor(Platform::Web, false) };
        let open = link("", "", "");
        let expired = Target { expire_time: Some(from_micros(0)), ..open.clone() };
        for (link, closed) in [(open, Closed::Exhausted), (expired, Closed::Expired)] {
            assert_eq!(choose(&link, &used_up, from_micros(0)), Outcome::NotFound(closed));
        }
    }

    #[test]
    fn a_link_redirects_from_its_start_until_just_before_its_end() {
        let mut link = link("", "", "");
        link.start_time = Some(from_micros(100));
        link.expire_time = Some(from_micros(200));
        for (now, closed) in
            [(99, Some(Closed::NotStarted)), (100, None), (199, None), (200, Some(Closed::Expired))]
        {
            let outcome = choose(&link, &visitor(Platform::Web, false), from_micros(now));
            let expected =
                closed.map_or(Outcome::Go { url: "destination", step: Step::Destination }, Outcome::NotFound);
            assert_eq!(outcome, expected, "at {now}");
        }
        link.active = false;
        let outcome = choose(&link, &visitor(Platform::Web, false), from_micros(150));
        assert_eq!(outcome, Outcome::NotFound(Closed::Inactive));
    }
}
