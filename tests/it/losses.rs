//! Where every visit went: answers = clicks of all classes + turned away + unrecorded, with nothing left over; and records that
//! were drained = clicks of all classes + duplicates + dead letters.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use linkforty::{
    attribution,
    clicks::drain,
    entity::click,
    pb::v1::{LaunchpadMode, Link, Og},
    spool::{Spool, SpoolOptions},
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use prost_types::Timestamp;
use sea_orm::{ConnectionTrait as _, EntityTrait as _};

use crate::{
    clicks::copy,
    support::{App, DESKTOP, Store, link, send, stores},
};

const DESTINATION: &str = "https://example.com/any";

/// Reads the counters of one name, by their one label. Those at nothing are left out.
fn counters(metrics: &PrometheusHandle, name: &str) -> BTreeMap<String, u64> {
    let text = metrics.render();
    let values =
        text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once("\"} "));
    values
        .map(|(label, value)| {
            let (_, label) = label.split_once("=\"").expect("one label");
            (label.to_owned(), value.parse().expect("a number"))
        })
        .filter(|(_, value)| *value > 0)
        .collect()
}

/// Reads the counter of a name that has no labels.
fn number(metrics: &PrometheusHandle, name: &str) -> u64 {
    let text = metrics.render();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().expect("a number"))
}

fn map(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// The tests of this process share its recorder; one for this thread alone hears this server, whose runtime has one thread.
#[tokio::test(flavor = "current_thread")]
async fn every_visit_is_accounted_for() {
    for store in stores() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let heard = metrics::set_default_local_recorder(&recorder);
        let settings = [("TRUSTED_PROXIES", "127.0.0.0/8"), ("TRUST_EDGE_BOT_HEADER", "true")];
        let app = App::start_with(store, &settings).await;
        let tenant = app.tenant().await;
        tenant.create(link("spring", DESTINATION)).await;
        tenant.create(Link { active: Some(false), ..link("closed", DESTINATION) }).await;
        let mut asked = 0;
        let visits: &[(u64, Method, &str, &[(&str, &str)])] = &[
            (5, Method::GET, "/spring", &[("user-agent", DESKTOP)]),
            (1, Method::GET, "/spring", &[]),
            (4, Method::GET, "/spring", &[("user-agent", "facebookexternalhit/1.1")]),
            (3, Method::GET, "/spring", &[("user-agent", "Googlebot/2.1")]),
            (1, Method::GET, "/spring", &[("user-agent", DESKTOP), ("x-lf-bot", "1")]),
            (2, Method::HEAD, "/spring", &[("user-agent", DESKTOP)]),
            (2, Method::GET, "/spring", &[("user-agent", DESKTOP), ("sec-purpose", "prefetch;prerender")]),
            (1, Method::GET, "/spring", &[("user-agent", "kube-probe/1.30")]),
            (2, Method::GET, "/closed", &[("user-agent", DESKTOP)]),
            (3, Method::GET, "/nothing", &[("user-agent", DESKTOP)]),
            (1, Method::HEAD, "/nothing", &[]),
            (2, Method::POST, "/spring", &[]),
            (1, Method::OPTIONS, "/spring", &[]),
        ];
        for (times, method, path, headers) in visits {
            for _ in 0..*times {
                app.visit_as(method.clone(), path, headers).await;
                asked += 1;
            }
        }
        // No short links, and so none of these visits.
        app.visit("/health").await;
        app.visit("/").await;
        app.settled().await;

        let ended = counters(&metrics, "linkforty_visits_total");
        let classes = counters(&metrics, "linkforty_clicks_recorded_total");
        assert_eq!(
            ended,
            map(&[("redirected", 19), ("closed", 2), ("unknown", 4), ("method", 3)]),
            "{store}"
        );
        assert_eq!(ended.values().sum::<u64>(), asked);
        let expected = [("human", 6), ("preview", 4), ("bot", 6), ("prefetch", 2), ("monitor", 1)];
        assert_eq!(classes, map(&expected), "{store}");
        assert_eq!(classes.values().sum::<u64>(), ended["redirected"]);
        // What the owner sees agrees, and so does what is stored.
        let overview = tenant.overview("").await;
        assert_eq!((overview.clicks, overview.bot_clicks), (6, 13));
        let stored = click::Entity::find().all(&app.env().db.api).await.expect("clicks can be read");
        let mut numbers: BTreeMap<i16, u64> = BTreeMap::new();
        stored.iter().for_each(|click| *numbers.entry(click.class).or_default() += 1);
        assert_eq!(numbers, [(0, 6), (1, 2), (2, 3), (3, 1), (4, 4), (5, 2), (6, 1)].into(), "{store}");
        app.stop().await;
        drop(heard);
    }
}

/// Pages take the place of redirects: those that lead on are clicks, those that stand in the way are not, and all are counted.
#[tokio::test(flavor = "current_thread")]
async fn every_page_is_accounted_for() {
    for store in stores() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let heard = metrics::set_default_local_recorder(&recorder);
        let app = App::start(store).await;
        let tenant = app.tenant().await;
        let now = Some(Timestamp { seconds: app.env().now().timestamp(), nanos: 0 });
        let og = Some(Og { title: "card".into(), ..Og::default() });
        let password = "open".to_owned();
        for made in [
            Link { og, ..link("card", DESTINATION) },
            Link { app_scheme: "myapp".into(), ..link("app", "") },
            Link { disable_time: now, ..link("disabled", DESTINATION) },
            Link { warn_time: now, ..link("warned", DESTINATION) },
            Link { password, ..link("locked", DESTINATION) },
            Link {
                ios_url: DESTINATION.into(),
                launchpad_mode: LaunchpadMode::Off.into(),
                ..link("ios", "")
            },
        ] {
            tenant.create(made).await;
        }
        let mut asked = 0;
        for (times, path, agent) in [
            (4, "/card", "facebookexternalhit/1.1"),
            (1, "/card", DESKTOP),
            (2, "/app", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Safari/604.1"),
            (3, "/app", DESKTOP),
            (2, "/disabled", DESKTOP),
            (1, "/warned", DESKTOP),
            (2, "/locked", DESKTOP),
            (1, "/locked", "facebookexternalhit/1.1"),
            (1, "/ios", DESKTOP),
            (2, "/card+", DESKTOP),
        ] {
            for _ in 0..times {
                app.visit_as(Method::GET, path, &[("user-agent", agent)]).await;
                asked += 1;
            }
        }
        let form = [("user-agent", DESKTOP), ("content-type", "application/x-www-form-urlencoded")];
        for body in ["password=guess", "password=open"] {
            send(app.links(), Method::POST, "/locked", &form, Bytes::from_static(body.as_bytes())).await;
            asked += 1;
        }
        app.settled().await;
        let ended = counters(&metrics, "linkforty_visits_total");
        let expected = [
            ("previewed", 5),
            ("redirected", 2),
            ("opened_app", 2),
            ("launchpad", 3),
            ("gone", 2),
            ("warned", 1),
            ("locked", 3),
            ("nowhere", 1),
            ("looked", 2),
        ];
        assert_eq!(ended, map(&expected), "{store}");
        assert_eq!(ended.values().sum::<u64>(), asked);
        let classes = counters(&metrics, "linkforty_clicks_recorded_total");
        assert_eq!(classes, map(&[("human", 7), ("preview", 5)]), "{store}");
        let recorded = ["previewed", "redirected", "opened_app", "launchpad"];
        assert_eq!(classes.values().sum::<u64>(), recorded.iter().map(|name| ended[*name]).sum::<u64>());
        app.stop().await;
        drop(heard);
    }
}

/// A spool that can take nothing: the visits end otherwise, and the sum holds.
#[tokio::test(flavor = "current_thread")]
async fn a_visit_that_cannot_be_recorded_is_accounted_for() {
    for (policy, outcome, status) in
        [("redirect_unrecorded", "unrecorded", 302), ("refuse_503", "refused", 503)]
    {
        for store in stores() {
            let recorder = PrometheusBuilder::new().build_recorder();
            let metrics = recorder.handle();
            let heard = metrics::set_default_local_recorder(&recorder);
            let full = [("SPOOL_FULL_POLICY", policy), ("SPOOL_MIN_FREE_BYTES", "1000000000000000")];
            let app = App::start_with(store, &full).await;
            app.tenant().await.create(link("spring", DESTINATION)).await;
            for _ in 0..3 {
                assert_eq!(app.visit("/spring").await.status.as_u16(), status, "{policy} {store}");
            }
            app.visit("/nothing").await;
            app.settled().await;
            let ended = counters(&metrics, "linkforty_visits_total");
            assert_eq!(ended, map(&[(outcome, 3), ("unknown", 1)]), "{policy} {store}");
            assert_eq!(counters(&metrics, "linkforty_clicks_recorded_total"), map(&[]));
            app.stop().await;
            drop(heard);
        }
    }
}

/// A record that comes again is a duplicate and nothing else: what was drained is what was recorded, and what was there.
#[tokio::test(flavor = "current_thread")]
async fn a_record_drained_again_is_a_duplicate_and_no_click() {
    for store in stores() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let metrics = recorder.handle();
        let heard = metrics::set_default_local_recorder(&recorder);
        let app = App::start(store).await;
        app.tenant().await.create(link("spring", DESTINATION)).await;
        for agent in [DESKTOP, DESKTOP, "Googlebot/2.1"] {
            app.visit_as(Method::GET, "/spring", &[("user-agent", agent)]).await;
        }
        app.settled().await;
        assert_eq!(number(&metrics, "linkforty_clicks_duplicate_total"), 0, "{store}");
        // The disk of this morning, and a database that has forgotten how far it was.
        let replayed = app.data.path().join("replayed");
        copy(&app.env().config.spool_dir(), &replayed);
        let _ = std::fs::remove_file(replayed.join("checkpoint"));
        let db = &app.env().db.api;
        db.execute_unprepared("DELETE FROM spool_progress").await.expect("forgets");
        let options = SpoolOptions { min_free_bytes: 0, ..SpoolOptions::default() };
        let (spool, mut reader) = Spool::open(&replayed, options).expect("the copy opens");
        let drained =
            drain::once((app.env(), attribution::carry), &spool, &mut reader).await.expect("drains");
        spool.close().await;
        assert_eq!(drained, 3, "{store}");
        assert_eq!(number(&metrics, "linkforty_clicks_duplicate_total"), drained, "{store}");
        let classes = counters(&metrics, "linkforty_clicks_recorded_total");
        assert_eq!(classes, map(&[("human", 2), ("bot", 1)]), "{store}");
        assert_eq!(counters(&metrics, "linkforty_visits_total"), map(&[("redirected", 3)]), "{store}");
        app.stop().await;
        drop(heard);
    }
}

/// Visitors who are turned away because of us are accounted for too.
#[tokio::test(flavor = "current_thread")]
async fn a_visit_that_fails_is_accounted_for() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let heard = metrics::set_default_local_recorder(&recorder);
    let away =
        [("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none"), ("DATABASE_ACQUIRE_TIMEOUT_MS", "200")];
    let app = App::start_with(Store::Embedded, &away).await;
    for _ in 0..2 {
        assert_eq!(app.visit("/spring").await.status, 503);
    }
    app.stop().await;
    assert_eq!(counters(&metrics, "linkforty_visits_total"), map(&[("away", 2)]));
    // A row that somebody wrote by hand.
    let app = App::start(Store::Embedded).await;
    app.tenant().await.create(link("spring", DESTINATION)).await;
    let wrong = "UPDATE links SET destination_url = 'https://example.com/' || char(10)";
    app.env().db.api.execute_unprepared(wrong).await.expect("writes");
    assert_eq!(app.visit("/spring").await.status, 404);
    app.settled().await;
    assert_eq!(counters(&metrics, "linkforty_visits_total"), map(&[("away", 2), ("broken", 1)]));
    assert_eq!(counters(&metrics, "linkforty_clicks_recorded_total"), map(&[]));
    app.stop().await;
    drop(heard);
}

/// Anybody can write the header; only a trusted proxy is believed, and only when it is said to tell bots apart.
#[tokio::test]
async fn an_edge_is_believed_only_when_it_is_trusted() {
    for (settings, expected) in [
        (&[("TRUSTED_PROXIES", "127.0.0.0/8"), ("TRUST_EDGE_BOT_HEADER", "true")][..], 3),
        (&[("TRUSTED_PROXIES", "127.0.0.0/8")], 0),
        (&[("TRUSTED_PROXIES", "10.0.0.0/8"), ("TRUST_EDGE_BOT_HEADER", "true")], 0),
    ] {
        let app = App::start_with(Store::Embedded, settings).await;
        app.tenant().await.create(link("spring", DESTINATION)).await;
        app.visit_as(Method::GET, "/spring", &[("user-agent", DESKTOP), ("x-lf-bot", "true")]).await;
        app.settled().await;
        let stored = click::Entity::find().all(&app.env().db.api).await.expect("clicks can be read");
        assert_eq!(stored.iter().map(|click| click.class).collect::<Vec<_>>(), [expected], "{settings:?}");
        app.stop().await;
    }
}
