//! The parts, in the order in which they are carried: what others refer to comes first.

mod clicks;
mod events;
mod installs;
mod rows;
mod small;

pub use self::{
    clicks::Clicks,
    events::Events,
    installs::Installs,
    small::{Links, Projects, Templates, Webhooks},
};
