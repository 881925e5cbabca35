//! What campaigns cost is kept, day by day.

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

/// `id` is made of what is told apart, so that what is imported again takes the place of what is there.
const TABLES: &str = "
CREATE TABLE costs (
    workspace_id {uuid} NOT NULL,
    day {int} NOT NULL,
    id {uuid} NOT NULL,
    app_id {uuid},
    link_id {uuid},
    country {text} NOT NULL,
    source {text} NOT NULL,
    medium {text} NOT NULL,
    campaign {text} NOT NULL,
    ad_group {text} NOT NULL,
    creative {text} NOT NULL,
    currency {text} NOT NULL,
    units {big} NOT NULL,
    nanos {int} NOT NULL,
    reporting_currency {text},
    reporting_units {big},
    reporting_nanos {int},
    update_time {moment} NOT NULL,
    CONSTRAINT costs_pkey PRIMARY KEY (workspace_id, day, id),
    CONSTRAINT costs_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX costs_waiting_idx ON costs (workspace_id, day, id) WHERE reporting_currency IS NULL;
";
