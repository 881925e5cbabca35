//! How often one caller may call. A guard against floods from one address holds for this node alone and stands in front of
//! everything that costs; the shares of callers are counted over all nodes ([`crate::limits`]). Guesses at secrets of people are
//! `accounts`' to count.

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

use super::{
    ClientAddress,
    allowance::{self, Allowance},
    apps::OfApp,
    bounds::spread,
    network_of,
};
use crate::{
    clock::Clock,
    config,
    error::{Error, Reason},
    ids::Ids,
    limits::{LimitName, Limits, Taken, Verdict},
    rpc::Caller,
    serve::refusal::refuse,
};

/// How many times a caller's share one address may use: offices share one, and the callers in them are limited one by one.
const CALLERS_AT_ONE_ADDRESS: u32 = 10;

/// Those who are told the same wait come back one by one: within this part of it more, and that much at the least.
const SPREAD: (u32, Duration) = (4, Duration::from_millis(250));
/// No wait is spread over more.
const LONGEST_SPREAD: Duration = Duration::from_secs(5);

/// The limits of calls. Clones share the counts.
#[derive(Debug, Clone)]
pub(in crate::serve) struct Limiters {
    addresses: Arc<GovernorConfig<Address, NoOpMiddleware>>,
    shares: Arc<dyn Limits>,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
}

impl Limiters {
    /// Returns the limits of the settings; `None` when they are off. `shares` are counted over all nodes.
    pub(in crate::serve) fn new(
        settings: &config::Limits,
        shares: Arc<dyn Limits>,
        clock: Arc<dyn Clock>,
        ids: Arc<Ids>,
    ) -> Option<Self> {
        if !settings.enabled {
            return None;
        }
        let per_minute = settings.per_minute.saturating_mul(CALLERS_AT_ONE_ADDRESS);
        Some(Self { addresses: flood_guard(per_minute)?, shares, clock, ids })
    }

    /// Limits addresses, on this node alone and before anything is looked at.
    pub(super) fn by_address(&self) -> GovernorLayer<Address, NoOpMiddleware, Body> {
        let ids = self.ids.clone();
        GovernorLayer::new(self.addresses.clone()).error_handler(move |error| turned_away(&ids, &error))
    }

    /// Forgets those whose share is whole again; nothing else does.
    pub(in crate::serve) fn forget_the_idle(&self) {
        self.addresses.limiter().retain_recent();
        self.shares.sweep();
    }

    /// Takes one call from each of these limits on this node, in their order, and goes on unless one of them is used up. Either way the
    /// answer says what is left.
    async fn pass(
        &self,
        limits: impl IntoIterator<Item = (LimitName, String)>,
        mut request: Request,
        next: Next,
    ) -> Response {
        let mut taken = AllTaken::default();
        let mut refusal = None;
        for (name, key) in limits {
            let verdict = self.shares.check_here(name, &key, 1);
            taken.0.push(Taken { name, key, cost: 1, verdict });
            if let Verdict::Limited { retry_after, .. } = verdict {
                // Those behind it keep what they have.
                refusal = Some(refuse(limited(&self.ids, name.name(), retry_after)));
                break;
            }
        }
        let mut response = match refusal {
            Some(refusal) => refusal,
            None => {
                request.extensions_mut().insert(taken.clone());
                next.run(request).await
            }
        };
        let AllTaken(taken) = response.extensions_mut().remove().unwrap_or(taken);
        let allowances: Vec<Allowance> =
            taken.into_iter().map(|one| Allowance::of(one.name, one.verdict)).collect();
        allowance::write(response.headers_mut(), &allowances, self.clock.now());
        response
    }
}

/// What a call has taken from limits. In the extensions of its request, and of its answer once all nodes were asked.
#[derive(Debug, Clone, Default)]
struct AllTaken(Vec<Taken>);

/// Takes from the buckets that all nodes share what was taken from this node's. Behind admission: where there is no place to work in, nobody
/// need ask Redis.
pub(super) async fn everywhere(
    State(limits): State<Option<Limiters>>,
    mut request: Request,
    next: Next,
) -> Response {
    let taken: Option<AllTaken> = request.extensions_mut().remove();
    let (Some(limits), Some(mut taken)) = (limits, taken) else { return next.run(request).await };
    limits.shares.check_everywhere(&mut taken.0).await;
    let refusal = taken.0.iter().find_map(|one| match one.verdict {
        Verdict::Limited { retry_after, .. } => {
            Some(refuse(limited(&limits.ids, one.name.name(), retry_after)))
        }
        Verdict::Allowed { .. } => None,
    });
    let mut response = match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    response.extensions_mut().insert(taken);
    response
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

/// Limits callers: by key and by its workspace, by person, or by address for those who are neither.
pub(super) async fn callers(
    State(limits): State<Option<Limiters>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(limits) = limits else { return next.run(request).await };
    let caller = request.extensions().get::<Caller>();
    let taken = match (caller, network(&request)) {
        (Some(Caller::ApiKey { id, workspace, .. }), _) => {
            // Both in one question (`Limits::check_everywhere`).
            let tag = format!("{{{}}}", workspace.0);
            vec![(LimitName::Caller, format!("{tag}:{}", id.0)), (LimitName::Workspace, tag)]
        }
        (Some(Caller::Person { user, .. }), _) => vec![(LimitName::Caller, user.0.to_string())],
        (None, Some(network)) => vec![(LimitName::Address, network.to_string())],
        (None, None) => Vec::new(),
    };
    limits.pass(taken, request, next).await
}

/// Limits apps, by app and address.
pub(super) async fn apps(State(limits): State<Option<Limiters>>, request: Request, next: Next) -> Response {
    let Some(limits) = limits else { return next.run(request).await };
    let app = request.extensions().get::<OfApp>().map(|app| (LimitName::App, app.key.clone()));
    limits.pass(app, request, next).await
}

/// Returns the client's address, of IPv6 its /64.
fn network<T>(request: &http::Request<T>) -> Option<IpAddr> {
    request.extensions().get::<ClientAddress>().map(|client| network_of(client.0))
}

fn turned_away(ids: &Ids, error: &GovernorError) -> Response {
    match error {
        // Whole seconds, rounded down.
        GovernorError::TooManyRequests { wait_time, .. } => {
            refuse(limited(ids, "flood", Duration::from_secs(wait_time + 1)))
        }
        other => refuse(Error::internal(other.to_string())),
    }
}

fn limited(ids: &Ids, limit: &'static str, wait: Duration) -> Error {
    let (part, least) = SPREAD;
    let wait = spread(ids, wait, (wait / part).clamp(least, LONGEST_SPREAD));
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

    fn limiters(per_minute: u32) -> Limiters {
        let settings = config::Limits {
            enabled: true,
            per_minute,
            unlock_per_minute: 1,
            workspace_per_minute: 1,
            app_per_minute: 1,
            unknown_per_minute: 1,
        };
        let clock = Arc::new(SettableClock::at(from_micros(0)));
        let shares = crate::limits::open(&settings, clock.clone(), None);
        Limiters::new(&settings, shares, clock, Arc::new(Ids::seeded(1))).expect("they are on")
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
    async fn callers_behind_one_address_have_a_share_each_and_the_address_an_end() {
        let limits = limiters(4);
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
