//! linkforty: a self-hosted deep-link and mobile-attribution server.
//!
//! The house, from the ground up; arrows only go up the list (`docs/ARCHITECTURE.md`, `tests/it/rooms.rs`).
//!
//! - **Ground**, which knows nothing of links: [`config`], [`clock`], [`ids`], [`error`], [`page`], [`pb`].

pub mod clock;
pub mod error;
pub mod ids;
pub mod page;
pub mod pb;
