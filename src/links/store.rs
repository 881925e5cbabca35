//! Queries of the tables `links` and `link_totals`. Everything but `find_target` starts with the tenant.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, ExprTrait as _,
    FromQueryResult, QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _, QueryTrait, Select,
    sea_query::{Alias, Condition, Expr, IntoIden as _, JoinType, OnConflict, Query, TableRef, ValueTuple},
};

use crate::{
    entity::{
        link::{ActiveModel, Column, Entity, Model},
        link_total,
    },
    ids::{LinkId, ProjectId, WorkspaceId},
    rpc::Reach,
    workspaces::Tenant,
};

/// Rows of one statement: SQLite takes 32,766 parameters, a link has 48.
const ROWS: usize = 500;

/// A link and the clicks of people on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedLink {
    /// The link.
    pub link: Model,
    /// Clicks recorded so far, by people.
    pub clicks: i64,
}

impl FromQueryResult for CountedLink {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self { link: Model::from_query_result(row, prefix)?, clicks: row.try_get(prefix, CLICKS)? })
    }
}

const CLICKS: &str = "clicks";

/// Returns the clicks of a link in a select that came from [`counted`].
fn clicks() -> Expr {
    Expr::col((link_total::Entity, link_total::Column::Clicks)).if_null(0_i64)
}

/// Selects the links of a workspace together with their clicks, in one query.
pub(super) fn counted(workspace: WorkspaceId) -> Select<Entity> {
    let mut select = Entity::find()
        .expr_as(clicks(), CLICKS)
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::AliasOf.is_null());
    QueryTrait::query(&mut select).join(JoinType::LeftJoin, link_total::Entity, same_link());
    select
}

/// Returns what holds of the links that whoever is in the workspace reaches.
fn reached(tenant: &Tenant) -> Condition {
    within(tenant.reach.as_deref())
}

/// Returns what holds of the links that a key reaches; of all of them where it is bound to nothing.
pub(super) fn within(reach: Option<&Reach>) -> Condition {
    let projects = reach.and_then(|reach| reach.projects.as_ref());
    let domains = reach.and_then(|reach| reach.domains.as_ref());
    Condition::all()
        .add_option(projects.map(|ids| Column::ProjectId.is_in(ids.iter().copied())))
        .add_option(domains.map(|domains| Column::Domain.is_in(domains.iter().map(String::as_str))))
}

/// Returns what joins a link and its clicks.
pub(super) fn same_link() -> Condition {
    Condition::all()
        .add(
            Expr::col((link_total::Entity, link_total::Column::WorkspaceId))
                .equals((Entity, Column::WorkspaceId)),
        )
        .add(Expr::col((link_total::Entity, link_total::Column::LinkId)).equals((Entity, Column::Id)))
}

/// Returns a link.
pub async fn find(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    id: LinkId,
) -> Result<Option<CountedLink>, DbErr> {
    counted(tenant.id)
        .filter(reached(tenant))
        .filter(Column::Id.eq(id))
        .into_model::<CountedLink>()
        .one(db)
        .await
}

/// Returns the link of a code, if it is one of the workspace.
pub async fn find_by_code(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    domain: &str,
    short_code: &str,
) -> Result<Option<Model>, DbErr> {
    let found = Entity::find()
        .filter(Column::WorkspaceId.eq(tenant.id))
        .filter(Column::Domain.eq(domain))
        .filter(Column::ShortCode.eq(short_code))
        .one(db)
        .await?;
    let found = match found.as_ref().and_then(|found| found.alias_of) {
        None => found,
        Some(link) => Entity::find_by_id(link).filter(Column::WorkspaceId.eq(tenant.id)).one(db).await?,
    };
    // A further code says nothing of the project of its link, so this is asked at the end.
    Ok(found.filter(|found| tenant.reach.as_deref().is_none_or(|reach| reaches(reach, found))))
}

/// Says whether a key reaches a link.
pub(super) fn reaches(reach: &Reach, link: &Model) -> bool {
    let project = |ids: &Vec<ProjectId>| link.project_id.is_some_and(|id| ids.contains(&id));
    reach.projects.as_ref().is_none_or(project)
        && reach.domains.as_ref().is_none_or(|domains| domains.contains(&link.domain))
}

/// Returns the hash of the password of a link, if it has one.
pub async fn find_password(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: LinkId,
) -> Result<Option<String>, DbErr> {
    let hash = Entity::find()
        .select_only()
        .column(Column::PasswordHash)
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.eq(id))
        .into_tuple::<Option<String>>()
        .one(db)
        .await?;
    Ok(hash.flatten())
}

/// Returns those of the links that exist.
pub async fn find_many(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: impl IntoIterator<Item = LinkId>,
) -> Result<HashMap<LinkId, CountedLink>, DbErr> {
    let found = counted(workspace).filter(Column::Id.is_in(ids)).into_model::<CountedLink>().all(db).await?;
    Ok(found.into_iter().map(|counted| (counted.link.id, counted)).collect())
}

/// Returns those of the links that exist and keeps everybody else from changing them until the transaction ends. In
/// the order of their ids, so that two callers never wait for each other.
pub async fn lock(
    tx: &impl ConnectionTrait,
    tenant: &Tenant,
    ids: impl IntoIterator<Item = LinkId>,
) -> Result<HashMap<LinkId, Model>, DbErr> {
    let locked = Entity::find()
        .filter(Column::WorkspaceId.eq(tenant.id))
        .filter(reached(tenant))
        .filter(Column::Id.is_in(ids))
        .filter(Column::AliasOf.is_null())
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .all(tx)
        .await?;
    Ok(locked.into_iter().map(|link| (link.id, link)).collect())
}

/// Returns those of the workspace's links that have one of these codes, by code, and keeps everybody else from changing them
/// until the transaction ends. In the order of their ids, as [`lock`].
pub async fn lock_codes(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    domain: &str,
    codes: impl IntoIterator<Item = &str>,
) -> Result<HashMap<String, Model>, DbErr> {
    let locked = Entity::find()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Domain.eq(domain))
        .filter(Column::ShortCode.is_in(codes))
        .filter(Column::AliasOf.is_null())
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .all(tx)
        .await?;
    Ok(locked.into_iter().map(|link| (link.short_code.clone(), link)).collect())
}

/// Returns the clicks of those of the links that have any.
pub async fn clicks_of(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: impl IntoIterator<Item = LinkId>,
) -> Result<HashMap<LinkId, i64>, DbErr> {
    let totals = link_total::Entity::find()
        .filter(link_total::Column::WorkspaceId.eq(workspace))
        .filter(link_total::Column::LinkId.is_in(ids))
        .all(db)
        .await?;
    Ok(totals.into_iter().map(|total| (total.link_id, total.clicks)).collect())
}

/// Stores new links and returns the ids of those whose code, and external id and reuse key if they have one, were free. Codes are claimed in their own order, so
/// that two callers who want the same ones never wait for each other.
pub async fn insert(tx: &impl ConnectionTrait, mut links: Vec<Model>) -> Result<HashSet<LinkId>, DbErr> {
    links.sort_by(|a, b| (&a.domain, &a.short_code).cmp(&(&b.domain, &b.short_code)));
    // Whichever of the unique indexes says so.
    let code_taken = OnConflict::new().do_nothing().to_owned();
    let mut inserted = HashSet::with_capacity(links.len());
    while !links.is_empty() {
        let rest = links.split_off(links.len().min(ROWS));
        let rows = links.into_iter().map(|link| ActiveModel::from(link).reset_all());
        let mut insert = Entity::insert_many(rows).on_conflict(code_taken.clone());
        insert.query().returning_col(Column::Id);
        for row in tx.query_all(insert.query()).await? {
            inserted.insert(row.try_get_by_index(0)?);
        }
        links = rest;
    }
    Ok(inserted)
}

/// Returns those of the codes, each with its domain, that are taken, whoever has them.
pub async fn taken<'a>(
    db: &impl ConnectionTrait,
    codes: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<HashSet<(String, String)>, DbErr> {
    let mut by_domain: HashMap<&str, Vec<&str>> = HashMap::new();
    for (domain, code) in codes {
        by_domain.entry(domain).or_default().push(code);
    }
    let any = by_domain.into_iter().fold(Condition::any(), |any, (domain, codes)| {
        any.add(Column::Domain.eq(domain).and(Column::ShortCode.is_in(codes)))
    });
    if any.is_empty() {
        return Ok(HashSet::new());
    }
    Entity::find()
        .select_only()
        .columns([Column::Domain, Column::ShortCode])
        .filter(any)
        .into_tuple::<(String, String)>()
        .all(db)
        .await
        .map(HashSet::from_iter)
}

/// Returns those of the external ids that are in use, and by which links.
pub async fn external_ids(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: Vec<String>,
) -> Result<HashMap<String, LinkId>, DbErr> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = Entity::find()
        .select_only()
        .columns([Column::ExternalId, Column::Id])
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::ExternalId.is_in(ids))
        .into_tuple::<(String, LinkId)>()
        .all(db)
        .await?;
    Ok(found.into_iter().collect())
}

/// Returns those of the reuse keys that are in use.
pub async fn reuse_keys(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    keys: Vec<Vec<u8>>,
) -> Result<HashSet<Vec<u8>>, DbErr> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let found = Entity::find()
        .select_only()
        .column(Column::ReuseKey)
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::ReuseKey.is_in(keys))
        .into_tuple::<Vec<u8>>()
        .all(db)
        .await?;
    Ok(found.into_iter().collect())
}

/// Forgets what a link would be found by when one with the same content is asked for.
pub async fn forget_reuse_key(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    link: LinkId,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::ReuseKey, Expr::value(None::<Vec<u8>>))
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.eq(link))
        .filter(Column::ReuseKey.is_not_null())
        .exec(tx)
        .await?;
    Ok(())
}

/// Returns the link with the external id of a draft, or without one with its reuse key.
pub async fn find_same(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    draft: &Model,
) -> Result<Option<CountedLink>, DbErr> {
    let same = match (&draft.external_id, &draft.reuse_key) {
        (Some(external), _) => Column::ExternalId.eq(external.as_str()),
        (None, Some(key)) => Column::ReuseKey.eq(key.clone()),
        (None, None) => return Ok(None),
    };
    counted(tenant.id).filter(reached(tenant)).filter(same).into_model::<CountedLink>().one(db).await
}

/// Deletes a further code of a link; `false` when it has none such.
pub async fn remove_alias(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    link: LinkId,
    alias: &str,
) -> Result<bool, DbErr> {
    let removed = Entity::delete_many()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::AliasOf.eq(link))
        .filter(Column::ShortCode.eq(alias))
        .exec(tx)
        .await?;
    Ok(removed.rows_affected > 0)
}

/// Stores changed links, each only if the stored version is the one just before, and returns the ids of those.
pub async fn save(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    links: &[Model],
) -> Result<HashSet<LinkId>, DbErr> {
    let mut saved = HashSet::with_capacity(links.len());
    for links in links.chunks(ROWS) {
        let given = Alias::new("given");
        // Both databases call the columns of a list of values column1, column2 and so on.
        let column = |number: usize| Expr::col((Alias::new("given"), Alias::new(format!("column{number}"))));
        let (id, version) = (column(1), column(2));
        let mut update = Query::update();
        update
            .table(Entity)
            .from(TableRef::ValuesList(links.iter().map(values).collect(), given.into_iden()))
            .values(CHANGEABLE.into_iter().enumerate().map(|(place, name)| (name, column(place + 2))))
            .and_where(Expr::col((Entity, Column::WorkspaceId)).eq(workspace))
            .and_where(Expr::col((Entity, Column::Id)).eq(id))
            .and_where(Expr::col((Entity, Column::Version)).eq(version.sub(1)))
            .returning(Query::returning().column((Entity, Column::Id)));
        for row in tx.query_all(&update).await? {
            saved.insert(row.try_get_by_index(0)?);
        }
    }
    Ok(saved)
}

const CHANGEABLE: [Column; 41] = [
    Column::Version,
    Column::DestinationUrl,
    Column::Title,
    Column::Description,
    Column::IosUrl,
    Column::AndroidUrl,
    Column::WebUrl,
    Column::AppScheme,
    Column::IosUniversalLink,
    Column::AndroidAppLink,
    Column::DeepLinkPath,
    Column::DeepLinkParameters,
    Column::Utm,
    Column::AppendClickId,
    Column::ForwardQuery,
    Column::RoutingRules,
    Column::Active,
    Column::StartTime,
    Column::ExpireTime,
    Column::MaxClicks,
    Column::Tags,
    Column::Targeting,
    Column::Og,
    Column::WarnTime,
    Column::DisableTime,
    Column::DisableReason,
    Column::PasswordHash,
    Column::LaunchpadMode,
    Column::RoutingTests,
    Column::UpdateTime,
    Column::ProjectId,
    Column::TemplateId,
    Column::ExternalId,
    Column::ExternalUserId,
    Column::Source,
    Column::Archived,
    Column::AttributionWindow,
    Column::EventAttributionWindow,
    Column::RedirectStatus,
    Column::CacheSeconds,
    Column::Aliases,
];

/// Returns the id of a link and then what [`CHANGEABLE`] names.
fn values(link: &Model) -> ValueTuple {
    ValueTuple::Many(vec![
        link.id.into(),
        link.version.into(),
        link.destination_url.as_str().into(),
        link.title.as_str().into(),
        link.description.as_str().into(),
        link.ios_url.as_str().into(),
        link.android_url.as_str().into(),
        link.web_url.as_str().into(),
        link.app_scheme.as_str().into(),
        link.ios_universal_link.as_str().into(),
        link.android_app_link.as_str().into(),
        link.deep_link_path.as_str().into(),
        link.deep_link_parameters.clone().into(),
        link.utm.clone().into(),
        link.append_click_id.into(),
        link.forward_query.into(),
        link.routing_rules.clone().into(),
        link.active.into(),
        link.start_time.into(),
        link.expire_time.into(),
        link.max_clicks.into(),
        link.tags.clone().into(),
        link.targeting.clone().into(),
        link.og.clone().into(),
        link.warn_time.into(),
        link.disable_time.into(),
        link.disable_reason.as_str().into(),
        link.password_hash.clone().into(),
        link.launchpad_mode.into(),
        link.routing_tests.clone().into(),
        link.update_time.into(),
        link.project_id.map(|id| id.0).into(),
        link.template_id.map(|id| id.0).into(),
        link.external_id.clone().into(),
        link.external_user_id.as_str().into(),
        link.source.as_str().into(),
        link.archived.into(),
        link.attribution_window.into(),
        link.event_attribution_window.into(),
        link.redirect_status.into(),
        link.cache_seconds.into(),
        link.aliases.clone().into(),
    ])
}

/// Deletes links for good. Their clicks stay.
pub async fn remove(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    ids: impl IntoIterator<Item = LinkId>,
) -> Result<u64, DbErr> {
    let removed = Entity::delete_many()
        .filter(Column::WorkspaceId.eq(workspace))
        .filter(Column::Id.is_in(ids))
        .exec(tx)
        .await?;
    Ok(removed.rows_affected)
}
