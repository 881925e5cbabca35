//! Finds out who calls.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, header::AUTHORIZATION};

use crate::{
    accounts,
    apps::tokens,
    env::Env,
    error::{Error, Reason, Result},
    rpc::{Caller, Recheck, bearer, origin},
    serve::refusal::refuse,
    workspaces::keys,
};

/// Methods that need no credentials. They ignore those that come along: a client whose access token has just ended
/// sends it with RefreshSession.
pub(super) const OPEN: &[&str] = &[
    "/linkforty.v1.AuthService/SignIn",
    "/linkforty.v1.AuthService/CompleteSignIn",
    "/linkforty.v1.AuthService/RefreshSession",
    "/linkforty.v1.AuthService/GetSignInMethods",
    "/linkforty.v1.AuthService/BeginOidcSignIn",
    "/linkforty.v1.AuthService/CompleteOidcSignIn",
    "/linkforty.v1.AuthService/BeginPasskeySignIn",
    "/linkforty.v1.AuthService/FinishPasskeySignIn",
    "/linkforty.v1.AuthService/RequestPasswordReset",
    "/linkforty.v1.AuthService/ResetPassword",
    "/linkforty.v1.AuthService/VerifyEmail",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
];

/// Methods that answer for as long as the caller likes, and look at the credentials again from time to time.
const LONG: &[&str] = &[
    "/linkforty.v1.AnalyticsService/WatchEvents",
    "/linkforty.v1.AuditService/ExportAuditEvents",
    "/linkforty.v1.LinkService/ExportLinks",
    "/linkforty.v1.LinkService/ImportLinks",
];

/// What API keys begin with, and no access token does.
const API_KEY_START: &str = "lf_";

/// Puts the caller into the extensions. Bad credentials are refused here, for every method alike; whether there must be
/// some is for the method to say.
pub(super) async fn authenticate(State(env): State<Env>, mut request: Request, next: Next) -> Response {
    let mut key = None;
    if !OPEN.contains(&request.uri().path()) {
        let authorization = request.headers().get(AUTHORIZATION).cloned();
        match caller(&env, authorization.as_ref()).await {
            Ok(Some(caller)) => {
                let caller = caller.from(origin(request.headers(), request.extensions()));
                tracing::Span::current().record("caller", tracing::field::display(caller.principal()));
                if let Caller::ApiKey { id, workspace, .. } = &caller {
                    key = Some((*id, *workspace));
                }
                request.extensions_mut().insert(caller);
                if LONG.contains(&request.uri().path()) {
                    request.extensions_mut().insert(recheck(env.clone(), authorization));
                }
            }
            Ok(None) => {}
            Err(error) => return refuse(error),
        }
    }
    let response = next.run(request).await;
    // An error is told before anything else; what goes wrong in the middle of a stream is not counted.
    if let Some((key, workspace)) = key
        && response.headers().get("grpc-status").is_some_and(|status| status != "0")
    {
        keys::note_error(&env, key, workspace);
    }
    response
}

fn recheck(env: Env, authorization: Option<HeaderValue>) -> Recheck {
    Recheck::new(move || {
        let (env, authorization) = (env.clone(), authorization.clone());
        Box::pin(
            async move { caller(&env, authorization.as_ref()).await?.ok_or_else(Error::credentials_invalid) },
        )
    })
}

async fn caller(env: &Env, authorization: Option<&HeaderValue>) -> Result<Option<Caller>> {
    let Some(value) = authorization else { return Ok(None) };
    let bearer = bearer(value).ok_or_else(|| {
        Error::new(Reason::CredentialsMissing, "the authorization must have the form `Bearer ...`")
    })?;
    if bearer.starts_with(tokens::START) {
        return Err(Error::new(
            Reason::CredentialsInvalid,
            "this is the token of an app: it opens linkforty.sdk.v1 on the links listener, and nothing here",
        ));
    }
    let caller = if bearer.starts_with(API_KEY_START) {
        keys::authenticate(env, bearer).await
    } else {
        accounts::authenticate(env, bearer).await
    };
    caller.map(Some)
}
