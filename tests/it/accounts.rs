//! People sign in, stay signed in, change their password and sign out.

use chrono::Duration;
use linkforty::{
    accounts::FirstSignIn,
    pb::v1::{
        self, auth_service_client::AuthServiceClient, workspace_service_client::WorkspaceServiceClient,
    },
};
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};
use tonic_types::StatusExt as _;

use crate::support::{App, Bearer, Store, on_every_store, reason};

pub const PASSWORD: &str = "wir essen heute kuchen";

/// The API for nobody in particular.
pub async fn nobody(app: &App) -> AuthServiceClient<Channel> {
    AuthServiceClient::new(app.channel().await)
}

/// The API for whoever holds the token.
pub async fn auth(app: &App, token: &str) -> AuthServiceClient<InterceptedService<Channel, Bearer>> {
    AuthServiceClient::with_interceptor(app.channel().await, Bearer(token.to_owned()))
}

/// Returns what the first owner signs in with.
pub async fn first_owner(app: &App) -> FirstSignIn {
    app.first_sign_in().await.expect("nobody else was told").clone()
}

/// Signs in.
pub async fn sign_in(app: &App, email: &str, password: &str) -> Result<v1::SignInResponse, Status> {
    let request = v1::SignInRequest { email: email.into(), password: password.into(), cookie: false };
    nobody(app).await.sign_in(request).await.map(tonic::Response::into_inner)
}

pub async fn refresh(app: &App, token: &str) -> Result<v1::SessionTokens, Status> {
    let request = v1::RefreshSessionRequest { refresh_token: token.into() };
    let answer = nobody(app).await.refresh_session(request).await?;
    Ok(answer.into_inner().tokens.expect("always there"))
}

pub async fn change_password(
    app: &App,
    token: &str,
    old: &str,
    new: &str,
) -> Result<v1::SessionTokens, Status> {
    let request = v1::ChangePasswordRequest { current_password: old.into(), new_password: new.into() };
    let answer = auth(app, token).await.change_password(request).await?;
    Ok(answer.into_inner().tokens.expect("always there"))
}

pub async fn me(app: &App, token: &str) -> Result<v1::GetMeResponse, Status> {
    auth(app, token).await.get_me(v1::GetMeRequest {}).await.map(tonic::Response::into_inner)
}

/// An access token of the first owner, who has changed their password, and their workspace's id.
pub async fn settled_owner(app: &App) -> (String, String) {
    let first = first_owner(app).await;
    let tokens = sign_in(app, &first.email, &first.password).await.expect("signs in").tokens;
    let token = tokens.expect("always there").access_token;
    let tokens = change_password(app, &token, &first.password, PASSWORD).await.expect("changes");
    let me = me(app, &tokens.access_token).await.expect("is known");
    (tokens.access_token, me.memberships[0].workspace_id.clone())
}

fn fields(status: &Status) -> Vec<(String, String)> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| (violation.field, violation.description)).collect()
}

#[tokio::test]
async fn a_person_signs_in_and_must_change_a_password_that_others_know() {
    on_every_store(async |app| {
        let first = first_owner(app).await;
        let answer = sign_in(app, &first.email.to_uppercase(), &first.password).await.expect("signs in");
        let (user, tokens) = (answer.user.expect("always there"), answer.tokens.expect("always there"));
        assert!(user.password_change_required);
        assert_eq!(user.email, "owner@localhost");
        let token = tokens.access_token;

        // GetMe answers, everything else waits.
        let known = me(app, &token).await.expect("is known");
        assert_eq!(known.memberships[0].workspace_name, "My workspace");
        assert_eq!(known.memberships[0].role(), v1::Role::Owner);
        let mut workspaces =
            WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(token.clone()));
        let asked = v1::GetWorkspaceRequest { workspace_id: known.memberships[0].workspace_id.clone() };
        let refused = workspaces.get_workspace(asked.clone()).await.expect_err("the password comes first");
        assert_eq!(
            (refused.code(), &*reason(&refused)),
            (Code::FailedPrecondition, "PASSWORD_CHANGE_REQUIRED")
        );
        let refused = workspaces.list_workspaces(v1::ListWorkspacesRequest::default()).await;
        assert_eq!(reason(&refused.expect_err("here too")), "PASSWORD_CHANGE_REQUIRED");
        let refused = workspaces.create_workspace(v1::CreateWorkspaceRequest::default()).await;
        assert_eq!(reason(&refused.expect_err("and here")), "PASSWORD_CHANGE_REQUIRED");

        let tokens = change_password(app, &token, &first.password, PASSWORD).await.expect("changes");
        let mut workspaces =
            WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(tokens.access_token));
        assert!(workspaces.get_workspace(asked).await.is_ok());
        assert!(
            !sign_in(app, &first.email, PASSWORD)
                .await
                .expect("signs in")
                .user
                .expect("always there")
                .password_change_required
        );
    })
    .await;
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_email_are_refused_alike() {
    on_every_store(async |app| {
        let first = first_owner(app).await;
        let wrong = sign_in(app, &first.email, "not this one at all").await.expect_err("wrong");
        let unknown = sign_in(app, "nobody@example.com", "not this one at all").await.expect_err("unknown");
        assert_eq!(reason(&wrong), "SIGN_IN_FAILED");
        assert_eq!(
            (wrong.code(), wrong.message(), wrong.details()),
            (unknown.code(), unknown.message(), unknown.details())
        );
        let nothing = sign_in(app, "", "").await.expect_err("nothing at all");
        assert_eq!(fields(&nothing).len(), 2);
    })
    .await;
}

#[tokio::test]
async fn every_rule_a_new_password_breaks_is_named() {
    on_every_store(async |app| {
        let first = first_owner(app).await;
        let tokens = sign_in(app, &first.email, &first.password).await.expect("signs in").tokens;
        let token = tokens.expect("always there").access_token;
        for (new, rules) in [
            ("aaaa", 2),
            (&*first.password, 1),
            ("passwordpassword", 1),
            (&*"wir essen heute kuchen ".repeat(12), 1),
            ("owner@localhost", 1),
        ] {
            let refused = change_password(app, &token, &first.password, new).await.expect_err("breaks rules");
            assert_eq!(refused.code(), Code::InvalidArgument);
            assert_eq!(fields(&refused).len(), rules, "{new}: {:?}", fields(&refused));
            assert!(fields(&refused).iter().all(|(field, _)| field == "new_password"));
        }
        let refused = change_password(app, &token, "not this one at all", PASSWORD).await;
        assert_eq!(reason(&refused.expect_err("wrong")), "SIGN_IN_FAILED");
    })
    .await;
}

#[tokio::test]
async fn a_session_is_refreshed_and_a_stolen_refresh_token_ends_it() {
    on_every_store(async |app| {
        let first = first_owner(app).await;
        let tokens = sign_in(app, &first.email, &first.password).await.expect("signs in").tokens;
        let old = tokens.expect("always there");
        app.clock.advance(Duration::minutes(11));
        let refused = me(app, &old.access_token).await.expect_err("ten minutes are over");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::Unauthenticated, "CREDENTIALS_INVALID"));
        let new = refresh(app, &old.refresh_token).await.expect("refreshes");
        let again = refresh(app, &old.refresh_token).await.expect("the answer was lost");
        assert_eq!(new.refresh_token, again.refresh_token);
        assert!(me(app, &new.access_token).await.is_ok());
        app.clock.advance(Duration::seconds(31));
        let refused = refresh(app, &old.refresh_token).await.expect_err("somebody has a copy");
        assert_eq!(reason(&refused), "CREDENTIALS_INVALID");
        assert_eq!(reason(&me(app, &new.access_token).await.expect_err("ended")), "CREDENTIALS_INVALID");
        let alike = refresh(app, "not a token").await.expect_err("nonsense");
        assert_eq!((refused.message(), refused.details()), (alike.message(), alike.details()));
    })
    .await;
}

#[tokio::test]
async fn signing_out_ends_the_session_at_once() {
    on_every_store(async |app| {
        let first = first_owner(app).await;
        let tokens = sign_in(app, &first.email, &first.password).await.expect("signs in").tokens;
        let tokens = tokens.expect("always there");
        let other = sign_in(app, &first.email, &first.password).await.expect("signs in").tokens;
        me(app, &tokens.access_token).await.expect("is known");
        let mut client = auth(app, &tokens.access_token).await;
        client.sign_out(v1::SignOutRequest {}).await.expect("signs out");
        for refused in [
            me(app, &tokens.access_token).await.expect_err("ended"),
            client.sign_out(v1::SignOutRequest {}).await.expect_err("ended"),
            refresh(app, &tokens.refresh_token).await.expect_err("ended"),
        ] {
            assert_eq!(reason(&refused), "CREDENTIALS_INVALID");
        }
        assert!(me(app, &other.expect("always there").access_token).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_password_change_ends_the_other_sessions() {
    let app = App::start(Store::Embedded).await;
    let first = first_owner(&app).await;
    let other = sign_in(&app, &first.email, &first.password).await.expect("signs in").tokens;
    let other = other.expect("always there");
    me(&app, &other.access_token).await.expect("is known");
    let (token, _) = settled_owner(&app).await;
    assert!(me(&app, &token).await.is_ok());
    assert_eq!(reason(&me(&app, &other.access_token).await.expect_err("ended")), "CREDENTIALS_INVALID");
    assert_eq!(reason(&refresh(&app, &other.refresh_token).await.expect_err("ended")), "CREDENTIALS_INVALID");
    app.stop().await;
}

#[tokio::test]
async fn credentials_are_missing_or_invalid() {
    let app = App::start(Store::Embedded).await;
    let nobody = nobody(&app).await.get_me(v1::GetMeRequest {}).await.expect_err("who?");
    assert_eq!(reason(&nobody), "CREDENTIALS_MISSING");
    assert_eq!(reason(&me(&app, "what").await.expect_err("no token")), "CREDENTIALS_MISSING");
    assert_eq!(reason(&me(&app, "a.b.c").await.expect_err("forged")), "CREDENTIALS_INVALID");
    assert_eq!(reason(&me(&app, "lf_live_x").await.expect_err("forged")), "CREDENTIALS_INVALID");
    app.stop().await;
}
