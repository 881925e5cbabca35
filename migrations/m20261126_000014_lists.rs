//! Lists of links that stay quick: tags in a table of their own, and an index of the texts that are searched.
//!
//! Triggers keep both, so that the version before, which knows nothing of them, keeps them too.

use sea_orm_migration::prelude::*;

use super::sql::{is_postgres, run};

/// See the module.
#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, TABLES).await?;
        run(manager, if is_postgres(manager) { ON_POSTGRES } else { ON_SQLITE }).await
    }
}

/// The indexes are small: few links are archived or switched off.
const TABLES: &str = "
CREATE TABLE link_tags (
    workspace_id {uuid} NOT NULL,
    tag {text} NOT NULL,
    link_id {uuid} NOT NULL,
    CONSTRAINT link_tags_pkey PRIMARY KEY (workspace_id, tag, link_id),
    CONSTRAINT link_tags_link_id_fkey FOREIGN KEY (link_id) REFERENCES links (id) ON DELETE CASCADE
);
CREATE INDEX link_tags_link_id_idx ON link_tags (link_id);
CREATE INDEX links_archived_idx ON links (workspace_id, id) WHERE archived = TRUE;
CREATE INDEX links_inactive_idx ON links (workspace_id, id) WHERE active = FALSE AND alias_of IS NULL;
CREATE INDEX links_source_idx ON links (workspace_id, source, id) WHERE source <> '';
";

/// The extension comes with the server and may be made by whoever owns the database. Where it may not, searching reads all links
/// of the workspace: `CREATE EXTENSION pg_trgm` by somebody who may, and then the index, mend that.
const ON_POSTGRES: &str = "
INSERT INTO link_tags (workspace_id, tag, link_id)
SELECT links.workspace_id, tag, links.id FROM links, jsonb_array_elements_text(links.tags) AS tag ON CONFLICT DO NOTHING;

CREATE FUNCTION linkforty_keep_link_tags() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM link_tags WHERE link_id = NEW.id;
    END IF;
    INSERT INTO link_tags (workspace_id, tag, link_id)
    SELECT NEW.workspace_id, tag, NEW.id FROM jsonb_array_elements_text(NEW.tags) AS tag ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER links_keep_tags_on_insert AFTER INSERT ON links
FOR EACH ROW EXECUTE FUNCTION linkforty_keep_link_tags();
CREATE TRIGGER links_keep_tags_on_update AFTER UPDATE OF tags ON links
FOR EACH ROW WHEN (OLD.tags IS DISTINCT FROM NEW.tags) EXECUTE FUNCTION linkforty_keep_link_tags();

DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'pg_trgm cannot be had (%): searching for links will be slow', SQLERRM;
END
$$;
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm') THEN
        CREATE INDEX links_search_idx ON links USING gin
            (lower((short_code || E'\\n' || title || E'\\n' || description || E'\\n' || destination_url) COLLATE \"C\") gin_trgm_ops)
            WHERE alias_of IS NULL;
    END IF;
END
$$;
";

/// The numbers of `link_texts` are what the index of texts knows links by; a row of `links` has none that lasts.
const ON_SQLITE: &str = "
INSERT INTO link_tags (workspace_id, tag, link_id)
SELECT links.workspace_id, tag.value, links.id FROM links, json_each(links.tags) AS tag WHERE TRUE ON CONFLICT DO NOTHING;

CREATE TABLE link_texts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    link_id BLOB NOT NULL CONSTRAINT link_texts_link_id_key UNIQUE,
    text TEXT NOT NULL
);
INSERT INTO link_texts (link_id, text)
SELECT id, short_code || char(10) || title || char(10) || description || char(10) || destination_url FROM links
WHERE alias_of IS NULL ORDER BY id;
CREATE VIRTUAL TABLE links_search USING fts5(text, content='link_texts', content_rowid='number', tokenize='trigram');
INSERT INTO links_search (links_search) VALUES ('rebuild');

CREATE TRIGGER link_texts_on_insert AFTER INSERT ON link_texts BEGIN
    INSERT INTO links_search (rowid, text) VALUES (NEW.number, NEW.text);
END;
CREATE TRIGGER link_texts_on_delete AFTER DELETE ON link_texts BEGIN
    INSERT INTO links_search (links_search, rowid, text) VALUES ('delete', OLD.number, OLD.text);
END;
CREATE TRIGGER link_texts_on_update AFTER UPDATE ON link_texts BEGIN
    INSERT INTO links_search (links_search, rowid, text) VALUES ('delete', OLD.number, OLD.text);
    INSERT INTO links_search (rowid, text) VALUES (NEW.number, NEW.text);
END;
CREATE TRIGGER links_keep_lists_on_insert AFTER INSERT ON links BEGIN
    INSERT INTO link_tags (workspace_id, tag, link_id)
    SELECT NEW.workspace_id, tag.value, NEW.id FROM json_each(NEW.tags) AS tag WHERE TRUE ON CONFLICT DO NOTHING;
    INSERT INTO link_texts (link_id, text)
    SELECT NEW.id, NEW.short_code || char(10) || NEW.title || char(10) || NEW.description || char(10) || NEW.destination_url
    WHERE NEW.alias_of IS NULL;
END;
CREATE TRIGGER links_keep_tags_on_update AFTER UPDATE OF tags ON links WHEN OLD.tags <> NEW.tags BEGIN
    DELETE FROM link_tags WHERE link_id = NEW.id;
    INSERT INTO link_tags (workspace_id, tag, link_id)
    SELECT NEW.workspace_id, tag.value, NEW.id FROM json_each(NEW.tags) AS tag WHERE TRUE ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER links_keep_texts_on_update AFTER UPDATE OF title, description, destination_url ON links
WHEN OLD.title <> NEW.title OR OLD.description <> NEW.description OR OLD.destination_url <> NEW.destination_url BEGIN
    UPDATE link_texts SET text =
        NEW.short_code || char(10) || NEW.title || char(10) || NEW.description || char(10) || NEW.destination_url
    WHERE link_id = NEW.id;
END;
CREATE TRIGGER links_keep_texts_on_delete AFTER DELETE ON links BEGIN
    DELETE FROM link_texts WHERE link_id = OLD.id;
END;
";
