//! Stored routing tests: what shall stay true of where visitors end up, and the changes that would break it.

use linkforty::{
    pb::v1::{
        BatchCreateLinksRequest, BatchLinkResult, BatchUpdateLinksRequest, CreateLinkRequest,
        DescribedVisitor, DuplicateLinkRequest, ErrorReason, ItemError, Link, LinkUpdate, PlatformCondition,
        ResolutionOutcome as Outcome, RoutingCondition, RoutingRule, RoutingTest, RoutingVariant,
        RoutingVariants, UpdateLinkRequest, batch_link_result::Result as ItemResult,
        routing_condition::Condition, routing_rule::Action, routing_test::Expected,
    },
    workspaces::{enter_as_operator, suspend},
};
use prost_types::{FieldMask, Timestamp};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{DESKTOP, IPHONE, Tenant, link, on_every_store, reason, request_id, wrong};

const WEB: &str = "https://example.com/web";
const PHONES: &str = "https://example.com/phones";

fn test(name: &str, agent: &str, expected: Expected) -> RoutingTest {
    let visitor = DescribedVisitor { user_agent: agent.to_owned(), ..DescribedVisitor::default() };
    RoutingTest { name: name.to_owned(), visitor: Some(visitor), time: None, expected: Some(expected) }
}

fn leads_to(url: &str) -> Expected {
    Expected::Url(url.to_owned())
}

fn comes_to(outcome: Outcome) -> Expected {
    Expected::Outcome(outcome.into())
}

fn for_phones(action: Action) -> RoutingRule {
    let phones = Condition::Platforms(PlatformCondition { platforms: vec![2] });
    RoutingRule {
        conditions: vec![RoutingCondition { condition: Some(phones) }],
        action: Some(action),
        active: Some(true),
        ..RoutingRule::default()
    }
}

/// A link that sends phones elsewhere, and says so.
fn tested(code: &str) -> Link {
    Link {
        routing_rules: vec![for_phones(Action::Url(PHONES.into()))],
        routing_tests: vec![
            test("an iPhone", IPHONE, leads_to(PHONES)),
            test("a desktop", DESKTOP, leads_to(WEB)),
        ],
        ..link(code, WEB)
    }
}

fn paths(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

async fn update(tenant: &Tenant, request: UpdateLinkRequest) -> Result<Link, Status> {
    Ok(tenant.links.clone().update_link(request).await?.into_inner().link.expect("always there"))
}

fn change(link: Link, fields: &[&str]) -> UpdateLinkRequest {
    UpdateLinkRequest { link: Some(link), update_mask: paths(fields), ..UpdateLinkRequest::default() }
}

fn descriptions(status: &Status) -> Vec<String> {
    let found = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    found.into_iter().map(|violation| violation.description).collect()
}

#[tokio::test]
async fn a_change_that_breaks_a_test_is_refused_unless_it_is_forced() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(tested("spring")).await;
        assert_eq!(made.routing_tests, tested("").routing_tests);
        assert_eq!(tenant.get(&made.id).await.expect("it is there"), made);

        let bare = Link { id: made.id.clone(), ..Link::default() };
        let breaks = change(bare.clone(), &["routing_rules"]);
        for validate_only in [true, false] {
            let refused = update(&tenant, UpdateLinkRequest { validate_only, ..breaks.clone() }).await;
            let refused = refused.expect_err("phones would go to the web");
            assert_eq!(
                (refused.code(), reason(&refused)),
                (Code::FailedPrecondition, "ROUTING_TESTS_FAILED".into())
            );
            assert_eq!(wrong(&refused), ["link.routing_tests[0]"]);
            assert_eq!(descriptions(&refused), [format!("\"an iPhone\" expected {PHONES}, got {WEB}")]);
            let info = refused.get_details_error_info().expect("always there");
            assert_eq!(info.metadata["failing_tests"], "1");
        }
        assert_eq!(tenant.get(&made.id).await.expect("it is there"), made, "nothing was changed");
        // Both break, and both are told.
        let off = Link { active: Some(false), ..bare.clone() };
        let refused = update(&tenant, change(off, &["active"])).await.expect_err("nobody gets through");
        assert_eq!(wrong(&refused), ["link.routing_tests[0]", "link.routing_tests[1]"]);
        assert_eq!(descriptions(&refused)[1], format!("\"a desktop\" expected {WEB}, got INACTIVE"));

        let forced = UpdateLinkRequest { ignore_failing_tests: true, ..breaks };
        let changed = update(&tenant, forced).await.expect("it is forced");
        assert!(changed.routing_rules.is_empty());
        // What failed before stands in nobody's way; what the next change breaks still does.
        let titled = Link { title: "New".into(), ..bare.clone() };
        update(&tenant, change(titled, &["title"])).await.expect("breaks nothing");
        let moved = Link { destination_url: "https://example.com/moved".into(), ..bare.clone() };
        let refused = update(&tenant, change(moved, &["destination_url"])).await.expect_err("breaks");
        assert_eq!(wrong(&refused), ["link.routing_tests[1]"]);
        // A test that is changed must hold.
        let other = Link {
            routing_tests: vec![test("an iPhone", IPHONE, leads_to("https://example.com/other"))],
            ..bare.clone()
        };
        let refused = update(&tenant, change(other, &["routing_tests"])).await.expect_err("does not hold");
        assert_eq!(wrong(&refused), ["link.routing_tests[0]"]);
        let cleared = update(&tenant, change(bare, &["routing_tests"])).await.expect("clears");
        assert!(cleared.routing_tests.is_empty());
    })
    .await;
}

#[tokio::test]
async fn new_links_must_pass_their_tests_too() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let bad = Link { routing_rules: vec![], ..tested("spring") };
        let request = CreateLinkRequest { link: Some(bad.clone()), ..CreateLinkRequest::default() };
        for validate_only in [true, false] {
            let request = CreateLinkRequest { validate_only, ..request.clone() };
            let refused = tenant.links.clone().create_link(request).await.expect_err("it fails");
            assert_eq!(reason(&refused), "ROUTING_TESTS_FAILED");
        }
        let id = request_id();
        let forced = CreateLinkRequest { ignore_failing_tests: true, request_id: id, ..request };
        let made = tenant.links.clone().create_link(forced.clone()).await.expect("it is forced").into_inner();
        let again = tenant.links.clone().create_link(forced).await.expect("a repeat").into_inner();
        assert_eq!(made, again);
        for (test, good) in [
            (test("tomorrow", DESKTOP, comes_to(Outcome::Expired)), true),
            (test("a place", DESKTOP, Expected::Location(format!("{WEB}?utm_source=mail"))), false),
        ] {
            let tomorrow = app.env().now().timestamp() + 86_400;
            let test = RoutingTest { time: Some(Timestamp { seconds: tomorrow, nanos: 0 }), ..test };
            let expire_time = Some(Timestamp { seconds: tomorrow - 60, nanos: 0 });
            let link = Link { routing_tests: vec![test], expire_time, ..link("", WEB) };
            assert_eq!(tenant.try_create(link).await.is_ok(), good);
        }
    })
    .await;
}

#[tokio::test]
async fn any_variant_of_a_rule_is_where_it_leads() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let variants = ["https://example.com/a", "https://example.com/b"]
            .map(|url| RoutingVariant { url: url.into(), weight: 1 });
        let dealt = for_phones(Action::Variants(RoutingVariants { variants: variants.into() }));
        for (url, good) in [
            ("https://example.com/a", true),
            ("https://example.com/b", true),
            ("https://example.com/c", false),
        ] {
            let link = Link {
                routing_rules: vec![dealt.clone()],
                routing_tests: vec![test("an iPhone", IPHONE, leads_to(url))],
                ..link("", WEB)
            };
            assert_eq!(tenant.try_create(link).await.is_ok(), good, "{url}");
        }
    })
    .await;
}

fn error(result: &BatchLinkResult) -> &ItemError {
    match &result.result {
        Some(ItemResult::Error(error)) => error,
        other => panic!("no error: {other:?}"),
    }
}

#[tokio::test]
async fn in_a_batch_each_link_answers_for_its_own_tests() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let bad = Link { routing_rules: vec![], ..tested("bad") };
        let request = BatchCreateLinksRequest {
            links: vec![tested("one"), bad, tested("two")],
            request_id: request_id(),
            ..BatchCreateLinksRequest::default()
        };
        let made = tenant.links.clone().batch_create_links(request.clone()).await.expect("a batch");
        let made = made.into_inner();
        assert_eq!((made.succeeded, made.failed), (2, 1));
        let failed = error(&made.results[1]);
        assert_eq!(
            (failed.reason(), failed.code),
            (ErrorReason::RoutingTestsFailed, Code::FailedPrecondition as i32)
        );
        assert_eq!(failed.violations[0].field, "routing_tests[0]");
        let again = tenant.links.clone().batch_create_links(request).await.expect("a repeat").into_inner();
        assert_eq!(made, again, "told again in the same words");

        let id = |place: usize| match &made.results[place].result {
            Some(ItemResult::Link(link)) => link.id.clone(),
            other => panic!("no link: {other:?}"),
        };
        let item = |id: String, fields: &[&str]| LinkUpdate {
            link: Some(Link { id, title: "New".into(), ..Link::default() }),
            update_mask: paths(fields),
        };
        let request = BatchUpdateLinksRequest {
            updates: vec![item(id(0), &["routing_rules"]), item(id(2), &["title"])],
            ..BatchUpdateLinksRequest::default()
        };
        let changed = tenant.links.clone().batch_update_links(request.clone()).await.expect("a batch");
        let changed = changed.into_inner();
        assert_eq!((changed.succeeded, changed.failed), (1, 1));
        assert_eq!(error(&changed.results[0]).violations[0].field, "link.routing_tests[0]");
        assert_eq!(tenant.get(&id(0)).await.expect("it is there").routing_rules.len(), 1);
        let forced = BatchUpdateLinksRequest { ignore_failing_tests: true, ..request };
        let changed = tenant.links.clone().batch_update_links(forced).await.expect("a batch").into_inner();
        assert_eq!(changed.succeeded, 2);
    })
    .await;
}

#[tokio::test]
async fn a_copy_must_pass_what_its_original_passes() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let copy = async |link: &Link, ignore_failing_tests| {
            let request = DuplicateLinkRequest {
                link_id: link.id.clone(),
                ignore_failing_tests,
                ..DuplicateLinkRequest::default()
            };
            tenant.links.clone().duplicate_link(request).await
        };
        let made = tenant.create(tested("spring")).await;
        let copied = copy(&made, false).await.expect("copies").into_inner().link.expect("always there");
        assert_eq!(copied.routing_tests, made.routing_tests);
        // A copy is active, whatever its original is.
        let off = Link {
            active: Some(false),
            routing_tests: vec![test("anybody", DESKTOP, comes_to(Outcome::Inactive))],
            ..link("off", WEB)
        };
        let off = tenant.create(off).await;
        let refused = copy(&off, false).await.expect_err("a copy is active");
        assert_eq!(
            (reason(&refused), wrong(&refused)),
            ("ROUTING_TESTS_FAILED".into(), vec!["routing_tests[0]".into()])
        );
        copy(&off, true).await.expect("it is forced");
    })
    .await;
}

#[tokio::test]
async fn links_of_a_suspended_workspace_are_tested_as_if_it_were_not() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(tested("spring")).await;
        let operator = enter_as_operator(app.env(), None).await.expect("there is one");
        assert!(suspend(app.env(), &operator, Some("x")).await.expect("suspends"));
        let titled = Link { id: made.id.clone(), title: "New".into(), ..Link::default() };
        update(&tenant, change(titled, &["title"])).await.expect("breaks nothing");
        let breaks = Link { id: made.id, ..Link::default() };
        update(&tenant, change(breaks, &["routing_rules"])).await.expect_err("breaks what it did before");
    })
    .await;
}

#[tokio::test]
async fn every_violation_of_a_test_is_told_at_once() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let odd = DescribedVisitor {
            user_agent: "\u{7}".into(),
            country: "Mars".into(),
            client_address: "x".into(),
            query: "a b".into(),
            ..DescribedVisitor::default()
        };
        let bad = Link {
            routing_tests: vec![
                test("same", "", leads_to("https://go.example.test/circle")),
                RoutingTest { name: "same".into(), visitor: Some(odd), ..RoutingTest::default() },
            ],
            ..link("", WEB)
        };
        let refused = tenant.try_create(bad).await.expect_err("much is wrong");
        assert_eq!(
            wrong(&refused),
            [
                "link.routing_tests[0].url",
                "link.routing_tests[1].name",
                "link.routing_tests[1].visitor.user_agent",
                "link.routing_tests[1].visitor.query",
                "link.routing_tests[1].visitor.client_address",
                "link.routing_tests[1].visitor.country",
                "link.routing_tests[1].expected",
            ]
        );
    })
    .await;
}
