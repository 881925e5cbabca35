//! The dashboard keeps its refresh token in a cookie that no script, no other page and no other host gets at.

use bytes::Bytes;
use chrono::Duration;
use http::Method;
use linkforty::pb::v1;
use tonic::{Code, Status};

use crate::{
    accounts::{PASSWORD, refresh, settled_owner},
    support::{Answer, App, Store, call_web, frame, on_every_store, reason, send},
};

const DASHBOARD: (&str, &str) = ("origin", "https://dash.example.test");
const SIGN_IN: &str = "/linkforty.v1.AuthService/SignIn";
const REFRESH: &str = "/linkforty.v1.AuthService/RefreshSession";
const SIGN_OUT: &str = "/linkforty.v1.AuthService/SignOut";
const CHANGE: &str = "/linkforty.v1.AuthService/ChangePassword";
const GET_ME: &str = "/linkforty.v1.AuthService/GetMe";

fn request(cookie: bool) -> v1::SignInRequest {
    v1::SignInRequest { email: "owner@localhost".into(), password: PASSWORD.into(), cookie }
}

/// Returns what a browser sends back of the cookie it got.
fn kept(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie");
    cookie.split(';').next().unwrap_or_default().to_owned()
}

async fn sign_in(app: &App) -> (v1::SessionTokens, String) {
    let (answer, http) =
        call_web::<v1::SignInResponse>(app.api(), SIGN_IN, &request(true), &[DASHBOARD]).await;
    (answer.expect("signs in").tokens.expect("always there"), kept(&http))
}

async fn renew(app: &App, headers: &[(&str, &str)]) -> (Result<v1::SessionTokens, Status>, Answer) {
    let asked = v1::RefreshSessionRequest::default();
    let (answer, http) = call_web::<v1::RefreshSessionResponse>(app.api(), REFRESH, &asked, headers).await;
    (answer.map(|answer| answer.tokens.expect("always there")), http)
}

#[tokio::test]
async fn a_browser_signs_in_refreshes_and_signs_out_by_cookie() {
    on_every_store(async |app| {
        settled_owner(app).await;
        let (answer, http) =
            call_web::<v1::SignInResponse>(app.api(), SIGN_IN, &request(true), &[DASHBOARD]).await;
        let tokens = answer.expect("signs in").tokens.expect("always there");
        assert!(tokens.refresh_token.is_empty() && !tokens.access_token.is_empty());
        let set = http.header("set-cookie");
        assert!(set.starts_with("__Host-lf_session="), "{set}");
        assert!(set.ends_with("; Max-Age=1209600; Path=/; Secure; HttpOnly; SameSite=Strict"), "{set}");
        assert_eq!(http.header("access-control-allow-credentials"), "true");

        let cookie = kept(&http);
        app.clock.advance(Duration::minutes(11));
        let (renewed, http) = renew(app, &[DASHBOARD, ("cookie", &cookie)]).await;
        let renewed = renewed.expect("refreshes");
        assert!(renewed.refresh_token.is_empty());
        let next = kept(&http);
        assert!(next.starts_with("__Host-lf_session=") && next != cookie);

        // The password changes, and the cookie with it.
        let bearer = format!("Bearer {}", renewed.access_token);
        let headers = [DASHBOARD, ("cookie", &*next), ("authorization", &*bearer)];
        let change = v1::ChangePasswordRequest {
            current_password: PASSWORD.into(),
            new_password: "la lune est belle ce soir".into(),
        };
        let (changed, http) =
            call_web::<v1::ChangePasswordResponse>(app.api(), CHANGE, &change, &headers).await;
        let changed = changed.expect("changes").tokens.expect("always there");
        assert!(changed.refresh_token.is_empty());
        let last = kept(&http);
        assert!(renew(app, &[DASHBOARD, ("cookie", &last)]).await.0.is_ok());

        let bearer = format!("Bearer {}", changed.access_token);
        let headers = [DASHBOARD, ("cookie", &*last), ("authorization", &*bearer)];
        let (out, http) =
            call_web::<v1::SignOutResponse>(app.api(), SIGN_OUT, &v1::SignOutRequest {}, &headers).await;
        out.expect("signs out");
        let cleared = http.header("set-cookie");
        assert_eq!(cleared, "__Host-lf_session=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict");
        let (refused, _) = renew(app, &[DASHBOARD, ("cookie", &last)]).await;
        assert_eq!(reason(&refused.expect_err("ended")), "CREDENTIALS_INVALID");
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_no_cookie_gets_none() {
    on_every_store(async |app| {
        settled_owner(app).await;
        let (answer, http) =
            call_web::<v1::SignInResponse>(app.api(), SIGN_IN, &request(false), &[DASHBOARD]).await;
        let tokens = answer.expect("signs in").tokens.expect("always there");
        assert_eq!(http.header("set-cookie"), "");
        // A token that was sent is the one that counts, and it is answered as it came.
        let (_, cookie) = sign_in(app).await;
        let asked = v1::RefreshSessionRequest { refresh_token: tokens.refresh_token };
        let headers = [DASHBOARD, ("cookie", &*cookie)];
        let (answer, http) =
            call_web::<v1::RefreshSessionResponse>(app.api(), REFRESH, &asked, &headers).await;
        let tokens = answer.expect("refreshes").tokens.expect("always there");
        assert_eq!(http.header("set-cookie"), "");
        assert!(refresh(app, &tokens.refresh_token).await.is_ok());
        assert!(renew(app, &headers).await.0.is_ok(), "the one in the cookie was not used");
        let (refused, _) = renew(app, &[DASHBOARD]).await;
        assert_eq!(reason(&refused.expect_err("neither")), "CREDENTIALS_INVALID");
    })
    .await;
}

#[tokio::test]
async fn a_cookie_is_good_for_pages_of_the_dashboard_alone() {
    on_every_store(async |app| {
        settled_owner(app).await;
        let (tokens, cookie) = sign_in(app).await;
        let bearer = format!("Bearer {}", tokens.access_token);
        for (what, headers) in [
            ("no origin", &[][..]),
            ("another origin", &[("origin", "https://evil.example")]),
            ("a sandboxed page", &[("origin", "null")]),
            ("another site by its own words", &[DASHBOARD, ("sec-fetch-site", "cross-site")]),
            ("an address that was typed", &[DASHBOARD, ("sec-fetch-site", "none")]),
            ("a site without an origin", &[("sec-fetch-site", "same-origin")]),
        ] {
            let headers = [headers, &[("cookie", &*cookie)]].concat();
            let (refused, http) = renew(app, &headers).await;
            let refused = refused.expect_err(what);
            assert_eq!(
                (refused.code(), &*reason(&refused)),
                (Code::PermissionDenied, "COOKIE_NOT_ALLOWED"),
                "{what}"
            );
            assert_eq!(http.header("set-cookie"), "", "{what}");
            // Every call that carries it, not only those that use it.
            let headers = [&headers[..], &[("authorization", &*bearer)]].concat();
            let (refused, _) =
                call_web::<v1::GetMeResponse>(app.api(), GET_ME, &v1::GetMeRequest {}, &headers).await;
            assert_eq!(reason(&refused.expect_err(what)), "COOKIE_NOT_ALLOWED", "{what}");
        }
        // Other cookies are nobody's business.
        let headers = [("cookie", "theme=dark"), ("authorization", &*bearer)];
        let (known, _) =
            call_web::<v1::GetMeResponse>(app.api(), GET_ME, &v1::GetMeRequest {}, &headers).await;
        known.expect("is known");
        for site in ["same-origin", "same-site"] {
            let headers =
                [DASHBOARD, ("sec-fetch-site", site), ("cookie", &*cookie), ("authorization", &*bearer)];
            let (known, _) =
                call_web::<v1::GetMeResponse>(app.api(), GET_ME, &v1::GetMeRequest {}, &headers).await;
            known.expect("is the dashboard");
        }
        assert!(renew(app, &[DASHBOARD, ("cookie", &cookie)]).await.0.is_ok());
    })
    .await;
}

#[tokio::test]
async fn hosts_of_links_know_no_cookie() {
    let app = App::start(Store::Embedded).await;
    let asked = [("access-control-request-method", "POST"), ("access-control-request-headers", "x-grpc-web")];
    let path = "/linkforty.sdk.v1.SdkService/ReportInstall";
    let headers = [&asked[..], &[DASHBOARD]].concat();
    let answer = send(app.links(), Method::OPTIONS, path, &headers, Bytes::new()).await;
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let headers = [("content-type", "application/grpc-web+proto"), DASHBOARD];
    for path in [SIGN_IN, REFRESH, "/", "/unknown"] {
        let answer = send(app.links(), Method::POST, path, &headers, frame(b"")).await;
        assert_eq!(answer.header("set-cookie"), "", "{path}: {answer:?}");
    }
    app.stop().await;
}
