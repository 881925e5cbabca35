//! API keys that are rotated, bound to projects and domains, that somebody is warned of, and that are counted by the day.

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
ALTER TABLE api_keys ADD COLUMN test {bool} NOT NULL DEFAULT FALSE;
ALTER TABLE api_keys ADD COLUMN previous_hash {bytes};
ALTER TABLE api_keys ADD COLUMN previous_expire_time {moment};
ALTER TABLE api_keys ADD COLUMN rotate_time {moment};
ALTER TABLE api_keys ADD COLUMN project_ids {json};
ALTER TABLE api_keys ADD COLUMN domain_ids {json};
ALTER TABLE api_keys ADD COLUMN warned_days {small} NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX api_keys_previous_hash_key ON api_keys (previous_hash);
CREATE INDEX api_keys_expire_time_idx ON api_keys (expire_time);

CREATE TABLE api_key_uses (
    workspace_id {uuid} NOT NULL,
    api_key_id {uuid} NOT NULL,
    day {int} NOT NULL,
    calls {big} NOT NULL,
    errors {big} NOT NULL,
    CONSTRAINT api_key_uses_pkey PRIMARY KEY (workspace_id, api_key_id, day)
);
CREATE INDEX api_key_uses_day_idx ON api_key_uses (day);
";
