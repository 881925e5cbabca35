//! Who people are elsewhere, and which sealed handles were used.

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
CREATE TABLE identities (
    id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    issuer {ctext} NOT NULL,
    subject {ctext} NOT NULL,
    email {text} NOT NULL,
    create_time {moment} NOT NULL,
    use_time {moment},
    CONSTRAINT identities_pkey PRIMARY KEY (id),
    CONSTRAINT identities_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT identities_subject_key UNIQUE (issuer, subject),
    CONSTRAINT identities_user_id_issuer_key UNIQUE (user_id, issuer)
);

CREATE TABLE used_handles (
    handle_hash {bytes} NOT NULL,
    expire_time {moment} NOT NULL,
    CONSTRAINT used_handles_pkey PRIMARY KEY (handle_hash)
);
CREATE INDEX used_handles_expire_time_idx ON used_handles (expire_time);
";
