//! Pages of links whose texts contain something. `step.rs` decides how a page goes on, `text.rs` says it to the databases.
//!
//! No page costs more than so many links passed and so many returned by the index of texts, whatever is searched. The price: a page may end
//! before it is full, and even be empty, while there is more.

mod step;
mod text;

use std::time::Duration;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DatabaseConnection, DbErr, ExprTrait as _, FromQueryResult, Order,
    QuerySelect as _, QueryTrait as _, Statement, TransactionTrait as _,
    sea_query::{Alias, Condition, Expr, JoinType, Query, SelectStatement, SimpleExpr, WindowStatement},
};

use self::step::{Index, Search, Step};
use super::{
    list::{Behind, LinkOrder, LinkQuery, Part, conditions, fitting, pair, select},
    store::{self, CountedLink},
    weight,
};
use crate::{
    db::{Dialect, Fault, dialect, fault},
    entity::{
        link::{Column, Entity},
        link_total::{Column as Total, Entity as Totals},
    },
    ids::{LinkId, WorkspaceId},
    page::{Cursor, Page, PageRequest},
};

/// What the key of a cursor begins with once the index had too many. No title holds it.
const EXCEEDED: char = '\u{1}';
/// How long Postgres may look into its index. What others store makes that longer too, and it cannot be told beforehand.
const INDEX_TIMEOUT: Duration = Duration::from_millis(250);

/// A link that was found or passed.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
struct Passed {
    id: LinkId,
    key: String,
    /// Whether it has the text.
    hit: bool,
    /// Its number on the way, from 1.
    place: i64,
    /// How many up to it the index has to look at.
    candidates: i64,
}

/// A link that the index returned.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
struct Matched {
    id: LinkId,
    key: String,
    /// How many there are.
    number: i64,
}

/// Where a page goes on.
#[derive(Debug, Clone)]
struct Place {
    part: Part,
    after: Option<Cursor>,
}

/// Returns one page of the links whose texts contain `query.search`, which is not empty.
pub(super) async fn page(
    db: &DatabaseConnection,
    workspace: WorkspaceId,
    query: &LinkQuery,
    page: &PageRequest,
) -> Result<Page<CountedLink>, DbErr> {
    let on = dialect(db.get_database_backend());
    let pieces = text::pieces(&query.search, on);
    let (mut place, exceeded) = opened(query.order, page.after.clone());
    let mut search = Search {
        wanted: page.size as usize + 1,
        found: 0,
        walked: 0,
        candidates: 0,
        at_end: false,
        index: if exceeded {
            Index::Exceeded
        } else if pieces.is_empty() {
            Index::Useless
        } else {
            Index::Open
        },
    };
    let mut hits: Vec<(LinkId, Cursor)> = Vec::new();
    loop {
        let left = (search.wanted - search.found) as u64;
        match step::next(&search) {
            Step::Walk(links) => {
                let Some(walk) = walk(on, workspace, query, &place, &pieces, (links, left)) else {
                    return Ok(Page::nothing());
                };
                let passed = db.query_all(&walk).await?;
                let passed: Vec<_> =
                    passed.iter().map(|row| Passed::from_query_result(row, "")).collect::<Result<_, _>>()?;
                let hit = passed.iter().filter(|passed| passed.hit).take(left as usize);
                hits.extend(hit.map(|passed| (passed.id, cursor(passed.id, &passed.key))));
                match passed.last().filter(|last| last.place == i64::from(links)) {
                    Some(edge) => {
                        search.walked += links;
                        search.candidates += edge.candidates as u32;
                        place.after = Some(cursor(edge.id, &edge.key));
                    }
                    None if place.part == Part::Clicked => place = Place { part: Part::Others, after: None },
                    None => search.at_end = true,
                }
            }
            Step::Index => match matched(db, workspace, query, &place, left).await? {
                Some(matched) => {
                    search.at_end = true;
                    hits.extend(matched.into_iter().map(|link| (link.id, cursor(link.id, &link.key))));
                }
                None => search.index = Index::Exceeded,
            },
            Step::Answer => break,
        }
        search.found = hits.len();
    }
    let more = hits.len() >= search.wanted;
    hits.truncate(page.size as usize);
    let next = if more {
        hits.last().map(|(_, last)| last.clone())
    } else if search.at_end {
        None
    } else {
        place.after
    };
    let mut links = store::find_many(db, workspace, hits.iter().map(|(id, _)| *id)).await?;
    // Somebody may have deleted one meanwhile.
    let mut found: Vec<_> =
        hits.into_iter().filter_map(|(id, cursor)| Some((links.remove(&id)?, cursor))).collect();
    let size = fitting(found.iter().map(|(counted, _)| weight::of(&counted.link)), page.size) as usize;
    let cut = found.len() > size;
    found.truncate(size);
    let next = match found.last() {
        Some((_, last)) if cut => Some(last.clone()),
        _ => next,
    };
    Ok(Page {
        items: found.into_iter().map(|(link, _)| link).collect(),
        next: next.map(|next| sealed(next, search.index)),
    })
}

/// Returns the statements of a page, the second only if the first does not fill it: to look at how a database goes about them.
pub(super) fn statements(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    query: &LinkQuery,
    page: &PageRequest,
) -> Vec<Statement> {
    let on = dialect(db.get_database_backend());
    let (place, _) = opened(query.order, page.after.clone());
    let most = u64::from(page.size) + 1;
    let pieces = text::pieces(&query.search, on);
    let walk = walk(on, workspace, query, &place, &pieces, (step::FIRST, most));
    let index = index(on, workspace, query, &place, most).filter(|_| !pieces.is_empty());
    let backend = db.get_database_backend();
    walk.into_iter().chain(index).map(|select| backend.build(&select)).collect()
}

fn cursor(id: LinkId, key: &str) -> Cursor {
    Cursor { key: key.to_owned(), id: id.to_string() }
}

/// Reads what [`sealed`] wrote.
fn opened(order: LinkOrder, after: Option<Cursor>) -> (Place, bool) {
    let (after, exceeded) = match after {
        Some(Cursor { key, id }) => match key.strip_prefix(EXCEEDED) {
            Some(key) => (Some(Cursor { key: key.to_owned(), id }), true),
            None => (Some(Cursor { key, id }), false),
        },
        None => (None, false),
    };
    (Place { part: Part::of(order, after.as_ref()), after }, exceeded)
}

fn sealed(mut cursor: Cursor, index: Index) -> Cursor {
    if index == Index::Exceeded {
        cursor.key.insert(0, EXCEEDED);
    }
    cursor
}

/// Passes so many links and returns up to `most` that have the text, and the last one.
fn walk(
    on: Dialect,
    workspace: WorkspaceId,
    query: &LinkQuery,
    place: &Place,
    pieces: &[String],
    (links, most): (u32, u64),
) -> Option<SelectStatement> {
    let without = LinkQuery { search: String::new(), ..query.clone() };
    let mut passed = select(workspace, &without, place.part, place.after.as_ref())?
        .select_only()
        .column(Column::Id)
        .expr_as(key(query.order), "key")
        .expr_as(text::contained(&query.search, on), "hit")
        .limit(u64::from(links))
        .into_query();
    let in_order = || {
        let mut window = WindowStatement::new();
        for (by, order) in order(query.order, place.part) {
            window.order_by_expr(by, order);
        }
        window
    };
    passed.expr_window_as(Expr::cust("ROW_NUMBER()"), in_order(), Alias::new("place"));
    // Only the index is interested.
    if pieces.is_empty() {
        passed.expr_as(Expr::cust("CAST(0 AS BIGINT)"), Alias::new("candidates"));
    } else {
        let candidate = Expr::case(text::candidate(pieces, on), Expr::cust("1")).finally(Expr::cust("0"));
        let number =
            Expr::cust_with_expr(if on == Dialect::Postgres { "SUM($1)" } else { "SUM(?)" }, candidate);
        passed.expr_window_as(number, in_order(), Alias::new("candidates"));
    }
    let column = |name: &'static str| Expr::col(Alias::new(name));
    let mut walk = Query::select();
    walk.columns(["id", "key", "hit", "place", "candidates"].map(Alias::new))
        .from_subquery(passed, Alias::new("passed"))
        .cond_where(Condition::any().add(column("hit")).add(column("place").eq(i64::from(links))))
        // They come in their order; to put them into it would mean to wait for all. One more, which may be the last without the text.
        .limit(most + 1);
    Some(walk)
}

/// Returns up to `most` links behind a place that have the text, in their order; `None` when the index has too many.
async fn matched(
    db: &DatabaseConnection,
    workspace: WorkspaceId,
    query: &LinkQuery,
    place: &Place,
    most: u64,
) -> Result<Option<Vec<Matched>>, DbErr> {
    let on = dialect(db.get_database_backend());
    let Some(index) = index(on, workspace, query, place, most) else { return Ok(Some(Vec::new())) };
    let tx = db.begin().await?;
    let may = match on {
        Dialect::Postgres => tx.query_one_raw(only_by_index(&tx)).await?,
        Dialect::Sqlite => tx.query_one_raw(few(&tx, &query.search)).await?,
    };
    let may = may.map(|row| row.try_get_by_index::<bool>(0)).transpose()?.unwrap_or(false);
    let rows = if may { tx.query_all(&index).await } else { Ok(Vec::new()) };
    tx.rollback().await?;
    let rows = match rows {
        Ok(rows) if may => rows,
        Ok(_) => return Ok(None),
        // It took too long. If it is away, the next statement says so.
        Err(error) if fault(&error) == Fault::Away => return Ok(None),
        Err(error) => return Err(error),
    };
    let matched: Vec<_> =
        rows.iter().map(|row| Matched::from_query_result(row, "")).collect::<Result<_, _>>()?;
    let exceeded = matched.first().is_some_and(|first| first.number > i64::from(step::MATCHES));
    Ok((!exceeded).then_some(matched))
}

/// Keeps Postgres, which cannot know how many links have a text, from reading all of them instead, for this transaction. Says
/// whether there is an index: not where the extension cannot be had.
fn only_by_index(db: &impl ConnectionTrait) -> Statement {
    let sql = format!(
        "SELECT to_regclass('links_search_idx') IS NOT NULL, set_config('statement_timeout', '{}', TRUE),
            set_config('enable_seqscan', 'off', TRUE), set_config('enable_indexscan', 'off', TRUE)",
        INDEX_TIMEOUT.as_millis()
    );
    Statement::from_string(db.get_database_backend(), sql)
}

/// Says whether SQLite's index has few enough links with a text, whosever they are.
fn few(db: &impl ConnectionTrait, search: &str) -> Statement {
    let sql = format!(
        r#"SELECT COUNT(*) <= {most} FROM (SELECT 1 FROM "links_search" WHERE "links_search" MATCH ? LIMIT {most} + 1)"#,
        most = step::MATCHES
    );
    Statement::from_sql_and_values(db.get_database_backend(), sql, [text::phrase(search).into()])
}

/// Selects the links behind a place that have the text by the index of texts.
fn index(
    on: Dialect,
    workspace: WorkspaceId,
    query: &LinkQuery,
    place: &Place,
    most: u64,
) -> Option<SelectStatement> {
    let without = LinkQuery { search: String::new(), ..query.clone() };
    let id = || Expr::col((Entity, Column::Id));
    let clicks = || Expr::col((Totals, Total::Clicks));
    let nobody_clicked = || Expr::col((Totals, Total::LinkId)).is_null();
    let last = match &place.after {
        Some(after) => Some((after, LinkId::parse(&after.id)?)),
        None => None,
    };
    let behind: Option<SimpleExpr> = match (query.order, place.part, last) {
        (LinkOrder::MostClicked, Part::Clicked, None) => None,
        (LinkOrder::MostClicked, Part::Clicked, Some((after, last))) => {
            let behind = pair(clicks(), id()).lt(pair(after.key.parse::<i64>().ok()?, last));
            Some(behind.or(nobody_clicked()))
        }
        (LinkOrder::MostClicked, Part::Others, _) => Some(nobody_clicked()),
        (LinkOrder::Title, _, Some((after, last))) => {
            Some(pair(Expr::col((Entity, Column::Title)), id()).gt(pair(after.key.as_str(), last)))
        }
        (LinkOrder::Newest | LinkOrder::Oldest | LinkOrder::Title, ..) => None,
    };
    let last = last.map(|(_, last)| last).filter(|_| place.part == Part::Others);
    let mut found = Query::select();
    match on {
        Dialect::Postgres => {
            found.from(Entity).and_where(text::contained(&query.search, on));
        }
        Dialect::Sqlite => {
            let mut texts = Query::select();
            texts
                .column(Alias::new("link_id"))
                .from(Alias::new("link_texts"))
                .and_where(text::indexed(&query.search));
            let same = Expr::col((Alias::new("matched"), Alias::new("link_id"))).equals((Entity, Column::Id));
            // CROSS is how one tells SQLite in which order to join: left alone it begins with any index of `links`.
            found.from_subquery(texts, Alias::new("matched")).cross_join(Entity).and_where(same);
        }
    }
    found
        .column((Entity, Column::Id))
        .expr_as(key(query.order), Alias::new("key"))
        // Those that nobody clicked come behind those that only bots did.
        .expr_as(clicks().if_null(-1_i64), Alias::new("rank"))
        .join(JoinType::LeftJoin, Totals, store::same_link())
        .and_where(Column::WorkspaceId.eq(workspace))
        .and_where(Column::AliasOf.is_null())
        .cond_where(conditions(workspace, &without, Behind::of(query.order, last)))
        .limit(u64::from(step::MATCHES) + 1);
    if let Some(behind) = behind {
        found.and_where(behind);
    }
    let column = |name: &'static str| Expr::col(Alias::new(name));
    let mut index = Query::select();
    index
        .columns(["id", "key"].map(Alias::new))
        .expr_window_as(Expr::cust("COUNT(*)"), WindowStatement::new(), Alias::new("number"))
        .from_subquery(found, Alias::new("found"));
    match query.order {
        LinkOrder::Newest => index.order_by_expr(column("id"), Order::Desc),
        LinkOrder::Oldest => index.order_by_expr(column("id"), Order::Asc),
        LinkOrder::MostClicked => {
            index.order_by_expr(column("rank"), Order::Desc).order_by_expr(column("id"), Order::Desc)
        }
        LinkOrder::Title => {
            index.order_by_expr(column("key"), Order::Asc).order_by_expr(column("id"), Order::Asc)
        }
    };
    index.limit(most);
    Some(index)
}

/// Returns what a cursor says of a link besides its id.
fn key(order: LinkOrder) -> SimpleExpr {
    match order {
        LinkOrder::Newest | LinkOrder::Oldest => Expr::cust("''"),
        LinkOrder::MostClicked => Expr::cust(r#"COALESCE(CAST("link_totals"."clicks" AS TEXT), '')"#),
        LinkOrder::Title => Column::Title.into_expr(),
    }
}

/// Returns what links are put in order by, as [`select`] does.
fn order(order: LinkOrder, part: Part) -> Vec<(SimpleExpr, Order)> {
    let id = Expr::col((Entity, Column::Id));
    match (order, part) {
        (LinkOrder::MostClicked, Part::Clicked) => vec![
            (Expr::col((Totals, Total::Clicks)), Order::Desc),
            (Expr::col((Totals, Total::LinkId)), Order::Desc),
        ],
        (LinkOrder::Newest | LinkOrder::MostClicked, _) => vec![(id, Order::Desc)],
        (LinkOrder::Oldest, _) => vec![(id, Order::Asc)],
        (LinkOrder::Title, _) => vec![(Expr::col((Entity, Column::Title)), Order::Asc), (id, Order::Asc)],
    }
}
