//! How often one caller may call. These limits hold for this node alone and need nobody; they stand in front of everything that costs.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ::governor::{clock::Clock as _, middleware::NoOpMiddleware};
use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::KeyExtractor,
};
use uuid::Uuid;

use super::{ClientAddress, network_of};
use crate::{
    config::Limits,
    error::{Error, Reason},
    rpc::Caller,
    serve::refusal::refuse,
};

/// How many times a caller's share one address may use: offices share one, and the callers in them are limited one by one.
const CALLERS_AT_ONE_ADDRESS: u32 = 10;
/// Methods that guess at secrets.
const SIGN_INS: &[&str] = &["/linkforty.v1.AuthService/SignIn", "/linkforty.v1.AuthService/RefreshSession"];

/// The limits of this node. Clones share the counts.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Limiters {
    addresses: Arc<GovernorConfig<Address, NoOpMiddleware>>,
    sign_ins: Arc<GovernorConfig<Address, NoOpMiddleware>>,
    callers: Arc<GovernorConfig<Calling, NoOpMiddleware>>,
}

impl Limiters {
    /// Returns the limits of the settings; `None` when they are off.
    pub(in crate::serve) fn new(limits: &Limits) -> Option<Self> {
        if !limits.enabled {
            return None;
        }
        Some(Self {
            addresses: config(limits.per_minute.saturating_mul(CALLERS_AT_ONE_ADDRESS), Address)?,
            sign_ins: config(limits.sign_in_per_minute, Address)?,
            callers: config(limits.per_minute, Calling)?,
        })
    }

    /// Limits addresses.
    pub(super) fn by_address(&self) -> GovernorLayer<Address, NoOpMiddleware, Body> {
        GovernorLayer::new(self.addresses.clone()).error_handler(|error| turned_away(&error, "address"))
    }

    /// Limits callers.
    pub(super) fn by_caller(&self) -> GovernorLayer<Calling, NoOpMiddleware, Body> {
        GovernorLayer::new(self.callers.clone()).error_handler(|error| turned_away(&error, "caller"))
    }

    /// Forgets those whose share is whole again; nothing else does.
    pub(in crate::serve) fn forget_the_idle(&self) {
        self.addresses.limiter().retain_recent();
        self.sign_ins.limiter().retain_recent();
        self.callers.limiter().retain_recent();
    }
}

/// So many a minute, all of them at once if need be.
fn config<K: KeyExtractor>(per_minute: u32, key: K) -> Option<Arc<GovernorConfig<K, NoOpMiddleware>>> {
    let per_minute = per_minute.max(1);
    GovernorConfigBuilder::default()
        .key_extractor(key)
        .period(Duration::from_secs(60) / per_minute)
        .burst_size(per_minute)
        .finish()
        .map(Arc::new)
}

/// Limits the methods that guess at secrets, by address.
pub(super) async fn sign_ins(
    State(limits): State<Option<Limiters>>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(limits) = limits
        && SIGN_INS.contains(&request.uri().path())
        && let Ok(key) = Address.extract(&request)
        && let Err(refused) = limits.sign_ins.limiter().check_key(&key)
    {
        let wait = refused.wait_time_from(::governor::clock::DefaultClock::default().now());
        return refuse(limited("sign_in", wait));
    }
    next.run(request).await
}

fn turned_away(error: &GovernorError, limit: &'static str) -> Response {
    match error {
        // Whole seconds, rounded down.
        GovernorError::TooManyRequests { wait_time, .. } => {
            refuse(limited(limit, Duration::from_secs(wait_time + 1)))
        }
        other => refuse(Error::internal(other.to_string())),
    }
}

fn limited(limit: &'static str, wait: Duration) -> Error {
    metrics::counter!("linkforty_rate_limited_total", "limit" => limit).increment(1);
    Error::new(Reason::RateLimited, "too many calls; wait a moment").with("limit", limit).retry_after(wait)
}

/// Counts by address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address;

impl KeyExtractor for Address {
    type Key = IpAddr;

    fn extract<T>(&self, request: &http::Request<T>) -> Result<Self::Key, GovernorError> {
        let client = request.extensions().get::<ClientAddress>();
        client.map(|client| network_of(client.0)).ok_or(GovernorError::UnableToExtractKey)
    }
}

/// Counts by key or person, or by address for those who are neither.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calling;

/// Whose calls are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Share {
    Principal(Uuid),
    Address(IpAddr),
}

impl KeyExtractor for Calling {
    type Key = Share;

    fn extract<T>(&self, request: &http::Request<T>) -> Result<Self::Key, GovernorError> {
        match request.extensions().get::<Caller>() {
            Some(caller) => Ok(Share::Principal(caller.principal())),
            None => Address.extract(request).map(Share::Address),
        }
    }
}
