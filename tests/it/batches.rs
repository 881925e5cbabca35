//! Batches of links: items fail alone, and a repeat says the same.

use linkforty::pb::v1::{
    BatchCreateLinksRequest, BatchDeleteLinksRequest, BatchLinkResult, BatchUpdateLinksRequest,
    GetLinkRequest, ItemError, Link, LinkUpdate, ListLinksRequest, batch_link_result::Result as Outcome,
};
use prost_types::FieldMask;
use tonic::Code;

use crate::direct::{Tenant, a_link, coded, on_every_store, reason, request_id, wrong};

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

#[test]
fn new_links_fail_one_by_one() {
    on_every_store(|app| async move {
        let (mut tenant, mut other) = (app.tenant().await, app.tenant().await);
        other.create(coded("taken")).await.expect("created");
        app.fanout.heard();
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
        assert_eq!(app.fanout.heard(), []);

        let request = BatchCreateLinksRequest { request_id: request_id(), ..request };
        let made = tenant.links.batch_create_links(request.clone()).await.expect("made").into_inner();
        assert_eq!(told(&made.results)[..6], expected[..6]);
        assert_eq!(link(&made.results[6]).short_code.len(), 8);
        assert_eq!(link(&made.results[3]).title, "first");
        assert_eq!((made.succeeded, made.failed), (4, 3));
        assert_eq!(count(&mut tenant).await, 4);
        assert_eq!(app.fanout.heard().len(), 4);
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
        let again = tenant.links.batch_create_links(request).await.expect("repeated").into_inner();
        assert_eq!(link(&again.results[0]).title, "now");
        assert_eq!(again.results[1..5], made.results[1..5]);
        assert_eq!(told(&again.results)[5], "NOT_FOUND");
        assert_eq!(again.results[6], made.results[6]);
        assert_eq!(count(&mut tenant).await, 3);
    });
}

#[test]
fn a_thousand_links_are_one_batch() {
    on_every_store(|app| async move {
        let mut tenant = app.tenant().await;
        let links = vec![a_link(); 1000];
        let request =
            BatchCreateLinksRequest { links: links.clone(), request_id: request_id(), ..Default::default() };
        let made = tenant.links.batch_create_links(request.clone()).await.expect("made").into_inner();
        assert_eq!((made.succeeded, made.failed), (1000, 0));
        assert_eq!(app.fanout.heard().len(), 1000);
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
    });
}

#[test]
fn changes_fail_one_by_one() {
    on_every_store(|app| async move {
        let (mut tenant, mut other) = (app.tenant().await, app.tenant().await);
        let theirs = other.create(a_link()).await.expect("created");
        let mut made = Vec::new();
        for code in ["one", "two", "three", "four"] {
            made.push(tenant.create(coded(code)).await.expect("created"));
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
        app.fanout.heard();
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
        assert_eq!(app.fanout.heard().len(), 2);
        let again = tenant.links.batch_update_links(request).await.expect("repeated").into_inner();
        assert_eq!(again, changed);

        let updates = vec![titled(&made[0].id, "a"), titled(&made[1].id, "b"), titled(&made[0].id, "c")];
        let request = BatchUpdateLinksRequest { updates, ..BatchUpdateLinksRequest::default() };
        let refused = tenant.links.batch_update_links(request).await.expect_err("one link twice");
        assert_eq!(
            (reason(&refused).as_str(), wrong(&refused)),
            ("INVALID_FIELDS", vec!["updates[2].link.id".into()])
        );
    });
}

#[test]
fn deletes_fail_one_by_one() {
    on_every_store(|app| async move {
        let (mut tenant, mut other) = (app.tenant().await, app.tenant().await);
        let theirs = other.create(a_link()).await.expect("created");
        let made = tenant.create(coded("one")).await.expect("created");
        let kept = tenant.create(coded("two")).await.expect("created");
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
    });
}

#[test]
fn batches_that_want_the_same_links_wait_for_each_other_and_all_end() {
    on_every_store(|app| async move {
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
    });
}
