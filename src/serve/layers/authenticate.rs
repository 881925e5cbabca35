//! Finds out who calls.

use std::sync::Arc;

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
    serve::{refusal::refuse, tls::ClientNames},
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
    "/linkforty.v1.ReportService/OpenReportShare",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
];

/// Methods that answer for as long as the caller likes, and look at the credentials again from time to time.
const LONG: &[&str] = &[
    "/linkforty.v1.AnalyticsService/ExportReport",
    "/linkforty.v1.AnalyticsService/WatchEvents",
    "/linkforty.v1.AttributionService/ReplayAttribution",
    "/linkforty.v1.AuditService/ExportAuditEvents",
    "/linkforty.v1.LinkService/ExportLinks",
    "/linkforty.v1.LinkService/ImportLinks",
];

/// What API keys begin with, and no access token does.
const API_KEY_START: &str = "lf_";

/// Puts the caller into the extensions. Bad credentials are refused here, for every method alike; whether there must be
/// some is for the method to say.
pub(super) async fn authenticate(State(env): State<Arc<Env>>, mut request: Request, next: Next) -> Response {
    let mut key = None;
    if !OPEN.contains(&request.uri().path()) {
        let shown = Shown {
            authorization: request.headers().get(AUTHORIZATION).cloned(),
            names: request.extensions().get().cloned(),
        };
        match caller(&env, &shown).await {
            Ok(Some(caller)) => {
                let caller = caller.from(origin(request.headers(), request.extensions()));
                tracing::Span::current().record("caller", tracing::field::display(caller.principal()));
                if let Caller::ApiKey { id, workspace, .. } = &caller {
                    key = Some((*id, *workspace));
                }
                request.extensions_mut().insert(caller);
                if LONG.contains(&request.uri().path()) {
                    request.extensions_mut().insert(recheck(env.clone(), shown));
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

/// What a caller shows of who they are.
#[derive(Debug, Clone)]
struct Shown {
    authorization: Option<HeaderValue>,
    names: Option<ClientNames>,
}

fn recheck(env: Arc<Env>, shown: Shown) -> Recheck {
    Recheck::new(move || {
        let (env, shown) = (env.clone(), shown.clone());
        Box::pin(async move { caller(&env, &shown).await?.ok_or_else(Error::credentials_invalid) })
    })
}

/// What is said in the call goes before what the connection shows: a gateway with a certificate of its own calls for many.
async fn caller(env: &Env, shown: &Shown) -> Result<Option<Caller>> {
    let value = match (&shown.authorization, &shown.names) {
        (Some(value), _) => value,
        (None, Some(ClientNames(names))) => {
            return keys::certificate::authenticate(env, names).await.map(Some);
        }
        (None, None) => return Ok(None),
    };
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
