//! API keys that a client certificate opens instead of a secret.

use sea_orm_migration::prelude::*;

use super::sql::run;

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, COLUMN).await
    }
}

// A name opens one key at a time, in whatever workspace.
const COLUMN: &str = "
ALTER TABLE api_keys ADD COLUMN certificate_name {text};
CREATE UNIQUE INDEX api_keys_certificate_name_key ON api_keys (certificate_name) WHERE revoke_time IS NULL;
";
