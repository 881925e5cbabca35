//! Clicks: counted once, told apart from bots, and what is kept of them.

use std::{fs, path::Path};

use http::Method;
use linkforty::{
    analytics::rollup::{
        Part, Scope, Slots,
        read::{Kept, Reader},
    },
    attribution,
    clicks::{
        drain, network_of,
        query::{Hints, hints, parameters},
    },
    db::Dialect,
    entity::{click, dictionary, link_total},
    pb::v1::{
        DayClicks, Link, QueryCondition, RoutingCondition, RoutingRule, Utm, routing_condition::Condition,
        routing_rule::Action,
    },
    spool::{Spool, SpoolOptions},
};
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, Statement};

use crate::support::{App, DESKTOP, Store, link, on_every_store, stores};

const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const DESTINATION: &str = "https://example.com/any";
/// The clock of tests stands here.
const TODAY: &str = "2026-11-22";

async fn clicks(app: &App) -> Vec<click::Model> {
    click::Entity::find().all(&app.env().db.api).await.expect("clicks can be read")
}

async fn text(app: &App, id: i32) -> String {
    let found = dictionary::Entity::find_by_id(id).one(&app.env().db.api).await.expect("texts can be read");
    found.expect("every number stands for a text").value
}

#[tokio::test]
async fn a_visit_is_counted_once_and_bots_apart() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let other = app.another_tenant().await;
        let spring = tenant.create(Link { title: "Spring".into(), ..link("spring", DESTINATION) }).await;
        let autumn = tenant.create(link("autumn", DESTINATION)).await;
        let theirs = other.create(link("theirs", DESTINATION)).await;
        for (path, visits, method, agent) in [
            ("/spring", 3, Method::GET, DESKTOP),
            ("/spring", 2, Method::GET, GOOGLEBOT),
            ("/spring", 1, Method::HEAD, DESKTOP),
            ("/spring", 1, Method::GET, ""),
            ("/autumn", 1, Method::GET, DESKTOP),
            ("/theirs", 1, Method::GET, DESKTOP),
            ("/nothing", 1, Method::GET, DESKTOP),
        ] {
            for _ in 0..visits {
                app.visit_as(method.clone(), path, &[("user-agent", agent)]).await;
            }
        }
        app.settled().await;
        for (tenant, link, people) in [(&tenant, &spring, 4), (&tenant, &autumn, 1), (&other, &theirs, 1)] {
            assert_eq!(tenant.get(&link.id).await.expect("it is there").click_count, people);
        }
        let all = tenant.overview("").await;
        assert_eq!((all.clicks, all.bot_clicks), (5, 3));
        let today = DayClicks { date: TODAY.into(), clicks: 5, bot_clicks: 3 };
        assert_eq!(all.by_day.last(), Some(&today));
        assert!(all.by_day[..all.by_day.len() - 1].iter().all(|day| day.clicks + day.bot_clicks == 0));
        let top: Vec<_> =
            all.top_links.iter().map(|top| (&*top.short_code, &*top.title, top.clicks)).collect();
        assert_eq!(top, [("spring", "Spring", 4), ("autumn", "", 1)]);
        let one = tenant.overview(&spring.id).await;
        assert_eq!((one.clicks, one.bot_clicks), (4, 3));
        assert_eq!(other.overview("").await.clicks, 1);
        assert_eq!(clicks(app).await.len(), 9);
    })
    .await;
}

#[tokio::test]
async fn a_click_of_tomorrow_counts_tomorrow() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(link("spring", DESTINATION)).await;
        app.visit("/spring").await;
        app.clock.advance(chrono::Duration::hours(13));
        app.visit("/spring").await;
        app.visit("/spring").await;
        app.settled().await;
        let days: Vec<_> = tenant.overview("").await.by_day;
        let [.., today, tomorrow] = &days[..] else { panic!("{days:?}") };
        assert_eq!((&*today.date, today.clicks), (TODAY, 1));
        assert_eq!((&*tomorrow.date, tomorrow.clicks), ("2026-11-23", 2));
    })
    .await;
}

#[tokio::test]
async fn little_is_kept_of_a_visitor() {
    for store in stores() {
        let app = App::start_with(store, &[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
        let tenant = app.tenant().await;
        let made = tenant.create(link("spring", DESTINATION)).await;
        let long = format!("Mozilla/5.0 ({}", "x".repeat(2000));
        let path = format!("/spring?utm_source=mail&pad={}", "y".repeat(3000));
        let visit = [
            ("x-forwarded-for", "203.0.113.77"),
            ("user-agent", &long),
            ("referer", "https://mail.example.com/inbox/17?token=secret"),
            ("accept-language", "de-CH, de;q=0.9, en;q=0.8"),
        ];
        app.visit_as(Method::GET, &path, &visit).await;
        app.settled().await;
        let [kept] = &clicks(&app).await[..] else { panic!("one click") };
        assert_eq!(
            (kept.workspace_id.to_string(), kept.link_id.to_string()),
            (tenant.id.clone(), made.id.clone())
        );
        assert_eq!(kept.network, [203, 0, 113], "{store}: the /24 and no more");
        assert_eq!(kept.network, network_of("203.0.113.1".parse().expect("an address")).to_vec());
        assert_eq!(text(&app, kept.user_agent_id).await, long[..512]);
        assert_eq!(text(&app, kept.referrer_id).await, "mail.example.com");
        assert_eq!(text(&app, kept.language_id).await, "de-CH");
        let query = kept.query.as_deref().expect("there was one");
        assert_eq!((query.len(), query.starts_with("utm_source=mail&pad=yyy")), (1024, true));
        assert_eq!((kept.platform, kept.class, kept.step), (0, 0, 4));

        // The same visitor again, a neighbour with the same browser, somebody over IPv6, and somebody from nowhere.
        for from in ["203.0.113.77", "203.0.113.78", "2001:db8:1:2:3:4:5:6", "10.0.0.1"] {
            app.visit_as(Method::GET, "/spring", &[("x-forwarded-for", from), ("user-agent", &long)]).await;
        }
        app.settled().await;
        let all = clicks(&app).await;
        let again = &all[1..];
        assert!(again.iter().all(|click| click.user_agent_id == kept.user_agent_id && click.query.is_none()));
        let networks: Vec<&[u8]> = again.iter().map(|click| &click.network[..]).collect();
        let v6: &[u8] = &[0x20, 0x01, 0x0d, 0xb8, 0, 1];
        assert_eq!(networks, [&[203, 0, 113][..], &[203, 0, 113], v6, &[]]);
        assert_eq!(again[0].visitor, kept.visitor);
        assert_ne!(again[1].visitor, kept.visitor);
        // Nothing of a whole address is in any column, and no text is there twice.
        let agents = dictionary::Entity::find().filter(dictionary::Column::Value.starts_with("Mozilla"));
        assert_eq!(agents.all(&app.env().db.api).await.expect("texts can be read").len(), 1);
        let kept = format!("{all:?}");
        assert!(!kept.contains("secret") && !kept.contains("203.0.113.77"));
        app.stop().await;
    }
}

/// What attribution and reports will ask of a click's query is there: the campaign as a text of its own, the rest to be read
/// from the query as it was sent.
#[tokio::test]
async fn a_click_keeps_its_campaign_its_hints_and_what_the_app_gets() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(link("plain", DESTINATION)).await;
        let utm = Utm { source: "mail".into(), campaign: "spring sale".into(), ..Utm::default() };
        let sale = tenant.create(Link { utm: Some(utm), ..link("sale", DESTINATION) }).await;
        let query =
            "utm_source=a+b&id=7&fp_tz=Europe%2FZurich&fp_lang=de-CH&fp_sw=390&fp_sh=844&fp_platform=iOS";
        for path in [
            "/plain".to_owned(),
            format!("/plain?{query}"),
            "/sale".to_owned(),
            format!("/sale?{query}"),
            "/sale?utm_source=%20&utm_medium=%0D%0Ax%00".to_owned(),
        ] {
            app.visit(&path).await;
            app.clock.advance(chrono::Duration::seconds(1));
        }
        // What it was at the moment of the click counts.
        let other = Utm { source: "other".into(), ..Utm::default() };
        tenant.update(Link { utm: Some(other), ..sale }, &["utm"]).await;
        app.visit("/sale").await;
        app.settled().await;
        let mut all = clicks(app).await;
        all.sort_by_key(|click| click.id.0);
        let mut campaigns = Vec::new();
        for click in &all {
            campaigns.push(match click.campaign_id {
                Some(id) => text(app, id).await,
                None => String::new(),
            });
        }
        let expected = [
            "",
            "utm_source=a b",
            "utm_source=mail\nutm_campaign=spring sale",
            "utm_source=a b\nutm_campaign=spring sale",
            "utm_source=mail\nutm_medium=x\nutm_campaign=spring sale",
            "utm_source=other",
        ];
        assert_eq!(campaigns, expected);
        let kept = all[1].query.as_deref().expect("there was one");
        let expected = Hints {
            time_zone: Some("Europe/Zurich".to_owned()),
            language: Some("de-CH".to_owned()),
            screen: Some((390, 844)),
            platform: Some("ios".to_owned()),
            platform_version: None,
        };
        assert_eq!(hints(kept), expected);
        assert_eq!(parameters(kept), [("id".to_owned(), "7".to_owned())]);
        assert_eq!(all[0].query, None);
    })
    .await;
}

/// Which address of the link, or which of its rules, a visitor was sent to.
#[tokio::test]
async fn a_click_says_what_it_was_sent_to() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let rule = |name: &str| RoutingRule {
            conditions: vec![RoutingCondition {
                condition: Some(Condition::Query(QueryCondition { name: name.into(), value: None })),
            }],
            action: Some(Action::Url(format!("https://example.com/{name}"))),
            ..RoutingRule::default()
        };
        let made = Link {
            ios_url: "https://apps.apple.com/app/id1".into(),
            android_app_link: "https://app.example.com/a".into(),
            routing_rules: vec![
                RoutingRule { active: Some(false), ..rule("off") },
                rule("first"),
                rule("second"),
            ],
            forward_query: Some(false),
            ..link("all", DESTINATION)
        };
        let made = tenant.create(made).await;
        let visits = [
            ("", DESKTOP, DESTINATION, 4),
            ("", "iPhone", "https://apps.apple.com/app/id1", 1),
            ("", "Android", "https://app.example.com/a", 5),
            ("?off", DESKTOP, DESTINATION, 4),
            ("?first", DESKTOP, "https://example.com/first", 101),
            ("?second&first", "iPhone", "https://example.com/first", 101),
            ("?second", DESKTOP, "https://example.com/second", 102),
        ];
        for (query, agent, url, _) in visits {
            let answer = app.visit_as(Method::GET, &format!("/all{query}"), &[("user-agent", agent)]).await;
            assert_eq!(answer.header("location"), url, "{query} {agent}");
            app.clock.advance(chrono::Duration::seconds(1));
        }
        app.settled().await;
        let mut all = clicks(app).await;
        all.sort_by_key(|click| click.id.0);
        let steps: Vec<i16> = all.iter().map(|click| click.step).collect();
        assert_eq!(steps, visits.map(|(_, _, _, step)| step));
        assert!(all.iter().all(|click| click.link_id.to_string() == made.id));
    })
    .await;
}

/// What a visitor sends is what they like. It never keeps other clicks from being stored.
#[tokio::test]
async fn odd_headers_are_stored_or_left_out() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(link("spring", DESTINATION)).await;
        for headers in [
            [("user-agent", "\u{e9}\u{fc}"), ("referer", "nonsense"), ("accept-language", ";;;,")],
            [
                ("user-agent", "'; DROP TABLE clicks; --"),
                ("referer", "javascript:alert(1)"),
                ("accept-language", "*"),
            ],
            [("user-agent", "\t"), ("referer", "https://xn--/"), ("accept-language", "")],
            [
                ("user-agent", DESKTOP),
                ("referer", "https://b\u{fc}cher.example/x"),
                ("accept-language", "\u{fc}"),
            ],
        ] {
            let answer = app.visit_as(Method::GET, "/spring?a=%00&b=%ff&c='", &headers).await;
            assert_eq!(answer.status, 302);
        }
        app.settled().await;
        assert_eq!(tenant.get(&made.id).await.expect("it is there").click_count, 4);
        let sql = Statement::from_string(
            app.env().db.api.get_database_backend(),
            "SELECT count(*) FROM dead_letters",
        );
        let row = app.env().db.api.query_one_raw(sql).await.expect("answers").expect("a row");
        assert_eq!(row.try_get_by_index::<i64>(0).expect("a number"), 0);
    })
    .await;
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("the spool is there") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copies");
        }
    }
}

async fn totals(app: &App) -> (usize, Vec<(i64, i64)>, Vec<(i64, i64)>) {
    let db = &app.env().db.api;
    let totals = link_total::Entity::find().all(db).await.expect("totals can be read");
    app.rolled().await;
    // Some years around.
    let slots = Slots { first: 20_000 * 96, end: 21_000 * 96 };
    let scope = |workspace| Scope { workspace, part: Part::All };
    let mut counted = Vec::new();
    for total in &totals {
        let (kept, scope) = (Kept::default(), scope(total.workspace_id));
        let mut from = Reader::open(db, &kept, &scope).await.expect("rollups can be read");
        let all = from.totals(slots).await.expect("rollups can be read");
        counted.push((all.clicks, all.bot_clicks));
    }
    (clicks(app).await.len(), totals.iter().map(|total| (total.clicks, total.bot_clicks)).collect(), counted)
}

/// A node that died after the commit and before its checkpoint drains everything again; so does a restored disk.
#[tokio::test]
async fn draining_again_changes_nothing() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(link("spring", DESTINATION)).await;
        for n in 0..50 {
            let agent = if n % 5 == 0 { GOOGLEBOT } else { DESKTOP };
            app.visit_as(Method::GET, "/spring", &[("user-agent", agent)]).await;
        }
        app.settled().await;
        let before = totals(app).await;
        assert_eq!(before.0, 50);
        assert_eq!(before.1, [(40, 10)]);

        // A copy without the checkpoint, and a database that has forgotten how far it was.
        let replayed = app.data.path().join("replayed");
        copy(&app.env().config.spool_dir(), &replayed);
        for entry in fs::read_dir(&replayed).expect("the copy is there") {
            let path = entry.expect("an entry").path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().contains("checkpoint")) {
                fs::remove_file(&path).expect("removes");
            }
        }
        for _ in 0..2 {
            let db = &app.env().db.api;
            db.execute_unprepared("DELETE FROM spool_progress").await.expect("forgets");
            let options = SpoolOptions { min_free_bytes: 0, ..SpoolOptions::default() };
            let (spool, mut reader) = Spool::open(&replayed, options).expect("the copy opens");
            drain::once((app.env(), attribution::carry), &spool, &mut reader).await.expect("drains");
            spool.close().await;
            drop((spool, reader));
            assert_eq!(totals(app).await, before);
        }
    })
    .await;
}

#[tokio::test]
async fn a_deleted_link_leaves_its_clicks_to_the_workspace() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let gone = tenant.create(link("gone", DESTINATION)).await;
        let stays = tenant.create(link("stays", DESTINATION)).await;
        for path in ["/gone", "/gone", "/stays"] {
            app.visit_as(Method::GET, path, &[("user-agent", DESKTOP)]).await;
        }
        // Deleted while its clicks may still be on their way.
        tenant.delete(&gone.id).await;
        app.settled().await;
        let all = tenant.overview("").await;
        assert_eq!(all.clicks, 3);
        assert_eq!(all.top_links[0].link_id, gone.id);
        assert_eq!((&*all.top_links[0].short_code, all.top_links[0].clicks), ("", 2));

        // Its code is free again, and the new link starts from nothing.
        let anew = tenant.create(link("gone", DESTINATION)).await;
        app.visit_as(Method::GET, "/gone", &[("user-agent", DESKTOP)]).await;
        app.settled().await;
        assert_eq!(tenant.get(&anew.id).await.expect("it is there").click_count, 1);
        assert_eq!(tenant.get(&stays.id).await.expect("it is there").click_count, 1);
        assert_eq!(tenant.overview("").await.clicks, 4);
    })
    .await;
}

async fn column(app: &App, sql: &str) -> Vec<String> {
    let db = &app.env().db.api;
    let rows =
        db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("answers");
    rows.iter().map(|row| row.try_get_by_index(0).expect("text")).collect()
}

const PARTITIONS: &str =
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'clicks'::regclass ORDER BY 1";

#[tokio::test]
async fn partitions_are_made_two_weeks_ahead_and_hold_their_day() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let app = App::start(Store::Production).await;
    assert_eq!(app.env().db.dialect(), Dialect::Postgres);
    crate::support::eventually("today and fourteen days more", async || {
        column(&app, PARTITIONS).await.len() == 15
    })
    .await;
    let made = column(&app, PARTITIONS).await;
    assert_eq!((made[0].as_str(), made[14].as_str()), ("clicks_20261122", "clicks_20261206"));
    let tenant = app.tenant().await;
    tenant.create(link("spring", DESTINATION)).await;
    // Today, tomorrow, and a day that nobody has prepared.
    let mut held = Vec::new();
    for (days, partition) in [(0, "clicks_20261122"), (1, "clicks_20261123"), (40, "clicks_20270102")] {
        app.clock.advance(chrono::Duration::days(days));
        app.visit("/spring").await;
        app.settled().await;
        held.push(partition.to_owned());
        assert_eq!(column(&app, "SELECT tableoid::regclass::text FROM clicks ORDER BY id").await, held);
    }
    assert_eq!(column(&app, PARTITIONS).await.len(), 16);
    app.stop().await;
}
