//! Many links at once, past the API: what keeps the index of texts is put aside meanwhile and the index made when they are there.

use anyhow::Context as _;
use linkforty::{env::Env, workspaces::Tenant};
use secrecy::ExposeSecret as _;
use sqlx::{Connection as _, Row as _};
use uuid::Uuid;

/// When the first was created.
pub const FIRST_MILLIS: i64 = 1_700_000_000_000;
/// How many milliseconds younger each next one is: a million in not quite two years.
pub const STEP_MILLIS: i64 = 60_000;
/// The id of a project and of a template that every second link has.
pub const KIN: Uuid = Uuid::from_u128(7);

/// The columns that links are written with, and their values by the number of the link in the words of both databases.
const COLUMNS: &str = "workspace_id, domain, short_code, destination_url, title, description, ios_url, android_url, web_url, active,
    archived, source, external_user_id, project_id, template_id, version, tags, id, create_time, update_time";
const VALUES: &str = "CASE WHEN n % 10 = 5 THEN 'go.example.org/1' ELSE '' END, 'code' || n,
    'https://www.example.com/collections/' || n || '?utm_source=mail', 'word' || n % 5000,
    'A page about number ' || n || CASE WHEN n % 100 = 0 THEN ' hundredth' ELSE '' END || CASE WHEN n % 1000 = 0 THEN ' thousandth' ELSE '' END
        || CASE WHEN n < {half} THEN ' oldhalf' ELSE '' END || CASE WHEN n < 8000 THEN ' longago' ELSE '' END
        || CASE WHEN n = 77 THEN ' zq' ELSE '' END,
    '', '', '', n % 1000 <> 0, n % 997 = 0, CASE WHEN n % 3 = 0 THEN 'import' ELSE '' END,
    CASE WHEN n % 2 = 0 THEN 'user' || n % 1000 ELSE '' END";
const TAGS: &str =
    r#"CASE WHEN n % 10000 = 0 THEN '["common","rare"]' WHEN n % 10 = 0 THEN '["common"]' ELSE '[]' END"#;
/// Every third was clicked.
const TOTALS: &str = "INSERT INTO link_totals (workspace_id, link_id, clicks, bot_clicks)
    SELECT workspace_id, id, (length(description) * 31 + length(title) * 7 + n) % 1000, 0 FROM
        (SELECT *, CAST(substr(short_code, 5) AS INTEGER) AS n FROM links) AS numbered WHERE n % 3 = 0";

/// Returns the id of a link.
pub fn id(number: i64) -> String {
    let millis = format!("{:012x}", FIRST_MILLIS + number * STEP_MILLIS);
    format!("{}-{}-7000-8000-{number:012x}", &millis[..8], &millis[8..])
}

/// Writes links into a workspace that has none, with a connection of its own, whose statements may take their time.
pub async fn write(env: &Env, tenant: &Tenant, links: i64) -> anyhow::Result<()> {
    let values = VALUES.replace("{half}", &(links / 2).to_string());
    match &env.config.database {
        Some(database) => postgres(database.url.expose_secret(), tenant, links, &values).await,
        None => sqlite(env, tenant, links, &values).await,
    }
}

/// A project and a template to name.
fn kin() -> [String; 2] {
    let id = format!("X'{}'", KIN.simple());
    [
        format!(
            "INSERT INTO projects (id, workspace_id, name, description, create_time, update_time)
             SELECT {id}, id, 'Half', '', create_time, create_time FROM workspaces"
        ),
        format!(
            "INSERT INTO templates (id, workspace_id, name, slug, description, defaults, is_default, version, create_time, update_time)
             SELECT {id}, id, 'Half', 'half', '', X'', FALSE, 1, create_time, create_time FROM workspaces"
        ),
    ]
}

async fn postgres(url: &str, tenant: &Tenant, links: i64, values: &str) -> anyhow::Result<()> {
    let mut db = sqlx::PgConnection::connect(url).await?;
    let mut run = async |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut db).await;
    for sql in kin() {
        let id = format!("'{KIN}'");
        run(sql.replace(&format!("X'{}'", KIN.simple()), &id).replace("X''", "''")).await?;
    }
    run("SET maintenance_work_mem = '512MB'; SET synchronous_commit = off;
         CREATE TEMPORARY TABLE kept AS SELECT indexdef FROM pg_indexes WHERE indexname = 'links_search_idx';
         DROP INDEX IF EXISTS links_search_idx; ALTER TABLE links DISABLE TRIGGER USER"
        .to_owned())
    .await?;
    let moment = format!("to_timestamp(({FIRST_MILLIS} + n * {STEP_MILLIS}) / 1000.0)");
    run(format!(
        "INSERT INTO links ({COLUMNS})
         SELECT '{}', {values}, CASE WHEN n % 2 = 0 THEN '{KIN}'::uuid END, CASE WHEN n % 2 = 1 THEN '{KIN}'::uuid END, 1, {TAGS}::jsonb,
             (lpad(to_hex({FIRST_MILLIS} + n * {STEP_MILLIS}), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid, {moment}, {moment}
         FROM generate_series(0::bigint, {}) AS n",
        tenant.id,
        links - 1
    ))
    .await?;
    run(format!(
        "ALTER TABLE links ENABLE TRIGGER USER;
         INSERT INTO link_tags (workspace_id, tag, link_id)
             SELECT workspace_id, tag, id FROM links, jsonb_array_elements_text(tags) AS tag;
         {TOTALS};
         DO $$ BEGIN EXECUTE (SELECT indexdef FROM kept); END $$"
    ))
    .await?;
    // As autovacuum would have done by the time that there are so many.
    for table in ["links", "link_totals", "link_tags"] {
        run(format!("VACUUM (ANALYZE) {table}")).await?;
    }
    Ok(())
}

async fn sqlite(env: &Env, tenant: &Tenant, links: i64, values: &str) -> anyhow::Result<()> {
    let file = sqlx::sqlite::SqliteConnectOptions::new().filename(env.config.sqlite_file());
    let mut db = sqlx::SqliteConnection::connect_with(&file).await?;
    let triggers =
        sqlx::query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetch_all(&mut db).await?;
    let triggers: Vec<(String, String)> = triggers.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut run = async |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut db).await;
    run("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = OFF".to_owned()).await?;
    for sql in kin() {
        run(sql).await?;
    }
    run("BEGIN".to_owned()).await?;
    for (name, _) in &triggers {
        run(format!("DROP TRIGGER {name}")).await?;
    }
    let (workspace, kin) = (tenant.id.0.simple(), KIN.simple());
    let moment = format!(
        "strftime('%Y-%m-%d %H:%M:%f+00:00', ({FIRST_MILLIS} + n * {STEP_MILLIS}) / 1000.0, 'unixepoch')"
    );
    run(format!(
        "INSERT INTO links ({COLUMNS})
         WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {})
         SELECT X'{workspace}', {values}, CASE WHEN n % 2 = 0 THEN X'{kin}' END, CASE WHEN n % 2 = 1 THEN X'{kin}' END, 1, {TAGS},
             unhex(printf('%012x70008000%012x', {FIRST_MILLIS} + n * {STEP_MILLIS}, n)), {moment}, {moment} FROM numbers",
        links - 1
    ))
    .await?;
    run(format!(
        "INSERT INTO link_tags (workspace_id, tag, link_id)
             SELECT links.workspace_id, tag.value, links.id FROM links, json_each(links.tags) AS tag;
         {TOTALS};
         INSERT INTO link_texts (link_id, text) SELECT id, short_code || char(10) || title || char(10) || description || char(10) ||
             destination_url FROM links ORDER BY id;
         INSERT INTO links_search (links_search) VALUES ('rebuild')"
    ))
    .await?;
    for (_, sql) in triggers {
        run(sql).await?;
    }
    run("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)".to_owned()).await?;
    db.close().await.context("the file is closed")
}
