//! Workspaces: made once, listed page by page, and shut to everybody else.

use chrono::Duration;
use linkforty::{
    accounts::people,
    pb::v1::{self, workspace_service_client::WorkspaceServiceClient},
    workspaces::{Role, enter_as_operator},
};
use tonic::{Code, service::interceptor::InterceptedService, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{
    accounts::{PASSWORD, auth, settled_owner, sign_in},
    support::{App, Bearer, on_every_store, reason},
};

type Client = WorkspaceServiceClient<InterceptedService<Channel, Bearer>>;

async fn client(app: &App, token: &str) -> Client {
    WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(token.to_owned()))
}

fn create(name: &str, request_id: &str) -> v1::CreateWorkspaceRequest {
    let workspace = v1::Workspace { name: name.into(), ..v1::Workspace::default() };
    v1::CreateWorkspaceRequest { workspace: Some(workspace), request_id: request_id.into() }
}

/// An access token of a new person, in the owner's workspace if a role is given.
pub async fn person(app: &App, email: &str, place: Option<(&str, Role)>) -> String {
    let env = app.env();
    let joined = match place {
        Some((id, role)) => Some((enter_as_operator(env, Some(id)).await.expect("exists"), role)),
        None => None,
    };
    let place = joined.as_ref().map(|(tenant, role)| (tenant, *role));
    let first = people::create(env, email, "", place).await.expect("adds");
    let tokens = sign_in(app, email, &first.password).await.expect("signs in").tokens.expect("always there");
    let request =
        v1::ChangePasswordRequest { current_password: first.password, new_password: PASSWORD.into() };
    let changed = auth(app, &tokens.access_token).await.change_password(request).await.expect("changes");
    changed.into_inner().tokens.expect("always there").access_token
}

/// Another access token of a person that [`person`] made, or of the settled owner: one lives ten minutes.
pub async fn again(app: &App, email: &str) -> String {
    let tokens = sign_in(app, email, PASSWORD).await.expect("signs in").tokens;
    tokens.expect("always there").access_token
}

#[tokio::test]
async fn a_workspace_is_made_once_for_a_request_id() {
    on_every_store(async |app| {
        let (token, _) = settled_owner(app).await;
        let mut client = client(app, &token).await;
        let id = "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506";
        let made =
            client.create_workspace(create(" Acme ", id)).await.expect("creates").into_inner().workspace;
        let made = made.expect("always there");
        assert_eq!((made.name.as_str(), made.role()), ("Acme", v1::Role::Owner));
        let again = client.create_workspace(create(" Acme ", id)).await.expect("a repeat").into_inner();
        assert_eq!(again.workspace.as_ref(), Some(&made));
        let other = client.create_workspace(create("Other", id)).await.expect_err("other content");
        assert_eq!(reason(&other), "IDEMPOTENCY_KEY_REUSED");
        let asked = v1::GetWorkspaceRequest { workspace_id: made.id.clone() };
        assert_eq!(client.get_workspace(asked).await.expect("gets").into_inner().workspace, Some(made));
        let wrong = client.create_workspace(create("", "x")).await.expect_err("two faults");
        let faults = wrong.get_details_bad_request().expect("always there").field_violations;
        let faults: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(faults, ["workspace.name", "request_id"]);
    })
    .await;
}

#[tokio::test]
async fn workspaces_are_listed_oldest_first_page_by_page() {
    on_every_store(async |app| {
        let (token, first) = settled_owner(app).await;
        let mut client = client(app, &token).await;
        let mut expected = vec![first];
        for name in ["b", "a", "c", "d"] {
            app.clock.advance(Duration::milliseconds(1));
            let made = client.create_workspace(create(name, "")).await.expect("creates").into_inner();
            expected.push(made.workspace.expect("always there").id);
        }
        let mut listed = Vec::new();
        let mut page_token = String::new();
        let mut sizes = Vec::new();
        loop {
            let asked = v1::ListWorkspacesRequest { page_size: 2, page_token };
            let page = client.list_workspaces(asked).await.expect("lists").into_inner();
            sizes.push(page.workspaces.len());
            listed.extend(page.workspaces.into_iter().map(|workspace| workspace.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!((listed, sizes), (expected, vec![2, 2, 1]));

        // A token is no use to somebody else.
        let asked = v1::ListWorkspacesRequest { page_size: 2, page_token: String::new() };
        let page_token = client.list_workspaces(asked).await.expect("lists").into_inner().next_page_token;
        let stranger = person(app, "ann@example.com", None).await;
        let mut stranger = self::client(app, &stranger).await;
        let asked = v1::ListWorkspacesRequest { page_size: 2, page_token };
        let refused = stranger.list_workspaces(asked).await.expect_err("another's token");
        assert_eq!(reason(&refused), "PAGE_TOKEN_INVALID");
        let empty = stranger.list_workspaces(v1::ListWorkspacesRequest::default()).await.expect("lists");
        assert!(empty.into_inner().workspaces.is_empty());
    })
    .await;
}

#[tokio::test]
async fn somebody_elses_workspace_answers_as_one_that_does_not_exist() {
    on_every_store(async |app| {
        let (token, id) = settled_owner(app).await;
        let stranger = person(app, "ann@example.com", None).await;
        let viewer = person(app, "bob@example.com", Some((&id, Role::Viewer))).await;
        let mut answers = Vec::new();
        for asked in [id.as_str(), "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506", "no id at all"] {
            let request = v1::GetWorkspaceRequest { workspace_id: asked.into() };
            let refused = client(app, &stranger).await.get_workspace(request).await.expect_err("not theirs");
            assert_eq!((refused.code(), &*reason(&refused)), (Code::NotFound, "NOT_FOUND"));
            answers.push((refused.message().to_owned(), refused.details().to_vec()));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        let request = v1::GetWorkspaceRequest { workspace_id: id };
        let seen = client(app, &viewer).await.get_workspace(request.clone()).await.expect("may look");
        assert_eq!(seen.into_inner().workspace.expect("always there").role(), v1::Role::Viewer);
        assert!(client(app, &token).await.get_workspace(request).await.is_ok());
        let nameless = v1::GetWorkspaceRequest::default();
        let refused = client(app, &token).await.get_workspace(nameless).await.expect_err("which?");
        assert_eq!(refused.code(), Code::InvalidArgument);
    })
    .await;
}
