//! What links were before somebody changed them: written with every change, and good for going back.
//!
//! A revision is what people decided of a link, without its password. The first change of a link also writes down what it
//! found, so that nothing is written for links that are never changed.

use std::collections::HashMap;

use prost::Message as _;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Condition, Expr, ExprTrait as _, OnConflict, Query},
};

use super::{Decide, Door, LinkChange, Run, Shown, fields::Field, store, unknown, update, weight, wire};
use crate::{
    domains,
    entity::{
        link,
        link_revision::{ActiveModel, Column, Entity, Model},
    },
    env::Env,
    error::{Error, Result},
    idempotency::Request,
    ids::{LinkId, WorkspaceId},
    page::{Cursor, Page, PageRequest},
    pb::v1,
    workspaces::Tenant,
};

/// How many revisions of a link are kept.
const KEPT: i64 = 50;
/// Rows of one statement.
const ROWS: usize = 500;

/// Writes down what links became, and for those without a history what they were.
pub(super) async fn record(
    env: &Env,
    tx: &impl ConnectionTrait,
    tenant: &Tenant,
    changed: &[(&link::Model, &link::Model)],
) -> Result<(), DbErr> {
    let revision = |link: &link::Model| Model {
        workspace_id: link.workspace_id,
        link_id: link.id,
        version: link.version,
        change_time: link.update_time,
        actor: None,
        actor_kind: 0,
        fields: serde_json::json!([]),
        content: content(env, link),
    };
    for changed in changed.chunks(ROWS) {
        let mut rows = Vec::with_capacity(changed.len() * 2);
        for (before, after) in changed {
            rows.push(revision(before));
            let (actor, actor_kind) = match (tenant.principal.is_nil(), tenant.role) {
                (true, _) => (None, 0),
                (false, Some(_)) => (Some(tenant.principal), 1),
                (false, None) => (Some(tenant.principal), 2),
            };
            rows.push(Model { actor, actor_kind, fields: names(before, after).into(), ..revision(after) });
        }
        let rows = rows.into_iter().map(|row| ActiveModel::from(row).reset_all());
        let known = OnConflict::columns([Column::LinkId, Column::Version]).do_nothing().to_owned();
        Entity::insert_many(rows).on_conflict(known).exec_without_returning(tx).await?;
        let newest = Query::select()
            .expr(Expr::col((link::Entity, link::Column::Version)).sub(KEPT))
            .from(link::Entity)
            .and_where(Expr::col((link::Entity, link::Column::Id)).equals((Entity, Column::LinkId)))
            .to_owned();
        Entity::delete_many()
            .filter(Column::LinkId.is_in(changed.iter().map(|(_, after)| after.id)))
            .filter(Expr::col((Entity, Column::Version)).lte(Expr::SubQuery(None, Box::new(newest.into()))))
            .exec(tx)
            .await?;
    }
    Ok(())
}

/// Erases the deep-link parameters from every revision of a link.
pub(super) async fn erase_parameters(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    link: LinkId,
) -> Result<(), DbErr> {
    let of_link = || Condition::all().add(Column::WorkspaceId.eq(workspace)).add(Column::LinkId.eq(link));
    for revision in Entity::find().filter(of_link()).all(tx).await? {
        let mut content = link_of(&revision);
        if content.deep_link_parameters.is_empty() {
            continue;
        }
        content.deep_link_parameters.clear();
        Entity::update_many()
            .col_expr(Column::Content, Expr::value(content.encode_to_vec()))
            .filter(of_link())
            .filter(Column::Version.eq(revision.version))
            .exec(tx)
            .await?;
    }
    Ok(())
}

/// Lists revisions of a link, newest first.
pub async fn list_revisions(
    env: &Env,
    tenant: &Tenant,
    id: LinkId,
    page: &PageRequest,
) -> Result<Page<Model>> {
    store::find(&env.db.api, tenant, id).await?.ok_or_else(unknown)?;
    let mut query = Entity::find()
        .filter(Column::WorkspaceId.eq(tenant.id))
        .filter(Column::LinkId.eq(id))
        .order_by_desc(Column::Version)
        .limit(u64::from(page.size) + 1);
    if let Some(after) = page.after.as_ref().and_then(|cursor| cursor.key.parse::<i64>().ok()) {
        query = query.filter(Column::Version.lt(after));
    }
    let rows = query.all(&env.db.api).await?;
    let size = super::list::fitting(rows.iter().map(|row| row.content.len() + weight::LINK_BYTES), page.size);
    Ok(Page::of(rows, size, |last| Cursor { key: last.version.to_string(), id: String::new() }))
}

/// Makes a link what it was in a revision.
pub async fn restore_revision(
    env: &Env,
    tenant: &Tenant,
    (id, revision): (LinkId, i64),
    (etag, decide): (String, Option<Decide>),
    request: Option<Request>,
) -> Result<Shown> {
    let found =
        Entity::find_by_id((id, revision)).filter(Column::WorkspaceId.eq(tenant.id)).one(&env.db.api).await?;
    let found = match found {
        Some(found) => found,
        None => {
            store::find(&env.db.api, tenant, id).await?.ok_or_else(unknown)?;
            return Err(Error::not_found("revision"));
        }
    };
    let hosts = domains::answering(&env.db.api, tenant).await?;
    let change = change(&wire::door(env, &hosts, "link.", decide), &found, etag)?;
    Box::pin(update(env, tenant, change, request, Run::Store)).await
}

/// Returns the change that makes a link what it was. It is held against the rules of today.
fn change(door: &Door<'_>, revision: &Model, etag: String) -> Result<LinkChange> {
    let link = v1::Link { id: revision.link_id.to_string(), etag, ..link_of(revision) };
    let paths = Field::ALL.into_iter().filter(|field| *field != Field::Password);
    let paths = paths.map(|field| field.name().to_owned()).collect();
    door.change(Some(link), Some(&prost_types::FieldMask { paths }))
}

/// Returns the link of a revision.
pub(super) fn link_of(revision: &Model) -> v1::Link {
    v1::Link::decode(&*revision.content).unwrap_or_default()
}

fn content(env: &Env, link: &link::Model) -> Vec<u8> {
    wire::content(&env.config, link.clone()).encode_to_vec()
}

/// Returns the names of the fields in which two states of a link differ.
pub(super) fn names(before: &link::Model, after: &link::Model) -> Vec<&'static str> {
    Field::ALL.into_iter().filter(|field| differs(*field, before, after)).map(Field::name).collect()
}

fn differs(field: Field, a: &link::Model, b: &link::Model) -> bool {
    match field {
        Field::DestinationUrl => a.destination_url != b.destination_url,
        Field::Title => a.title != b.title,
        Field::Description => a.description != b.description,
        Field::IosUrl => a.ios_url != b.ios_url,
        Field::AndroidUrl => a.android_url != b.android_url,
        Field::WebUrl => a.web_url != b.web_url,
        Field::AppScheme => a.app_scheme != b.app_scheme,
        Field::IosUniversalLink => a.ios_universal_link != b.ios_universal_link,
        Field::AndroidAppLink => a.android_app_link != b.android_app_link,
        Field::DeepLinkPath => a.deep_link_path != b.deep_link_path,
        Field::DeepLinkParameters => a.deep_link_parameters != b.deep_link_parameters,
        Field::Utm => a.utm != b.utm,
        Field::AppendClickId => a.append_click_id != b.append_click_id,
        Field::ForwardQuery => a.forward_query != b.forward_query,
        Field::RoutingRules => a.routing_rules != b.routing_rules,
        Field::Active => a.active != b.active,
        Field::StartTime => a.start_time != b.start_time,
        Field::ExpireTime => a.expire_time != b.expire_time,
        Field::MaxClicks => a.max_clicks != b.max_clicks,
        Field::Tags => a.tags != b.tags,
        Field::Targeting => a.targeting != b.targeting,
        Field::Og => a.og != b.og,
        Field::WarnTime => a.warn_time != b.warn_time,
        Field::DisableTime => a.disable_time != b.disable_time,
        Field::DisableReason => a.disable_reason != b.disable_reason,
        Field::Password => a.password_hash != b.password_hash,
        Field::LaunchpadMode => a.launchpad_mode != b.launchpad_mode,
        Field::ProjectId => a.project_id != b.project_id,
        Field::TemplateId => a.template_id != b.template_id,
        Field::AttributionWindow => a.attribution_window != b.attribution_window,
        Field::EventAttributionWindow => a.event_attribution_window != b.event_attribution_window,
        Field::ExternalId => a.external_id != b.external_id,
        Field::ExternalUserId => a.external_user_id != b.external_user_id,
        Field::Archived => a.archived != b.archived,
        Field::RedirectStatus => a.redirect_status != b.redirect_status,
        Field::CacheDuration => a.cache_seconds != b.cache_seconds,
        Field::Source => a.source != b.source,
        Field::RoutingTests => a.routing_tests != b.routing_tests,
    }
}

/// Pairs links as they were with links as they became.
pub(super) fn pairs<'a>(
    before: &'a HashMap<LinkId, link::Model>,
    after: &'a [link::Model],
) -> Vec<(&'a link::Model, &'a link::Model)> {
    after.iter().filter_map(|link| Some((before.get(&link.id)?, link))).collect()
}
