//! A click as the spool holds it: `linkforty.internal.v1.ClickRecord`.
//!
//! It is written and read by hand, because every redirect writes one and prost would first have every text copied into a
//! message; tests hold it and prost together.

use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field,
};
use uuid::Uuid;

use super::{class::Class, query::CAMPAIGN, store::Row};
use crate::{
    geo::{Country, Region},
    ids::{ClickId, LeaseId, LinkId, WorkspaceId},
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
    pub address: u32,
    pub region: Option<Region>,
    pub city: &'a str,
}

/// Writes a record behind what is there.
pub(super) fn encode(fields: &Fields<'_>, record: &mut Vec<u8>) {
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
        address,
        region,
        city,
    } = fields;
    bytes(record, 1, workspace);
    bytes(record, 2, link);
    number(record, 3, *platform);
    number(record, 4, *class);
    number(record, 5, *step);
    bytes(record, 6, network);
    encode_key(7, WireType::SixtyFourBit, record);
    record.extend_from_slice(&visitor.to_le_bytes());
    bytes(record, 8, user_agent.as_bytes());
    bytes(record, 9, referrer_host.as_bytes());
    bytes(record, 10, language.as_bytes());
    bytes(record, 11, query.as_bytes());
    bytes(record, 12, country.as_ref().map_or("", Country::as_str).as_bytes());
    for (name, value) in parameters.iter().filter(|(name, _)| CAMPAIGN.contains(&name.as_str())) {
        encode_key(13, WireType::LengthDelimited, record);
        encode_varint((name.len() + 1 + value.len()) as u64, record);
        record.extend_from_slice(name.as_bytes());
        record.push(b'=');
        record.extend_from_slice(value.as_bytes());
    }
    bytes(record, 14, lease);
    if *address != 0 {
        encode_key(15, WireType::ThirtyTwoBit, record);
        record.extend_from_slice(&address.to_le_bytes());
    }
    if let Some(region) = region {
        let (country, code) = region.parts();
        encode_key(16, WireType::LengthDelimited, record);
        encode_varint((country.len() + 1 + code.len()) as u64, record);
        record.extend_from_slice(country.as_bytes());
        record.push(b'-');
        record.extend_from_slice(code.as_bytes());
    }
    bytes(record, 17, city.as_bytes());
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

/// Reads a record; `None` for bytes that are no click. By hand too, because the drain would otherwise have every text copied
/// out of its batch. Fields of a later release are passed over.
pub fn decode(id: Uuid, payload: &[u8]) -> Option<Row<'_>> {
    let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
    let small = |number: u64| i16::try_from(number).ok();
    let mut row = Row {
        id: ClickId(id),
        workspace: WorkspaceId(Uuid::nil()),
        link: LinkId(Uuid::nil()),
        platform: 0,
        class: Class::Human,
        step: 0,
        network: &[],
        visitor: 0,
        user_agent: "",
        referrer_host: "",
        language: "",
        query: "",
        link_campaign: Vec::new(),
        country: None,
        lease: None,
        address: None,
        region: "",
        city: "",
    };
    let (mut named, mut rest) = ((false, false), payload);
    while !rest.is_empty() {
        let (field, kind) = decode_key(&mut rest).ok()?;
        match (field, kind) {
            (1, WireType::LengthDelimited) => {
                (row.workspace, named.0) = (WorkspaceId(uuid(taken(&mut rest)?)?), true);
            }
            (2, WireType::LengthDelimited) => {
                (row.link, named.1) = (LinkId(uuid(taken(&mut rest)?)?), true);
            }
            (3, WireType::Varint) => row.platform = small(decode_varint(&mut rest).ok()?)?,
            (4, WireType::Varint) => row.class = Class::of_number(small(decode_varint(&mut rest).ok()?)?)?,
            (5, WireType::Varint) => row.step = small(decode_varint(&mut rest).ok()?)?,
            (6, WireType::LengthDelimited) => row.network = taken(&mut rest)?,
            (7, WireType::SixtyFourBit) => {
                let (number, after) = rest.split_first_chunk()?;
                (row.visitor, rest) = (i64::from_le_bytes(*number), after);
            }
            (8, WireType::LengthDelimited) => row.user_agent = text(&mut rest)?,
            (9, WireType::LengthDelimited) => row.referrer_host = text(&mut rest)?,
            (10, WireType::LengthDelimited) => row.language = text(&mut rest)?,
            (11, WireType::LengthDelimited) => row.query = text(&mut rest)?,
            (12, WireType::LengthDelimited) => row.country = Country::parse(text(&mut rest)?),
            (13, WireType::LengthDelimited) => row.link_campaign.push(text(&mut rest)?),
            (14, WireType::LengthDelimited) => row.lease = uuid(taken(&mut rest)?).map(LeaseId),
            (15, WireType::ThirtyTwoBit) => {
                let (number, after) = rest.split_first_chunk()?;
                (row.address, rest) = (Some(i32::from_le_bytes(*number)), after);
            }
            (16, WireType::LengthDelimited) => row.region = text(&mut rest)?,
            (17, WireType::LengthDelimited) => row.city = text(&mut rest)?,
            (1..=17, _) => return None,
            _ => skip_field(kind, field, &mut rest, DecodeContext::default()).ok()?,
        }
    }
    (named == (true, true)).then_some(row)
}

/// Takes the bytes of a field off the front.
fn taken<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(decode_varint(rest).ok()?).ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    str::from_utf8(taken(rest)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::pb::internal::v1::ClickRecord;

    #[test]
    fn what_is_written_by_hand_is_what_the_contract_says() {
        let long = "x".repeat(300);
        let parameters =
            [("utm_source", "mail"), ("id", "7"), ("utm_term", ""), ("utm_id", "1"), ("utm_content", &long)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let campaign = ["utm_source=mail".to_owned(), "utm_term=".to_owned(), format!("utm_content={long}")];
        for (user_agent, number, network, country, parameters, campaign, lease, address, region, city) in [
            ("", 0, &[][..], "", &[][..], &[][..], &[][..], 0, "", ""),
            (
                "Mozilla",
                2,
                &[203, 0, 113],
                "CH",
                &parameters[1..2],
                &[],
                &[9; 16],
                u32::MAX,
                "CH-ZH",
                "Zürich",
            ),
            (&long, 6, &[1; 6], "NZ", &parameters, &campaign, &[], 7, "", "Auckland"),
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
                address,
                region: Region::parse(region),
                city,
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
                address,
                region: region.to_owned(),
                city: city.to_owned(),
            };
            let mut record = b"before".to_vec();
            encode(&fields, &mut record);
            let record = record.strip_prefix(b"before").expect("what was there stays");
            assert_eq!(record, message.encode_to_vec());
            let row = decode(Uuid::nil(), record).expect("a click");
            assert_eq!((row.user_agent, row.visitor), (user_agent, -1));
            assert_eq!((row.network, row.platform.unsigned_abs(), row.query), (network, number, "a=b"));
            assert_eq!(row.country, Country::parse(country));
            assert_eq!((row.region, row.city), (region, city));
            assert_eq!(row.link_campaign, campaign);
            assert_eq!(row.lease.is_some(), !lease.is_empty());
            assert_eq!(row.address.map_or(0, i32::cast_unsigned), address);
        }
        assert!(decode(Uuid::nil(), b"garbage").is_none());
    }
    #[test]
    fn a_click_of_a_later_release_is_read_as_far_as_it_is_known() {
        let record = ClickRecord {
            workspace_id: vec![7; 16].into(),
            link_id: vec![8; 16].into(),
            language: "de".to_owned(),
            ..ClickRecord::default()
        };
        let mut bytes = record.encode_to_vec();
        encode_key(900, WireType::LengthDelimited, &mut bytes);
        encode_varint(3, &mut bytes);
        bytes.extend_from_slice(b"new");
        encode_key(901, WireType::ThirtyTwoBit, &mut bytes);
        bytes.extend_from_slice(&[0; 4]);
        assert_eq!(decode(Uuid::nil(), &bytes).map(|row| row.language), Some("de"));
    }

    proptest! {
        #[test]
        fn bytes_are_a_click_to_us_exactly_if_prost_reads_one(
            begins in prop::sample::select(vec![0_usize, 36]),
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut record = Vec::new();
            super::bytes(&mut record, 1, &[7; 16]);
            super::bytes(&mut record, 2, &[8; 16]);
            record.truncate(begins);
            record.extend_from_slice(&bytes);
            let known = ClickRecord::decode(&*record).ok().filter(|read| {
                read.workspace_id.len() == 16
                    && read.link_id.len() == 16
                    && i16::try_from(read.platform).is_ok()
                    && i16::try_from(read.step).is_ok()
                    && i16::try_from(read.class).ok().and_then(Class::of_number).is_some()
            });
            let row = decode(Uuid::nil(), &record);
            // prost cuts numbers to 32 bits and takes the last of a field that is there twice; nobody writes either.
            if let (Some(row), Some(read)) = (&row, &known) {
                prop_assert_eq!((row.query, row.user_agent), (read.query.as_str(), read.user_agent.as_str()));
            }
            prop_assert!(row.is_none() || ClickRecord::decode(&*record).is_ok());
        }
    }
}
