//! Links that users of an app share.

use std::collections::BTreeMap;

use super::{Sdk, installs::report::Scope};
use crate::{
    error::Result,
    ids::AppId,
    links::{Named, Stores, create_by_app},
    pb::v1,
    trail::Origin,
    workspaces::{Tenant, enter_as_app},
};

/// What links made by apps are marked with.
const SOURCE: &str = "sdk";

/// A link that an app wants.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Who shares it.
    pub external_user_id: String,
    /// What the app is handed.
    pub parameters: BTreeMap<String, String>,
    /// The place inside the app.
    pub path: String,
    /// For previews.
    pub title: String,
    /// For previews.
    pub description: String,
    /// The code asked for; empty: any.
    pub short_code: String,
    /// The campaign, by names with or without `utm_`.
    pub utm: BTreeMap<String, String>,
    /// The slug of its template; empty: the workspace's default.
    pub template_slug: String,
    /// The id of its template, where the caller knows it.
    pub template_id: String,
    /// Where those without the app go.
    pub web_url: String,
}

/// Creates a link, or returns the one that the user has. Says which.
pub async fn share(sdk: &Sdk, scope: &Scope, origin: Origin, wanted: Wanted) -> Result<(v1::Link, bool)> {
    let app = scope.app.unwrap_or(AppId(uuid::Uuid::nil()));
    let tenant = enter_as_app(&sdk.env, (scope.workspace, app), scope.quotas.as_ref(), origin);
    share_in(sdk, scope, &tenant, wanted).await
}

/// The same, for somebody who is in the workspace by rights of their own.
pub async fn share_in(sdk: &Sdk, scope: &Scope, tenant: &Tenant, wanted: Wanted) -> Result<(v1::Link, bool)> {
    let utm = |name: &str| {
        let value = wanted.utm.get(name).or_else(|| wanted.utm.get(&format!("utm_{name}")));
        value.cloned().unwrap_or_default()
    };
    let campaign = v1::Utm {
        source: utm("source"),
        medium: utm("medium"),
        campaign: utm("campaign"),
        term: utm("term"),
        content: utm("content"),
    };
    let link = v1::Link {
        short_code: wanted.short_code,
        title: wanted.title,
        description: wanted.description,
        template_id: wanted.template_id,
        external_user_id: wanted.external_user_id,
        deep_link_parameters: wanted.parameters,
        deep_link_path: wanted.path,
        utm: (campaign != v1::Utm::default()).then_some(campaign),
        web_url: wanted.web_url,
        source: SOURCE.to_owned(),
        ..v1::Link::default()
    };
    let named = if link.template_id.is_empty() { Named::BySlug(&wanted.template_slug) } else { Named::ById };
    let stores = Stores {
        ios: store("https://apps.apple.com/app/id", &scope.app_store_id),
        android: store("https://play.google.com/store/apps/details?id=", &scope.package_name),
    };
    create_by_app(&sdk.env, tenant, link, named, stores).await
}

/// Returns the page of an app in a store, where the app is there.
fn store(page: &str, id: &str) -> String {
    if id.is_empty() { String::new() } else { format!("{page}{id}") }
}
