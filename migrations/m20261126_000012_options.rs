//! Projects and templates; what links say of both, and what else may be set of a link: ids of others' systems, windows, whether it
//! is archived, how its redirect is answered, and further codes.

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

/// Every new column of `links` may be missing or has a default, because the version before inserts without them. A row with
/// `alias_of` is a further code of another link and nothing else: only so does one unique index know all codes.
const TABLES: &str = "
CREATE TABLE projects (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    name {text} NOT NULL,
    description {text} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT projects_pkey PRIMARY KEY (id),
    CONSTRAINT projects_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX projects_workspace_id_idx ON projects (workspace_id, id);

CREATE TABLE templates (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    name {text} NOT NULL,
    slug {text} NOT NULL,
    description {text} NOT NULL,
    defaults {bytes} NOT NULL,
    is_default {bool} NOT NULL,
    version {big} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT templates_pkey PRIMARY KEY (id),
    CONSTRAINT templates_slug_key UNIQUE (workspace_id, slug),
    CONSTRAINT templates_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX templates_workspace_id_idx ON templates (workspace_id, id);

ALTER TABLE links ADD COLUMN project_id {uuid} CONSTRAINT links_project_id_fkey REFERENCES projects (id) ON DELETE SET NULL;
ALTER TABLE links ADD COLUMN template_id {uuid} CONSTRAINT links_template_id_fkey REFERENCES templates (id);
ALTER TABLE links ADD COLUMN external_id {text};
ALTER TABLE links ADD COLUMN external_user_id {text} NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN reuse_key {bytes};
ALTER TABLE links ADD COLUMN source {text} NOT NULL DEFAULT '';
ALTER TABLE links ADD COLUMN archived {bool} NOT NULL DEFAULT FALSE;
ALTER TABLE links ADD COLUMN attribution_window {int} NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN event_attribution_window {int} NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN redirect_status {small} NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN cache_seconds {int} NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN aliases {json} NOT NULL DEFAULT '[]';
ALTER TABLE links ADD COLUMN alias_of {uuid} CONSTRAINT links_alias_of_fkey REFERENCES links (id) ON DELETE CASCADE;
CREATE UNIQUE INDEX links_external_id_key ON links (workspace_id, external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX links_reuse_key_key ON links (workspace_id, reuse_key) WHERE reuse_key IS NOT NULL;
CREATE INDEX links_project_id_idx ON links (workspace_id, project_id, id) WHERE project_id IS NOT NULL;
CREATE INDEX links_project_id_fkey_idx ON links (project_id) WHERE project_id IS NOT NULL;
CREATE INDEX links_template_id_idx ON links (template_id) WHERE template_id IS NOT NULL;
CREATE INDEX links_external_user_id_idx ON links (workspace_id, external_user_id, id) WHERE external_user_id <> '';
CREATE INDEX links_alias_of_idx ON links (alias_of) WHERE alias_of IS NOT NULL;
";
