//! Rows of rollups are found by their key and by nothing else, and leave little behind when they are written again.

use sea_orm_migration::prelude::*;

use super::sql::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if is_postgres(manager) { run(manager, POSTGRES).await } else { Ok(()) }
    }
}

/// Postgres took the index of periods for questions that the key answers, where both seemed to lead to one row, and then looked at all rows of a day.
/// Of `period + 0` only those ask who want all of them: rebuilds. Half of a page is left for the next writings of its rows, which then need
/// nothing of the indexes, and what they leave is removed soon: the open rows are written twice a second.
const POSTGRES: &str = "
DROP INDEX rollups_period_idx;
CREATE INDEX rollups_day_idx ON rollups (workspace_id, (period + 0));
ALTER TABLE rollups SET (fillfactor = 50, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_cost_delay = 0, toast.autovacuum_vacuum_threshold = 500, toast.autovacuum_vacuum_scale_factor = 0.02,
    toast.autovacuum_vacuum_cost_delay = 0);
";
