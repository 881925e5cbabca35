//! Clicks are found by workspace and link.

use sea_orm_migration::prelude::*;

use super::sql::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, if is_postgres(manager) { POSTGRES } else { SQLITE }).await
    }
}

/// As of `m20261126_000032_candidates`: building it keeps the drain out, and spools hold what comes meanwhile. One index for both questions: it
/// has the clicks of a link and those of a workspace, a day's partition of which is sorted in memory. Without the id, which no two clicks share,
/// Postgres keeps a link once for all of its clicks: some eight bytes a click and not a hundred.
const POSTGRES: &str = "CREATE INDEX clicks_link_idx ON clicks (workspace_id, link_id);";
/// SQLite has no partitions, and keeps every entry whole.
const SQLITE: &str = "CREATE INDEX clicks_link_idx ON clicks (workspace_id, link_id, id);";
