//! The integration tests: the server is started as in production and spoken to through its doors, on every store there is.

mod accounts;
mod api;
mod clicks;
mod contract;
mod health;
mod keys;
mod layers;
mod redirect;
mod rooms;
mod schema;
mod shutdown;
mod smoke;
mod support;
mod telemetry;
mod web;
mod workspaces;
