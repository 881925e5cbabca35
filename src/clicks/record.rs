//! A click as the spool holds it: `linkforty.internal.v1.ClickRecord`.
//!
//! It is written by hand, because every redirect writes one and prost would first have every text copied into a message;
//! prost reads it, and a test holds the two together.

use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};
use uuid::Uuid;

use super::{class::Class, query::CAMPAIGN, store::Row};
use crate::{
    geo::Country,
    ids::{ClickId, LeaseId, LinkId, WorkspaceId},
    pb::internal::v1::ClickRecord,
};

/// What a record says, borrowed from the request.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub workspace: &'a [u8],
    pub link: &'a [u8],
    pub platform: u16,
    pub class: u16,
    pub step: u16,
    pub network: &'a [u8],
    pub visitor: u64,
    pub user_agent: &'a str,
    pub referrer_host: &'a str,
    pub language: &'a str,
    pub query: &'a str,
    pub parameters: &'a [(String, String)],
    pub country: Option<Country>,
    pub lease: &'a [u8],
}

/// What everything but the texts takes at the most.
const FIXED_BYTES: usize = 86;

/// Writes a record.
pub(super) fn encode(fields: &Fields<'_>) -> Vec<u8> {
    let Fields {
        workspace,
        link,
        platform,
        class,
        step,
        network,
        visitor,
        user_agent,
        referrer_host,
        language,
        query,
        parameters,
        country,
        lease,
    } = fields;
    let texts = user_agent.len() + referrer_host.len() + language.len() + query.len();
    let mut record = Vec::with_capacity(FIXED_BYTES + texts + lease.len());
    bytes(&mut record, 1, workspace);
    bytes(&mut record, 2, link);
    number(&mut record, 3, *platform);
    number(&mut record, 4, *class);
    number(&mut record, 5, *step);
    bytes(&mut record, 6, network);
    encode_key(7, WireType::SixtyFourBit, &mut record);
    record.extend_from_slice(&visitor.to_le_bytes());
    bytes(&mut record, 8, user_agent.as_bytes());
    bytes(&mut record, 9, referrer_host.as_bytes());
    bytes(&mut record, 10, language.as_bytes());
    bytes(&mut record, 11, query.as_bytes());
    bytes(&mut record, 12, country.as_ref().map_or("", Country::as_str).as_bytes());
    for (name, value) in parameters.iter().filter(|(name, _)| CAMPAIGN.contains(&name.as_str())) {
        encode_key(13, WireType::LengthDelimited, &mut record);
        encode_varint((name.len() + 1 + value.len()) as u64, &mut record);
        record.extend_from_slice(name.as_bytes());
        record.push(b'=');
        record.extend_from_slice(value.as_bytes());
    }
    bytes(&mut record, 14, lease);
    record
}

fn bytes(record: &mut Vec<u8>, field: u32, value: &[u8]) {
    if !value.is_empty() {
        encode_key(field, WireType::LengthDelimited, record);
        encode_varint(value.len() as u64, record);
        record.extend_from_slice(value);
    }
}

fn number(record: &mut Vec<u8>, field: u32, value: u16) {
    if value != 0 {
        encode_key(field, WireType::Varint, record);
        encode_varint(u64::from(value), record);
    }
}

/// Reads a record; `None` for bytes that are no click.
pub(super) fn decode(id: Uuid, payload: &[u8]) -> Option<Row> {
    let record = ClickRecord::decode(payload).ok()?;
    let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
    Some(Row {
        id: ClickId(id),
        workspace: WorkspaceId(uuid(&record.workspace_id)?),
        link: LinkId(uuid(&record.link_id)?),
        platform: i16::try_from(record.platform).ok()?,
        class: Class::of_number(i16::try_from(record.class).ok()?)?,
        step: i16::try_from(record.step).ok()?,
        network: record.network.to_vec(),
        visitor: record.visitor.cast_signed(),
        user_agent: record.user_agent,
        referrer_host: record.referrer_host,
        language: record.language,
        query: record.query,
        link_campaign: record.link_campaign,
        country: Country::parse(&record.country),
        lease: uuid(&record.lease_id).map(LeaseId),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_is_what_the_contract_says() {
        let long = "x".repeat(300);
        let parameters =
            [("utm_source", "mail"), ("id", "7"), ("utm_term", ""), ("utm_id", "1"), ("utm_content", &long)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let campaign = ["utm_source=mail".to_owned(), "utm_term=".to_owned(), format!("utm_content={long}")];
        for (user_agent, number, network, country, parameters, campaign, lease) in [
            ("", 0, &[][..], "", &[][..], &[][..], &[][..]),
            ("Mozilla", 2, &[203, 0, 113], "CH", &parameters[1..2], &[], &[9; 16]),
            (&long, 6, &[1; 6], "NZ", &parameters, &campaign, &[]),
        ] {
            let fields = Fields {
                workspace: &[7; 16],
                link: &[8; 16],
                platform: number,
                class: number,
                step: number,
                network,
                visitor: u64::MAX,
                user_agent,
                referrer_host: "example.com",
                language: "",
                query: "a=b",
                parameters,
                country: Country::parse(country),
                lease,
            };
            let message = ClickRecord {
                workspace_id: vec![7; 16].into(),
                link_id: vec![8; 16].into(),
                platform: number.into(),
                class: number.into(),
                step: number.into(),
                network: network.to_vec().into(),
                visitor: u64::MAX,
                user_agent: user_agent.to_owned(),
                referrer_host: "example.com".to_owned(),
                language: String::new(),
                query: "a=b".to_owned(),
                country: country.to_owned(),
                link_campaign: campaign.to_vec(),
                lease_id: lease.to_vec().into(),
            };
            assert_eq!(encode(&fields), message.encode_to_vec());
            let row = decode(Uuid::nil(), &encode(&fields)).expect("a click");
            assert_eq!((row.user_agent.as_str(), row.visitor), (user_agent, -1));
            assert_eq!(row.country, Country::parse(country));
            assert_eq!(row.link_campaign, campaign);
            assert_eq!(row.lease.is_some(), !lease.is_empty());
        }
        assert!(decode(Uuid::nil(), b"garbage").is_none());
    }
}
