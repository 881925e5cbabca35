//! Links have a limit of clicks, and nodes lease parts of it.

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

/// No foreign keys to `links`: each lease would lock the row of its link, and so wait for whoever edits it.
const TABLES: &str = "
ALTER TABLE links ADD COLUMN max_clicks {big} NOT NULL DEFAULT 0;

CREATE TABLE click_budgets (
    workspace_id {uuid} NOT NULL,
    link_id {uuid} NOT NULL,
    leased {big} NOT NULL,
    CONSTRAINT click_budgets_pkey PRIMARY KEY (workspace_id, link_id)
);

CREATE TABLE click_leases (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    link_id {uuid} NOT NULL,
    spool_id {uuid} NOT NULL,
    run_id {uuid} NOT NULL,
    units {big} NOT NULL,
    drained {big} NOT NULL,
    end_time {moment} NOT NULL,
    CONSTRAINT click_leases_pkey PRIMARY KEY (id)
);
CREATE INDEX click_leases_link_id_idx ON click_leases (workspace_id, link_id);
CREATE INDEX click_leases_spool_id_idx ON click_leases (spool_id);
CREATE INDEX click_leases_end_time_idx ON click_leases (end_time);
";
