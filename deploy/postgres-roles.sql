-- The three roles of a linkforty database, each with what it needs and no more. Run as a superuser in the database itself, as often as you
-- like, also on one that has tables already:
--
--   createdb linkforty
--   psql -d linkforty -f deploy/postgres-roles.sql
--   psql -d linkforty -c '\password linkforty_owner' -c '\password linkforty_app'
--
-- linkforty_owner  makes and changes tables: DATABASE_URL of `linkforty migrate up`
-- linkforty_app    reads and writes rows: DATABASE_URL of `linkforty serve` and every other command
-- linkforty_backup reads everything, for pg_dump; it cannot sign in until it is given a password and LOGIN
--
-- Neither of them is a superuser, makes databases or roles, or replicates. What the server cannot do, nobody can make it do: it cannot drop
-- a table, and it cannot take away the triggers that keep the audit trail from being rewritten.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['linkforty_owner', 'linkforty_app', 'linkforty_backup'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I', role);
        END IF;
        EXECUTE format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', role);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
    END LOOP;
    ALTER ROLE linkforty_owner LOGIN;
    ALTER ROLE linkforty_app LOGIN;
    -- Temporary tables too are the owner's to make.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO linkforty_owner', current_database());
END
$$;

-- Searches in the middle of words rest on it. Without it they read all links of a workspace.
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO linkforty_owner;
GRANT USAGE ON SCHEMA public TO linkforty_app, linkforty_backup;

-- Tables that are there, whoever made them, become the owner's.
DO $$
DECLARE
    relation record;
BEGIN
    FOR relation IN
        SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
            AND pg_get_userbyid(c.relowner) <> 'linkforty_owner'
            AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO linkforty_owner', relation.name);
    END LOOP;
    FOR relation IN
        SELECT p.oid::regprocedure AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'public' AND p.proname LIKE 'linkforty\_%'
            AND pg_get_userbyid(p.proowner) <> 'linkforty_owner'
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO linkforty_owner', relation.name);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO linkforty_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO linkforty_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO linkforty_backup;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO linkforty_backup;

-- And of whatever migrations make later.
ALTER DEFAULT PRIVILEGES FOR ROLE linkforty_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO linkforty_app;
ALTER DEFAULT PRIVILEGES FOR ROLE linkforty_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO linkforty_app;
ALTER DEFAULT PRIVILEGES FOR ROLE linkforty_owner IN SCHEMA public GRANT SELECT ON TABLES TO linkforty_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE linkforty_owner IN SCHEMA public GRANT SELECT ON SEQUENCES TO linkforty_backup;
