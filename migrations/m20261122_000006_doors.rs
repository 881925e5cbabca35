//! Links know safety states, targeting, what previews show, a password and the launchpad; workspaces know settings that hold for
//! all their links, and whether they are suspended.

use sea_orm_migration::prelude::*;

use super::sql::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, COLUMNS).await
    }
}

/// Every column may be missing or has a default, because the version before inserts without them. Nearly no workspace ever has
/// a `redirect_time`, so the index is small and quickly built.
const COLUMNS: &str = "
ALTER TABLE links ADD COLUMN targeting {bytes};
ALTER TABLE links ADD COLUMN og {bytes};
ALTER TABLE links ADD COLUMN warn_time {moment};
ALTER TABLE links ADD COLUMN disable_time {moment};
ALTER TABLE links ADD COLUMN disable_reason {text} NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN password_hash {text};
ALTER TABLE links ADD COLUMN launchpad_mode {small} NOT NULL DEFAULT 0;
ALTER TABLE workspaces ADD COLUMN settings {bytes};
ALTER TABLE workspaces ADD COLUMN suspend_time {moment};
ALTER TABLE workspaces ADD COLUMN suspend_reason {text} NOT NULL DEFAULT '';
ALTER TABLE workspaces ADD COLUMN redirect_time {moment};
CREATE INDEX workspaces_redirect_time ON workspaces (redirect_time);
";
