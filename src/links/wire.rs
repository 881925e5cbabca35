//! Between the messages of the contract and the types of this room.

use std::collections::HashMap;

use prost::Message;
use ring::hmac;
use secrecy::ExposeSecret as _;

use super::{
    CodeStyle, CountedLink, Creation, Decide, Door, Existing, LinkOrder, LinkQuery, NoDomain, Place, Run,
    Shown, app_fields,
    batch::Results,
    code, etag, extras,
    fields::{NONE, NOT_A_UUID, check_tag, duration, has_address, moment, timestamp},
    list::{Archived, Kin},
    revisions, routing, routing_tests, templates,
};
pub use crate::error::both;
use crate::{
    clock::Moment,
    config::Config,
    destination_url::Own,
    domains,
    entity::{link::Model, link_revision},
    env::Env,
    error::{Error, Result, Violations},
    idempotency::Request,
    ids::{LinkId, UtmPresetId},
    pb::v1,
    rpc,
    workspaces::Tenant,
};

const MAX_BATCH: usize = 1000;
const MAX_FILTER_TAGS: usize = 10;
const MAX_SEARCH: usize = 200;

/// Returns what reads links whose fields have paths beginning with `path`.
/// `hosts` are those of the workspace that answer; `decide` runs their routing tests; `None`: nobody does.
pub(super) fn door<'a>(
    env: &'a Env,
    hosts: &'a [String],
    path: &'static str,
    decide: Option<Decide>,
) -> Door<'a> {
    Door { own: Own { url: &env.config.links_url, hosts }, path, default_leads: false, decide }
}

/// Reads `validate_only`.
pub(super) fn run(validate_only: bool) -> Run {
    if validate_only { Run::CheckOnly } else { Run::Store }
}

/// Reads the request id of a call whose request, without it, is `content`. A call that stores nothing claims none. What is
/// kept to recognise the content is keyed: there may be passwords in it.
pub fn once(
    env: &Env,
    tenant: &Tenant,
    method: &str,
    request_id: &str,
    content: &impl Message,
    run: Run,
) -> Result<Option<Request>> {
    let secret = env.secrets.session.expose_secret().as_bytes();
    let purpose = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"linkforty request v1");
    let key = hmac::Key::new(hmac::HMAC_SHA256, purpose.as_ref());
    let content = hmac::sign(&key, &content.encode_to_vec());
    let request = Request::parse(request_id, tenant.id, tenant.principal, method, content.as_ref())?;
    Ok(request.filter(|_| run == Run::Store))
}

/// Reads the id of a link.
pub(super) fn link_id(id: &str) -> Result<LinkId> {
    LinkId::parse(id).ok_or_else(|| Error::invalid_field("link_id", NOT_A_UUID))
}

/// Reads the code asked for as an alias; `None`: any.
pub(super) fn alias(alias: &str) -> Result<Option<String>> {
    if alias.is_empty() {
        return Ok(None);
    }
    let checked = code::check(alias).map(|()| Some(alias.to_owned()));
    checked.map_err(|description| Error::invalid_field("alias", description))
}

/// Reads how a link is created.
pub(super) fn creation(request: &v1::CreateLinkRequest) -> Result<Creation> {
    let mut wrong = Violations::default();
    let style = match request.code_style() {
        _ if v1::CodeStyle::try_from(request.code_style).is_err() => {
            wrong.add("code_style", "is no style this server knows");
            CodeStyle::Short
        }
        v1::CodeStyle::Unspecified | v1::CodeStyle::Short => CodeStyle::Short,
        v1::CodeStyle::Unguessable => CodeStyle::Unguessable,
    };
    let existing = if request.reuse_existing {
        let by = request.link.as_ref();
        if by.is_none_or(|link| link.external_id.is_empty() && link.external_user_id.is_empty()) {
            wrong.add("reuse_existing", "needs link.external_id or link.external_user_id");
        }
        if request.fetch_preview && by.is_none_or(|link| link.external_id.is_empty()) {
            wrong.add("fetch_preview", "needs link.external_id together with reuse_existing");
        }
        Existing::Reuse
    } else {
        Existing::Refuse
    };
    let preset = Some(&request.utm_preset_id).filter(|id| !id.is_empty());
    let preset = preset.and_then(|id| wrong.take("utm_preset_id", UtmPresetId::parse(id).ok_or(NOT_A_UUID)));
    wrong.into_result(Creation { style, existing, preset })
}

/// Says whether the default template of the workspace leads somewhere. Asked only when it matters: for links without an
/// address that name no template.
pub(super) async fn default_leads(env: &Env, tenant: &Tenant, links: &[v1::Link]) -> Result<bool> {
    let needs = |link: &v1::Link| link.template_id.is_empty() && !has_address(link);
    if links.iter().any(needs) { templates::default_leads(env, tenant).await } else { Ok(false) }
}

/// Writes a revision.
pub(super) fn revision(revision: link_revision::Model) -> v1::LinkRevision {
    let link = revisions::link_of(&revision);
    let actor = revision.actor.map(|actor| actor.to_string());
    v1::LinkRevision {
        revision: revision.version,
        change_time: Some(time(revision.change_time)),
        actor: match revision.actor_kind {
            1 => actor.map(v1::link_revision::Actor::UserId),
            2 => actor.map(v1::link_revision::Actor::ApiKeyId),
            _ => None,
        },
        changed_fields: serde_json::from_value(revision.fields).unwrap_or_default(),
        link: Some(v1::Link { id: revision.link_id.to_string(), ..link }),
    }
}

/// Makes sure that a batch is neither empty nor too large and names each link once. `ids` are those of its items as they
/// were sent, and `path` says where in an item the id stands.
pub(super) fn check_batch<'a>(field: &str, path: &str, ids: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut wrong = Violations::default();
    let mut first = HashMap::new();
    let mut count = 0;
    for (place, id) in ids.enumerate() {
        count += 1;
        if let Some(id) = LinkId::parse(id)
            && let Some(earlier) = first.insert(id, place)
        {
            wrong.add(format!("{field}[{place}]{path}"), format!("is the link of {field}[{earlier}] again"));
        }
    }
    if count == 0 || count > MAX_BATCH {
        wrong = Violations::default();
        wrong.add(field, "must hold 1 to 1,000 items");
    }
    wrong.into_result(())
}

/// Reads what a list is asked for.
pub(super) fn query(request: v1::ListLinksRequest) -> Result<LinkQuery> {
    let mut wrong = Violations::default();
    let order = match request.order() {
        _ if v1::LinkOrder::try_from(request.order).is_err() => {
            wrong.add("order", "is no order this server knows");
            LinkOrder::default()
        }
        v1::LinkOrder::Unspecified | v1::LinkOrder::CreateTimeDesc => LinkOrder::Newest,
        v1::LinkOrder::CreateTimeAsc => LinkOrder::Oldest,
        v1::LinkOrder::ClickCountDesc => LinkOrder::MostClicked,
        v1::LinkOrder::TitleAsc => LinkOrder::Title,
    };
    let filter = request.filter.unwrap_or_default();
    let mut time = |field: &str, given: Option<prost_types::Timestamp>| {
        wrong.take(field, given.map(|given| moment(&given)).transpose()).flatten()
    };
    let created_after = time("filter.created_after", filter.created_after);
    let created_before = time("filter.created_before", filter.created_before);
    if filter.tags.len() > MAX_FILTER_TAGS {
        wrong.add("filter.tags", "must be at most 10");
    }
    let mut tags = Vec::new();
    for (place, tag) in filter.tags.iter().enumerate() {
        tags.extend(wrong.take(&format!("filter.tags[{place}]"), check_tag(tag)).map(str::to_owned));
    }
    if request.search.chars().nth(MAX_SEARCH).is_some() {
        wrong.add("search", "must have at most 200 characters");
    }
    if request.search.chars().any(char::is_control) {
        wrong.add("search", "must not contain control characters");
    }
    let mut related = |field: &str, given: &str| match given {
        "" => Kin::Any,
        NONE => Kin::None,
        id => {
            let id = crate::ids::parse(id).ok_or("must be a UUID of 36 characters, or none");
            wrong.take(field, id).map_or(Kin::Any, Kin::This)
        }
    };
    let project = related("filter.project_id", &filter.project_id);
    let template = related("filter.template_id", &filter.template_id);
    let archived = match filter.archived() {
        _ if v1::ArchivedLinks::try_from(filter.archived).is_err() => {
            wrong.add("filter.archived", "is nothing this server knows");
            Archived::Hidden
        }
        v1::ArchivedLinks::Unspecified | v1::ArchivedLinks::Hidden => Archived::Hidden,
        v1::ArchivedLinks::Only => Archived::Only,
        v1::ArchivedLinks::Included => Archived::Included,
    };
    let query = LinkQuery {
        active: filter.active,
        project,
        template,
        domain: None,
        rare_tag: None,
        archived,
        external_id: filter.external_id,
        external_user_id: filter.external_user_id,
        source: filter.source,
        created_after,
        created_before,
        tags,
        search: request.search,
        order,
        reach: None,
    };
    wrong.into_result(query)
}

/// Returns everything about a list but its page: a page token is good for this and nothing else.
pub(super) fn question(tenant: &Tenant, request: &v1::ListLinksRequest) -> Vec<u8> {
    let rest = v1::ListLinksRequest {
        workspace_id: tenant.id.to_string(),
        page_size: 0,
        page_token: String::new(),
        ..request.clone()
    };
    let mut question = b"ListLinks\0".to_vec();
    question.extend(rest.encode_to_vec());
    question
}

/// Reads a host that links can live on.
pub(super) fn place(env: &Env, host: &str) -> Result<Place, &'static str> {
    Place::read(host, &env.config.links_url)
}

/// Returns the namespace of the domain that a list is about; `None`: of any.
pub(super) async fn filter_domain(
    env: &Env,
    tenant: &Tenant,
    filter: Option<&v1::LinkFilter>,
) -> Result<Option<String>> {
    let path = "filter.domain";
    let host = filter.map(|filter| filter.domain.as_str()).unwrap_or_default();
    match place(env, host).map_err(|wrong| Error::invalid_field(path, wrong))? {
        Place::Anywhere => Ok(None),
        Place::Own => Ok(Some(domains::OWN.to_owned())),
        Place::Host(host) => {
            let homes = domains::homes(&env.db.api, tenant, [host.as_str()]).await?;
            let home = homes.named(&host).ok_or_else(|| NoDomain.at(path))?;
            Ok(Some(home.namespace.clone()))
        }
    }
}

/// Reads what an export is asked for, but for its page.
pub(super) fn export_query(request: &v1::ExportLinksRequest) -> Result<(v1::ExportFormat, LinkQuery)> {
    let format = match request.format() {
        v1::ExportFormat::Unspecified => {
            Err(Error::invalid_field("format", "is required, and must be one this server knows"))
        }
        format => Ok(format),
    };
    let list = v1::ListLinksRequest {
        filter: request.filter.clone(),
        search: request.search.clone(),
        ..v1::ListLinksRequest::default()
    };
    both(format, query(list))
}

/// Returns everything about an export but where it goes on: a page token is good for this and nothing else.
pub(super) fn export_question(tenant: &Tenant, request: &v1::ExportLinksRequest) -> Vec<u8> {
    let rest = v1::ExportLinksRequest {
        workspace_id: tenant.id.to_string(),
        page_token: String::new(),
        ..request.clone()
    };
    let mut question = b"ExportLinks\0".to_vec();
    question.extend(rest.encode_to_vec());
    question
}

/// Writes what a call shows of a link.
pub(super) fn shown(config: &Config, shown: Shown) -> v1::Link {
    match shown {
        Shown::Link(counted) => link(config, counted),
        Shown::Draft(draft) => {
            let short_url = if draft.short_code.is_empty() {
                String::new()
            } else {
                short_url(config, &draft.domain, &draft.short_code)
            };
            v1::Link { short_url, ..content(config, draft) }
        }
        Shown::Id(id) => v1::Link { id: id.to_string(), ..v1::Link::default() },
    }
}

/// Writes a stored link.
pub(super) fn link(config: &Config, CountedLink { link, clicks }: CountedLink) -> v1::Link {
    v1::Link {
        id: link.id.to_string(),
        short_url: short_url(config, &link.domain, &link.short_code),
        click_count: clicks,
        create_time: Some(time(link.create_time)),
        update_time: Some(time(link.update_time)),
        etag: etag::of(&link),
        ..content(config, link)
    }
}

/// Writes what somebody decided about a link.
pub(super) fn content(config: &Config, link: Model) -> v1::Link {
    v1::Link {
        workspace_id: link.workspace_id.to_string(),
        domain: domains::host_of(&link.domain).map_or_else(|| config.links_host(), str::to_owned),
        short_code: link.short_code,
        destination_url: link.destination_url,
        title: link.title,
        description: link.description,
        ios_url: link.ios_url,
        android_url: link.android_url,
        web_url: link.web_url,
        app_scheme: link.app_scheme,
        ios_universal_link: link.ios_universal_link,
        android_app_link: link.android_app_link,
        deep_link_path: link.deep_link_path,
        deep_link_parameters: app_fields::from_json(link.deep_link_parameters),
        utm: app_fields::utm(&app_fields::from_json(link.utm)),
        append_click_id: link.append_click_id,
        forward_query: Some(link.forward_query),
        routing_rules: routing::from_bytes(link.routing_rules.as_deref()),
        active: Some(link.active),
        start_time: link.start_time.map(time),
        expire_time: link.expire_time.map(time),
        max_clicks: link.max_clicks,
        tags: serde_json::from_value(link.tags).unwrap_or_default(),
        targeting: extras::from_bytes(link.targeting.as_deref()),
        og: extras::from_bytes(link.og.as_deref()),
        warn_time: link.warn_time.map(time),
        disable_time: link.disable_time.map(time),
        disable_reason: link.disable_reason,
        has_password: link.password_hash.is_some(),
        launchpad_mode: match i32::from(link.launchpad_mode) {
            0 => v1::LaunchpadMode::Inherit.into(),
            mode => mode,
        },
        project_id: link.project_id.map(|id| id.to_string()).unwrap_or_default(),
        template_id: link.template_id.map(|id| id.to_string()).unwrap_or_default(),
        attribution_window: duration(link.attribution_window),
        event_attribution_window: duration(link.event_attribution_window),
        external_id: link.external_id.unwrap_or_default(),
        external_user_id: link.external_user_id,
        archived: link.archived,
        aliases: serde_json::from_value(link.aliases).unwrap_or_default(),
        redirect_status: match i32::from(link.redirect_status) {
            0 => v1::RedirectStatus::Inherit.into(),
            status => status,
        },
        cache_duration: duration(link.cache_seconds),
        source: link.source,
        routing_tests: routing_tests::from_bytes(link.routing_tests.as_deref()),
        ..v1::Link::default()
    }
}

fn time(moment: Moment) -> prost_types::Timestamp {
    timestamp(moment)
}

fn short_url(config: &Config, namespace: &str, short_code: &str) -> String {
    config.short_url(domains::host_of(namespace), short_code)
}

/// Writes the results of a batch, and how many were good and bad.
pub(super) fn results(config: &Config, results: Results) -> (Vec<v1::BatchLinkResult>, i32, i32) {
    let failed = results.iter().filter(|result| result.is_err()).count();
    let succeeded = results.len() - failed;
    let results = results
        .into_iter()
        .map(|result| v1::BatchLinkResult {
            result: Some(match result {
                Ok(link) => v1::batch_link_result::Result::Link(shown(config, link)),
                Err(error) => v1::batch_link_result::Result::Error(rpc::item_error(&error)),
            }),
        })
        .collect();
    (results, succeeded as i32, failed as i32)
}
