//! Who is told what, what there is to tell, and what became of telling it.

use sea_orm_migration::prelude::*;

use super::sql::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// The columns of `outbox` may be null, as nodes of the version before leave them: no row is rewritten.
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, TABLES).await?;
        run(manager, "ALTER TABLE outbox ADD COLUMN body {bytes};").await?;
        run(manager, "ALTER TABLE outbox ADD COLUMN told_time {moment};").await?;
        run(manager, UNTOLD).await?;
        if is_postgres(manager) { run(manager, STORAGE).await } else { Ok(()) }
    }
}

/// Messages, deliveries and attempts are many and go by age, in batches: they have no foreign keys. What is left of a deleted endpoint is never
/// claimed, and goes with the rest.
const TABLES: &str = "
CREATE TABLE webhook_endpoints (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    name {text} NOT NULL,
    url {text} NOT NULL,
    settings {bytes} NOT NULL,
    secrets {bytes} NOT NULL,
    state {small} NOT NULL,
    state_reason {small} NOT NULL,
    failing_since {moment},
    version {big} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT webhook_endpoints_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_endpoints_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX webhook_endpoints_workspace_id_idx ON webhook_endpoints (workspace_id, id);

CREATE TABLE webhook_messages (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    endpoint_id {uuid},
    event_type {small} NOT NULL,
    subject_id {uuid} NOT NULL,
    time {moment} NOT NULL,
    body {bytes} NOT NULL,
    CONSTRAINT webhook_messages_pkey PRIMARY KEY (id)
);
CREATE INDEX webhook_messages_workspace_id_idx ON webhook_messages (workspace_id, id);

CREATE TABLE webhook_deliveries (
    endpoint_id {uuid} NOT NULL,
    message_id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    next_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    attempts {int} NOT NULL,
    last_status {int},
    state {small} NOT NULL,
    last_outcome {small} NOT NULL,
    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (endpoint_id, message_id)
);
CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (endpoint_id, next_time) WHERE state = 1;
CREATE INDEX webhook_deliveries_message_idx ON webhook_deliveries (workspace_id, message_id, endpoint_id);

CREATE TABLE webhook_attempts (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    endpoint_id {uuid} NOT NULL,
    message_id {uuid} NOT NULL,
    number {int} NOT NULL,
    took_ms {int} NOT NULL,
    status {int},
    outcome {small} NOT NULL,
    response {bytes},
    CONSTRAINT webhook_attempts_pkey PRIMARY KEY (id)
);
CREATE INDEX webhook_attempts_message_idx ON webhook_attempts (workspace_id, message_id, endpoint_id);

CREATE TABLE webhook_progress (
    id {small} NOT NULL,
    seq {big} NOT NULL,
    round {big} NOT NULL,
    CONSTRAINT webhook_progress_pkey PRIMARY KEY (id)
);
";

/// What is in the feed by now is of a time without endpoints: telling begins where it ends. Outboxes are small, a week at the most.
const UNTOLD: &str = "
INSERT INTO webhook_progress (id, seq, round) SELECT 1, coalesce(max(seq), 0), 0 FROM feed;
CREATE INDEX outbox_untold_idx ON outbox (id) WHERE told_time IS NULL;
";

/// Deliveries are written again and again, and most of what is due is soon over.
const STORAGE: &str = "
ALTER TABLE webhook_deliveries SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.02);
";
