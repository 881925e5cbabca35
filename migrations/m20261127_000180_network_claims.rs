//! Ad networks say where installs came from, and are asked.

use sea_orm_migration::prelude::*;

use super::sql::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, TABLES).await
    }
}

/// Claims that wait for the network's answer (`state = 3`) are their own queue: `due_time` is when somebody asks next, and the ticket of whoever does.
const TABLES: &str = "
ALTER TABLE apps ADD COLUMN meta_key {bytes};
CREATE TABLE network_claims (
    workspace_id {uuid} NOT NULL,
    install_id {uuid} NOT NULL,
    network {small} NOT NULL,
    state {small} NOT NULL,
    campaign {text} NOT NULL,
    content {bytes} NOT NULL,
    click_id {text},
    token {bytes},
    attempts {int} NOT NULL,
    due_time {moment},
    receive_time {moment} NOT NULL,
    CONSTRAINT network_claims_pkey PRIMARY KEY (workspace_id, install_id, network),
    CONSTRAINT network_claims_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX network_claims_due_idx ON network_claims (due_time) WHERE state = 3;
CREATE INDEX network_claims_click_ids_idx ON network_claims (receive_time) WHERE click_id IS NOT NULL;
";
