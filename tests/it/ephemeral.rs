//! Links whose parameters are erased once an app says that it got them: `POST /api/sdk/v1/acknowledge/{code}`.

use bytes::Bytes;
use http::Method;
use linkforty::{
    pb::v1::{Link, ListLinkRevisionsRequest, WorkspaceSettings},
    rpc::Permission,
};
use serde_json::{Value, json};

use crate::{
    pasteboard::set,
    support::{App, DESKTOP, Tenant, coded, on_every_store, send},
};

async fn acknowledge(app: &App, code: &str, key: &str) -> (u16, Value) {
    let bearer = format!("Bearer {key}");
    let mut headers = vec![("content-type", "application/json")];
    if !key.is_empty() {
        headers.push(("authorization", &bearer));
    }
    let path = format!("/api/sdk/v1/acknowledge/{code}");
    let answer = send(app.links(), Method::POST, &path, &headers, Bytes::new()).await;
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).expect("JSON"))
}

fn acknowledged(erased: bool) -> (u16, Value) {
    (200, json!({ "success": true, "acknowledged": true, "erased": erased }))
}

/// Where a visitor is sent.
async fn location(app: &App, path: &str) -> String {
    let answer = app.visit_as(Method::GET, path, &[("user-agent", DESKTOP)]).await;
    answer.header("location").to_owned()
}

async fn resolved(app: &App, code: &str) -> Value {
    let answer = app.visit(&format!("/api/sdk/v1/resolve/{code}")).await;
    let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
    told["customParameters"].clone()
}

async fn history(tenant: &Tenant, id: &str) -> Vec<Link> {
    let request = ListLinkRevisionsRequest { link_id: id.to_owned(), ..Default::default() };
    let page = tenant.links.clone().list_link_revisions(request).await.expect("a page").into_inner();
    page.revisions.into_iter().filter_map(|revision| revision.link).collect()
}

fn with_secret(code: &str) -> Link {
    let parameters = [("secret".to_owned(), "s3cr3t".to_owned())].into();
    Link { deep_link_parameters: parameters, ..coded(code) }
}

#[tokio::test]
async fn what_was_delivered_is_erased_from_the_link_and_its_history() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let token = tenant.app_token().await;
        let made = tenant.create(with_secret("once")).await;
        let made = tenant.update(Link { title: "Once".into(), ..made }, &["title"]).await;
        let before = history(&tenant, &made.id).await;
        assert_eq!(before.len(), 2);
        assert!(before.iter().all(|link| link.deep_link_parameters.len() == 1));

        // Off: nothing changes.
        assert_eq!(acknowledge(app, "once", &token).await, acknowledged(false));
        assert_eq!(tenant.get(&made.id).await.expect("is there"), made);

        let settings = WorkspaceSettings { ephemeral_deep_links: true, ..WorkspaceSettings::default() };
        set(app, &tenant, settings).await;
        assert_eq!(location(app, "/once").await, "https://example.com/page?secret=s3cr3t");
        assert_eq!(resolved(app, "once").await, json!({ "secret": "s3cr3t" }));
        for key in [&token, &tenant.key, &token] {
            assert_eq!(acknowledge(app, "once", key).await, acknowledged(true));
            assert_eq!(location(app, "/once").await, "https://example.com/page");
            assert_eq!(resolved(app, "once").await, json!({}));
        }
        let after = tenant.get(&made.id).await.expect("is there");
        assert!(after.deep_link_parameters.is_empty() && after.etag != made.etag);
        assert_eq!((after.title.as_str(), after.destination_url), ("Once", made.destination_url));
        let left = history(&tenant, &after.id).await;
        assert_eq!(left.len(), 3, "the change itself is remembered, once");
        assert!(left.iter().all(|link| link.deep_link_parameters.is_empty()), "{left:?}");
    })
    .await;
}

#[tokio::test]
async fn only_the_links_workspace_may_say_that_it_was_delivered() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let other = app.another_tenant().await;
        let settings = || WorkspaceSettings { ephemeral_deep_links: true, ..WorkspaceSettings::default() };
        set(app, &tenant, settings()).await;
        set(app, &other, settings()).await;
        let made = tenant.create(with_secret("ours")).await;
        let reader = app.key(&tenant.id, &[Permission::LinksRead]).await;
        let foreign_token = other.app_token().await;
        for (code, key, status) in [
            ("ours", "", 401),
            ("ours", "nonsense", 401),
            ("ours", reader.as_str(), 403),
            ("ours", other.key.as_str(), 404),
            ("ours", foreign_token.as_str(), 404),
            ("nobody", tenant.key.as_str(), 404),
        ] {
            assert_eq!(acknowledge(app, code, key).await.0, status, "{code} {key}");
        }
        assert_eq!(tenant.get(&made.id).await.expect("is there"), made);
    })
    .await;
}

#[tokio::test]
async fn a_user_who_shares_the_same_again_gets_a_link_that_has_it() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let settings = WorkspaceSettings { ephemeral_deep_links: true, ..WorkspaceSettings::default() };
        set(app, &tenant, settings).await;
        let bearer = format!("Bearer {}", tenant.key);
        let body = json!({
            "deepLinkParameters": {"invite": "42"}, "externalUserId": "user-1",
            "webFallbackUrl": "https://example.com/x"
        });
        let share = async || {
            let headers = [("content-type", "application/json"), ("authorization", &*bearer)];
            let body = Bytes::from(body.to_string());
            let answer = send(app.links(), Method::POST, "/api/sdk/v1/links", &headers, body).await;
            let made: Value = serde_json::from_slice(&answer.body).expect("JSON");
            made["shortCode"].as_str().expect("a code").to_owned()
        };
        let first = share().await;
        assert_eq!(share().await, first);
        assert_eq!(acknowledge(app, &first, &tenant.key).await, acknowledged(true));
        let second = share().await;
        assert_ne!(second, first);
        assert_eq!(resolved(app, &second).await, json!({ "invite": "42" }));
        assert_eq!(resolved(app, &first).await, json!({}));
    })
    .await;
}
