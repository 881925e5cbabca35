//! The audit trail, which nobody can rewrite.

use sea_orm_migration::prelude::*;

use super::sql::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, EVENTS).await?;
        run(manager, if is_postgres(manager) { POSTGRES } else { SQLITE }).await
    }
}

/// No foreign keys: what was done outlives the workspace and the people it was done by.
const EVENTS: &str = "
CREATE TABLE audit_events (
    id {uuid} NOT NULL,
    workspace_id {uuid},
    time {moment} NOT NULL,
    actor_kind {small} NOT NULL,
    actor_id {uuid},
    session_id {uuid},
    address {text},
    request_id {text},
    action {ctext} NOT NULL,
    target_id {uuid},
    changes {text} NOT NULL,
    seq {big},
    hash {bytes},
    CONSTRAINT audit_events_pkey PRIMARY KEY (id),
    CONSTRAINT audit_events_seq_key UNIQUE (seq)
);
CREATE INDEX audit_events_workspace_idx ON audit_events (workspace_id, id);
CREATE INDEX audit_events_workspace_actor_idx ON audit_events (workspace_id, actor_id, id);
CREATE INDEX audit_events_workspace_target_idx ON audit_events (workspace_id, target_id, id);
CREATE INDEX audit_events_unsealed_idx ON audit_events (id) WHERE seq IS NULL;
";

const POSTGRES: &str = "
CREATE FUNCTION audit_events_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.seq IS NULL AND NEW.seq IS NOT NULL AND NEW.hash IS NOT NULL
        AND (OLD.id, OLD.workspace_id, OLD.time, OLD.actor_kind, OLD.actor_id, OLD.session_id, OLD.address,
             OLD.request_id, OLD.action, OLD.target_id, OLD.changes)
            IS NOT DISTINCT FROM
            (NEW.id, NEW.workspace_id, NEW.time, NEW.actor_kind, NEW.actor_id, NEW.session_id, NEW.address,
             NEW.request_id, NEW.action, NEW.target_id, NEW.changes)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'audit events are never changed or deleted';
END
$$;
CREATE TRIGGER audit_events_keep BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_keep();
CREATE TRIGGER audit_events_keep_all BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_keep();
";

const SQLITE: &str = "
CREATE TRIGGER audit_events_keep BEFORE UPDATE ON audit_events
WHEN NOT (OLD.seq IS NULL AND NEW.seq IS NOT NULL AND NEW.hash IS NOT NULL
    AND OLD.id IS NEW.id AND OLD.workspace_id IS NEW.workspace_id AND OLD.time IS NEW.time
    AND OLD.actor_kind IS NEW.actor_kind AND OLD.actor_id IS NEW.actor_id AND OLD.session_id IS NEW.session_id
    AND OLD.address IS NEW.address AND OLD.request_id IS NEW.request_id AND OLD.action IS NEW.action
    AND OLD.target_id IS NEW.target_id AND OLD.changes IS NEW.changes)
BEGIN
    SELECT RAISE(ABORT, 'audit events are never changed or deleted');
END;
CREATE TRIGGER audit_events_keep_all BEFORE DELETE ON audit_events
BEGIN
    SELECT RAISE(ABORT, 'audit events are never changed or deleted');
END;
";
