//! Finds out who calls.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, header::AUTHORIZATION};

use crate::{
    accounts,
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
    if !OPEN.contains(&request.uri().path()) {
        let authorization = request.headers().get(AUTHORIZATION).cloned();
        match caller(&env, authorization.as_ref()).await {
            Ok(Some(caller)) => {
                let caller = caller.from(origin(request.headers(), request.extensions()));
                tracing::Span::current().record("caller", tracing::field::display(caller.principal()));
                request.extensions_mut().insert(caller);
                if LONG.contains(&request.uri().path()) {
                    request.extensions_mut().insert(recheck(env, authorization));
                }
            }
            Ok(None) => {}
            Err(error) => return refuse(error),
        }
    }
    next.run(request).await
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
    let caller = if bearer.starts_with(API_KEY_START) {
        keys::authenticate(env, bearer).await
    } else {
        accounts::authenticate(env, bearer).await
    };
    caller.map(Some)
}
