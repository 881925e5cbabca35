//! How far the databases of LinkForty are taken over.

use sea_orm_migration::prelude::*;

use super::sql::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, TABLE).await
    }
}

/// A row for each part of a source: it moves in the transaction that stores what it counts.
const TABLE: &str = "
CREATE TABLE takeovers (
    workspace_id {uuid} NOT NULL,
    source {bytes} NOT NULL,
    part {small} NOT NULL,
    done {bool} NOT NULL,
    place {text} NOT NULL,
    seen {big} NOT NULL,
    stored {big} NOT NULL,
    present {big} NOT NULL,
    checksum {bytes} NOT NULL,
    remarks {text} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT takeovers_pkey PRIMARY KEY (workspace_id, source, part),
    CONSTRAINT takeovers_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
";
