//! Who is calling.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use http::{Extensions, HeaderMap, HeaderValue};
use tonic::Request;
use uuid::Uuid;

use super::Permission;
use crate::{
    error::{Error, Reason, Result},
    ids::{ApiKeyId, ProjectId, SessionId, UserId, WorkspaceId},
    trail::{Actor, Origin, Who},
};

/// The address of the client, as far as it can be believed. In the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// Returns what limits go by: an IPv4 address, or the /64 of an IPv6 address, which one household has all of.
    pub fn network(self) -> IpAddr {
        match self.0.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        }
    }
}

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
        /// From where.
        origin: Origin,
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
        /// From where.
        origin: Origin,
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

    /// Returns who it is as the audit trail has it.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Person { user, session, origin, .. } => {
                Actor { who: Who::Person(*user, Some(*session)), origin: origin.clone() }
            }
            Self::ApiKey { id, origin, .. } => Actor { who: Who::ApiKey(*id), origin: origin.clone() },
        }
    }

    /// Returns the caller, who calls from there.
    #[must_use]
    pub fn from(mut self, place: Origin) -> Self {
        let (Self::Person { origin, .. } | Self::ApiKey { origin, .. }) = &mut self;
        *origin = place;
        self
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

/// Says from where somebody calls: by the address that was found out, and under the id that the layer in `serve/` left in the headers.
pub fn origin(headers: &HeaderMap, extensions: &Extensions) -> Origin {
    let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    Origin {
        address: extensions.get::<ClientAddress>().map(|client| client.0),
        request_id: request_id.map(Arc::from),
    }
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
