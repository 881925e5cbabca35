//! Imports of files of links: how far each is, what became of rows that could not be stored, and of dry runs which codes they
//! would have used.

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

/// No foreign keys to `links`: a link may go while the import that made it is remembered.
const TABLES: &str = "
CREATE TABLE link_imports (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    request {bytes} NOT NULL,
    done {bool} NOT NULL,
    next_offset {big} NOT NULL,
    reading {bytes} NOT NULL,
    row_count {big} NOT NULL,
    created {big} NOT NULL,
    changed {big} NOT NULL,
    same {big} NOT NULL,
    conflicts {big} NOT NULL,
    wrong {big} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT link_imports_pkey PRIMARY KEY (id)
);
CREATE INDEX link_imports_update_time_idx ON link_imports (update_time);

CREATE TABLE link_import_errors (
    workspace_id {uuid} NOT NULL,
    import_id {uuid} NOT NULL,
    row_number {big} NOT NULL,
    cells {bytes} NOT NULL,
    message {text} NOT NULL,
    CONSTRAINT link_import_errors_pkey PRIMARY KEY (workspace_id, import_id, row_number)
);

CREATE TABLE link_import_drafts (
    workspace_id {uuid} NOT NULL,
    import_id {uuid} NOT NULL,
    short_code {ctext} NOT NULL,
    link {bytes} NOT NULL,
    CONSTRAINT link_import_drafts_pkey PRIMARY KEY (workspace_id, import_id, short_code)
);
";
