//! Webhooks: who wants to be told what happens in a workspace is told it.
//!
//! | file | what |
//! |---|---|
//! | `event_type.rs` | what somebody can be told of; pure |
//! | `endpoint.rs` | who is told what and how, and how that is stored |
//! | `filter.rs` | which of it; pure |
//! | `message.rs` | what is told, and what becomes of it |
//! | `fan_out.rs` `gather.rs` `listener.rs` | from what happened to messages for those who want them |
//! | `payload/` | what is told of each thing; pure |
//! | `store.rs` | the statements of those |
//! | `wake.rs` | rouses those who deliver on this node |
//! | `deliver.rs` | the task that tells it |
//! | `queue.rs`, `breaker.rs`, `pace.rs` | whom it calls now, and how often; pure |
//! | `ledger/` | which deliveries are due, and what became of them |
//! | `compose.rs`, `sign.rs`, `macros.rs` | what is sent; pure |
//! | `call.rs` | one attempt |
//! | `retry.rs` | what becomes of a delivery after it; pure |
//! | `standing.rs` | what becomes of the endpoint |
//! | `fields.rs` | what clients may send of an endpoint; pure |
//! | `endpoints.rs`, `secrets.rs` | endpoints: added, changed, deleted, given other secrets |
//! | `deliveries.rs`, `redeliver.rs` | what endpoints were sent, and what they are sent again |
//! | `test_event.rs` | one attempt, for whoever wants to see what becomes of it |
//! | `past.rs` | webhooks of a LinkForty database |
//! | `wire.rs`, `grpc.rs` | `linkforty.v1.WebhookService` |
//!
//! Guarantees: what happens is told to every endpoint that wants it, whatever dies when, and there is one message of it, whose id is the same
//! in every attempt. Nothing is told that did not happen. `docs/webhooks.md` says what receivers may count on.

mod breaker;
mod call;
mod compose;
pub mod deliver;
mod deliveries;
pub mod endpoint;
mod endpoints;
mod event_type;
mod fan_out;
mod fields;
pub mod filter;
mod gather;
mod grpc;
mod ledger;
mod listener;
pub mod macros;
pub mod message;
mod pace;
pub mod past;
pub mod payload;
mod queue;
mod redeliver;
pub mod retry;
mod secrets;
pub mod sign;
mod standing;
mod store;
mod test_event;
mod wake;
mod wire;

pub use self::{
    endpoint::{Endpoint, Settings},
    event_type::{EventType, Source},
    fan_out::{LIFE, Round, fan_out, run as run_fan_out, sweep, told},
    filter::Filter,
    grpc::WebhookApi,
    message::{DeliveryState, Message},
    test_event::Tests,
    wake::{due, wake},
};
