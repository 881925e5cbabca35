//! Webhooks: who wants to be told what happens in a workspace is told it.
//!
//! | file | what |
//! |---|---|
//! | `event_type.rs` | what somebody can be told of; pure |
//! | `endpoint.rs` | who is told what and how, and how that is stored |
//! | `filter.rs` | which of it; pure |
//! | `message.rs` | what is told, and what becomes of it |
//! | `wake.rs` | rouses those who deliver on this node |
//! | `fields.rs` | what clients may send of an endpoint; pure |
//! | `endpoints.rs` `secrets.rs` | endpoints: added, changed, deleted, given other secrets |
//! | `deliveries.rs` `redeliver.rs` | what endpoints were sent, and what they are sent again |
//! | `test_event.rs` | one attempt, for whoever wants to see what becomes of it |
//! | `store.rs` | queries of this room's tables |
//! | `wire.rs` `grpc.rs` | `linkforty.v1.WebhookService` |

mod call;
mod compose;
mod deliveries;
pub mod endpoint;
mod endpoints;
mod event_type;
mod fields;
pub mod filter;
mod grpc;
mod macros;
pub mod message;
mod payload;
mod redeliver;
mod retry;
mod secrets;
mod sign;
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
