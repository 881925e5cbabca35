//! What was counted, how far the feed has been counted, and events that wait for their install.

use sea_orm_migration::prelude::*;

use super::sql::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, TABLES).await?;
        if is_postgres(manager) { run(manager, STORAGE).await } else { Ok(()) }
    }
}

/// `analytics/rollup/key.rs` says what the numbers mean. Without foreign keys: counts outlive links, and what waits in spools may be of a
/// workspace that is gone.
const TABLES: &str = "
CREATE TABLE rollups (
    workspace_id {uuid} NOT NULL,
    part {int} NOT NULL,
    period {int} NOT NULL,
    version {big} NOT NULL,
    clicks {big} NOT NULL,
    scope {small} NOT NULL,
    bundle {small} NOT NULL,
    level {small} NOT NULL,
    content {bytes} NOT NULL,
    CONSTRAINT rollups_pkey PRIMARY KEY (workspace_id, scope, part, bundle, level, period)
);
CREATE INDEX rollups_period_idx ON rollups (workspace_id, level, period);
CREATE TABLE roll_progress (
    id {small} NOT NULL,
    seq {big} NOT NULL,
    round {big} NOT NULL,
    CONSTRAINT roll_progress_pkey PRIMARY KEY (id)
);
INSERT INTO roll_progress (id, seq, round) VALUES (1, 0, 0);
CREATE TABLE undecided_events (
    workspace_id {uuid} NOT NULL,
    install_id {uuid} NOT NULL,
    event_id {uuid} NOT NULL,
    content {bytes} NOT NULL,
    CONSTRAINT undecided_events_pkey PRIMARY KEY (workspace_id, install_id, event_id)
);
CREATE INDEX undecided_events_event_idx ON undecided_events (event_id);
";

/// The bytes are as small as they get, and rows that are open are written again and again in their place.
const STORAGE: &str = "
ALTER TABLE rollups ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE rollups SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
";
