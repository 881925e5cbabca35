//! How often somebody tried to guess a secret of a person, and where people sign in from.

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
CREATE TABLE sign_in_attempts (
    id {bytes} NOT NULL,
    tries {int} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT sign_in_attempts_pkey PRIMARY KEY (id)
);
CREATE INDEX sign_in_attempts_update_time_idx ON sign_in_attempts (update_time);

CREATE TABLE sign_in_places (
    user_id {uuid} NOT NULL,
    network {text} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT sign_in_places_pkey PRIMARY KEY (user_id, network),
    CONSTRAINT sign_in_places_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX sign_in_places_update_time_idx ON sign_in_places (update_time);
";
