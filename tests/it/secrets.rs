//! The secret that people are signed in with is changed under their hands, node by node.

use std::process::Command;

use linkforty::pb::v1::{self, auth_service_client::AuthServiceClient};
use tonic::Code;

use crate::{
    accounts::{PASSWORD, auth, settled_owner, sign_in},
    support::{App, Store, stores},
};

const OLD: &str = "q1J8mWv0Zr5TfXyKc3LbNhGpAsDu7EiO";
const OTHER: &str = "Zx7PqLm2Rt9WvKs4YnBc6HdGfJ1aTe3U";
const NEW: &str = "8sKe2VbQm4Xo6TzRn0LpYc5HdWuGfJ1a";

async fn tokens(app: &App) -> v1::SessionTokens {
    let signed_in = sign_in(app, "owner@localhost", PASSWORD).await.expect("signs in");
    signed_in.tokens.expect("always there")
}

async fn refresh(app: &App, refresh_token: &str) -> Result<v1::SessionTokens, tonic::Status> {
    let request = v1::RefreshSessionRequest { refresh_token: refresh_token.to_owned(), ..Default::default() };
    let answer = AuthServiceClient::new(app.channel().await).refresh_session(request).await?;
    Ok(answer.into_inner().tokens.expect("always there"))
}

async fn is_believed(app: &App, access_token: &str) -> bool {
    match auth(app, access_token).await.get_me(v1::GetMeRequest {}).await {
        Ok(_) => true,
        Err(refused) => {
            assert_eq!(refused.code(), Code::Unauthenticated);
            false
        }
    }
}

#[tokio::test]
async fn nobody_is_signed_out_while_the_secret_is_changed_node_by_node() {
    let Some(store) = stores().into_iter().find(|store| *store == Store::Production) else { return };
    let app = App::start(store).await;
    settled_owner(&app).await;
    let steps: [&[(&str, &str)]; 4] = [
        &[("JWT_SECRET", OLD), ("SESSION_SECRET", OTHER)],
        &[("JWT_SECRET_PREVIOUS", NEW)],
        &[("JWT_SECRET", NEW), ("JWT_SECRET_PREVIOUS", OLD)],
        &[("JWT_SECRET_PREVIOUS", "")],
    ];
    let mut before = app.start_beside(steps[0]).await;
    let first = tokens(&before).await;
    let mut current = first.clone();
    for step in &steps[1..] {
        // Both run for a while, and a person meets now the one, now the other.
        let after = before.start_beside(step).await;
        assert!(is_believed(&after, &current.access_token).await);
        current = refresh(&after, &current.refresh_token).await.expect("goes on");
        assert!(is_believed(&before, &current.access_token).await);
        current = refresh(&before, &current.refresh_token).await.expect("goes on");
        current = refresh(&after, &current.refresh_token).await.expect("goes on");
        before.stop().await;
        before = after;
    }
    assert!(is_believed(&before, &current.access_token).await);
    assert!(!is_believed(&before, &first.access_token).await, "the old secret is worth nothing any more");
    before.stop().await;
    app.stop().await;
}

fn rotate(app: &App, step: &str) -> String {
    let data_dir = &app.env().config.data_dir;
    let done = Command::new(env!("CARGO_BIN_EXE_linkforty"))
        .args(["secret", "rotate", step, "--data-dir"])
        .arg(data_dir)
        .env_clear()
        .output()
        .expect("runs");
    assert!(done.status.success(), "{step}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8")
}

#[tokio::test]
async fn the_secret_of_an_embedded_server_is_changed_at_the_command_line() {
    let made_by_itself = [("JWT_SECRET", ""), ("SESSION_SECRET", "")];
    let app = App::start_with(Store::Embedded, &made_by_itself).await;
    settled_owner(&app).await;
    let first = tokens(&app).await;
    let told = rotate(&app, "switch");
    assert!(told.starts_with("switched."), "{told}");
    let app = app.restart().await;
    assert!(is_believed(&app, &first.access_token).await);
    let current = refresh(&app, &first.refresh_token).await.expect("goes on");
    rotate(&app, "finish");
    let app = app.restart().await;
    assert!(!is_believed(&app, &first.access_token).await);
    assert!(is_believed(&app, &current.access_token).await);
    app.stop().await;
}
