//! Writes the smallest MaxMind-format file that says where networks are (the format: <https://maxmind.github.io/MaxMind-DB/>).

use std::net::IpAddr;

use ipnet::IpNet;

/// Where a file keeps the country.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// As MaxMind does.
    Nested,
    /// As ip-location-db does.
    Flat,
}

const MAP: u8 = 7;
const TEXT: u8 = 2;
const U16: u8 = 5;
const U32: u8 = 6;
const U64: u8 = 9;
const ARRAY: u8 = 11;

/// What half of a node points to.
#[derive(Clone, Copy)]
enum Half {
    Nothing,
    Node(usize),
    Data(usize),
}

/// Returns the bytes of a file of countries.
pub fn countries(shape: Shape, networks: &[(&str, &str)]) -> Vec<u8> {
    let records = networks.iter().map(|(network, country)| {
        let mut data = Vec::new();
        match shape {
            Shape::Nested => {
                head(&mut data, MAP, 1);
                text(&mut data, "country");
                head(&mut data, MAP, 1);
                text(&mut data, "iso_code");
            }
            Shape::Flat => {
                head(&mut data, MAP, 1);
                text(&mut data, "country_code");
            }
        }
        text(&mut data, country);
        (*network, data)
    });
    file(records)
}

/// A network, its country, the codes of the parts of the country it is in and its city.
pub type City<'a> = (&'a str, &'a str, &'a [&'a str], &'a str);

/// Returns the bytes of a file of cities, as MaxMind makes them.
pub fn cities(networks: &[City<'_>]) -> Vec<u8> {
    let records = networks.iter().map(|(network, country, parts, city)| {
        let mut data = Vec::new();
        head(&mut data, MAP, 3);
        text(&mut data, "city");
        head(&mut data, MAP, 1);
        text(&mut data, "names");
        head(&mut data, MAP, 2);
        text(&mut data, "de");
        text(&mut data, "Anderswo");
        text(&mut data, "en");
        text(&mut data, city);
        text(&mut data, "country");
        head(&mut data, MAP, 1);
        text(&mut data, "iso_code");
        text(&mut data, country);
        text(&mut data, "subdivisions");
        head(&mut data, ARRAY, u8::try_from(parts.len()).expect("few"));
        for part in *parts {
            head(&mut data, MAP, 1);
            text(&mut data, "iso_code");
            text(&mut data, part);
        }
        (*network, data)
    });
    file(records)
}

/// Returns the bytes of a file. IPv4 networks stand below ::/96, as in every file for both.
fn file<'a>(records: impl Iterator<Item = (&'a str, Vec<u8>)>) -> Vec<u8> {
    let (mut nodes, mut data) = (vec![[Half::Nothing; 2]], Vec::new());
    for (network, record) in records {
        let network: IpNet = network.parse().expect("a network");
        let (bits, length) = match network.network() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 96 + network.prefix_len()),
            IpAddr::V6(v6) => (v6.to_bits(), network.prefix_len()),
        };
        let at = data.len();
        data.extend_from_slice(&record);
        let mut node = 0;
        for depth in 0..length {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth + 1 == length {
                nodes[node][side] = Half::Data(at);
            } else if let Half::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Half::Nothing; 2]);
                nodes[node][side] = Half::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let mut file = Vec::new();
    for half in nodes.iter().flatten() {
        let value = match half {
            Half::Nothing => nodes.len(),
            Half::Node(node) => *node,
            Half::Data(at) => nodes.len() + 16 + at,
        };
        file.extend_from_slice(&u32::try_from(value).expect("a small file").to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(&data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    describe(&mut file, nodes.len());
    file
}

fn describe(file: &mut Vec<u8>, nodes: usize) {
    head(file, MAP, 9);
    text(file, "node_count");
    number(file, U32, nodes as u64);
    text(file, "record_size");
    number(file, U16, 24);
    text(file, "ip_version");
    number(file, U16, 6);
    text(file, "database_type");
    text(file, "linkforty-test");
    text(file, "languages");
    head(file, ARRAY, 0);
    text(file, "binary_format_major_version");
    number(file, U16, 2);
    text(file, "binary_format_minor_version");
    number(file, U16, 0);
    text(file, "build_epoch");
    number(file, U64, 1_795_348_800);
    text(file, "description");
    head(file, MAP, 0);
}

/// Writes the type and the size of a value.
fn head(to: &mut Vec<u8>, kind: u8, size: u8) {
    assert!(size < 29, "no test needs more");
    if kind < 8 {
        to.push(kind << 5 | size);
    } else {
        to.extend_from_slice(&[size, kind - 7]);
    }
}

fn text(to: &mut Vec<u8>, value: &str) {
    head(to, TEXT, u8::try_from(value.len()).expect("short"));
    to.extend_from_slice(value.as_bytes());
}

fn number(to: &mut Vec<u8>, kind: u8, value: u64) {
    let bytes = value.to_be_bytes();
    let significant = &bytes[value.leading_zeros() as usize / 8..];
    head(to, kind, u8::try_from(significant.len()).expect("at most eight"));
    to.extend_from_slice(significant);
}
