//! `ResolveLink`: what becomes of a visit, asked and not made. `differential/` holds it against visits by the hundred thousand.

use linkforty::pb::v1::{
    DescribedVisitor, Link, PlatformCondition, QueryCondition, Resolution, ResolutionOutcome as Outcome,
    ResolutionStep as Step, ResolveLinkRequest, RoutingCondition, RoutingRule, RuleResult,
    routing_condition::Condition, routing_rule::Action,
};
use prost_types::{FieldMask, Timestamp};
use tonic::{Code, Status};

use crate::support::{App, DESKTOP, IPHONE, Tenant, a_link, coded, get, link, on_every_store, reason, wrong};

const DESTINATION: &str = "https://example.com/any";

async fn ask(tenant: &Tenant, request: ResolveLinkRequest) -> Result<Resolution, Status> {
    let answer = tenant.links.clone().resolve_link(request).await?.into_inner();
    Ok(answer.resolution.expect("always there"))
}

fn about(link: &Link) -> ResolveLinkRequest {
    ResolveLinkRequest { link_id: link.id.clone(), ..ResolveLinkRequest::default() }
}

fn holding(agent: &str) -> Option<DescribedVisitor> {
    Some(DescribedVisitor { user_agent: agent.to_owned(), ..DescribedVisitor::default() })
}

fn rule(name: &str, url: &str, conditions: Vec<Condition>) -> RoutingRule {
    RoutingRule {
        name: name.to_owned(),
        conditions: conditions
            .into_iter()
            .map(|condition| RoutingCondition { condition: Some(condition) })
            .collect(),
        action: Some(Action::Url(url.to_owned())),
        active: Some(true),
    }
}

fn query(name: &str) -> Condition {
    Condition::Query(QueryCondition { name: name.to_owned(), value: None })
}

fn phones() -> Condition {
    Condition::Platforms(PlatformCondition { platforms: vec![2] })
}

fn with_rules(code: &str) -> Link {
    let off = RoutingRule { active: Some(false), ..rule("off", "https://example.com/off", vec![]) };
    Link {
        routing_rules: vec![
            off,
            rule("press", "https://example.com/press", vec![phones(), query("press")]),
            rule("sale", "https://example.com/sale", vec![query("sale")]),
            rule("all", "https://example.com/all", vec![]),
        ],
        append_click_id: true,
        ..link(code, DESTINATION)
    }
}

/// Returns the present of the server, so many seconds later.
fn at(app: &App, seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: app.env().now().timestamp() + seconds, nanos: 0 })
}

#[tokio::test]
async fn a_visit_is_told_step_by_step_and_rule_by_rule() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(with_rules("spring")).await;
        let visitor = DescribedVisitor { query: "sale=1".into(), ..holding(DESKTOP).unwrap_or_default() };
        let told = ask(&tenant, ResolveLinkRequest { visitor: Some(visitor), ..about(&made) }).await;
        let told = told.expect("resolves");
        assert_eq!((told.outcome(), told.http_status), (Outcome::Redirect, 302));
        assert_eq!(told.url, "https://example.com/sale");
        assert_eq!(
            told.location,
            "https://example.com/sale?lf_click=00000000-0000-0000-0000-000000000000&sale=1"
        );
        let answer = get(app.links(), "/spring?sale=1", &[("user-agent", DESKTOP)]).await;
        let click = answer.header("x-click-id");
        assert_eq!(
            answer.header("location").replace(click, "00000000-0000-0000-0000-000000000000"),
            told.location
        );

        assert_eq!((told.step(), told.rule), (Step::RoutingRules, Some(2)));
        let steps: Vec<_> = told.steps.iter().map(|step| (step.step(), step.decided)).collect();
        let passed = [
            Step::Suspension,
            Step::DisableTime,
            Step::Active,
            Step::StartTime,
            Step::ExpireTime,
            Step::MaxClicks,
            Step::Password,
            Step::WarnTime,
            Step::Preview,
        ];
        let expected: Vec<_> =
            passed.map(|step| (step, false)).into_iter().chain([(Step::RoutingRules, true)]).collect();
        assert_eq!(steps, expected);
        assert!(told.steps.iter().all(|step| !step.explanation.is_empty()));

        let rules: Vec<_> = told
            .rules
            .iter()
            .map(|rule| {
                let whys: Vec<&str> = rule.conditions.iter().map(|found| &*found.explanation).collect();
                (rule.rule, rule.name.as_str(), rule.result(), whys)
            })
            .collect();
        assert_eq!(
            rules,
            [
                (0, "off", RuleResult::Inactive, vec![]),
                (1, "press", RuleResult::DoesNotFit, vec!["the platform is web", "the query has no press"]),
                (2, "sale", RuleResult::Fits, vec![""]),
                (3, "all", RuleResult::Fits, vec![]),
            ]
        );
        app.settled().await;
        assert_eq!(tenant.get(&made.id).await.expect("it is there").click_count, 1, "the visit alone");
    })
    .await;
}

#[tokio::test]
async fn a_link_is_named_by_its_id_its_code_or_its_whole_url() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(with_rules("spring")).await;
        let code = |domain: &str, short_code: &str| ResolveLinkRequest {
            domain: domain.to_owned(),
            short_code: short_code.to_owned(),
            ..ResolveLinkRequest::default()
        };
        let url =
            |url: &str| ResolveLinkRequest { short_url: url.to_owned(), ..ResolveLinkRequest::default() };
        for (request, expected) in [
            (about(&made), "https://example.com/all"),
            (code("", "spring"), "https://example.com/all"),
            (code("GO.example.test", "spring"), "https://example.com/all"),
            (url("https://go.example.test/spring"), "https://example.com/all"),
            (url("https://go.example.test/spring?sale=1#x"), "https://example.com/sale"),
        ] {
            let told = ask(&tenant, request.clone()).await.expect("resolves");
            assert_eq!(told.url, expected, "{request:?}");
        }
        for request in [
            code("", "Spring"),
            code("go.example.org", "spring"),
            url("https://go.example.org/spring"),
            about(&Link { id: "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f507".into(), ..Link::default() }),
        ] {
            let refused = ask(&tenant, request.clone()).await.expect_err("no such link");
            assert_eq!(reason(&refused), "NOT_FOUND", "{request:?}");
        }
        let stranger = app.another_tenant().await;
        for request in [about(&made), code("", "spring"), url("https://go.example.test/spring")] {
            assert_eq!(ask(&stranger, request).await.expect_err("a stranger's").code(), Code::NotFound);
        }
        for (request, fields) in [
            (ResolveLinkRequest::default(), &["link_id"][..]),
            (ResolveLinkRequest { link_id: "x".into(), ..ResolveLinkRequest::default() }, &["link_id"]),
            (ResolveLinkRequest { short_code: "spring".into(), ..about(&made) }, &["link_id"]),
            (ResolveLinkRequest { domain: "x".into(), ..about(&made) }, &["domain"]),
            (url("spring"), &["short_url"]),
            (url("https://go.example.test/"), &["short_url"]),
            (
                ResolveLinkRequest {
                    visitor: Some(DescribedVisitor {
                        query: "a".into(),
                        country: "Mars".into(),
                        ..DescribedVisitor::default()
                    }),
                    time: Some(Timestamp { seconds: i64::MAX, nanos: 0 }),
                    ..url("https://go.example.test/spring?b")
                },
                &["visitor.query", "visitor.country", "time"],
            ),
        ] {
            let refused = ask(&tenant, request.clone()).await.expect_err("it is wrong");
            assert_eq!(wrong(&refused), fields, "{request:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_link_is_tried_as_it_would_be_and_stays_as_it_is() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(with_rules("spring")).await;
        let trying = |edit: Link, paths: &[&str]| ResolveLinkRequest {
            edit: Some(edit),
            edit_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
            ..about(&made)
        };
        let bare = Link { destination_url: "https://example.com/new".into(), ..Link::default() };
        let told = ask(&tenant, trying(bare.clone(), &["destination_url", "routing_rules"])).await;
        assert_eq!(told.expect("resolves").url, "https://example.com/new");
        let told = ask(&tenant, trying(bare.clone(), &["destination_url"])).await.expect("resolves");
        assert_eq!(told.url, "https://example.com/all", "the rules are as they were");
        let locked = Link { password: "x".into(), ..Link::default() };
        let told = ask(&tenant, trying(locked.clone(), &["password"])).await.expect("resolves");
        assert_eq!((told.outcome(), told.location.as_str()), (Outcome::Password, ""));
        let knowing = DescribedVisitor { password_given: true, ..DescribedVisitor::default() };
        let request = ResolveLinkRequest { visitor: Some(knowing), ..trying(locked, &["password"]) };
        let told = ask(&tenant, request).await.expect("resolves");
        assert_eq!((told.outcome(), told.http_status), (Outcome::Redirect, 303));
        let told = ask(&tenant, about(&made)).await.expect("resolves");
        assert_eq!(told.url, "https://example.com/all");
        assert_eq!(tenant.get(&made.id).await.expect("it is there"), made, "nothing was changed");

        let bad = Link { destination_url: "ftp://example.com/".into(), ..Link::default() };
        let refused = ask(&tenant, trying(bad, &["destination_url"])).await.expect_err("no URL");
        assert_eq!(wrong(&refused), ["edit.destination_url"]);
        let nothing = ask(&tenant, trying(Link::default(), &["destination_url"])).await;
        assert_eq!(wrong(&nothing.expect_err("no address")), ["edit.destination_url"]);
        let other = tenant.create(a_link()).await;
        let foreign = Link { id: other.id, ..bare.clone() };
        let refused = ask(&tenant, trying(foreign, &["destination_url"])).await.expect_err("another link");
        assert_eq!(wrong(&refused), ["edit.id"]);
        let stale = Link { etag: "stale".into(), ..bare };
        let refused = ask(&tenant, trying(stale, &["destination_url"])).await.expect_err("stale");
        assert_eq!(reason(&refused), "ETAG_MISMATCH");
    })
    .await;
}

#[tokio::test]
async fn moments_that_are_gone_and_those_to_come_are_asked_about_too() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant
            .create(Link {
                start_time: at(app, 100),
                expire_time: at(app, 300),
                warn_time: at(app, 200),
                ..coded("soon")
            })
            .await;
        for (seconds, outcome, step) in [
            (0, Outcome::NotStarted, Step::StartTime),
            (99, Outcome::NotStarted, Step::StartTime),
            (100, Outcome::Redirect, Step::DestinationUrl),
            (200, Outcome::Warning, Step::WarnTime),
            (300, Outcome::Expired, Step::ExpireTime),
        ] {
            let request =
                ResolveLinkRequest { time: at(app, seconds), visitor: holding(IPHONE), ..about(&made) };
            let told = ask(&tenant, request).await.expect("resolves");
            assert_eq!((told.outcome(), told.step()), (outcome, step), "{seconds}");
            assert_eq!(told.time, at(app, seconds));
            let decided: Vec<Step> =
                told.steps.iter().filter(|step| step.decided).map(|step| step.step()).collect();
            if outcome == Outcome::Warning {
                assert_eq!(decided, [Step::WarnTime, Step::DestinationUrl]);
                assert_eq!(told.page_links.map(|links| links.web_url), Some(told.url));
            } else {
                assert_eq!(decided, [step]);
            }
        }
        let told = ask(&tenant, about(&made)).await.expect("resolves");
        assert_eq!((told.outcome(), told.time), (Outcome::NotStarted, at(app, 0)));
    })
    .await;
}

#[tokio::test]
async fn a_limit_is_as_it_is_now_and_no_question_uses_it_up() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(Link { max_clicks: 2, ..coded("few") }).await;
        let with = |used_up| {
            let visitor = DescribedVisitor { clicks_used_up: used_up, ..DescribedVisitor::default() };
            ResolveLinkRequest { visitor: Some(visitor), ..about(&made) }
        };
        for _ in 0..5 {
            assert_eq!(ask(&tenant, with(None)).await.expect("resolves").outcome(), Outcome::Redirect);
        }
        let told = ask(&tenant, with(Some(true))).await.expect("resolves");
        assert_eq!((told.outcome(), told.step()), (Outcome::UsedUp, Step::MaxClicks));
        assert_eq!(app.visit("/few").await.status, 302);
        app.settled().await;
        assert_eq!(
            ask(&tenant, with(None)).await.expect("resolves").outcome(),
            Outcome::Redirect,
            "one left"
        );
        assert_eq!(app.visit("/few").await.status, 302);
        assert_eq!(app.visit("/few").await.status, 404);
        app.settled().await;
        assert_eq!(ask(&tenant, with(None)).await.expect("resolves").outcome(), Outcome::UsedUp);
        let told = ask(&tenant, with(Some(false))).await.expect("resolves");
        assert_eq!(told.outcome(), Outcome::Redirect);
        let later = ResolveLinkRequest { time: at(app, 60), ..with(None) };
        assert_eq!(ask(&tenant, later).await.expect("resolves").outcome(), Outcome::Redirect);
        let more = Link { max_clicks: 3, ..Link::default() };
        let edited = ResolveLinkRequest { edit: Some(more), ..with(None) };
        assert_eq!(ask(&tenant, edited).await.expect("resolves").outcome(), Outcome::Redirect);
        let without = tenant.create(coded("many")).await;
        let request = ResolveLinkRequest { link_id: without.id, ..with(Some(true)) };
        assert_eq!(ask(&tenant, request).await.expect("resolves").outcome(), Outcome::Redirect);
    })
    .await;
}
