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
//!
//! Guarantees: what happens is told to every endpoint that wants it, whatever dies when, and there is one message of it, whose id is the same
//! in every attempt. Nothing is told that did not happen. `docs/webhooks.md` says what receivers may count on.

pub mod endpoint;
mod event_type;
mod fan_out;
pub mod filter;
mod gather;
mod listener;
pub mod message;
pub mod payload;
mod store;
mod wake;

pub use self::{
    endpoint::{Endpoint, Settings},
    event_type::{EventType, Source},
    fan_out::{LIFE, Round, fan_out, run as run_fan_out, sweep, told},
    filter::Filter,
    message::{DeliveryState, Message},
    wake::{due, wake},
};
