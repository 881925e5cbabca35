//! What happened, for those who are to be told.

use sea_orm_migration::prelude::*;

use super::sql::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, OUTBOX).await
    }
}

const OUTBOX: &str = "
CREATE TABLE outbox (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    kind {text} NOT NULL,
    subject_id {uuid} NOT NULL,
    CONSTRAINT outbox_pkey PRIMARY KEY (id),
    CONSTRAINT outbox_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX outbox_workspace_id_idx ON outbox (workspace_id, id);
";
