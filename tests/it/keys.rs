//! API keys: what they open, what they do not, and when they end.

use chrono::Duration;
use linkforty::{
    pb::v1::{
        self, Scope, api_key_service_client::ApiKeyServiceClient,
        workspace_service_client::WorkspaceServiceClient,
    },
    workspaces::Role,
};
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{
    accounts::{auth, settled_owner},
    support::{App, Bearer, on_every_store, reason},
    workspaces::person,
};

type Keys = ApiKeyServiceClient<InterceptedService<Channel, Bearer>>;

async fn keys(app: &App, token: &str) -> Keys {
    ApiKeyServiceClient::with_interceptor(app.channel().await, Bearer(token.to_owned()))
}

fn request(workspace_id: &str, scopes: &[Scope]) -> v1::CreateApiKeyRequest {
    let api_key = v1::ApiKey {
        name: "ci".into(),
        scopes: scopes.iter().map(|scope| i32::from(*scope)).collect(),
        ..v1::ApiKey::default()
    };
    v1::CreateApiKeyRequest {
        workspace_id: workspace_id.into(),
        api_key: Some(api_key),
        request_id: String::new(),
    }
}

/// Creates a key; returns it and its secret.
async fn create(app: &App, token: &str, workspace: &str, scopes: &[Scope]) -> (v1::ApiKey, String) {
    let made = keys(app, token).await.create_api_key(request(workspace, scopes)).await.expect("creates");
    let made = made.into_inner();
    (made.api_key.expect("always there"), made.secret)
}

async fn get_workspace(app: &App, token: &str, id: &str) -> Result<v1::Workspace, Status> {
    let mut client = WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(token.to_owned()));
    let asked = v1::GetWorkspaceRequest { workspace_id: id.into() };
    Ok(client.get_workspace(asked).await?.into_inner().workspace.expect("always there"))
}

fn bytes(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

#[tokio::test]
async fn a_key_opens_its_workspace_for_its_scopes_and_nothing_else() {
    on_every_store(async |app| {
        let (token, id) = settled_owner(app).await;
        let (key, secret) = create(app, &token, &id, &[Scope::WorkspacesRead, Scope::WorkspacesRead]).await;
        assert_eq!((key.scopes.len(), key.prefix.len(), secret.len()), (1, 12, 46));
        assert!(secret.starts_with(&key.prefix));
        let life = key.expire_time.expect("set").seconds - key.create_time.expect("set").seconds;
        assert_eq!(life, 90 * 86_400);

        // The empty id is its own workspace; a role is for people.
        for asked in ["", id.as_str()] {
            let seen = get_workspace(app, &secret, asked).await.expect("may look");
            assert_eq!((seen.id.as_str(), seen.role()), (id.as_str(), v1::Role::Unspecified));
        }
        let mut client =
            WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(secret.clone()));
        let listed = client.list_workspaces(v1::ListWorkspacesRequest::default()).await.expect("lists");
        assert_eq!(listed.into_inner().workspaces.len(), 1);

        let denied = keys(app, &secret).await.list_api_keys(v1::ListApiKeysRequest::default()).await;
        let denied = denied.expect_err("not in its scopes");
        assert_eq!((denied.code(), &*reason(&denied)), (Code::PermissionDenied, "PERMISSION_MISSING"));
        let info = denied.get_details_error_info().expect("always there");
        assert_eq!(info.metadata["permission"], "api_keys.read");
        let denied = keys(app, &secret).await.create_api_key(request("", &[Scope::LinksRead])).await;
        assert_eq!(reason(&denied.expect_err("a key makes no keys")), "PERMISSION_MISSING");
        let denied = client.create_workspace(v1::CreateWorkspaceRequest::default()).await;
        assert_eq!(reason(&denied.expect_err("people only")), "PERMISSION_MISSING");
        let denied = auth(app, &secret).await.get_me(v1::GetMeRequest {}).await;
        assert_eq!(reason(&denied.expect_err("people only")), "PERMISSION_MISSING");
    })
    .await;
}

#[tokio::test]
async fn a_foreign_workspace_answers_a_key_as_an_unknown_one() {
    on_every_store(async |app| {
        let (token, id) = settled_owner(app).await;
        let (_, secret) = create(app, &token, &id, &[Scope::WorkspacesRead]).await;
        let mut client = WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(token.clone()));
        let workspace = Some(v1::Workspace { name: "Other".into(), ..v1::Workspace::default() });
        let asked = v1::CreateWorkspaceRequest { workspace, request_id: String::new() };
        let other = client.create_workspace(asked).await.expect("creates").into_inner().workspace;
        let other = other.expect("always there").id;
        let foreign = get_workspace(app, &secret, &other).await.expect_err("not its own");
        let unknown = get_workspace(app, &secret, "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506").await;
        assert_eq!(bytes(&foreign), bytes(&unknown.expect_err("unknown")));
        assert_eq!(bytes(&foreign), bytes(&get_workspace(app, &secret, "x").await.expect_err("no id")));

        // A key of another workspace is nobody's here.
        let (key, _) = create(app, &token, &other, &[Scope::LinksRead]).await;
        let revoke = |api_key_id: String| v1::RevokeApiKeyRequest { workspace_id: id.clone(), api_key_id };
        let mut keys = keys(app, &token).await;
        let foreign = keys.revoke_api_key(revoke(key.id)).await.expect_err("not of this workspace");
        let unknown = keys.revoke_api_key(revoke(other.clone())).await.expect_err("unknown");
        assert_eq!(bytes(&foreign), bytes(&unknown));
        assert_eq!(reason(&foreign), "NOT_FOUND");
    })
    .await;
}

#[tokio::test]
async fn revoked_expired_and_invented_keys_are_refused_alike() {
    on_every_store(async |app| {
        let (token, id) = settled_owner(app).await;
        let (revoked, revoked_secret) = create(app, &token, &id, &[Scope::WorkspacesRead]).await;
        app.clock.advance(Duration::seconds(1));
        let mut short = request(&id, &[Scope::WorkspacesRead]);
        let expire_time = revoked.create_time.expect("set").seconds + 60;
        if let Some(key) = &mut short.api_key {
            key.expire_time = Some(prost_types::Timestamp { seconds: expire_time, nanos: 0 });
        }
        let expired_secret =
            keys(app, &token).await.create_api_key(short).await.expect("creates").into_inner().secret;
        for secret in [&revoked_secret, &expired_secret] {
            get_workspace(app, secret, "").await.expect("is good");
        }
        let asked = v1::RevokeApiKeyRequest { workspace_id: id.clone(), api_key_id: revoked.id };
        let mut client = keys(app, &token).await;
        let done = client.revoke_api_key(asked.clone()).await.expect("revokes").into_inner().api_key;
        let again = client.revoke_api_key(asked).await.expect("idempotent").into_inner().api_key;
        assert!(done.as_ref().is_some_and(|key| key.revoke_time.is_some()));
        assert_eq!(done, again);
        let refused = get_workspace(app, &revoked_secret, "").await.expect_err("revoked");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::Unauthenticated, "CREDENTIALS_INVALID"));

        get_workspace(app, &expired_secret, "").await.expect("is good for a minute");
        app.clock.advance(Duration::seconds(60));
        let expired = get_workspace(app, &expired_secret, "").await.expect_err("expired");
        assert_eq!(bytes(&refused), bytes(&expired));

        let mut changed = expired_secret.clone();
        let last = if changed.ends_with('0') { "1" } else { "0" };
        changed.replace_range(45.., last);
        let invented = get_workspace(app, &changed, "").await.expect_err("a wrong checksum");
        assert_eq!(bytes(&refused), bytes(&invented));

        // All are still listed, newest first, without secrets.
        let asked = v1::ListApiKeysRequest { workspace_id: id, page_size: 1, page_token: String::new() };
        let page = client.list_api_keys(asked.clone()).await.expect("lists").into_inner();
        assert!(page.api_keys[0].revoke_time.is_none());
        let asked = v1::ListApiKeysRequest { page_token: page.next_page_token, ..asked };
        let page = client.list_api_keys(asked).await.expect("lists").into_inner();
        assert!(page.api_keys[0].revoke_time.is_some() && page.next_page_token.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_repeat_returns_the_key_without_its_secret() {
    on_every_store(async |app| {
        let (token, id) = settled_owner(app).await;
        let request_id = "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506".to_owned();
        let asked = v1::CreateApiKeyRequest { request_id, ..request(&id, &[Scope::LinksRead]) };
        let mut client = keys(app, &token).await;
        let first = client.create_api_key(asked.clone()).await.expect("creates").into_inner();
        let again = client.create_api_key(asked).await.expect("a repeat").into_inner();
        assert_eq!(first.api_key, again.api_key);
        assert!(!first.secret.is_empty() && again.secret.is_empty());
    })
    .await;
}

#[tokio::test]
async fn keys_are_for_admins_to_make_and_for_members_to_see() {
    on_every_store(async |app| {
        let (_, id) = settled_owner(app).await;
        for (email, role, may_see, may_make) in [
            ("viewer@example.com", Role::Viewer, false, false),
            ("member@example.com", Role::Member, true, false),
            ("admin@example.com", Role::Admin, true, true),
        ] {
            let token = person(app, email, Some((&id, role))).await;
            let mut client = keys(app, &token).await;
            let asked =
                v1::ListApiKeysRequest { workspace_id: id.clone(), ..v1::ListApiKeysRequest::default() };
            let seen = client.list_api_keys(asked).await;
            assert_eq!(seen.is_ok(), may_see, "{email}");
            let made = client.create_api_key(request(&id, &[Scope::LinksRead])).await;
            assert_eq!(made.is_ok(), may_make, "{email}");
            for refused in [seen.err(), made.err()].into_iter().flatten() {
                assert_eq!(reason(&refused), "PERMISSION_MISSING");
            }
        }
    })
    .await;
}
