//! Passkeys.

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
CREATE TABLE passkeys (
    id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    credential_id {bytes} NOT NULL,
    name {text} NOT NULL,
    transports {small} NOT NULL,
    public_key {bytes} NOT NULL,
    state {bytes} NOT NULL,
    create_time {moment} NOT NULL,
    use_time {moment},
    CONSTRAINT passkeys_pkey PRIMARY KEY (id),
    CONSTRAINT passkeys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT passkeys_credential_id_key UNIQUE (credential_id)
);
CREATE INDEX passkeys_user_id_idx ON passkeys (user_id);
";
