//! What Apple says of installs that ads brought, and what apps mean by the values in it.

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

/// Postbacks outlive their app, as installs do: reports of a month that is over do not change. They go by age, in batches.
const TABLES: &str = "
CREATE TABLE postbacks (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    app_id {uuid} NOT NULL,
    value_time {moment} NOT NULL,
    day {int} NOT NULL,
    repeats {int} NOT NULL,
    differing_repeats {int} NOT NULL,
    outcome {small} NOT NULL,
    kind {small} NOT NULL,
    conversion_type {small} NOT NULL,
    interaction {small} NOT NULL,
    coarse_value {small},
    fine_value {small},
    sequence_index {small},
    did_win {bool},
    dedupe_key {bytes} NOT NULL,
    version {text} NOT NULL,
    ad_network_id {ctext} NOT NULL,
    source_identifier {ctext} NOT NULL,
    transaction_id {text} NOT NULL,
    publisher {text} NOT NULL,
    country {text} NOT NULL,
    detail {text} NOT NULL,
    body {bytes} NOT NULL,
    CONSTRAINT postbacks_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX postbacks_dedupe_idx ON postbacks (app_id, dedupe_key);
CREATE INDEX postbacks_workspace_id_idx ON postbacks (workspace_id, id);
CREATE INDEX postbacks_app_id_idx ON postbacks (workspace_id, app_id, id);

CREATE TABLE postback_refusals (
    app_id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    day {int} NOT NULL,
    outcome {small} NOT NULL,
    count {big} NOT NULL,
    CONSTRAINT postback_refusals_pkey PRIMARY KEY (app_id, day, outcome)
);
CREATE INDEX postback_refusals_workspace_id_idx ON postback_refusals (workspace_id, app_id, day);
CREATE INDEX postback_refusals_day_idx ON postback_refusals (day);

CREATE TABLE conversion_schemas (
    app_id {uuid} NOT NULL,
    version {big} NOT NULL,
    workspace_id {uuid} NOT NULL,
    start_time {moment} NOT NULL,
    create_time {moment} NOT NULL,
    content {bytes} NOT NULL,
    CONSTRAINT conversion_schemas_pkey PRIMARY KEY (app_id, version),
    CONSTRAINT conversion_schemas_app_id_fkey FOREIGN KEY (app_id) REFERENCES apps (id) ON DELETE CASCADE
);
CREATE INDEX conversion_schemas_workspace_id_idx ON conversion_schemas (workspace_id);
";
