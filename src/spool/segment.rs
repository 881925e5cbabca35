//! The bytes of a segment file: header, records, and the scan that finds what is whole.
//!
//! Everything here is a pure function over bytes. Recovery, the reader and `inspect` share it, so there is one
//! opinion about what a valid record is.
//!
//! ```text
//! segment = header copy | header copy | record* | zeros (preallocated, never counted as data)
//! header  = magic 8 | version u16 | zero u16 | number u64 | segment id u64 | crc32c u32          (32 bytes)
//! record  = len u32 | crc32c u32 | kind u8 | ver u8 | uuid 16 | payload                          (26 + payload)
//! ```
//!
//! Little endian. `len` counts what follows the checksum. The checksum covers `len`, everything after itself, the
//! random segment id and the record's offset. Bytes left over from another file or another place never validate,
//! and nobody who can choose a payload can plant a record inside it without knowing the id.

use std::ops::Range;

use uuid::Uuid;

/// Bytes before the first record: the header, twice, so that one flipped bit does not cost a segment.
pub(super) const HEADER_LEN: u64 = 2 * HEADER_COPY as u64;
/// The largest record, its frame included.
pub(super) const MAX_RECORD: usize = 64 * 1024;
/// Bytes of a record before its payload.
pub(super) const FRAME: usize = CHECKED_FROM + 18;

const HEADER_COPY: usize = 32;
const MAGIC: [u8; 8] = *b"L40SPOOL";
const FORMAT: u16 = 1;
/// `len` and the checksum itself.
const CHECKED_FROM: usize = 8;
/// The layout version of what a record carries. A change of the frame itself would change [`FORMAT`].
const RECORD_VERSION: u8 = 1;

/// Which segment some bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub number: u64,
    pub id: u64,
}

/// Why a header could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// Neither copy is whole.
    Damaged,
    /// Whole, but of a format that this program does not know. Such a file is left alone.
    Version(u16),
}

pub(super) fn encode_header(header: Header) -> [u8; HEADER_LEN as usize] {
    let mut copy = [0; HEADER_COPY];
    copy[..8].copy_from_slice(&MAGIC);
    copy[8..10].copy_from_slice(&FORMAT.to_le_bytes());
    copy[12..20].copy_from_slice(&header.number.to_le_bytes());
    copy[20..28].copy_from_slice(&header.id.to_le_bytes());
    let crc = crc32c::crc32c(&copy[..28]);
    copy[28..].copy_from_slice(&crc.to_le_bytes());
    let mut both = [0; HEADER_LEN as usize];
    both[..HEADER_COPY].copy_from_slice(&copy);
    both[HEADER_COPY..].copy_from_slice(&copy);
    both
}

pub(super) fn decode_header(bytes: &[u8]) -> Result<Header, BadHeader> {
    for copy in bytes.chunks_exact(HEADER_COPY).take(2) {
        if copy[..8] != MAGIC || read_u32(copy, 28) != crc32c::crc32c(&copy[..28]) {
            continue;
        }
        let version = u16::from_le_bytes([copy[8], copy[9]]);
        if version != FORMAT {
            return Err(BadHeader::Version(version));
        }
        return Ok(Header { number: read_u64(copy, 12), id: read_u64(copy, 20) });
    }
    Err(BadHeader::Damaged)
}

/// A record found in a segment's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub kind: u8,
    pub version: u8,
    pub id: Uuid,
    /// Where the payload lies in the slice that was searched.
    pub payload: Range<usize>,
}

impl Found {
    /// Where the record ends in the slice that was searched.
    pub fn end(&self) -> usize {
        self.payload.end
    }
}

/// Writes an unsealed record into `buffer`, replacing what was there, and returns its checksum so far. `payload` adds its
/// bytes.
///
/// This is the part that needs no lock: [`seal`] adds the place once it is known.
pub(super) fn encode(buffer: &mut Vec<u8>, kind: u8, id: Uuid, payload: impl FnOnce(&mut Vec<u8>)) -> u32 {
    buffer.clear();
    buffer.extend_from_slice(&[0; CHECKED_FROM]);
    buffer.extend_from_slice(&[kind, RECORD_VERSION]);
    buffer.extend_from_slice(id.as_bytes());
    payload(buffer);
    let len = (buffer.len() - CHECKED_FROM) as u32;
    buffer[..4].copy_from_slice(&len.to_le_bytes());
    unplaced_crc(buffer)
}

/// Completes the checksum of a record that will be written at `offset` of the segment `segment_id`.
pub(super) fn seal(record: &mut [u8], unplaced: u32, segment_id: u64, offset: u64) {
    let crc = placed_crc(unplaced, segment_id, offset);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// The checksum of a record without its place: what [`encode`] returned for it.
pub(super) fn unplaced_crc(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..4]), &record[CHECKED_FROM..])
}

fn placed_crc(unplaced: u32, segment_id: u64, offset: u64) -> u32 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&segment_id.to_le_bytes());
    place[8..].copy_from_slice(&offset.to_le_bytes());
    crc32c::crc32c_append(unplaced, &place)
}

/// The length that the frame at `at` claims, if a record of that length could lie there.
fn plausible_len(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    if rest.len() < FRAME {
        return None;
    }
    let len = read_u32(rest, 0) as usize + CHECKED_FROM;
    (FRAME..=MAX_RECORD.min(rest.len())).contains(&len).then_some(len)
}

/// The record at `bytes[at]`, or `None` if there is no whole one. `base` is the file offset of `bytes[0]`.
pub(super) fn decode(bytes: &[u8], at: usize, base: u64, segment_id: u64) -> Option<Found> {
    let len = plausible_len(bytes, at)?;
    let record = &bytes[at..at + len];
    let crc = placed_crc(unplaced_crc(record), segment_id, base + at as u64);
    if crc != read_u32(record, 4) {
        return None;
    }
    let mut id = [0; 16];
    id.copy_from_slice(&record[10..26]);
    Some(Found {
        kind: record[8],
        version: record[9],
        id: Uuid::from_bytes(id),
        payload: at + FRAME..at + len,
    })
}

/// The next whole record after damage, at `from` or later.
///
/// Lengths cannot be trusted here, so every offset is tried. Work is bounded: bytes that look like many lengths
/// would otherwise make this quadratic. What is given up is still in the quarantined file.
pub(super) fn next_valid(bytes: &[u8], from: usize, base: u64, segment_id: u64) -> Option<usize> {
    let mut budget = bytes.len().saturating_mul(64).max(MAX_RECORD * 64);
    for at in from..bytes.len().saturating_sub(FRAME - 1) {
        let Some(len) = plausible_len(bytes, at) else { continue };
        if decode(bytes, at, base, segment_id).is_some() {
            return Some(at);
        }
        budget = budget.checked_sub(len)?;
    }
    None
}

/// What a scan found beside the records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Scan {
    pub records: u64,
    /// The file offset after the last whole record.
    pub end: u64,
    /// Damaged places that are followed by whole records, as file offsets.
    pub damage: Vec<Range<u64>>,
    /// Bytes after `end` that are not preallocated zeros: a torn write.
    pub torn: u64,
}

/// Visits every whole record of a segment's bytes, the file's first byte first, in order.
pub(super) fn scan(bytes: &[u8], segment_id: u64, mut visit: impl FnMut(u64, &Found)) -> Scan {
    let mut scan = Scan { end: HEADER_LEN, ..Scan::default() };
    let mut at = HEADER_LEN as usize;
    loop {
        if let Some(found) = decode(bytes, at, 0, segment_id) {
            visit(at as u64, &found);
            at = found.end();
            scan.records += 1;
            scan.end = at as u64;
            continue;
        }
        let Some(next) = next_valid(bytes, at + 1, 0, segment_id) else { break };
        scan.damage.push(at as u64..next as u64);
        at = next;
    }
    let tail = bytes.get(scan.end as usize..).unwrap_or_default();
    scan.torn = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    scan
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from(read_u32(bytes, at)) | u64::from(read_u32(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: u64 = 0x1234_5678_9abc_def0;

    /// A segment with these payloads, and where each record begins and ends.
    fn segment(payloads: &[&[u8]]) -> (Vec<u8>, Vec<Range<usize>>) {
        let mut bytes = encode_header(Header { number: 7, id: ID }).to_vec();
        let mut places = Vec::new();
        let mut record = Vec::new();
        for (n, payload) in payloads.iter().enumerate() {
            let unplaced = encode(&mut record, 1, Uuid::from_u128(n as u128 + 1), |record| {
                record.extend_from_slice(payload);
            });
            seal(&mut record, unplaced, ID, bytes.len() as u64);
            places.push(bytes.len()..bytes.len() + record.len());
            bytes.extend_from_slice(&record);
        }
        (bytes, places)
    }

    fn ids(bytes: &[u8]) -> (Vec<u128>, Scan) {
        let mut ids = Vec::new();
        let scan = scan(bytes, ID, |_, found| ids.push(found.id.as_u128()));
        (ids, scan)
    }

    #[test]
    fn every_prefix_gives_exactly_the_whole_records() {
        let (bytes, places) = segment(&[b"first", b"", b"the third one"]);
        for len in 0..=bytes.len() {
            let expected: Vec<u128> =
                places.iter().zip(1..).filter(|(place, _)| place.end <= len).map(|(_, id)| id).collect();
            let (found, scan) = ids(&bytes[..len]);
            assert_eq!(found, expected, "prefix of {len} bytes");
            assert!(scan.damage.is_empty(), "a torn tail is not damage, prefix of {len} bytes");
            let end =
                places.iter().filter(|place| place.end <= len).map(|place| place.end).max().unwrap_or(64);
            assert!(scan.torn <= len.saturating_sub(end) as u64);

            // The same prefix in a preallocated file.
            let mut padded = bytes[..len].to_vec();
            padded.resize(bytes.len() + 512, 0);
            assert_eq!(ids(&padded).0, expected, "zero-padded prefix of {len} bytes");
        }
    }

    #[test]
    fn every_flipped_bit_costs_the_touched_record_and_no_other() {
        let (bytes, places) = segment(&[b"first", &[0; 70], b"the third one"]);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let header = decode_header(&flipped).expect("one copy is always whole");
            assert_eq!(header, Header { number: 7, id: ID });
            let expected: Vec<u128> = places
                .iter()
                .zip(1..)
                .filter(|(place, _)| !place.contains(&(bit / 8)))
                .map(|(_, id)| id)
                .collect();
            let (found, scan) = ids(&flipped);
            assert_eq!(found, expected, "bit {bit}");
            let last_touched = places[2].contains(&(bit / 8));
            let touched = expected.len() < 3;
            assert_eq!(scan.damage.len(), usize::from(touched && !last_touched), "bit {bit}");
            assert_eq!(scan.torn > 0, last_touched, "bit {bit}");
        }
    }

    #[test]
    fn a_record_does_not_validate_in_another_place_or_segment() {
        let (bytes, places) = segment(&[b"first", b"first"]);
        let first = &bytes[places[0].clone()];
        assert!(decode(first, 0, places[0].start as u64, ID).is_some());
        assert!(decode(first, 0, places[1].start as u64, ID).is_none());
        assert!(decode(first, 0, places[0].start as u64, ID + 1).is_none());
    }

    #[test]
    fn a_record_inside_a_payload_is_not_handed_out() {
        let (inner, places) = segment(&[b"planted"]);
        let (mut bytes, outer) = segment(&[&inner[places[0].clone()], b"real"]);
        bytes[outer[0].start] ^= 1;
        assert_eq!(ids(&bytes).0, [2]);
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = encode_header(Header { number: 1, id: 1 });
        bytes[8] = 9;
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode_header(&bytes), Err(BadHeader::Version(9)));
        assert_eq!(decode_header(&[0; 64]), Err(BadHeader::Damaged));
        assert_eq!(decode_header(&[]), Err(BadHeader::Damaged));
    }

    #[test]
    fn looking_for_records_in_hostile_bytes_ends_soon() {
        // Every fourth offset claims a record of 64 KiB: without a budget 4 MiB would mean 64 GiB of checksums.
        let hostile: Vec<u8> = 65_000_u32.to_le_bytes().repeat(1 << 20);
        let started = std::time::Instant::now();
        assert_eq!(next_valid(&hostile, 0, 0, ID), None);
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn garbage_never_panics_and_never_validates(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
            prop_assert_eq!(ids(&bytes).0.len(), 0);
            prop_assert!(decode_header(&bytes).is_err());
        }

        #[test]
        fn garbage_between_records_costs_no_record(
            before in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
            garbage in prop::collection::vec(any::<u8>(), 1..300),
            after in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
        ) {
            let payloads: Vec<&[u8]> = before.iter().map(Vec::as_slice).collect();
            let (mut bytes, _) = segment(&payloads);
            bytes.extend_from_slice(&garbage);
            let mut record = Vec::new();
            for payload in &after {
                let unplaced = encode(&mut record, 2, Uuid::from_u128(99), |record| record.extend_from_slice(payload));
                seal(&mut record, unplaced, ID, bytes.len() as u64);
                bytes.extend_from_slice(&record);
            }
            let (found, scan) = ids(&bytes);
            prop_assert_eq!(found.len(), before.len() + after.len());
            prop_assert_eq!(scan.damage.len(), usize::from(!after.is_empty()));
        }
    }
}
