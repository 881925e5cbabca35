//! The log of decisions, which nobody can rewrite.

use sea_orm_migration::prelude::*;

use super::sql::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, TABLES).await?;
        run(manager, "ALTER TABLE installs ADD COLUMN decision_salt {bytes};").await?;
        run(manager, if is_postgres(manager) { POSTGRES } else { SQLITE }).await
    }
}

/// No foreign keys: the rows of a workspace go when it is deleted, batch by batch, and not one sooner.
const TABLES: &str = "
CREATE TABLE decisions (
    number {bigserial},
    workspace_id {uuid} NOT NULL,
    install_id {uuid} NOT NULL,
    entry {text} NOT NULL,
    leaf {big},
    hash {bytes}
);
CREATE UNIQUE INDEX decisions_leaf_key ON decisions (workspace_id, leaf);
CREATE INDEX decisions_install_idx ON decisions (workspace_id, install_id, number);
CREATE INDEX decisions_unsealed_idx ON decisions (workspace_id, number) WHERE leaf IS NULL;
CREATE TABLE decision_logs (
    workspace_id {uuid} NOT NULL,
    size {big} NOT NULL,
    head {bytes} NOT NULL,
    signed_size {big} NOT NULL,
    signed_time {moment},
    CONSTRAINT decision_logs_pkey PRIMARY KEY (workspace_id)
);
CREATE INDEX decision_logs_unsigned_idx ON decision_logs (signed_time) WHERE signed_size < size;
CREATE TABLE decision_nodes (
    workspace_id {uuid} NOT NULL,
    level {small} NOT NULL,
    place {big} NOT NULL,
    hash {bytes} NOT NULL,
    CONSTRAINT decision_nodes_pkey PRIMARY KEY (workspace_id, level, place)
);
CREATE TABLE decision_checkpoints (
    workspace_id {uuid} NOT NULL,
    size {big} NOT NULL,
    time {moment} NOT NULL,
    note {text} NOT NULL,
    public_key {bytes} NOT NULL,
    CONSTRAINT decision_checkpoints_pkey PRIMARY KEY (workspace_id, size)
);
";

/// An entry gets its place once. Rows go only with their workspace.
const POSTGRES: &str = "
CREATE FUNCTION linkforty_decisions_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'decisions' THEN
        IF OLD.leaf IS NULL AND NEW.leaf IS NOT NULL AND NEW.hash IS NOT NULL
            AND (OLD.number, OLD.workspace_id, OLD.install_id, OLD.entry)
                IS NOT DISTINCT FROM (NEW.number, NEW.workspace_id, NEW.install_id, NEW.entry)
        THEN
            RETURN NEW;
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT 1 FROM workspaces WHERE id = OLD.workspace_id AND delete_time IS NULL) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'decisions are never changed or deleted';
END
$$;
CREATE TRIGGER decisions_keep BEFORE UPDATE OR DELETE ON decisions
    FOR EACH ROW EXECUTE FUNCTION linkforty_decisions_keep();
CREATE TRIGGER decisions_keep_all BEFORE TRUNCATE ON decisions
    FOR EACH STATEMENT EXECUTE FUNCTION linkforty_decisions_keep();
CREATE TRIGGER decision_nodes_keep BEFORE UPDATE OR DELETE ON decision_nodes
    FOR EACH ROW EXECUTE FUNCTION linkforty_decisions_keep();
CREATE TRIGGER decision_nodes_keep_all BEFORE TRUNCATE ON decision_nodes
    FOR EACH STATEMENT EXECUTE FUNCTION linkforty_decisions_keep();
CREATE TRIGGER decision_checkpoints_keep BEFORE UPDATE OR DELETE ON decision_checkpoints
    FOR EACH ROW EXECUTE FUNCTION linkforty_decisions_keep();
CREATE TRIGGER decision_checkpoints_keep_all BEFORE TRUNCATE ON decision_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION linkforty_decisions_keep();
";

const SQLITE: &str = "
CREATE TRIGGER decisions_keep BEFORE UPDATE ON decisions
WHEN NOT (OLD.leaf IS NULL AND NEW.leaf IS NOT NULL AND NEW.hash IS NOT NULL
    AND OLD.number IS NEW.number AND OLD.workspace_id IS NEW.workspace_id
    AND OLD.install_id IS NEW.install_id AND OLD.entry IS NEW.entry)
BEGIN
    SELECT RAISE(ABORT, 'decisions are never changed or deleted');
END;
CREATE TRIGGER decisions_keep_all BEFORE DELETE ON decisions
WHEN EXISTS (SELECT 1 FROM workspaces WHERE id = OLD.workspace_id AND delete_time IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'decisions are never changed or deleted');
END;
CREATE TRIGGER decision_nodes_keep BEFORE UPDATE ON decision_nodes
BEGIN
    SELECT RAISE(ABORT, 'decisions are never changed or deleted');
END;
CREATE TRIGGER decision_nodes_keep_all BEFORE DELETE ON decision_nodes
WHEN EXISTS (SELECT 1 FROM workspaces WHERE id = OLD.workspace_id AND delete_time IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'decisions are never changed or deleted');
END;
CREATE TRIGGER decision_checkpoints_keep BEFORE UPDATE ON decision_checkpoints
BEGIN
    SELECT RAISE(ABORT, 'decisions are never changed or deleted');
END;
CREATE TRIGGER decision_checkpoints_keep_all BEFORE DELETE ON decision_checkpoints
WHEN EXISTS (SELECT 1 FROM workspaces WHERE id = OLD.workspace_id AND delete_time IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'decisions are never changed or deleted');
END;
";
