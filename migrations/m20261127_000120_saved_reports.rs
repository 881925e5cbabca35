//! Reports under names, and links to them.

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

const TABLES: &str = "
CREATE TABLE reports (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    name {text} NOT NULL,
    query {bytes} NOT NULL,
    version {big} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT reports_pkey PRIMARY KEY (id),
    CONSTRAINT reports_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX reports_workspace_id_idx ON reports (workspace_id, id);

CREATE TABLE report_shares (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    report_id {uuid} NOT NULL,
    prefix {text} NOT NULL,
    token_hash {bytes} NOT NULL,
    password_hash {text},
    expire_time {moment},
    create_time {moment} NOT NULL,
    CONSTRAINT report_shares_pkey PRIMARY KEY (id),
    CONSTRAINT report_shares_token_hash_key UNIQUE (token_hash),
    CONSTRAINT report_shares_report_id_fkey FOREIGN KEY (report_id) REFERENCES reports (id) ON DELETE CASCADE
);
CREATE INDEX report_shares_report_id_idx ON report_shares (workspace_id, report_id, id);
";
