//! What clients send of a link, parsed once at the door: every violation is found, and after it the types are right.

use std::{collections::BTreeSet, mem::take, ops::RangeInclusive};

use prost_types::{Duration, FieldMask, Timestamp};
use url::Url;

use super::{
    app_fields::{self, Texts},
    code,
    described::{Checks, Decide},
    extras,
    related::Related,
    routing, routing_tests,
};
pub use crate::rpc::{moment, timestamp};
use crate::{
    clock::{Moment, cut},
    destination_url,
    destination_url::Own,
    domains,
    entity::link,
    error::{Error, Result, Violations},
    ids::{LinkId, ProjectId, TemplateId},
    pb::v1,
};

/// What is said of an id that is none.
pub const NOT_A_UUID: &str = "must be a UUID of 36 characters";
/// How long a title may be.
pub const MAX_TITLE: usize = 255;
const MAX_DESCRIPTION: usize = 2000;
const MAX_DEEP_LINK_PATH: usize = 1024;
const MAX_REASON: usize = 1000;
/// The longest password of a link, in characters.
pub const MAX_PASSWORD: usize = 200;
const MAX_CLICKS: i64 = 1_000_000_000;
pub(super) const MAX_TAGS: usize = 50;
const MAX_EXTERNAL: usize = 255;
const MAX_SOURCE: usize = 50;
/// What stands for no template where an id would.
pub(super) const NONE: &str = "none";
const WINDOW: RangeInclusive<i64> = 3600..=90 * 86_400;
const CACHE: RangeInclusive<i64> = 0..=86_400;
const MAX_TAG: usize = 50;

/// A link somebody wants.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// Where it is to live.
    pub place: Place,
    /// The code asked for; `None`: any.
    pub short_code: Option<String>,
    /// Everything that can change later.
    pub content: Content,
    /// Whether its routing tests must hold.
    pub checks: Checks,
}

/// Where a new link is to live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Wherever links of the workspace live when nobody says.
    Anywhere,
    /// On the server's own host.
    Own,
    /// On the workspace's domain of this host.
    Host(String),
}

impl Place {
    /// Reads the host asked for; `own` is where this server's short URLs live. What is no host is no domain of anybody either.
    pub(super) fn read(host: &str, own: &Url) -> Result<Self, &'static str> {
        if host.is_empty() {
            return Ok(Self::Anywhere);
        }
        let name = own.host_str().unwrap_or_default();
        let rest = host
            .get(..name.len())
            .filter(|begin| begin.eq_ignore_ascii_case(name))
            .map(|_| &host[name.len()..]);
        let is_port = |rest: &str| {
            rest.strip_prefix(':').is_some_and(|port| port.parse().ok() == own.port_or_known_default())
        };
        if rest.is_some_and(|rest| rest.is_empty() || is_port(rest)) {
            return Ok(Self::Own);
        }
        domains::parse_host(host).map(Self::Host)
    }
}

/// What can change about a link.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the contract explains them")]
pub struct Content {
    pub destination_url: String,
    pub title: String,
    pub description: String,
    pub ios_url: String,
    pub android_url: String,
    pub web_url: String,
    pub app_scheme: String,
    pub ios_universal_link: String,
    pub android_app_link: String,
    pub deep_link_path: String,
    pub deep_link_parameters: Texts,
    pub utm: Texts,
    pub append_click_id: bool,
    pub forward_query: bool,
    pub routing_rules: Vec<v1::RoutingRule>,
    pub active: bool,
    pub start_time: Option<Moment>,
    pub expire_time: Option<Moment>,
    pub max_clicks: i64,
    pub tags: Vec<String>,
    pub targeting: Option<v1::Targeting>,
    pub og: Option<v1::Og>,
    pub warn_time: Option<Moment>,
    pub disable_time: Option<Moment>,
    pub disable_reason: String,
    /// As it was sent; [`super::seal`] makes the hash of it.
    pub password: String,
    pub password_hash: Option<String>,
    pub launchpad_mode: i16,
    pub routing_tests: Vec<v1::RoutingTest>,
    pub project_id: Option<ProjectId>,
    pub template: Template,
    /// In seconds; 0: not set. So are the other two.
    pub attribution_window: i32,
    pub event_attribution_window: i32,
    pub external_id: Option<String>,
    pub external_user_id: String,
    pub archived: bool,
    pub redirect_status: i16,
    pub cache_seconds: i32,
    pub source: String,
}

/// Which template somebody wants for a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Template {
    /// They did not say: the default of the workspace for a new link, none for one that there is.
    #[default]
    Unsaid,
    /// None.
    None,
    /// This one.
    This(TemplateId),
}

impl Template {
    /// Returns the template by its id.
    pub const fn id(self) -> Option<TemplateId> {
        match self {
            Self::This(id) => Some(id),
            Self::Unsaid | Self::None => None,
        }
    }
}

/// What somebody wants changed about a link.
#[derive(Debug, Clone)]
pub struct LinkChange {
    /// Which link.
    pub id: LinkId,
    /// The etag it must have; empty: any.
    pub etag: String,
    /// The code it must have, because codes do not change; empty: any.
    pub short_code: String,
    /// Which fields change.
    pub fields: BTreeSet<Field>,
    /// What they change to; the other fields mean nothing.
    pub content: Content,
    /// Whether the routing tests of the link must hold.
    pub checks: Checks,
}

/// A field that can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the contract explains them")]
pub enum Field {
    DestinationUrl,
    Title,
    Description,
    IosUrl,
    AndroidUrl,
    WebUrl,
    AppScheme,
    IosUniversalLink,
    AndroidAppLink,
    DeepLinkPath,
    DeepLinkParameters,
    Utm,
    AppendClickId,
    ForwardQuery,
    RoutingRules,
    Active,
    StartTime,
    ExpireTime,
    MaxClicks,
    Tags,
    Targeting,
    Og,
    WarnTime,
    DisableTime,
    DisableReason,
    Password,
    LaunchpadMode,
    ProjectId,
    TemplateId,
    AttributionWindow,
    EventAttributionWindow,
    ExternalId,
    ExternalUserId,
    Archived,
    RedirectStatus,
    CacheDuration,
    Source,
    RoutingTests,
}

impl Field {
    pub(super) const ALL: [Self; 38] = [
        Self::DestinationUrl,
        Self::Title,
        Self::Description,
        Self::IosUrl,
        Self::AndroidUrl,
        Self::WebUrl,
        Self::AppScheme,
        Self::IosUniversalLink,
        Self::AndroidAppLink,
        Self::DeepLinkPath,
        Self::DeepLinkParameters,
        Self::Utm,
        Self::AppendClickId,
        Self::ForwardQuery,
        Self::RoutingRules,
        Self::Active,
        Self::StartTime,
        Self::ExpireTime,
        Self::MaxClicks,
        Self::Tags,
        Self::Targeting,
        Self::Og,
        Self::WarnTime,
        Self::DisableTime,
        Self::DisableReason,
        Self::Password,
        Self::LaunchpadMode,
        Self::ProjectId,
        Self::TemplateId,
        Self::AttributionWindow,
        Self::EventAttributionWindow,
        Self::ExternalId,
        Self::ExternalUserId,
        Self::Archived,
        Self::RedirectStatus,
        Self::CacheDuration,
        Self::Source,
        Self::RoutingTests,
    ];

    /// Returns its name in the contract.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::DestinationUrl => "destination_url",
            Self::Title => "title",
            Self::Description => "description",
            Self::IosUrl => "ios_url",
            Self::AndroidUrl => "android_url",
            Self::WebUrl => "web_url",
            Self::AppScheme => "app_scheme",
            Self::IosUniversalLink => "ios_universal_link",
            Self::AndroidAppLink => "android_app_link",
            Self::DeepLinkPath => "deep_link_path",
            Self::DeepLinkParameters => "deep_link_parameters",
            Self::Utm => "utm",
            Self::AppendClickId => "append_click_id",
            Self::ForwardQuery => "forward_query",
            Self::RoutingRules => "routing_rules",
            Self::Active => "active",
            Self::StartTime => "start_time",
            Self::ExpireTime => "expire_time",
            Self::MaxClicks => "max_clicks",
            Self::Tags => "tags",
            Self::Targeting => "targeting",
            Self::Og => "og",
            Self::WarnTime => "warn_time",
            Self::DisableTime => "disable_time",
            Self::DisableReason => "disable_reason",
            Self::Password => "password",
            Self::LaunchpadMode => "launchpad_mode",
            Self::ProjectId => "project_id",
            Self::TemplateId => "template_id",
            Self::AttributionWindow => "attribution_window",
            Self::EventAttributionWindow => "event_attribution_window",
            Self::ExternalId => "external_id",
            Self::ExternalUserId => "external_user_id",
            Self::Archived => "archived",
            Self::RedirectStatus => "redirect_status",
            Self::CacheDuration => "cache_duration",
            Self::Source => "source",
            Self::RoutingTests => "routing_tests",
        }
    }

    fn is_set(self, link: &v1::Link) -> bool {
        match self {
            Self::DestinationUrl => !link.destination_url.is_empty(),
            Self::Title => !link.title.is_empty(),
            Self::Description => !link.description.is_empty(),
            Self::IosUrl => !link.ios_url.is_empty(),
            Self::AndroidUrl => !link.android_url.is_empty(),
            Self::WebUrl => !link.web_url.is_empty(),
            Self::AppScheme => !link.app_scheme.is_empty(),
            Self::IosUniversalLink => !link.ios_universal_link.is_empty(),
            Self::AndroidAppLink => !link.android_app_link.is_empty(),
            Self::DeepLinkPath => !link.deep_link_path.is_empty(),
            Self::DeepLinkParameters => !link.deep_link_parameters.is_empty(),
            Self::Utm => link.utm.is_some(),
            Self::AppendClickId => link.append_click_id,
            Self::ForwardQuery => link.forward_query.is_some(),
            Self::RoutingRules => !link.routing_rules.is_empty(),
            Self::Active => link.active.is_some(),
            Self::StartTime => link.start_time.is_some(),
            Self::ExpireTime => link.expire_time.is_some(),
            Self::MaxClicks => link.max_clicks != 0,
            Self::Tags => !link.tags.is_empty(),
            Self::Targeting => link.targeting.is_some(),
            Self::Og => link.og.is_some(),
            Self::WarnTime => link.warn_time.is_some(),
            Self::DisableTime => link.disable_time.is_some(),
            Self::DisableReason => !link.disable_reason.is_empty(),
            Self::Password => !link.password.is_empty(),
            Self::LaunchpadMode => link.launchpad_mode != 0,
            Self::ProjectId => !link.project_id.is_empty(),
            Self::TemplateId => !link.template_id.is_empty(),
            Self::AttributionWindow => link.attribution_window.is_some(),
            Self::EventAttributionWindow => link.event_attribution_window.is_some(),
            Self::ExternalId => !link.external_id.is_empty(),
            Self::ExternalUserId => !link.external_user_id.is_empty(),
            Self::Archived => link.archived,
            Self::RedirectStatus => link.redirect_status != 0,
            Self::CacheDuration => link.cache_duration.is_some(),
            Self::Source => !link.source.is_empty(),
            Self::RoutingTests => !link.routing_tests.is_empty(),
        }
    }
}

/// What leads somewhere: a link has at least one of these.
const ADDRESSES: [Field; 7] = [
    Field::DestinationUrl,
    Field::IosUrl,
    Field::AndroidUrl,
    Field::WebUrl,
    Field::AppScheme,
    Field::IosUniversalLink,
    Field::AndroidAppLink,
];
pub(super) const NO_ADDRESS: &str = "is required, unless another address of the link is set";

/// Fields of a link that clients may send and that change nothing.
const OUTPUT_ONLY: [&str; 10] = [
    "aliases",
    "id",
    "workspace_id",
    "domain",
    "short_url",
    "click_count",
    "create_time",
    "update_time",
    "etag",
    "has_password",
];

/// How the fields of one message are read.
#[derive(Debug, Clone, Copy)]
pub struct Door<'a> {
    /// Where short URLs live, which a link must not lead to.
    pub own: Own<'a>,
    /// What the paths of violations begin with: empty, or ending in a dot.
    pub path: &'static str,
    /// Whether links get a template that leads somewhere unless they say otherwise.
    pub default_leads: bool,
    /// What runs the routing tests of the link; `None`: nobody does.
    pub decide: Option<Decide>,
}

impl Door<'_> {
    /// Reads a new link.
    pub fn new_link(&self, link: Option<v1::Link>) -> Result<NewLink> {
        let link = link.ok_or_else(|| self.missing())?;
        let mut wrong = Violations::default();
        let place = wrong
            .take(&self.name("domain"), Place::read(&link.domain, self.own.url))
            .unwrap_or(Place::Anywhere);
        let short_code = wrong.take(&self.name("short_code"), asked_code(&link.short_code)).flatten();
        // Whether a template that is named leads anywhere is seen when it is looked up.
        let by_template = match &*link.template_id {
            "" => self.default_leads,
            NONE => false,
            _ => true,
        };
        if !by_template && !has_address(&link) {
            wrong.add(self.name("destination_url"), NO_ADDRESS);
        }
        let content = self.content(&Field::ALL.into(), link, &mut wrong);
        check_order(content.start_time, content.expire_time, self.path, &mut wrong);
        wrong.into_result(NewLink { place, short_code, content, checks: self.checks() })
    }

    /// Reads the code asked for; `None`: any.
    pub fn short_code(&self, code: &str) -> Result<Option<String>> {
        asked_code(code).map_err(|description| Error::invalid_field(self.name("short_code"), description))
    }

    /// Reads a change.
    pub fn change(&self, link: Option<v1::Link>, mask: Option<&FieldMask>) -> Result<LinkChange> {
        let link = link.ok_or_else(|| self.missing())?;
        let mut wrong = Violations::default();
        let id = LinkId::parse(&link.id);
        if id.is_none() {
            wrong.add(self.name("id"), NOT_A_UUID);
        }
        let Mask { fields, whole } = read_mask(mask, &link, &mut wrong);
        let etag = link.etag.clone();
        let short_code = if whole { link.short_code.clone() } else { String::new() };
        let content = self.content(&fields, link, &mut wrong);
        wrong.into_result(())?;
        let id = id.ok_or_else(|| Error::internal("an unreadable id passed as a good one"))?;
        Ok(LinkChange { id, etag, short_code, fields, content, checks: self.checks() })
    }

    fn checks(&self) -> Checks {
        Checks { decide: self.decide, path: self.path }
    }

    fn missing(&self) -> Error {
        Error::invalid_field(self.path.trim_end_matches('.'), "is required")
    }

    pub(super) fn content(
        &self,
        fields: &BTreeSet<Field>,
        link: v1::Link,
        wrong: &mut Violations,
    ) -> Content {
        let asked = |field| fields.contains(&field);
        let mut url = |field: Field, raw: String| {
            if raw.is_empty() || !asked(field) {
                return String::new();
            }
            wrong.take(&self.name(field.name()), destination_url::check(&raw, self.own)).unwrap_or_default()
        };
        let destination_url = url(Field::DestinationUrl, link.destination_url);
        let ios_url = url(Field::IosUrl, link.ios_url);
        let android_url = url(Field::AndroidUrl, link.android_url);
        let web_url = url(Field::WebUrl, link.web_url);
        let mut https = |field: Field, raw: String| {
            if raw.is_empty() || !asked(field) {
                return String::new();
            }
            let checked = destination_url::check(&raw, self.own).and_then(app_fields::only_https);
            wrong.take(&self.name(field.name()), checked).unwrap_or_default()
        };
        let ios_universal_link = https(Field::IosUniversalLink, link.ios_universal_link);
        let android_app_link = https(Field::AndroidAppLink, link.android_app_link);
        if asked(Field::AppScheme) {
            wrong.take(&self.name("app_scheme"), app_fields::check_scheme(&link.app_scheme));
        }
        if asked(Field::DeepLinkPath) {
            self.text("deep_link_path", &link.deep_link_path, MAX_DEEP_LINK_PATH, &[], wrong);
        }
        if asked(Field::DeepLinkParameters) {
            app_fields::check_parameters(
                &self.name("deep_link_parameters"),
                &link.deep_link_parameters,
                wrong,
            );
        }
        let utm = if asked(Field::Utm) {
            app_fields::read_utm(&self.name("utm"), link.utm.unwrap_or_default(), wrong)
        } else {
            Texts::new()
        };
        let routing_rules = if asked(Field::RoutingRules) {
            let url = |raw: &str| destination_url::check(raw, self.own);
            routing::check(&self.name("routing_rules"), link.routing_rules, &url, wrong)
        } else {
            Vec::new()
        };
        let routing_tests = if asked(Field::RoutingTests) {
            let url = |raw: &str| destination_url::check(raw, self.own);
            routing_tests::check(&self.name("routing_tests"), link.routing_tests, &url, wrong)
        } else {
            Vec::new()
        };
        if asked(Field::Title) {
            self.text("title", &link.title, MAX_TITLE, &[], wrong);
        }
        if asked(Field::Description) {
            self.text("description", &link.description, MAX_DESCRIPTION, &['\n', '\r', '\t'], wrong);
        }
        let mut time = |field: Field, given: Option<Timestamp>| {
            let given = given.filter(|_| asked(field))?;
            wrong.take(&self.name(field.name()), moment(&given)).map(cut)
        };
        let start_time = time(Field::StartTime, link.start_time);
        let expire_time = time(Field::ExpireTime, link.expire_time);
        let warn_time = time(Field::WarnTime, link.warn_time);
        let disable_time = time(Field::DisableTime, link.disable_time);
        if asked(Field::MaxClicks) && !(0..=MAX_CLICKS).contains(&link.max_clicks) {
            wrong.add(self.name("max_clicks"), "must be 0 to 1,000,000,000");
        }
        let tags = if asked(Field::Tags) { self.tags(&link.tags, wrong) } else { Vec::new() };
        let targeting = link.targeting.filter(|_| asked(Field::Targeting));
        let targeting = extras::check_targeting(&self.name("targeting"), targeting, wrong);
        let image = |raw: &str| destination_url::check(raw, self.own);
        let og = link.og.filter(|_| asked(Field::Og));
        let og = extras::check_og(&self.name("og"), og, &image, wrong);
        if asked(Field::DisableReason) {
            self.text("disable_reason", &link.disable_reason, MAX_REASON, &['\n', '\r', '\t'], wrong);
        }
        if asked(Field::Password) && link.password.chars().nth(MAX_PASSWORD).is_some() {
            wrong.add(self.name("password"), "must have at most 200 characters");
        }
        if asked(Field::LaunchpadMode) && v1::LaunchpadMode::try_from(link.launchpad_mode).is_err() {
            wrong.add(self.name("launchpad_mode"), "is no mode this server knows");
        }
        let project_id = if asked(Field::ProjectId) && !link.project_id.is_empty() {
            let id = ProjectId::parse(&link.project_id).ok_or(NOT_A_UUID);
            wrong.take(&self.name("project_id"), id)
        } else {
            None
        };
        let template = match &*link.template_id {
            _ if !asked(Field::TemplateId) => Template::Unsaid,
            "" => Template::Unsaid,
            NONE => Template::None,
            id => {
                let id = TemplateId::parse(id).ok_or("must be a UUID of 36 characters, or none");
                wrong.take(&self.name("template_id"), id).map_or(Template::None, Template::This)
            }
        };
        for (field, text, most) in [
            (Field::ExternalId, &link.external_id, MAX_EXTERNAL),
            (Field::ExternalUserId, &link.external_user_id, MAX_EXTERNAL),
            (Field::Source, &link.source, MAX_SOURCE),
        ] {
            if asked(field) {
                self.text(field.name(), text, most, &[], wrong);
            }
        }
        let mut seconds = |field: Field, given: Option<Duration>, range, description| {
            let Some(given) = given.filter(|_| asked(field)) else { return 0 };
            wrong
                .take(&self.name(field.name()), whole_seconds(&given, range, description))
                .unwrap_or_default()
        };
        let window = "must be 1 hour to 90 days, in whole seconds";
        let attribution_window = seconds(Field::AttributionWindow, link.attribution_window, &WINDOW, window);
        let event_attribution_window =
            seconds(Field::EventAttributionWindow, link.event_attribution_window, &WINDOW, window);
        let cache = "must be at most 24 hours, in whole seconds";
        let cache_seconds = seconds(Field::CacheDuration, link.cache_duration, &CACHE, cache);
        if asked(Field::RedirectStatus) && v1::RedirectStatus::try_from(link.redirect_status).is_err() {
            wrong.add(self.name("redirect_status"), "is no status this server knows");
        }
        Content {
            destination_url,
            title: link.title,
            description: link.description,
            ios_url,
            android_url,
            web_url,
            app_scheme: link.app_scheme,
            ios_universal_link,
            android_app_link,
            deep_link_path: link.deep_link_path,
            deep_link_parameters: link.deep_link_parameters,
            utm,
            append_click_id: link.append_click_id,
            forward_query: link.forward_query.unwrap_or(true),
            routing_rules,
            active: link.active.unwrap_or(true),
            start_time,
            expire_time,
            max_clicks: link.max_clicks,
            tags,
            targeting,
            og,
            warn_time,
            disable_time,
            disable_reason: link.disable_reason,
            password: link.password,
            password_hash: None,
            // To inherit is the same as to say nothing.
            launchpad_mode: match v1::LaunchpadMode::try_from(link.launchpad_mode) {
                Ok(v1::LaunchpadMode::Inherit) => 0,
                _ => i16::try_from(link.launchpad_mode).unwrap_or_default(),
            },
            project_id,
            template,
            attribution_window,
            event_attribution_window,
            external_id: Some(link.external_id).filter(|id| !id.is_empty()),
            external_user_id: link.external_user_id,
            archived: link.archived,
            redirect_status: match v1::RedirectStatus::try_from(link.redirect_status) {
                Ok(v1::RedirectStatus::Inherit) => 0,
                _ => i16::try_from(link.redirect_status).unwrap_or_default(),
            },
            cache_seconds,
            source: link.source,
            routing_tests,
        }
    }

    fn text(&self, field: &str, text: &str, max: usize, controls: &[char], wrong: &mut Violations) {
        check_text(&self.name(field), text, max, controls, wrong);
    }

    fn tags(&self, given: &[String], wrong: &mut Violations) -> Vec<String> {
        let mut tags: Vec<String> = Vec::new();
        let mut seen = BTreeSet::new();
        for (place, tag) in given.iter().enumerate() {
            match check_tag(tag) {
                Err(description) => wrong.add(self.name(&format!("tags[{place}]")), description),
                Ok(tag) if seen.insert(tag) => tags.push(tag.to_owned()),
                Ok(_) => {}
            }
        }
        if tags.len() > MAX_TAGS {
            wrong.add(self.name("tags"), "must be at most 50 different ones");
        }
        tags
    }

    fn name(&self, field: &str) -> String {
        format!("{}{field}", self.path)
    }
}

/// Notes what is wrong with a text that may have at most `max` characters, and of control characters `controls`.
pub(super) fn check_text(path: &str, text: &str, max: usize, controls: &[char], wrong: &mut Violations) {
    if text.chars().nth(max).is_some() {
        wrong.add(path, format!("must have at most {max} characters"));
    }
    if text.chars().any(|character| character.is_control() && !controls.contains(&character)) {
        wrong.add(path, "must not contain control characters");
    }
}

impl Content {
    /// Says whether the link leads somewhere by itself.
    pub(super) fn has_address(&self) -> bool {
        let addresses = [
            &self.destination_url,
            &self.ios_url,
            &self.android_url,
            &self.web_url,
            &self.app_scheme,
            &self.ios_universal_link,
            &self.android_app_link,
        ];
        addresses.into_iter().any(|address| !address.is_empty())
    }
}

/// Says whether a template leads somewhere.
pub(super) fn leads(defaults: &v1::LinkDefaults) -> bool {
    let addresses = [
        &defaults.destination_url,
        &defaults.ios_url,
        &defaults.android_url,
        &defaults.web_url,
        &defaults.app_scheme,
        &defaults.ios_universal_link,
        &defaults.android_app_link,
    ];
    addresses.into_iter().any(|address| !address.is_empty())
}

/// Says whether a link leads somewhere by itself.
pub(super) fn has_address(link: &v1::Link) -> bool {
    ADDRESSES.into_iter().any(|field| field.is_set(link))
}

/// Reads a span of time, or says what is wrong with it.
pub(super) fn whole_seconds(
    given: &Duration,
    range: &RangeInclusive<i64>,
    description: &'static str,
) -> Result<i32, &'static str> {
    let seconds = Some(given.seconds).filter(|seconds| given.nanos == 0 && range.contains(seconds));
    seconds.and_then(|seconds| i32::try_from(seconds).ok()).ok_or(description)
}

/// Writes a span of time; 0: none is set.
pub(super) fn duration(seconds: i32) -> Option<Duration> {
    (seconds != 0).then(|| Duration { seconds: seconds.into(), nanos: 0 })
}

fn asked_code(code: &str) -> Result<Option<String>, &'static str> {
    if code.is_empty() { Ok(None) } else { code::check(code).map(|()| Some(code.to_owned())) }
}

fn check_order(start: Option<Moment>, expire: Option<Moment>, path: &str, wrong: &mut Violations) {
    if let (Some(start), Some(expire)) = (start, expire)
        && expire <= start
    {
        wrong.add(format!("{path}expire_time"), "must be after start_time");
    }
}

pub(super) fn leads_somewhere(link: &link::Model) -> bool {
    let addresses = [
        &link.destination_url,
        &link.ios_url,
        &link.android_url,
        &link.web_url,
        &link.app_scheme,
        &link.ios_universal_link,
        &link.android_app_link,
    ];
    addresses.into_iter().any(|address| !address.is_empty())
}

/// Returns a tag without the blanks around it, or what is wrong with it.
pub fn check_tag(tag: &str) -> Result<&str, &'static str> {
    let tag = tag.trim();
    if tag.is_empty() || tag.chars().nth(MAX_TAG).is_some() {
        return Err("must have 1 to 50 characters");
    }
    if tag.chars().any(char::is_control) {
        return Err("must not contain control characters");
    }
    Ok(tag)
}

struct Mask {
    fields: BTreeSet<Field>,
    /// The mask names no fields one by one: the message as a whole is meant, so its code must be the stored one.
    whole: bool,
}

fn read_mask(mask: Option<&FieldMask>, link: &v1::Link, wrong: &mut Violations) -> Mask {
    let paths = mask.map_or(&[][..], |mask| &mask.paths);
    if paths.is_empty() {
        let fields = Field::ALL.into_iter().filter(|field| field.is_set(link)).collect();
        return Mask { fields, whole: true };
    }
    let mut fields = BTreeSet::new();
    for path in paths {
        if path == "*" {
            fields.extend(Field::ALL);
        } else if let Some(field) = Field::ALL.into_iter().find(|field| field.name() == path) {
            fields.insert(field);
        } else if path == "short_code" {
            wrong.add("update_mask", "short_code cannot change after creation");
        } else if !OUTPUT_ONLY.contains(&path.as_str()) {
            wrong.add("update_mask", format!("{path:?} is no field of a link"));
        }
    }
    Mask { fields, whole: paths.iter().any(|path| path == "*") }
}

impl LinkChange {
    /// Returns the link as the change leaves it.
    pub(super) fn apply(self, stored: &link::Model, now: Moment, related: &Related) -> Result<link::Model> {
        let path = self.checks.path;
        if !self.short_code.is_empty() && self.short_code != stored.short_code {
            return Err(Error::invalid_field(
                format!("{path}short_code"),
                "cannot change after creation: leave it out, or send the stored one",
            ));
        }
        let mut wrong = Violations::default();
        related.check(path, &self.content, &mut wrong);
        let mut link = stored.clone();
        let mut content = self.content;
        for field in self.fields {
            match field {
                Field::DestinationUrl => link.destination_url = take(&mut content.destination_url),
                Field::Title => link.title = take(&mut content.title),
                Field::Description => link.description = take(&mut content.description),
                Field::IosUrl => link.ios_url = take(&mut content.ios_url),
                Field::AndroidUrl => link.android_url = take(&mut content.android_url),
                Field::WebUrl => link.web_url = take(&mut content.web_url),
                Field::AppScheme => link.app_scheme = take(&mut content.app_scheme),
                Field::IosUniversalLink => link.ios_universal_link = take(&mut content.ios_universal_link),
                Field::AndroidAppLink => link.android_app_link = take(&mut content.android_app_link),
                Field::DeepLinkPath => link.deep_link_path = take(&mut content.deep_link_path),
                Field::DeepLinkParameters => {
                    link.deep_link_parameters = app_fields::to_json(&content.deep_link_parameters);
                }
                Field::Utm => link.utm = app_fields::to_json(&content.utm),
                Field::AppendClickId => link.append_click_id = content.append_click_id,
                Field::ForwardQuery => link.forward_query = content.forward_query,
                Field::RoutingRules => link.routing_rules = routing::to_bytes(&content.routing_rules),
                Field::Active => link.active = content.active,
                Field::StartTime => link.start_time = content.start_time,
                Field::ExpireTime => link.expire_time = content.expire_time,
                Field::MaxClicks => link.max_clicks = content.max_clicks,
                Field::Tags => link.tags = take(&mut content.tags).into(),
                Field::Targeting => link.targeting = extras::to_bytes(content.targeting.as_ref()),
                Field::Og => link.og = extras::to_bytes(content.og.as_ref()),
                Field::WarnTime => link.warn_time = content.warn_time,
                Field::DisableTime => link.disable_time = content.disable_time,
                Field::DisableReason => link.disable_reason = take(&mut content.disable_reason),
                Field::Password => link.password_hash = content.password_hash.take(),
                Field::LaunchpadMode => link.launchpad_mode = content.launchpad_mode,
                Field::ProjectId => link.project_id = content.project_id,
                Field::TemplateId => link.template_id = content.template.id(),
                Field::AttributionWindow => link.attribution_window = content.attribution_window,
                Field::EventAttributionWindow => {
                    link.event_attribution_window = content.event_attribution_window;
                }
                Field::ExternalId => link.external_id = content.external_id.take(),
                Field::ExternalUserId => link.external_user_id = take(&mut content.external_user_id),
                Field::Archived => link.archived = content.archived,
                Field::RedirectStatus => link.redirect_status = content.redirect_status,
                Field::CacheDuration => link.cache_seconds = content.cache_seconds,
                Field::Source => link.source = take(&mut content.source),
                Field::RoutingTests => link.routing_tests = routing_tests::to_bytes(&content.routing_tests),
            }
        }
        check_order(link.start_time, link.expire_time, path, &mut wrong);
        if !leads_somewhere(&link) && !related.leads(link.template_id) {
            wrong.add(format!("{path}destination_url"), NO_ADDRESS);
        }
        // What changes nothing is no change: the etag stays good.
        if link != *stored {
            link.version += 1;
            link.update_time = now;
        }
        wrong.into_result(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_say_which_fields_are_meant() {
        let link = v1::Link { title: "t".into(), active: Some(false), id: "x".into(), ..v1::Link::default() };
        for (paths, fields, whole, violations) in [
            (&[][..], &[Field::Title, Field::Active][..], true, 0),
            (&["*"], &Field::ALL, true, 0),
            (&["*", "title"], &Field::ALL, true, 0),
            (&["title", "tags", "title"], &[Field::Title, Field::Tags], false, 0),
            (&["etag", "id", "click_count", "domain", "aliases"], &[], false, 0),
            (&["short_code"], &[], false, 1),
            (&["title", "Title", "tags.0", "", " title", "project"], &[Field::Title], false, 5),
        ] {
            let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
            let mut wrong = Violations::default();
            let read = read_mask(Some(&mask), &link, &mut wrong);
            assert_eq!((read.fields, read.whole), (fields.iter().copied().collect(), whole), "{paths:?}");
            assert_eq!(wrong.into_inner().len(), violations, "{paths:?}");
        }
    }

    #[test]
    fn tags_are_cut_and_bounded() {
        let (long, too_long) = ("ä".repeat(50), "a".repeat(51));
        for (tag, read) in [
            (" a b ", Some("a b")),
            (long.as_str(), Some(long.as_str())),
            (too_long.as_str(), None),
            ("", None),
            (" \t ", None),
            ("a\0", None),
            ("a\nb", None),
        ] {
            assert_eq!(check_tag(tag).ok(), read, "{tag:?}");
        }
    }
}
