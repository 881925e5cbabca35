//! What shall stay true of where the visitors of a link end up: read, stored and run. The decision that is tested is handed in.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use prost::Message as _;
use sea_orm::ConnectionTrait;

use super::{
    Checks, Decide, House, Target,
    described::{self, Described, Detail},
    fields::moment,
    routing::check_text,
    target::find_house,
    templates,
};
use crate::{
    clock::{Moment, cut},
    entity::{link::Model, template},
    env::Env,
    error::{Error, Reason, Result, Violation, Violations},
    geo::Geo,
    ids::{TemplateId, WorkspaceId},
    pb::v1::{self, ResolutionOutcome, routing_test::Expected},
};

const MAX_TESTS: usize = 50;
const MAX_NAME: usize = 100;
const MAX_LOCATION: usize = 8192;
const MAX_BYTES: usize = 64 * 1024;

/// How tests are stored: protobuf, since every version reads what it knows of it.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(message, repeated, tag = "1")]
    tests: Vec<v1::RoutingTest>,
}

/// Returns tests as they are stored; `None`: there are none.
pub fn to_bytes(tests: &[v1::RoutingTest]) -> Option<Vec<u8>> {
    (!tests.is_empty()).then(|| Stored { tests: tests.to_vec() }.encode_to_vec())
}

/// Reads stored tests.
pub fn from_bytes(stored: Option<&[u8]>) -> Vec<v1::RoutingTest> {
    stored.and_then(|stored| Stored::decode(stored).ok()).map(|stored| stored.tests).unwrap_or_default()
}

/// Returns tests that somebody sent as they are stored, and notes what is wrong with them.
pub fn check(
    path: &str,
    mut tests: Vec<v1::RoutingTest>,
    url: &dyn Fn(&str) -> Result<String, &'static str>,
    wrong: &mut Violations,
) -> Vec<v1::RoutingTest> {
    if tests.len() > MAX_TESTS {
        wrong.add(path, "must be at most 50");
        return Vec::new();
    }
    let mut names = HashSet::new();
    for (place, test) in tests.iter_mut().enumerate() {
        let path = format!("{path}[{place}]");
        if !names.insert(test.name.clone()) {
            wrong.add(format!("{path}.name"), "must not be the name of another test");
        }
        read(&path, test, url, wrong);
    }
    if tests.iter().map(prost::Message::encoded_len).sum::<usize>() > MAX_BYTES {
        wrong.add(path, "must have at most 65,536 bytes together");
    }
    tests
}

/// A test, ready to be run.
struct Ready {
    visitor: Described,
    time: Option<Moment>,
}

/// Reads a test, notes what is wrong with it and writes into it what is stored of it.
fn read(
    path: &str,
    test: &mut v1::RoutingTest,
    url: &dyn Fn(&str) -> Result<String, &'static str>,
    wrong: &mut Violations,
) -> Ready {
    if test.name.is_empty() {
        wrong.add(format!("{path}.name"), "is required");
    }
    check_text(&format!("{path}.name"), &test.name, MAX_NAME, wrong);
    let visitor =
        described::read(&format!("{path}.visitor"), test.visitor.clone().unwrap_or_default(), wrong);
    let time = test.time.as_ref().map(moment).transpose();
    let time = wrong.take(&format!("{path}.time"), time).flatten().map(cut);
    match &mut test.expected {
        None => wrong.add(format!("{path}.expected"), "is required: url, location or outcome"),
        Some(Expected::Url(raw)) => {
            if let Some(checked) = wrong.take(&format!("{path}.url"), url(raw)) {
                *raw = checked;
            }
        }
        Some(Expected::Location(location)) => {
            let good = (1..=MAX_LOCATION).contains(&location.len())
                && location.bytes().all(|byte| byte.is_ascii_graphic());
            if !good {
                wrong.add(format!("{path}.location"), "must be 1 to 8,192 printable ASCII characters");
            }
        }
        Some(Expected::Outcome(number)) => {
            let known = ResolutionOutcome::try_from(*number);
            if !known.is_ok_and(|outcome| outcome != ResolutionOutcome::Unspecified) {
                wrong.add(format!("{path}.outcome"), "is no outcome this server knows");
            }
        }
    }
    Ready { visitor, time }
}

/// Refuses a link whose tests do not hold, but for those that did not hold `before` either.
pub async fn require(
    env: &Env,
    db: &impl ConnectionTrait,
    checks: Checks,
    before: Option<&Model>,
    after: &Model,
    now: Moment,
) -> Result<()> {
    if checks.decide.is_none() || after.routing_tests.is_none() {
        return Ok(());
    }
    Runner::open(env, db, after.workspace_id, now).await?.require(checks, before, after)
}

/// Runs the tests of links of one workspace.
#[derive(Debug)]
pub struct Runner {
    geo: Geo,
    house: Option<Arc<House>>,
    templates: HashMap<TemplateId, template::Model>,
    now: Moment,
}

impl Runner {
    /// Reads what the workspace says of all its links. That it is suspended is nothing a link could be tested for.
    pub async fn open(
        env: &Env,
        db: &impl ConnectionTrait,
        workspace: WorkspaceId,
        now: Moment,
    ) -> Result<Self> {
        let house = House { suspended: false, ..find_house(db, workspace).await? };
        let templates = templates::store::all(db, workspace).await?;
        Ok(Self { geo: env.geo.clone(), house: house.share(), templates, now })
    }

    /// As [`require`].
    pub fn require(&self, checks: Checks, before: Option<&Model>, after: &Model) -> Result<()> {
        let (Some(decide), true) = (checks.decide, after.routing_tests.is_some()) else { return Ok(()) };
        let mut failures = self.failures(decide, after);
        if let Some(before) = before.filter(|_| !failures.is_empty()) {
            let earlier = self.failures(decide, before);
            failures.retain(|failure| earlier.iter().all(|earlier| earlier.test != failure.test));
        }
        if failures.is_empty() {
            return Ok(());
        }
        let message = match failures.len() {
            1 => "a routing test of the link fails".to_owned(),
            many => format!("{many} routing tests of the link fail"),
        };
        let count = failures.len().to_string();
        let violations = failures.into_iter().map(|Failure { place, test, got }| {
            let expected = expected(&test);
            Violation {
                field: format!("{}routing_tests[{place}]", checks.path),
                description: format!("{:?} expected {expected}, got {got}", test.name),
            }
        });
        Err(Error::new(Reason::RoutingTestsFailed, message)
            .with("failing_tests", count)
            .about(violations.collect()))
    }

    fn failures(&self, decide: Decide, link: &Model) -> Vec<Failure> {
        let template = link.template_id.and_then(|id| self.templates.get(&id));
        let target = Target::of(link, self.house.clone(), template);
        let tests = from_bytes(link.routing_tests.as_deref());
        let run = |(place, mut test): (usize, v1::RoutingTest)| {
            let mut wrong = Violations::default();
            // They were checked when they were stored.
            let ready = read("", &mut test, &|url| Ok(url.to_owned()), &mut wrong);
            let visitor =
                Described { used_up: Some(ready.visitor.used_up.unwrap_or(false)), ..ready.visitor };
            let moment = ready.time.unwrap_or(self.now);
            let resolution = decide(&self.geo, &target, &visitor, moment, Detail::Outcome);
            (!holds(&test, &target, &resolution)).then(|| {
                let got = got(&test, &resolution);
                Failure { place, test, got }
            })
        };
        tests.into_iter().enumerate().filter_map(run).collect()
    }
}

/// A test that does not hold.
struct Failure {
    place: usize,
    test: v1::RoutingTest,
    got: String,
}

fn holds(test: &v1::RoutingTest, target: &Target, resolution: &v1::Resolution) -> bool {
    let redirects = resolution.outcome() == ResolutionOutcome::Redirect;
    match &test.expected {
        // Of a version to come: what it expects is not known here.
        None => true,
        Some(Expected::Outcome(outcome)) => *outcome == resolution.outcome,
        Some(Expected::Location(location)) => redirects && *location == resolution.location,
        Some(Expected::Url(url)) => {
            let index = resolution.rule.and_then(|rule| u8::try_from(rule).ok());
            let rule = target.rules.iter().find(|rule| Some(rule.index) == index);
            let dealt = rule.is_some_and(|rule| rule.variants.iter().any(|(variant, _)| **variant == **url));
            redirects && (dealt || *url == resolution.url)
        }
    }
}

fn expected(test: &v1::RoutingTest) -> String {
    match &test.expected {
        None => String::new(),
        Some(Expected::Url(url) | Expected::Location(url)) => url.clone(),
        Some(Expected::Outcome(outcome)) => {
            name(ResolutionOutcome::try_from(*outcome).unwrap_or_default()).to_owned()
        }
    }
}

fn got(test: &v1::RoutingTest, resolution: &v1::Resolution) -> String {
    let outcome = name(resolution.outcome());
    match (resolution.outcome(), &test.expected) {
        (ResolutionOutcome::Redirect, Some(Expected::Outcome(_))) => {
            format!("{outcome} to {}", resolution.location)
        }
        (ResolutionOutcome::Redirect, Some(Expected::Location(_))) => resolution.location.clone(),
        (ResolutionOutcome::Redirect, _) => resolution.url.clone(),
        _ => outcome.to_owned(),
    }
}

/// Returns the name of an outcome as clients of the contract know it, without its prefix.
fn name(outcome: ResolutionOutcome) -> &'static str {
    let name = outcome.as_str_name();
    name.strip_prefix("RESOLUTION_OUTCOME_").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, expected: Option<Expected>) -> v1::RoutingTest {
        v1::RoutingTest { name: name.into(), expected, ..v1::RoutingTest::default() }
    }

    fn wrong_with(tests: Vec<v1::RoutingTest>) -> Vec<String> {
        let mut wrong = Violations::default();
        check("t", tests, &|url| if url == "bad" { Err("is bad") } else { Ok(url.to_owned()) }, &mut wrong);
        wrong.into_inner().into_iter().map(|wrong| wrong.field).collect()
    }

    #[test]
    fn tests_are_bounded_and_every_violation_is_named() {
        let good = || Some(Expected::Outcome(1));
        for (tests, expected) in [
            (vec![], &[][..]),
            (vec![test("a", good()), test("b", Some(Expected::Url("x".into())))], &[]),
            (vec![test("a", good()), test("a", good())], &["t[1].name"]),
            (vec![test("", None)], &["t[0].name", "t[0].expected"]),
            (vec![test("a", Some(Expected::Url("bad".into())))], &["t[0].url"]),
            (vec![test("a", Some(Expected::Location(String::new())))], &["t[0].location"]),
            (vec![test("a", Some(Expected::Location("a b".into())))], &["t[0].location"]),
            (vec![test("a", Some(Expected::Outcome(0)))], &["t[0].outcome"]),
            (vec![test("a", Some(Expected::Outcome(99)))], &["t[0].outcome"]),
            (vec![test(&"x".repeat(101), good())], &["t[0].name"]),
            ((0..51).map(|number| test(&number.to_string(), good())).collect(), &["t"]),
            (
                (0..9)
                    .map(|number| test(&number.to_string(), Some(Expected::Location("x".repeat(8192)))))
                    .collect(),
                &["t"],
            ),
        ] {
            assert_eq!(wrong_with(tests), expected);
        }
        let country = v1::DescribedVisitor { country: "France".into(), ..v1::DescribedVisitor::default() };
        let time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 });
        let odd = v1::RoutingTest { visitor: Some(country), time, ..test("a", good()) };
        assert_eq!(wrong_with(vec![odd]), ["t[0].visitor.country", "t[0].time"]);
    }

    #[test]
    fn what_is_expected_is_compared_with_what_came() {
        let rule = v1::RoutingRule {
            action: Some(v1::routing_rule::Action::Variants(v1::RoutingVariants {
                variants: ["https://a.example/", "https://b.example/"]
                    .map(|url| v1::RoutingVariant { url: url.into(), weight: 1 })
                    .into(),
            })),
            ..v1::RoutingRule::default()
        };
        let target = Target { rules: super::super::Rules::of(&[rule]), ..Target::bare() };
        let redirect = v1::Resolution {
            outcome: ResolutionOutcome::Redirect.into(),
            url: "https://a.example/".into(),
            location: "https://a.example/?x".into(),
            ..v1::Resolution::default()
        };
        let dealt = v1::Resolution { rule: Some(0), ..redirect.clone() };
        let expired =
            v1::Resolution { outcome: ResolutionOutcome::Expired.into(), ..v1::Resolution::default() };
        let url = |url: &str| Some(Expected::Url(url.to_owned()));
        let location = |location: &str| Some(Expected::Location(location.to_owned()));
        for (expected, resolution, good, said) in [
            (url("https://a.example/"), &redirect, true, "https://a.example/"),
            (url("https://b.example/"), &redirect, false, "https://a.example/"),
            (url("https://b.example/"), &dealt, true, "https://a.example/"),
            (url("https://c.example/"), &dealt, false, "https://a.example/"),
            (url("https://a.example/"), &expired, false, "EXPIRED"),
            (location("https://a.example/?x"), &redirect, true, "https://a.example/?x"),
            (location("https://a.example/"), &redirect, false, "https://a.example/?x"),
            (Some(Expected::Outcome(1)), &redirect, true, "REDIRECT to https://a.example/?x"),
            (Some(Expected::Outcome(13)), &expired, true, "EXPIRED"),
            (Some(Expected::Outcome(13)), &redirect, false, "REDIRECT to https://a.example/?x"),
            (None, &expired, true, "EXPIRED"),
        ] {
            let test = test("a", expected);
            assert_eq!(holds(&test, &target, resolution), good, "{test:?}");
            assert_eq!(got(&test, resolution), said, "{test:?}");
        }
    }
}
