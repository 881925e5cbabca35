//! Links that an app makes for its users to share.

use super::{
    Creation, Door, Existing, Run, create,
    fields::has_address,
    templates::{self, store::find_by_slug},
    wire,
};
use crate::{
    domains,
    env::Env,
    error::{Error, Result},
    pb::v1,
    workspaces::Tenant,
};

/// Where the template of a new link comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// From its slug; empty: the workspace's default, if there is one.
    BySlug(&'a str),
    /// The link says.
    ById,
}

/// The pages of an app in the stores; each may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stores {
    /// In the App Store.
    pub ios: String,
    /// In the Play Store.
    pub android: String,
}

/// Creates a link, or returns the one that the same user has with the same content. Says which. Where neither the link nor a template says
/// where it leads, it leads to `stores`.
pub async fn create_by_app(
    env: &Env,
    tenant: &Tenant,
    mut link: v1::Link,
    template: Named<'_>,
    stores: Stores,
) -> Result<(v1::Link, bool)> {
    if let Named::BySlug(slug) = template
        && !slug.is_empty()
    {
        let found = find_by_slug(&env.db.api, tenant.id, slug).await?;
        link.template_id = found.ok_or_else(|| Error::not_found("template"))?.id.to_string();
    }
    let unsaid = link.template_id.is_empty();
    let default_leads = unsaid && templates::default_leads(env, tenant).await?;
    if unsaid && !default_leads && !has_address(&link) {
        (link.ios_url, link.android_url) = (stores.ios, stores.android);
        if !has_address(&link) {
            return Err(Error::invalid_field(
                "web_url",
                "must be set: neither a template nor the app's pages in the stores say where the link leads",
            ));
        }
    }
    let hosts = domains::answering(&env.db.api, tenant).await?;
    let existing = if link.external_user_id.is_empty() { Existing::Refuse } else { Existing::Reuse };
    let door = wire::door(env, &hosts, "", None);
    let new = Door { default_leads, ..door }.new_link(Some(link))?;
    let how = Creation { existing, ..Creation::default() };
    let (shown, reused) = Box::pin(create(env, tenant, new, how, None, Run::Store)).await?;
    Ok((wire::shown(&env.config, shown), reused))
}
