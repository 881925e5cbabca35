//! Clicks are found by workspace, link and time.

use sea_orm_migration::prelude::*;

use super::sql::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, CLICKS).await
    }
}

/// As of `m20261126_000032_candidates`: building it keeps the drain out, and spools hold what comes meanwhile. One index for both questions: of
/// a link it has the clicks in their order; of a workspace it has them all, a day's partition of which is sorted in memory.
const CLICKS: &str = "CREATE INDEX clicks_link_idx ON clicks (workspace_id, link_id, id);";
