//! What was counted before its click was stored.

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

/// Without foreign keys, as of `undecided_events`. An item waits for one click at the most; those that came are found by a range of ids.
const TABLE: &str = "
CREATE TABLE awaited_clicks (
    workspace_id {uuid} NOT NULL,
    item_id {uuid} NOT NULL,
    click_id {uuid} NOT NULL,
    content {bytes} NOT NULL,
    CONSTRAINT awaited_clicks_pkey PRIMARY KEY (workspace_id, item_id)
);
CREATE INDEX awaited_clicks_click_idx ON awaited_clicks (click_id);
";
