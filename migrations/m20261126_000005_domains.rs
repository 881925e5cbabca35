//! Workspaces have domains of their own for links.

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

/// `held_host` is the host while its proof holds, so that it can be held once only; `namespace` is what `links.domain` says.
const TABLES: &str = "
CREATE TABLE domains (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    host {text} NOT NULL,
    held_host {text},
    namespace {text} NOT NULL,
    token {text} NOT NULL,
    state {small} NOT NULL,
    is_default {bool} NOT NULL,
    ignores_case {bool} NOT NULL,
    root_url {text} NOT NULL,
    not_found_url {text} NOT NULL,
    expired_url {text} NOT NULL,
    robots_txt {text} NOT NULL,
    seen {bytes},
    verify_time {moment},
    look_time {moment},
    next_look_time {moment},
    waiting_time {moment} NOT NULL,
    looks {int} NOT NULL,
    version {big} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT domains_pkey PRIMARY KEY (id),
    CONSTRAINT domains_workspace_id_host_key UNIQUE (workspace_id, host),
    CONSTRAINT domains_held_host_key UNIQUE (held_host),
    CONSTRAINT domains_namespace_key UNIQUE (namespace),
    CONSTRAINT domains_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX domains_next_look_time_idx ON domains (next_look_time);
";
