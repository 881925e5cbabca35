//! Clicks are found by network, and say which of them are of one address.

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

/// Building the index keeps writers out, and Postgres builds none `CONCURRENTLY` on a partitioned table. Nobody waits for it all the
/// same: clicks are written by the drain alone, and spools hold what comes meanwhile.
const CLICKS: &str = "
ALTER TABLE clicks ADD COLUMN address {int};
CREATE INDEX clicks_network_idx ON clicks (workspace_id, network, id) WHERE bot = 0;
";
