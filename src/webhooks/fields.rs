//! What clients may send of an endpoint. Pure, but for [`expect`], which looks whether what a filter names is there.
//!
//! A change is held against the whole endpoint as it would be, so that what does not go together is found whoever brings it in. What a change leaves alone is not judged
//! again: an endpoint can be paused also where its URL would not be taken any more.

use std::collections::HashSet;

use super::{
    EventType, Filter, Settings, Source,
    endpoint::{ClickMode, EVERY_CLICK, Endpoint, Format, Postback, PostbackMethod, Sealed, Signing, State},
    macros::Template,
    wire,
};
use crate::{
    apps, domains,
    env::Env,
    error::{Error, Result, Violations},
    geo::Country,
    ids::{AppId, LinkId, ProjectId, WebhookEndpointId},
    links::{self, NOT_A_UUID},
    outbound::{HeaderFault, Outbound, TenantHeaders},
    pb::v1::{self, ClickClass},
    workspaces::Tenant,
};

/// What can be changed.
pub const FIELDS: [&str; 10] = [
    "name",
    "url",
    "event_types",
    "filter",
    "headers",
    "format",
    "click_mode",
    "click_sample",
    "postback",
    "state",
];
/// What clients may send back as they got it.
pub const OUTPUT_ONLY: [&str; 9] = [
    "id",
    "workspace_id",
    "signing",
    "disable_reason",
    "failing_time",
    "secrets",
    "create_time",
    "update_time",
    "etag",
];

const MAX_NAME: usize = 255;
const MAX_LISTED: usize = 100;
const MAX_EVENT_NAME: usize = 255;
const MAX_HEADERS: usize = 20;
const MAX_HEADER_VALUE: usize = 4096;
const MAX_HEADERS_BYTES: usize = 8 * 1024;
const MAX_BODY: usize = 8192;
/// Headers that are ours where a webhook is sent, besides those of every call.
const OURS: [&str; 1] = ["content-type"];
const OUR_BEGINNINGS: [&str; 2] = ["webhook-", "x-linkforty-"];
const FORM: &str = "application/x-www-form-urlencoded";
const CONTENT_TYPES: [&str; 3] = [FORM, "application/json", "text/plain"];

const NOT_KNOWN: &str = "must be one this server knows";

/// What somebody decides about an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// What people call it.
    pub name: String,
    /// Where.
    pub url: String,
    /// What it is told and how.
    pub settings: Settings,
    /// Headers, by their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Whether it is called; `None`: as it is.
    pub state: Option<State>,
}

/// Says which fields are set, for a change that does not name any.
pub fn is_set(asked: &v1::WebhookEndpoint, name: &str) -> bool {
    match name {
        "name" => !asked.name.is_empty(),
        "url" => !asked.url.is_empty(),
        "event_types" => !asked.event_types.is_empty(),
        "filter" => asked.filter.is_some(),
        "headers" => !asked.headers.is_empty(),
        "format" => asked.format != 0,
        "click_mode" => asked.click_mode != 0,
        "click_sample" => asked.click_sample != 0,
        "postback" => asked.postback.is_some(),
        _ => asked.state != 0,
    }
}

/// Reads what a new endpoint is to be.
pub fn new(outbound: &Outbound, asked: &v1::WebhookEndpoint) -> Result<Decided> {
    Reading { outbound, fields: &FIELDS, stored: None, wrong: Violations::default() }.read(asked.clone())
}

/// Reads what an endpoint is to be: `fields` of it as asked, the rest as it is.
pub fn change(
    outbound: &Outbound,
    asked: &v1::WebhookEndpoint,
    fields: &[&str],
    (endpoint, sealed): (&Endpoint, &Sealed),
) -> Result<Decided> {
    let mut whole = wire::content(endpoint, sealed);
    let given = asked.clone();
    for field in fields {
        match *field {
            "name" => whole.name.clone_from(&given.name),
            "url" => whole.url.clone_from(&given.url),
            "event_types" => whole.event_types.clone_from(&given.event_types),
            "filter" => whole.filter.clone_from(&given.filter),
            "headers" => whole.headers.clone_from(&given.headers),
            "format" => whole.format = given.format,
            "click_mode" => whole.click_mode = given.click_mode,
            "click_sample" => whole.click_sample = given.click_sample,
            "postback" => whole.postback.clone_from(&given.postback),
            _ => whole.state = given.state,
        }
    }
    // Another format has another way with clicks, unless somebody says so.
    if fields.contains(&"format") && !fields.contains(&"click_mode") {
        whole.click_mode = 0;
    }
    if !fields.contains(&"state") {
        whole.state = 0;
    }
    let stored = Some((endpoint, sealed));
    Reading { outbound, fields, stored, wrong: Violations::default() }.read(whole)
}

/// Fails for what a filter names and the workspace does not have, and takes the host as the feed has it.
pub async fn expect(env: &Env, tenant: &Tenant, filter: &mut Filter) -> Result<()> {
    let ids: HashSet<LinkId> = filter.links.iter().copied().collect();
    if !ids.is_empty() {
        links::expect_all(env, tenant, &ids).await?;
    }
    if let Some(project) = filter.project {
        links::expect_project(env, tenant, project).await?;
    }
    for app in &filter.apps {
        apps::expect(env, tenant, *app).await?;
    }
    if !filter.domain.is_empty() {
        filter.domain = domains::expect_host(env, tenant, &filter.domain).await?;
    }
    Ok(())
}

struct Reading<'a> {
    outbound: &'a Outbound,
    fields: &'a [&'a str],
    stored: Option<(&'a Endpoint, &'a Sealed)>,
    wrong: Violations,
}

impl Reading<'_> {
    fn read(mut self, asked: v1::WebhookEndpoint) -> Result<Decided> {
        let name = self.name(&asked.name);
        let format = self.format(asked.format);
        let event_types = self.event_types(&asked.event_types, format);
        let url = self.url(&asked.url, format);
        let filter = self.filter(asked.filter.as_ref());
        let headers = self.headers(&asked.headers);
        let clicks = self.clicks(asked.click_mode, format);
        let click_sample = self.click_sample(asked.click_sample);
        let signing = self.signing(asked.signing, format);
        let postback = self.postback(asked.postback.as_ref(), format);
        let state = self.state(asked.state);
        let settings = Settings { event_types, filter, format, clicks, click_sample, signing, postback };
        self.wrong.into_result(Decided { name, url, settings, headers, state })
    }

    fn add(&mut self, field: &str, description: impl Into<String>) {
        self.wrong.add(format!("webhook_endpoint.{field}"), description);
    }

    fn touches(&self, field: &str) -> bool {
        self.fields.contains(&field)
    }

    fn name(&mut self, name: &str) -> String {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            self.add("name", "must have 1 to 255 characters, none of them a control character");
        }
        name.to_owned()
    }

    fn format(&mut self, number: i32) -> Format {
        let format = match v1::WebhookFormat::try_from(number) {
            Ok(v1::WebhookFormat::Unspecified | v1::WebhookFormat::Standard) => Format::Standard,
            Ok(v1::WebhookFormat::Linkforty) => Format::LinkForty,
            Ok(v1::WebhookFormat::Postback) => Format::Postback,
            Err(_) => {
                self.add("format", NOT_KNOWN);
                return Format::Standard;
            }
        };
        let is_postback = |format: Format| format == Format::Postback;
        if let Some((stored, _)) = self.stored
            && is_postback(stored.settings.format) != is_postback(format)
        {
            self.add("format", "must not become POSTBACK, and must not cease to be: create another endpoint");
        }
        format
    }

    fn event_types(&mut self, numbers: &[i32], format: Format) -> Vec<EventType> {
        let mut read = Vec::new();
        if numbers.is_empty() {
            self.add("event_types", "must name at least one");
        }
        for (place, number) in numbers.iter().enumerate() {
            let field = format!("event_types[{place}]");
            let known = i16::try_from(*number).ok().and_then(EventType::of_number);
            match known.filter(|known| *known != EventType::TestSent) {
                None => self.add(&field, "is no event that can be subscribed to"),
                Some(known) if format == Format::Postback && !is_of_postbacks(known) => {
                    self.add(&field, "is no event that postbacks tell of");
                }
                Some(known) if read.contains(&known) => {}
                Some(known) => read.push(known),
            }
        }
        read
    }

    fn url(&mut self, url: &str, format: Format) -> String {
        if !self.touches("url") {
            return url.to_owned();
        }
        if format == Format::Postback {
            return self.postback_url(url);
        }
        match self.outbound.url(url) {
            Ok(url) => url.as_str().to_owned(),
            Err(refused) => {
                self.add("url", refused.to_string());
                String::new()
            }
        }
    }

    /// Checks a URL with macros, as it is with something harmless in the place of each.
    fn postback_url(&mut self, url: &str) -> String {
        let checked = Template::parse_url(url).map_err(|refused| refused.to_string());
        let checked = checked.and_then(|template| {
            self.outbound.url(&template.sample()).map_err(|refused| refused.to_string())
        });
        if let Err(refused) = checked {
            self.add("url", refused);
        }
        url.to_owned()
    }

    fn filter(&mut self, filter: Option<&v1::WebhookFilter>) -> Filter {
        let nothing = v1::WebhookFilter::default();
        let v1::WebhookFilter { link_ids, project_id, domain, app_ids, classes, countries, event_names } =
            filter.unwrap_or(&nothing);
        for (field, many) in [
            ("link_ids", link_ids.len()),
            ("app_ids", app_ids.len()),
            ("classes", classes.len()),
            ("countries", countries.len()),
            ("event_names", event_names.len()),
        ] {
            if many > MAX_LISTED {
                self.add(&format!("filter.{field}"), "must be at most 100");
            }
        }
        let is_name = |name: &String| {
            let fits = !name.is_empty() && name.chars().count() <= MAX_EVENT_NAME;
            fits.then(|| name.clone()).ok_or("must have 1 to 255 characters")
        };
        let class = |number: &i32| {
            let class = ClickClass::try_from(*number).ok();
            class.filter(|class| *class != ClickClass::Unspecified).ok_or(NOT_KNOWN)
        };
        let country = |text: &String| Country::parse(text).ok_or("must be two letters (ISO 3166-1)");
        Filter {
            links: self.each("link_ids", link_ids, |id| LinkId::parse(id).ok_or(NOT_A_UUID)),
            project: match &**project_id {
                "" => None,
                id => self
                    .wrong
                    .take("webhook_endpoint.filter.project_id", ProjectId::parse(id).ok_or(NOT_A_UUID)),
            },
            domain: domain.clone(),
            apps: self.each("app_ids", app_ids, |id| AppId::parse(id).ok_or(NOT_A_UUID)),
            classes: self.each("classes", classes, class),
            countries: self.each("countries", countries, country),
            event_names: self.each("event_names", event_names, is_name),
        }
    }

    /// Reads what a filter lists, each once.
    fn each<T, U: PartialEq>(
        &mut self,
        field: &str,
        listed: &[T],
        read: impl Fn(&T) -> Result<U, &'static str>,
    ) -> Vec<U> {
        let mut all = Vec::new();
        for (place, one) in listed.iter().take(MAX_LISTED).enumerate() {
            let path = format!("webhook_endpoint.filter.{field}[{place}]");
            if let Some(one) = self.wrong.take(&path, read(one))
                && !all.contains(&one)
            {
                all.push(one);
            }
        }
        all
    }

    fn headers(&mut self, given: &[v1::WebhookHeader]) -> Vec<(String, String)> {
        if !self.touches("headers") {
            return self.stored.map(|(_, sealed)| sealed.headers.clone()).unwrap_or_default();
        }
        if given.len() > MAX_HEADERS {
            self.add("headers", "must be at most 20");
            return Vec::new();
        }
        let mut headers: Vec<(String, String)> = Vec::new();
        for (place, header) in given.iter().enumerate() {
            let name = header.name.to_ascii_lowercase();
            let kept = self.stored.and_then(|(_, sealed)| value_of(&sealed.headers, &name));
            let value = if header.value.is_empty() { kept.unwrap_or_default() } else { &*header.value };
            let path = |field: &str| format!("headers[{place}].{field}");
            // The whole is looked at below; here, which one it is.
            if let Err(refused) = TenantHeaders::parse([(&*header.name, value)]) {
                let field = if refused.why == HeaderFault::Value { "value" } else { "name" };
                self.add(&path(field), refused.to_string());
            } else if is_ours(&name) {
                self.add(&path("name"), "must not be set: this server sets it itself");
            } else if value_of(&headers, &name).is_some() {
                self.add(&path("name"), "must be given once");
            } else if value.is_empty() || value.len() > MAX_HEADER_VALUE {
                self.add(&path("value"), "must have 1 to 4,096 characters");
            }
            headers.push((name, value.to_owned()));
        }
        let size: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if size > MAX_HEADERS_BYTES {
            self.add("headers", "must have at most 8 KiB together");
        }
        headers
    }

    fn clicks(&mut self, number: i32, format: Format) -> ClickMode {
        match v1::WebhookClickMode::try_from(number) {
            Ok(v1::WebhookClickMode::Unspecified) if format == Format::Standard => ClickMode::Batched,
            Ok(v1::WebhookClickMode::Batched) => {
                if format != Format::Standard {
                    self.add("click_mode", "must be EACH unless the format is STANDARD");
                }
                ClickMode::Batched
            }
            Ok(v1::WebhookClickMode::Unspecified | v1::WebhookClickMode::Each) => ClickMode::Each,
            Err(_) => {
                self.add("click_mode", NOT_KNOWN);
                ClickMode::Each
            }
        }
    }

    fn click_sample(&mut self, sample: i32) -> u32 {
        match u32::try_from(sample) {
            Ok(0) => EVERY_CLICK,
            Ok(sample) if sample <= EVERY_CLICK => sample,
            _ => {
                self.add("click_sample", "must be 0 to 1,000,000");
                EVERY_CLICK
            }
        }
    }

    fn signing(&mut self, number: i32, format: Format) -> Signing {
        let signing = match (self.stored, v1::WebhookSigning::try_from(number)) {
            (Some((stored, _)), _) => stored.settings.signing,
            (None, Ok(v1::WebhookSigning::Unspecified)) => Signing::Hmac,
            (None, Ok(_)) if format == Format::Postback => {
                self.add("signing", "must be unset: postbacks are not signed");
                Signing::Hmac
            }
            (None, Ok(v1::WebhookSigning::Hmac)) => Signing::Hmac,
            (None, Ok(v1::WebhookSigning::Ed25519)) => Signing::Ed25519,
            (None, Err(_)) => {
                self.add("signing", NOT_KNOWN);
                Signing::Hmac
            }
        };
        if format == Format::LinkForty && signing == Signing::Ed25519 {
            self.add("format", "must be STANDARD where ED25519 signs: LinkForty's receivers know HMAC alone");
        }
        signing
    }

    fn postback(&mut self, given: Option<&v1::WebhookPostback>, format: Format) -> Option<Postback> {
        if format != Format::Postback {
            if given.is_some() {
                self.add("postback", "must be unset unless the format is POSTBACK");
            }
            return None;
        }
        let nothing = v1::WebhookPostback::default();
        let v1::WebhookPostback { method, body, content_type } = given.unwrap_or(&nothing);
        let method = match v1::PostbackMethod::try_from(*method) {
            Ok(v1::PostbackMethod::Unspecified | v1::PostbackMethod::Get) => PostbackMethod::Get,
            Ok(v1::PostbackMethod::Post) => PostbackMethod::Post,
            Err(_) => {
                self.add("postback.method", NOT_KNOWN);
                PostbackMethod::Post
            }
        };
        if method == PostbackMethod::Get {
            for (field, text) in [("postback.body", body), ("postback.content_type", content_type)] {
                if !text.is_empty() {
                    self.add(field, "must be empty unless the method is POST");
                }
            }
            return Some(Postback { method, body: String::new(), content_type: String::new() });
        }
        if body.chars().count() > MAX_BODY {
            self.add("postback.body", "must have at most 8,192 characters");
        } else if let Err(refused) = Template::parse(body) {
            self.add("postback.body", refused.to_string());
        }
        let content_type = if content_type.is_empty() { FORM } else { content_type };
        if !CONTENT_TYPES.contains(&content_type) {
            let known = CONTENT_TYPES.join(", ");
            self.add("postback.content_type", format!("must be one of {known}"));
        }
        Some(Postback { method, body: body.clone(), content_type: content_type.to_owned() })
    }

    fn state(&mut self, number: i32) -> Option<State> {
        match v1::WebhookEndpointState::try_from(number) {
            Ok(v1::WebhookEndpointState::Unspecified) => None,
            Ok(v1::WebhookEndpointState::Active) => Some(State::Active),
            Ok(v1::WebhookEndpointState::Paused) => Some(State::Paused),
            Ok(v1::WebhookEndpointState::Disabled) | Err(_) => {
                self.add("state", "must be ACTIVE or PAUSED");
                None
            }
        }
    }
}

/// Says whether a postback can tell of it: something that an ad network has a part in.
fn is_of_postbacks(event_type: EventType) -> bool {
    event_type.source() == Source::Feed
}

fn is_ours(name: &str) -> bool {
    OURS.contains(&name) || OUR_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

fn value_of<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
}

/// Reads the id of an endpoint.
pub fn endpoint_id(path: &str, text: &str) -> Result<WebhookEndpointId> {
    WebhookEndpointId::parse(text).ok_or_else(|| Error::invalid_field(path, NOT_A_UUID))
}
