//! What links were before somebody changed them, and named campaign parameters of a workspace.

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
CREATE TABLE link_revisions (
    workspace_id {uuid} NOT NULL,
    link_id {uuid} NOT NULL,
    version {big} NOT NULL,
    change_time {moment} NOT NULL,
    actor {uuid},
    actor_kind {small} NOT NULL,
    fields {json} NOT NULL,
    content {bytes} NOT NULL,
    CONSTRAINT link_revisions_pkey PRIMARY KEY (link_id, version),
    CONSTRAINT link_revisions_link_id_fkey FOREIGN KEY (link_id) REFERENCES links (id) ON DELETE CASCADE
);

CREATE TABLE utm_presets (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    name {text} NOT NULL,
    utm {json} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT utm_presets_pkey PRIMARY KEY (id),
    CONSTRAINT utm_presets_name_key UNIQUE (workspace_id, name),
    CONSTRAINT utm_presets_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX utm_presets_workspace_id_idx ON utm_presets (workspace_id, id);
";
