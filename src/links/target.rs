//! What a redirect needs of a link: little, so that many fit into memory.

use std::sync::Arc;

use prost::Message as _;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, JoinType,
    QueryFilter as _, QuerySelect as _, RelationDef, prelude::Json,
};
use uuid::Uuid;

use super::{
    app_fields::{Texts, from_json},
    extras::{Extras, House, Targeting, from_bytes},
    routing::Rules,
    templates::inherit::inherit,
};
use crate::{
    clock::{Moment, from_micros},
    entity::{
        link::{Column, Entity, Model},
        template, workspace,
    },
    ids::{LinkId, WorkspaceId},
    pb::v1,
};

/// The first byte of an encoded target: which form the rest has.
const FORM: u8 = 3;
/// The form of the version before. It has fewer fields; those it lacks are as on a link that never set them.
const FORM_BEFORE: u8 = 2;

/// What a redirect needs of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The id.
    pub id: LinkId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Where to go when nothing fits better.
    pub destination_url: String,
    /// Where iPhones, iPads and iPods go; may be empty.
    pub ios_url: String,
    /// Where Android devices go; may be empty.
    pub android_url: String,
    /// Where everybody else goes; may be empty.
    pub web_url: String,
    /// Where iPhones, iPads and iPods go first; may be empty.
    pub ios_universal_link: String,
    /// Where Android devices go first; may be empty.
    pub android_app_link: String,
    /// What is added to the URL; `None`: nothing but, perhaps, the visitor's query.
    pub decoration: Option<Box<Decoration>>,
    /// Whether the URL gets the visitor's query.
    pub forward_query: bool,
    /// Who goes elsewhere.
    pub rules: Rules,
    /// What few links have; `None`: nothing of it.
    pub extras: Option<Box<Extras>>,
    /// What the workspace says of all of its links; `None`: nothing. Shared by those in memory.
    pub house: Option<Arc<House>>,
    /// Whether it redirects.
    pub active: bool,
    /// From when on it redirects.
    pub start_time: Option<Moment>,
    /// From when on it does not.
    pub expire_time: Option<Moment>,
    /// How many visits it sends on; 0: any number.
    pub max_clicks: i64,
    /// Goes up with every change: of two targets of one link the higher one is newer.
    pub version: i64,
}

/// What a link adds to the query of the URL it leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoration {
    /// Parameters and their values, each name once, in the order they are set in.
    pub parameters: Vec<(String, String)>,
    /// How many of them, from the first on, are those of the campaign; the others are the app's.
    pub of_campaign: u8,
    /// Whether the id of the click is among them.
    pub append_click_id: bool,
}

impl Decoration {
    fn of(
        (parameters, of_campaign): (Vec<(String, String)>, u8),
        append_click_id: bool,
    ) -> Option<Box<Self>> {
        let decoration = Self { parameters, of_campaign, append_click_id };
        (decoration != Self::default()).then(|| Box::new(decoration))
    }
}

/// Returns the parameters a link sets: those of its campaign, then those of the app, which win; and how many are the former.
fn parameters(utm: Texts, deep_link: Texts) -> (Vec<(String, String)>, u8) {
    let utm = utm.into_iter().map(|(name, value)| (format!("utm_{name}"), value));
    let of_campaign: Vec<_> = utm.filter(|(name, _)| !deep_link.contains_key(name)).collect();
    let count = u8::try_from(of_campaign.len()).unwrap_or(u8::MAX);
    (of_campaign.into_iter().chain(deep_link).collect(), count)
}

#[expect(clippy::struct_excessive_bools, reason = "they are what is stored")]
#[derive(Clone, PartialEq, prost::Message)]
struct Encoded {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    workspace_id: Vec<u8>,
    #[prost(string, tag = "3")]
    destination_url: String,
    #[prost(string, tag = "4")]
    ios_url: String,
    #[prost(string, tag = "5")]
    android_url: String,
    #[prost(string, tag = "6")]
    web_url: String,
    #[prost(bool, tag = "7")]
    active: bool,
    #[prost(sint64, optional, tag = "8")]
    start_micros: Option<i64>,
    #[prost(sint64, optional, tag = "9")]
    expire_micros: Option<i64>,
    #[prost(int64, tag = "10")]
    version: i64,
    #[prost(string, tag = "11")]
    ios_universal_link: String,
    #[prost(string, tag = "12")]
    android_app_link: String,
    /// Names and values in turn.
    #[prost(string, repeated, tag = "13")]
    parameters: Vec<String>,
    #[prost(bool, tag = "14")]
    append_click_id: bool,
    /// The wrong way round, so that its absence in the form before means what it should.
    #[prost(bool, tag = "15")]
    keep_query: bool,
    #[prost(bytes = "vec", tag = "16")]
    rules: Vec<u8>,
    #[prost(int64, tag = "17")]
    max_clicks: i64,
    /// When the database said so; only in the shared cache.
    #[prost(sint64, optional, tag = "20")]
    fetched_micros: Option<i64>,
    #[prost(bytes = "vec", tag = "21")]
    targeting: Vec<u8>,
    #[prost(message, optional, tag = "22")]
    og: Option<v1::Og>,
    #[prost(sint64, optional, tag = "23")]
    warn_micros: Option<i64>,
    #[prost(sint64, optional, tag = "24")]
    disable_micros: Option<i64>,
    #[prost(bool, tag = "25")]
    has_password: bool,
    #[prost(enumeration = "v1::LaunchpadMode", tag = "26")]
    launchpad: i32,
    #[prost(string, tag = "27")]
    title: String,
    #[prost(string, tag = "28")]
    description: String,
    #[prost(string, tag = "29")]
    app_scheme: String,
    #[prost(string, tag = "30")]
    deep_link_path: String,
    #[prost(uint32, tag = "31")]
    of_campaign: u32,
    #[prost(message, optional, tag = "32")]
    settings: Option<v1::WorkspaceSettings>,
    #[prost(bool, tag = "33")]
    suspended: bool,
    #[prost(string, tag = "50")]
    slug: String,
    #[prost(enumeration = "v1::RedirectStatus", tag = "51")]
    redirect_status: i32,
    #[prost(uint32, tag = "52")]
    cache_seconds: u32,
}

impl Target {
    /// Returns the target as it is kept in snapshots.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_as(None)
    }

    /// Returns the target as it is kept in the shared cache: with the moment at which the database said so.
    pub fn encode_fetched(&self, fetched: Moment) -> Vec<u8> {
        self.encode_as(Some(fetched))
    }

    fn encode_as(&self, fetched: Option<Moment>) -> Vec<u8> {
        let micros = |time: Option<Moment>| time.map(|time| time.timestamp_micros());
        let parameters = self.decoration.iter().flat_map(|decoration| &decoration.parameters);
        let mut encoded = Encoded {
            id: self.id.0.as_bytes().to_vec(),
            workspace_id: self.workspace_id.0.as_bytes().to_vec(),
            destination_url: self.destination_url.clone(),
            ios_url: self.ios_url.clone(),
            android_url: self.android_url.clone(),
            web_url: self.web_url.clone(),
            active: self.active,
            start_micros: micros(self.start_time),
            expire_micros: micros(self.expire_time),
            version: self.version,
            ios_universal_link: self.ios_universal_link.clone(),
            android_app_link: self.android_app_link.clone(),
            parameters: parameters.flat_map(|(name, value)| [name.clone(), value.clone()]).collect(),
            append_click_id: self.decoration.as_ref().is_some_and(|decoration| decoration.append_click_id),
            of_campaign: self.decoration.as_ref().map_or(0, |decoration| decoration.of_campaign.into()),
            keep_query: !self.forward_query,
            rules: self.rules.stored().to_vec(),
            fetched_micros: micros(fetched),
            settings: self.house.as_ref().map(|house| house.settings.clone()),
            suspended: self.house.as_ref().is_some_and(|house| house.suspended),
            max_clicks: self.max_clicks,
            ..Encoded::default()
        };
        if let Some(extras) = &self.extras {
            encoded.title = extras.title.to_string();
            encoded.description = extras.description.to_string();
            encoded.targeting =
                extras.targeting.as_ref().map(|targeting| targeting.stored()).unwrap_or_default();
            encoded.og = extras.og.as_deref().cloned();
            encoded.warn_micros = micros(extras.warn_time);
            encoded.disable_micros = micros(extras.disable_time);
            encoded.has_password = extras.has_password;
            encoded.app_scheme = extras.app_scheme.to_string();
            encoded.deep_link_path = extras.deep_link_path.to_string();
            encoded.launchpad = extras.launchpad.into();
            encoded.slug = extras.slug.to_string();
            encoded.redirect_status = extras.redirect_status.into();
            encoded.cache_seconds = extras.cache_seconds;
        }
        let mut bytes = Vec::with_capacity(1 + encoded.encoded_len());
        bytes.push(FORM);
        bytes.extend_from_slice(&encoded.encode_to_vec());
        bytes
    }

    /// Reads what [`Target::encode`] wrote, the version before included; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Self::decode_fetched(bytes).map(|(target, _)| target)
    }

    /// Reads what [`Target::encode_fetched`] wrote, and when the database said so, if that is there.
    pub fn decode_fetched(bytes: &[u8]) -> Option<(Self, Option<Moment>)> {
        let (&(FORM | FORM_BEFORE), rest) = bytes.split_first()? else { return None };
        let encoded = Encoded::decode(rest).ok()?;
        let (launchpad, redirect_status) = (encoded.launchpad(), encoded.redirect_status());
        let mut parameters = Vec::with_capacity(encoded.parameters.len() / 2);
        let mut texts = encoded.parameters.into_iter();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            parameters.push((name, value));
        }
        let of_campaign = u8::try_from(encoded.of_campaign).unwrap_or(u8::MAX);
        let extras = Extras {
            title: encoded.title.into(),
            description: encoded.description.into(),
            targeting: Targeting::load(&encoded.targeting),
            og: encoded.og.map(Box::new),
            warn_time: encoded.warn_micros.map(from_micros),
            disable_time: encoded.disable_micros.map(from_micros),
            has_password: encoded.has_password,
            app_scheme: encoded.app_scheme.into(),
            deep_link_path: encoded.deep_link_path.into(),
            launchpad,
            slug: encoded.slug.into(),
            redirect_status,
            cache_seconds: encoded.cache_seconds,
        };
        let target = Self {
            id: LinkId(Uuid::from_slice(&encoded.id).ok()?),
            workspace_id: WorkspaceId(Uuid::from_slice(&encoded.workspace_id).ok()?),
            destination_url: encoded.destination_url,
            ios_url: encoded.ios_url,
            android_url: encoded.android_url,
            web_url: encoded.web_url,
            ios_universal_link: encoded.ios_universal_link,
            android_app_link: encoded.android_app_link,
            decoration: Decoration::of((parameters, of_campaign), encoded.append_click_id),
            forward_query: !encoded.keep_query,
            rules: Rules::load(encoded.rules),
            extras: extras.boxed(),
            house: House::shared(encoded.settings, encoded.suspended),
            active: encoded.active,
            start_time: encoded.start_micros.map(from_micros),
            expire_time: encoded.expire_micros.map(from_micros),
            max_clicks: encoded.max_clicks,
            version: encoded.version,
        };
        Some((target, encoded.fetched_micros.map(from_micros)))
    }
}

#[cfg(test)]
impl Target {
    /// Returns the target of a link that has nothing but a destination.
    pub(crate) fn bare() -> Self {
        let (ids, now) = (crate::ids::Ids::seeded(5), from_micros(1_700_000_000_000_001));
        Self {
            id: LinkId::mint(&ids, now),
            workspace_id: WorkspaceId::mint(&ids, now),
            destination_url: "https://example.com/".into(),
            ios_url: String::new(),
            android_url: String::new(),
            web_url: String::new(),
            ios_universal_link: String::new(),
            android_app_link: String::new(),
            decoration: None,
            forward_query: true,
            rules: Rules::default(),
            extras: None,
            house: None,
            active: true,
            start_time: None,
            expire_time: None,
            max_clicks: 0,
            version: 1,
        }
    }
}

#[cfg(test)]
impl Row {
    /// Returns the row of a link that has nothing at all.
    pub(super) fn bare() -> Self {
        let (ids, now) = (crate::ids::Ids::seeded(5), from_micros(0));
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

/// The columns of a link, of its workspace and of its template that make up its target.
#[expect(clippy::struct_excessive_bools, reason = "they are columns")]
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub(super) struct Row {
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

impl From<Row> for Target {
    fn from(mut row: Row) -> Self {
        if let Some(template) = from_bytes(row.defaults.as_deref()) {
            inherit(&mut row, template);
        }
        let parameters = parameters(from_json(row.utm), from_json(row.deep_link_parameters));
        let extras = Extras {
            title: row.title.into(),
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
        Self {
            id: row.id,
            workspace_id: row.workspace_id,
            destination_url: row.destination_url,
            ios_url: row.ios_url,
            android_url: row.android_url,
            web_url: row.web_url,
            ios_universal_link: row.ios_universal_link,
            android_app_link: row.android_app_link,
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
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            android_url: "https://play.google.com/".into(),
            expire_time: Some(from_micros(1_700_000_000_000_001)),
            version: 7,
            ..Target::bare()
        }
    }

    #[test]
    fn a_target_survives_its_encoding_and_is_small() {
        let encoded = target().encode();
        assert_eq!(Target::decode(&encoded), Some(target()));
        assert!(encoded.len() < 128, "{}", encoded.len());
        assert!(size_of::<Target>() <= 320, "{}", size_of::<Target>());
        let long_ago = Target { start_time: Some(from_micros(-5)), ..target() };
        assert_eq!(Target::decode(&long_ago.encode()), Some(long_ago));
        let limited = Target { max_clicks: 1_000_000_000, ..target() };
        assert_eq!(Target::decode(&limited.encode()), Some(limited));
        let texts = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
        };
        for parameters in [texts(&[]), texts(&[("utm_source", "mail"), ("id", "")])] {
            for (append_click_id, forward_query) in [(false, true), (true, false)] {
                let decorated = Target {
                    ios_universal_link: "https://example.com/i".into(),
                    android_app_link: "https://example.com/a".into(),
                    decoration: Decoration::of((parameters.clone(), 0), append_click_id),
                    forward_query,
                    ..target()
                };
                assert_eq!(Target::decode(&decorated.encode()), Some(decorated));
            }
        }
    }

    #[test]
    fn what_few_links_have_survives_too_and_so_does_the_moment_it_was_learnt() {
        let moment = |seconds: i64| Some(from_micros(seconds * 1_000_000));
        let stored = v1::Targeting { countries: vec!["DE".into()], ..Default::default() }.encode_to_vec();
        let extras = Extras {
            title: "title".into(),
            description: "description".into(),
            targeting: Targeting::load(&stored),
            og: Some(Box::new(v1::Og { title: "og".into(), ..Default::default() })),
            warn_time: moment(1),
            disable_time: moment(2),
            has_password: true,
            app_scheme: "myapp".into(),
            deep_link_path: "/p".into(),
            launchpad: v1::LaunchpadMode::Off,
            slug: "app".into(),
            redirect_status: v1::RedirectStatus::MovedPermanently,
            cache_seconds: 60,
        };
        let settings = v1::WorkspaceSettings { web_url: "https://example.com/".into(), ..Default::default() };
        for (settings, suspended) in [(None, false), (None, true), (Some(settings), true)] {
            let whole = Target {
                extras: extras.clone().boxed(),
                house: House::shared(settings, suspended),
                decoration: Decoration::of((vec![("utm_source".into(), "x".into())], 1), false),
                ..target()
            };
            assert_eq!(Target::decode_fetched(&whole.encode()), Some((whole.clone(), None)));
            let fetched = from_micros(77);
            let read = Target::decode_fetched(&whole.encode_fetched(fetched));
            assert_eq!(read, Some((whole, Some(fetched))));
        }
    }

    #[test]
    fn the_form_of_the_version_before_is_read() {
        let mut before = target().encode();
        before[0] = FORM_BEFORE;
        assert_eq!(Target::decode(&before), Some(target()));
    }

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

    #[test]
    fn anything_else_is_no_target() {
        let encoded = target().encode();
        for bytes in [&[][..], &[FORM], &[FORM, 0xff], &encoded[1..], &encoded[..encoded.len() - 1], b"{}"] {
            assert_eq!(Target::decode(bytes), None, "{bytes:?}");
        }
        let mut newer = encoded;
        newer[0] = FORM + 1;
        assert_eq!(Target::decode(&newer), None);
    }
}
