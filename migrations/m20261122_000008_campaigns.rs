//! The campaign of a click, in the dictionary; clicks without one take no more room.

use sea_orm_migration::prelude::*;

use super::sql::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// On Postgres the partitions follow their parent, and a column that may be null rewrites none of them.
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, "ALTER TABLE clicks ADD COLUMN campaign_id {int};").await
    }
}
