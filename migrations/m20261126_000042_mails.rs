//! Mails that are to be sent, tokens that are good for one thing once, and whose e-mail was proved.

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
CREATE TABLE mails (
    id {uuid} NOT NULL,
    content {bytes} NOT NULL,
    attempts {int} NOT NULL,
    next_time {moment} NOT NULL,
    expire_time {moment} NOT NULL,
    CONSTRAINT mails_pkey PRIMARY KEY (id)
);
CREATE INDEX mails_next_time_idx ON mails (next_time);

CREATE TABLE account_tokens (
    token_hash {bytes} NOT NULL,
    user_id {uuid},
    purpose {text} NOT NULL,
    email {text} NOT NULL,
    expire_time {moment} NOT NULL,
    CONSTRAINT account_tokens_pkey PRIMARY KEY (token_hash),
    CONSTRAINT account_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX account_tokens_user_id_idx ON account_tokens (user_id);
CREATE INDEX account_tokens_expire_time_idx ON account_tokens (expire_time);

ALTER TABLE users ADD COLUMN email_verify_time {moment};
";
