//! What a redirect needs of a link: little, so that many fit into memory.

use prost::Message as _;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QuerySelect as _, prelude::Json,
};
use uuid::Uuid;

use super::{
    app_fields::{Texts, from_json},
    routing::Rules,
};
use crate::{
    clock::{Moment, from_micros},
    entity::link::{Column, Entity},
    ids::{LinkId, WorkspaceId},
};

/// The first byte of an encoded target: which form the rest has.
const FORM: u8 = 2;
/// The form of the version before. It has fewer fields; those it lacks are as on a link that never set them.
const FORM_BEFORE: u8 = 1;

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
    /// Whether the id of the click is among them.
    pub append_click_id: bool,
}

impl Decoration {
    fn of(parameters: Vec<(String, String)>, append_click_id: bool) -> Option<Box<Self>> {
        let decoration = Self { parameters, append_click_id };
        (decoration != Self::default()).then(|| Box::new(decoration))
    }
}

/// Returns the parameters a link sets: those of its campaign, then those of the app, which win.
fn parameters(utm: Texts, deep_link: Texts) -> Vec<(String, String)> {
    let utm = utm.into_iter().map(|(name, value)| (format!("utm_{name}"), value));
    let of_campaign: Vec<_> = utm.filter(|(name, _)| !deep_link.contains_key(name)).collect();
    of_campaign.into_iter().chain(deep_link).collect()
}

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
}

impl Target {
    /// Returns the target as it is kept in shared caches and snapshots.
    pub fn encode(&self) -> Vec<u8> {
        let encoded = Encoded {
            id: self.id.0.as_bytes().to_vec(),
            workspace_id: self.workspace_id.0.as_bytes().to_vec(),
            destination_url: self.destination_url.clone(),
            ios_url: self.ios_url.clone(),
            android_url: self.android_url.clone(),
            web_url: self.web_url.clone(),
            active: self.active,
            start_micros: self.start_time.map(|time| time.timestamp_micros()),
            expire_micros: self.expire_time.map(|time| time.timestamp_micros()),
            version: self.version,
            ios_universal_link: self.ios_universal_link.clone(),
            android_app_link: self.android_app_link.clone(),
            parameters: self
                .decoration
                .iter()
                .flat_map(|decoration| &decoration.parameters)
                .flat_map(|(name, value)| [name.clone(), value.clone()])
                .collect(),
            append_click_id: self.decoration.as_ref().is_some_and(|decoration| decoration.append_click_id),
            keep_query: !self.forward_query,
            rules: self.rules.stored().to_vec(),
            max_clicks: self.max_clicks,
        };
        let mut bytes = Vec::with_capacity(1 + encoded.encoded_len());
        bytes.push(FORM);
        bytes.extend_from_slice(&encoded.encode_to_vec());
        bytes
    }

    /// Reads what [`Target::encode`] wrote, the version before included; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&(FORM | FORM_BEFORE), rest) = bytes.split_first()? else { return None };
        let encoded = Encoded::decode(rest).ok()?;
        let mut parameters = Vec::with_capacity(encoded.parameters.len() / 2);
        let mut texts = encoded.parameters.into_iter();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            parameters.push((name, value));
        }
        Some(Self {
            id: LinkId(Uuid::from_slice(&encoded.id).ok()?),
            workspace_id: WorkspaceId(Uuid::from_slice(&encoded.workspace_id).ok()?),
            destination_url: encoded.destination_url,
            ios_url: encoded.ios_url,
            android_url: encoded.android_url,
            web_url: encoded.web_url,
            ios_universal_link: encoded.ios_universal_link,
            android_app_link: encoded.android_app_link,
            decoration: Decoration::of(parameters, encoded.append_click_id),
            forward_query: !encoded.keep_query,
            rules: Rules::load(encoded.rules),
            active: encoded.active,
            start_time: encoded.start_micros.map(from_micros),
            expire_time: encoded.expire_micros.map(from_micros),
            max_clicks: encoded.max_clicks,
            version: encoded.version,
        })
    }
}

/// The columns of a link that make up its target.
#[derive(FromQueryResult)]
struct Row {
    id: LinkId,
    workspace_id: WorkspaceId,
    destination_url: String,
    ios_url: String,
    android_url: String,
    web_url: String,
    ios_universal_link: String,
    android_app_link: String,
    deep_link_parameters: Json,
    utm: Json,
    append_click_id: bool,
    forward_query: bool,
    routing_rules: Option<Vec<u8>>,
    active: bool,
    start_time: Option<Moment>,
    expire_time: Option<Moment>,
    max_clicks: i64,
    version: i64,
}

impl From<Row> for Target {
    fn from(row: Row) -> Self {
        let parameters = parameters(from_json(row.utm), from_json(row.deep_link_parameters));
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
            active: row.active,
            start_time: row.start_time,
            expire_time: row.expire_time,
            max_clicks: row.max_clicks,
            version: row.version,
        }
    }
}

/// Returns the target of a code, in one query by a unique index. The visitor's tenant is the code's: this is the one
/// question about links that starts from no workspace.
pub async fn find_target(
    db: &impl ConnectionTrait,
    domain: &str,
    short_code: &str,
) -> Result<Option<Target>, DbErr> {
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
        ])
        .filter(Column::Domain.eq(domain))
        .filter(Column::ShortCode.eq(short_code))
        .into_model::<Row>()
        .one(db)
        .await
        .map(|row| row.map(Target::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ids;

    fn target() -> Target {
        let (ids, now) = (Ids::seeded(3), from_micros(1_700_000_000_000_001));
        Target {
            id: LinkId::mint(&ids, now),
            workspace_id: WorkspaceId::mint(&ids, now),
            destination_url: "https://example.com/".into(),
            ios_url: String::new(),
            android_url: "https://play.google.com/".into(),
            web_url: String::new(),
            ios_universal_link: String::new(),
            android_app_link: String::new(),
            decoration: None,
            forward_query: true,
            rules: Rules::default(),
            active: true,
            start_time: None,
            expire_time: Some(now),
            max_clicks: 0,
            version: 7,
        }
    }

    #[test]
    fn a_target_survives_its_encoding_and_is_small() {
        let encoded = target().encode();
        assert_eq!(Target::decode(&encoded), Some(target()));
        assert!(encoded.len() < 128, "{}", encoded.len());
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
                    decoration: Decoration::of(parameters.clone(), append_click_id),
                    forward_query,
                    ..target()
                };
                assert_eq!(Target::decode(&decorated.encode()), Some(decorated));
            }
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
        let set = parameters(utm, texts(&[("id", "1"), ("utm_source", "app")]));
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
