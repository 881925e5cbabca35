//! Where somebody is told what happens, and how it is written down (`linkforty.internal.v1.WebhookSettings`, `WebhookSecrets`).

use std::sync::Arc;

use prost::Message as _;
use sea_orm::DbErr;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::{EventType, filter::Filter};
use crate::{
    clock::{Moment, from_micros},
    entity::webhook_endpoint::{DISABLED, Model},
    env::Env,
    geo::Country,
    ids::{AppId, Ids, LinkId, ProjectId, WebhookEndpointId, WorkspaceId},
    pb::{
        internal::v1::{
            WebhookFilter, WebhookHeader, WebhookPostback, WebhookSecret, WebhookSecrets, WebhookSettings,
        },
        v1::ClickClass,
    },
    sealing::Seal,
};

/// How many endpoints a workspace may have.
pub const MOST: u64 = 100;
/// All clicks, in a million.
pub const EVERY_CLICK: u32 = 1_000_000;

/// Where somebody is told what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Which.
    pub id: WebhookEndpointId,
    /// Whose.
    pub workspace: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// Where; of a postback with macros.
    pub url: String,
    /// What it is told and how.
    pub settings: Settings,
    /// What is secret about it; see [`Endpoint::open`].
    pub sealed: Vec<u8>,
    /// Whether it is told anything.
    pub state: State,
    /// Since when every attempt has failed; `None`: the last one did not.
    pub failing_since: Option<Moment>,
    /// Goes up with every change that somebody makes.
    pub version: i64,
    /// When it was made.
    pub create_time: Moment,
    /// When somebody last changed it.
    pub update_time: Moment,
}

/// Whether an endpoint is told anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// It is.
    Active,
    /// Somebody wants it to wait: what happens is kept for it, and told when they want it again.
    Paused,
    /// The server gave it up. What happens meanwhile is not kept for it.
    Disabled(DisableReason),
}

/// Why an endpoint was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisableReason {
    /// It said that it is gone (410).
    Gone,
    /// It failed for days.
    Failing,
}

impl State {
    /// Returns the numbers that stand for it: of the state and of its reason.
    pub const fn numbers(self) -> (i16, i16) {
        match self {
            Self::Active => (1, 0),
            Self::Paused => (2, 0),
            Self::Disabled(DisableReason::Gone) => (DISABLED, 1),
            Self::Disabled(DisableReason::Failing) => (DISABLED, 2),
        }
    }

    /// Returns the state that numbers stand for; `None` for what a later release made up.
    pub const fn of_numbers(state: i16, reason: i16) -> Option<Self> {
        match (state, reason) {
            (1, _) => Some(Self::Active),
            (2, _) => Some(Self::Paused),
            (DISABLED, 1) => Some(Self::Disabled(DisableReason::Gone)),
            (DISABLED, 2) => Some(Self::Disabled(DisableReason::Failing)),
            _ => None,
        }
    }
}

/// What an endpoint is told and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Of what, each once.
    pub event_types: Vec<EventType>,
    /// Which of it.
    pub filter: Filter,
    /// How it is written.
    pub format: Format,
    /// How clicks come, where the format leaves a choice: see [`Settings::batches`].
    pub clicks: ClickMode,
    /// How many clicks of a million are told: 1 to [`EVERY_CLICK`].
    pub click_sample: u32,
    /// How it is signed.
    pub signing: Signing,
    /// How it is called; only with [`Format::Postback`], and always with it.
    pub postback: Option<Postback>,
}

/// How what is told is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// As Standard Webhooks has it.
    Standard,
    /// As LinkForty does.
    LinkForty,
    /// As an ad network wants it: a URL with macros.
    Postback,
}

/// How clicks come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClickMode {
    /// Many in one body.
    Batched,
    /// Each in its own.
    Each,
}

/// How bodies are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signing {
    /// With a secret that both sides know (HMAC-SHA256).
    Hmac,
    /// With a key that only we know (Ed25519).
    Ed25519,
}

/// How a postback is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postback {
    /// The method.
    pub method: PostbackMethod,
    /// What is sent, with macros; empty with GET.
    pub body: String,
    /// Its media type; empty with GET.
    pub content_type: String,
}

/// A method that postbacks are called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PostbackMethod {
    /// GET.
    Get,
    /// POST.
    Post,
}

/// What is secret about an endpoint.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Sealed {
    /// What bodies are signed with, the newest first.
    pub secrets: Vec<Secret>,
    /// Headers that somebody set: names in lower case, and what they say.
    pub headers: Vec<(String, String)>,
}

/// What bodies are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The key; of Ed25519 the seed.
    pub key: [u8; 32],
    /// When it was made.
    pub create_time: Moment,
    /// Until when it is good; `None`: until there is another.
    pub expire_time: Option<Moment>,
    /// What receivers of LinkForty's format know it as, where LinkForty made it; `None`: as everybody does.
    pub text: Option<String>,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Sealed").field("secrets", &self.secrets).field("headers", &names).finish()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key: _, create_time, expire_time, text: _ } = self;
        f.debug_struct("Secret")
            .field("create_time", create_time)
            .field("expire_time", expire_time)
            .finish_non_exhaustive()
    }
}

impl Secret {
    /// Says whether bodies are signed with it at `now`.
    pub fn is_valid(&self, now: Moment) -> bool {
        self.expire_time.is_none_or(|end| now < end)
    }
}

impl Endpoint {
    /// Reads a row.
    pub fn read(row: Model) -> Result<Self, DbErr> {
        let unreadable = || DbErr::Custom(format!("the webhook endpoint {} is of no known release", row.id));
        Ok(Self {
            settings: Settings::decode(&row.settings).ok_or_else(unreadable)?,
            state: State::of_numbers(row.state, row.state_reason).ok_or_else(unreadable)?,
            id: row.id,
            workspace: row.workspace_id,
            name: row.name,
            url: row.url,
            sealed: row.secrets,
            failing_since: row.failing_since,
            version: row.version,
            create_time: row.create_time,
            update_time: row.update_time,
        })
    }

    /// Returns its row.
    pub fn write(self) -> Model {
        let (state, state_reason) = self.state.numbers();
        Model {
            id: self.id,
            workspace_id: self.workspace,
            name: self.name,
            url: self.url,
            settings: self.settings.encode(),
            secrets: self.sealed,
            state,
            state_reason,
            failing_since: self.failing_since,
            version: self.version,
            create_time: self.create_time,
            update_time: self.update_time,
        }
    }

    /// Returns what is secret about it; `None`: it was sealed under another `SESSION_SECRET`.
    pub fn open(&self, seal: &Seal) -> Option<Sealed> {
        Sealed::decode(&seal.open(self.id.0.as_bytes(), &self.sealed)?)
    }
}

impl Sealed {
    /// Seals it for an endpoint.
    pub fn seal(&self, seal: &Seal, ids: &Ids, of: WebhookEndpointId) -> Vec<u8> {
        let secrets = self.secrets.iter().map(|secret| WebhookSecret {
            key: secret.key.to_vec().into(),
            create_time_micros: secret.create_time.timestamp_micros(),
            expire_time_micros: secret.expire_time.map_or(0, |time| time.timestamp_micros()),
            text: secret.text.clone().unwrap_or_default(),
        });
        let headers = self.headers.iter().cloned().map(|(name, value)| WebhookHeader { name, value });
        let message = WebhookSecrets { secrets: secrets.collect(), headers: headers.collect() };
        seal.seal(ids, of.0.as_bytes(), &message.encode_to_vec())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let WebhookSecrets { secrets, headers } = WebhookSecrets::decode(bytes).ok()?;
        let secret = |secret: WebhookSecret| {
            let end = secret.expire_time_micros;
            Some(Secret {
                key: secret.key[..].try_into().ok()?,
                create_time: from_micros(secret.create_time_micros),
                expire_time: (end != 0).then(|| from_micros(end)),
                text: Some(secret.text).filter(|text| !text.is_empty()),
            })
        };
        Some(Self {
            secrets: secrets.into_iter().map(secret).collect::<Option<_>>()?,
            headers: headers.into_iter().map(|WebhookHeader { name, value }| (name, value)).collect(),
        })
    }
}

/// The key that secrets of endpoints are sealed under.
struct EndpointSeal(Seal);

/// Returns the key that secrets of endpoints are sealed under.
pub fn seal(env: &Env) -> Seal {
    let secret = || env.secrets.session.expose_secret().as_bytes();
    let seal: Arc<EndpointSeal> =
        env.memory.of(|| EndpointSeal(Seal::derive(secret(), "secrets of webhook endpoints")));
    seal.0.clone()
}

impl Settings {
    /// Says whether clicks come many in one body: only the standard format has a word for that.
    pub fn batches(&self) -> bool {
        self.clicks == ClickMode::Batched && self.format == Format::Standard
    }

    /// Says whether it is told of such things.
    pub fn wants(&self, event_type: EventType) -> bool {
        self.event_types.contains(&event_type)
    }

    /// Writes them as they are stored.
    pub fn encode(&self) -> Vec<u8> {
        let Self { event_types, filter, format, clicks, click_sample, signing, postback } = self;
        WebhookSettings {
            event_types: event_types.iter().map(|one| u32::from(one.number().unsigned_abs())).collect(),
            filter: Some(write_filter(filter)),
            format: match format {
                Format::Standard => 1,
                Format::LinkForty => 2,
                Format::Postback => 3,
            },
            clicks: match clicks {
                ClickMode::Batched => 1,
                ClickMode::Each => 2,
            },
            click_sample: *click_sample,
            signing: match signing {
                Signing::Hmac => 1,
                Signing::Ed25519 => 2,
            },
            postback: postback.as_ref().map(|Postback { method, body, content_type }| WebhookPostback {
                method: match method {
                    PostbackMethod::Get => 1,
                    PostbackMethod::Post => 2,
                },
                body: body.clone(),
                content_type: content_type.clone(),
            }),
        }
        .encode_to_vec()
    }

    /// Reads what is stored; `None` for what no release writes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let stored = WebhookSettings::decode(bytes).ok()?;
        let of_number = |number: &u32| i16::try_from(*number).ok().and_then(EventType::of_number);
        let postback = |WebhookPostback { method, body, content_type }| {
            let method = match method {
                1 => PostbackMethod::Get,
                2 => PostbackMethod::Post,
                _ => return None,
            };
            Some(Postback { method, body, content_type })
        };
        Some(Self {
            // One that a later release made up is told by nodes of that release alone.
            event_types: stored.event_types.iter().filter_map(of_number).collect(),
            filter: read_filter(stored.filter.unwrap_or_default())?,
            format: match stored.format {
                1 => Format::Standard,
                2 => Format::LinkForty,
                3 => Format::Postback,
                _ => return None,
            },
            clicks: match stored.clicks {
                1 => ClickMode::Batched,
                2 => ClickMode::Each,
                _ => return None,
            },
            click_sample: match stored.click_sample {
                0 => EVERY_CLICK,
                some => some,
            },
            signing: match stored.signing {
                1 => Signing::Hmac,
                2 => Signing::Ed25519,
                _ => return None,
            },
            postback: match stored.postback {
                Some(stored) => Some(postback(stored)?),
                None => None,
            },
        })
    }
}

fn write_filter(filter: &Filter) -> WebhookFilter {
    let Filter { links, project, domain, apps, classes, countries, event_names } = filter;
    let bytes = |id: Uuid| id.as_bytes().to_vec().into();
    WebhookFilter {
        link_ids: links.iter().map(|link| bytes(link.0)).collect(),
        project_id: project.map(|project| bytes(project.0)).unwrap_or_default(),
        domain: domain.clone(),
        app_ids: apps.iter().map(|app| bytes(app.0)).collect(),
        classes: classes.iter().map(|class| i32::from(*class)).collect(),
        countries: countries.iter().map(|country| country.as_str().to_owned()).collect(),
        event_names: event_names.clone(),
    }
}

fn read_filter(stored: WebhookFilter) -> Option<Filter> {
    let id = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
    Some(Filter {
        links: stored.link_ids.iter().map(|link| id(link).map(LinkId)).collect::<Option<_>>()?,
        project: match &stored.project_id[..] {
            [] => None,
            project => Some(ProjectId(id(project)?)),
        },
        domain: stored.domain,
        apps: stored.app_ids.iter().map(|app| id(app).map(AppId)).collect::<Option<_>>()?,
        classes: stored
            .classes
            .iter()
            .map(|class| ClickClass::try_from(*class).ok())
            .collect::<Option<_>>()?,
        countries: stored.countries.iter().map(|country| Country::parse(country)).collect::<Option<_>>()?,
        event_names: stored.event_names,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            event_types: vec![EventType::ClickRecorded, EventType::LinkCreated],
            filter: Filter::default(),
            format: Format::Standard,
            clicks: ClickMode::Batched,
            click_sample: EVERY_CLICK,
            signing: Signing::Hmac,
            postback: None,
        }
    }

    #[test]
    fn settings_come_back_as_they_were() {
        let id = Uuid::from_u128;
        let filter = Filter {
            links: vec![LinkId(id(2)), LinkId(id(1))],
            project: Some(ProjectId(id(3))),
            domain: "go.example".to_owned(),
            apps: vec![AppId(id(4))],
            classes: vec![ClickClass::Bot, ClickClass::Human],
            countries: Country::parse("CH").into_iter().collect(),
            event_names: vec!["purchase".to_owned()],
        };
        let postback = Postback {
            method: PostbackMethod::Post,
            body: "{click_id}".to_owned(),
            content_type: "text/plain".to_owned(),
        };
        let get = Postback { method: PostbackMethod::Get, body: String::new(), content_type: String::new() };
        for given in [
            settings(),
            Settings { filter, click_sample: 7, clicks: ClickMode::Each, ..settings() },
            Settings { format: Format::LinkForty, signing: Signing::Ed25519, ..settings() },
            Settings { format: Format::Postback, postback: Some(postback), ..settings() },
            Settings { format: Format::Postback, postback: Some(get), ..settings() },
        ] {
            assert_eq!(Settings::decode(&given.encode()), Some(given));
        }
        assert_eq!(Settings::decode(b"garbage"), None);
        assert_eq!(Settings::decode(b""), None);
    }

    #[test]
    fn only_the_standard_format_has_many_clicks_in_one_body() {
        for (format, clicks, batches) in [
            (Format::Standard, ClickMode::Batched, true),
            (Format::Standard, ClickMode::Each, false),
            (Format::LinkForty, ClickMode::Batched, false),
            (Format::Postback, ClickMode::Batched, false),
        ] {
            assert_eq!(Settings { format, clicks, ..settings() }.batches(), batches, "{format:?} {clicks:?}");
        }
    }

    #[test]
    fn what_is_secret_is_sealed_for_its_endpoint_and_is_not_written_to_logs() {
        let (seal, ids) = (Seal::derive(b"secret", "test"), Ids::seeded(1));
        let secret = |end: Option<i64>| Secret {
            key: [7; 32],
            create_time: from_micros(5),
            expire_time: end.map(from_micros),
            text: end.map(|_| "0f".repeat(32)),
        };
        let sealed = Sealed {
            secrets: vec![secret(None), secret(Some(9))],
            headers: vec![("authorization".to_owned(), "Bearer token".to_owned())],
        };
        let id = WebhookEndpointId(Uuid::from_u128(1));
        let mut endpoint = Endpoint {
            id,
            workspace: WorkspaceId(Uuid::from_u128(2)),
            name: "x".to_owned(),
            url: "https://example.com".to_owned(),
            settings: settings(),
            sealed: sealed.seal(&seal, &ids, id),
            state: State::Disabled(DisableReason::Gone),
            failing_since: None,
            version: 1,
            create_time: from_micros(1),
            update_time: from_micros(2),
        };
        assert_eq!(endpoint.open(&seal).as_ref(), Some(&sealed));
        assert_eq!(Endpoint::read(endpoint.clone().write()).expect("readable"), endpoint);
        let shown = format!("{sealed:?}");
        assert!(!["token", "7, 7", "0f0f"].into_iter().any(|secret| shown.contains(secret)));
        endpoint.id = WebhookEndpointId(Uuid::from_u128(3));
        assert_eq!(endpoint.open(&seal), None);
        let valid = |end| secret(end).is_valid(from_micros(9));
        assert_eq!([None, Some(9), Some(10)].map(valid), [true, false, true]);
    }

    #[test]
    fn states_come_back_as_they_were() {
        for state in [
            State::Active,
            State::Paused,
            State::Disabled(DisableReason::Gone),
            State::Disabled(DisableReason::Failing),
        ] {
            let (number, reason) = state.numbers();
            assert_eq!(State::of_numbers(number, reason), Some(state));
        }
        assert_eq!(State::of_numbers(3, 9), None);
    }
}
