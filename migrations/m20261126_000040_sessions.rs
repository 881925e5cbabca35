//! Where each session comes from, and people who may not sign in.

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

const COLUMNS: &str = "
ALTER TABLE sessions ADD COLUMN user_agent {text} NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN address {text} NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN disable_time {moment};
";
