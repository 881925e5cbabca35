//! Links with a limit: as many visits are sent on as may be, however many ask at once and on however many nodes.

use std::{collections::BTreeMap, time::Duration};

use chrono::Duration as Span;
use futures::future::join_all;
use http::Method;
use linkforty::{
    cache::Topic,
    entity::{click, click_budget, click_lease},
    ids::{LeaseId, LinkId, WorkspaceId},
    pb::v1::{DuplicateLinkRequest, Link},
};
use prost_types::Timestamp;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, PaginatorTrait as _,
    QueryFilter as _,
};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::{
    redirect::{in_touch, quiet},
    support::{
        App, DESKTOP, Statements, Store, Tenant, eventually, link, on_every_store, stores, within, wrong,
    },
};

const DESTINATION: &str = "https://example.com/any";

fn limited(code: &str, max_clicks: i64) -> Link {
    Link { max_clicks, ..link(code, DESTINATION) }
}

/// Visits a path once for each of these nodes, all at the same time, and counts the answers by status.
async fn crowd(nodes: &[&App], path: &str) -> BTreeMap<u16, usize> {
    let visits = nodes.iter().map(async |node| node.visit(path).await.status.as_u16());
    let mut statuses = BTreeMap::new();
    for status in join_all(visits).await {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

/// Visits a path again and again until it is turned away, and says how often it was sent on.
async fn exhaust(app: &App, path: &str) -> usize {
    let mut passed = 0;
    loop {
        match app.visit(path).await.status.as_u16() {
            302 => passed += 1,
            404 => return passed,
            other => panic!("{path} answers {other}"),
        }
    }
}

async fn limit(tenant: &Tenant, id: &str, max_clicks: i64) {
    let change = Link { id: id.to_owned(), max_clicks, ..Link::default() };
    assert_eq!(tenant.update(change, &["max_clicks"]).await.max_clicks, max_clicks);
}

/// Returns how many clicks count as used, and how many leases there are that are not used up.
async fn account(app: &App, link: &str) -> (i64, u64) {
    let db = &app.env().db.api;
    let id = LinkId::parse(link).expect("an id");
    let budget = click_budget::Entity::find().filter(click_budget::Column::LinkId.eq(id)).one(db).await;
    let leases = click_lease::Entity::find().filter(click_lease::Column::LinkId.eq(id)).count(db).await;
    let used = budget.expect("the store answers").map_or(0, |budget| budget.leased);
    (used, leases.expect("the store answers"))
}

async fn recorded(app: &App, link: &str) -> u64 {
    let id = LinkId::parse(link).expect("an id");
    let stored = click::Entity::find().filter(click::Column::LinkId.eq(id)).count(&app.env().db.api).await;
    stored.expect("the store answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_parallel_visits_a_hundred_pass_when_a_hundred_are_left() {
    for store in stores() {
        for beside in [&[][..], &[("REDIS_URL", "")]] {
            if store == Store::Embedded && !beside.is_empty() {
                continue;
            }
            let first = App::start_with(store, beside).await;
            let tenant = first.tenant().await;
            let made = tenant.create(limited("crowd", 130)).await;
            let second = if store == Store::Production { Some(first.start_beside(&[]).await) } else { None };
            let nodes: Vec<&App> = [&first].into_iter().chain(&second).collect();
            for visit in 0..30 {
                assert_eq!(nodes[visit % nodes.len()].visit("/crowd").await.status, 302);
            }
            let thousand: Vec<&App> = nodes.iter().copied().cycle().take(1000).collect();
            let statuses = crowd(&thousand, "/crowd").await;
            assert_eq!(statuses, [(302, 100), (404, 900)].into(), "{store}, {beside:?}");
            for node in &nodes {
                node.settled().await;
                // Looked at once more, after what was believed for a moment.
                first.clock.advance(Span::seconds(2));
                assert_eq!(node.visit("/crowd").await.status, 404);
            }
            assert_eq!(recorded(&first, &made.id).await, 130, "{store}");
            assert_eq!(account(&first, &made.id).await, (130, 0), "{store}: all is used, no lease is left");
            if let Some(second) = second {
                second.stop().await;
            }
            first.stop().await;
        }
    }
}

#[tokio::test]
async fn every_visit_that_is_sent_on_uses_one_up_whoever_makes_it() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(limited("few", 4)).await;
        assert_eq!(made.max_clicks, 4);
        let away = app.visit_as(Method::POST, "/few", &[]).await;
        assert_ne!(away.status, 302, "what is not sent on uses nothing up");
        for (method, agent) in [
            (Method::GET, DESKTOP),
            (Method::HEAD, "curl/8"),
            (Method::GET, "Googlebot/2.1"),
            (Method::GET, ""),
        ] {
            let answer = app.visit_as(method, "/few", &[("user-agent", agent)]).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (302, DESTINATION), "{agent}");
        }
        let used_up = app.visit("/few").await;
        let unknown = app.visit("/nobody-made-this").await;
        assert_eq!(used_up.status, 404);
        assert!(used_up.text().contains("This link has expired"), "{}", used_up.text());
        assert_eq!(used_up.header("cache-control"), unknown.header("cache-control"));
        app.settled().await;
        assert_eq!(recorded(app, &made.id).await, 4);
        assert!(tenant.get(&made.id).await.expect("it is there").click_count < 4, "bots are not shown");
    })
    .await;
}

#[tokio::test]
async fn a_limit_is_checked_shown_and_changed_like_any_field() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        for max_clicks in [-1, 1_000_000_001, i64::MAX] {
            let refused = tenant.try_create(limited("", max_clicks)).await.expect_err("out of range");
            assert_eq!(wrong(&refused), ["link.max_clicks"]);
        }
        let made = tenant.create(limited("one", 1_000_000_000)).await;
        assert_eq!(tenant.get(&made.id).await.expect("it is there").max_clicks, 1_000_000_000);
        let renamed = Link { id: made.id.clone(), title: "t".into(), max_clicks: 1, ..Link::default() };
        assert_eq!(tenant.update(renamed, &["title"]).await.max_clicks, 1_000_000_000, "not asked for");
        limit(&tenant, &made.id, 2).await;
        assert_eq!(exhaust(app, "/one").await, 2);
        // A copy has the same limit and all of it left.
        let request = DuplicateLinkRequest { link_id: made.id.clone(), ..Default::default() };
        let copy = tenant.links.clone().duplicate_link(request).await.expect("copies").into_inner();
        let copy = copy.link.expect("always there");
        assert_eq!(copy.max_clicks, 2);
        assert_eq!(exhaust(app, &format!("/{}", copy.short_code)).await, 2);
        // Without its limit it is as any other; a new limit goes on from what was used under the old one.
        limit(&tenant, &made.id, 0).await;
        for _ in 0..10 {
            assert_eq!(app.visit("/one").await.status, 302);
        }
        limit(&tenant, &made.id, 5).await;
        assert_eq!(exhaust(app, "/one").await, 3);
        tenant.delete(&made.id).await;
        assert_eq!(account(app, &made.id).await, (0, 0), "nothing is left of a deleted link's limit");
    })
    .await;
}

#[tokio::test]
async fn a_limit_may_be_raised_and_lowered_at_any_moment() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(limited("wide", 3)).await;
        assert_eq!(exhaust(app, "/wide").await, 3);
        limit(&tenant, &made.id, 5).await;
        assert_eq!(exhaust(app, "/wide").await, 2, "raised when it was used up");
        limit(&tenant, &made.id, 50).await;
        for _ in 0..20 {
            assert_eq!(app.visit("/wide").await.status, 302);
        }
        // Below what was used, while this node holds more.
        limit(&tenant, &made.id, 10).await;
        assert_eq!(exhaust(app, "/wide").await, 0);
        limit(&tenant, &made.id, 26).await;
        assert_eq!(exhaust(app, "/wide").await, 1, "25 were used");
        limit(&tenant, &made.id, 40).await;
        assert_eq!(app.visit("/wide").await.status, 302);
        // Above what was used, and below what this node holds.
        limit(&tenant, &made.id, 30).await;
        assert_eq!(exhaust(app, "/wide").await, 3);
        app.settled().await;
        assert_eq!(recorded(app, &made.id).await, 30);
    })
    .await;
}

const PROMISED: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_changed_limit_holds_on_the_other_nodes_within_a_second() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let here = App::start(Store::Production).await;
    let there = here.start_beside(&[]).await;
    let tenant = here.tenant().await;
    in_touch(&here, &there, &tenant).await;
    let made = tenant.create(limited("both", 2)).await;
    assert_eq!(exhaust(&there, "/both").await, 2);
    limit(&tenant, &made.id, 200).await;
    within(PROMISED, "raised", async || there.visit("/both").await.status == 302).await;
    let mut passed = 3;
    while passed < 20 {
        assert_eq!(there.visit("/both").await.status, 302);
        passed += 1;
    }
    assert!(account(&here, &made.id).await.1 > 0, "the other node holds a lease");
    limit(&tenant, &made.id, 5).await;
    within(PROMISED, "lowered", async || there.visit("/both").await.status == 404).await;
    assert_eq!(here.visit("/both").await.status, 404);
    there.stop().await;
    here.stop().await;
}

/// What a node does not use, others can: after a few seconds without visitors, or when it stops.
#[tokio::test]
async fn what_a_node_does_not_use_goes_back() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let here = App::start(Store::Production).await;
    let tenant = here.tenant().await;
    let made = tenant.create(limited("shared", 200)).await;
    let there = here.start_beside(&[]).await;
    for _ in 0..2 {
        assert_eq!(there.visit("/shared").await.status, 302);
    }
    let (used, leases) = account(&here, &made.id).await;
    assert!(used > 2 && leases > 0, "{used} in {leases}");
    assert_eq!(exhaust(&here, "/shared").await as i64, 200 - used, "nobody takes what another holds");
    here.clock.advance(Span::seconds(6));
    eventually("the idle lease is given back", async || account(&here, &made.id).await.0 < 200).await;
    let (passed, rest) = (200 - used + 2, used - 2);
    assert_eq!(account(&here, &made.id).await.0, passed);
    // And again, by a stop.
    assert_eq!(there.visit("/shared").await.status, 302);
    assert_eq!(there.visit("/shared").await.status, 302);
    there.stop().await;
    assert_eq!(account(&here, &made.id).await.0, passed + 2);
    assert_eq!(exhaust(&here, "/shared").await as i64, rest - 2);
    here.settled().await;
    assert_eq!(account(&here, &made.id).await, (200, 0));
    here.stop().await;
}

/// A lease of a node that never came back: what is recorded of it counts, the rest is anybody's from its end on.
#[tokio::test]
async fn the_lease_of_a_lost_node_ends() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(limited("lost", 20)).await;
        assert_eq!(app.visit("/lost").await.status, 302);
        app.settled().await;
        // Another node has the other nineteen, four of which are recorded.
        let db = &app.env().db.api;
        app.clock.advance(Span::seconds(6));
        eventually("the idle lease is given back", async || account(app, &made.id).await == (1, 0)).await;
        let now = app.env().now();
        let (workspace_id, link_id) = (WorkspaceId::parse(&made.workspace_id), LinkId::parse(&made.id));
        let lease = click_lease::Model {
            id: LeaseId::mint(&app.env().ids, now),
            workspace_id: workspace_id.expect("an id"),
            link_id: link_id.expect("an id"),
            spool_id: Uuid::max(),
            run_id: Uuid::max(),
            units: 19,
            drained: 4,
            end_time: now + Span::hours(1),
        };
        click_lease::Entity::insert(lease.clone().into_active_model()).exec(db).await.expect("inserts");
        let budget =
            click_budget::Model { workspace_id: lease.workspace_id, link_id: lease.link_id, leased: 20 };
        budget.into_active_model().reset_all().update(db).await.expect("updates");
        assert_eq!(exhaust(app, "/lost").await, 0);
        app.clock.advance(Span::minutes(59));
        assert_eq!(exhaust(app, "/lost").await, 0, "the node may be alive");
        app.clock.advance(Span::minutes(1));
        eventually("the lease is over", async || account(app, &made.id).await.0 == 5).await;
        assert_eq!(exhaust(app, "/lost").await, 15);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_counted_does_not_pass() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let mut heard = app.env().fanout.subscribe(Topic::Links);
        tenant.create(limited("held", 1000)).await;
        tenant.create(link("free", DESTINATION)).await;
        quiet(&mut heard).await;
        for path in ["/held", "/held", "/free"] {
            assert_eq!(app.visit(path).await.status, 302);
        }
        app.env().db.lookup.close_by_ref().await.expect("closes");
        let mut passed = 2;
        let refused = loop {
            let answer = app.visit("/held").await;
            if answer.status != 302 {
                break answer;
            }
            passed += 1;
            assert!(passed <= 200, "it passes without being asked for");
        };
        assert!(passed > 2, "what this node holds passes");
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "2"));
        assert_eq!(app.visit("/free").await.status, 302);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_recorded_does_not_pass_and_is_not_used_up() {
    for store in stores() {
        let app = App::start_with(store, &[("SPOOL_MIN_FREE_BYTES", "1000000000000000")]).await;
        let tenant = app.tenant().await;
        let made = tenant.create(limited("held", 3)).await;
        tenant.create(link("free", DESTINATION)).await;
        for _ in 0..20 {
            assert_eq!(app.visit("/held").await.status, 503, "{store}");
        }
        let free = app.visit("/free").await;
        assert_eq!((free.status.as_u16(), free.header("x-click-id")), (302, ""));
        app.clock.advance(Span::seconds(6));
        eventually("it goes back", async || account(&app, &made.id).await == (0, 0)).await;
        app.stop().await;
    }
}

/// Nothing is asked for links without a limit, and nothing again and again for those that are used up.
#[tokio::test]
async fn warm_and_used_up_links_ask_nobody() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let first = App::start(Store::Production).await;
    let tenant = first.tenant().await;
    tenant.create(link("free", DESTINATION)).await;
    tenant.create(limited("gone", 7)).await;
    let database = first.env().config.database.as_ref().expect("production has one");
    let statements = Statements::to(database.url.expose_secret()).await;
    let node = first.start_beside(&[("DATABASE_URL", &statements.url)]).await;
    assert_eq!(exhaust(&node, "/gone").await, 7);
    node.settled().await;
    node.clock.advance(Span::seconds(2));
    assert_eq!(node.visit("/gone").await.status, 404);
    // Said for good now: no time brings the question back.
    node.clock.advance(Span::seconds(20));
    let flood = async || {
        for _ in 0..10 {
            assert_eq!(node.visit("/gone").await.status, 404);
        }
    };
    assert_eq!(statements.of(flood).await, 0);
    node.visit("/free").await;
    let visit = async || assert_eq!(node.visit("/free").await.status, 302);
    assert_eq!(statements.of(visit).await, 0);
    let budgets = click_budget::Entity::find().count(&first.env().db.api).await.expect("the store answers");
    assert_eq!(budgets, 1, "the link without a limit has none");
    node.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn start_and_end_hold_for_everybody_at_once() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let now = app.env().now().timestamp();
        let at = |seconds| Some(Timestamp { seconds: now + seconds, nanos: 0 });
        let window = |link| Link { start_time: at(10), expire_time: at(20), ..link };
        tenant.create(window(link("open", DESTINATION))).await;
        let made = tenant.create(window(limited("few", 50))).await;
        let nodes = vec![app; 60];
        for (step, open, few) in [
            (Span::zero(), 404, 404),
            (Span::microseconds(9_999_999), 404, 404),
            (Span::microseconds(1), 302, 302),
            (Span::microseconds(9_999_999), 302, 404),
            (Span::microseconds(1), 404, 404),
        ] {
            app.clock.advance(step);
            let when = app.env().now();
            assert_eq!(crowd(&nodes, "/open").await, [(open, 60)].into(), "{when}");
            let statuses = crowd(&nodes, "/few").await;
            let expected = if few == 302 { [(302, 50), (404, 10)].into() } else { [(404, 60)].into() };
            assert_eq!(statuses, expected, "{when}");
        }
        app.settled().await;
        assert_eq!(recorded(app, &made.id).await, 50);
    })
    .await;
}
