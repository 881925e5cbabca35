//! Invitations, one owner for each workspace whatever happens at once, quotas, and workspaces that are being erased.

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

// 4 is the number of an owner.
const TABLES: &str = "
CREATE TABLE invitations (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    email {text} NOT NULL,
    role {small} NOT NULL,
    token_hash {bytes} NOT NULL,
    inviter_id {uuid},
    create_time {moment} NOT NULL,
    expire_time {moment} NOT NULL,
    CONSTRAINT invitations_pkey PRIMARY KEY (id),
    CONSTRAINT invitations_token_hash_key UNIQUE (token_hash),
    CONSTRAINT invitations_email_key UNIQUE (workspace_id, email),
    CONSTRAINT invitations_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX invitations_workspace_id_idx ON invitations (workspace_id, id);
CREATE INDEX invitations_expire_time_idx ON invitations (expire_time);

CREATE UNIQUE INDEX members_owner_key ON members (workspace_id) WHERE role = 4;

ALTER TABLE workspaces ADD COLUMN quotas {json};
ALTER TABLE workspaces ADD COLUMN delete_time {moment};
";
