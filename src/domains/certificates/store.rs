//! Queries of the tables of certificates. They serve the node, which is above the tenants; what is a tenant's says so.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, OnConflict, Query, SelectStatement},
};
use uuid::Uuid;

use super::{Certificate, Row};
use crate::{
    clock::Moment,
    entity::{
        acme_account, acme_challenge,
        certificate::{ActiveModel, Column, Entity},
        certificate_order, domain,
    },
    ids::{DomainId, WorkspaceId},
};

/// The ids of all domains that answer.
fn serving() -> SelectStatement {
    let held = domain::Column::HeldHost.is_not_null();
    Query::select().column(domain::Column::Id).from(domain::Entity).and_where(held).to_owned()
}

/// Deletes what is of domains that answer no longer.
pub async fn remove_stale(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let stale =
        Condition::all().add(Column::DomainId.is_not_null()).add(Column::DomainId.not_in_subquery(serving()));
    // A look first: it takes no lock, and as a rule there is nothing to do.
    let hosts: Vec<String> = Entity::find()
        .select_only()
        .column(Column::Host)
        .filter(stale.clone())
        .limit(1000)
        .into_tuple()
        .all(db)
        .await?;
    if hosts.is_empty() {
        return Ok(());
    }
    Entity::delete_many().filter(Column::Host.is_in(hosts.clone())).filter(stale).exec(db).await?;
    let theirs = acme_challenge::Column::Host.is_in(hosts);
    acme_challenge::Entity::delete_many().filter(theirs).exec(db).await.map(drop)
}

/// Returns up to `limit` domains that answer and that nobody looks after yet.
pub async fn lacking(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<(DomainId, String)>, DbErr> {
    let known = Query::select()
        .column(Column::DomainId)
        .from(Entity)
        .and_where(Column::DomainId.is_not_null())
        .to_owned();
    domain::Entity::find()
        .select_only()
        .columns([domain::Column::Id, domain::Column::Host])
        .filter(domain::Column::HeldHost.is_not_null())
        .filter(domain::Column::Id.not_in_subquery(known))
        .limit(limit)
        .into_tuple()
        .all(db)
        .await
}

/// Returns the server's own hosts that are looked after.
pub async fn own_hosts(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let own = Entity::find().select_only().column(Column::Host).filter(Column::DomainId.is_null());
    own.into_tuple().all(db).await
}

/// Begins to look after a host, unless somebody does.
pub async fn enroll(
    db: &impl ConnectionTrait,
    host: &str,
    domain: Option<DomainId>,
    now: Moment,
) -> Result<(), DbErr> {
    let row = Certificate {
        host: host.to_owned(),
        domain_id: domain,
        chain: None,
        private_key: None,
        issuer: String::new(),
        start_time: None,
        expire_time: None,
        order_url: None,
        order_key: None,
        failures: 0,
        failure: 0,
        failure_detail: String::new(),
        failure_time: None,
        next_time: Some(now),
        version: 0,
        create_time: now,
        update_time: now,
    };
    let row: ActiveModel = row.into();
    let known = OnConflict::column(Column::Host).do_nothing().to_owned();
    Entity::insert(row.reset_all()).on_conflict(known).exec_without_returning(db).await.map(drop)
}

/// Returns up to `limit` certificates that are to be looked after by `now`, the longest due first.
pub async fn due(db: &impl ConnectionTrait, now: Moment, limit: u64) -> Result<Vec<Certificate>, DbErr> {
    let due = Entity::find().filter(Column::NextTime.lte(now));
    due.order_by_asc(Column::NextTime).limit(limit).all(db).await
}

/// Puts a certificate off until then, or for good; `false` when another node was first.
pub async fn put_off(
    db: &impl ConnectionTrait,
    certificate: &Certificate,
    until: Option<Moment>,
) -> Result<bool, DbErr> {
    let done = Entity::update_many()
        .col_expr(Column::NextTime, Expr::value(until))
        .filter(Column::Host.eq(&*certificate.host))
        .filter(Column::NextTime.eq(certificate.next_time))
        .exec(db)
        .await?;
    Ok(done.rows_affected > 0)
}

/// Has whoever took a certificate come back to it then.
pub async fn wait_until(
    db: &impl ConnectionTrait,
    certificate: &Certificate,
    until: Moment,
) -> Result<(), DbErr> {
    let mine = Entity::update_many().col_expr(Column::NextTime, Expr::value(until));
    mine.filter(Column::Host.eq(&*certificate.host)).exec(db).await.map(drop)
}

/// Returns the domain of that id while it answers.
pub async fn holder(db: &impl ConnectionTrait, id: DomainId) -> Result<Option<Row>, DbErr> {
    domain::Entity::find_by_id(id).filter(domain::Column::HeldHost.is_not_null()).one(db).await
}

/// Returns what is known of a host.
pub async fn find(db: &impl ConnectionTrait, host: &str) -> Result<Option<Certificate>, DbErr> {
    Entity::find_by_id(host.to_owned()).one(db).await
}

/// Stores a certificate as it became; `false`: the host is not that domain's any more.
pub async fn save(tx: &impl ConnectionTrait, certificate: &Certificate) -> Result<bool, DbErr> {
    let stored = Entity::find_by_id(certificate.host.clone()).lock_exclusive().one(tx).await?;
    let serves = match certificate.domain_id {
        Some(id) => holder(tx, id).await?.is_some(),
        None => true,
    };
    if !serves || stored.is_none_or(|stored| stored.domain_id != certificate.domain_id) {
        return Ok(false);
    }
    let row: ActiveModel = certificate.clone().into();
    Entity::update(row.reset_all()).exec(tx).await?;
    Ok(true)
}

/// Stores the order that is under way; `false`: the host is not that domain's any more.
pub async fn keep_order(
    db: &impl ConnectionTrait,
    certificate: &Certificate,
    url: &str,
    key: Vec<u8>,
) -> Result<bool, DbErr> {
    let owner = match certificate.domain_id {
        Some(id) => Column::DomainId.eq(id),
        None => Column::DomainId.is_null(),
    };
    let done = Entity::update_many()
        .col_expr(Column::OrderUrl, Expr::value(url))
        .col_expr(Column::OrderKey, Expr::value(key))
        .filter(Column::Host.eq(&*certificate.host))
        .filter(owner)
        .exec(db)
        .await?;
    Ok(done.rows_affected > 0)
}

/// Begins anew with the certificate of a domain, if it failed before `since`.
pub async fn hurry(db: &impl ConnectionTrait, id: DomainId, now: Moment, since: Moment) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::NextTime, Expr::value(now))
        .col_expr(Column::Failures, Expr::value(0))
        .filter(Column::DomainId.eq(id))
        .filter(Column::Failures.gt(0))
        .filter(Column::FailureTime.lte(since))
        .exec(db)
        .await
        .map(drop)
}

/// Has another certificate got for any host, whatever there is; what there is is shown until then. `false`: nobody looks after the host.
pub async fn renew(db: &impl ConnectionTrait, host: &str, now: Moment) -> Result<bool, DbErr> {
    let done = Entity::update_many()
        .col_expr(Column::NextTime, Expr::value(now))
        .col_expr(Column::Failures, Expr::value(0))
        // Without a beginning it counts as none.
        .col_expr(Column::StartTime, Expr::value(None::<Moment>))
        .filter(Column::Host.eq(host))
        .exec(db)
        .await?;
    Ok(done.rows_affected > 0)
}

/// Returns everything.
pub async fn all(db: &impl ConnectionTrait) -> Result<Vec<Certificate>, DbErr> {
    Entity::find().order_by_asc(Column::Host).all(db).await
}

/// Returns the certificates of domains of a workspace.
pub async fn of_domains(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: &[DomainId],
) -> Result<Vec<Certificate>, DbErr> {
    let theirs = Query::select()
        .column(domain::Column::Id)
        .from(domain::Entity)
        .and_where(domain::Column::WorkspaceId.eq(workspace))
        .to_owned();
    let wanted = Column::DomainId.is_in(ids.iter().copied());
    Entity::find().filter(wanted).filter(Column::DomainId.in_subquery(theirs)).all(db).await
}

/// Returns the hosts that have a certificate and answer, each with the version of it.
pub async fn shown(db: &impl ConnectionTrait) -> Result<Vec<(String, i64)>, DbErr> {
    let ours = Condition::any().add(Column::DomainId.is_null()).add(Column::DomainId.in_subquery(serving()));
    Entity::find()
        .select_only()
        .columns([Column::Host, Column::Version])
        .filter(Column::Chain.is_not_null())
        .filter(ours)
        .into_tuple()
        .all(db)
        .await
}

/// Returns what is known of hosts.
pub async fn of_hosts(db: &impl ConnectionTrait, hosts: &[String]) -> Result<Vec<Certificate>, DbErr> {
    Entity::find().filter(Column::Host.is_in(hosts)).all(db).await
}

/// Counts certificates: those that are good at `now`, those that are over, those that are to be got, those that were given up.
pub async fn count(db: &impl ConnectionTrait, now: Moment) -> Result<[u64; 4], DbErr> {
    let (good, over) = (Column::ExpireTime.gt(now), Column::ExpireTime.lte(now));
    let none = Column::ExpireTime.is_null();
    let of = async |condition: Condition| Entity::find().filter(condition).count(db).await;
    Ok([
        of(Condition::all().add(good)).await?,
        of(Condition::all().add(over)).await?,
        of(Condition::all().add(none.clone()).add(Column::NextTime.is_not_null())).await?,
        of(Condition::all().add(none).add(Column::NextTime.is_null())).await?,
    ])
}

/// Counts orders since a moment: all, and those of a workspace if it is one's.
pub async fn count_orders(
    tx: &impl ConnectionTrait,
    owner: Option<WorkspaceId>,
    since: Moment,
) -> Result<(u64, Option<u64>), DbErr> {
    let recent = || certificate_order::Entity::find().filter(certificate_order::Column::CreateTime.gt(since));
    let all = recent().count(tx).await?;
    let of_workspace = match owner {
        Some(id) => Some(recent().filter(certificate_order::Column::WorkspaceId.eq(id)).count(tx).await?),
        None => None,
    };
    Ok((all, of_workspace))
}

/// Remembers an order.
pub async fn note_order(
    tx: &impl ConnectionTrait,
    id: Uuid,
    owner: Option<WorkspaceId>,
    now: Moment,
) -> Result<(), DbErr> {
    let row: certificate_order::ActiveModel =
        certificate_order::Model { id, workspace_id: owner, create_time: now }.into();
    certificate_order::Entity::insert(row.reset_all()).exec_without_returning(tx).await.map(drop)
}

/// Forgets orders of yesterday, and answers that nobody waits for any more.
pub async fn forget_the_past(db: &impl ConnectionTrait, now: Moment) -> Result<(), DbErr> {
    let yesterday = certificate_order::Column::CreateTime.lt(now - chrono::Duration::days(1));
    certificate_order::Entity::delete_many().filter(yesterday).exec(db).await?;
    let over = acme_challenge::Column::ExpireTime.lt(now);
    acme_challenge::Entity::delete_many().filter(over).exec(db).await.map(drop)
}

/// Returns the account at an authority.
pub async fn account(
    db: &impl ConnectionTrait,
    directory: &str,
) -> Result<Option<acme_account::Model>, DbErr> {
    acme_account::Entity::find_by_id(directory.to_owned()).one(db).await
}

/// Keeps everybody else from taking an order until the transaction ends.
pub async fn lock_account(tx: &impl ConnectionTrait, directory: &str) -> Result<(), DbErr> {
    acme_account::Entity::find_by_id(directory.to_owned()).lock_exclusive().one(tx).await.map(drop)
}

/// Stores the key of an account in the place of `old`, unless somebody else has.
pub async fn keep_account_key(
    db: &impl ConnectionTrait,
    directory: &str,
    old: Option<Vec<u8>>,
    key: Vec<u8>,
    now: Moment,
) -> Result<(), DbErr> {
    use acme_account::{Column, Entity, Model};
    if let Some(old) = old {
        return Entity::update_many()
            .col_expr(Column::PrivateKey, Expr::value(key))
            .col_expr(Column::Url, Expr::value(None::<String>))
            .col_expr(Column::UpdateTime, Expr::value(now))
            .filter(Column::DirectoryUrl.eq(directory))
            .filter(Column::PrivateKey.eq(old))
            .exec(db)
            .await
            .map(drop);
    }
    let row = Model {
        directory_url: directory.to_owned(),
        private_key: key,
        url: None,
        create_time: now,
        update_time: now,
    };
    let row: acme_account::ActiveModel = row.into();
    let known = OnConflict::column(Column::DirectoryUrl).do_nothing().to_owned();
    Entity::insert(row.reset_all()).on_conflict(known).exec_without_returning(db).await.map(drop)
}

/// Stores where the account of a key is, or that nobody knows.
pub async fn keep_account_url(
    db: &impl ConnectionTrait,
    directory: &str,
    key: &[u8],
    url: Option<&str>,
    now: Moment,
) -> Result<(), DbErr> {
    use acme_account::{Column, Entity};
    Entity::update_many()
        .col_expr(Column::Url, Expr::value(url.map(str::to_owned)))
        .col_expr(Column::UpdateTime, Expr::value(now))
        .filter(Column::DirectoryUrl.eq(directory))
        .filter(Column::PrivateKey.eq(key.to_vec()))
        .exec(db)
        .await
        .map(drop)
}

/// Stores what is answered to a token, in the place of what was before.
pub async fn keep_challenge(
    db: &impl ConnectionTrait,
    (token, host, answer): (&str, &str, &str),
    now: Moment,
    until: Moment,
) -> Result<(), DbErr> {
    use acme_challenge::{Column, Entity, Model};
    let row = Model {
        token: token.to_owned(),
        host: host.to_owned(),
        answer: answer.to_owned(),
        create_time: now,
        expire_time: until,
    };
    let row: acme_challenge::ActiveModel = row.into();
    let known = OnConflict::column(Column::Token)
        .update_columns([Column::Host, Column::Answer, Column::CreateTime, Column::ExpireTime])
        .to_owned();
    Entity::insert(row.reset_all()).on_conflict(known).exec_without_returning(db).await.map(drop)
}

/// Deletes what is answered for a host.
pub async fn remove_challenges(tx: &impl ConnectionTrait, host: &str) -> Result<(), DbErr> {
    let theirs = acme_challenge::Column::Host.eq(host);
    acme_challenge::Entity::delete_many().filter(theirs).exec(tx).await.map(drop)
}

/// Returns what is answered to a token.
pub async fn answer_to(db: &impl ConnectionTrait, token: &str, now: Moment) -> Result<Option<String>, DbErr> {
    use acme_challenge::{Column, Entity};
    let asked = Entity::find().select_only().column(Column::Answer).filter(Column::Token.eq(token));
    asked.filter(Column::ExpireTime.gt(now)).into_tuple().one(db).await
}

/// Returns what is answered for a host: what was asked last.
pub async fn answer_for(db: &impl ConnectionTrait, host: &str, now: Moment) -> Result<Option<String>, DbErr> {
    use acme_challenge::{Column, Entity};
    let asked = Entity::find().select_only().column(Column::Answer).filter(Column::Host.eq(host));
    let asked = asked.filter(Column::ExpireTime.gt(now)).order_by_desc(Column::CreateTime);
    asked.limit(1).into_tuple().one(db).await
}
