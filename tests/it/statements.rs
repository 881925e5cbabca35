//! A call asks the database as often for many links as for one.

use linkforty::pb::v1::{
    BatchCreateLinksRequest, BatchDeleteLinksRequest, BatchUpdateLinksRequest, Link, LinkUpdate,
    ListLinksRequest, batch_link_result::Result as Outcome,
};
use prost_types::FieldMask;
use secrecy::ExposeSecret as _;

use crate::support::{App, Statements, Store, Tenant, a_link, eventually, request_id, stores};

/// A node whose statements are counted, beside one whose are not.
struct Counted {
    first: App,
    node: App,
    statements: Statements,
    tenant: Tenant,
}

impl Counted {
    async fn start() -> Option<Self> {
        if !stores().contains(&Store::Production) {
            return None;
        }
        let first = App::start(Store::Production).await;
        let id = first.tenant().await.id;
        let database = first.env().config.database.as_ref().expect("production has one");
        let statements = Statements::to(database.url.expose_secret()).await;
        let node = first.start_beside(&[("DATABASE_URL", &statements.url)]).await;
        let tenant = node.tenant_of(&id).await;
        // Until it hears of revoked keys, a node asks for the caller's key at every call.
        eventually("the node remembers keys", async || {
            statements.of(async || list(&tenant, 0).await).await == 1
        })
        .await;
        Some(Self { first, node, statements, tenant })
    }

    async fn stop(self) {
        self.node.stop().await;
        self.first.stop().await;
    }
}

async fn create(tenant: &Tenant, count: usize, request_id: String) -> Vec<String> {
    let request = BatchCreateLinksRequest { links: vec![a_link(); count], request_id, ..Default::default() };
    let made = tenant.links.clone().batch_create_links(request).await.expect("creates").into_inner();
    assert_eq!(made.succeeded as usize, count);
    let ids = made.results.into_iter().map(|result| match result.result {
        Some(Outcome::Link(link)) => link.id,
        other => panic!("not a link: {other:?}"),
    });
    ids.collect()
}

async fn update(tenant: &Tenant, ids: &[String], round: &mut u32) {
    *round += 1;
    let updates = ids.iter().map(|id| LinkUpdate {
        link: Some(Link { id: id.clone(), title: round.to_string(), ..Link::default() }),
        update_mask: Some(FieldMask { paths: vec!["title".to_owned()] }),
    });
    let request = BatchUpdateLinksRequest { updates: updates.collect(), ..Default::default() };
    let changed = tenant.links.clone().batch_update_links(request).await.expect("updates").into_inner();
    assert_eq!(changed.succeeded as usize, ids.len());
}

async fn delete(tenant: &Tenant, link_ids: Vec<String>) {
    let count = link_ids.len();
    let request = BatchDeleteLinksRequest { link_ids, ..Default::default() };
    let gone = tenant.links.clone().batch_delete_links(request).await.expect("deletes").into_inner();
    assert_eq!(gone.succeeded as usize, count);
}

async fn list(tenant: &Tenant, expected: usize) {
    let request = ListLinksRequest { page_size: 1000, ..ListLinksRequest::default() };
    let page = tenant.links.clone().list_links(request).await.expect("a page").into_inner();
    assert_eq!(page.links.len(), expected);
}

#[tokio::test]
async fn a_page_of_many_links_takes_as_many_statements_as_one_of_one() {
    let Some(counted) = Counted::start().await else { return };
    let tenant = &counted.tenant;
    create(tenant, 1, String::new()).await;
    let of_one = counted.statements.of(async || list(tenant, 1).await).await;
    create(tenant, 499, String::new()).await;
    let of_many = counted.statements.of(async || list(tenant, 500).await).await;
    assert_eq!((of_one, of_many), (1, 1));
    counted.stop().await;
}

/// Rows go to the database by 500, and so do messages to other nodes; up to there the number is the same.
#[tokio::test]
async fn a_batch_of_many_links_takes_as_many_statements_as_one_of_few() {
    let Some(counted) = Counted::start().await else { return };
    let (tenant, statements) = (&counted.tenant, &counted.statements);
    let mut taken = Vec::new();
    for count in [10, 500] {
        let mut ids = create(tenant, count, String::new()).await;
        let mut round = 0;
        let created = statements.of(async || ids = create(tenant, count, request_id()).await).await;
        let updated = statements.of(async || update(tenant, &ids, &mut round).await).await;
        let mut fresh = Vec::new();
        for _ in 0..5 {
            fresh.push(create(tenant, count, String::new()).await);
        }
        let deleted =
            statements.of(async || delete(tenant, fresh.pop().expect("five were made")).await).await;
        taken.push((created, updated, deleted));
    }
    assert_eq!(taken[0], taken[1]);
    counted.stop().await;
}
