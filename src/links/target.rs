//! What a redirect needs of a link: little, so that many fit into memory.

use prost::Message as _;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QuerySelect as _,
};
use uuid::Uuid;

use crate::{
    clock::{Moment, from_micros},
    entity::link::{Column, Entity},
    ids::{LinkId, WorkspaceId},
};

/// The first byte of an encoded target: which form the rest has.
const FORM: u8 = 1;

/// What a redirect needs of a link.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
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
    /// Whether it redirects.
    pub active: bool,
    /// From when on it redirects.
    pub start_time: Option<Moment>,
    /// From when on it does not.
    pub expire_time: Option<Moment>,
    /// Goes up with every change: of two targets of one link the higher one is newer.
    pub version: i64,
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
        };
        let mut bytes = Vec::with_capacity(1 + encoded.encoded_len());
        bytes.push(FORM);
        bytes.extend_from_slice(&encoded.encode_to_vec());
        bytes
    }

    /// Reads what [`Target::encode`] wrote; `None` for anything else, another version's form included.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let encoded = Encoded::decode(bytes.strip_prefix(&[FORM])?).ok()?;
        Some(Self {
            id: LinkId(Uuid::from_slice(&encoded.id).ok()?),
            workspace_id: WorkspaceId(Uuid::from_slice(&encoded.workspace_id).ok()?),
            destination_url: encoded.destination_url,
            ios_url: encoded.ios_url,
            android_url: encoded.android_url,
            web_url: encoded.web_url,
            active: encoded.active,
            start_time: encoded.start_micros.map(from_micros),
            expire_time: encoded.expire_micros.map(from_micros),
            version: encoded.version,
        })
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
            Column::Active,
            Column::StartTime,
            Column::ExpireTime,
            Column::Version,
        ])
        .filter(Column::Domain.eq(domain))
        .filter(Column::ShortCode.eq(short_code))
        .into_model::<Target>()
        .one(db)
        .await
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
            active: true,
            start_time: None,
            expire_time: Some(now),
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
