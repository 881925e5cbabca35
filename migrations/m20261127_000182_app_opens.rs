//! Opens of apps by links are kept, and which of them brought a user back.

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

/// `credit_time` is set where a user was brought back: until then the link has the credit.
const TABLES: &str = "
CREATE TABLE app_opens (
    click_id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    app_id {uuid},
    install_id {uuid} NOT NULL,
    link_id {uuid} NOT NULL,
    open_time {moment} NOT NULL,
    seen_time {moment} NOT NULL,
    credit_time {moment},
    test {bool} NOT NULL,
    CONSTRAINT app_opens_pkey PRIMARY KEY (click_id),
    CONSTRAINT app_opens_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX app_opens_install_idx ON app_opens (workspace_id, install_id, open_time);
CREATE INDEX app_opens_back_idx ON app_opens (workspace_id, open_time, click_id) WHERE credit_time IS NOT NULL;
";
