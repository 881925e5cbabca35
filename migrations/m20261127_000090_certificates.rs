//! Certificates that the server gets by itself, for domains of workspaces and for its own hosts.

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

/// Private keys are sealed. A certificate goes with its domain; one without a domain is for a host of the server's own.
const TABLES: &str = "
CREATE TABLE certificates (
    host {text} NOT NULL,
    domain_id {uuid},
    chain {text},
    private_key {bytes},
    issuer {text} NOT NULL,
    start_time {moment},
    expire_time {moment},
    order_url {text},
    order_key {bytes},
    failures {int} NOT NULL,
    failure {small} NOT NULL,
    failure_detail {text} NOT NULL,
    failure_time {moment},
    next_time {moment},
    version {big} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT certificates_pkey PRIMARY KEY (host),
    CONSTRAINT certificates_domain_id_key UNIQUE (domain_id),
    CONSTRAINT certificates_domain_id_fkey FOREIGN KEY (domain_id) REFERENCES domains (id) ON DELETE CASCADE
);
CREATE INDEX certificates_next_time_idx ON certificates (next_time);
CREATE TABLE certificate_orders (
    id {uuid} NOT NULL,
    workspace_id {uuid},
    create_time {moment} NOT NULL,
    CONSTRAINT certificate_orders_pkey PRIMARY KEY (id)
);
CREATE INDEX certificate_orders_create_time_idx ON certificate_orders (create_time);
CREATE TABLE acme_accounts (
    directory_url {text} NOT NULL,
    private_key {bytes} NOT NULL,
    url {text},
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT acme_accounts_pkey PRIMARY KEY (directory_url)
);
CREATE TABLE acme_challenges (
    token {text} NOT NULL,
    host {text} NOT NULL,
    answer {text} NOT NULL,
    create_time {moment} NOT NULL,
    expire_time {moment} NOT NULL,
    CONSTRAINT acme_challenges_pkey PRIMARY KEY (token)
);
CREATE INDEX acme_challenges_host_idx ON acme_challenges (host);
";
