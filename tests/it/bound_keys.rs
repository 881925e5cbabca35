//! API keys that are bound to projects and domains: they see and change the links in there, and nothing else.

use linkforty::pb::v1::{
    self, Link, LinkOrder, ListLinksRequest, Scope, api_key_service_client::ApiKeyServiceClient,
};
use prost_types::FieldMask;
use tonic::{Code, Status};

use crate::{
    accounts::settled_owner,
    support::{App, Bearer, Folders, Tenant, link, on_every_store, reason, wrong},
};

/// A key of the workspace, as its owner makes it.
async fn bound(
    app: &App,
    owner: &str,
    workspace: &str,
    (projects, domains, scopes): (&[&String], &[&String], &[Scope]),
) -> Result<Tenant, Status> {
    let ids = |ids: &[&String]| ids.iter().map(|id| (*id).clone()).collect::<Vec<_>>();
    let api_key = v1::ApiKey {
        name: "bound".into(),
        scopes: scopes.iter().map(|scope| i32::from(*scope)).collect(),
        project_ids: ids(projects),
        domain_ids: ids(domains),
        ..Default::default()
    };
    let asked = v1::CreateApiKeyRequest {
        workspace_id: workspace.into(),
        api_key: Some(api_key.clone()),
        ..Default::default()
    };
    let mut keys = ApiKeyServiceClient::with_interceptor(app.channel().await, Bearer(owner.to_owned()));
    let made = keys.create_api_key(asked).await?.into_inner();
    let shown = made.api_key.expect("always there");
    assert_eq!((shown.project_ids, shown.domain_ids), (api_key.project_ids, api_key.domain_ids));
    Ok(app.with_key(workspace, made.secret).await)
}

const BOTH: &[Scope] = &[Scope::LinksRead, Scope::LinksWrite];

fn in_project(code: &str, project: &str) -> Link {
    Link { project_id: project.to_owned(), ..link(code, &format!("https://example.com/{code}")) }
}

async fn codes(tenant: &Tenant, request: ListLinksRequest) -> Vec<String> {
    let page = tenant.links.clone().list_links(request).await.expect("a page").into_inner();
    page.links.into_iter().map(|link| link.short_code).collect()
}

#[tokio::test]
async fn a_key_sees_and_changes_the_links_of_its_projects() {
    on_every_store(async |app| {
        let (owner, workspace) = settled_owner(app).await;
        let tenant = app.tenant_of(&workspace).await;
        let folders: Folders = app.folders(&tenant).await;
        let (ours, theirs) = (folders.project("ours").await, folders.project("theirs").await);
        let mine = tenant.create(in_project("mine", &ours)).await;
        let others = [
            tenant.create(in_project("theirs", &theirs)).await,
            tenant.create(in_project("nobodys", "")).await,
        ];
        for code in ["mine", "theirs", "nobodys"] {
            app.visit(&format!("/{code}")).await;
        }
        app.settled().await;
        let key = bound(app, &owner, &workspace, (&[&ours], &[], BOTH)).await.expect("creates");

        // In every order, by every way of looking.
        for order in [
            LinkOrder::CreateTimeDesc,
            LinkOrder::CreateTimeAsc,
            LinkOrder::ClickCountDesc,
            LinkOrder::TitleAsc,
        ] {
            for search in ["", "example"] {
                let request =
                    ListLinksRequest { search: search.into(), order: order.into(), ..Default::default() };
                assert_eq!(codes(&key, request).await, ["mine"], "{order:?} {search:?}");
            }
        }
        let filter = v1::LinkFilter { project_id: theirs.clone(), ..Default::default() };
        let asked = ListLinksRequest { filter: Some(filter), ..Default::default() };
        assert!(codes(&key, asked).await.is_empty());
        assert_eq!(key.get(&mine.id).await.expect("its own").short_code, "mine");
        for other in &others {
            let hidden = key.get(&other.id).await.expect_err("not its own");
            let unknown = key.get("0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506").await.expect_err("nobody's");
            assert_eq!((hidden.code(), hidden.message()), (unknown.code(), unknown.message()));
            let request = v1::DeleteLinkRequest { link_id: other.id.clone(), ..Default::default() };
            let refused = key.links.clone().delete_link(request).await.expect_err("not its own");
            assert_eq!(refused.code(), Code::NotFound);
        }

        // It makes links in its projects, and moves none out of them.
        key.create(in_project("new", &ours)).await;
        for project in [theirs.as_str(), ""] {
            let refused = key.try_create(in_project("elsewhere", project)).await.expect_err("outside");
            assert_eq!(wrong(&refused), ["link.project_id"], "{project:?}");
            let request = v1::UpdateLinkRequest {
                link: Some(Link {
                    id: mine.id.clone(),
                    project_id: project.to_owned(),
                    ..Default::default()
                }),
                update_mask: Some(FieldMask { paths: vec!["project_id".into()] }),
                ..Default::default()
            };
            let refused = key.links.clone().update_link(request).await.expect_err("out of its project");
            assert_eq!(wrong(&refused), ["link.project_id"], "{project:?}");
        }
        let changed = key
            .update(Link { id: mine.id.clone(), title: "changed".into(), ..Default::default() }, &["title"])
            .await;
        assert_eq!(changed.title, "changed");
        // What somebody else moves away is out of reach from then on.
        let moved = Link { id: mine.id.clone(), project_id: theirs.clone(), ..Default::default() };
        tenant.update(moved, &["project_id"]).await;
        assert_eq!(reason(&key.get(&mine.id).await.expect_err("is gone")), "NOT_FOUND");

        // Everything else is closed.
        let refused = key.analytics.clone().get_overview(v1::GetOverviewRequest::default()).await;
        assert_eq!(reason(&refused.expect_err("not in its scopes")), "PERMISSION_MISSING");
        let projects = app.folders(&key).await;
        let refused = projects.projects.clone().list_projects(v1::ListProjectsRequest::default()).await;
        assert_eq!(reason(&refused.expect_err("links.read gives it to others")), "PERMISSION_MISSING");
    })
    .await;
}

#[tokio::test]
async fn a_key_is_bound_to_domains_in_the_same_way() {
    on_every_store(async |app| {
        let (owner, workspace) = settled_owner(app).await;
        let tenant = app.tenant_of(&workspace).await;
        let (one, two) = (tenant.add_domain("one.shop.test").await, tenant.add_domain("two.shop.test").await);
        let on = |host: &str, code: &str| Link {
            domain: host.to_owned(),
            ..link(code, "https://example.com/page")
        };
        let mine = tenant.create(on("one.shop.test", "mine")).await;
        let other = tenant.create(on("two.shop.test", "other")).await;
        tenant.create(on("", "own")).await;
        let key = bound(app, &owner, &workspace, (&[], &[&one.id], BOTH)).await.expect("creates");
        assert_eq!(codes(&key, ListLinksRequest::default()).await, ["mine"]);
        key.get(&mine.id).await.expect("its own");
        assert_eq!(reason(&key.get(&other.id).await.expect_err("not its own")), "NOT_FOUND");
        key.create(on("one.shop.test", "new")).await;
        for host in ["two.shop.test", ""] {
            let refused = key.try_create(on(host, "elsewhere")).await.expect_err("outside");
            assert_eq!(wrong(&refused), ["link.domain"], "{host:?}");
        }
        // A domain that is gone has no links.
        let request =
            v1::DeleteDomainRequest { domain_id: one.id.clone(), force: true, ..Default::default() };
        tenant.domains.clone().delete_domain(request).await.expect("deletes");
        app.clock.advance(chrono::Duration::seconds(10));
        assert!(codes(&key, ListLinksRequest::default()).await.is_empty());
        drop(two);
    })
    .await;
}

#[tokio::test]
async fn what_a_key_is_bound_to_must_be_the_workspace_s() {
    on_every_store(async |app| {
        let (owner, workspace) = settled_owner(app).await;
        let tenant = app.tenant_of(&workspace).await;
        let other = app.another_tenant().await;
        let foreign = app.folders(&other).await.project("foreign").await;
        let own = app.folders(&tenant).await.project("own").await;
        let domain = other.add_domain("other.shop.test").await.id;
        let nonsense = "x".to_owned();
        for (projects, domains, scopes, field) in [
            (&[&own, &foreign][..], &[][..], BOTH, "api_key.project_ids"),
            (&[], &[&domain], BOTH, "api_key.domain_ids"),
            (&[&own, &nonsense], &[], BOTH, "api_key.project_ids[1]"),
            (&[&own], &[], &[Scope::LinksRead, Scope::AnalyticsRead], "api_key.scopes"),
        ] {
            let refused = bound(app, &owner, &workspace, (projects, domains, scopes)).await;
            assert_eq!(wrong(&refused.err().expect("is refused")), [field]);
        }
    })
    .await;
}
