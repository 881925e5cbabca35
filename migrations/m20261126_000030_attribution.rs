//! Apps have tokens, and installs are credited to clicks.

use sea_orm_migration::prelude::*;

use super::sql::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, TABLES).await?;
        run(manager, if is_postgres(manager) { POSTGRES_TOKENS } else { SQLITE_TOKENS }).await
    }
}

/// A click is claimed once: by an index, so on any number of nodes. Installs of test devices claim nothing.
const TABLES: &str = "
CREATE TABLE app_tokens (
    token {text} NOT NULL,
    workspace_id {uuid} NOT NULL,
    app_id {uuid} NOT NULL,
    create_time {moment} NOT NULL,
    expire_time {moment},
    CONSTRAINT app_tokens_pkey PRIMARY KEY (token),
    CONSTRAINT app_tokens_app_id_fkey FOREIGN KEY (app_id) REFERENCES apps (id) ON DELETE CASCADE
);
CREATE INDEX app_tokens_app_id_idx ON app_tokens (app_id);
CREATE TABLE installs (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    app_id {uuid},
    state {small} NOT NULL,
    method {small} NOT NULL,
    no_match {small} NOT NULL,
    score {small} NOT NULL,
    factors {small} NOT NULL,
    flags {int} NOT NULL,
    link_id {uuid},
    click_id {uuid},
    click_time {moment},
    platform {small} NOT NULL,
    test {bool} NOT NULL,
    install_time {moment} NOT NULL,
    receive_time {moment} NOT NULL,
    reinstalls {int} NOT NULL,
    reinstall_time {moment},
    due_time {moment},
    report {bytes} NOT NULL,
    facts {text} NOT NULL,
    deep_link {bytes} NOT NULL,
    CONSTRAINT installs_pkey PRIMARY KEY (id),
    CONSTRAINT installs_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX installs_click_id_key ON installs (click_id) WHERE test = false;
CREATE INDEX installs_workspace_time_idx ON installs (workspace_id, install_time, id);
CREATE INDEX installs_workspace_link_idx ON installs (workspace_id, link_id, install_time, id);
CREATE INDEX installs_pending_idx ON installs (due_time) WHERE state = 3;
CREATE TABLE install_keys (
    workspace_id {uuid} NOT NULL,
    key {bytes} NOT NULL,
    install_id {uuid} NOT NULL,
    seen_time {moment} NOT NULL,
    CONSTRAINT install_keys_pkey PRIMARY KEY (workspace_id, key),
    CONSTRAINT install_keys_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX install_keys_install_id_idx ON install_keys (install_id);
CREATE TABLE click_identities (
    workspace_id {uuid} NOT NULL,
    key {bytes} NOT NULL,
    click_id {uuid} NOT NULL,
    link_id {uuid} NOT NULL,
    CONSTRAINT click_identities_pkey PRIMARY KEY (workspace_id, key, click_id),
    CONSTRAINT click_identities_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
";

/// Apps that are there already get a token too.
const POSTGRES_TOKENS: &str = "
INSERT INTO app_tokens (token, workspace_id, app_id, create_time)
SELECT 'at_' || replace(gen_random_uuid()::text, '-', ''), workspace_id, id, create_time FROM apps;
";
const SQLITE_TOKENS: &str = "
INSERT INTO app_tokens (token, workspace_id, app_id, create_time)
SELECT 'at_' || lower(hex(randomblob(16))), workspace_id, id, create_time FROM apps;
";
