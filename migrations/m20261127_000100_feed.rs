//! What happened, in the order it was stored, and what a click says of places and of where its link stood.

use sea_orm_migration::prelude::*;

use super::sql::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// On Postgres the partitions follow their parent, and a column that may be null rewrites none of them.
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, FEED).await?;
        run(manager, "ALTER TABLE clicks ADD COLUMN place_id {int};").await?;
        run(manager, "ALTER TABLE clicks ADD COLUMN home_id {int};").await?;
        if is_postgres(manager) { run(manager, ORDER).await } else { Ok(()) }
    }
}

/// Without a foreign key: what waits in spools may be of a workspace that is gone.
const FEED: &str = "
CREATE TABLE feed (
    seq {bigserial},
    workspace_id {uuid} NOT NULL,
    time {moment} NOT NULL,
    kind {small} NOT NULL,
    payload {bytes} NOT NULL
);
CREATE INDEX feed_workspace_idx ON feed (workspace_id, seq);
";

/// Up to which number nothing can appear any more. On SQLite there is one writer, and all that is stored is settled. On Postgres a
/// transaction may commit after another that drew later numbers; so whoever appends holds a lock until its end, whose key is the last number
/// that was drawn before its own. The lock is let go after the commit can be seen. Locks are shared: nobody waits for anybody.
const ORDER: &str = "
CREATE FUNCTION linkforty_feed_drawn() RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM feed_seq_seq
$$;
CREATE FUNCTION linkforty_feed_enter() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(('feed'::regclass::oid::bigint & 2147483647)::integer,
        (linkforty_feed_drawn() & 2147483647)::integer);
END
$$;
CREATE FUNCTION linkforty_feed_settled() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    drawn bigint;
    settled bigint;
BEGIN
    -- In this order: who has drawn a number up to this one is either seen below, or has ended.
    drawn := linkforty_feed_drawn();
    -- Keys have 31 bits. One that is ahead of what was drawn is of somebody who came after.
    SELECT min(CASE WHEN behind < 1073741824 THEN drawn - behind ELSE drawn END) INTO settled
    FROM (SELECT (drawn - objid::bigint) & 2147483647 AS behind FROM pg_locks
          WHERE locktype = 'advisory' AND objsubid = 2
            AND classid::bigint = 'feed'::regclass::oid::bigint & 2147483647
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS writers;
    RETURN least(drawn, settled);
END
$$;
";
