//! What stands between a connection and the rooms, one list for each kind of request, outermost first.
//!
//! A layer knows headers and extensions, not links. Whatever may refuse stands inside CORS and [`refusal::word`], or a browser would
//! see a network error instead of a status.

mod address;
mod admission;
mod allowance;
mod apps;
mod authenticate;
mod bounds;
mod browsers;
mod cors;
mod durations;
mod ending;
mod gate;
mod identify;
mod limits;
mod measure;
mod porch;
mod reading;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    middleware::{from_fn, from_fn_with_state as with},
};
use tower::ServiceBuilder;

pub(super) use self::{
    address::{ClientAddress, client_address, is_trusted, network_of},
    admission::Gate,
    apps::Apps,
    bounds::{overloaded, panic_text},
    browsers::{ONLY_HTTPS, Told},
    durations::DURATIONS,
    limits::Limiters,
    measure::{Methods, Redirected, add_redirects},
    porch::Porch,
};
use super::{refusal, shutdown::Life};
use crate::env::Env;

/// How many calls of the API are inside of the door at once, most of which wait to be worked on; what is more is refused before anything is
/// looked at.
const API_AT_THE_DOOR: usize = 1024;
/// The same for calls of apps.
const APPS_AT_THE_DOOR: usize = 2048;

/// What every request through a router passes, on each listener.
pub(super) fn common(router: Router, listener: &'static str, env: &Env, methods: &Arc<Methods>) -> Router {
    let cookies = if listener == "api" { cors::Cookies::Allowed } else { cors::Cookies::None };
    // A request takes a copy for every layer: one of a pointer.
    let shared = Arc::new(env.clone());
    router.layer(
        ServiceBuilder::new()
            // Outermost: refusals of every kind are told too.
            .layer(with(Told::by(listener, env), browsers::tell))
            // First of those that look: limits and logs go by it.
            .layer(with(shared.clone(), address::find))
            // Everything from here on is logged with the ids.
            .layer(with(shared, identify::identify))
            // Counts refusals too, so it stands outside of everything that refuses.
            .layer(with(measure::Meter::new(listener, methods), measure::measure))
            // Outside of refusals: a browser may only read an answer that carries these headers.
            .layer(cors::layer(&env.config.frontend_urls, cookies))
            // Puts refusals, those of a panic included, into the caller's words.
            .layer(from_fn(refusal::word))
            // A defect ends one call and not its connection.
            .layer(from_fn(bounds::catch_panic)),
    )
}

/// What every call of an app passes on the links listener, by gRPC or by JSON. Its token is looked at by the room, which has no other
/// credentials.
pub(super) fn app_calls(
    grpc: Router,
    json: Router,
    apps: Apps,
    life: &Life,
    (gate, limits): (&Gate, Option<&Limiters>),
) -> Router {
    let ids = apps.env.ids.clone();
    let grpc = grpc.layer(
        ServiceBuilder::new()
            .map_response(|response: http::Response<tonic::body::Body>| response.map(Body::new))
            .layer(tonic_web::GrpcWebLayer::new())
            .map_request(|request: http::Request<tonic::body::Body>| request.map(Body::new)),
    );
    grpc.merge(json).layer(
        ServiceBuilder::new()
            .layer(from_fn(reading::to_the_end))
            .layer(with(bounds::Room::for_calls(APPS_AT_THE_DOOR, life, &ids), bounds::shed))
            .layer(from_fn(bounds::deadline))
            .option_layer(limits.map(Limiters::by_address))
            // Whose app calls, for the two below.
            .layer(with(apps, apps::find))
            .layer(with(limits.cloned(), limits::apps))
            .layer(with(gate.clone(), admission::app_calls))
            .layer(with(limits.cloned(), limits::everywhere)),
    )
}

/// What every call of a method on the API listener passes after that.
pub(super) fn calls(
    router: Router,
    env: &Env,
    life: &Life,
    (gate, limits): (&Gate, Option<&Limiters>),
) -> Router {
    let shared = Arc::new(env.clone());
    router.layer(
        ServiceBuilder::new()
            // Whoever is refused below is not cut off for having sent a message.
            .layer(from_fn(reading::to_the_end))
            // Cheapest first, and before credentials are looked at: no browser page of others may use them.
            .layer(with(shared.clone(), gate::content_type_and_origin))
            // Before anything costs: a full house says so at once.
            .layer(with(bounds::Room::for_calls(API_AT_THE_DOOR, life, &env.ids), bounds::shed))
            // Everything after this is cut off when nobody waits for it any more.
            .layer(from_fn(bounds::deadline))
            // Before credentials: guessing them costs the guesser.
            .option_layer(limits.map(Limiters::by_address))
            // Who calls.
            .layer(with(shared, authenticate::authenticate))
            // Fair shares on this node, by key or person, or by address for those who are neither.
            .layer(with(limits.cloned(), limits::callers))
            // A place to be worked on: by class, and by turns among those who call.
            .layer(with(gate.clone(), admission::calls))
            // The same shares over all nodes, which takes a look at Redis.
            .layer(with(limits.cloned(), limits::everywhere))
            // tonic's body becomes axum's.
            .map_response(|response: http::Response<tonic::body::Body>| response.map(Body::new))
            // The layers above see grpc-web and gRPC alike as they came; from here on it is all gRPC.
            .layer(tonic_web::GrpcWebLayer::new())
            .map_request(|request: http::Request<tonic::body::Body>| request.map(Body::new))
            // Innermost: it writes gRPC trailers.
            .layer(with(ending::Closing::of(life), ending::end_streams)),
    )
}
