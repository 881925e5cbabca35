//! What becomes of a visit to a stored link, asked and not made: what the decision needs is gathered here, and nothing is
//! recorded, counted or used up.

use prost_types::FieldMask;
use sea_orm::ConnectionTrait;
use url::Url;
use uuid::Uuid;

use super::{
    Decide, Described, Detail, LinkChange, Target, budget,
    code::Alphabet,
    described::{self, check_query},
    etag,
    fields::{NOT_A_UUID, moment},
    related::Related,
    store, target, templates, unknown, wire,
};
use crate::{
    clock::{Moment, cut},
    config::Config,
    domains,
    env::Env,
    error::{Error, Result, Violations},
    ids::LinkId,
    pb::v1,
    workspaces::Tenant,
};

/// What somebody wants to know.
#[derive(Debug, Clone)]
pub struct Question {
    /// Of which link.
    pub which: Which,
    /// What would be changed about it.
    pub edit: Option<LinkChange>,
    /// Who comes.
    pub visitor: Described,
    /// When; `None`: now.
    pub time: Option<Moment>,
}

/// How a link is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// By its id.
    Id(LinkId),
    /// By its code.
    Code {
        /// The host; empty for the server's own.
        domain: String,
        /// The code.
        short_code: String,
    },
}

/// An edit may leave the id out, since the request says which link is meant.
const NO_ID: LinkId = LinkId(Uuid::nil());

/// Reads a request.
pub fn question(env: &Env, hosts: &[String], request: v1::ResolveLinkRequest) -> Result<Question> {
    let v1::ResolveLinkRequest {
        workspace_id: _,
        link_id,
        domain,
        short_code,
        short_url,
        edit,
        edit_mask,
        visitor,
        time,
    } = request;
    let mut wrong = Violations::default();
    let mut visitor = visitor.unwrap_or_default();
    if !domain.is_empty() && short_code.is_empty() {
        wrong.add("domain", "must be empty: it belongs to short_code");
    }
    let which = match (link_id.as_str(), short_code.as_str(), short_url.as_str()) {
        (id, "", "") if !id.is_empty() => {
            wrong.take("link_id", LinkId::parse(id).map(Which::Id).ok_or(NOT_A_UUID))
        }
        ("", code, "") if !code.is_empty() => {
            Some(Which::Code { domain: stored_domain(&env.config, &domain), short_code })
        }
        ("", "", url) if !url.is_empty() => {
            wrong.take("short_url", read_short_url(&env.config, url)).map(|(which, query)| {
                match (query, visitor.query.is_empty()) {
                    (None, _) => {}
                    (Some(query), true) => visitor.query = query,
                    (Some(_), false) => wrong.add("visitor.query", "must be empty: short_url has a query"),
                }
                which
            })
        }
        _ => {
            wrong.add("link_id", "must be set, or short_code or short_url in its place");
            None
        }
    };
    let visitor = described::read("visitor", visitor, &mut wrong);
    let time = time.as_ref().map(moment).transpose();
    let time = wrong.take("time", time).flatten().map(cut);
    let edit = edit.map(|edit| read_edit(env, hosts, edit, edit_mask.as_ref())).transpose();
    let ((), edit) = wire::both(wrong.into_result(()), edit)?;
    let which = which.ok_or_else(|| Error::internal("a link that is not named passed as named"))?;
    Ok(Question { which, edit, visitor, time })
}

fn read_edit(
    env: &Env,
    hosts: &[String],
    mut edit: v1::Link,
    mask: Option<&FieldMask>,
) -> Result<LinkChange> {
    if edit.id.is_empty() {
        edit.id = NO_ID.to_string();
    }
    wire::door(env, hosts, "edit.", None).change(Some(edit), mask)
}

/// Returns a host, or nothing for the server's own.
fn stored_domain(config: &Config, host: &str) -> String {
    let host = host.to_ascii_lowercase();
    if host == config.links_host() { domains::OWN.to_owned() } else { host }
}

/// Reads a whole short URL: the link, and the query if there is one.
fn read_short_url(config: &Config, url: &str) -> Result<(Which, Option<String>), &'static str> {
    const NONE: &str = "must be a whole short URL such as https://go.example.com/spring";
    let url = Url::parse(url).map_err(|_| NONE)?;
    let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")).ok_or(NONE)?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let short_code = url.path().strip_prefix('/').filter(|code| super::is_short_code(code)).ok_or(NONE)?;
    let which = Which::Code { domain: stored_domain(config, &host), short_code: short_code.to_owned() };
    let query = url.query().filter(|query| !query.is_empty()).map(ToOwned::to_owned);
    query.as_deref().map_or(Ok(()), check_query)?;
    Ok((which, query))
}

/// Returns how links of a host store their domain and this code.
async fn stored_as(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    host: &str,
    short_code: String,
) -> Result<(String, String)> {
    if host.is_empty() {
        return Ok((domains::OWN.to_owned(), short_code));
    }
    let name = host.split(':').next().unwrap_or_default();
    let host = domains::parse_host(name).map_err(|_| unknown())?;
    let homes = domains::homes(db, tenant, [host.as_str()]).await?;
    let home = homes.named(&host).ok_or_else(unknown)?;
    Ok((home.namespace.clone(), Alphabet::of(Some(home)).kept(short_code)))
}

/// Answers a question.
pub async fn dry_run(
    env: &Env,
    tenant: &Tenant,
    question: Question,
    decide: Decide,
) -> Result<v1::Resolution> {
    let (db, now) = (&env.db.api, env.now());
    let Question { which, edit, mut visitor, time } = question;
    let stored = match which {
        Which::Id(id) => store::find(db, tenant, id).await?.map(|counted| counted.link),
        Which::Code { domain, short_code } => {
            let (namespace, short_code) = stored_as(db, tenant, &domain, short_code).await?;
            store::find_by_code(db, tenant, &namespace, &short_code).await?
        }
    };
    let stored = stored.ok_or_else(unknown)?;
    let link = match edit {
        None => stored,
        Some(mut edit) => {
            if edit.id != NO_ID && edit.id != stored.id {
                return Err(Error::invalid_field("edit.id", "is another link than the one asked about"));
            }
            etag::require(&edit.etag, &stored)?;
            // That there is one is all that matters.
            edit.content.password_hash = (!edit.content.password.is_empty()).then(String::new);
            let related = Related::of_changes(db, tenant.id, &[&edit], &[&stored]).await?;
            edit.apply(&stored, now, &related)?
        }
    };
    let house = target::find_house(db, tenant.id).await?.share();
    if visitor.used_up.is_none() {
        let limit = if time.is_none() { link.max_clicks } else { 0 };
        let used_up = limit > 0 && budget::recorded(db, tenant.id, link.id).await? >= limit;
        visitor.used_up = Some(used_up);
    }
    let template = match link.template_id {
        Some(id) => templates::store::find(db, tenant.id, id).await?,
        None => None,
    };
    let target = Target::of(&link, house, template.as_ref());
    Ok(decide(&env.geo, &target, &visitor, time.unwrap_or(now), Detail::Reasons))
}
