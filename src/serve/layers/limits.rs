//! How often one caller may call. A guard against floods from one address holds for this node alone and stands in front of
//! everything that costs; the shares of callers and of guesses are counted over all nodes ([`crate::limits`]).

use std::{net::IpAddr, sync::Arc, time::Duration};

use ::governor::middleware::NoOpMiddleware;
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

use super::{ClientAddress, network_of};
use crate::{
    config,
    error::{Error, Reason},
    limits::{LimitName, Limits, Verdict},
    rpc::Caller,
    serve::refusal::refuse,
};

/// How many times a caller's share one address may use: offices share one, and the callers in them are limited one by one.
const CALLERS_AT_ONE_ADDRESS: u32 = 10;
/// Methods that guess at secrets.
const SIGN_INS: &[&str] = &["/linkforty.v1.AuthService/SignIn", "/linkforty.v1.AuthService/RefreshSession"];

/// The limits of the API listener. Clones share the counts.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Limiters {
    addresses: Arc<GovernorConfig<Address, NoOpMiddleware>>,
    shares: Arc<dyn Limits>,
}

impl Limiters {
    /// Returns the limits of the settings; `None` when they are off. `shares` are counted over all nodes.
    pub(in crate::serve) fn new(settings: &config::Limits, shares: Arc<dyn Limits>) -> Option<Self> {
        if !settings.enabled {
            return None;
        }
        let per_minute = settings.per_minute.saturating_mul(CALLERS_AT_ONE_ADDRESS);
        Some(Self { addresses: flood_guard(per_minute)?, shares })
    }

    /// Limits addresses, on this node alone and before anything is looked at.
    pub(super) fn by_address(&self) -> GovernorLayer<Address, NoOpMiddleware, Body> {
        GovernorLayer::new(self.addresses.clone()).error_handler(|error| turned_away(&error))
    }

    /// Forgets those whose share is whole again; nothing else does.
    pub(in crate::serve) fn forget_the_idle(&self) {
        self.addresses.limiter().retain_recent();
        self.shares.sweep();
    }

    async fn check(&self, name: LimitName, key: &str) -> Result<(), Error> {
        match self.shares.check(name, key, 1).await {
            Verdict::Allowed { .. } => Ok(()),
            Verdict::Limited { retry_after, .. } => Err(limited(name.name(), retry_after)),
        }
    }
}

/// So many a minute, all of them at once if need be.
fn flood_guard(per_minute: u32) -> Option<Arc<GovernorConfig<Address, NoOpMiddleware>>> {
    let per_minute = per_minute.max(1);
    GovernorConfigBuilder::default()
        .key_extractor(Address)
        .period(Duration::from_mins(1) / per_minute)
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
        && let Some(network) = network(&request)
        && let Err(error) = limits.check(LimitName::SignIn, &network.to_string()).await
    {
        return refuse(error);
    }
    next.run(request).await
}

/// Limits callers: by key or person, or by address for those who are neither.
pub(super) async fn callers(
    State(limits): State<Option<Limiters>>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(limits) = limits {
        let caller = request.extensions().get::<Caller>().map(Caller::principal);
        let checked = match (caller, network(&request)) {
            (Some(principal), _) => limits.check(LimitName::Caller, &principal.to_string()).await,
            (None, Some(network)) => limits.check(LimitName::Address, &network.to_string()).await,
            (None, None) => Ok(()),
        };
        if let Err(error) = checked {
            return refuse(error);
        }
    }
    next.run(request).await
}

/// Returns the client's address, of IPv6 its /64.
fn network<T>(request: &http::Request<T>) -> Option<IpAddr> {
    request.extensions().get::<ClientAddress>().map(|client| network_of(client.0))
}

fn turned_away(error: &GovernorError) -> Response {
    match error {
        // Whole seconds, rounded down.
        GovernorError::TooManyRequests { wait_time, .. } => {
            refuse(limited("flood", Duration::from_secs(wait_time + 1)))
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
        network(request).ok_or(GovernorError::UnableToExtractKey)
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        Extension, Router,
        middleware::{from_fn, from_fn_with_state},
        routing::post,
    };
    use tower::ServiceExt as _;

    use uuid::Uuid;

    use super::*;
    use crate::{
        clock::{SettableClock, from_micros},
        ids::{SessionId, UserId},
        serve::refusal,
    };

    fn limiters(per_minute: u32, sign_in_per_minute: u32) -> Limiters {
        let settings = config::Limits { enabled: true, per_minute, sign_in_per_minute };
        let shares = crate::limits::open(&settings, Arc::new(SettableClock::at(from_micros(0))), None);
        Limiters::new(&settings, shares).expect("they are on")
    }

    fn from(address: &str) -> Extension<ClientAddress> {
        Extension(ClientAddress(address.parse().expect("an address")))
    }

    /// Calls a method so many times and returns how many passed.
    async fn passed(router: &Router, path: &str, calls: usize) -> usize {
        let mut passed = 0;
        for _ in 0..calls {
            let request = Request::post(path).header("content-type", "application/grpc");
            let request = request.body(Body::empty()).expect("a valid request");
            let response = router.clone().oneshot(request).await.expect("infallible");
            match response.headers().get("grpc-status") {
                None => passed += 1,
                Some(status) => assert_eq!(status, "8"),
            }
        }
        passed
    }

    #[tokio::test]
    async fn sign_ins_have_a_limit_of_their_own_for_each_household() {
        let limits = limiters(1_000, 3);
        let path = "/linkforty.v1.AuthService/SignIn";
        let router = Router::new()
            .route(path, post(async || ()))
            .route("/linkforty.v1.AuthService/GetMe", post(async || ()))
            .layer(from_fn_with_state(Some(limits), sign_ins))
            .layer(from_fn(refusal::word));
        let here = router.clone().layer(from("2001:db8:1:2::1"));
        assert_eq!(passed(&here, path, 5).await, 3);
        assert_eq!(passed(&here, "/linkforty.v1.AuthService/GetMe", 5).await, 5);
        assert_eq!(passed(&router.clone().layer(from("2001:db8:1:2:ffff::9")), path, 5).await, 0);
        assert_eq!(passed(&router.layer(from("2001:db8:1:3::1")), path, 5).await, 3);
    }

    #[tokio::test]
    async fn callers_behind_one_address_have_a_share_each_and_the_address_an_end() {
        let limits = limiters(4, 4);
        let person = |n: u128| {
            Extension(Caller::Person {
                user: UserId(Uuid::from_u128(n)),
                session: SessionId(Uuid::from_u128(n)),
                password_change_required: false,
                origin: crate::trail::Origin::default(),
            })
        };
        let router = Router::new()
            .route("/x.Y/Z", post(async || ()))
            .layer(from_fn_with_state(Some(limits.clone()), callers));
        let as_person = |n| {
            let outside = router.clone().layer(person(n)).layer(limits.by_address());
            outside.layer(from_fn(refusal::word)).layer(from("198.51.100.7"))
        };
        let mut sum = 0;
        for n in 0..12 {
            sum += passed(&as_person(n), "/x.Y/Z", 6).await;
        }
        // Forty calls reach the second limit, and of each six of them four pass.
        assert_eq!(sum, 6 * 4 + 4);
        limits.forget_the_idle();
        assert_eq!(passed(&as_person(99), "/x.Y/Z", 1).await, 0, "only the idle are forgotten");
    }
}
