//! Where a visitor goes: one pure function with an outcome for every case.

use crate::{clock::Moment, links::Target};

use super::visitor::{Platform, Visitor};

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

/// The step of the destination chain that named the destination. The numbers are stored with every click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum Step {
    /// The link's iOS address.
    Ios = 1,
    /// The link's Android address.
    Android = 2,
    /// The link's web address.
    Web = 3,
    /// The link's destination: nothing more specific fitted.
    Destination = 4,
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
}

/// Chooses where a visitor of a link goes at `now`.
///
/// In order: an inactive link, one that has not started and one that has expired are not found. Then the first address that
/// is set: on iOS and Android the store, then the web, then the destination; inside an app's own browser the web before the
/// store, because the system had no chance yet to open the installed app and gets it on the way there; elsewhere the web,
/// then the destination.
pub fn choose<'a>(link: &'a Target, visitor: Visitor, now: Moment) -> Outcome<'a> {
    if !link.active {
        return Outcome::NotFound(Closed::Inactive);
    }
    if link.start_time.is_some_and(|start| now < start) {
        return Outcome::NotFound(Closed::NotStarted);
    }
    if link.expire_time.is_some_and(|expire| now >= expire) {
        return Outcome::NotFound(Closed::Expired);
    }
    let web = (link.web_url.as_str(), Step::Web);
    let store = match visitor.platform {
        Platform::Ios => (link.ios_url.as_str(), Step::Ios),
        Platform::Android => (link.android_url.as_str(), Step::Android),
        Platform::Web => ("", Step::Web),
    };
    let chain = if visitor.in_app_browser { [web, store] } else { [store, web] };
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
            active: true,
            start_time: None,
            expire_time: None,
            version: 1,
        }
    }

    fn visitor(platform: Platform, in_app_browser: bool) -> Visitor {
        Visitor { platform, in_app_browser }
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
            let outcome = choose(&link, visitor(platform, in_app), from_micros(0));
            assert_eq!(
                outcome,
                Outcome::Go { url: expected.0, step: expected.1 },
                "{platform:?} {in_app} {ios} {android} {web}"
            );
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
            let outcome = choose(&link, visitor(Platform::Web, false), from_micros(now));
            let expected =
                closed.map_or(Outcome::Go { url: "destination", step: Step::Destination }, Outcome::NotFound);
            assert_eq!(outcome, expected, "at {now}");
        }
        link.active = false;
        let outcome = choose(&link, visitor(Platform::Web, false), from_micros(150));
        assert_eq!(outcome, Outcome::NotFound(Closed::Inactive));
    }
}
