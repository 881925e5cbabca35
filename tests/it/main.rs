//! The integration tests: the server is started as in production and spoken to through its doors, on every store there is.

mod faults;
mod health;
mod layers;
mod rooms;
mod schema;
mod shutdown;
mod support;
mod telemetry;
