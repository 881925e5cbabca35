//! The integration tests: the server is started as in production and spoken to through its doors, on every store there is.

mod accounts;
mod analytics;
mod api;
mod batches;
mod cli;
mod clicks;
mod contract;
mod direct;
mod faults;
mod health;
mod http2;
mod keys;
mod layers;
mod links;
mod redirect;
mod rooms;
mod schema;
mod shutdown;
mod smoke;
mod support;
mod telemetry;
mod tls;
mod web;
mod workspaces;
