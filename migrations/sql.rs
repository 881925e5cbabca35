//! Runs one text of SQL on either database.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// What a migration writes, and what it means on Postgres and on SQLite.
const TYPES: &[(&str, &str, &str)] = &[
    ("{uuid}", "uuid", "BLOB"),
    ("{moment}", "timestamptz", "TEXT"),
    ("{text}", "text", "TEXT"),
    // Sorted by code point, whatever language the database was made for.
    ("{ctext}", "text COLLATE \"C\"", "TEXT"),
    // Two letters (ISO 3166-1).
    ("{country}", "char(2)", "TEXT"),
    ("{bytes}", "bytea", "BLOB"),
    ("{json}", "jsonb", "TEXT"),
    ("{bool}", "boolean", "BOOLEAN"),
    ("{small}", "smallint", "INTEGER"),
    ("{int}", "integer", "INTEGER"),
    ("{big}", "bigint", "INTEGER"),
    ("{serial}", "integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    ("{bigserial}", "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT"),
];

/// Runs `sql`, statement by statement as the database sees them.
pub(super) async fn run(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    let postgres = is_postgres(manager);
    let mut text = sql.to_owned();
    for (word, on_postgres, on_sqlite) in TYPES {
        text = text.replace(word, if postgres { on_postgres } else { on_sqlite });
    }
    manager.get_connection().execute_unprepared(&text).await.map(drop)
}

/// Says whether this is Postgres.
pub(super) fn is_postgres(manager: &SchemaManager<'_>) -> bool {
    manager.get_database_backend() == DbBackend::Postgres
}
