//! API keys: what they open, what they do not, and when they end.

use chrono::Duration;
use linkforty::{
    entity::outbox,
    pb::v1::{
        self, Scope, api_key_service_client::ApiKeyServiceClient,
        workspace_service_client::WorkspaceServiceClient,
    },
    workspaces::{
        Role,
        keys::{flush_last_use, warn},
    },
};
use sea_orm::EntityTrait as _;
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{
    accounts::{auth, settled_owner},
    support::{App, Bearer, Store, on_every_store, reason, request_id, stores, wrong},
    workspaces::{again, person},
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

/// Asks for a workspace with a token or a key.
pub async fn get_workspace(app: &App, token: &str, id: &str) -> Result<v1::Workspace, Status> {
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
        let asked = v1::ListApiKeysRequest { workspace_id: id, page_size: 1, ..Default::default() };
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

fn rotation(workspace: &str, key: &str, overlap: Option<i64>) -> v1::RotateApiKeyRequest {
    v1::RotateApiKeyRequest {
        workspace_id: workspace.into(),
        api_key_id: key.into(),
        overlap: overlap.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_rotated_key_has_two_secrets_for_a_while() {
    on_every_store(async |app| {
        let (token, id) = settled_owner(app).await;
        let (key, first) = create(app, &token, &id, &[Scope::WorkspacesRead]).await;
        get_workspace(app, &first, "").await.expect("is good");
        app.clock.advance(Duration::minutes(1));
        let once = v1::RotateApiKeyRequest { request_id: request_id(), ..rotation(&id, &key.id, Some(300)) };
        let mut client = keys(app, &token).await;
        let made = client.rotate_api_key(once.clone()).await.expect("rotates").into_inner();
        let repeat = client.rotate_api_key(once).await.expect("a repeat").into_inner();
        assert_eq!((repeat.api_key.as_ref(), repeat.secret.as_str()), (made.api_key.as_ref(), ""));
        let (rotated, second) = (made.api_key.expect("always there"), made.secret);
        assert_eq!(
            (rotated.id.as_str(), rotated.scopes.as_slice()),
            (key.id.as_str(), key.scopes.as_slice())
        );
        assert!(second.starts_with(&rotated.prefix) && rotated.prefix != key.prefix);
        assert_eq!(rotated.expire_time.expect("set").seconds - key.expire_time.expect("set").seconds, 60);
        for secret in [&first, &second] {
            get_workspace(app, secret, "").await.expect("both are good");
        }
        app.clock.advance(Duration::seconds(300));
        let ended = get_workspace(app, &first, "").await.expect_err("its time is over");
        assert_eq!(reason(&ended), "CREDENTIALS_INVALID");
        get_workspace(app, &second, "").await.expect("is good");

        // At once, if that is what is asked for; and a secret of long ago does not come back.
        let third =
            client.rotate_api_key(rotation(&id, &key.id, Some(0))).await.expect("rotates").into_inner();
        assert_eq!(third.api_key.expect("always there").previous_expire_time, None);
        for secret in [&first, &second] {
            get_workspace(app, secret, "").await.expect_err("is over");
        }
        get_workspace(app, &third.secret, "").await.expect("is good");
        let refused = client.rotate_api_key(rotation(&id, &key.id, Some(7 * 86_400 + 1))).await;
        assert_eq!(wrong(&refused.expect_err("too long")), ["overlap"]);
        let asked = v1::RevokeApiKeyRequest { workspace_id: id.clone(), api_key_id: key.id.clone() };
        client.revoke_api_key(asked).await.expect("revokes");
        let refused = client.rotate_api_key(rotation(&id, &key.id, None)).await.expect_err("is over");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "API_KEY_OVER"));
        get_workspace(app, &third.secret, "").await.expect_err("revoked with all its secrets");
    })
    .await;
}

#[tokio::test]
async fn both_secrets_of_a_rotated_key_end_with_it() {
    on_every_store(async |app| {
        let (token, id) = settled_owner(app).await;
        let (key, first) = create(app, &token, &id, &[Scope::WorkspacesRead]).await;
        let mut client = keys(app, &token).await;
        let made = client.rotate_api_key(rotation(&id, &key.id, None)).await.expect("rotates").into_inner();
        for secret in [&first, &made.secret] {
            get_workspace(app, secret, "").await.expect("both are good");
        }
        let asked = v1::RevokeApiKeyRequest { workspace_id: id.clone(), api_key_id: key.id };
        client.revoke_api_key(asked).await.expect("revokes");
        for secret in [&first, &made.secret] {
            get_workspace(app, secret, "").await.expect_err("both are over");
        }
    })
    .await;
}

#[tokio::test]
async fn a_test_key_says_so_and_lives_a_month_at_the_most() {
    on_every_store(async |app| {
        let (token, id) = settled_owner(app).await;
        let mut asked = request(&id, &[Scope::WorkspacesRead]);
        asked.api_key.as_mut().expect("set").test = true;
        let made = keys(app, &token).await.create_api_key(asked.clone()).await.expect("creates").into_inner();
        let key = made.api_key.expect("always there");
        assert!(key.test && made.secret.starts_with("lf_test_") && key.prefix.starts_with("lf_test_"));
        let life = key.expire_time.expect("set").seconds - key.create_time.expect("set").seconds;
        assert_eq!(life, 30 * 86_400);
        get_workspace(app, &made.secret, "").await.expect("is a key like any other");
        let long = key.create_time.expect("set").seconds + 31 * 86_400;
        asked.api_key.as_mut().expect("set").expire_time =
            Some(prost_types::Timestamp { seconds: long, nanos: 0 });
        let refused = keys(app, &token).await.create_api_key(asked).await.expect_err("lives too long");
        assert_eq!(wrong(&refused), ["api_key.expire_time"]);
    })
    .await;
}

#[tokio::test]
async fn calls_and_errors_of_a_key_are_counted_by_the_day() {
    on_every_store(async |app| {
        let (token, id) = settled_owner(app).await;
        let (key, secret) = create(app, &token, &id, &[Scope::WorkspacesRead]).await;
        let call = async |good: u32, bad: u32| {
            for _ in 0..good {
                get_workspace(app, &secret, "").await.expect("may look");
            }
            for _ in 0..bad {
                get_workspace(app, &secret, "x").await.expect_err("is nowhere");
            }
            flush_last_use(app.env()).await.expect("writes");
        };
        call(3, 2).await;
        app.clock.advance(Duration::days(1));
        call(1, 0).await;
        app.clock.advance(Duration::minutes(1));
        call(0, 1).await;
        let token = again(app, "owner@localhost").await;
        let asked = v1::GetApiKeyUsageRequest {
            workspace_id: id.clone(),
            api_key_id: key.id.clone(),
            ..Default::default()
        };
        let mut client = keys(app, &token).await;
        let told = client.get_api_key_usage(asked.clone()).await.expect("tells").into_inner();
        assert_eq!(told.api_key.expect("always there").id, key.id);
        let days: Vec<_> = told.days.iter().map(|day| (day.date.as_str(), day.calls, day.errors)).collect();
        assert_eq!(days, [("2026-11-22", 5, 2), ("2026-11-23", 2, 1)]);
        let last = v1::GetApiKeyUsageRequest { days: 1, ..asked.clone() };
        let told = client.get_api_key_usage(last).await.expect("tells").into_inner();
        assert_eq!(told.days.len(), 1);
        let refused = client.get_api_key_usage(v1::GetApiKeyUsageRequest { days: 401, ..asked }).await;
        assert_eq!(wrong(&refused.expect_err("so far back nothing is known")), ["days"]);
    })
    .await;
}

#[tokio::test]
async fn keys_that_nobody_uses_or_that_are_old_are_stale() {
    on_every_store(async |app| {
        let (token, id) = settled_owner(app).await;
        let long = |name: &str| {
            let expire_time = app.env().now().timestamp() + 300 * 86_400;
            let mut asked = request(&id, &[Scope::WorkspacesRead]);
            let key = asked.api_key.as_mut().expect("set");
            key.name = name.into();
            key.expire_time = Some(prost_types::Timestamp { seconds: expire_time, nanos: 0 });
            asked
        };
        let mut made = std::collections::HashMap::new();
        for name in ["used", "unused", "revoked", "rotated"] {
            let created =
                keys(app, &token).await.create_api_key(long(name)).await.expect("creates").into_inner();
            made.insert(name, (created.api_key.expect("always there").id, created.secret));
            app.clock.advance(Duration::milliseconds(1));
        }
        let asked =
            v1::RevokeApiKeyRequest { workspace_id: id.clone(), api_key_id: made["revoked"].0.clone() };
        keys(app, &token).await.revoke_api_key(asked).await.expect("revokes");
        let stale = async |unused_days: i32| {
            let token = again(app, "owner@localhost").await;
            let asked = v1::ListApiKeysRequest {
                workspace_id: id.clone(),
                stale: true,
                unused_days,
                ..Default::default()
            };
            let listed = keys(app, &token).await.list_api_keys(asked).await.expect("lists").into_inner();
            listed.api_keys.into_iter().map(|key| key.name).collect::<Vec<_>>()
        };
        assert!(stale(0).await.is_empty());
        app.clock.advance(Duration::days(30));
        get_workspace(app, &made["used"].1, "").await.expect("is good");
        flush_last_use(app.env()).await.expect("writes");
        assert_eq!(stale(0).await, ["rotated", "unused"]);
        assert!(stale(31).await.is_empty());
        app.clock.advance(Duration::days(60));
        get_workspace(app, &made["used"].1, "").await.expect("is good");
        flush_last_use(app.env()).await.expect("writes");
        let token = again(app, "owner@localhost").await;
        let rotated = rotation(&id, &made["rotated"].0, Some(0));
        let secret =
            keys(app, &token).await.rotate_api_key(rotated).await.expect("rotates").into_inner().secret;
        get_workspace(app, &secret, "").await.expect("is good");
        flush_last_use(app.env()).await.expect("writes");
        assert_eq!(stale(0).await, ["unused", "used"], "ninety days are old, however much it is used");
    })
    .await;
}

#[tokio::test]
async fn a_key_that_ends_is_spoken_of_three_times_however_many_nodes_look() {
    for store in stores() {
        let app = App::start(store).await;
        let beside = if store == Store::Production { Some(app.start_beside(&[]).await) } else { None };
        let there = beside.as_ref().unwrap_or(&app);
        let (token, id) = settled_owner(&app).await;
        let (key, _) = create(&app, &token, &id, &[Scope::LinksRead]).await;
        let key = uuid::Uuid::parse_str(&key.id).expect("an id");
        let told = async || {
            let looks =
                (0..6).map(|number| warn::sweep(if number % 2 == 0 { app.env() } else { there.env() }));
            for look in futures::future::join_all(looks).await {
                look.expect("the stores answer");
            }
            let happened = outbox::Entity::find().all(&app.env().db.api).await.expect("the stores answer");
            assert!(
                happened.iter().all(|one| (one.kind.as_str(), one.subject_id) == ("api_key.expiring", key))
            );
            happened.len()
        };
        // Ninety days, of which so many are left.
        for (days, times) in [(75, 0), (1, 1), (6, 1), (1, 2), (5, 2), (1, 3), (1, 3)] {
            app.clock.advance(Duration::days(days));
            // The outbox forgets after a week; what is counted here is what was ever told.
            let before = told().await;
            assert_eq!(before, times, "on {store}, after {days} more days");
        }
        if let Some(beside) = beside {
            beside.stop().await;
        }
        app.stop().await;
    }
}
