//! Links, as their users see them.

use std::collections::HashSet;

use linkforty::{
    entity::link_total,
    ids::{LinkId, WorkspaceId},
    pb::v1::{
        CreateLinkRequest, DeleteLinkRequest, DuplicateLinkRequest, Link, LinkFilter, LinkOrder,
        ListLinksRequest, UpdateLinkRequest, Utm,
    },
    rpc::Permission,
};
use prost_types::{FieldMask, Timestamp};
use sea_orm::{ActiveModelTrait as _, EntityTrait as _, IntoActiveModel as _};
use tonic::{Code, Status};

use crate::support::{App, Tenant, a_link, coded, on_every_store, reason, request_id, wrong};

fn seconds(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

async fn update(tenant: &mut Tenant, link: Link, paths: &[&str]) -> Result<Link, Status> {
    let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
    let request =
        UpdateLinkRequest { link: Some(link), update_mask: Some(mask), ..UpdateLinkRequest::default() };
    Ok(tenant.links.update_link(request).await?.into_inner().link.expect("the link"))
}

/// Reads all pages.
async fn list(tenant: &mut Tenant, request: ListLinksRequest) -> Vec<Link> {
    let (mut links, mut request) = (Vec::new(), request);
    loop {
        let page = tenant.links.list_links(request.clone()).await.expect("a page").into_inner();
        links.extend(page.links);
        if page.next_page_token.is_empty() {
            return links;
        }
        request.page_token = page.next_page_token;
    }
}

/// Writes down clicks, which visits would make one by one.
async fn clicks(app: &App, tenant: &Tenant, link: &Link, clicks: i64) {
    let workspace_id = WorkspaceId::parse(&tenant.id).expect("an id");
    let link_id = LinkId::parse(&link.id).expect("an id");
    let total = link_total::Model { workspace_id, link_id, clicks, bot_clicks: 1000 };
    let total = total.into_active_model().reset_all();
    link_total::Entity::insert(total).exec(&app.env().db.api).await.expect("a total is stored");
}

#[tokio::test]
async fn a_link_comes_back_as_it_was_created() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let asked = Link {
            short_code: "spring".into(),
            destination_url: "https://example.com/Übersicht".into(),
            title: "Spring".into(),
            description: "Two\nlines".into(),
            ios_url: "https://apps.apple.com/app/id1".into(),
            android_url: "https://play.google.com/store/apps/details?id=com.example".into(),
            web_url: "https://example.com/web".into(),
            active: Some(false),
            start_time: seconds(1_800_000_000),
            expire_time: seconds(1_900_000_000),
            app_scheme: "myapp".into(),
            ios_universal_link: "https://app.example.com/i".into(),
            android_app_link: "HTTPS://app.example.com/a".into(),
            deep_link_path: "/product/42".into(),
            deep_link_parameters: [("id".to_owned(), "42".to_owned()), ("empty".to_owned(), String::new())]
                .into(),
            utm: Some(Utm { source: " mail ".into(), campaign: "spring".into(), ..Utm::default() }),
            append_click_id: true,
            forward_query: Some(false),
            tags: vec![" a ".into(), "b".into(), "a".into()],
            // Output only: ignored.
            id: "x".into(),
            click_count: 7,
            etag: "x".into(),
            ..Link::default()
        };
        let made = tenant.create(asked).await;
        assert_eq!(made.short_url, "https://go.example.test/spring");
        assert_eq!(made.domain, "go.example.test");
        assert_eq!(made.destination_url, "https://example.com/%C3%9Cbersicht");
        assert_eq!(made.tags, ["a", "b"]);
        assert_eq!((made.active, made.click_count), (Some(false), 0));
        assert_eq!((made.app_scheme.as_str(), made.deep_link_path.as_str()), ("myapp", "/product/42"));
        assert_eq!(made.android_app_link, "https://app.example.com/a");
        assert_eq!(made.deep_link_parameters.len(), 2);
        assert_eq!(made.utm.as_ref().map(|utm| utm.source.as_str()), Some("mail"));
        assert_eq!((made.append_click_id, made.forward_query), (true, Some(false)));
        assert_eq!(made.workspace_id, tenant.id);
        assert_eq!(made.create_time, made.update_time);
        assert_eq!(tenant.get(&made.id).await.expect("the link"), made);

        let plain = tenant.create(a_link()).await;
        assert_eq!((plain.short_code.len(), plain.active), (8, Some(true)));
        assert_eq!((plain.append_click_id, plain.forward_query), (false, Some(true)));
        assert_eq!((plain.utm, plain.deep_link_parameters.len()), (None, 0));

        // A copy has all of it, and an update clears what its mask names.
        let request = DuplicateLinkRequest { link_id: made.id.clone(), ..DuplicateLinkRequest::default() };
        let copy = tenant.links.duplicate_link(request).await.expect("copied").into_inner().link;
        let copy = copy.expect("always there");
        let decided = |link: &Link| {
            let (parameters, utm) = (link.deep_link_parameters.clone(), link.utm.clone());
            (link.app_scheme.clone(), link.ios_universal_link.clone(), parameters, utm, link.append_click_id)
        };
        assert_eq!(decided(&copy), decided(&made));
        let paths = [
            "utm",
            "deep_link_parameters",
            "app_scheme",
            "ios_universal_link",
            "append_click_id",
            "forward_query",
        ];
        let nothing = Link { id: made.id.clone(), ..Link::default() };
        let cleared = update(&mut tenant, nothing, &paths).await.expect("updated");
        assert_eq!(decided(&cleared), decided(&Link::default()));
        assert_eq!((cleared.deep_link_path.as_str(), cleared.forward_query), ("/product/42", Some(true)));
        assert_eq!(tenant.get(&made.id).await.expect("the link"), cleared);
    })
    .await;
}

#[tokio::test]
async fn every_violation_is_told_at_once() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let link = Link {
            short_code: "-x".into(),
            destination_url: "javascript:alert(1)".into(),
            title: "x".repeat(256),
            description: "\0".into(),
            ios_url: "ftp://example.com/".into(),
            android_url: "https://go.example.test/loop".into(),
            web_url: "https://a:b@example.com/".into(),
            app_scheme: "javascript".into(),
            ios_universal_link: "http://app.example.com/".into(),
            android_app_link: "myapp://open".into(),
            deep_link_path: "\0".into(),
            deep_link_parameters: [(String::new(), "x".to_owned())].into(),
            utm: Some(Utm { term: "x".repeat(256), ..Utm::default() }),
            start_time: seconds(20),
            expire_time: seconds(10),
            tags: vec!["ok".into(), " ".into()],
            ..Link::default()
        };
        let request =
            CreateLinkRequest { link: Some(link), request_id: "7".into(), ..CreateLinkRequest::default() };
        let refused = tenant.links.create_link(request).await.expect_err("all of it is wrong");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
        assert_eq!(
            wrong(&refused),
            [
                "link.short_code",
                "link.destination_url",
                "link.ios_url",
                "link.android_url",
                "link.web_url",
                "link.ios_universal_link",
                "link.android_app_link",
                "link.app_scheme",
                "link.deep_link_path",
                "link.deep_link_parameters[\"\"]",
                "link.utm.term",
                "link.title",
                "link.description",
                "link.tags[1]",
                "link.expire_time",
                "request_id",
            ]
        );
        let refused = tenant.links.create_link(CreateLinkRequest::default()).await.expect_err("no link");
        assert_eq!(wrong(&refused), ["link"]);
        let refused = tenant.try_create(Link::default()).await.expect_err("no destination");
        assert_eq!(wrong(&refused), ["link.destination_url"]);
        let late = Link { start_time: seconds(i64::MAX), ..a_link() };
        assert_eq!(wrong(&tenant.try_create(late).await.expect_err("no such year")), ["link.start_time"]);
    })
    .await;
}

#[tokio::test]
async fn a_taken_code_is_never_replaced_by_another() {
    on_every_store(async |app| {
        let (mut tenant, mut other) = (app.tenant().await, app.another_tenant().await);
        tenant.create(coded("spring")).await;
        for tenant in [&mut tenant, &mut other] {
            let taken = tenant.try_create(coded("spring")).await.expect_err("taken");
            assert_eq!((taken.code(), reason(&taken).as_str()), (Code::AlreadyExists, "SHORT_CODE_TAKEN"));
            let check = CreateLinkRequest {
                link: Some(coded("spring")),
                validate_only: true,
                ..CreateLinkRequest::default()
            };
            let taken = tenant.links.create_link(check).await.expect_err("taken");
            assert_eq!(reason(&taken), "SHORT_CODE_TAKEN");
        }
        tenant.create(coded("Spring")).await;
    })
    .await;
}

#[tokio::test]
async fn of_a_hundred_who_want_one_code_exactly_one_gets_it() {
    on_every_store(async |app| {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..4 {
            let tenant = if number == 0 { app.tenant().await } else { app.another_tenant().await };
            for _ in 0..25 {
                let tenant = tenant.clone();
                tasks.spawn(async move { tenant.try_create(coded("wanted")).await });
            }
        }
        let outcomes = tasks.join_all().await;
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1);
        for outcome in outcomes {
            if let Err(status) = outcome {
                assert_eq!(reason(&status), "SHORT_CODE_TAKEN", "{status:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_repeat_under_a_request_id_makes_nothing_new() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let request = CreateLinkRequest {
            link: Some(a_link()),
            request_id: request_id(),
            ..CreateLinkRequest::default()
        };
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (mut tenant, request) = (tenant.clone(), request.clone());
            tasks.spawn(async move { tenant.links.create_link(request).await.expect("made or repeated") });
        }
        let ids: HashSet<_> = tasks
            .join_all()
            .await
            .into_iter()
            .map(|made| made.into_inner().link.expect("a link").id)
            .collect();
        assert_eq!(ids.len(), 1);
        assert_eq!(list(&mut tenant, ListLinksRequest::default()).await.len(), 1);

        let id = ids.into_iter().next().expect("one");
        let titled = Link { id: id.clone(), title: "now".into(), ..Link::default() };
        update(&mut tenant, titled, &["title"]).await.expect("changed");
        let repeated = tenant.links.create_link(request.clone()).await.expect("repeated").into_inner().link;
        assert_eq!(repeated.expect("the link").title, "now");

        let other = CreateLinkRequest { link: Some(coded("other")), ..request.clone() };
        let reused = tenant.links.create_link(other).await.expect_err("other content");
        assert_eq!(reason(&reused), "IDEMPOTENCY_KEY_REUSED");
        let mut elsewhere = app.another_tenant().await;
        let made = elsewhere.links.create_link(request.clone()).await.expect("their own").into_inner().link;
        assert_ne!(made.expect("a link").id, id);

        app.clock.advance(chrono::Duration::hours(25));
        let made = tenant.links.create_link(request).await.expect("forgotten").into_inner().link;
        assert_ne!(made.expect("a link").id, id);
    })
    .await;
}

#[tokio::test]
async fn a_failed_call_uses_up_no_request_id() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let taken = tenant.create(coded("spring")).await;
        let request = CreateLinkRequest {
            link: Some(coded("spring")),
            request_id: request_id(),
            ..CreateLinkRequest::default()
        };
        tenant.links.create_link(request.clone()).await.expect_err("taken");
        let gone = DeleteLinkRequest { link_id: taken.id, ..DeleteLinkRequest::default() };
        tenant.links.delete_link(gone).await.expect("deleted");
        tenant.links.create_link(request).await.expect("free again");
    })
    .await;
}

#[tokio::test]
async fn an_update_changes_what_its_mask_names() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let full = Link {
            title: "Title".into(),
            web_url: "https://example.com/web".into(),
            active: Some(false),
            expire_time: seconds(1_900_000_000),
            tags: vec!["a".into()],
            ..coded("spring")
        };
        let made = tenant.create(full.clone()).await;
        clicks(app, &tenant, &made, 5).await;
        app.clock.advance(chrono::Duration::minutes(1));

        let change = Link {
            id: made.id.clone(),
            title: "New".into(),
            description: "ignored".into(),
            ..Link::default()
        };
        let titled = update(&mut tenant, change, &["title", "etag", "click_count"]).await.expect("changed");
        let expected = Link { title: "New".into(), click_count: 5, ..made.clone() };
        let but = |link: &Link| Link { etag: String::new(), update_time: None, ..link.clone() };
        assert_eq!(but(&titled), but(&expected));
        assert_ne!(titled.etag, made.etag);
        assert_ne!(titled.update_time, made.update_time);
        assert_eq!(tenant.get(&made.id).await.expect("the link"), titled);

        // A named field that is empty is cleared.
        let change = Link { id: made.id.clone(), ..Link::default() };
        let cleared = update(&mut tenant, change.clone(), &["tags", "expire_time", "web_url", "active"])
            .await
            .expect("cleared");
        assert_eq!((cleared.tags.len(), cleared.expire_time, cleared.web_url.as_str()), (0, None, ""));
        assert_eq!(cleared.active, Some(true));
        let refused = update(&mut tenant, change.clone(), &["destination_url"]).await.expect_err("required");
        assert_eq!(wrong(&refused), ["link.destination_url"]);

        // No mask: what is set. The stored code may stand there, another may not.
        let request = UpdateLinkRequest {
            link: Some(Link { title: "Whole".into(), ..cleared.clone() }),
            ..UpdateLinkRequest::default()
        };
        let whole =
            tenant.links.update_link(request).await.expect("changed").into_inner().link.expect("the link");
        assert_eq!(whole.title, "Whole");
        let request = UpdateLinkRequest {
            link: Some(Link { short_code: "summer".into(), ..change.clone() }),
            ..UpdateLinkRequest::default()
        };
        let refused = tenant.links.update_link(request).await.expect_err("codes do not change");
        assert_eq!(wrong(&refused), ["link.short_code"]);

        let refused = update(&mut tenant, change.clone(), &["title", "short_code", "colour", "tags.x"]).await;
        assert_eq!(wrong(&refused.expect_err("wrong mask")), ["update_mask"; 3]);

        // Everything: what is not sent goes back to its default.
        let star =
            update(&mut tenant, Link { id: made.id.clone(), ..a_link() }, &["*"]).await.expect("changed");
        assert_eq!((star.title.as_str(), star.active, star.short_code.as_str()), ("", Some(true), "spring"));

        // What changes nothing is no change.
        let same =
            update(&mut tenant, Link { id: made.id.clone(), ..a_link() }, &["*"]).await.expect("the same");
        assert_eq!(same, star);
    })
    .await;
}

#[tokio::test]
async fn times_are_ordered_in_what_becomes_of_a_link() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let made = tenant.create(Link { start_time: seconds(1000), ..a_link() }).await;
        for expire in [999, 1000] {
            let change = Link { id: made.id.clone(), expire_time: seconds(expire), ..Link::default() };
            let refused = update(&mut tenant, change, &["expire_time"]).await.expect_err("before its start");
            assert_eq!(wrong(&refused), ["link.expire_time"]);
        }
        let change = Link { id: made.id.clone(), expire_time: seconds(1001), ..Link::default() };
        update(&mut tenant, change, &["expire_time"]).await.expect("after its start");
    })
    .await;
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let made = tenant.create(a_link()).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..10 {
            let (mut tenant, made) = (tenant.clone(), made.clone());
            let title = format!("title {number}");
            tasks.spawn(async move { update(&mut tenant, Link { title, ..made }, &["title"]).await });
        }
        let outcomes = tasks.join_all().await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for refused in outcomes.into_iter().filter_map(Result::err) {
            assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
        }
        let delete = |etag: &str| DeleteLinkRequest {
            link_id: made.id.clone(),
            etag: etag.into(),
            ..DeleteLinkRequest::default()
        };
        let refused = tenant.links.delete_link(delete(&made.etag)).await.expect_err("stale");
        assert_eq!(reason(&refused), "ETAG_MISMATCH");
        let now = tenant.get(&made.id).await.expect("still there");
        tenant.links.delete_link(delete(&now.etag)).await.expect("deleted");
    })
    .await;
}

#[tokio::test]
async fn a_check_stores_nothing() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let made = tenant.create(coded("spring")).await;
        let check = CreateLinkRequest {
            link: Some(a_link()),
            validate_only: true,
            request_id: request_id(),
            ..CreateLinkRequest::default()
        };
        let would = tenant.links.create_link(check).await.expect("fine").into_inner().link.expect("a draft");
        assert_eq!((would.id.as_str(), would.short_code.as_str(), would.short_url.as_str()), ("", "", ""));
        assert_eq!((would.etag.as_str(), would.create_time), ("", None));
        assert_eq!(would.destination_url, a_link().destination_url);
        let check = CreateLinkRequest {
            link: Some(coded("autumn")),
            validate_only: true,
            ..CreateLinkRequest::default()
        };
        tenant.links.create_link(check).await.expect("fine");
        assert_eq!(app.visit("/autumn").await.status, 404);
        let check = UpdateLinkRequest {
            link: Some(Link {
                id: made.id.clone(),
                title: "New".into(),
                active: Some(false),
                ..Link::default()
            }),
            validate_only: true,
            ..UpdateLinkRequest::default()
        };
        let would = tenant.links.update_link(check).await.expect("fine").into_inner().link.expect("the link");
        assert_eq!((would.title.as_str(), would.active), ("New", Some(false)));
        assert_eq!(app.visit("/spring").await.status, 302);
        assert_eq!(list(&mut tenant, ListLinksRequest::default()).await, [made]);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_link_is_gone_and_its_code_free() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let made = tenant.create(coded("spring")).await;
        let delete = |request_id: String| DeleteLinkRequest {
            link_id: made.id.clone(),
            request_id,
            ..DeleteLinkRequest::default()
        };
        let once = request_id();
        tenant.links.delete_link(delete(once.clone())).await.expect("deleted");
        tenant.links.delete_link(delete(once)).await.expect("deleted already");
        for again in [String::new(), request_id()] {
            assert_eq!(
                tenant.links.delete_link(delete(again)).await.expect_err("gone").code(),
                Code::NotFound
            );
        }
        tenant.create(coded("spring")).await;
    })
    .await;
}

#[tokio::test]
async fn a_copy_is_active_and_has_its_own_code() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let original = Link {
            title: "T".repeat(255),
            active: Some(false),
            tags: vec!["a".into()],
            expire_time: seconds(1_900_000_000),
            ..coded("spring")
        };
        let made = tenant.create(original).await;
        clicks(app, &tenant, &made, 5).await;
        let request = DuplicateLinkRequest {
            link_id: made.id.clone(),
            request_id: request_id(),
            ..DuplicateLinkRequest::default()
        };
        let copy = tenant
            .links
            .duplicate_link(request.clone())
            .await
            .expect("copied")
            .into_inner()
            .link
            .expect("a link");
        assert_ne!((&copy.id, &copy.short_code), (&made.id, &made.short_code));
        assert_eq!(copy.title, format!("{} (Copy)", "T".repeat(248)));
        assert_eq!((copy.active, copy.click_count, copy.tags.as_slice()), (Some(true), 0, &made.tags[..]));
        assert_eq!((copy.expire_time, &copy.destination_url), (made.expire_time, &made.destination_url));
        let again = tenant.links.duplicate_link(request.clone()).await.expect("repeated").into_inner().link;
        assert_eq!(again.expect("a link").id, copy.id);
        let named =
            DuplicateLinkRequest { short_code: "spring".into(), request_id: String::new(), ..request };
        let taken = tenant.links.duplicate_link(named.clone()).await.expect_err("taken");
        assert_eq!(reason(&taken), "SHORT_CODE_TAKEN");
        let bad = DuplicateLinkRequest {
            short_code: "a b".into(),
            link_id: "x".into(),
            request_id: "y".into(),
            ..named
        };
        let refused = tenant.links.duplicate_link(bad).await.expect_err("wrong");
        assert_eq!(wrong(&refused), ["link_id", "short_code", "request_id"]);
    })
    .await;
}

#[tokio::test]
async fn pages_show_every_link_once_in_every_order() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let mut made = Vec::new();
        // Titles and clicks that repeat, moments that do too.
        for (number, title) in ["b", "", "a", "B", "ä", "b", "Ä", "z", "", "b", "_"].into_iter().enumerate()
        {
            let link = tenant.create(Link { title: title.into(), ..a_link() }).await;
            if number % 3 > 0 {
                clicks(app, &tenant, &link, (number % 3) as i64).await;
            }
            if number % 2 == 0 {
                app.clock.advance(chrono::Duration::milliseconds(700));
            }
            made.push(tenant.get(&link.id).await.expect("the link"));
        }
        app.another_tenant().await.create(a_link()).await;
        for order in [
            LinkOrder::Unspecified,
            LinkOrder::CreateTimeDesc,
            LinkOrder::CreateTimeAsc,
            LinkOrder::ClickCountDesc,
            LinkOrder::TitleAsc,
        ] {
            let mut expected = made.clone();
            expected.sort_by(|a, b| match order {
                LinkOrder::CreateTimeAsc => a.id.cmp(&b.id),
                LinkOrder::ClickCountDesc => (b.click_count, &b.id).cmp(&(a.click_count, &a.id)),
                LinkOrder::TitleAsc => (&a.title, &a.id).cmp(&(&b.title, &b.id)),
                _ => b.id.cmp(&a.id),
            });
            for page_size in [1, 2, 3, 11, 12, 0] {
                let request =
                    ListLinksRequest { page_size, order: order.into(), ..ListLinksRequest::default() };
                assert_eq!(list(&mut tenant, request).await, expected, "{order:?} by {page_size}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_token_is_good_for_its_own_question_only() {
    on_every_store(async |app| {
        let (mut tenant, mut other) = (app.tenant().await, app.another_tenant().await);
        for _ in 0..3 {
            tenant.create(a_link()).await;
            other.create(a_link()).await;
        }
        let first = ListLinksRequest { page_size: 1, ..ListLinksRequest::default() };
        let page = tenant.links.list_links(first.clone()).await.expect("a page").into_inner();
        let next = ListLinksRequest { page_token: page.next_page_token, ..first };
        let named = ListLinksRequest { workspace_id: tenant.id.clone(), page_size: 2, ..next.clone() };
        tenant.links.list_links(named).await.expect("the same question");
        let refused = other.links.list_links(next.clone()).await.expect_err("another tenant");
        assert_eq!(reason(&refused), "PAGE_TOKEN_INVALID");
        for changed in [
            ListLinksRequest { search: "x".into(), ..next.clone() },
            ListLinksRequest { order: LinkOrder::TitleAsc.into(), ..next.clone() },
            ListLinksRequest {
                filter: Some(LinkFilter { active: Some(true), ..LinkFilter::default() }),
                ..next.clone()
            },
            ListLinksRequest { page_token: "x".into(), ..next },
        ] {
            let refused = tenant.links.list_links(changed).await.expect_err("another question");
            assert_eq!(reason(&refused), "PAGE_TOKEN_INVALID");
        }
    })
    .await;
}

#[tokio::test]
async fn lists_are_searched_and_filtered() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let make = |code: &str, title: &str, description: &str, tags: &[&str], active| {
            let link = Link {
                title: title.into(),
                description: description.into(),
                tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                active: Some(active),
                ..coded(code)
            };
            let tenant = tenant.clone();
            async move { tenant.create(link).await }
        };
        make("one", "Spring SALE", "", &["a", "b"], true).await;
        app.clock.advance(chrono::Duration::hours(1));
        let hour = app.env().now();
        make("two", "100% off", "", &["a"], false).await;
        app.clock.advance(chrono::Duration::microseconds(1));
        let now = app.env().now();
        make("thr_ee", "!bang \\ back", "Äpfel", &["b\"x", "ä"], true).await;
        let moment = |moment: linkforty::clock::Moment| {
            Some(Timestamp { seconds: moment.timestamp(), nanos: moment.timestamp_subsec_nanos() as i32 })
        };
        let filter =
            |filter: LinkFilter| ListLinksRequest { filter: Some(filter), ..ListLinksRequest::default() };
        let search = |text: &str| ListLinksRequest { search: text.into(), ..ListLinksRequest::default() };
        let tags = |tags: &[&str]| {
            filter(LinkFilter {
                tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                ..LinkFilter::default()
            })
        };
        for (request, expected) in [
            (search("sale"), vec!["one"]),
            (search("SPRING s"), vec!["one"]),
            (search("%"), vec!["two"]),
            (search("0% O"), vec!["two"]),
            (search("_"), vec!["thr_ee"]),
            (search("r_e"), vec!["thr_ee"]),
            (search("!"), vec!["thr_ee"]),
            (search("\\"), vec!["thr_ee"]),
            (search("Äpf"), vec!["thr_ee"]),
            // Only ASCII has no case.
            (search("äpf"), vec![]),
            (search("EXAMPLE.com"), vec!["thr_ee", "two", "one"]),
            (search("nowhere"), vec![]),
            (tags(&["a"]), vec!["two", "one"]),
            (tags(&["a", "b"]), vec!["one"]),
            (tags(&["b\"x"]), vec!["thr_ee"]),
            (tags(&["ä", " ä "]), vec!["thr_ee"]),
            (tags(&["c"]), vec![]),
            (filter(LinkFilter { active: Some(false), ..LinkFilter::default() }), vec!["two"]),
            (
                filter(LinkFilter { created_after: moment(hour), ..LinkFilter::default() }),
                vec!["thr_ee", "two"],
            ),
            (filter(LinkFilter { created_before: moment(hour), ..LinkFilter::default() }), vec!["one"]),
            (filter(LinkFilter { created_before: moment(now), ..LinkFilter::default() }), vec!["two", "one"]),
            (
                filter(LinkFilter {
                    created_after: moment(now - chrono::Duration::hours(1)),
                    created_before: moment(now + chrono::Duration::microseconds(1)),
                    active: Some(true),
                    tags: vec!["ä".into()],
                    ..LinkFilter::default()
                }),
                vec!["thr_ee"],
            ),
        ] {
            let found = list(&mut tenant, request.clone()).await;
            let found: Vec<_> = found.iter().map(|link| link.short_code.as_str()).collect();
            assert_eq!(found, expected, "{request:?}");
        }
        let bad = ListLinksRequest {
            page_size: -1,
            order: 77,
            search: format!("\0{}", "x".repeat(200)),
            filter: Some(LinkFilter {
                created_after: seconds(i64::MIN),
                tags: vec![String::new()],
                ..LinkFilter::default()
            }),
            ..ListLinksRequest::default()
        };
        let refused = tenant.links.list_links(bad).await.expect_err("all of it is wrong");
        assert_eq!(
            wrong(&refused),
            ["order", "filter.created_after", "filter.tags[0]", "search", "search", "page_size"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_foreign_link_answers_as_an_unknown_one() {
    on_every_store(async |app| {
        let (mut tenant, other) = (app.tenant().await, app.another_tenant().await);
        let theirs = other.create(a_link()).await;
        let unknown = request_id();
        let mut answers = Vec::new();
        for id in [theirs.id.clone(), unknown] {
            let link = Link { id: id.clone(), title: "mine".into(), ..Link::default() };
            let delete = DeleteLinkRequest { link_id: id.clone(), ..DeleteLinkRequest::default() };
            let duplicate = DuplicateLinkRequest { link_id: id.clone(), ..DuplicateLinkRequest::default() };
            let statuses = [
                tenant.get(&id).await.expect_err("not mine"),
                update(&mut tenant, link, &["title"]).await.expect_err("not mine"),
                tenant.links.delete_link(delete).await.map(drop).expect_err("not mine"),
                tenant.links.duplicate_link(duplicate).await.map(drop).expect_err("not mine"),
            ];
            answers.push(
                statuses
                    .map(|status| (status.code(), status.message().to_owned(), status.details().to_vec())),
            );
        }
        assert_eq!(answers[0], answers[1]);
        assert!(answers[0].iter().all(|answer| answer.0 == Code::NotFound));
        assert_eq!(other.get(&theirs.id).await.expect("still theirs"), theirs);
    })
    .await;
}

#[tokio::test]
async fn scopes_are_enough_or_they_are_not() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(a_link()).await;
        let key = app.key(&tenant.id, &[Permission::LinksRead]).await;
        let reader = app.with_key(&tenant.id, key).await;
        reader.get(&made.id).await.expect("may read");
        assert_eq!(
            reason(&reader.try_create(a_link()).await.expect_err("may not write")),
            "PERMISSION_MISSING"
        );
        let key = app.key(&tenant.id, &[Permission::LinksWrite]).await;
        let mut writer = app.with_key(&tenant.id, key).await;
        assert_eq!(reason(&writer.get(&made.id).await.expect_err("may not read")), "PERMISSION_MISSING");
        let copy = DuplicateLinkRequest { link_id: made.id, ..DuplicateLinkRequest::default() };
        assert_eq!(
            reason(&writer.links.duplicate_link(copy).await.expect_err("reads too")),
            "PERMISSION_MISSING"
        );
    })
    .await;
}
