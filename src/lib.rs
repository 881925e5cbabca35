//! linkforty: a self-hosted deep-link and mobile-attribution server.
//!
//! The house, from the ground up; arrows only go up the list (`docs/ARCHITECTURE.md`, `tests/it/rooms.rs`).
//!
//! - **Ground**, which knows nothing of links: [`config`], [`clock`], [`ids`], [`error`], [`page`], [`pb`].
//! - **Tools**, which talk to the outside and still know nothing of links: [`env`], [`db`], [`entity`], [`cache`],
//!   [`idempotency`], [`rpc`].
//! - **Rooms**, one for each feature: [`workspaces`], [`links`], [`analytics`].

pub mod clock;
pub mod config;
pub mod error;
pub mod ids;
pub mod page;
pub mod pb;

pub mod cache;
pub mod db;
pub mod entity;
pub mod env;
pub mod idempotency;
#[path = "../migrations/mod.rs"]
mod migrations;
pub mod rpc;

pub mod analytics;
pub mod links;
pub mod workspaces;
