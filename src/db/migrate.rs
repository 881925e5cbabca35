//! Runs and checks the migrations of `migrations/`.

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbErr, EntityTrait, QuerySelect as _};
use sea_orm_migration::MigratorTrait as _;

use super::{Dialect, dialect};
use crate::{entity, migrations::Migrator};

/// The number under which only one migrator runs at a time; any fixed one will do.
const ADVISORY_LOCK: i64 = 0x6c69_6e6b_666f_7274;

/// One migration and whether it has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its name.
    pub name: String,
    /// Whether it has run.
    pub applied: bool,
}

/// Runs every migration that has not run yet, and returns the names of those. On Postgres one migrator runs at a
/// time, and waits no longer than two seconds for the lock of a table that is in use.
pub async fn migrate(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let pending: Vec<String> = status(db)
        .await?
        .into_iter()
        .filter(|migration| !migration.applied)
        .map(|migration| migration.name)
        .collect();
    if dialect(db.get_database_backend()) == Dialect::Sqlite {
        Migrator::up(db, None).await?;
        return Ok(pending);
    }
    let pool = db.get_postgres_connection_pool();
    let conn_err = |error: sqlx::Error| DbErr::Conn(sea_orm::RuntimeErr::SqlxError(error.into()));
    // The lock belongs to this one connection and goes with it, even if we die.
    let mut lock = pool.acquire().await.map_err(conn_err)?.detach();
    sqlx::query("SET statement_timeout = 0").execute(&mut lock).await.map_err(conn_err)?;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(ADVISORY_LOCK)
        .execute(&mut lock)
        .await
        .map_err(conn_err)?;
    let before: Vec<String> = status(db).await?.into_iter().filter(|m| !m.applied).map(|m| m.name).collect();
    let done = Migrator::up(db, None).await;
    drop(lock);
    done.map(|()| before)
}

/// Lists the migrations this binary knows, oldest first. Changes nothing: a database that has none yet has run none.
pub async fn status(db: &DatabaseConnection) -> Result<Vec<Migration>, DbErr> {
    let applied = applied(db).await?;
    Ok(Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .map(|name| Migration { applied: applied.contains(&name), name })
        .collect())
}

/// Says what is wrong with the schema: migrations that have not run, ones this binary does not know, tables that lack
/// a column the code reads. Nothing wrong, no lines.
pub async fn verify(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let known = status(db).await?;
    let mut wrong: Vec<String> = known
        .iter()
        .filter(|migration| !migration.applied)
        .map(|migration| format!("{} has not run: linkforty migrate up", migration.name))
        .collect();
    for name in applied(db).await? {
        if !known.iter().any(|migration| migration.name == name) {
            wrong.push(format!("{name} has run, but this version does not know it: the database is newer"));
        }
    }
    if wrong.is_empty() {
        wrong.extend(readable::<entity::user::Entity>(db, "users").await);
        wrong.extend(readable::<entity::session::Entity>(db, "sessions").await);
        wrong.extend(readable::<entity::account_token::Entity>(db, "account_tokens").await);
        wrong.extend(readable::<entity::mail::Entity>(db, "mails").await);
        wrong.extend(readable::<entity::second_factor::Entity>(db, "second_factors").await);
        wrong.extend(readable::<entity::recovery_code::Entity>(db, "recovery_codes").await);
        wrong.extend(readable::<entity::sign_in_attempt::Entity>(db, "sign_in_attempts").await);
        wrong.extend(readable::<entity::sign_in_place::Entity>(db, "sign_in_places").await);
        wrong.extend(readable::<entity::workspace::Entity>(db, "workspaces").await);
        wrong.extend(readable::<entity::member::Entity>(db, "members").await);
        wrong.extend(readable::<entity::api_key::Entity>(db, "api_keys").await);
        wrong.extend(readable::<entity::idempotency_key::Entity>(db, "idempotency_keys").await);
        wrong.extend(readable::<entity::link::Entity>(db, "links").await);
        wrong.extend(readable::<entity::link_revision::Entity>(db, "link_revisions").await);
        wrong.extend(readable::<entity::link_report::Entity>(db, "link_reports").await);
        wrong.extend(readable::<entity::link_tag::Entity>(db, "link_tags").await);
        wrong.extend(readable::<entity::project::Entity>(db, "projects").await);
        wrong.extend(readable::<entity::template::Entity>(db, "templates").await);
        wrong.extend(readable::<entity::utm_preset::Entity>(db, "utm_presets").await);
        wrong.extend(readable::<entity::link_total::Entity>(db, "link_totals").await);
        wrong.extend(readable::<entity::link_import::Entity>(db, "link_imports").await);
        wrong.extend(readable::<entity::link_import_error::Entity>(db, "link_import_errors").await);
        wrong.extend(readable::<entity::link_import_draft::Entity>(db, "link_import_drafts").await);
        wrong.extend(readable::<entity::click_rollup::Entity>(db, "click_rollups").await);
        wrong.extend(readable::<entity::rollup::Entity>(db, "rollups").await);
        wrong.extend(readable::<entity::roll_progress::Entity>(db, "roll_progress").await);
        wrong.extend(readable::<entity::undecided_event::Entity>(db, "undecided_events").await);
        wrong.extend(readable::<entity::awaited_click::Entity>(db, "awaited_clicks").await);
        wrong.extend(readable::<entity::click::Entity>(db, "clicks").await);
        wrong.extend(readable::<entity::saved_report::Entity>(db, "reports").await);
        wrong.extend(readable::<entity::report_share::Entity>(db, "report_shares").await);
        wrong.extend(readable::<entity::event::Entity>(db, "events").await);
        wrong.extend(readable::<entity::event_transaction::Entity>(db, "event_transactions").await);
        wrong.extend(readable::<entity::event_property::Entity>(db, "event_properties").await);
        wrong.extend(readable::<entity::postback::Entity>(db, "postbacks").await);
        wrong.extend(readable::<entity::postback_refusal::Entity>(db, "postback_refusals").await);
        wrong.extend(readable::<entity::conversion_schema::Entity>(db, "conversion_schemas").await);
        wrong.extend(readable::<entity::exchange_rate::Entity>(db, "exchange_rates").await);
        wrong.extend(readable::<entity::cost::Entity>(db, "costs").await);
        wrong.extend(readable::<entity::network_claim::Entity>(db, "network_claims").await);
        wrong.extend(readable::<entity::app_open::Entity>(db, "app_opens").await);
        wrong.extend(readable::<entity::view::Entity>(db, "views").await);
        wrong.extend(readable::<entity::feed::Entity>(db, "feed").await);
        wrong.extend(readable::<entity::outbox::Entity>(db, "outbox").await);
        wrong.extend(readable::<entity::webhook_endpoint::Entity>(db, "webhook_endpoints").await);
        wrong.extend(readable::<entity::webhook_message::Entity>(db, "webhook_messages").await);
        wrong.extend(readable::<entity::webhook_delivery::Entity>(db, "webhook_deliveries").await);
        wrong.extend(readable::<entity::webhook_attempt::Entity>(db, "webhook_attempts").await);
        wrong.extend(readable::<entity::webhook_progress::Entity>(db, "webhook_progress").await);
        wrong.extend(readable::<entity::install::Entity>(db, "installs").await);
        wrong.extend(readable::<entity::decision::Entity>(db, "decisions").await);
        wrong.extend(readable::<entity::decision_log::Entity>(db, "decision_logs").await);
        wrong.extend(readable::<entity::decision_node::Entity>(db, "decision_nodes").await);
        wrong.extend(readable::<entity::decision_checkpoint::Entity>(db, "decision_checkpoints").await);
        wrong.extend(readable::<entity::fraud_rule::Entity>(db, "fraud_rules").await);
        wrong.extend(readable::<entity::dictionary::Entity>(db, "dictionary").await);
        wrong.extend(readable::<entity::takeover::Entity>(db, "takeovers").await);
        wrong.extend(readable::<entity::spool_progress::Entity>(db, "spool_progress").await);
        wrong.extend(readable::<entity::dead_letter::Entity>(db, "dead_letters").await);
    }
    Ok(wrong)
}

async fn applied(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let exists = match dialect(db.get_database_backend()) {
        Dialect::Postgres => "SELECT 1 WHERE to_regclass('seaql_migrations') IS NOT NULL",
        Dialect::Sqlite => "SELECT 1 FROM sqlite_master WHERE name = 'seaql_migrations'",
    };
    let statement = |sql: &str| sea_orm::Statement::from_string(db.get_database_backend(), sql);
    if db.query_one_raw(statement(exists)).await?.is_none() {
        return Ok(Vec::new());
    }
    let rows = db.query_all_raw(statement("SELECT version FROM seaql_migrations ORDER BY version")).await?;
    rows.iter().map(|row| row.try_get_by_index::<String>(0)).collect()
}

/// Says what is wrong with one table, by reading no row of it with every column the code names.
async fn readable<E: EntityTrait>(db: &DatabaseConnection, table: &str) -> Option<String>
where
    E::Model: Send + Sync,
{
    E::find().limit(0).all(db).await.err().map(|error| format!("{table} cannot be read: {error}"))
}
