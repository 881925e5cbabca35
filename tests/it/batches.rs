//! Batches of links: items fail alone, and a repeat says the same.

use linkforty::pb::v1::{
    BatchCreateLinksRequest, BatchDeleteLinksRequest, BatchLinkResult, BatchUpdateLinksRequest,
    GetLinkRequest, ItemError, Link, LinkUpdate, ListLinksRequest, batch_link_result::Result as Outcome,
};
use prost_types::FieldMask;
use tonic::Code;

use crate::{
    redirect::in_touch,
    support::{
        App, Store, Tenant, a_link, coded, eventually, get_many, on_every_store, reason, request_id, stores,
        wrong,
    },
};

/// Says of each result what became of it: a code, or a reason.
fn told(results: &[BatchLinkResult]) -> Vec<String> {
    let told = results.iter().map(|result| match result.result.as_ref().expect("one of the two") {
        Outcome::Link(link) => link.short_code.clone(),
        Outcome::Error(error) => error.reason().as_str_name().trim_start_matches("ERROR_REASON_").to_owned(),
    });
    told.collect()
}

fn link(result: &BatchLinkResult) -> &Link {
    match result.result.as_ref() {
        Some(Outcome::Link(link)) => link,
        other => panic!("not a link: {other:?}"),
    }
}

fn error(result: &BatchLinkResult) -> &ItemError {
    match result.result.as_ref() {
        Some(Outcome::Error(error)) => error,
        other => panic!("not an error: {other:?}"),
    }
}

async fn count(tenant: &mut Tenant) -> usize {
    let request = ListLinksRequest { page_size: 1000, ..ListLinksRequest::default() };
    tenant.links.list_links(request).await.expect("a page").into_inner().links.len()
}

fn titled(id: &str, title: &str) -> LinkUpdate {
    LinkUpdate {
        link: Some(Link { id: id.into(), title: title.into(), ..Link::default() }),
        update_mask: Some(FieldMask { paths: vec!["title".into()] }),
    }
}

#[tokio::test]
async fn new_links_fail_one_by_one() {
    on_every_store(async |app| {
        let (mut tenant, other) = (app.tenant().await, app.another_tenant().await);
        other.create(coded("taken")).await;
        let lead = async |codes: &[&str]| {
            let paths = codes.iter().map(|code| format!("/{code}"));
            get_many(app.links(), paths).await
        };
        assert_eq!(lead(&["zebra", "taken", "twice", "apple"]).await, [404, 302, 404, 404]);
        let links = vec![
            coded("zebra"),
            Link { destination_url: "ftp://example.com/".into(), title: "\0".into(), ..coded("health") },
            coded("taken"),
            Link { title: "first".into(), ..coded("twice") },
            Link { title: "second".into(), ..coded("twice") },
            coded("apple"),
            a_link(),
        ];
        let request = BatchCreateLinksRequest { links, ..BatchCreateLinksRequest::default() };

        let check = BatchCreateLinksRequest { validate_only: true, ..request.clone() };
        let checked = tenant.links.batch_create_links(check).await.expect("a check").into_inner();
        let expected =
            ["zebra", "INVALID_FIELDS", "SHORT_CODE_TAKEN", "twice", "SHORT_CODE_TAKEN", "apple", ""];
        assert_eq!(told(&checked.results), expected);
        assert_eq!((checked.succeeded, checked.failed), (4, 3));
        assert_eq!(link(&checked.results[0]).id, "");
        assert_eq!(count(&mut tenant).await, 0);
        assert_eq!(lead(&["zebra", "twice", "apple"]).await, [404; 3]);

        let request = BatchCreateLinksRequest { request_id: request_id(), ..request };
        let made = tenant.links.batch_create_links(request.clone()).await.expect("made").into_inner();
        assert_eq!(told(&made.results)[..6], expected[..6]);
        assert_eq!(link(&made.results[6]).short_code.len(), 8);
        assert_eq!(link(&made.results[3]).title, "first");
        assert_eq!((made.succeeded, made.failed), (4, 3));
        assert_eq!(count(&mut tenant).await, 4);
        assert_eq!(lead(&["zebra", "taken", "apple"]).await, [302; 3]);
        let bad = error(&made.results[1]);
        let fields: Vec<_> = bad.violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(
            (bad.code, fields),
            (Code::InvalidArgument as i32, vec!["short_code", "destination_url", "title"])
        );
        assert_eq!(error(&made.results[2]).code, Code::AlreadyExists as i32);

        // A repeat: the same results, links as they are now, also when they are gone.
        let changes = BatchUpdateLinksRequest {
            updates: vec![titled(&link(&made.results[0]).id, "now")],
            ..BatchUpdateLinksRequest::default()
        };
        tenant.links.batch_update_links(changes).await.expect("changed");
        let gone = BatchDeleteLinksRequest {
            link_ids: vec![link(&made.results[5]).id.clone()],
            ..BatchDeleteLinksRequest::default()
        };
        tenant.links.batch_delete_links(gone).await.expect("deleted");
        assert_eq!(lead(&["zebra", "apple"]).await, [302, 404]);
        let again = tenant.links.batch_create_links(request).await.expect("repeated").into_inner();
        assert_eq!(link(&again.results[0]).title, "now");
        assert_eq!(again.results[1..5], made.results[1..5]);
        assert_eq!(told(&again.results)[5], "NOT_FOUND");
        assert_eq!(again.results[6], made.results[6]);
        // Not earlier: visits are counted, and the repeat shows links as they are.
        assert_eq!(lead(&["twice", &link(&made.results[6]).short_code]).await, [302; 2]);
        assert_eq!(count(&mut tenant).await, 3);
    })
    .await;
}

/// More than one message to the nodes can name.
const MANY: usize = 600;

/// Says whether every one of the links answers so.
async fn all_answer(node: &App, status: u16) -> bool {
    let paths = (0..MANY).map(|number| format!("/many{number}"));
    get_many(node.links(), paths).await.iter().all(|answer| *answer == status)
}

/// Every one of many links, known or known to be unknown, leads by its new state: here at once, elsewhere soon.
async fn follow(here: &App, there: Option<&App>, tenant: &mut Tenant) {
    let expect = async |status| {
        assert!(all_answer(here, status).await, "{status} here");
        if let Some(there) = there {
            eventually("the other node follows", async || all_answer(there, status).await).await;
        }
    };
    expect(404).await;
    let links = (0..MANY).map(|number| coded(format!("many{number}"))).collect();
    let request = BatchCreateLinksRequest { links, ..BatchCreateLinksRequest::default() };
    let made = tenant.links.batch_create_links(request).await.expect("made").into_inner();
    expect(302).await;
    let ids: Vec<String> = made.results.iter().map(|result| link(result).id.clone()).collect();
    for (active, status) in [(false, 404), (true, 302)] {
        let updates = ids.iter().map(|id| LinkUpdate {
            link: Some(Link { id: id.clone(), active: Some(active), ..Link::default() }),
            update_mask: None,
        });
        let request =
            BatchUpdateLinksRequest { updates: updates.collect(), ..BatchUpdateLinksRequest::default() };
        tenant.links.batch_update_links(request).await.expect("changed");
        expect(status).await;
    }
    let request = BatchDeleteLinksRequest { link_ids: ids, ..BatchDeleteLinksRequest::default() };
    tenant.links.batch_delete_links(request).await.expect("deleted");
    expect(404).await;
}

#[tokio::test]
async fn a_batch_counts_for_each_of_its_links() {
    on_every_store(async |app| follow(app, None, &mut app.tenant().await).await).await;
}

#[tokio::test]
async fn a_batch_reaches_the_other_nodes() {
    if !stores().contains(&Store::Production) {
        return;
    }
    let here = App::start(Store::Production).await;
    let mut tenant = here.tenant().await;
    // By Redis, and by Postgres alone.
    for settings in [&[][..], &[("REDIS_URL", "")]] {
        let there = here.start_beside(settings).await;
        in_touch(&here, &there, &tenant).await;
        follow(&here, Some(&there), &mut tenant).await;
        there.stop().await;
    }
    here.stop().await;
}

/// A link of which 120 are more than an answer can carry, and 30 less than a request.
fn large() -> Link {
    let url = format!("https://example.com/{}", "x".repeat(2028));
    Link {
        destination_url: url.clone(),
        ios_url: url.clone(),
        android_url: url.clone(),
        web_url: url,
        title: "\u{10348}".repeat(255),
        description: "\u{10348}".repeat(2000),
        tags: (0..50).map(|number| format!("{number:02}{}", "\u{10348}".repeat(48))).collect(),
        ..Link::default()
    }
}

#[tokio::test]
async fn a_batch_whose_answer_would_be_too_large_does_nothing() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let request = BatchCreateLinksRequest {
            links: vec![a_link(); 120],
            request_id: request_id(),
            ..BatchCreateLinksRequest::default()
        };
        let made = tenant.links.batch_create_links(request.clone()).await.expect("made").into_inner();
        let ids: Vec<String> = made.results.iter().map(|result| link(result).id.clone()).collect();
        for ids in ids.chunks(30) {
            let updates = ids
                .iter()
                .map(|id| LinkUpdate { link: Some(Link { id: id.clone(), ..large() }), update_mask: None });
            let request =
                BatchUpdateLinksRequest { updates: updates.collect(), ..BatchUpdateLinksRequest::default() };
            let grown = tenant.links.batch_update_links(request).await.expect("grown").into_inner();
            assert_eq!(grown.succeeded, 30);
        }

        // What was done cannot be refused: a repeat says which links they are.
        let again = tenant.links.batch_create_links(request).await.expect("repeated").into_inner();
        let shown: Vec<Link> = again.results.iter().map(|result| link(result).clone()).collect();
        let only = |id: &String| Link { id: id.clone(), ..Link::default() };
        assert_eq!((again.succeeded, shown), (120, ids.iter().map(only).collect::<Vec<_>>()));

        for validate_only in [true, false] {
            let updates = ids.iter().map(|id| titled(id, "short")).collect();
            let update = BatchUpdateLinksRequest { updates, validate_only, ..Default::default() };
            let refused = tenant.links.batch_update_links(update.clone()).await.expect_err("too large");
            assert_eq!(
                (reason(&refused).as_str(), wrong(&refused)),
                ("INVALID_FIELDS", vec!["updates".into()])
            );
            let delete =
                BatchDeleteLinksRequest { link_ids: ids.clone(), validate_only, ..Default::default() };
            let refused = tenant.links.batch_delete_links(delete.clone()).await.expect_err("too large");
            assert_eq!(wrong(&refused), ["link_ids"]);
        }
        assert_eq!(tenant.get(&ids[0]).await.expect("still there").title, large().title);

        // The contract promises that a hundred fit.
        let updates = ids[..100].iter().map(|id| titled(id, &large().title[4..])).collect();
        let update = BatchUpdateLinksRequest { updates, ..Default::default() };
        let changed = tenant.links.batch_update_links(update).await.expect("fits").into_inner();
        assert_eq!(changed.succeeded, 100);
        let delete = BatchDeleteLinksRequest { link_ids: ids[..100].to_vec(), ..Default::default() };
        assert_eq!(tenant.links.batch_delete_links(delete).await.expect("fits").into_inner().succeeded, 100);

        // New links are refused by what is wrong with them: 300,000 tags that are none.
        let links = vec![Link { tags: vec![String::new(); 3000], ..a_link() }; 100];
        let request = BatchCreateLinksRequest { links, ..BatchCreateLinksRequest::default() };
        let refused = tenant.links.batch_create_links(request).await.expect_err("too large");
        assert_eq!(wrong(&refused), ["links"]);
    })
    .await;
}

#[tokio::test]
async fn a_thousand_links_are_one_batch() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let links = vec![a_link(); 1000];
        let request =
            BatchCreateLinksRequest { links: links.clone(), request_id: request_id(), ..Default::default() };
        let made = tenant.links.batch_create_links(request.clone()).await.expect("made").into_inner();
        assert_eq!((made.succeeded, made.failed), (1000, 0));
        let again = tenant.links.batch_create_links(request).await.expect("repeated").into_inner();
        assert_eq!(again, made);
        let ids: Vec<String> = made.results.iter().map(|result| link(result).id.clone()).collect();
        let updates = ids.iter().enumerate().map(|(place, id)| titled(id, &place.to_string())).collect();
        let request = BatchUpdateLinksRequest { updates, ..BatchUpdateLinksRequest::default() };
        let changed = tenant.links.batch_update_links(request).await.expect("changed").into_inner();
        assert_eq!((changed.succeeded, changed.failed), (1000, 0));
        let page = ListLinksRequest { page_size: 5000, order: 2, ..ListLinksRequest::default() };
        let page = tenant.links.list_links(page).await.expect("a page").into_inner();
        for (place, result) in changed.results.iter().enumerate() {
            assert_eq!(
                (link(result).title.as_str(), link(result)),
                (place.to_string().as_str(), &page.links[place])
            );
        }
        let request = BatchDeleteLinksRequest { link_ids: ids, ..BatchDeleteLinksRequest::default() };
        let gone = tenant.links.batch_delete_links(request).await.expect("deleted").into_inner();
        assert_eq!((gone.succeeded, gone.failed), (1000, 0));
        assert_eq!(count(&mut tenant).await, 0);

        for links in [vec![], vec![a_link(); 1001]] {
            let request = BatchCreateLinksRequest { links, request_id: "x".into(), ..Default::default() };
            let refused = tenant.links.batch_create_links(request).await.expect_err("too few or many");
            assert_eq!(wrong(&refused), ["links", "request_id"]);
        }
    })
    .await;
}

#[tokio::test]
async fn changes_fail_one_by_one() {
    on_every_store(async |app| {
        let (mut tenant, other) = (app.tenant().await, app.another_tenant().await);
        let theirs = other.create(a_link()).await;
        let mut made = Vec::new();
        for code in ["one", "two", "three", "four"] {
            made.push(tenant.create(coded(code)).await);
        }
        let mut stale = titled(&made[1].id, "stale");
        stale.link = stale.link.map(|link| Link { etag: theirs.etag.clone(), ..link });
        let mut fresh = titled(&made[2].id, "fresh");
        fresh.link = fresh.link.map(|link| Link { etag: made[2].etag.clone(), ..link });
        let updates = vec![
            titled(&made[0].id, "good"),
            stale,
            fresh,
            titled(&theirs.id, "theirs"),
            titled(&request_id(), "unknown"),
            titled("x", "\0"),
            LinkUpdate::default(),
            LinkUpdate {
                update_mask: Some(FieldMask { paths: vec!["short_code".into()] }),
                ..titled(&made[3].id, "code")
            },
        ];
        let request = BatchUpdateLinksRequest { updates, request_id: request_id(), ..Default::default() };
        app.clock.advance(chrono::Duration::seconds(1));
        let expected = [
            "one",
            "ETAG_MISMATCH",
            "three",
            "NOT_FOUND",
            "NOT_FOUND",
            "INVALID_FIELDS",
            "INVALID_FIELDS",
            "INVALID_FIELDS",
        ];
        let check =
            BatchUpdateLinksRequest { validate_only: true, request_id: String::new(), ..request.clone() };
        let checked = tenant.links.batch_update_links(check).await.expect("a check").into_inner();
        assert_eq!(told(&checked.results), expected);
        assert_eq!(link(&checked.results[0]).title, "good");
        let get = GetLinkRequest { link_id: made[0].id.clone(), ..GetLinkRequest::default() };
        let stored = tenant.links.get_link(get).await.expect("the link").into_inner().link;
        assert_eq!(stored.as_ref(), Some(&made[0]));

        let changed = tenant.links.batch_update_links(request.clone()).await.expect("changed").into_inner();
        assert_eq!(told(&changed.results), expected);
        assert_eq!((changed.succeeded, changed.failed), (2, 6));
        assert_eq!(error(&changed.results[3]), error(&changed.results[4]));
        let fields = |place: usize| -> Vec<_> {
            error(&changed.results[place]).violations.iter().map(|wrong| wrong.field.as_str()).collect()
        };
        assert_eq!(
            (fields(5), fields(6), fields(7)),
            (vec!["link.id", "link.title"], vec!["link"], vec!["update_mask"])
        );
        let again = tenant.links.batch_update_links(request).await.expect("repeated").into_inner();
        assert_eq!(again, changed);

        let updates = vec![titled(&made[0].id, "a"), titled(&made[1].id, "b"), titled(&made[0].id, "c")];
        let request = BatchUpdateLinksRequest { updates, ..BatchUpdateLinksRequest::default() };
        let refused = tenant.links.batch_update_links(request).await.expect_err("one link twice");
        assert_eq!(
            (reason(&refused).as_str(), wrong(&refused)),
            ("INVALID_FIELDS", vec!["updates[2].link.id".into()])
        );
    })
    .await;
}

#[tokio::test]
async fn deletes_fail_one_by_one() {
    on_every_store(async |app| {
        let (mut tenant, mut other) = (app.tenant().await, app.another_tenant().await);
        let theirs = other.create(a_link()).await;
        let made = tenant.create(coded("one")).await;
        let kept = tenant.create(coded("two")).await;
        let request = BatchDeleteLinksRequest {
            link_ids: vec![theirs.id.clone(), made.id.clone(), "x".into(), request_id()],
            ..BatchDeleteLinksRequest::default()
        };
        let expected = ["NOT_FOUND", "one", "INVALID_FIELDS", "NOT_FOUND"];
        let check = BatchDeleteLinksRequest { validate_only: true, ..request.clone() };
        let checked = tenant.links.batch_delete_links(check).await.expect("a check").into_inner();
        assert_eq!(told(&checked.results), expected);
        assert_eq!(count(&mut tenant).await, 2);
        let once = BatchDeleteLinksRequest { request_id: request_id(), ..request.clone() };
        let gone = tenant.links.batch_delete_links(once.clone()).await.expect("deleted").into_inner();
        assert_eq!(told(&gone.results), expected);
        assert_eq!(link(&gone.results[1]), &made);
        assert_eq!(error(&gone.results[0]), error(&gone.results[3]));
        let again = tenant.links.batch_delete_links(once).await.expect("repeated").into_inner();
        assert_eq!((again.succeeded, again.failed), (1, 3));
        assert_eq!(link(&again.results[1]).id, made.id);
        assert_eq!(again.results[2..], gone.results[2..]);
        let without = tenant.links.batch_delete_links(request).await.expect("answered").into_inner();
        assert_eq!(told(&without.results)[1], "NOT_FOUND");
        assert_eq!((count(&mut tenant).await, count(&mut other).await), (1, 1));
        let twice = BatchDeleteLinksRequest {
            link_ids: vec![kept.id.clone(), kept.id.to_uppercase()],
            ..BatchDeleteLinksRequest::default()
        };
        let refused = tenant.links.batch_delete_links(twice).await.expect_err("one link twice");
        assert_eq!(wrong(&refused), ["link_ids[1]"]);
    })
    .await;
}

#[tokio::test]
async fn batches_that_want_the_same_links_wait_for_each_other_and_all_end() {
    on_every_store(async |app| {
        let mut tenant = app.tenant().await;
        let links: Vec<Link> = (0..50).map(|number| coded(format!("code{number}"))).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..8 {
            let mut tenant = tenant.clone();
            let mut links = links.clone();
            links.rotate_left(number * 7);
            if number % 2 == 1 {
                links.reverse();
            }
            tasks.spawn(async move {
                let request = BatchCreateLinksRequest { links, ..BatchCreateLinksRequest::default() };
                tenant.links.batch_create_links(request).await.expect("no deadlock").into_inner().succeeded
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().sum::<i32>(), 50);
        let page = ListLinksRequest { page_size: 1000, ..ListLinksRequest::default() };
        let links = tenant.links.list_links(page).await.expect("a page").into_inner().links;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..8 {
            let mut tenant = tenant.clone();
            let mut updates: Vec<_> =
                links.iter().map(|link| titled(&link.id, &format!("by {number}"))).collect();
            updates.rotate_left(number * 7);
            tasks.spawn(async move {
                let request = BatchUpdateLinksRequest { updates, ..BatchUpdateLinksRequest::default() };
                tenant.links.batch_update_links(request).await.expect("no deadlock").into_inner().succeeded
            });
        }
        assert_eq!(tasks.join_all().await, [50; 8]);
    })
    .await;
}
