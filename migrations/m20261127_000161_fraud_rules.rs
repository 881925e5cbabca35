//! What workspaces say of the rules of fraud.

use sea_orm_migration::prelude::*;

use super::sql::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, RULES).await
    }
}

/// A row for each rule that a workspace wants otherwise than it comes.
const RULES: &str = "
CREATE TABLE fraud_rules (
    workspace_id {uuid} NOT NULL,
    rule {ctext} NOT NULL,
    action {small} NOT NULL,
    threshold {int} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT fraud_rules_pkey PRIMARY KEY (workspace_id, rule),
    CONSTRAINT fraud_rules_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
";
