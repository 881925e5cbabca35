//! Workspaces have apps, and the operator says whose may open links on the server's own host.

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

/// The first workspace is the operator's own. Later the flag is set when a workspace is made that has none before it.
const TABLES: &str = "
CREATE TABLE apps (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    ios_bundle_id {text},
    android_package_name {text},
    content {bytes} NOT NULL,
    version {big} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT apps_pkey PRIMARY KEY (id),
    CONSTRAINT apps_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE,
    CONSTRAINT apps_ios_bundle_id_key UNIQUE (workspace_id, ios_bundle_id),
    CONSTRAINT apps_android_package_name_key UNIQUE (workspace_id, android_package_name)
);
ALTER TABLE workspaces ADD COLUMN apps_allowed {bool} NOT NULL DEFAULT false;
UPDATE workspaces SET apps_allowed = true WHERE id = (SELECT id FROM workspaces ORDER BY id LIMIT 1);
";
