//! The LinkForty database. It is only read, and each statement by itself: nothing holds its cleaning up.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;
use ring::digest;
use sea_orm::{ConnectOptions, DatabaseConnection, DbBackend, FromQueryResult, Statement, Value};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use uuid::Uuid;

use crate::{
    clock::{Moment, cut},
    ids::AppId,
};

/// A page of a large table takes a fraction of a second; one over a table without the index that this expects takes longer.
const STATEMENT: Duration = Duration::from_mins(5);
const ACQUIRE: Duration = Duration::from_secs(10);
/// The tables of LinkForty.
const TABLES: [&str; 9] = [
    "organizations",
    "link_templates",
    "links",
    "click_events",
    "device_fingerprints",
    "install_events",
    "in_app_events",
    "webhooks",
    "invites",
];

/// Which database, and what of it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where it is, `postgres://…`.
    pub url: SecretString,
    /// Only what is of this organization.
    pub organization: Option<Uuid>,
    /// Only what is of this user.
    pub user: Option<Uuid>,
    /// The zone of its times that have none.
    pub zone: Tz,
}

/// A database that is open.
#[derive(Debug)]
pub struct Source {
    /// Where to ask.
    db: DatabaseConnection,
    /// What is wanted.
    wanted: Wanted,
    /// Where it is, without who asks.
    pub place: String,
    columns: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, FromQueryResult)]
struct ColumnRow {
    table_name: String,
    column_name: String,
}

impl Source {
    /// Opens a database and looks which tables and columns it has.
    pub async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        let url = Url::parse(wanted.url.expose_secret()).context("--database-url is no URL")?;
        ensure!(
            matches!(url.scheme(), "postgres" | "postgresql"),
            "--database-url must begin with postgres://"
        );
        let port = url.port().unwrap_or(5432);
        let place = format!("{}:{port}{}", url.host_str().unwrap_or_default(), url.path());
        let mut options = ConnectOptions::new(wanted.url.expose_secret());
        options
            .set_application_name("linkforty-takeover")
            .statement_timeout(STATEMENT)
            .acquire_timeout(ACQUIRE)
            .connect_timeout(ACQUIRE)
            .min_connections(1)
            .max_connections(1)
            .sqlx_logging(false)
            // Whatever is asked, nothing can be written.
            .map_sqlx_postgres_opts(|options| {
                options.options([("jit", "off"), ("default_transaction_read_only", "on")])
            });
        let db = sea_orm::Database::connect(options).await?;
        let mut source = Self { db, wanted: wanted.clone(), place, columns: BTreeMap::new() };
        let names: Vec<String> = TABLES.iter().map(|table| format!("'{table}'")).collect();
        let sql = format!(
            "SELECT table_name::text, column_name::text FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name IN ({})",
            names.join(", ")
        );
        for ColumnRow { table_name, column_name } in source.rows::<ColumnRow>(sql, Vec::new()).await? {
            source.columns.entry(table_name).or_default().insert(column_name);
        }
        ensure!(source.has("links"), "{} has no table links: it is no database of LinkForty", source.place);
        if wanted.organization.is_some() {
            ensure!(
                source.has_column("links", "organization_id"),
                "the links of {} have no organization",
                source.place
            );
        }
        Ok(source)
    }

    /// Returns the rows of a question.
    pub async fn rows<T: FromQueryResult + Send + Sync>(
        &self,
        sql: String,
        values: Vec<Value>,
    ) -> anyhow::Result<Vec<T>> {
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        Ok(T::find_by_statement(statement).all(&self.db).await?)
    }

    /// Returns a number.
    pub async fn number(&self, sql: String) -> anyhow::Result<u64> {
        #[derive(FromQueryResult)]
        struct Number {
            number: i64,
        }
        let sql = format!("SELECT ({sql})::bigint AS number");
        let rows = self.rows::<Number>(sql, Vec::new()).await?;
        Ok(rows.first().map_or(0, |row| row.number.unsigned_abs()))
    }

    /// Says whether there is a table.
    pub fn has(&self, table: &str) -> bool {
        self.columns.contains_key(table)
    }

    /// Says whether a table has a column.
    pub fn has_column(&self, table: &str, column: &str) -> bool {
        self.columns.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// Returns the tables and their columns.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.columns.iter().map(|(table, columns)| (table.as_str(), columns))
    }

    /// Returns a column, or a null of its type where this version of LinkForty has none.
    pub fn column(&self, alias: &str, table: &str, column: &str, kind: &str) -> String {
        if self.has_column(table, column) {
            format!("{alias}.{column}::{kind} AS {column}")
        } else {
            format!("NULL::{kind} AS {column}")
        }
    }

    /// Returns a moment in microseconds since 1970, as SQL.
    pub fn micros(&self, expression: &str) -> String {
        format!(
            "round(extract(epoch FROM ({expression}) AT TIME ZONE '{}') * 1000000)::bigint",
            self.wanted.zone
        )
    }

    /// Reads a moment as JSON has it. `None`: there is none, or none that a clock can show.
    pub fn moment(&self, value: Option<&serde_json::Value>) -> Option<Moment> {
        let text = value?.as_str()?;
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(cut(time.to_utc()));
        }
        let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
        let local = self.wanted.zone.from_local_datetime(&naive);
        Some(cut(local.latest().map_or_else(|| Utc.from_utc_datetime(&naive), |time| time.to_utc())))
    }

    /// Says of a link, as SQL, whether it is wanted.
    pub fn of_links(&self, alias: &str) -> String {
        match (self.wanted.organization, self.wanted.user) {
            (None, None) => "TRUE".to_owned(),
            (Some(organization), None) => format!("{alias}.organization_id = '{organization}'"),
            (None, Some(user)) => format!("{alias}.user_id = '{user}'"),
            (Some(organization), Some(user)) => {
                format!("{alias}.organization_id = '{organization}' AND {alias}.user_id = '{user}'")
            }
        }
    }

    /// Says of what is a user's, as SQL, whether it is wanted: where an organization is, what its links' users have.
    pub fn of_users(&self, alias: &str) -> String {
        if self.is_whole() {
            return "TRUE".to_owned();
        }
        if let Some(user) = self.wanted.user {
            return format!("{alias}.user_id = '{user}'");
        }
        let links = self.of_links("owned");
        format!("{alias}.user_id IN (SELECT owned.user_id FROM links owned WHERE {links})")
    }

    /// Says whether all of it is wanted.
    pub const fn is_whole(&self) -> bool {
        self.wanted.organization.is_none() && self.wanted.user.is_none()
    }

    /// Returns what tells this takeover from others into the same workspace.
    pub fn fingerprint(&self, domain: &str, app: Option<AppId>) -> Vec<u8> {
        let Wanted { url: _, organization, user, zone } = &self.wanted;
        let text = format!("{}\n{organization:?}\n{user:?}\n{zone}\n{domain}\n{app:?}", self.place);
        digest::digest(&digest::SHA256, text.as_bytes()).as_ref()[..16].to_vec()
    }
}
