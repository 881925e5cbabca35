//! What visitors report about links.

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

/// Nothing of who reported but what they wrote themselves. A report goes with its link.
const TABLES: &str = "
CREATE TABLE link_reports (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    link_id {uuid} NOT NULL,
    short_code {text} NOT NULL,
    kind {small} NOT NULL,
    details {text} NOT NULL,
    contact {text} NOT NULL,
    create_time {moment} NOT NULL,
    CONSTRAINT link_reports_pkey PRIMARY KEY (id),
    CONSTRAINT link_reports_link_id_fkey FOREIGN KEY (link_id) REFERENCES links (id) ON DELETE CASCADE
);
CREATE INDEX link_reports_workspace_id_idx ON link_reports (workspace_id, id);
CREATE INDEX link_reports_link_id_idx ON link_reports (link_id, id);
";
