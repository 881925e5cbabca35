//! Where targets come from: one row of the database, and what a template adds to it.

use std::sync::Arc;

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, JoinType,
    QueryFilter as _, QuerySelect as _, RelationDef, prelude::Json,
};

use super::{Decoration, Target, Urls};
use crate::{
    clock::Moment,
    entity::{
        link::{Column, Entity, Model},
        template, workspace,
    },
    ids::{LinkId, WorkspaceId},
    links::{
        app_fields::{Texts, from_json},
        extras::{Extras, House, Targeting, from_bytes},
        rules::Rules,
        templates::inherit::inherit,
    },
    pb::v1,
};

/// The columns of a link, of its workspace and of its template that make up its target.
#[expect(clippy::struct_excessive_bools, reason = "they are columns")]
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub(in crate::links) struct Row {
    pub id: LinkId,
    pub workspace_id: WorkspaceId,
    pub destination_url: String,
    pub ios_url: String,
    pub android_url: String,
    pub web_url: String,
    pub ios_universal_link: String,
    pub android_app_link: String,
    pub deep_link_parameters: Json,
    pub utm: Json,
    pub append_click_id: bool,
    pub forward_query: bool,
    pub routing_rules: Option<Vec<u8>>,
    pub active: bool,
    pub start_time: Option<Moment>,
    pub expire_time: Option<Moment>,
    pub max_clicks: i64,
    pub version: i64,
    pub title: String,
    pub description: String,
    pub targeting: Option<Vec<u8>>,
    pub og: Option<Vec<u8>>,
    pub warn_time: Option<Moment>,
    pub disable_time: Option<Moment>,
    pub has_password: bool,
    pub app_scheme: String,
    pub deep_link_path: String,
    pub launchpad_mode: i16,
    pub settings: Option<Vec<u8>>,
    pub suspend_time: Option<Moment>,
    pub create_time: Moment,
    pub redirect_status: i16,
    pub cache_seconds: i32,
    pub alias_of: Option<LinkId>,
    pub slug: Option<String>,
    pub defaults: Option<Vec<u8>>,
}

/// Returns the parameters a link sets: those of its campaign, then those of the app, which win; and how many are the former.
fn parameters(utm: Texts, deep_link: Texts) -> (Vec<(String, String)>, u8) {
    let utm = utm.into_iter().map(|(name, value)| (format!("utm_{name}"), value));
    let of_campaign: Vec<_> = utm.filter(|(name, _)| !deep_link.contains_key(name)).collect();
    let count = u8::try_from(of_campaign.len()).unwrap_or(u8::MAX);
    (of_campaign.into_iter().chain(deep_link).collect(), count)
}

impl From<Row> for Target {
    fn from(mut row: Row) -> Self {
        if let Some(template) = from_bytes(row.defaults.as_deref()) {
            inherit(&mut row, template);
        }
        let parameters = parameters(from_json(row.utm), from_json(row.deep_link_parameters));
        let extras = Extras {
            description: row.description.into(),
            targeting: Targeting::load(row.targeting.as_deref().unwrap_or_default()),
            og: from_bytes(row.og.as_deref()).map(Box::new),
            warn_time: row.warn_time,
            disable_time: row.disable_time,
            has_password: row.has_password,
            app_scheme: row.app_scheme.into(),
            deep_link_path: row.deep_link_path.into(),
            launchpad: v1::LaunchpadMode::try_from(i32::from(row.launchpad_mode)).unwrap_or_default(),
            slug: row.slug.unwrap_or_default().into(),
            redirect_status: v1::RedirectStatus::try_from(i32::from(row.redirect_status)).unwrap_or_default(),
            cache_seconds: u32::try_from(row.cache_seconds).unwrap_or_default(),
        };
        let addresses = Urls {
            ios_url: row.ios_url,
            android_url: row.android_url,
            web_url: row.web_url,
            ios_universal_link: row.ios_universal_link,
            android_app_link: row.android_app_link,
        };
        Self {
            id: row.id,
            workspace_id: row.workspace_id,
            destination_url: row.destination_url.into(),
            addresses: addresses.into(),
            title: row.title.into(),
            decoration: Decoration::of(parameters, row.append_click_id),
            forward_query: row.forward_query,
            rules: Rules::load(row.routing_rules.unwrap_or_default()),
            extras: extras.boxed(),
            house: House::shared(from_bytes(row.settings.as_deref()), row.suspend_time.is_some()),
            active: row.active,
            start_time: row.start_time,
            expire_time: row.expire_time,
            max_clicks: row.max_clicks,
            version: row.version,
        }
    }
}

impl Target {
    /// Returns what a redirect needs of a link that is stored, or might be, and of its template.
    pub fn of(link: &Model, house: Option<Arc<House>>, template: Option<&template::Model>) -> Self {
        let row = Row {
            id: link.id,
            workspace_id: link.workspace_id,
            destination_url: link.destination_url.clone(),
            ios_url: link.ios_url.clone(),
            android_url: link.android_url.clone(),
            web_url: link.web_url.clone(),
            ios_universal_link: link.ios_universal_link.clone(),
            android_app_link: link.android_app_link.clone(),
            deep_link_parameters: link.deep_link_parameters.clone(),
            utm: link.utm.clone(),
            append_click_id: link.append_click_id,
            forward_query: link.forward_query,
            routing_rules: link.routing_rules.clone(),
            active: link.active,
            start_time: link.start_time,
            expire_time: link.expire_time,
            max_clicks: link.max_clicks,
            version: link.version,
            title: link.title.clone(),
            description: link.description.clone(),
            targeting: link.targeting.clone(),
            og: link.og.clone(),
            warn_time: link.warn_time,
            disable_time: link.disable_time,
            has_password: link.password_hash.is_some(),
            app_scheme: link.app_scheme.clone(),
            deep_link_path: link.deep_link_path.clone(),
            launchpad_mode: link.launchpad_mode,
            settings: None,
            suspend_time: None,
            create_time: link.create_time,
            redirect_status: link.redirect_status,
            cache_seconds: link.cache_seconds,
            alias_of: None,
            slug: template.map(|template| template.slug.clone()),
            defaults: template.map(|template| template.defaults.clone()),
        };
        Self { house, ..row.into() }
    }
}

/// Returns what a workspace says of all of its links.
pub async fn find_house(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<House, DbErr> {
    let found = workspace::Entity::find_by_id(workspace).one(db).await?;
    Ok(found.map_or_else(House::default, |found| House {
        suspended: found.suspend_time.is_some(),
        settings: from_bytes(found.settings.as_deref()).unwrap_or_default(),
    }))
}

/// Returns the target of a code, in one query by unique indexes; in two when it is a further code. The visitor's tenant is the
/// code's: this is the one question about links that starts from no workspace.
pub async fn find_target(
    db: &impl ConnectionTrait,
    domain: &str,
    short_code: &str,
) -> Result<Option<Target>, DbErr> {
    let of_code = Condition::all().add(Column::Domain.eq(domain)).add(Column::ShortCode.eq(short_code));
    let Some(found) = find_row(db, of_code).await? else { return Ok(None) };
    let Some(link) = found.alias_of else { return Ok(Some(found.into())) };
    Ok(find_row(db, Condition::all().add(Column::Id.eq(link))).await?.map(Target::from))
}

async fn find_row(db: &impl ConnectionTrait, which: Condition) -> Result<Option<Row>, DbErr> {
    Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::WorkspaceId,
            Column::DestinationUrl,
            Column::IosUrl,
            Column::AndroidUrl,
            Column::WebUrl,
            Column::IosUniversalLink,
            Column::AndroidAppLink,
            Column::DeepLinkParameters,
            Column::Utm,
            Column::AppendClickId,
            Column::ForwardQuery,
            Column::RoutingRules,
            Column::Active,
            Column::StartTime,
            Column::ExpireTime,
            Column::MaxClicks,
            Column::Version,
            Column::Title,
            Column::Description,
            Column::Targeting,
            Column::Og,
            Column::WarnTime,
            Column::DisableTime,
            Column::AppScheme,
            Column::DeepLinkPath,
            Column::LaunchpadMode,
            Column::CreateTime,
            Column::RedirectStatus,
            Column::CacheSeconds,
            Column::AliasOf,
        ])
        .column_as(Column::PasswordHash.is_not_null(), "has_password")
        .column(workspace::Column::Settings)
        .column(workspace::Column::SuspendTime)
        .column(template::Column::Slug)
        .column(template::Column::Defaults)
        .join(JoinType::InnerJoin, workspace_of_link())
        .join(JoinType::LeftJoin, template_of_link())
        .filter(which)
        .into_model::<Row>()
        .one(db)
        .await
}

fn template_of_link() -> RelationDef {
    Entity::belongs_to(template::Entity).from(Column::TemplateId).to(template::Column::Id).into()
}

fn workspace_of_link() -> RelationDef {
    Entity::belongs_to(workspace::Entity).from(Column::WorkspaceId).to(workspace::Column::Id).into()
}

#[cfg(test)]
impl Row {
    /// Returns the row of a link that has nothing at all.
    pub(in crate::links) fn bare() -> Self {
        let (ids, now) = (crate::ids::Ids::seeded(5), crate::clock::from_micros(0));
        Self {
            id: LinkId::mint(&ids, now),
            workspace_id: WorkspaceId::mint(&ids, now),
            destination_url: String::new(),
            ios_url: String::new(),
            android_url: String::new(),
            web_url: String::new(),
            ios_universal_link: String::new(),
            android_app_link: String::new(),
            deep_link_parameters: serde_json::json!({}),
            utm: serde_json::json!({}),
            append_click_id: false,
            forward_query: true,
            routing_rules: None,
            active: true,
            start_time: None,
            expire_time: None,
            max_clicks: 0,
            version: 1,
            title: String::new(),
            description: String::new(),
            targeting: None,
            og: None,
            warn_time: None,
            disable_time: None,
            has_password: false,
            app_scheme: String::new(),
            deep_link_path: String::new(),
            launchpad_mode: 0,
            settings: None,
            suspend_time: None,
            create_time: now,
            redirect_status: 0,
            cache_seconds: 0,
            alias_of: None,
            slug: None,
            defaults: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_the_app_win_over_those_of_the_campaign() {
        let texts = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Texts>()
        };
        let utm = texts(&[("source", "mail"), ("term", "shoes")]);
        let (set, of_campaign) = parameters(utm, texts(&[("id", "1"), ("utm_source", "app")]));
        assert_eq!(of_campaign, 1);
        let expected = [("utm_term", "shoes"), ("id", "1"), ("utm_source", "app")];
        assert!(set.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected));
    }
}
