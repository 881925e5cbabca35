//! What the database says afterwards, read by hand: none of the server's own queries, so that a mistake in them cannot hide.

use std::collections::{BTreeMap, HashSet};

use linkforty::analytics::rollup::content;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};
use uuid::Uuid;

use super::Book;

/// Clicks of people and of bots.
type Count = (i64, i64);

/// The stored clicks and the totals that should follow from them.
#[derive(Debug, Default)]
pub struct Books {
    /// The ids of the clicks.
    pub clicks: HashSet<Uuid>,
    /// How many rows there are.
    pub rows: usize,
    /// What was set aside: the id of the record and why.
    pub letters: Vec<(Uuid, String)>,
    /// Counted from the rows, by link and hour.
    raw: BTreeMap<(Uuid, i64), Count>,
    /// The same as the roller kept it.
    rollups: BTreeMap<(Uuid, i64), Count>,
    /// By link, as the drain kept it.
    totals: BTreeMap<Uuid, Count>,
}

const CLICKS: &str = "SELECT id, link_id, CAST(bot AS bigint) FROM clicks";
/// Rows of links: the number of a link's text and one, and everything together by quarter-hours of a day.
const ROLLUPS: &str = "SELECT dictionary.value, CAST(rollups.period AS bigint), rollups.content FROM rollups
    JOIN dictionary ON dictionary.id = rollups.part - 1 WHERE rollups.scope = 2";
const TOTALS: &str = "SELECT link_id, CAST(clicks AS bigint), CAST(bot_clicks AS bigint) FROM link_totals";
const LETTERS: &str = "SELECT id, error FROM dead_letters";

/// Reads everything over a connection of either database.
macro_rules! read {
    ($connection:expr) => {{
        let mut books = Books::default();
        for row in sqlx::query(CLICKS).fetch_all(&mut $connection).await.expect("clicks can be read") {
            books.add_click(row.get(0), row.get(1), row.get(2));
        }
        for row in sqlx::query(ROLLUPS).fetch_all(&mut $connection).await.expect("rollups can be read") {
            books.add_rollup(row.get(0), row.get(1), row.get(2));
        }
        for row in sqlx::query(TOTALS).fetch_all(&mut $connection).await.expect("totals can be read") {
            books.totals.insert(row.get(0), (row.get(1), row.get(2)));
        }
        for row in sqlx::query(LETTERS).fetch_all(&mut $connection).await.expect("letters can be read") {
            books.letters.push((row.get(0), row.get(1)));
        }
        $connection.close().await.expect("the connection closes");
        books
    }};
}

impl Books {
    /// Reads a database.
    pub async fn read(url: &str) -> Self {
        if url.starts_with("postgres:") {
            let mut connection = PgConnection::connect(url).await.expect("Postgres answers");
            read!(connection)
        } else {
            let mut connection = SqliteConnection::connect(url).await.expect("the file opens");
            read!(connection)
        }
    }

    /// Fails unless everything that was acknowledged is there, nothing is there that nobody asked for, and the totals are those
    /// of the rows.
    pub fn assert_balanced(&self, book: &Book) {
        let lost: Vec<_> = book.acked.difference(&self.clicks).collect();
        assert!(
            lost.is_empty(),
            "lost {} of {} acknowledged clicks, such as {}",
            lost.len(),
            book.acked.len(),
            lost[0]
        );
        assert_eq!(self.rows, self.clicks.len(), "some clicks are stored twice");
        let unasked = self.clicks.difference(&book.acked).count() as u64;
        // A visitor who got no answer may have been recorded all the same.
        assert!(
            unasked <= book.unanswered + book.turned_away,
            "{unasked} stored clicks were never acknowledged, but only {} visits went unanswered",
            book.unanswered + book.turned_away
        );
        self.assert_totals();
        assert!(self.letters.is_empty(), "dead letters: {:?}", self.letters);
    }

    /// Fails unless the totals are those of the rows.
    pub fn assert_totals(&self) {
        assert_eq!(self.rollups, self.raw, "the rollups (left) are not what the rows say (right)");
        let mut raw = BTreeMap::<Uuid, Count>::new();
        for ((link, _), (people, bots)) in &self.raw {
            let total = raw.entry(*link).or_default();
            total.0 += people;
            total.1 += bots;
        }
        assert_eq!(self.totals, raw, "the totals (left) are not what the rows say (right)");
    }

    fn add_rollup(&mut self, link: String, day: i64, content: Vec<u8>) {
        let link = Uuid::parse_str(&link).expect("a link");
        let read = content::each_of(&content, content::ALL, |_, slot, measures| {
            let count = self.rollups.entry((link, day * 24 + i64::from(slot) / 4)).or_default();
            count.0 += measures.clicks;
            count.1 += measures.bot_clicks;
        });
        read.expect("a rollup");
    }

    fn add_click(&mut self, id: Uuid, link: Uuid, bot: i64) {
        self.rows += 1;
        self.clicks.insert(id);
        // The first 48 bits of a UUIDv7 are its milliseconds.
        let hour = i64::try_from(id.as_u128() >> 80).expect("48 bits") / 3_600_000;
        let count = self.raw.entry((link, hour)).or_default();
        if bot == 0 { count.0 += 1 } else { count.1 += 1 }
    }
}

/// Counts the rows of a table.
pub async fn count(url: &str, table: &str) -> i64 {
    let sql = AssertSqlSafe(format!("SELECT CAST(count(*) AS bigint) FROM {table}"));
    let counted = if url.starts_with("postgres:") {
        let mut connection = PgConnection::connect(url).await.expect("Postgres answers");
        sqlx::query_scalar(sql).fetch_one(&mut connection).await
    } else {
        let mut connection = SqliteConnection::connect(url).await.expect("the file opens");
        sqlx::query_scalar(sql).fetch_one(&mut connection).await
    };
    counted.expect("the table can be counted")
}

/// Runs one statement on a database.
pub async fn execute(url: &str, sql: &str) {
    let statement = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    let done = if url.starts_with("postgres:") {
        let mut connection = PgConnection::connect(url).await.expect("Postgres answers");
        statement.execute(&mut connection).await.map(drop)
    } else {
        let mut connection = SqliteConnection::connect(url).await.expect("the file opens");
        statement.execute(&mut connection).await.map(drop)
    };
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
