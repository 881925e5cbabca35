//! Both databases hold the same schema, as far as each has words for it. Partitions of `clicks` are Postgres' own matter, and so is
//! how each finds a text inside of others.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};

use crate::support::{App, Store, stores};

/// What is compared.
#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    /// Name, class of type, whether it may be null; in their order.
    columns: Vec<(String, &'static str, bool)>,
    primary_key: Vec<String>,
    unique: BTreeSet<Vec<String>>,
    indexes: BTreeSet<Vec<String>>,
}

type Schema = BTreeMap<String, Table>;

#[tokio::test]
async fn both_databases_hold_the_same_schema() {
    if !stores().contains(&Store::Production) {
        eprintln!("no Postgres to compare with");
        return;
    }
    let embedded = App::start(Store::Embedded).await;
    let production = App::start(Store::Production).await;
    let mut sqlite = of_sqlite(&embedded.env().db.api).await;
    let postgres = of_postgres(&production.env().db.api).await;
    embedded.stop().await;
    production.stop().await;
    // Of the clicks of a link SQLite has the order in the index; Postgres sorts those of a day.
    let of_a_link = ["workspace_id", "link_id", "id"].map(str::to_owned).to_vec();
    let indexes = &mut sqlite.get_mut("clicks").expect("there are clicks").indexes;
    assert!(indexes.remove(&of_a_link));
    indexes.insert(of_a_link[..2].to_vec());
    // The rollups of a day Postgres finds by an expression, so that it takes this index for nothing else.
    let of_a_day = ["workspace_id", "level", "period"].map(str::to_owned).to_vec();
    assert!(sqlite.get_mut("rollups").expect("there are rollups").indexes.remove(&of_a_day));
    let names = |schema: &Schema| schema.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&sqlite), names(&postgres));
    assert!(sqlite.contains_key("links"));
    for (name, table) in &sqlite {
        assert_eq!(table, &postgres[name], "the table {name}, SQLite left, Postgres right");
    }
}

async fn rows<const N: usize>(db: &DatabaseConnection, sql: String) -> Vec<[String; N]> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.expect("the catalogue answers");
    rows.iter()
        .map(|row| std::array::from_fn(|index| row.try_get_by_index::<String>(index).expect("text")))
        .collect()
}

async fn of_sqlite(db: &DatabaseConnection) -> Schema {
    let mut schema = Schema::new();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'seaql_migrations'
        AND name <> 'link_texts' AND name NOT LIKE 'links_search%'";
    for [name] in rows::<1>(db, tables.to_owned()).await {
        let mut table = Table::default();
        let mut key: Vec<(i32, String)> = Vec::new();
        let sql = format!(
            "SELECT name, type, CAST(\"notnull\" AS TEXT), CAST(pk AS TEXT) FROM pragma_table_info('{name}') ORDER BY cid"
        );
        for [column, kind, not_null, place] in rows::<4>(db, sql).await {
            let place: i32 = place.parse().expect("a number");
            if place > 0 {
                key.push((place, column.clone()));
            }
            table.columns.push((column, class(&kind), not_null == "0" && place == 0));
        }
        key.sort();
        table.primary_key = key.into_iter().map(|(_, column)| column).collect();
        let sql = format!("SELECT name, CAST(\"unique\" AS TEXT), origin FROM pragma_index_list('{name}')");
        for [index, unique, origin] in rows::<3>(db, sql).await {
            let sql = format!("SELECT name FROM pragma_index_info('{index}') ORDER BY seqno");
            let columns: Vec<String> = rows::<1>(db, sql).await.into_iter().map(|[column]| column).collect();
            match (origin.as_str(), unique.as_str()) {
                ("pk", _) => {}
                (_, "1") => drop(table.unique.insert(columns)),
                _ => drop(table.indexes.insert(columns)),
            }
        }
        schema.insert(name, table);
    }
    schema
}

async fn of_postgres(db: &DatabaseConnection) -> Schema {
    let mut schema = Schema::new();
    let tables = "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace
        AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'seaql_migrations'";
    for [name] in rows::<1>(db, tables.to_owned()).await {
        let mut table = Table::default();
        let sql = format!(
            "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull::text FROM pg_attribute
             WHERE attrelid = '{name}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        );
        for [column, kind, not_null] in rows::<3>(db, sql).await {
            table.columns.push((column, class(&kind), not_null != "true"));
        }
        let sql = format!(
            "SELECT i.indisprimary::text, i.indisunique::text,
                    (SELECT string_agg(a.attname::text, ',' ORDER BY k.n)
                     FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
                     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum)
             FROM pg_index i WHERE i.indrelid = '{name}'::regclass AND i.indexprs IS NULL"
        );
        for [primary, unique, columns] in rows::<3>(db, sql).await {
            let columns: Vec<String> = columns.split(',').map(str::to_owned).collect();
            match (primary.as_str(), unique.as_str()) {
                ("true", _) => table.primary_key = columns,
                (_, "true") => drop(table.unique.insert(columns)),
                _ => drop(table.indexes.insert(columns)),
            }
        }
        schema.insert(name, table);
    }
    schema
}

/// Returns what a type comes to in the words that both databases share.
fn class(kind: &str) -> &'static str {
    match kind.to_lowercase().as_str() {
        "uuid" | "bytea" | "blob" => "bytes",
        "text" | "character(2)" | "jsonb" | "timestamp with time zone" => "text",
        "boolean" => "boolean",
        "smallint" | "integer" | "bigint" => "integer",
        other => panic!("no class for {other:?}"),
    }
}
