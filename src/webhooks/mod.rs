//! Webhooks: who wants to be told what happens in a workspace is told it.
//!
//! | file | what |
//! |---|---|
//! | `event_type.rs` | what somebody can be told of; pure |
//! | `endpoint.rs` | who is told what and how, and how that is stored |
//! | `filter.rs` | which of it; pure |
//! | `message.rs` | what is told, and what becomes of it |
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
//! | `store.rs` | queries of this room's tables |
//! | `wire.rs`, `grpc.rs` | `linkforty.v1.WebhookService` |

mod breaker;
mod call;
mod compose;
pub mod deliver;
mod deliveries;
pub mod endpoint;
mod endpoints;
mod event_type;
mod fields;
pub mod filter;
mod grpc;
mod ledger;
pub mod macros;
pub mod message;
mod pace;
mod payload;
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
    filter::Filter,
    grpc::WebhookApi,
    message::{DeliveryState, Message},
    test_event::Tests,
    wake::{due, wake},
};
