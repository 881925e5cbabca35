//! What else may be set of a link, as its users see it: further codes, ids of other systems, how it is answered, what it was.

use std::collections::HashSet;

use futures::future::join_all;
use linkforty::pb::v1::{
    ArchivedLinks, BatchCreateLinksRequest, BatchUpdateLinksRequest, CodeStyle, CreateLinkRequest,
    CreateLinkResponse, DuplicateLinkRequest, Link, LinkFilter, LinkRevision, LinkUpdate,
    ListLinkReportsRequest, ListLinkRevisionsRequest, ListLinksRequest, RedirectStatus, RemoveAliasRequest,
    RestoreLinkRevisionRequest, UpdateLinkRequest, Utm, link_revision::Actor,
};
use prost_types::{Duration, FieldMask};
use tonic::{Code, Status};

use crate::{
    accounts::settled_owner,
    support::{
        App, DESKTOP, Store, Tenant, a_link, coded, get, link, on_every_store, reason, request_id, stores,
        wrong,
    },
};

fn hours(hours: i64) -> Option<Duration> {
    Some(Duration { seconds: hours * 3600, nanos: 0 })
}

async fn status(app: &App, path: &str) -> u16 {
    get(app.links(), path, &[("user-agent", DESKTOP)]).await.status.as_u16()
}

async fn listed(tenant: &Tenant, filter: LinkFilter) -> Vec<String> {
    let request = ListLinksRequest { filter: Some(filter), ..ListLinksRequest::default() };
    let page = tenant.links.clone().list_links(request).await.expect("a page").into_inner();
    // Those of one moment are in any order.
    let mut codes: Vec<_> = page.links.into_iter().map(|link| link.short_code).collect();
    codes.sort();
    codes
}

#[tokio::test]
async fn an_alias_is_a_code_like_any_other() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(link("first", "https://example.com/page")).await;
        assert_eq!(status(app, "/second").await, 404);
        let with = tenant.alias(&made.id, "second").await.expect("adds");
        assert_eq!((&*with.aliases, with.short_code.as_str()), (&["second".to_owned()][..], "first"));
        assert_ne!(with.etag, made.etag);
        let with = tenant.alias(&made.id, "").await.expect("adds any");
        assert_eq!(with.aliases[1].len(), 8);
        for path in ["/first", "/second", &format!("/{}", with.aliases[1])] {
            assert_eq!(status(app, path).await, 302, "{path}");
        }
        app.settled().await;
        let found = tenant.get(&made.id).await.expect("it is there");
        assert_eq!(
            (found.click_count, &found.aliases),
            (3, &with.aliases),
            "a click on one is a click of the link"
        );

        // Nobody else can have it, and it is listed with its link only.
        for taken in ["first", "second"] {
            let refused = tenant.alias(&made.id, taken).await.expect_err("taken");
            assert_eq!((refused.code(), &*reason(&refused)), (Code::AlreadyExists, "SHORT_CODE_TAKEN"));
            assert_eq!(
                reason(&tenant.try_create(coded(taken)).await.expect_err("taken")),
                "SHORT_CODE_TAKEN"
            );
        }
        assert_eq!(wrong(&tenant.alias(&made.id, "api").await.expect_err("reserved")), ["alias"]);
        assert_eq!(listed(&tenant, LinkFilter::default()).await, ["first"]);

        // A change reaches it while it is warm.
        let moved = Link { id: made.id.clone(), active: Some(false), ..Link::default() };
        tenant.update(moved, &["active"]).await;
        assert_eq!((status(app, "/first").await, status(app, "/second").await), (404, 404));
        let back = Link { id: made.id.clone(), active: Some(true), ..Link::default() };
        tenant.update(back, &["active"]).await;
        assert_eq!(status(app, "/second").await, 302);

        let remove = |alias: &str| RemoveAliasRequest {
            link_id: made.id.clone(),
            alias: alias.to_owned(),
            ..RemoveAliasRequest::default()
        };
        let removed =
            tenant.links.clone().remove_alias(remove("second")).await.expect("removes").into_inner();
        assert_eq!(removed.link.expect("always there").aliases, with.aliases[1..]);
        assert_eq!(status(app, "/second").await, 404);
        for none in ["second", "first"] {
            let refused = tenant.links.clone().remove_alias(remove(none)).await.expect_err("is none");
            assert_eq!(refused.code(), Code::NotFound);
        }
        let other = tenant.create(coded("second")).await;
        let copy = DuplicateLinkRequest { link_id: made.id.clone(), ..DuplicateLinkRequest::default() };
        let copy = tenant.links.clone().duplicate_link(copy).await.expect("copies").into_inner().link;
        assert!(copy.expect("always there").aliases.is_empty());

        // They go with their link.
        let alias = tenant.alias(&other.id, "third").await.expect("adds").aliases.remove(0);
        assert_eq!(status(app, "/third").await, 302);
        tenant.delete(&other.id).await;
        assert_eq!((alias.as_str(), status(app, "/third").await), ("third", 404));
        tenant.create(coded("third")).await;
    })
    .await;
}

#[tokio::test]
async fn an_alias_takes_after_the_limit_of_its_link() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(Link { max_clicks: 3, ..coded("limited") }).await;
        tenant.alias(&made.id, "other").await.expect("adds");
        let mut passed = 0;
        for _ in 0..3 {
            for path in ["/limited", "/other"] {
                passed += usize::from(status(app, path).await == 302);
            }
        }
        assert_eq!(passed, 3);
    })
    .await;
}

#[tokio::test]
async fn of_a_hundred_who_want_one_alias_one_gets_it() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let links = join_all((0..10).map(|_| tenant.create(a_link()))).await;
        // Half of them as an alias, half as the code of a new link.
        let aliases = join_all((0..50).map(|number| tenant.alias(&links[number % 10].id, "wanted")));
        let codes = join_all((0..50).map(|_| tenant.try_create(coded("wanted"))));
        let (aliases, codes) = futures::join!(aliases, codes);
        let all: Vec<Result<Link, Status>> = aliases.into_iter().chain(codes).collect();
        let winners = all.iter().filter(|one| one.is_ok()).count();
        assert_eq!(winners, 1);
        for refused in all.into_iter().filter_map(Result::err) {
            assert_eq!(reason(&refused), "SHORT_CODE_TAKEN", "{refused:?}");
        }
        assert_eq!(status(app, "/wanted").await, 302);
    })
    .await;
}

#[tokio::test]
async fn a_link_has_fifty_aliases_at_most() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(a_link()).await;
        for number in 0..50 {
            tenant.alias(&made.id, &format!("alias{number}")).await.expect("adds");
        }
        let refused = tenant.alias(&made.id, "").await.expect_err("one too many");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "TOO_MANY_ALIASES"));
    })
    .await;
}

async fn try_reuse(tenant: &Tenant, link: Link) -> Result<CreateLinkResponse, Status> {
    let request =
        CreateLinkRequest { link: Some(link), reuse_existing: true, ..CreateLinkRequest::default() };
    Ok(tenant.links.clone().create_link(request).await?.into_inner())
}

async fn reuse(tenant: &Tenant, link: Link) -> (String, bool) {
    let made = try_reuse(tenant, link).await.expect("creates or finds");
    (made.link.expect("always there").id, made.reused)
}

#[tokio::test]
async fn an_external_id_names_one_link_of_a_workspace() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let order = |code: &str| Link { external_id: "order-7".into(), ..coded(code) };
        let (first, reused) = reuse(&tenant, order("")).await;
        assert!(!reused);
        assert_eq!(reuse(&tenant, Link { title: "other".into(), ..order("") }).await, (first.clone(), true));
        let refused = tenant.try_create(order("")).await.expect_err("there is one");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::AlreadyExists, "ALREADY_EXISTS"));
        let theirs = app.another_tenant().await;
        assert!(!reuse(&theirs, order("")).await.1, "another workspace knows nothing of it");
        let by = LinkFilter { external_id: "order-7".into(), ..LinkFilter::default() };
        assert_eq!(listed(&tenant, by).await.len(), 1);
        let nothing = try_reuse(&tenant, a_link()).await.expect_err("what is it to be found by?");
        assert_eq!(wrong(&nothing), ["reuse_existing"]);

        // Of many at once one is created, and all return it.
        let wanted = || Link { external_id: "order-8".into(), ..coded("") };
        let made = join_all((0..20).map(|_| reuse(&tenant, wanted()))).await;
        assert_eq!(made.iter().filter(|(_, reused)| !reused).count(), 1);
        assert_eq!(made.iter().map(|(id, _)| id).collect::<HashSet<_>>().len(), 1);

        // In a batch the first gets it; a change does not take it from anybody.
        let items = vec![
            Link { external_id: "order-9".into(), ..coded("nine") },
            Link { external_id: "order-9".into(), ..coded("again") },
            order("seven"),
            coded("nine"),
        ];
        let request = BatchCreateLinksRequest { links: items, ..BatchCreateLinksRequest::default() };
        for validate_only in [true, false] {
            let request = BatchCreateLinksRequest { validate_only, ..request.clone() };
            let batch = tenant.links.clone().batch_create_links(request).await.expect("answers").into_inner();
            assert_eq!((batch.succeeded, batch.failed), (1, 3), "{batch:?}");
        }
        let other = tenant.create(a_link()).await;
        let change = || Link { id: other.id.clone(), external_id: "order-7".into(), ..Link::default() };
        let update = UpdateLinkRequest { link: Some(change()), ..UpdateLinkRequest::default() };
        let refused = tenant.links.clone().update_link(update).await.expect_err("taken");
        assert_eq!(reason(&refused), "ALREADY_EXISTS");
        let third = tenant.create(a_link()).await;
        let free = || Link { id: third.id.clone(), external_id: "order-10".into(), ..Link::default() };
        let updates =
            [change(), free()].map(|link| LinkUpdate { link: Some(link), update_mask: None }).into();
        let request = BatchUpdateLinksRequest { updates, ..BatchUpdateLinksRequest::default() };
        let batch = tenant.links.clone().batch_update_links(request).await.expect("answers").into_inner();
        assert_eq!((batch.succeeded, batch.failed), (1, 1), "{batch:?}");
        let found = (tenant.get(&other.id).await, tenant.get(&third.id).await);
        assert_eq!(found.0.expect("it is there").external_id, "");
        assert_eq!(found.1.expect("it is there").external_id, "order-10");
        let again = UpdateLinkRequest { link: Some(free()), ..UpdateLinkRequest::default() };
        tenant.links.clone().update_link(again).await.expect("one's own is free");
    })
    .await;
}

#[tokio::test]
async fn a_link_of_the_same_user_with_the_same_content_is_reused() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let share = |user: &str, product: &str| Link {
            external_user_id: user.into(),
            deep_link_parameters: [("product".to_owned(), product.to_owned())].into(),
            ..a_link()
        };
        let (first, reused) = reuse(&tenant, share("anna", "1")).await;
        assert!(!reused);
        assert_eq!(reuse(&tenant, share("anna", "1")).await, (first.clone(), true));
        assert_ne!(reuse(&tenant, share("anna", "2")).await.0, first);
        assert_ne!(reuse(&tenant, share("berta", "1")).await.0, first);
        let plain = tenant.create(share("anna", "1")).await;
        assert_ne!(plain.id, first, "who does not ask to reuse gets a new one");
        let made = join_all((0..20).map(|_| reuse(&tenant, share("clara", "1")))).await;
        assert_eq!(made.iter().map(|(id, _)| id).collect::<HashSet<_>>().len(), 1);
        let by = LinkFilter { external_user_id: "anna".into(), ..LinkFilter::default() };
        assert_eq!(listed(&tenant, by).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn archived_links_redirect_and_are_out_of_sight() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let made = tenant.create(Link { source: "dashboard".into(), ..coded("old") }).await;
        tenant.create(coded("new")).await;
        let archive = |archived| Link { id: made.id.clone(), archived, ..Link::default() };
        assert!(tenant.update(archive(true), &["archived"]).await.archived);
        let show =
            |archived: ArchivedLinks| LinkFilter { archived: archived.into(), ..LinkFilter::default() };
        for (shown, expected) in [
            (ArchivedLinks::Unspecified, &["new"][..]),
            (ArchivedLinks::Hidden, &["new"]),
            (ArchivedLinks::Only, &["old"]),
            (ArchivedLinks::Included, &["new", "old"]),
        ] {
            assert_eq!(listed(&tenant, show(shown)).await, expected, "{shown:?}");
        }
        assert_eq!(status(app, "/old").await, 302);
        assert!(!tenant.update(archive(false), &["archived"]).await.archived);
        let by = LinkFilter { source: "dashboard".into(), ..LinkFilter::default() };
        assert_eq!(listed(&tenant, by).await, ["old"]);
    })
    .await;
}

#[tokio::test]
async fn windows_are_bounded_and_kept() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let windows =
            |one, other| Link { attribution_window: one, event_attribution_window: other, ..a_link() };
        let made = tenant.create(windows(hours(24), hours(2160))).await;
        assert_eq!((made.attribution_window, made.event_attribution_window), (hours(24), hours(2160)));
        let odd = Some(Duration { seconds: 7200, nanos: 1 });
        for (one, other, fields) in [
            (hours(0), None, &["link.attribution_window"][..]),
            (hours(2161), hours(2161), &["link.attribution_window", "link.event_attribution_window"]),
            (odd, None, &["link.attribution_window"]),
            (hours(-1), None, &["link.attribution_window"]),
        ] {
            assert_eq!(wrong(&tenant.try_create(windows(one, other)).await.expect_err("no window")), fields);
        }
        let none = tenant.create(a_link()).await;
        assert_eq!((none.attribution_window, none.event_attribution_window), (None, None));
    })
    .await;
}

#[tokio::test]
async fn a_redirect_is_answered_as_its_link_says() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let now = app.env().now().timestamp();
        let plain = tenant.create(coded("plain")).await;
        assert_eq!((plain.redirect_status(), plain.cache_duration), (RedirectStatus::Inherit, None));
        let kept = |code: &str| Link {
            redirect_status: RedirectStatus::MovedPermanently.into(),
            cache_duration: hours(1),
            ..coded(code)
        };
        tenant.create(kept("kept")).await;
        let soon = Some(prost_types::Timestamp { seconds: now + 60, nanos: 0 });
        tenant.create(Link { expire_time: soon, ..kept("soon") }).await;
        tenant.create(Link { max_clicks: 5, ..kept("limited") }).await;
        let permanent = RedirectStatus::PermanentRedirect.into();
        tenant.create(Link { redirect_status: permanent, ..coded("permanent") }).await;
        for (path, status, control) in [
            ("/plain", 302, "private, no-store"),
            ("/kept", 301, "private, max-age=3600"),
            ("/soon", 301, "private, max-age=60"),
            ("/limited", 301, "private, no-store"),
            ("/permanent", 308, "private, no-store"),
        ] {
            // From the database, and warm.
            for _ in 0..2 {
                let answer = get(app.links(), path, &[("user-agent", DESKTOP)]).await;
                assert_eq!(answer.status, status, "{path}");
                assert_eq!(answer.header("cache-control"), control, "{path}");
                assert_eq!(answer.header("location"), "https://example.com/page");
            }
        }
        let long = Link { cache_duration: hours(25), redirect_status: 9, ..a_link() };
        let fields = ["link.cache_duration", "link.redirect_status"];
        assert_eq!(wrong(&tenant.try_create(long).await.expect_err("too long")), fields);
    })
    .await;
}

#[tokio::test]
async fn codes_that_nobody_finds_are_long() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let mut seen = HashSet::new();
        for _ in 0..20 {
            let request = CreateLinkRequest {
                link: Some(a_link()),
                code_style: CodeStyle::Unguessable.into(),
                ..CreateLinkRequest::default()
            };
            let made = tenant.links.clone().create_link(request).await.expect("creates").into_inner();
            let code = made.link.expect("always there").short_code;
            assert_eq!(code.len(), 22, "{code}");
            assert_eq!(status(app, &format!("/{code}")).await, 302);
            assert!(seen.insert(code));
        }
    })
    .await;
}

async fn revisions(tenant: &Tenant, id: &str, page_size: i32) -> Vec<LinkRevision> {
    let mut all = Vec::new();
    let mut request =
        ListLinkRevisionsRequest { link_id: id.to_owned(), page_size, ..ListLinkRevisionsRequest::default() };
    loop {
        let page =
            tenant.links.clone().list_link_revisions(request.clone()).await.expect("a page").into_inner();
        all.extend(page.revisions);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn a_link_remembers_what_it_was_and_can_go_back() {
    on_every_store(async |app| {
        let (owner, workspace) = settled_owner(app).await;
        let tenant = app.tenant_of(&workspace).await;
        let person = app.with_key(&workspace, owner).await;
        let utm = Some(Utm { source: "mail".into(), ..Utm::default() });
        let made = tenant
            .create(Link { title: "one".into(), utm, password: "secret".into(), ..coded("changing") })
            .await;
        assert!(revisions(&tenant, &made.id, 0).await.is_empty(), "nobody changed it");

        let change = |title: &str, destination: &str| Link {
            id: made.id.clone(),
            title: title.into(),
            destination_url: format!("https://example.com/{destination}"),
            ..Link::default()
        };
        tenant.update(change("two", "page"), &["title", "destination_url"]).await;
        let request = UpdateLinkRequest {
            workspace_id: workspace.clone(),
            link: Some(change("two", "three")),
            update_mask: Some(FieldMask { paths: vec!["title".into(), "destination_url".into()] }),
            ..UpdateLinkRequest::default()
        };
        person.links.clone().update_link(request).await.expect("changes");
        // What changes nothing is no revision.
        tenant.update(change("two", "three"), &["title"]).await;
        let password = Link { id: made.id.clone(), password: "other".into(), ..Link::default() };
        tenant.update(password, &["password"]).await;

        let all = revisions(&tenant, &made.id, 2).await;
        let told: Vec<_> = all
            .iter()
            .map(|one| {
                (one.revision, one.link.as_ref().expect("always there").title.as_str(), &*one.changed_fields)
            })
            .collect();
        let texts = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            told,
            [
                (4, "two", &*texts(&["password"])),
                (3, "two", &*texts(&["destination_url"])),
                (2, "two", &*texts(&["title"])),
                (1, "one", &*texts(&[])),
            ]
        );
        assert!(matches!(all[1].actor, Some(Actor::UserId(_))), "{:?}", all[1].actor);
        assert!(matches!(all[2].actor, Some(Actor::ApiKeyId(_))), "{:?}", all[2].actor);
        assert_eq!(all[3].actor, None);
        assert!(all.iter().all(|one| one.link.as_ref().is_some_and(|link| link.password.is_empty())));

        let restore = |revision: i64, etag: &str| RestoreLinkRevisionRequest {
            link_id: made.id.clone(),
            revision,
            etag: etag.to_owned(),
            request_id: request_id(),
            ..RestoreLinkRevisionRequest::default()
        };
        let refused = tenant.links.clone().restore_link_revision(restore(1, &made.etag)).await;
        assert_eq!(reason(&refused.expect_err("is stale")), "ETAG_MISMATCH");
        let refused = tenant.links.clone().restore_link_revision(restore(9, "")).await;
        assert_eq!(refused.expect_err("never was").code(), Code::NotFound);
        let once = restore(1, "");
        for _ in 0..2 {
            let back = tenant.links.clone().restore_link_revision(once.clone()).await.expect("goes back");
            let back = back.into_inner().link.expect("always there");
            assert_eq!((&*back.title, &*back.destination_url), ("one", "https://example.com/page"));
            assert_eq!((back.utm.is_some(), back.has_password), (true, true), "the password stays");
        }
        let all = revisions(&tenant, &made.id, 0).await;
        assert_eq!((all.len(), all[0].revision), (5, 5));
        assert_eq!(all[0].changed_fields, ["destination_url", "title"]);

        // The newest 50 are kept.
        for number in 0..60 {
            tenant.update(change(&number.to_string(), "page"), &["title"]).await;
        }
        let all = revisions(&tenant, &made.id, 0).await;
        assert_eq!((all.len(), all[0].revision, all[49].revision), (50, 65, 16));

        // They go with the link, and nobody else sees them.
        let theirs = app.another_tenant().await;
        let request = ListLinkRevisionsRequest { link_id: made.id.clone(), ..Default::default() };
        let refused = theirs.links.clone().list_link_revisions(request).await.expect_err("is not theirs");
        assert_eq!(refused.code(), Code::NotFound);
        tenant.delete(&made.id).await;
    })
    .await;
}

#[tokio::test]
async fn an_alias_is_heard_of_on_every_node() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let here = App::start(Store::Production).await;
    let tenant = here.tenant().await;
    let there = here.start_beside(&[]).await;
    crate::redirect::in_touch(&here, &there, &tenant).await;
    let made = tenant.create(coded("spread")).await;
    for node in [&here, &there] {
        assert_eq!(status(node, "/further").await, 404, "unknown, and remembered as such");
    }
    tenant.alias(&made.id, "further").await.expect("adds");
    let promised = std::time::Duration::from_secs(1);
    for node in [&here, &there] {
        crate::support::within(promised, "it is known", async || status(node, "/further").await == 302).await;
    }
    let gone = Link { id: made.id, active: Some(false), ..Link::default() };
    tenant.update(gone, &["active"]).await;
    for node in [&here, &there] {
        crate::support::within(promised, "it is off", async || status(node, "/further").await == 404).await;
    }
    there.stop().await;
    here.stop().await;
}

#[tokio::test]
async fn visitors_report_links_and_members_read_it() {
    for store in stores() {
        let app =
            App::start_with(store, &[("RATE_LIMIT_ENABLED", "true"), ("RATE_LIMIT_UNLOCK_MAX", "3")]).await;
        let tenant = app.tenant().await;
        let warned = Some(prost_types::Timestamp { seconds: app.env().now().timestamp(), nanos: 0 });
        let made = tenant.create(Link { warn_time: warned, ..coded("bad") }).await;
        tenant.alias(&made.id, "worse").await.expect("adds");
        let page = get(app.links(), "/bad", &[("user-agent", DESKTOP)]).await;
        assert!(page.text().contains("https://go.example.test/report/bad"), "{}", page.text());
        let form = app.visit("/report/bad").await;
        assert_eq!((form.status.as_u16(), form.header("cache-control")), (200, "private, no-store"));
        assert!(form.text().contains("<select"), "{}", form.text());
        assert_eq!(app.visit("/report/unknown").await.status, 404);

        let send = async |path: &str, text: &str| {
            let headers = [("content-type", "application/x-www-form-urlencoded")];
            let body = bytes::Bytes::copy_from_slice(text.as_bytes());
            crate::support::send(app.links(), http::Method::POST, path, &headers, body).await.status.as_u16()
        };
        assert_eq!(send("/report/bad", "kind=nonsense").await, 400);
        assert_eq!(send("/report/unknown", "kind=spam").await, 404);
        assert_eq!(send("/report/bad", "kind=phishing&details=%3Cb%3E+it+is&contact=me").await, 200);
        assert_eq!(send("/report/worse", "kind=spam").await, 200);
        assert_eq!(send("/report/bad", "kind=spam").await, 200);
        assert_eq!(send("/report/bad", "kind=spam").await, 429, "{store}");

        let list = async |tenant: &Tenant, link_id: &str| {
            let request = ListLinkReportsRequest { link_id: link_id.to_owned(), ..Default::default() };
            Ok::<_, Status>(tenant.links.clone().list_link_reports(request).await?.into_inner().reports)
        };
        let reports = list(&tenant, "").await.expect("a page");
        assert_eq!(reports.len(), 3);
        assert!(reports.iter().all(|report| report.link_id == made.id));
        assert!(reports.iter().any(|report| report.details == "<b> it is" && report.contact == "me"));
        assert!(reports.iter().any(|report| report.short_code == "worse"));
        assert_eq!(list(&tenant, &made.id).await.expect("a page").len(), 3);
        let theirs = app.another_tenant().await;
        assert!(list(&theirs, "").await.expect("a page").is_empty());
        assert_eq!(list(&theirs, &made.id).await.expect_err("is not theirs").code(), Code::NotFound);
        // A link that is reported goes on as before.
        assert_eq!(
            tenant.get(&made.id).await.expect("it is there").etag,
            tenant.get(&made.id).await.expect("it is there").etag
        );
        tenant.delete(&made.id).await;
        assert!(list(&tenant, "").await.expect("a page").is_empty());
        app.stop().await;
    }
}
