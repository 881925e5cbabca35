//! Lists of links: what is asked, and the query that answers it. Pages end with a row, not with a number, so they cost
//! the same however far in they are.

use std::sync::Arc;

use chrono::Duration;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait as _,
    ExprTrait as _, Order, QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _, Select,
    Statement,
    sea_query::{Alias, Expr, Query, SimpleExpr},
};
use uuid::Uuid;

use super::{
    search,
    store::{CountedLink, counted, within},
    weight::{self, ANSWER_BYTES},
};
use crate::{
    clock::Moment,
    db::{Dialect, dialect},
    entity::{
        link::{Column, Entity},
        link_tag, link_total,
    },
    ids::{LinkId, WorkspaceId, floor},
    page::{Cursor, Page, PageRequest},
    rpc::Reach,
};

/// How far a clock may have gone back, so that an id says a later moment than its link.
const CLOCK: Duration = Duration::days(1);

/// How many links may have a tag that pages begin with: they are put into the order of the page.
const FEW: u64 = 5000;

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
    /// One of the tags that so few links have that a page begins with them; [`list`] finds it where the database does not.
    pub rare_tag: Option<String>,
    /// On this domain, by its namespace; the server's own is empty.
    pub domain: Option<String>,
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
    /// Those alone that the API key reaches that asks; `None`: all.
    pub reach: Option<Arc<Reach>>,
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

/// Which part of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Those that somebody ever clicked, which come first among the most clicked.
    Clicked,
    /// All others; in any other order, all.
    Others,
}

impl Part {
    /// Returns the part that a page begins in.
    pub(super) fn of(order: LinkOrder, after: Option<&Cursor>) -> Self {
        // The key of those that nobody clicked is empty.
        if order == LinkOrder::MostClicked && after.is_none_or(|after| !after.key.is_empty()) {
            Self::Clicked
        } else {
            Self::Others
        }
    }
}

/// Returns one page. A cursor that does not fit the order ends the list: tokens are sealed, so there is none.
pub(super) async fn list(
    db: &DatabaseConnection,
    workspace: WorkspaceId,
    query: &LinkQuery,
    page: &PageRequest,
) -> Result<Page<CountedLink>, DbErr> {
    let query = &LinkQuery { rare_tag: rarest(db, workspace, &query.tags).await?, ..query.clone() };
    if !query.search.is_empty() {
        return search::page(db, workspace, query, page).await;
    }
    let most = u64::from(page.size) + 1;
    let mut rows = Vec::new();
    let mut after = page.after.as_ref();
    if Part::of(query.order, after) == Part::Clicked {
        let Some(select) = select(workspace, query, Part::Clicked, after) else {
            return Ok(Page::nothing());
        };
        rows = select.limit(most).into_model::<CountedLink>().all(db).await?;
        // What comes behind them begins anew.
        after = None;
    }
    let counted = rows.len();
    if (counted as u64) < most {
        let Some(select) = select(workspace, query, Part::Others, after) else {
            return Ok(Page::nothing());
        };
        let left = most - counted as u64;
        rows.extend(select.limit(left).into_model::<CountedLink>().all(db).await?);
    }
    let size = fitting(rows.iter().map(|counted| weight::of(&counted.link)), page.size);
    Ok(Page::of(rows, size, |last| Cursor {
        key: match query.order {
            LinkOrder::Newest | LinkOrder::Oldest => String::new(),
            // The page ends among those that nobody ever clicked.
            LinkOrder::MostClicked if size as usize > counted => String::new(),
            LinkOrder::MostClicked => last.clicks.to_string(),
            LinkOrder::Title => last.link.title.clone(),
        },
        id: last.link.id.to_string(),
    }))
}

/// Returns the tag that the fewest links have, if those are few. Postgres knows by itself; SQLite would look at all links in their
/// order, and at each for its tags.
async fn rarest(
    db: &DatabaseConnection,
    workspace: WorkspaceId,
    tags: &[String],
) -> Result<Option<String>, DbErr> {
    let mut fewest = (FEW + 1, None);
    for tag in tags.iter().filter(|_| dialect(db.get_database_backend()) == Dialect::Sqlite) {
        let rows = link_tag::Entity::find()
            .select_only()
            .column(link_tag::Column::LinkId)
            .filter(link_tag::Column::WorkspaceId.eq(workspace))
            .filter(link_tag::Column::Tag.eq(tag.as_str()))
            .limit(fewest.0);
        let mut number = Query::select();
        number.expr(Expr::cust("COUNT(*)")).from_subquery(rows.into_query(), Alias::new("few"));
        let number: i64 = match db.query_one(&number).await? {
            Some(row) => row.try_get_by_index(0)?,
            None => 0,
        };
        if (number as u64) < fewest.0 {
            fewest = (number as u64, Some(tag.clone()));
        }
    }
    Ok(fewest.1)
}

/// Returns the statements that a page is read with, the second only if the first does not fill it: to look at how a database
/// goes about them.
pub fn list_statements(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    query: &LinkQuery,
    page: &PageRequest,
) -> Vec<Statement> {
    if !query.search.is_empty() {
        return search::statements(db, workspace, query, page);
    }
    let after = page.after.as_ref();
    let first =
        (query.order == LinkOrder::MostClicked).then(|| select(workspace, query, Part::Clicked, after));
    let all = first.into_iter().chain([select(workspace, query, Part::Others, after)]).flatten();
    all.map(|select| select.limit(u64::from(page.size) + 1).build(db.get_database_backend())).collect()
}

/// Selects the links of a part of an order behind a cursor; `None` when the cursor does not fit.
pub(super) fn select(
    workspace: WorkspaceId,
    query: &LinkQuery,
    part: Part,
    after: Option<&Cursor>,
) -> Option<Select<Entity>> {
    match part {
        Part::Clicked => most_clicked(workspace, query, after),
        Part::Others => others(workspace, query, after),
    }
}

/// Selects the links that somebody ever clicked, most clicked first, in the order of the index of their counts.
fn most_clicked(workspace: WorkspaceId, query: &LinkQuery, after: Option<&Cursor>) -> Option<Select<Entity>> {
    use crate::entity::link_total::{Column as Total, Entity as Totals};
    let (count, id) = (Expr::col((Totals, Total::Clicks)), Expr::col((Totals, Total::LinkId)));
    // Also the first page begins after something: SQLite takes the index for where to begin, and not for the order alone.
    let (clicks, last) = match after {
        Some(after) => (after.key.parse::<i64>().ok()?, LinkId::parse(&after.id)?),
        None => (i64::MAX, LinkId(Uuid::max())),
    };
    let select = counted(workspace)
        .filter(conditions(workspace, query, None))
        .filter(Expr::col((Totals, Total::WorkspaceId)).eq(workspace))
        .filter(pair(count.clone(), id.clone()).lt(pair(clicks, last)))
        .order_by(count, Order::Desc)
        .order_by(id, Order::Desc);
    Some(select)
}

/// Selects links in any other order; those that nobody ever clicked are behind the most clicked ones, newest first.
fn others(workspace: WorkspaceId, query: &LinkQuery, after: Option<&Cursor>) -> Option<Select<Entity>> {
    let last = match after {
        Some(after) => Some(LinkId::parse(&after.id)?),
        None => None,
    };
    let id = Expr::col((Entity, Column::Id));
    let select = counted(workspace).filter(conditions(workspace, query, Behind::of(query.order, last)));
    Some(match query.order {
        LinkOrder::Newest => select.order_by(id, Order::Desc),
        LinkOrder::Oldest => select.order_by(id, Order::Asc),
        LinkOrder::MostClicked => select
            .filter(Expr::col((link_total::Entity, link_total::Column::LinkId)).is_null())
            .order_by(id, Order::Desc),
        LinkOrder::Title => {
            let title = Expr::col((Entity, Column::Title));
            let behind = last
                .zip(after)
                .map(|(last, after)| pair(title.clone(), id.clone()).gt(pair(after.key.as_str(), last)));
            select.apply_if(behind, Select::filter).order_by(title, Order::Asc).order_by(id, Order::Asc)
        }
    })
}

/// Where the ids of links lie that come behind one in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behind {
    /// Newest first.
    Below(LinkId),
    /// Oldest first.
    Above(LinkId),
}

impl Behind {
    /// Returns where they lie behind the last one of a page; `None`: anywhere.
    pub(super) fn of(order: LinkOrder, last: Option<LinkId>) -> Option<Self> {
        match order {
            LinkOrder::Newest | LinkOrder::MostClicked => last.map(Self::Below),
            LinkOrder::Oldest => last.map(Self::Above),
            LinkOrder::Title => None,
        }
    }

    fn holds(self, id: SimpleExpr) -> SimpleExpr {
        match self {
            Self::Below(last) => id.lt(last),
            Self::Above(last) => id.gt(last),
        }
    }
}

/// Two values that are compared as one: unlike two conditions, that is a place in an index.
pub(super) fn pair(first: impl Into<SimpleExpr>, second: impl Into<SimpleExpr>) -> SimpleExpr {
    Expr::tuple([first.into(), second.into()])
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

/// Returns what holds for links that are asked for, but for the text that is searched.
pub(super) fn conditions(workspace: WorkspaceId, query: &LinkQuery, behind: Option<Behind>) -> Condition {
    let LinkQuery {
        active,
        created_after,
        created_before,
        tags,
        domain,
        project,
        template,
        archived,
        external_id,
        external_user_id,
        source,
        rare_tag,
        // `search/` looks for it.
        search: _,
        order: _,
        reach,
    } = query;
    let id = || Expr::col((Entity, Column::Id));
    // Written out, because an index of some rows is used only where the statement itself says that it is about those.
    let mut all = Condition::all()
        .add_option(behind.map(|behind| behind.holds(id())))
        .add_option(active.map(|active| {
            Expr::cust(if active { r#""links"."active" = TRUE"# } else { r#""links"."active" = FALSE"# })
        }))
        // Ids hold the moment of creation, as far as the clock never went back; they say where in the index to look.
        .add_option(created_after.map(|from| id().gte(floor(from))))
        .add_option(created_before.map(|until| id().lt(floor(until + CLOCK))))
        .add_option(created_after.map(|from| Column::CreateTime.gte(from)))
        .add_option(created_before.map(|until| Column::CreateTime.lt(until)))
        .add_option(domain.as_ref().map(|domain| Column::Domain.eq(domain.as_str())))
        .add_option(reach.as_deref().map(|reach| within(Some(reach))))
        .add_option(kin(Column::ProjectId, *project))
        .add_option(kin(Column::TemplateId, *template))
        .add_option(match archived {
            Archived::Hidden => Some(Expr::cust(r#""links"."archived" = FALSE"#)),
            Archived::Only => Some(Expr::cust(r#""links"."archived" = TRUE"#)),
            Archived::Included => None,
        });
    if !external_id.is_empty() {
        all = all.add(Column::ExternalId.eq(external_id.as_str()));
    }
    if !external_user_id.is_empty() {
        all = all.add(Column::ExternalUserId.eq(external_user_id.as_str()));
        all = all.add(Expr::cust(r#""links"."external_user_id" <> ''"#));
    }
    if !source.is_empty() {
        all = all.add(Column::Source.eq(source.as_str())).add(Expr::cust(r#""links"."source" <> ''"#));
    }
    for tag in tags {
        let of = |column: link_tag::Column| Expr::col((link_tag::Entity, column));
        let mut tagged = Query::select();
        tagged
            .column(link_tag::Column::LinkId)
            .from(link_tag::Entity)
            .and_where(of(link_tag::Column::WorkspaceId).eq(workspace))
            .and_where(of(link_tag::Column::Tag).eq(tag.as_str()));
        if let Some(behind) = behind {
            // Follows from the others, which no planner sees: without it a page in the middle reads the tag from its beginning.
            tagged.and_where(behind.holds(of(link_tag::Column::LinkId)));
        }
        all = if rare_tag.as_ref() == Some(tag) {
            all.add(id().in_subquery(tagged))
        } else {
            tagged.and_where(of(link_tag::Column::LinkId).equals((Entity, Column::Id)));
            all.add(Expr::exists(tagged))
        };
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
}
