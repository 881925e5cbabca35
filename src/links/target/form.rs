//! A target as it is kept in the shared cache and in snapshots: a byte that says the form, then protobuf. Pure.

use prost::Message as _;
use uuid::Uuid;

use super::{Decoration, Target, Urls};
use crate::{
    clock::{Moment, from_micros},
    ids::{LinkId, WorkspaceId},
    links::{
        extras::{Extras, House, Targeting},
        rules::Rules,
    },
    pb::v1,
};

/// The first byte of an encoded target: which form the rest has.
const FORM: u8 = 3;
/// The form of the version before. It has fewer fields; those it lacks are as on a link that never set them.
const FORM_BEFORE: u8 = 2;

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
            destination_url: self.destination_url.to_string(),
            title: self.title.to_string(),
            ios_url: self.addresses.ios_url.clone(),
            android_url: self.addresses.android_url.clone(),
            web_url: self.addresses.web_url.clone(),
            active: self.active,
            start_micros: micros(self.start_time),
            expire_micros: micros(self.expire_time),
            version: self.version,
            ios_universal_link: self.addresses.ios_universal_link.clone(),
            android_app_link: self.addresses.android_app_link.clone(),
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
        let addresses = Urls {
            ios_url: encoded.ios_url,
            android_url: encoded.android_url,
            web_url: encoded.web_url,
            ios_universal_link: encoded.ios_universal_link,
            android_app_link: encoded.android_app_link,
        };
        let target = Self {
            id: LinkId(Uuid::from_slice(&encoded.id).ok()?),
            workspace_id: WorkspaceId(Uuid::from_slice(&encoded.workspace_id).ok()?),
            destination_url: encoded.destination_url.into(),
            addresses: addresses.into(),
            title: encoded.title.into(),
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
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            addresses: Urls { android_url: "https://play.google.com/".into(), ..Urls::default() }.into(),
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
        assert!(size_of::<Target>() <= 160, "{}", size_of::<Target>());
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
                    addresses: Urls {
                        ios_universal_link: "https://example.com/i".into(),
                        android_app_link: "https://example.com/a".into(),
                        ..Urls::default()
                    }
                    .into(),
                    title: "title".into(),
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
