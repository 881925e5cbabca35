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

mod breaker;
mod call;
mod compose;
pub mod deliver;
pub mod endpoint;
mod event_type;
pub mod filter;
mod ledger;
pub mod macros;
pub mod message;
mod pace;
mod payload;
mod queue;
pub mod retry;
pub mod sign;
mod standing;
mod wake;

pub use self::{
    endpoint::{Endpoint, Settings},
    event_type::{EventType, Source},
    filter::Filter,
    message::{DeliveryState, Message},
    wake::{due, wake},
};
