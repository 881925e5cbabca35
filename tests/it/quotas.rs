//! Quotas: exact however many come at once, told to whoever asks, and nothing to those who have none.

use linkforty::{
    entity::link,
    pb::v1::{
        self, BatchCreateLinksRequest, ImportSource, Quota, batch_link_result::Result as Outcome,
        link_service_client::LinkServiceClient,
    },
    rpc::Permission,
    workspaces::{Role, enter_as_operator, keys, quotas},
};
use sea_orm::{EntityTrait as _, PaginatorTrait as _};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    accounts::settled_owner,
    imports,
    members::client,
    support::{
        App, Bearer, Statements, Store, Tenant, a_link, an_app, coded, eventually, link as leading_to,
        on_every_store, reason, stores,
    },
    workspaces::person,
};

/// Says how much a workspace may have, as the operator does.
async fn allow(app: &App, workspace: &str, quota: Quota, limit: u64) {
    let operator = enter_as_operator(app.env(), Some(workspace)).await.expect("is there");
    quotas::set(app.env(), &operator, &[(quota, Some(limit))]).await.expect("sets");
}

fn exceeded(status: &Status, quota: &str, limit: &str) {
    assert_eq!((status.code(), &*reason(status)), (Code::ResourceExhausted, "QUOTA_EXCEEDED"), "{status:?}");
    let info = status.get_details_error_info().expect("always there");
    assert_eq!((info.metadata["quota"].as_str(), info.metadata["limit"].as_str()), (quota, limit));
}

/// Creates a link. A slow machine may have no connection left for one of many, who asks again then.
async fn create(tenant: &Tenant) -> Result<v1::Link, Status> {
    loop {
        match tenant.try_create(a_link()).await {
            Err(status) if status.code() == Code::Unavailable => {}
            made => return made,
        }
    }
}

async fn links(app: &App) -> u64 {
    link::Entity::find().count(&app.env().db.api).await.expect("the stores answer")
}

#[tokio::test]
async fn of_two_hundred_links_at_once_the_first_hundred_are_made() {
    for store in stores() {
        let app = App::start(store).await;
        let beside = if store == Store::Production { Some(app.start_beside(&[]).await) } else { None };
        let tenant = app.tenant().await;
        allow(&app, &tenant.id, Quota::Links, 100).await;
        let there = match &beside {
            Some(beside) => beside.with_key(&tenant.id, tenant.key.clone()).await,
            None => tenant.clone(),
        };
        let makes = (0..200).map(|number| {
            let through = if number % 2 == 0 { &tenant } else { &there };
            create(through)
        });
        let made = futures::future::join_all(makes).await;
        assert_eq!(made.iter().filter(|one| one.is_ok()).count(), 100, "on {store}");
        for refused in made.into_iter().filter_map(Result::err) {
            exceeded(&refused, "links", "100");
        }
        assert_eq!(links(&app).await, 100);
        if let Some(beside) = beside {
            beside.stop().await;
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn a_batch_makes_as_many_links_as_there_is_room_for_and_says_which() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("taken")).await;
        allow(app, &tenant.id, Quota::Links, 4).await;
        let codes = ["a", "taken", "b", "c", "d", "e"]
            .map(|code| coded(if code == "taken" { code.to_owned() } else { format!("code-{code}") }));
        let request = BatchCreateLinksRequest { links: codes.to_vec(), ..Default::default() };
        let results = tenant.links.clone().batch_create_links(request).await.expect("a batch").into_inner();
        let told: Vec<String> = results
            .results
            .into_iter()
            .map(|result| match result.result.expect("always there") {
                Outcome::Error(error) => error.reason().as_str_name().replace("ERROR_REASON_", ""),
                _ => "made".to_owned(),
            })
            .collect();
        assert_eq!(told, ["made", "SHORT_CODE_TAKEN", "made", "made", "QUOTA_EXCEEDED", "QUOTA_EXCEEDED"]);
        assert_eq!(links(app).await, 4);
        assert_eq!(app.visit("/code-c").await.status, 302);
        assert_eq!(app.visit("/code-d").await.status, 404);
        // A deleted one makes room, a copy takes it, an alias takes none.
        let page = tenant.links.clone().list_links(v1::ListLinksRequest::default()).await.expect("a page");
        let id = page.into_inner().links.remove(0).id;
        let copy = async || {
            let request = v1::DuplicateLinkRequest { link_id: id.clone(), ..Default::default() };
            tenant.links.clone().duplicate_link(request).await
        };
        exceeded(&copy().await.expect_err("is full"), "links", "4");
        tenant.alias(&id, "other-name").await.expect("is no link of its own");
        let other = tenant.links.clone().list_links(v1::ListLinksRequest::default()).await.expect("a page");
        tenant.delete(&other.into_inner().links[1].id).await;
        copy().await.expect("there is room");
        exceeded(&copy().await.expect_err("is full"), "links", "4");
    })
    .await;
}

#[tokio::test]
async fn an_import_makes_as_many_links_as_there_is_room_for_and_keeps_the_rest_as_errors() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        allow(app, &tenant.id, Quota::Links, 3).await;
        let mut file = "short_code,destination_url\n".to_owned();
        for number in 0..5 {
            file += &format!("row-{number},https://example.com/{number}\n");
        }
        let import = imports::start(&tenant, ImportSource::Csv).await;
        let request = v1::ImportChunkRequest {
            import_id: import.id,
            data: file.into_bytes().into(),
            last: true,
            ..Default::default()
        };
        let done = tenant.links.clone().import_chunk(request).await.expect("takes the file").into_inner();
        let reasons: Vec<String> = done
            .rows
            .iter()
            .filter_map(|row| row.error.as_ref())
            .map(|error| error.reason().as_str_name().replace("ERROR_REASON_", ""))
            .collect();
        assert_eq!(reasons, ["QUOTA_EXCEEDED", "QUOTA_EXCEEDED"], "{done:?}");
        assert_eq!(links(app).await, 3);
        assert_eq!(app.visit("/row-2").await.status, 302);
    })
    .await;
}

#[tokio::test]
async fn people_keys_domains_and_apps_are_counted_too() {
    on_every_store(async |app| {
        let (owner, workspace) = settled_owner(app).await;
        let tenant = app.tenant_of(&workspace).await;
        for (quota, limit) in [
            (Quota::Members, 2),
            (Quota::ApiKeys, 4),
            (Quota::Domains, 1),
            (Quota::Apps, 1),
            (Quota::ClicksPerMonth, 1),
        ] {
            allow(app, &workspace, quota, limit).await;
        }
        tenant.add_domain("one.shop.test").await;
        let refused = tenant.try_add(v1::Domain { host: "two.shop.test".into(), ..Default::default() }).await;
        exceeded(&refused.expect_err("one is allowed"), "domains", "1");
        tenant.create_app(an_app()).await;
        exceeded(&tenant.try_create_app(an_app()).await.expect_err("one is allowed"), "apps", "1");

        // Of ten keys at once three are made beside the one there is; one that is revoked makes room.
        let operator = enter_as_operator(app.env(), Some(&workspace)).await.expect("is there");
        let new = || keys::NewKey::new("ci", vec![Permission::LinksRead]);
        let makes = (0..10).map(|_| keys::create(app.env(), &operator, new(), None));
        let made = futures::future::join_all(makes).await;
        let made: Vec<_> = made.into_iter().filter_map(Result::ok).collect();
        assert_eq!(made.len(), 3);
        keys::revoke(app.env(), &operator, made[0].key.id).await.expect("revokes");
        keys::create(app.env(), &operator, new(), None).await.expect("there is room");

        // Clicks are counted and nobody is turned away.
        tenant.create(leading_to("spring", "https://example.com/")).await;
        for _ in 0..3 {
            assert_eq!(app.visit("/spring").await.status, 302);
        }
        app.settled().await;
        person(app, "ann@example.com", Some((&workspace, Role::Viewer))).await;
        let invitation = v1::Invitation { email: "bob@example.com".into(), role: 1, ..Default::default() };
        let asked = v1::InviteMemberRequest {
            workspace_id: workspace.clone(),
            invitation: Some(invitation),
            ..Default::default()
        };
        let refused = client(app, &owner).await.invite_member(asked).await.expect_err("two are allowed");
        exceeded(&refused, "members", "2");

        let asked = v1::GetUsageRequest { workspace_id: workspace.clone() };
        let told = client(app, &owner).await.get_usage(asked).await.expect("tells").into_inner().usages;
        let told: Vec<_> = told.iter().map(|usage| (usage.quota(), usage.used, usage.allowed)).collect();
        let expected = [
            (Quota::Links, 1, 0),
            (Quota::Members, 2, 2),
            (Quota::ApiKeys, 4, 4),
            (Quota::Domains, 1, 1),
            (Quota::Apps, 1, 1),
            (Quota::ClicksPerMonth, 3, 1),
        ];
        assert_eq!(told, expected);
    })
    .await;
}

#[tokio::test]
async fn of_many_who_accept_at_once_as_many_join_as_may() {
    on_every_store(async |app| {
        let (owner, workspace) = settled_owner(app).await;
        let mut guests = Vec::new();
        for number in 0..6 {
            let email = format!("p{number}@example.com");
            let token = person(app, &email, None).await;
            let invitation = v1::Invitation { email, role: 1, ..Default::default() };
            let asked = v1::InviteMemberRequest {
                workspace_id: workspace.clone(),
                invitation: Some(invitation),
                ..Default::default()
            };
            let sent = client(app, &owner).await.invite_member(asked).await.expect("invites").into_inner();
            guests.push((client(app, &token).await, sent.token));
        }
        allow(app, &workspace, Quota::Members, 3).await;
        let takes = guests.into_iter().map(|(mut guest, token)| async move {
            let asked = v1::AcceptInvitationRequest { token, ..Default::default() };
            guest.accept_invitation(asked).await
        });
        let taken = futures::future::join_all(takes).await;
        assert_eq!(taken.iter().filter(|one| one.is_ok()).count(), 2, "the owner is one of three");
        for refused in taken.into_iter().filter_map(Result::err) {
            exceeded(&refused, "members", "3");
        }
    })
    .await;
}

#[tokio::test]
async fn the_settings_hold_for_workspaces_of_which_the_operator_says_nothing() {
    for store in stores() {
        let app = App::start_with(store, &[("QUOTA_LINKS", "1")]).await;
        let tenant = app.tenant().await;
        tenant.create(a_link()).await;
        exceeded(&tenant.try_create(a_link()).await.expect_err("one is allowed"), "links", "1");
        allow(&app, &tenant.id, Quota::Links, 0).await;
        tenant.create(a_link()).await;
        let operator = enter_as_operator(app.env(), Some(&tenant.id)).await.expect("is there");
        quotas::set(app.env(), &operator, &[(Quota::Links, None)]).await.expect("sets");
        exceeded(&tenant.try_create(a_link()).await.expect_err("one is allowed"), "links", "1");
        app.stop().await;
    }
}

/// Making a link without a quota takes the statements it always took; with one it takes two more.
#[tokio::test]
async fn who_has_no_quota_pays_nothing() {
    if !stores().contains(&Store::Production) {
        return;
    }
    use secrecy::ExposeSecret as _;
    let first = App::start(Store::Production).await;
    let id = first.tenant().await.id;
    let database = first.env().config.database.as_ref().expect("production has one");
    let statements = Statements::to(database.url.expose_secret()).await;
    let node = first.start_beside(&[("DATABASE_URL", &statements.url)]).await;
    let tenant: Tenant = node.tenant_of(&id).await;
    let links = LinkServiceClient::with_interceptor(node.channel().await, Bearer(tenant.key.clone()));
    eventually("the node remembers keys", async || {
        let list =
            async || drop(links.clone().list_links(v1::ListLinksRequest::default()).await.expect("a page"));
        statements.of(list).await == 1
    })
    .await;
    tenant.create(a_link()).await;
    let without = statements.of(async || drop(tenant.create(a_link()).await)).await;
    allow(&node, &id, Quota::Links, 1000).await;
    tenant.create(a_link()).await;
    let with = statements.of(async || drop(tenant.create(a_link()).await)).await;
    assert_eq!(with, without + 2);
    node.stop().await;
    first.stop().await;
}
