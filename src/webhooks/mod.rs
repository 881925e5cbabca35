//! Webhooks: who wants to be told what happens in a workspace is told it.
//!
//! | file | what |
//! |---|---|
//! | `event_type.rs` | what somebody can be told of; pure |
//! | `endpoint.rs` | who is told what and how, and how that is stored |
//! | `filter.rs` | which of it; pure |
//! | `message.rs` | what is told, and what becomes of it |
//! | `wake.rs` | rouses those who deliver on this node |

pub mod endpoint;
mod event_type;
pub mod filter;
pub mod message;
mod wake;

pub use self::{
    endpoint::{Endpoint, Settings},
    event_type::{EventType, Source},
    filter::Filter,
    message::{DeliveryState, Message},
    wake::{due, wake},
};
