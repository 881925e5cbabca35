//! What becomes of a visit that is described and not made, and why: the decision that visitors meet, told. Pure but for the file of
//! countries, and nothing is recorded, counted or used up.

use std::borrow::Cow;

use http::HeaderValue;
use uuid::Uuid;

use super::{
    answer::{AppUrls, LaunchpadUrls},
    destination::{Card, Closed, Gone, Line, Outcome, Step, choose, choose_telling},
    facts::Facts,
    http::Call,
    rules,
    software::Software,
    visitor::{Before, Password, Place, Platform, Programs, Visit, Visitor, Whereabouts},
};
use crate::{
    clicks::{class::Class, kept_of_user_agent},
    clock::Moment,
    domains::Site,
    geo::Geo,
    ids::{ClickId, LinkId},
    links::{Condition, Described, Detail, Rule, Target, timestamp},
    pb::v1::{self, ResolutionOutcome, ResolutionStep, RuleResult},
};

/// Stands in for the id of the click, which nobody makes.
const NO_CLICK: ClickId = ClickId(Uuid::nil());

/// Says what becomes of a described visit to a link at a moment. Where the description does not say whether the clicks of the link
/// are used up, they are not.
pub fn dry_run(
    geo: &Geo,
    link: &Target,
    described: &Described,
    now: Moment,
    detail: Detail,
) -> v1::Resolution {
    let visit = visit_of(described, geo);
    let first = choose(link, &visit, now);
    // Only who is asked for a password can give it, and goes on from its form.
    let by_form = first == Outcome::Password && described.password_given;
    let visit = if by_form { Visit { password: Password::Given, ..visit } } else { visit };
    let outcome = if by_form { choose(link, &visit, now) } else { first };
    let used_up = described.used_up == Some(true) && outcome.uses_one_up(link);
    let visit = Visit { used_up, ..visit };
    let mut lines = Vec::new();
    let outcome = if detail == Detail::Reasons {
        choose_telling(link, &visit, now, &mut |line| {
            // A visitor on the web is asked twice for the same address.
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        })
    } else if used_up {
        choose(link, &visit, now)
    } else {
        outcome
    };
    let call = Call {
        target: link,
        site: &Site::Own,
        code: "",
        visit: &visit,
        class: Class::Human,
        now,
        tokens: None,
    };
    let resolution = told(&call, outcome, by_form);
    if detail == Detail::Outcome {
        return resolution;
    }
    let (steps, step) = steps(&lines, outcome);
    let facts = Facts::of(&visit, now);
    v1::Resolution {
        step: step.into(),
        steps,
        rules: link
            .rules
            .with_conditions()
            .map(|(rule, conditions)| verdict(rule, conditions, link.id, &facts))
            .collect(),
        visitor: Some(read_of(&visit)),
        time: Some(timestamp(now)),
        ..resolution
    }
}

/// Reads a description as [`super::Redirects`] reads a request.
fn visit_of<'a>(described: &'a Described, geo: &'a Geo) -> Visit<'a> {
    let agent = kept_of_user_agent(&described.user_agent);
    Visit {
        visitor: Visitor::of(agent),
        user_agent: &described.user_agent,
        languages: &described.languages,
        referrer: &described.referrer,
        query: &described.query,
        client: described.client,
        place: described.place.as_ref().map_or(Whereabouts::LookUp(geo), |place| {
            let city = Some(place.city.as_str()).filter(|city| !city.is_empty());
            Whereabouts::Known(Place { country: place.country, regions: place.regions, city })
        }),
        software: Programs::Known(Software::of(agent)),
        before: Before::Known(described.returning),
        password: Password::Unknown,
        used_up: false,
    }
}

/// Writes what was read.
fn read_of(visit: &Visit<'_>) -> v1::ReadVisitor {
    let software = visit.software();
    v1::ReadVisitor {
        platform: rules::platform(visit.visitor.platform).into(),
        in_app_browser: visit.visitor.in_app_browser,
        scraper: visit.visitor.scraper,
        country: visit.country().map(|country| country.as_str().to_owned()).unwrap_or_default(),
        regions: visit.regions().into_iter().flatten().map(|region| region.to_string()).collect(),
        city: text(visit.city()),
        operating_system: software.system.into(),
        operating_system_version: software.version.map(|version| version.to_string()).unwrap_or_default(),
        device: software.device.into(),
        browser: software.browser.into(),
    }
}

/// Writes what becomes of a visit.
fn told(call: &Call<'_>, outcome: Outcome<'_>, by_form: bool) -> v1::Resolution {
    let mut told = v1::Resolution::default();
    let (name, status) = match outcome {
        Outcome::Go { url, step } => {
            told.rule = step.rule().map(i32::from);
            url.clone_into(&mut told.url);
            if let Some(location) = location(call, url) {
                told.location = location;
                (ResolutionOutcome::Redirect, if by_form { 303 } else { 302 })
            } else {
                (ResolutionOutcome::Broken, 404)
            }
        }
        Outcome::OpenApp { store, web } => {
            let AppUrls { scheme, intent, store, web } = AppUrls::of(call, (store, web), Some(NO_CLICK));
            let (ios, android) = match call.visit.visitor.platform {
                Platform::Ios => (store, None),
                Platform::Android | Platform::Web => (None, store),
            };
            told.page_links = Some(v1::PageLinks {
                scheme_url: scheme,
                intent_url: intent.unwrap_or_default(),
                ios_store_url: text(ios),
                android_store_url: text(android),
                web_url: text(web),
            });
            (ResolutionOutcome::OpenApp, 200)
        }
        Outcome::Pasteboard { store, step } => {
            told.rule = step.rule().map(i32::from);
            store.clone_into(&mut told.url);
            let ios_store_url = call.decorated(store, Some(NO_CLICK)).into_owned();
            told.page_links = Some(v1::PageLinks { ios_store_url, ..v1::PageLinks::default() });
            (ResolutionOutcome::Pasteboard, 200)
        }
        Outcome::Launchpad(ways) => {
            let urls = LaunchpadUrls::of(call, ways, Some(NO_CLICK));
            told.page_links = Some(v1::PageLinks {
                scheme_url: urls.open_app.unwrap_or_default(),
                intent_url: String::new(),
                ios_store_url: text(urls.ios_store),
                android_store_url: text(urls.android_store),
                web_url: text(urls.web),
            });
            (ResolutionOutcome::Launchpad, 200)
        }
        Outcome::Preview(Card::Own) => (ResolutionOutcome::Preview, 200),
        Outcome::Preview(Card::Neutral) => (ResolutionOutcome::NeutralPreview, 200),
        Outcome::Warn { onward } => {
            if let Some((url, step)) = onward {
                told.rule = step.rule().map(i32::from);
                url.clone_into(&mut told.url);
                // Who goes on from a warning is no click, so there is no id.
                let web_url = call.decorated(url, None).into_owned();
                told.page_links = Some(v1::PageLinks { web_url, ..v1::PageLinks::default() });
            }
            (ResolutionOutcome::Warning, 200)
        }
        Outcome::Password => (ResolutionOutcome::Password, 200),
        Outcome::NoDestination => (ResolutionOutcome::NoDestination, 200),
        Outcome::Gone(Gone::Suspended) => (ResolutionOutcome::Suspended, 410),
        Outcome::Gone(Gone::Disabled) => (ResolutionOutcome::Disabled, 410),
        Outcome::NotFound(closed) => {
            let name = match closed {
                Closed::Inactive => ResolutionOutcome::Inactive,
                Closed::NotStarted => ResolutionOutcome::NotStarted,
                Closed::Expired => ResolutionOutcome::Expired,
                Closed::Exhausted => ResolutionOutcome::UsedUp,
                Closed::NotTargeted => ResolutionOutcome::NotTargeted,
            };
            (name, 404)
        }
    };
    told.outcome = name.into();
    told.http_status = status;
    told
}

/// Returns the `Location` of a redirect; `None`: there is none that a header could carry.
fn location(call: &Call<'_>, url: &str) -> Option<String> {
    HeaderValue::from_str(url).ok()?;
    let decorated = call.decorated(url, Some(NO_CLICK));
    HeaderValue::from_str(&decorated).ok()?;
    Some(decorated.into_owned())
}

fn text(text: Option<Cow<'_, str>>) -> String {
    text.map(Cow::into_owned).unwrap_or_default()
}

fn verdict<'a>(
    rule: &Rule,
    conditions: impl Iterator<Item = &'a Condition>,
    link: LinkId,
    facts: &Facts<'_>,
) -> v1::RuleVerdict {
    let conditions: Vec<_> = conditions
        .map(|condition| {
            let holds = rules::holds(condition, facts);
            let explanation = if holds { String::new() } else { rules::words(condition, facts) };
            v1::ConditionVerdict { holds, explanation }
        })
        .collect();
    let result = if !rule.active {
        RuleResult::Inactive
    } else if conditions.iter().all(|condition| condition.holds) {
        RuleResult::Fits
    } else {
        RuleResult::DoesNotFit
    };
    v1::RuleVerdict {
        rule: rule.index.into(),
        name: rule.name.to_string(),
        result: result.into(),
        conditions,
        url: rules::url_of(rule, link, facts.visit).0.to_owned(),
    }
}

/// Writes what was found at each line, and returns the step that decided.
fn steps(lines: &[Line], outcome: Outcome<'_>) -> (Vec<v1::StepVerdict>, ResolutionStep) {
    let warned = matches!(outcome, Outcome::Warn { .. });
    let pasted = matches!(outcome, Outcome::Pasteboard { .. });
    // A program that draws previews is looked for a second time where the link has no address for it.
    let last = lines.len().saturating_sub(1);
    let steps = lines.iter().enumerate().map(|(place, line)| {
        let decided = place == last || (warned && *line == Line::Warning) || (pasted && place + 1 == last);
        let (step, passed, fired) = words(*line);
        let explanation = if decided { fired } else { passed }.to_owned();
        v1::StepVerdict { step: step.into(), decided, explanation }
    });
    let decided = if warned { Some(&Line::Warning) } else { lines.last() };
    let step = decided.map_or(ResolutionStep::Unspecified, |line| words(*line).0);
    (steps.collect(), step)
}

/// Returns the step of a line, and what is said of it when it is passed and when it decides.
fn words(line: Line) -> (ResolutionStep, &'static str, &'static str) {
    use ResolutionStep as S;
    match line {
        Line::Suspended => (S::Suspension, "the workspace is not suspended", "the workspace is suspended"),
        Line::Disabled => (S::DisableTime, "the link is not disabled", "the link is disabled"),
        Line::Inactive => (S::Active, "the link is active", "the link is inactive"),
        Line::NotStarted => (S::StartTime, "the link has started", "the link starts later"),
        Line::Expired => (S::ExpireTime, "the link has not expired", "the link has expired"),
        Line::UsedUp => {
            (S::MaxClicks, "no limit of clicks stands in the way", "the clicks of the link are used up")
        }
        Line::Password => {
            (S::Password, "no password is asked for", "the link has a password, which was not given")
        }
        Line::Warning => (S::WarnTime, "the link is not warned of", "the link is warned of"),
        Line::Preview => (
            S::Preview,
            "the visitor draws no previews, or finds them where the link leads",
            "the visitor draws previews and sees what the link says of itself",
        ),
        Line::Rules => (S::RoutingRules, "no rule fits", "a rule fits"),
        Line::NotTargeted => (S::Targeting, "the link is for this visitor", "the link is for others"),
        Line::Launchpad => {
            (S::Launchpad, "no launchpad is wanted in place of a redirect", "the launchpad is wanted")
        }
        Line::LastLaunchpad => {
            (S::LastLaunchpad, "the launchpad is off, or the visitor is on a phone", "the launchpad is left")
        }
        Line::Nowhere => {
            (S::Nowhere, "nothing is left", "neither the link nor the workspace has anything for this device")
        }
        Line::Address(step) => address(step),
        Line::Pasteboard => (
            S::Pasteboard,
            "no page puts the click on the pasteboard",
            "a page offers to put the click on the pasteboard before the App Store",
        ),
    }
}

fn address(step: Step) -> (ResolutionStep, &'static str, &'static str) {
    use ResolutionStep as S;
    match step {
        Step::AppLink => {
            (S::AppLink, "no URL opens the app on this device", "a URL that the installed app opens")
        }
        Step::Scheme => {
            (S::AppScheme, "no page opens the app by its scheme", "a page opens the app by its scheme")
        }
        Step::Ios => (S::IosUrl, "there is no ios_url", "the ios_url"),
        Step::Android => (S::AndroidUrl, "there is no android_url", "the android_url"),
        Step::Web => (S::WebUrl, "there is no web_url", "the web_url"),
        Step::Destination => (S::DestinationUrl, "there is no destination_url", "the destination_url"),
        Step::HouseIos => (
            S::WorkspaceIosStoreUrl,
            "the workspace has no store page for iOS",
            "the workspace's store page for iOS",
        ),
        Step::HouseAndroid => (
            S::WorkspaceAndroidStoreUrl,
            "the workspace has no store page for Android",
            "the workspace's store page for Android",
        ),
        Step::HouseWeb => {
            (S::WorkspaceWebUrl, "the workspace has no web address", "the workspace's web address")
        }
        // Lines of their own name these.
        Step::Launchpad => words(Line::Launchpad),
        Step::Preview => words(Line::Preview),
        Step::Rule(_) | Step::Variant(..) => words(Line::Rules),
    }
}
