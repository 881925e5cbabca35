//! What is told of each thing that happens, as JSON: `data` of a body. Pure. `docs/webhooks/` has a schema and an example of each.
//!
//! - `mod.rs`        clicks, installs and events, from the feed and what is stored of them
//! - [`legacy`]      the same as LinkForty's receivers know it
//!
//! Links, domains and keys are told as the contract shows them; their rooms write them down in the transaction that makes it so.
//! Fields are added and never taken away or given another meaning; what is not known is left out.

pub mod legacy;

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Endpoint, endpoint::DisableReason};
use crate::{
    analytics::dims::Agent,
    clicks::{class::Class, query},
    clock::{Moment, text},
    feed,
    ids::{ClickId, LinkId, WebhookEndpointId, WorkspaceId, time_of},
    pb::{
        sdk::v1::{AttributionState, MatchMethod, NoMatchReason, Platform},
        v1::ClickClass,
    },
};

/// A click, or an open.
#[derive(Debug, Clone, Serialize)]
pub struct Click<'a> {
    id: ClickId,
    workspace_id: WorkspaceId,
    link_id: LinkId,
    #[serde(skip_serializing_if = "str::is_empty")]
    domain: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    project_id: &'a str,
    time: String,
    /// `web`, `ios`, `android`.
    platform: &'static str,
    /// `human`, `bot`, `preview`, `prefetch`, `monitor`.
    class: &'static str,
    is_bot: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    device_type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    os: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    browser: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user_agent: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    referrer_host: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    language: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    country: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    region: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    city: &'a str,
    #[serde(skip_serializing_if = "Utm::is_empty")]
    utm: Utm<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    query: &'a str,
}

/// A campaign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Utm<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    source: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    medium: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    campaign: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    term: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    content: &'a str,
}

impl<'a> Utm<'a> {
    /// Reads a campaign as the feed has it.
    fn of(campaign: &'a str) -> Self {
        let [source, medium, campaign, term, content] = query::utm(campaign);
        Self { source, medium, campaign, term, content }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<'a> Click<'a> {
    /// Returns what is told of a click; `agent` is what its user agent says.
    pub fn of(workspace: WorkspaceId, click: &'a feed::Click, agent: &'a Agent) -> Self {
        let class = Class::told(click.class);
        Self {
            id: click.id,
            workspace_id: workspace,
            link_id: click.link,
            domain: &click.domain,
            project_id: &click.project,
            time: text(time_of(click.id.0)),
            platform: match click.platform {
                1 => "ios",
                2 => "android",
                _ => "web",
            },
            class: class_name(class),
            is_bot: class != ClickClass::Human,
            device_type: &agent.device,
            os: &agent.system,
            browser: &agent.browser,
            user_agent: &click.user_agent,
            referrer_host: &click.referrer_host,
            language: &click.language,
            country: &click.country,
            region: &click.region,
            city: &click.city,
            utm: Utm::of(&click.campaign),
            query: &click.query,
        }
    }
}

const fn class_name(class: ClickClass) -> &'static str {
    match class {
        ClickClass::Human => "human",
        ClickClass::Preview => "preview",
        ClickClass::Prefetch => "prefetch",
        ClickClass::Monitor => "monitor",
        ClickClass::Bot | ClickClass::Unspecified => "bot",
    }
}

/// What is stored of an install beside what the feed says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredInstall {
    /// How alike click and install are, 0 to 100.
    pub score: i16,
    /// `linkforty.sdk.v1.NoMatchReason`.
    pub no_match: i16,
    /// When the click was.
    pub click_time: Option<Moment>,
    /// The link that it is credited to now.
    pub link: Option<LinkId>,
    /// What the app was told.
    pub deep_link: Option<crate::pb::sdk::v1::DeepLink>,
}

/// Returns what is told of an install; `click_query` is the query of its click.
pub fn install(
    workspace: WorkspaceId,
    install: &feed::Install,
    stored: Option<&StoredInstall>,
    click_query: Option<&str>,
) -> Value {
    let feed::Install { id, app, time, platform, test, now, before } = install;
    let is_attributed = now.state == AttributionState::Attributed as i16;
    let confidence = stored.filter(|_| is_attributed).map(|stored| stored.score);
    let no_match =
        stored.filter(|_| !is_attributed).map_or("".into(), |stored| no_match_name(stored.no_match));
    let previous = before.as_ref().map(|before| {
        tidy(json!({
            "state": state_name(before.state),
            "method": method_name(before.method),
            "link_id": before.link,
            "click_id": before.click,
        }))
    });
    let deep_link = stored.and_then(|stored| stored.deep_link.as_ref()).map(|link| {
        tidy(json!({
            "path": link.path,
            "parameters": Value::Object(link.parameters.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()),
        }))
    });
    tidy(json!({ "install": tidy(json!({
        "id": id,
        "workspace_id": workspace,
        "app_id": app,
        "time": text(*time),
        "platform": platform_name(*platform),
        "test": test,
        "state": state_name(now.state),
        "method": method_name(now.method),
        "confidence": confidence,
        "no_match_reason": no_match,
        "link_id": now.link,
        "click_id": now.click,
        "click_time": stored.and_then(|stored| stored.click_time).map(text),
        "click_query": click_query,
        "domain": now.domain,
        "project_id": now.project,
        "utm": Utm::of(&now.campaign),
        "deep_link": deep_link,
        "previous": previous,
    })) }))
}

/// What is stored of an event beside what the feed says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredEvent {
    /// The id that the app gave it.
    pub event_key: String,
    /// When this server heard of it.
    pub receive_time: Moment,
    /// The session as the app counts them.
    pub session: Option<String>,
    /// The purchase.
    pub transaction_id: Option<String>,
    /// A JSON object.
    pub properties: Option<String>,
}

/// Returns what is told of an event; `install_link` is the link that its install is credited to, `click_query` the query of its click.
pub fn event(
    workspace: WorkspaceId,
    event: &feed::Event,
    stored: Option<&StoredEvent>,
    install_link: Option<LinkId>,
    click_query: Option<&str>,
) -> Value {
    let feed::Event {
        id,
        install,
        app,
        name,
        time,
        revenue,
        reporting,
        duplicate_revenue,
        link,
        click,
        link_open_time,
        domain,
        project,
        priced_later: _,
    } = event;
    let money = |money: &feed::Money| json!({ "currency": money.currency, "units": money.units, "nanos": money.nanos });
    let properties = stored.and_then(|stored| stored.properties.as_deref());
    let properties: Option<Value> = properties.and_then(|text| serde_json::from_str(text).ok());
    tidy(json!({ "event": tidy(json!({
        "id": id,
        "workspace_id": workspace,
        "install_id": install,
        "app_id": app,
        "event_key": stored.map(|stored| &stored.event_key),
        "name": name,
        "time": text(*time),
        "receive_time": stored.map(|stored| text(stored.receive_time)),
        "session_id": stored.and_then(|stored| stored.session.as_deref()),
        "properties": properties,
        "revenue": revenue.as_ref().map(money),
        "reporting_revenue": reporting.as_ref().map(money),
        "duplicate_revenue": duplicate_revenue,
        "transaction_id": stored.and_then(|stored| stored.transaction_id.as_deref()),
        "link_id": link,
        "click_id": click,
        "click_query": click_query,
        "link_open_time": link_open_time.map(text),
        "domain": domain,
        "project_id": project,
        "install_link_id": install_link,
    })) }))
}

/// Returns what is told of an endpoint that is told nothing any more.
pub fn disabled(endpoint: &Endpoint, reason: DisableReason) -> Vec<u8> {
    let reason = match reason {
        DisableReason::Gone => "gone",
        DisableReason::Failing => "failing",
    };
    let data = tidy(json!({
        "id": endpoint.id,
        "workspace_id": endpoint.workspace,
        "name": endpoint.name,
        "url": endpoint.url,
        "reason": reason,
        "failing_since": endpoint.failing_since.map(text),
    }));
    json!({ "webhook_endpoint": data }).to_string().into_bytes()
}

/// Returns what is told where somebody wants to see what comes.
pub fn test(workspace: WorkspaceId, endpoint: WebhookEndpointId) -> Vec<u8> {
    let data = json!({ "workspace_id": workspace, "webhook_endpoint_id": endpoint });
    json!({ "test": data }).to_string().into_bytes()
}

/// Returns an object without what is not known: null, empty texts and empty objects.
fn tidy(value: Value) -> Value {
    let Value::Object(mut fields) = value else { return value };
    fields.retain(|_, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    });
    Value::Object(fields)
}

fn platform_name(platform: i16) -> Cow<'static, str> {
    let platform = Platform::try_from(i32::from(platform)).unwrap_or_default();
    word(platform == Platform::Unspecified, platform.as_str_name(), "PLATFORM_")
}

fn state_name(state: i16) -> Cow<'static, str> {
    let state = AttributionState::try_from(i32::from(state)).unwrap_or_default();
    word(state == AttributionState::Unspecified, state.as_str_name(), "ATTRIBUTION_STATE_")
}

fn method_name(method: i16) -> Cow<'static, str> {
    let method = MatchMethod::try_from(i32::from(method)).unwrap_or_default();
    word(method == MatchMethod::Unspecified, method.as_str_name(), "MATCH_METHOD_")
}

fn no_match_name(reason: i16) -> Cow<'static, str> {
    let reason = NoMatchReason::try_from(i32::from(reason)).unwrap_or_default();
    word(reason == NoMatchReason::Unspecified, reason.as_str_name(), "NO_MATCH_REASON_")
}

/// Returns the contract's name of a value without what they all begin with, in lower case.
fn word(unknown: bool, name: &'static str, beginning: &str) -> Cow<'static, str> {
    if unknown { "".into() } else { name.strip_prefix(beginning).unwrap_or(name).to_ascii_lowercase().into() }
}
