//! People, workspaces, keys, links, clicks and their totals, and what the spool needs to know.

use sea_orm_migration::prelude::*;

use super::sql::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, TABLES).await?;
        if is_postgres(manager) {
            run(manager, CLICKS_ON_POSTGRES).await
        } else {
            run(manager, CLICKS_ON_SQLITE).await
        }
    }
}

const TABLES: &str = "
CREATE TABLE users (
    id {uuid} NOT NULL,
    email {text} NOT NULL,
    display_name {text} NOT NULL,
    password_hash {text} NOT NULL,
    password_change_required {bool} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_key UNIQUE (email)
);

CREATE TABLE sessions (
    id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    refresh_hash {bytes} NOT NULL,
    previous_refresh_hash {bytes},
    rotate_time {moment} NOT NULL,
    create_time {moment} NOT NULL,
    refresh_expire_time {moment} NOT NULL,
    expire_time {moment} NOT NULL,
    end_time {moment},
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expire_time_idx ON sessions (expire_time);

CREATE TABLE workspaces (
    id {uuid} NOT NULL,
    name {text} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT workspaces_pkey PRIMARY KEY (id)
);

CREATE TABLE members (
    workspace_id {uuid} NOT NULL,
    user_id {uuid} NOT NULL,
    role {small} NOT NULL,
    create_time {moment} NOT NULL,
    CONSTRAINT members_pkey PRIMARY KEY (workspace_id, user_id),
    CONSTRAINT members_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE,
    CONSTRAINT members_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX members_user_id_idx ON members (user_id);

CREATE TABLE api_keys (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    name {text} NOT NULL,
    prefix {text} NOT NULL,
    secret_hash {bytes} NOT NULL,
    scopes {json} NOT NULL,
    create_time {moment} NOT NULL,
    expire_time {moment} NOT NULL,
    revoke_time {moment},
    last_use_time {moment},
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_secret_hash_key UNIQUE (secret_hash),
    CONSTRAINT api_keys_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX api_keys_workspace_id_idx ON api_keys (workspace_id, id);

CREATE TABLE idempotency_keys (
    workspace_id {uuid} NOT NULL,
    principal {uuid} NOT NULL,
    request_id {uuid} NOT NULL,
    fingerprint {bytes} NOT NULL,
    outcome {text} NOT NULL,
    create_time {moment} NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (workspace_id, principal, request_id)
);
CREATE INDEX idempotency_keys_create_time_idx ON idempotency_keys (create_time);

CREATE TABLE links (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    domain {text} NOT NULL,
    short_code {text} NOT NULL,
    destination_url {text} NOT NULL,
    title {ctext} NOT NULL,
    description {text} NOT NULL,
    ios_url {text} NOT NULL,
    android_url {text} NOT NULL,
    web_url {text} NOT NULL,
    active {bool} NOT NULL,
    start_time {moment},
    expire_time {moment},
    tags {json} NOT NULL,
    version {big} NOT NULL,
    create_time {moment} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT links_pkey PRIMARY KEY (id),
    CONSTRAINT links_domain_short_code_key UNIQUE (domain, short_code),
    CONSTRAINT links_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);
CREATE INDEX links_workspace_id_idx ON links (workspace_id, id);
CREATE INDEX links_workspace_title_idx ON links (workspace_id, title, id);

CREATE TABLE link_totals (
    workspace_id {uuid} NOT NULL,
    link_id {uuid} NOT NULL,
    clicks {big} NOT NULL,
    bot_clicks {big} NOT NULL,
    CONSTRAINT link_totals_pkey PRIMARY KEY (workspace_id, link_id)
);
CREATE INDEX link_totals_clicks_idx ON link_totals (workspace_id, clicks, link_id);

CREATE TABLE click_rollups (
    workspace_id {uuid} NOT NULL,
    link_id {uuid} NOT NULL,
    hour {int} NOT NULL,
    clicks {big} NOT NULL,
    bot_clicks {big} NOT NULL,
    CONSTRAINT click_rollups_pkey PRIMARY KEY (workspace_id, link_id, hour)
);
CREATE INDEX click_rollups_hour_idx ON click_rollups (workspace_id, hour);

CREATE TABLE dictionary (
    id {serial},
    kind {small} NOT NULL,
    value {text} NOT NULL,
    CONSTRAINT dictionary_kind_value_key UNIQUE (kind, value)
);

CREATE TABLE spool_progress (
    spool_id {uuid} NOT NULL,
    segment {big} NOT NULL,
    position {big} NOT NULL,
    update_time {moment} NOT NULL,
    CONSTRAINT spool_progress_pkey PRIMARY KEY (spool_id)
);

CREATE TABLE dead_letters (
    id {uuid} NOT NULL,
    spool_id {uuid} NOT NULL,
    kind {small} NOT NULL,
    payload {bytes} NOT NULL,
    error {text} NOT NULL,
    create_time {moment} NOT NULL,
    CONSTRAINT dead_letters_pkey PRIMARY KEY (id)
);
";

/// The columns stand from wide to narrow, so that Postgres pads none of them.
const CLICKS_ON_POSTGRES: &str = "
CREATE TABLE clicks (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    link_id {uuid} NOT NULL,
    visitor {big} NOT NULL,
    user_agent_id {int} NOT NULL,
    referrer_id {int} NOT NULL,
    language_id {int} NOT NULL,
    platform {small} NOT NULL,
    bot {small} NOT NULL,
    step {small} NOT NULL,
    network {bytes} NOT NULL,
    query {text},
    CONSTRAINT clicks_pkey PRIMARY KEY (id)
) PARTITION BY RANGE (id);

-- The smallest UUIDv7 of a day.
CREATE FUNCTION linkforty_day_floor(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-0000-0000-000000000000')::uuid
    FROM lpad(to_hex((extract(epoch FROM day)::bigint * 1000)), 12, '0') AS h
$$;

-- Makes the partitions of the days from first to last that are not there yet, and says how many. A function with
-- its owner's rights, so that the server's own role need not be allowed to create tables.
CREATE FUNCTION linkforty_make_click_partitions(first date, last date) RETURNS integer
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
        name := 'clicks_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(name) IS NULL THEN
            -- Two nodes may come here at once: the second waits and finds it made.
            PERFORM pg_advisory_xact_lock(hashtext('linkforty_make_click_partitions'));
            IF to_regclass(name) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF clicks FOR VALUES FROM (%L) TO (%L)',
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

const CLICKS_ON_SQLITE: &str = "
CREATE TABLE clicks (
    id {uuid} NOT NULL,
    workspace_id {uuid} NOT NULL,
    link_id {uuid} NOT NULL,
    visitor {big} NOT NULL,
    user_agent_id {int} NOT NULL,
    referrer_id {int} NOT NULL,
    language_id {int} NOT NULL,
    platform {small} NOT NULL,
    bot {small} NOT NULL,
    step {small} NOT NULL,
    network {bytes} NOT NULL,
    query {text},
    CONSTRAINT clicks_pkey PRIMARY KEY (id)
);
";
