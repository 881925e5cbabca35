//! Ads that somebody saw are kept for as long as an install may be credited to them.

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

/// Two days of rows, found by network and by device.
const TABLES: &str = "
CREATE TABLE views (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    link_id {uuid} NOT NULL,
    class {small} NOT NULL,
    network {bytes} NOT NULL,
    address {int},
    visitor {big} NOT NULL,
    identity {bytes},
    user_agent {text} NOT NULL,
    language {text} NOT NULL,
    query {text} NOT NULL,
    CONSTRAINT views_pkey PRIMARY KEY (id),
    CONSTRAINT views_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX views_network_idx ON views (workspace_id, network, id) WHERE class = 0;
CREATE INDEX views_identity_idx ON views (workspace_id, identity, id) WHERE identity IS NOT NULL;
";
