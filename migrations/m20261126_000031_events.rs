//! What happens in apps, with its money.

use sea_orm_migration::prelude::*;

use super::sql::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let partition = if is_postgres(manager) { " PARTITION BY RANGE (id)" } else { "" };
        run(manager, &EVENTS.replace("{partition}", partition)).await?;
        run(manager, TABLES).await?;
        if is_postgres(manager) { run(manager, PARTITIONS).await } else { Ok(()) }
    }
}

/// The columns stand from wide to narrow, so that Postgres pads few of them. There are no foreign keys: an event of an install that is
/// not decided yet is kept, and one of a link that was deleted stays.
const EVENTS: &str = "
CREATE TABLE events (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    install_id {uuid} NOT NULL,
    app_id {uuid},
    link_id {uuid},
    click_id {uuid},
    link_open_time {moment},
    event_time {moment} NOT NULL,
    receive_time {moment} NOT NULL,
    content_hash {big} NOT NULL,
    units {big},
    reporting_units {big},
    nanos {int},
    reporting_nanos {int},
    rate_day {int},
    duplicate_revenue {bool} NOT NULL,
    event_key {text} NOT NULL,
    name {text} NOT NULL,
    session {text},
    currency {text},
    reporting_currency {text},
    transaction_id {text},
    properties {text},
    CONSTRAINT events_pkey PRIMARY KEY (id)
){partition};
CREATE INDEX events_workspace_idx ON events (workspace_id, id);
CREATE INDEX events_install_idx ON events (workspace_id, install_id, id);
CREATE INDEX events_name_idx ON events (workspace_id, name, id);
CREATE INDEX events_link_idx ON events (workspace_id, link_id, id) WHERE link_id IS NOT NULL;
CREATE INDEX events_unconverted_idx ON events (workspace_id, id) WHERE units IS NOT NULL AND reporting_units IS NULL;
";

/// A transaction counts once in an app, and its refund once: by an index, so on any number of nodes.
const TABLES: &str = "
CREATE TABLE event_transactions (
    scope_id {uuid} NOT NULL,
    refund {bool} NOT NULL,
    transaction_id {text} NOT NULL,
    event_id {uuid} NOT NULL,
    CONSTRAINT event_transactions_pkey PRIMARY KEY (scope_id, refund, transaction_id)
);
CREATE TABLE event_properties (
    scope_id {uuid} NOT NULL,
    name {text} NOT NULL,
    CONSTRAINT event_properties_pkey PRIMARY KEY (scope_id, name)
);
CREATE TABLE exchange_rates (
    currency {text} NOT NULL,
    day {int} NOT NULL,
    rate {big} NOT NULL,
    CONSTRAINT exchange_rates_pkey PRIMARY KEY (currency, day)
);
";

/// The same for events as `linkforty_make_click_partitions` is for clicks.
const PARTITIONS: &str = "
CREATE FUNCTION linkforty_make_event_partitions(first date, last date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    day date := first;
    made integer := 0;
    name text;
BEGIN
    IF last - first > 400 THEN
        RAISE EXCEPTION 'more than 400 partitions at once';
    END IF;
    WHILE day <= last LOOP
        name := 'events_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(name) IS NULL THEN
            -- Two nodes may come here at once: the second waits and finds it made.
            PERFORM pg_advisory_xact_lock(hashtext('linkforty_make_event_partitions'));
            IF to_regclass(name) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                    name, linkforty_day_floor(day), linkforty_day_floor(day + 1));
                made := made + 1;
            END IF;
        END IF;
        day := day + 1;
    END LOOP;
    RETURN made;
END
$$;
";
