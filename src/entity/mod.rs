//! One SeaORM entity for each table, with typed columns and no queries: those stand in the `store.rs` of the room that
//! owns the table.

pub mod api_key;
pub mod app;
pub mod app_token;
pub mod click;
pub mod click_budget;
pub mod click_identity;
pub mod click_lease;
pub mod click_rollup;
pub mod dead_letter;
pub mod dictionary;
pub mod domain;
pub mod event;
pub mod event_property;
pub mod event_transaction;
pub mod exchange_rate;
pub mod idempotency_key;
pub mod install;
pub mod install_key;
pub mod link;
pub mod link_import;
pub mod link_import_draft;
pub mod link_import_error;
pub mod link_report;
pub mod link_revision;
pub mod link_tag;
pub mod link_total;
pub mod member;
pub mod project;
pub mod session;
pub mod spool_progress;
pub mod template;
pub mod user;
pub mod utm_preset;
pub mod workspace;
