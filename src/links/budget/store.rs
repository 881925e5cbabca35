//! Queries of the tables `click_budgets` and `click_leases`.
//!
//! Whoever locks both locks leases before budgets, and several leases in the order of their ids. A lease that is asked for is a
//! row nobody else knows yet, so visitors wait for nobody but each other. The drain adds to `drained`.

use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait as _, ExprTrait as _,
    QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _, Statement, Value,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use super::decide::{Settled, Settlement, settle as decide};
use crate::{
    clock::Moment,
    db::{self, Dialect, dialect},
    entity::{
        click_budget,
        click_lease::{ActiveModel, Column, Entity},
    },
    ids::{LeaseId, LinkId, WorkspaceId},
};

/// A lease that a node wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub id: LeaseId,
    pub workspace: WorkspaceId,
    pub link: LinkId,
    pub spool: Uuid,
    pub run: Uuid,
    pub units: i64,
    pub end_time: Moment,
}

/// What the database says to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Granted {
    /// The lease is there; so many more are left.
    Lease { left: i64 },
    /// So many would not fit. So many are left, and whether some lease is not used up, both as of a moment just before.
    Refused { left: i64, outstanding: bool },
    /// The link has no limit any more.
    Unlimited,
    /// There is no such link any more.
    Gone,
}

/// Takes clicks from the budget only if so many are left, by the limit as it is stored now. Whoever comes second to the
/// row waits for the first and judges by what he left.
const GROW: &str = "
    INSERT INTO click_budgets (workspace_id, link_id, leased)
    SELECT workspace_id, id, $3 FROM links WHERE workspace_id = $1 AND id = $2 AND max_clicks >= $3
    ON CONFLICT (workspace_id, link_id) DO UPDATE SET leased = click_budgets.leased + excluded.leased
    WHERE click_budgets.leased + excluded.leased <= (SELECT max_clicks FROM links WHERE workspace_id = $1 AND id = $2)
    RETURNING leased";
const BEFORE: &str = "
    SELECT max_clicks,
           (SELECT leased FROM click_budgets WHERE workspace_id = $1 AND link_id = $2) AS taken,
           EXISTS (SELECT 1 FROM click_leases
                   WHERE workspace_id = $1 AND link_id = $2 AND units > drained) AS outstanding";

/// Asks for a lease: one statement on Postgres, one transaction on SQLite.
pub(super) async fn grant(db: &DatabaseConnection, wanted: Wanted) -> Result<Granted, DbErr> {
    match dialect(db.get_database_backend()) {
        Dialect::Postgres => {
            let sql = format!(
                "WITH grown AS ({GROW}), granted AS (
                     INSERT INTO click_leases (id, workspace_id, link_id, spool_id, run_id, units, drained, end_time)
                     SELECT $4, $1, $2, $5, $6, $3, 0, $7 FROM grown)
                 {BEFORE}, (SELECT leased FROM grown) AS leased FROM links WHERE workspace_id = $1 AND id = $2"
            );
            let Wanted { id, workspace, link, spool, run, units, end_time } = wanted;
            let values: [Value; 7] = [
                workspace.into(),
                link.into(),
                units.into(),
                id.into(),
                spool.into(),
                run.into(),
                end_time.into(),
            ];
            let row = one(db, &sql, values).await?;
            row.map_or(Ok(Granted::Gone), |row| read(&row, row.try_get("", "leased")?))
        }
        Dialect::Sqlite => {
            let tx = db::begin(db).await?;
            let link: [Value; 2] = [wanted.workspace.into(), wanted.link.into()];
            let sql = format!("{BEFORE} FROM links WHERE workspace_id = $1 AND id = $2");
            let Some(before) = one(&tx, &sql, link).await? else { return Ok(Granted::Gone) };
            let budget: [Value; 3] = [wanted.workspace.into(), wanted.link.into(), wanted.units.into()];
            let grown = one(&tx, GROW, budget).await?;
            let leased = grown.map(|row| row.try_get_by_index(0)).transpose()?;
            if leased.is_some() {
                Entity::insert(row(wanted)).exec_without_returning(&tx).await?;
            }
            tx.commit().await?;
            read(&before, leased)
        }
    }
}

fn row(wanted: Wanted) -> ActiveModel {
    ActiveModel {
        id: Set(wanted.id),
        workspace_id: Set(wanted.workspace),
        link_id: Set(wanted.link),
        spool_id: Set(wanted.spool),
        run_id: Set(wanted.run),
        units: Set(wanted.units),
        drained: Set(0),
        end_time: Set(wanted.end_time),
    }
}

fn read(before: &QueryResult, leased: Option<i64>) -> Result<Granted, DbErr> {
    let max: i64 = before.try_get("", "max_clicks")?;
    if let Some(leased) = leased {
        return Ok(Granted::Lease { left: max - leased });
    }
    if max == 0 {
        return Ok(Granted::Unlimited);
    }
    let leased: Option<i64> = before.try_get("", "taken")?;
    let outstanding: bool = before.try_get("", "outstanding")?;
    Ok(Granted::Refused { left: max - leased.unwrap_or(0), outstanding })
}

async fn one<const N: usize>(
    db: &impl ConnectionTrait,
    sql: &str,
    values: [Value; N],
) -> Result<Option<QueryResult>, DbErr> {
    db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await
}

/// Returns how many clicks of a budget are recorded: those that count as used, but for what leases may still give away.
pub(super) async fn recorded(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    link: LinkId,
) -> Result<i64, DbErr> {
    const RECORDED: &str = "
        SELECT CAST(leased - COALESCE((SELECT SUM(units - drained) FROM click_leases
                                       WHERE workspace_id = $1 AND link_id = $2), 0) AS BIGINT) AS recorded
        FROM click_budgets WHERE workspace_id = $1 AND link_id = $2";
    let values: [Value; 2] = [workspace.into(), link.into()];
    one(db, RECORDED, values).await?.map_or(Ok(0), |row| row.try_get("", "recorded"))
}

/// Closes the account of a lease. A lease that is not there any more was closed before.
pub(super) async fn settle(
    db: &DatabaseConnection,
    id: LeaseId,
    settlement: Settlement,
    now: Moment,
) -> Result<(), DbErr> {
    let tx = db::begin(db).await?;
    let Some(lease) = Entity::find_by_id(id).lock_exclusive().one(&tx).await? else { return Ok(()) };
    let change = match decide(&lease, settlement, now) {
        Settled::Left => return Ok(()),
        Settled::Gone(change) => {
            Entity::delete_by_id(id).exec(&tx).await?;
            change
        }
        Settled::Kept(change) => {
            let units = Set(lease.drained);
            ActiveModel { id: Set(id), units, ..Default::default() }.update(&tx).await?;
            change
        }
    };
    add(&tx, lease.workspace_id, lease.link_id, change).await?;
    tx.commit().await
}

/// Makes sure that a lease is not there and never will be, although nobody knows whether it was granted. Its id is taken: a
/// question that is still on its way fails as a whole, and one that is being answered is waited for.
pub(super) async fn annul(db: &DatabaseConnection, unheard: Wanted, now: Moment) -> Result<(), DbErr> {
    let nothing = row(Wanted { units: 0, end_time: now, ..unheard });
    let taken = OnConflict::column(Column::Id).do_nothing().to_owned();
    let inserted = Entity::insert(nothing).on_conflict(taken).exec_without_returning(db).await?;
    if inserted > 0 { Ok(()) } else { settle(db, unheard.id, Settlement::GivenBack { used: 0 }, now).await }
}

/// Gives back one click of a lease that was used up or given back before. In the first case the lease was smaller by it.
pub(super) async fn give_back_one(
    db: &DatabaseConnection,
    lease: LeaseId,
    (workspace, link): (WorkspaceId, LinkId),
) -> Result<(), DbErr> {
    let tx = db::begin(db).await?;
    Entity::update_many()
        .col_expr(Column::Units, Expr::col(Column::Units).sub(1))
        .filter(Column::Id.eq(lease))
        .exec(&tx)
        .await?;
    add(&tx, workspace, link, -1).await?;
    tx.commit().await
}

/// Changes what counts as used.
async fn add(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    link: LinkId,
    change: i64,
) -> Result<(), DbErr> {
    use click_budget::Column;
    click_budget::Entity::update_many()
        .col_expr(Column::Leased, Expr::col(Column::Leased).add(change))
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::LinkId.eq(link))
        .exec(db)
        .await
        .map(drop)
}

/// Returns some leases of earlier runs of the node whose spool this is.
pub(super) async fn list_earlier(
    db: &DatabaseConnection,
    spool: Uuid,
    run: Uuid,
    most: u64,
) -> Result<Vec<LeaseId>, DbErr> {
    let earlier = Entity::find().filter(Column::SpoolId.eq(spool)).filter(Column::RunId.ne(run));
    earlier.select_only().column(Column::Id).limit(most).into_tuple().all(db).await
}

/// Returns some leases that are over and do not stand at what is recorded of them.
pub(super) async fn list_ended(
    db: &DatabaseConnection,
    now: Moment,
    most: u64,
) -> Result<Vec<LeaseId>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::EndTime.lte(now))
        .filter(Expr::col(Column::Units).ne(Expr::col(Column::Drained)))
        .limit(most)
        .into_tuple()
        .all(db)
        .await
}

/// Deletes leases that were over before `moment`.
pub(super) async fn remove_ended(db: &DatabaseConnection, moment: Moment) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::EndTime.lt(moment)).exec(db).await.map(drop)
}

/// Deletes the budgets of links that go, and their leases.
pub(super) async fn remove(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    links: &[LinkId],
) -> Result<(), DbErr> {
    let leases = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::LinkId.is_in(links.iter().copied()))
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .into_tuple::<LeaseId>()
        .all(tx)
        .await?;
    Entity::delete_many().filter(Column::Id.is_in(leases)).exec(tx).await?;
    click_budget::Entity::delete_many()
        .filter(click_budget::Column::WorkspaceId.eq(workspace))
        .filter(click_budget::Column::LinkId.is_in(links.iter().copied()))
        .exec(tx)
        .await
        .map(drop)
}
