//! Rules that tell new visitors from those who come again, through the front door, over a restart and over nodes.

use std::cell::Cell;

use http::Method;
use linkforty::pb::v1::{
    Link, RoutingCondition, RoutingRule, VisitorCondition, VisitorHistory, routing_condition::Condition,
    routing_rule::Action,
};

use crate::support::{App, DESKTOP, IPHONE, Store, eventually, link, on_every_store, stores};

const FIRST: &str = "https://example.com/first";
const AGAIN: &str = "https://example.com/again";

/// A link that sends those who come again elsewhere.
fn twofold(code: &str) -> Link {
    let history = VisitorHistory::Returning.into();
    let rule = RoutingRule {
        name: "again".into(),
        conditions: vec![RoutingCondition {
            condition: Some(Condition::Visitors(VisitorCondition { history })),
        }],
        action: Some(Action::Url(AGAIN.into())),
        active: None,
    };
    Link { routing_rules: vec![rule], ..link(code, FIRST) }
}

async fn follow(app: &App, path: &str, from: &str, agent: &str) -> String {
    let headers = [("x-forwarded-for", from), ("user-agent", agent)];
    app.visit_as(Method::GET, path, &headers).await.header("location").to_owned()
}

const BEHIND_A_PROXY: &[(&str, &str)] = &[("TRUSTED_PROXIES", "127.0.0.0/8")];

#[tokio::test]
async fn who_comes_again_within_thirty_days_is_returning() {
    for store in stores() {
        let app = App::start_with(store, BEHIND_A_PROXY).await;
        let tenant = app.tenant().await;
        tenant.create(twofold("one")).await;
        tenant.create(twofold("two")).await;
        for (path, from, agent, expected) in [
            ("/one", "203.0.113.7", IPHONE, FIRST),
            ("/one", "203.0.113.7", IPHONE, AGAIN),
            // Somebody else, by address or by device.
            ("/one", "203.0.113.8", IPHONE, FIRST),
            ("/one", "203.0.113.7", DESKTOP, FIRST),
            // The same on another link is new there.
            ("/two", "203.0.113.7", IPHONE, FIRST),
            // Of IPv6 the network of a household counts.
            ("/one", "2001:db8:1:2::1", IPHONE, FIRST),
            ("/one", "2001:db8:1:2:ffff::9", IPHONE, AGAIN),
            ("/one", "2001:db8:1:3::1", IPHONE, FIRST),
        ] {
            assert_eq!(follow(&app, path, from, agent).await, expected, "{path} {from} {agent} on {store}");
        }
        // Each visit counts from then on.
        app.clock.advance(chrono::Duration::days(20));
        assert_eq!(follow(&app, "/one", "203.0.113.7", IPHONE).await, AGAIN);
        app.clock.advance(chrono::Duration::days(20));
        assert_eq!(follow(&app, "/one", "203.0.113.7", IPHONE).await, AGAIN);
        app.clock.advance(chrono::Duration::days(31));
        assert_eq!(follow(&app, "/one", "203.0.113.7", IPHONE).await, FIRST);
        app.stop().await;
    }
}

/// What is no visit of a person makes nobody returning, nor does a visit to a link without such a rule.
#[tokio::test]
async fn programs_and_glances_do_not_count() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(twofold("shy")).await;
        app.visit_as(Method::HEAD, "/shy", &[("user-agent", IPHONE)]).await;
        app.visit_as(Method::GET, "/shy", &[("user-agent", IPHONE), ("sec-purpose", "prefetch")]).await;
        app.visit_as(Method::GET, "/shy+", &[("user-agent", IPHONE)]).await;
        let answer = app.visit_as(Method::GET, "/shy", &[("user-agent", IPHONE)]).await;
        assert_eq!(answer.header("location"), FIRST);

        let plain = tenant.create(link("plain", FIRST)).await;
        app.visit_as(Method::GET, "/plain", &[("user-agent", IPHONE)]).await;
        let rules = Link { id: plain.id, routing_rules: twofold("").routing_rules, ..Link::default() };
        tenant.update(rules, &["routing_rules"]).await;
        for expected in [FIRST, AGAIN] {
            let answer = app.visit_as(Method::GET, "/plain", &[("user-agent", IPHONE)]).await;
            assert_eq!(answer.header("location"), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_restart_forgets_nobody_and_the_file_names_nobody() {
    for store in stores() {
        let app = App::start_with(store, BEHIND_A_PROXY).await;
        app.tenant().await.create(twofold("kept")).await;
        assert_eq!(follow(&app, "/kept", "203.0.113.7", IPHONE).await, FIRST);
        let app = app.restart().await;
        let file = app.data.path().join("data/visitors.seen");
        let bytes = std::fs::read(&file).expect("it was written at the stop");
        assert_eq!(bytes.len(), 16 + 10 + 4, "a hash and an hour");
        assert_eq!(follow(&app, "/kept", "203.0.113.7", IPHONE).await, AGAIN, "{store}");
        assert_eq!(follow(&app, "/kept", "203.0.113.8", IPHONE).await, FIRST, "{store}");
        app.stop().await;
    }
}

/// Over Redis, and over Postgres where there is no Redis.
#[tokio::test]
async fn the_other_nodes_hear_who_was_here() {
    if !stores().contains(&Store::Production) {
        return;
    }
    for redis in [true, false] {
        let settings =
            if redis { BEHIND_A_PROXY.to_vec() } else { [BEHIND_A_PROXY, &[("REDIS_URL", "")]].concat() };
        let here = App::start_with(Store::Production, &settings).await;
        let there = here.start_beside(&[]).await;
        here.tenant().await.create(twofold("shared")).await;
        // A node that does not listen yet misses a visit for good, so there are many visitors; who only asks for the head of an
        // answer makes nobody known.
        let visitors = Cell::new(0_u16);
        eventually("the other node knows a visitor of a while ago", async || {
            let number = visitors.get() + 1;
            visitors.set(number);
            let of = |number: u16| format!("198.51.{}.{}", number / 250, number % 250);
            assert_eq!(follow(&here, "/shared", &of(number), IPHONE).await, FIRST, "redis: {redis}");
            let before = of(number / 2);
            let headers = [("x-forwarded-for", &*before), ("user-agent", IPHONE)];
            there.visit_as(Method::HEAD, "/shared", &headers).await.header("location") == AGAIN
        })
        .await;
        let stranger = [("x-forwarded-for", "203.0.113.7"), ("user-agent", IPHONE)];
        assert_eq!(there.visit_as(Method::HEAD, "/shared", &stranger).await.header("location"), FIRST);
        there.stop().await;
        here.stop().await;
    }
}
