//! Queries of `audit_events`.

use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _, Select,
    sea_query::{Condition, Expr},
};
use uuid::Uuid;

use super::{Audience, AuditQuery, chain::Hash};
use crate::{
    clock::Moment,
    entity::audit_event::{Column, Entity, Model},
    ids::floor,
    page::{Cursor, Page, PageRequest},
};

/// In which order events are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    Newest,
    /// The oldest first.
    Oldest,
}

/// Returns one page of events.
pub async fn list(
    db: &impl ConnectionTrait,
    audience: Audience,
    asked: &AuditQuery,
    order: Order,
    page: &PageRequest,
) -> Result<Page<Model>, DbErr> {
    let mut query = of(audience, asked);
    let after = page.after.as_ref().and_then(|cursor| Uuid::parse_str(&cursor.id).ok());
    query = match (order, after) {
        (Order::Newest, Some(after)) => query.filter(Column::Id.lt(after)),
        (Order::Oldest, Some(after)) => query.filter(Column::Id.gt(after)),
        (_, None) => query,
    };
    query = match order {
        Order::Newest => query.order_by_desc(Column::Id),
        Order::Oldest => query.order_by_asc(Column::Id),
    };
    let rows = query.limit(u64::from(page.size) + 1).all(db).await?;
    Ok(Page::of(rows, page.size, |last| Cursor { key: String::new(), id: last.id.to_string() }))
}

fn of(audience: Audience, asked: &AuditQuery) -> Select<Entity> {
    let mut query = match audience {
        Audience::Workspace(workspace) => Entity::find().filter(Column::WorkspaceId.eq(workspace)),
        Audience::User(user) => Entity::find()
            .filter(Column::WorkspaceId.is_null())
            .filter(Condition::any().add(Column::ActorId.eq(user.0)).add(Column::TargetId.eq(user.0))),
        Audience::Operator => Entity::find(),
    };
    if let Some(actor) = asked.actor {
        query = query.filter(Column::ActorId.eq(actor));
    }
    if let Some(target) = asked.target {
        query = query.filter(Column::TargetId.eq(target));
    }
    if !asked.actions.is_empty() {
        let any = asked.actions.iter().fold(Condition::any(), |any, action| {
            any.add(if action.ends_with('.') {
                Column::Action.starts_with(action)
            } else {
                Column::Action.eq(action)
            })
        });
        query = query.filter(any);
    }
    if let Some(start) = asked.start {
        query = query.filter(Column::Id.gte(floor(start)));
    }
    if let Some(end) = asked.end {
        query = query.filter(Column::Id.lt(floor(end)));
    }
    query
}

/// Returns events that have no place in the chain yet, oldest first.
pub async fn unsealed(db: &impl ConnectionTrait, most: u64) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Seq.is_null()).order_by_asc(Column::Id).limit(most).all(db).await
}

/// Returns the oldest event before a moment that has no place in the chain.
pub async fn left_over(db: &impl ConnectionTrait, before: Moment) -> Result<Option<Model>, DbErr> {
    let oldest = Entity::find().filter(Column::Seq.is_null()).filter(Column::Id.lt(floor(before)));
    oldest.order_by_asc(Column::Id).one(db).await
}

/// Returns the last event of the chain.
pub async fn last(db: &impl ConnectionTrait) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::Seq.is_not_null()).order_by_desc(Column::Seq).one(db).await
}

/// Gives an event its place, unless it has one; `false` then.
pub async fn place(db: &impl ConnectionTrait, id: Uuid, seq: i64, hash: &Hash) -> Result<bool, DbErr> {
    let placed = Entity::update_many()
        .col_expr(Column::Seq, Expr::value(seq))
        .col_expr(Column::Hash, Expr::value(hash.to_vec()))
        .filter(Column::Id.eq(id))
        .filter(Column::Seq.is_null())
        .exec(db)
        .await?;
    Ok(placed.rows_affected == 1)
}

/// Returns the events of the chain behind a place, in its order.
pub async fn behind(db: &impl ConnectionTrait, place: i64, most: u64) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Seq.gt(place)).order_by_asc(Column::Seq).limit(most).all(db).await
}
