//! Who is calling.

use std::{net::IpAddr, sync::Arc};

use http::HeaderValue;
use tonic::Request;
use uuid::Uuid;

use super::Permission;
use crate::{
    error::{Error, Reason, Result},
    ids::{ApiKeyId, ProjectId, SessionId, UserId, WorkspaceId},
};

/// The address of the client, as far as it can be believed. In the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Which links of its workspace an API key reaches. It reaches nothing else of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Those in these projects; `None`: in any and in none.
    pub projects: Option<Vec<ProjectId>>,
    /// Those on these domains, by their namespaces; `None`: on any and on the server's own.
    pub domains: Option<Vec<String>>,
}

/// Who is calling, as the layer in `serve/` found out and put into the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A signed-in person; what they may do depends on the workspace.
    Person {
        /// Who.
        user: UserId,
        /// In which session.
        session: SessionId,
        /// Their password was set by somebody else: until they change it they may do nothing else.
        password_change_required: bool,
    },
    /// A program.
    ApiKey {
        /// Its key.
        id: ApiKeyId,
        /// The one workspace it belongs to.
        workspace: WorkspaceId,
        /// What it may do there.
        scopes: Vec<Permission>,
        /// What the operator says that workspace may have, where that is not the default.
        quotas: Option<serde_json::Value>,
        /// Which links it reaches; `None`: all.
        reach: Option<Arc<Reach>>,
    },
}

impl Caller {
    /// Returns the id that request ids, limits and logs are kept by.
    pub fn principal(&self) -> Uuid {
        match self {
            Self::Person { user, .. } => user.0,
            Self::ApiKey { id, .. } => id.0,
        }
    }
}

/// Returns who is calling, or the error that nobody said.
pub fn caller<T>(request: &Request<T>) -> Result<Caller> {
    request.extensions().get::<Caller>().cloned().ok_or_else(|| {
        Error::new(
            Reason::CredentialsMissing,
            "send an access token or an API key as `authorization: Bearer ...` metadata",
        )
    })
}

/// Opens a request: who calls and what they want.
pub fn open<T>(request: Request<T>) -> Result<(Caller, T)> {
    Ok((caller(&request)?, request.into_inner()))
}

/// Returns the credentials that an `authorization` header holds: what follows `Bearer`, in whatever case that is written (RFC 9110
/// 11.1).
pub fn bearer(authorization: &HeaderValue) -> Option<&str> {
    let (scheme, credentials) = authorization.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credentials.is_empty()).then_some(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_credentials_are_read() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("", None),
        ] {
            let header = HeaderValue::from_static(value);
            assert_eq!(bearer(&header), expected, "{value:?}");
        }
    }
}
