//! Lists of links: what is asked, and the query that answers it. Pages end with a row, not with a number, so they cost
//! the same however far in they are.

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, ExprTrait as _, Order, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, SimpleExpr},
};
use uuid::Uuid;

use super::{
    store::{CountedLink, clicks, counted},
    weight::{self, ANSWER_BYTES},
};
use crate::{
    clock::Moment,
    db::{Dialect, dialect},
    entity::link::{Column, Entity},
    ids::{LinkId, WorkspaceId},
    page::{Cursor, Page, PageRequest},
};

/// Which links, in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkQuery {
    /// Only active or only inactive ones.
    pub active: Option<bool>,
    /// Created then or later.
    pub created_after: Option<Moment>,
    /// Created before.
    pub created_before: Option<Moment>,
    /// Having all of these tags.
    pub tags: Vec<String>,
    /// In which project.
    pub project: Kin,
    /// Of which template.
    pub template: Kin,
    /// What becomes of archived ones.
    pub archived: Archived,
    /// With this id elsewhere; empty: any.
    pub external_id: String,
    /// Of this user elsewhere; empty: any.
    pub external_user_id: String,
    /// Made there; empty: anywhere.
    pub source: String,
    /// Containing this text somewhere; empty: any.
    pub search: String,
    /// In which order.
    pub order: LinkOrder,
}

/// What a list is about a thing that links may name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kin {
    /// Any or none of them.
    #[default]
    Any,
    /// None of them.
    None,
    /// This one.
    This(Uuid),
}

/// What a list shows of archived links.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Archived {
    /// None of them.
    #[default]
    Hidden,
    /// Them alone.
    Only,
    /// Them among the others.
    Included,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LinkOrder {
    /// By creation, which is by id: the id holds the moment.
    #[default]
    Newest,
    /// The other way round.
    Oldest,
    /// By clicks, of equals the newest.
    MostClicked,
    /// By title, code point by code point, of equals the oldest.
    Title,
}

/// Returns one page. A cursor that does not fit the order ends the list: tokens are sealed, so there is none.
pub(super) async fn list(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    query: &LinkQuery,
    page: &PageRequest,
) -> Result<Page<CountedLink>, DbErr> {
    let on = dialect(db.get_database_backend());
    let mut select = counted(workspace).filter(conditions(query, on));
    if let Some(cursor) = &page.after {
        let Some(after) = after(query.order, cursor, on) else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        select = select.filter(after);
    }
    let id = (Entity, Column::Id);
    let rows = match query.order {
        LinkOrder::Newest => select.order_by(Expr::col(id), Order::Desc),
        LinkOrder::Oldest => select.order_by(Expr::col(id), Order::Asc),
        LinkOrder::MostClicked => select.order_by(clicks(), Order::Desc).order_by(Expr::col(id), Order::Desc),
        LinkOrder::Title => select.order_by(title(on), Order::Asc).order_by(Expr::col(id), Order::Asc),
    }
    .limit(u64::from(page.size) + 1)
    .into_model::<CountedLink>()
    .all(db)
    .await?;
    let size = fitting(rows.iter().map(|counted| weight::of(&counted.link)), page.size);
    Ok(Page::of(rows, size, |last| Cursor {
        key: match query.order {
            LinkOrder::Newest | LinkOrder::Oldest => String::new(),
            LinkOrder::MostClicked => last.clicks.to_string(),
            LinkOrder::Title => last.link.title.clone(),
        },
        id: last.link.id.to_string(),
    }))
}

/// Returns how many of the first `most` rows make a page: at least one, and no more than a message can carry.
pub(super) fn fitting(weights: impl Iterator<Item = usize>, most: u32) -> u32 {
    let mut bytes = 0;
    for (place, weight) in (0..most).zip(weights) {
        bytes += weight;
        if bytes > ANSWER_BYTES && place > 0 {
            return place;
        }
    }
    most
}

/// Returns what holds for the rows after the one a page ended with.
fn after(order: LinkOrder, cursor: &Cursor, on: Dialect) -> Option<Condition> {
    let last = LinkId::parse(&cursor.id)?;
    let id = || Expr::col((Entity, Column::Id));
    let all = |condition: SimpleExpr| Condition::all().add(condition);
    Some(match order {
        LinkOrder::Newest => all(id().lt(last)),
        LinkOrder::Oldest => all(id().gt(last)),
        LinkOrder::MostClicked => {
            let most: i64 = cursor.key.parse().ok()?;
            Condition::any().add(clicks().lt(most)).add(all(clicks().eq(most)).add(id().lt(last)))
        }
        LinkOrder::Title => {
            let key = cursor.key.as_str();
            Condition::any().add(title(on).gt(key)).add(all(title(on).eq(key)).add(id().gt(last)))
        }
    })
}

fn conditions(query: &LinkQuery, on: Dialect) -> Condition {
    let LinkQuery {
        active,
        created_after,
        created_before,
        tags,
        project,
        template,
        archived,
        external_id,
        external_user_id,
        source,
        search,
        order: _,
    } = query;
    let mut all = Condition::all()
        .add_option(active.map(|active| Column::Active.eq(active)))
        .add_option(created_after.map(|from| Column::CreateTime.gte(from)))
        .add_option(created_before.map(|until| Column::CreateTime.lt(until)))
        .add_option(kin(Column::ProjectId, *project))
        .add_option(kin(Column::TemplateId, *template))
        .add_option(match archived {
            Archived::Hidden => Some(Column::Archived.eq(false)),
            Archived::Only => Some(Column::Archived.eq(true)),
            Archived::Included => None,
        });
    for (column, text) in [
        (Column::ExternalId, external_id),
        (Column::ExternalUserId, external_user_id),
        (Column::Source, source),
    ] {
        if !text.is_empty() {
            all = all.add(column.eq(text.as_str()));
        }
    }
    for tag in tags {
        all = all.add(match on {
            Dialect::Postgres => {
                Expr::cust_with_values(r#""links"."tags" @> $1"#, [serde_json::json!([tag])])
            }
            Dialect::Sqlite => Expr::cust_with_values(
                r#"EXISTS (SELECT 1 FROM json_each("links"."tags") AS tag WHERE tag.value = ?)"#,
                [tag.as_str()],
            ),
        });
    }
    if !search.is_empty() {
        let pattern = contains(search);
        let mut any = Condition::any();
        for column in ["short_code", "title", "description", "destination_url"] {
            any = any.add(match on {
                // The collation C knows no letters but ASCII's, as SQLite does.
                Dialect::Postgres => Expr::cust_with_values(
                    format!(r#"lower("links"."{column}" COLLATE "C") LIKE $1 ESCAPE '!'"#),
                    [pattern.as_str()],
                ),
                Dialect::Sqlite => Expr::cust_with_values(
                    format!(r#"lower("links"."{column}") LIKE ? ESCAPE '!'"#),
                    [pattern.as_str()],
                ),
            });
        }
        all = all.add(any);
    }
    all
}

fn kin(column: Column, wanted: Kin) -> Option<SimpleExpr> {
    match wanted {
        Kin::Any => None,
        Kin::None => Some(column.is_null()),
        Kin::This(id) => Some(column.eq(id)),
    }
}

/// Returns the title as it is sorted. Postgres sorts by the language of the database unless told otherwise.
fn title(on: Dialect) -> SimpleExpr {
    match on {
        Dialect::Postgres => Expr::cust(r#""links"."title" COLLATE "C""#),
        Dialect::Sqlite => Expr::cust(r#""links"."title" COLLATE BINARY"#),
    }
}

/// Returns the pattern of texts that contain `search`, which says what it means and nothing more.
fn contains(search: &str) -> String {
    let mut pattern = String::with_capacity(search.len() + 2);
    pattern.push('%');
    for character in search.chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character.to_ascii_lowercase());
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_no_larger_than_a_message() {
        for (weight, most, fits) in [
            (1000, 1000, 1000),
            (10_000, 1000, 314),
            (10_000, 314, 314),
            (ANSWER_BYTES, 5, 1),
            (ANSWER_BYTES + 1, 5, 1),
        ] {
            assert_eq!(fitting(std::iter::repeat_n(weight, 1001), most), fits, "{weight} bytes, {most} rows");
        }
        assert_eq!(fitting(std::iter::empty(), 50), 50);
    }

    #[test]
    fn what_is_searched_means_itself() {
        for (search, pattern) in [
            ("spring", "%spring%"),
            ("SPRING Ä", "%spring Ä%"),
            ("100%", "%100!%%"),
            ("a_b", "%a!_b%"),
            ("wow!", "%wow!!%"),
            ("back\\slash", "%back\\slash%"),
        ] {
            assert_eq!(contains(search), pattern);
        }
    }
}
