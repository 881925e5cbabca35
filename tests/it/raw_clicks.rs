//! Single clicks: listed, filtered, and counted by combinations of dimensions.

use std::collections::{BTreeMap, HashSet};

use http::Method;
use linkforty::{
    db::Dialect,
    entity::click,
    ids::{ClickId, Ids, LinkId, WorkspaceId},
    pb::v1::{
        Dimension, DimensionFilter, ListClicksRequest, ListClicksResponse, QueryBreakdownRequest,
        RecordedClick, ReportScope, ReportSource, ReportSpan, report_scope::Part,
    },
    rpc::Permission,
    workspaces::Role,
};
use sea_orm::{
    ActiveModelTrait as _, ConnectionTrait as _, EntityTrait as _, IntoActiveModel as _, Statement,
};
use tonic::{Code, Status};

use crate::{
    support::{
        App, DESKTOP, IPHONE, PIXEL, Tenant, coded, on_every_store, reason, request_id, stores, wrong,
    },
    workspaces::person,
};

const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

async fn list(tenant: &Tenant, request: ListClicksRequest) -> Result<ListClicksResponse, Status> {
    Ok(tenant.analytics.clone().list_clicks(request).await?.into_inner())
}

fn filter(dimension: Dimension, values: &[&str]) -> DimensionFilter {
    DimensionFilter {
        dimension: dimension.into(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn of_link(id: &str) -> Option<ReportScope> {
    Some(ReportScope { workspace_id: String::new(), part: Some(Part::LinkId(id.to_owned())) })
}

/// Follows pages to their end.
async fn all(tenant: &Tenant, request: &ListClicksRequest) -> Vec<RecordedClick> {
    let (mut token, mut clicks) = (String::new(), Vec::new());
    loop {
        let request = ListClicksRequest { page_token: token, ..request.clone() };
        let page = list(tenant, request).await.expect("a page");
        clicks.extend(page.clicks);
        token = page.next_page_token;
        if token.is_empty() {
            return clicks;
        }
    }
}

/// Follows links in some ways, one after the other.
async fn visits(app: &App, visits: &[(&str, &str, &str)]) {
    for (path, agent, referrer) in visits {
        let headers = [("user-agent", *agent), ("referer", *referrer), ("accept-language", "de-CH,de;q=0.9")];
        app.visit_as(Method::GET, path, &headers).await;
        app.clock.advance(chrono::Duration::seconds(1));
    }
    app.settled().await;
}

#[tokio::test]
async fn single_clicks_are_listed_newest_first_with_all_that_is_known_of_them() {
    for store in stores() {
        let app = App::start_with(store, &[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
        let tenant = app.tenant().await;
        let spring = tenant.create(coded("spring")).await;
        let visit = [
            ("x-forwarded-for", "203.0.113.77"),
            ("user-agent", IPHONE),
            ("referer", "https://Mail.Example.com/inbox"),
            ("accept-language", "de-ch,de;q=0.9"),
        ];
        app.visit_as(Method::GET, "/spring?utm_source=mail&utm_campaign=sale&x=1", &visit).await;
        app.clock.advance(chrono::Duration::seconds(1));
        app.visit_as(Method::GET, "/spring", &[("user-agent", GOOGLEBOT)]).await;
        app.clock.advance(chrono::Duration::seconds(1));
        app.visit_as(Method::GET, "/spring", &[("user-agent", DESKTOP)]).await;
        app.settled().await;

        let people = list(&tenant, ListClicksRequest::default()).await.expect("a page");
        assert!(people.next_page_token.is_empty());
        let [desktop, phone] = &people.clicks[..] else { panic!("{store}: {people:?}") };
        assert_eq!((&*desktop.os, &*desktop.browser, &*desktop.device), ("linux", "firefox", "desktop"));
        let seen = RecordedClick { id: String::new(), time: None, domain: String::new(), ..phone.clone() };
        let expected = RecordedClick {
            link_id: spring.id.clone(),
            class: "human".into(),
            platform: "ios".into(),
            device: "phone".into(),
            os: "ios".into(),
            os_version: "ios 17.5".into(),
            browser: "safari".into(),
            referrer: "mail.example.com".into(),
            language: "de-CH".into(),
            utm_source: "mail".into(),
            utm_campaign: "sale".into(),
            destination: "destination_url".into(),
            query: "utm_source=mail&utm_campaign=sale&x=1".into(),
            network: "203.0.113.0/24".into(),
            ..RecordedClick::default()
        };
        assert_eq!(seen, expected, "{store}");

        let everybody = ListClicksRequest { include_bots: true, ..ListClicksRequest::default() };
        let classes: Vec<_> = all(&tenant, &everybody).await.into_iter().map(|click| click.class).collect();
        assert_eq!(classes, ["human", "bot", "human"]);
        let bots = ListClicksRequest {
            filters: vec![filter(Dimension::Class, &["bot", "preview"])],
            ..ListClicksRequest::default()
        };
        assert_eq!(all(&tenant, &bots).await.len(), 1, "a filter of classes says which");
        // Of this moment on, and before it.
        let at = phone.time;
        let span = |start_time, end_time| ListClicksRequest {
            span: Some(ReportSpan { start_time, end_time, time_zone: String::new() }),
            ..ListClicksRequest::default()
        };
        assert_eq!(all(&tenant, &span(at, None)).await.len(), 2);
        assert_eq!(all(&tenant, &span(None, at)).await.len(), 0);
        assert_eq!(all(&tenant, &span(None, desktop.time)).await.len(), 1);
        app.stop().await;
    }
}

#[tokio::test]
async fn pages_and_filters_find_each_click_that_fits_once() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let spring = tenant.create(coded("spring")).await;
        tenant.create(coded("autumn")).await;
        other.create(coded("theirs")).await;
        let mut paths = Vec::new();
        for number in 0..12 {
            let path = ["/spring", "/autumn", "/spring", "/theirs"][number % 4];
            let agent = [IPHONE, DESKTOP, PIXEL][number % 3];
            let referrer = ["https://a.example/x", "https://b.example/y"][number % 2];
            paths.push((path, agent, referrer));
        }
        visits(app, &paths).await;
        for (what, scope, filters, expected) in [
            ("all", None, vec![], 9),
            ("a link", of_link(&spring.id), vec![], 6),
            ("the link by a filter", None, vec![filter(Dimension::Link, &[&spring.id])], 6),
            ("a link and another", of_link(&spring.id), vec![filter(Dimension::Link, &[&request_id()])], 0),
            ("phones", None, vec![filter(Dimension::Device, &["phone"])], 6),
            (
                "phones from one site",
                None,
                vec![filter(Dimension::Device, &["phone"]), filter(Dimension::Referrer, &["a.example"])],
                4,
            ),
            ("two systems", None, vec![filter(Dimension::Os, &["ios", "android"])], 6),
            ("no campaign", None, vec![filter(Dimension::UtmSource, &[""])], 9),
            ("a campaign", None, vec![filter(Dimension::UtmSource, &["mail"])], 0),
            ("no project", None, vec![filter(Dimension::Project, &[""])], 9),
        ] {
            for page_size in [1, 2, 1000] {
                let request = ListClicksRequest {
                    scope: scope.clone(),
                    filters: filters.clone(),
                    page_size,
                    ..ListClicksRequest::default()
                };
                let clicks = all(&tenant, &request).await;
                assert_eq!(clicks.len(), expected, "{what}, by {page_size}");
                let ids: Vec<_> = clicks.iter().map(|click| click.id.clone()).collect();
                assert!(ids.is_sorted_by(|one, next| one > next), "{what}: newest first");
            }
        }
    })
    .await;
}

/// Writes clicks past the front: more than anybody follows in a test.
async fn write(app: &App, tenant: &Tenant, link: &str, count: usize, referrer_id: i32) {
    let ids = Ids::seeded(7);
    let (workspace_id, link_id) =
        (WorkspaceId::parse(&tenant.id).expect("an id"), LinkId::parse(link).expect("an id"));
    let now = app.env().now() - chrono::Duration::minutes(1);
    let rows: Vec<_> = (0..count)
        .map(|_| {
            let row = click::Model {
                id: ClickId::mint(&ids, now),
                workspace_id,
                link_id,
                visitor: 1,
                user_agent_id: referrer_id,
                referrer_id,
                language_id: referrer_id,
                platform: 0,
                class: 0,
                step: 4,
                network: Vec::new(),
                query: None,
                country: None,
                campaign_id: None,
                address: None,
                place_id: None,
                home_id: None,
            };
            row.into_active_model().reset_all()
        })
        .collect();
    for some in rows.chunks(1000) {
        click::Entity::insert_many(some.to_vec())
            .exec_without_returning(&app.env().db.api)
            .await
            .expect("writes");
    }
}

#[tokio::test]
async fn a_page_that_finds_little_looks_at_so_many_and_says_where_to_go_on() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let spring = tenant.create(coded("spring")).await;
        visits(app, &[("/spring", DESKTOP, "https://rare.example/")]).await;
        app.clock.advance(chrono::Duration::hours(1));
        write(app, &tenant, &spring.id, 20_500, 0).await;
        let request = ListClicksRequest {
            filters: vec![filter(Dimension::Referrer, &["rare.example"])],
            ..ListClicksRequest::default()
        };
        let first = list(&tenant, request.clone()).await.expect("a page");
        assert!(first.clicks.is_empty() && !first.next_page_token.is_empty(), "{first:?}");
        assert_eq!(all(&tenant, &request).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn combinations_of_dimensions_are_counted_from_single_clicks() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("spring")).await;
        let mut paths = Vec::new();
        for number in 0..30_usize {
            let agent = [IPHONE, DESKTOP, PIXEL, GOOGLEBOT][number % 4];
            let referrer = ["https://a.example/x", "https://b.example/y", ""][number % 3];
            paths.push(("/spring", agent, referrer));
        }
        visits(app, &paths).await;
        let everybody = ListClicksRequest { include_bots: true, ..ListClicksRequest::default() };
        let clicks = all(&tenant, &everybody).await;
        // The truth, counted from what the list says.
        let mut truth: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for click in clicks.iter().filter(|click| click.referrer == "a.example") {
            let (people, bots) = truth.entry(click.os.clone()).or_default();
            if click.class == "human" { *people += 1 } else { *bots += 1 }
        }
        let request = QueryBreakdownRequest {
            dimension: Dimension::Os.into(),
            filters: vec![filter(Dimension::Referrer, &["a.example"])],
            ..QueryBreakdownRequest::default()
        };
        let answer =
            tenant.analytics.clone().query_breakdown(request.clone()).await.expect("numbers").into_inner();
        assert_eq!(answer.source(), ReportSource::RawClicks);
        let counted: BTreeMap<String, (i64, i64)> = answer
            .rows
            .iter()
            .map(|row| {
                let measures = row.measures.clone().expect("always there");
                (row.value.clone(), (measures.clicks, measures.bot_clicks))
            })
            .collect();
        assert_eq!(counted, truth);
        let total = answer.total.expect("always there");
        assert_eq!(total.clicks + total.bot_clicks, 10);
        // One more filter, and none that fits.
        let request = QueryBreakdownRequest {
            filters: vec![filter(Dimension::Referrer, &["a.example"]), filter(Dimension::UtmSource, &["x"])],
            ..request
        };
        let answer = tenant.analytics.clone().query_breakdown(request).await.expect("numbers").into_inner();
        assert_eq!((answer.rows.len(), answer.total_size), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn wrong_questions_are_refused_field_by_field_and_foreign_parts_are_unknown() {
    on_every_store(async |app| {
        let (tenant, other) = (app.tenant().await, app.another_tenant().await);
        let mine = tenant.create(coded("mine")).await;
        let theirs = other.create(coded("theirs")).await;
        visits(app, &[("/mine", DESKTOP, ""), ("/mine", DESKTOP, "")]).await;
        let bad = ListClicksRequest {
            scope: of_link("x"),
            span: Some(ReportSpan { time_zone: "Mars/Olympus".into(), ..ReportSpan::default() }),
            filters: vec![
                filter(Dimension::Unspecified, &["x"]),
                filter(Dimension::Country, &[]),
                filter(Dimension::Event, &["purchase"]),
            ],
            page_size: -1,
            ..ListClicksRequest::default()
        };
        let fields: HashSet<_> = wrong(&list(&tenant, bad).await.expect_err("wrong")).into_iter().collect();
        let expected = [
            "page_size",
            "scope.link_id",
            "span.time_zone",
            "filters[0].dimension",
            "filters[1].values",
            "filters[2].dimension",
        ];
        assert_eq!(fields, expected.map(str::to_owned).into());

        let mut refused = Vec::new();
        for id in [theirs.id, request_id()] {
            let request = ListClicksRequest { scope: of_link(&id), ..ListClicksRequest::default() };
            let status = list(&tenant, request).await.expect_err("not mine");
            refused.push((status.code(), status.message().to_owned(), status.details().to_vec()));
        }
        assert_eq!(refused[0], refused[1]);
        assert_eq!(refused[0].0, Code::NotFound);

        // A token is good for its own question and nobody else's.
        let page = ListClicksRequest { page_size: 1, ..ListClicksRequest::default() };
        let token = list(&tenant, page.clone()).await.expect("a page").next_page_token;
        assert!(!token.is_empty());
        for (who, request) in [
            (&tenant, ListClicksRequest { scope: of_link(&mine.id), ..page.clone() }),
            (&tenant, ListClicksRequest { include_bots: true, ..page.clone() }),
            (&other, page.clone()),
        ] {
            let request = ListClicksRequest { page_token: token.clone(), ..request };
            let status = list(who, request).await.expect_err("another question");
            assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
        }
    })
    .await;
}

#[tokio::test]
async fn networks_are_for_those_who_may_take_files_along() {
    for store in stores() {
        let app = App::start_with(store, &[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
        let tenant = app.tenant().await;
        tenant.create(coded("spring")).await;
        let visit = [("x-forwarded-for", "2001:db8:1:2::3"), ("user-agent", DESKTOP)];
        app.visit_as(Method::GET, "/spring", &visit).await;
        app.settled().await;
        for (role, expected) in [(Role::Viewer, ""), (Role::Member, "2001:db8:1::/48")] {
            let email = format!("{}@example.com", role.name());
            let token = person(&app, &email, Some((&tenant.id, role))).await;
            let client = app.with_key(&tenant.id, token).await;
            let scope = Some(ReportScope { workspace_id: tenant.id.clone(), part: None });
            let page = list(&client, ListClicksRequest { scope, ..ListClicksRequest::default() }).await;
            assert_eq!(page.expect("a page").clicks[0].network, expected, "{role:?}");
        }
        let key = app.key(&tenant.id, &[Permission::AnalyticsRead]).await;
        let reader = app.with_key(&tenant.id, key).await;
        let page = list(&reader, ListClicksRequest::default()).await.expect("a page");
        assert_eq!(page.clicks[0].network, "");
        app.stop().await;
    }
}

#[tokio::test]
async fn the_clicks_of_a_link_are_found_by_its_index() {
    on_every_store(async |app| {
        let db = app.owner_db().await;
        // With next to nothing in it Postgres needs no index, so there is no plan to look at.
        let (question, column) = if app.env().db.dialect() == Dialect::Postgres {
            ("SELECT indexdef FROM pg_indexes WHERE indexname = 'clicks_link_idx'", 0)
        } else {
            (
                "EXPLAIN QUERY PLAN SELECT * FROM clicks
                 WHERE workspace_id = x'01' AND link_id = x'02' AND id >= x'00' AND id < x'ff' ORDER BY id DESC LIMIT 10",
                3,
            )
        };
        let statement = Statement::from_string(db.get_database_backend(), question);
        let rows = db.query_all_raw(statement).await.expect("an answer");
        let told: Vec<String> =
            rows.iter().map(|row| row.try_get_by_index::<String>(column).expect("text")).collect();
        let told = told.join("\n");
        assert!(told.contains("clicks_link_idx") && !told.contains("TEMP B-TREE"), "{told}");
    })
    .await;
}
