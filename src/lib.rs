//! linkforty: a self-hosted deep-link and mobile-attribution server.
//!
//! The house, from the ground up; arrows only go up the list (`docs/ARCHITECTURE.md`, `tests/it/rooms.rs`).
//!
//! - **Ground**, which knows nothing of links: [`app_scheme`], [`config`], [`clock`], [`currency`], [`destination_url`], [`email`], [`ids`], [`error`], [`page`], [`pb`], [`spreadsheet`].
//! - **Tools**, which talk to the outside and still know nothing of links: [`acme`], [`admission`], [`env`], [`db`], [`entity`], [`cache`],
//!   [`dns`], [`geo`], [`hashing`], [`idempotency`], [`limits`], [`mail`], [`memory`], [`outbound`], [`outbox`], [`qr`], [`rpc`], [`sealing`], [`spool`], [`telemetry`], [`trail`].
//! - **Rooms**, one for each feature: [`accounts`], [`workspaces`], [`domains`], [`apps`], [`links`], [`redirect`], [`clicks`], [`attribution`],
//!   [`analytics`], [`webhooks`], [`audit`].
//! - **Doors**, which hold the sockets and the command line: [`serve`], [`cli`].

pub mod app_scheme;
pub mod clock;
pub mod config;
pub mod currency;
pub mod destination_url;
pub mod email;
pub mod error;
pub mod etag;
pub mod files;
pub mod ids;
pub mod page;
pub mod pb;
pub mod spreadsheet;

pub mod acme;
pub mod admission;
pub mod cache;
pub mod db;
pub mod dns;
pub mod entity;
pub mod env;
#[cfg(feature = "failpoints")]
pub mod failpoints;
pub mod feed;
pub mod geo;
pub mod hashing;
pub mod idempotency;
pub mod limits;
pub mod mail;
pub mod memory;
#[path = "../migrations/mod.rs"]
mod migrations;
pub mod outbound;
pub mod outbox;
pub mod qr;
pub mod rpc;
pub mod sealing;
pub mod spool;
pub mod takeover;
pub mod telemetry;
pub mod trail;

pub mod accounts;
pub mod analytics;
pub mod apps;
pub mod attribution;
pub mod audit;
pub mod clicks;
pub mod domains;
pub mod links;
pub mod redirect;
pub mod webhooks;
pub mod workspaces;

pub mod cli;
pub mod serve;
