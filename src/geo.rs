//! Where addresses are, out of a MaxMind-format file that the operator brings (`GEOIP_FILE`); without one nobody is anywhere. A file of
//! countries knows countries; one of cities knows parts of countries and cities too. Each is looked up only when somebody asks.
//!
//! The file is held in memory: a mapped one that somebody overwrites in place would end the process. A new file is taken up within
//! ten seconds; a bad one is logged, once, the one before it stays, and `linkforty_geoip_file_good` is 0 until a good one comes.

use std::{
    fmt, fs, io,
    net::IpAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use arc_swap::ArcSwapOption;
use maxminddb::{LookupResult, PathElement, Reader};

/// A country: two upper-case letters (ISO 3166-1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads two letters; `None` for anything else, and for the codes that stand for no country.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
        let letters = letters.map(|letter| letter.to_ascii_uppercase());
        let named = letters.iter().all(u8::is_ascii_uppercase) && !matches!(&letters, b"ZZ" | b"XX");
        named.then_some(Self(letters))
    }

    /// Returns the letters.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A part of a country: its country and up to three letters or digits (ISO 3166-2).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Region {
    country: Country,
    /// What is not used is 0.
    code: [u8; 3],
}

impl Region {
    /// Reads a code such as `US-CA`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (country, code) = text.split_once('-')?;
        Self::of(Country::parse(country)?, code)
    }

    /// Returns the part of `country` that has this code there.
    fn of(country: Country, text: &str) -> Option<Self> {
        let good = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let mut code = [0; 3];
        for (place, byte) in code.iter_mut().zip(text.bytes()) {
            *place = byte.to_ascii_uppercase();
        }
        good.then_some(Self { country, code })
    }
}

impl Region {
    /// Returns the country and the code inside it.
    pub fn parts(&self) -> (&str, &str) {
        let code = str::from_utf8(&self.code).unwrap_or_default().trim_end_matches('\0');
        (self.country.as_str(), code)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (country, code) = self.parts();
        write!(f, "{country}-{code}")
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The parts of a country that an address is in: a large one and, in some countries, a smaller one inside it.
pub type Regions = [Option<Region>; 2];

/// What a file says of an address, all at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// The country.
    pub country: Option<Country>,
    /// The part of it; of two the larger one.
    pub region: Option<Region>,
    /// The English name of the city; empty where nobody knows.
    pub city: &'a str,
}

/// Says whether an address says anything about where somebody is: not loopback, private, link-local, shared (RFC 6598) and
/// the like.
pub fn is_somewhere(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let special = v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || a == 0
                || shared
                || (a, b, c) == (192, 0, 0)
                || (a == 198 && (b == 18 || b == 19));
            !special
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}

/// Where the makers of such files keep the country: MaxMind and DB-IP, ip-location-db, IPinfo.
const PLACES: [&[PathElement<'static>]; 3] = [
    &[PathElement::Key("country"), PathElement::Key("iso_code")],
    &[PathElement::Key("country_code")],
    &[PathElement::Key("country")],
];

/// Where they keep the codes of parts of countries: MaxMind (two of them, the larger first), IPinfo.
const PARTS: [&[PathElement<'static>]; 3] = [
    &[PathElement::Key("subdivisions"), PathElement::Index(0), PathElement::Key("iso_code")],
    &[PathElement::Key("subdivisions"), PathElement::Index(1), PathElement::Key("iso_code")],
    &[PathElement::Key("region_code")],
];

/// Where they keep the English name of the city: MaxMind and DB-IP, ip-location-db and IPinfo.
const CITIES: [&[PathElement<'static>]; 2] = [
    &[PathElement::Key("city"), PathElement::Key("names"), PathElement::Key("en")],
    &[PathElement::Key("city")],
];

/// The file, as it was last good. A cheap clone.
#[derive(Clone)]
pub struct Geo(Arc<Inner>);

struct Inner {
    file: Option<PathBuf>,
    /// The file that was looked at last, good or bad; nothing when it could not be found.
    seen: Mutex<Seen>,
    reader: ArcSwapOption<Reader<Vec<u8>>>,
}

/// What tells two files apart without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Seen {
    #[default]
    Nothing,
    Missing,
    File {
        changed: SystemTime,
        bytes: u64,
        inode: u64,
    },
}

impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Geo").field(&self.0.file).finish()
    }
}

impl Geo {
    /// Returns the handle, without having read the file.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner { file, seen: Mutex::default(), reader: ArcSwapOption::empty() }))
    }

    /// Says whether there is a file to look at.
    pub fn is_set(&self) -> bool {
        self.0.file.is_some()
    }

    /// Reads the file if it is not the one that was looked at last. Blocks for as long as that takes.
    pub fn refresh(&self) {
        let Some(file) = &self.0.file else { return };
        // Held while reading: two that refresh at once would read twice.
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let present = look(file);
        let now = present.as_ref().map_or(Seen::Missing, |seen| *seen);
        if *seen == now {
            return;
        }
        *seen = now;
        match present.and_then(|_| read(file)) {
            Ok(reader) => {
                let (kind, built) = (reader.metadata().database_type.clone(), reader.metadata().build_epoch);
                tracing::info!(file = %file.display(), kind, built, "took up a file of countries");
                metrics::gauge!("linkforty_geoip_file_good").set(1.0);
                metrics::gauge!("linkforty_geoip_built_timestamp_seconds").set(built as f64);
                self.0.reader.store(Some(Arc::new(reader)));
            }
            Err(error) => {
                let kept = self.0.reader.load().is_some();
                metrics::gauge!("linkforty_geoip_file_good").set(0.0);
                tracing::error!(file = %file.display(), %error, kept, "GEOIP_FILE cannot be used; the file before it stays, if there was one");
            }
        }
    }

    /// Returns the country of an address; `None` when nobody knows.
    pub fn country(&self, address: IpAddr) -> Option<Country> {
        self.find(address, country)
    }

    /// Returns the parts of its country that an address is in, as far as the file knows.
    pub fn regions(&self, address: IpAddr) -> Regions {
        let regions = self.find(address, |found| {
            let country = country(found)?;
            let mut parts = PARTS.iter().filter_map(|place| Region::of(country, text(found, place)?));
            Some([parts.next(), parts.next()])
        });
        regions.unwrap_or_default()
    }

    /// Returns the English name of the city that an address is in; `None` when nobody knows.
    pub fn city(&self, address: IpAddr) -> Option<Box<str>> {
        self.find(address, |found| {
            let name = CITIES.iter().find_map(|place| text(found, place))?;
            (!name.is_empty()).then(|| name.into())
        })
    }

    /// Hands what the file says of an address to `then`, as one look-up and without copying. A file of countries is asked for no more than
    /// those.
    pub fn place<T>(&self, address: Option<IpAddr>, then: impl FnOnce(Place<'_>) -> T) -> T {
        let reader = self.0.reader.load();
        let known = address.filter(|address| reader.is_some() && is_somewhere(*address));
        let (Some(known), Some(reader)) = (known, reader.as_ref()) else { return then(Place::default()) };
        let Some(found) = reader.lookup(known.to_canonical()).ok().filter(LookupResult::has_data) else {
            return then(Place::default());
        };
        let Some(country) = country(&found) else { return then(Place::default()) };
        let place = Place { country: Some(country), ..Place::default() };
        if knows_countries_alone(&reader.metadata().database_type) {
            return then(place);
        }
        let region = PARTS.iter().find_map(|place| Region::of(country, text(&found, place)?));
        let city = CITIES.iter().find_map(|place| text(&found, place)).unwrap_or_default();
        then(Place { region, city, ..place })
    }

    fn find<T>(&self, address: IpAddr, read: impl FnOnce(&Found<'_>) -> Option<T>) -> Option<T> {
        let reader = self.0.reader.load();
        let reader = reader.as_ref()?;
        if !is_somewhere(address) {
            return None;
        }
        let found = reader.lookup(address.to_canonical()).ok()?;
        if found.has_data() { read(&found) } else { None }
    }
}

/// What the file says of an address.
type Found<'a> = LookupResult<'a, Vec<u8>>;

/// Says whether a file has no more than countries in it, by what its maker calls it.
fn knows_countries_alone(kind: &str) -> bool {
    let says = |word: &str| {
        kind.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    says("country") && !says("city")
}

fn text<'a>(found: &Found<'a>, place: &[PathElement<'_>]) -> Option<&'a str> {
    found.decode_path::<&str>(place).ok().flatten()
}

fn country(found: &Found<'_>) -> Option<Country> {
    PLACES.iter().find_map(|place| text(found, place).and_then(Country::parse))
}

fn look(file: &Path) -> io::Result<Seen> {
    let found = fs::metadata(file)?;
    Ok(Seen::File { changed: found.modified()?, bytes: found.len(), inode: found.ino() })
}

fn read(file: &Path) -> io::Result<Reader<Vec<u8>>> {
    Reader::from_source(fs::read(file)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_two_letters() {
        for (text, expected) in [
            ("CH", Some("CH")),
            ("ch", Some("CH")),
            ("", None),
            ("C", None),
            ("CHE", None),
            ("C1", None),
            ("é", None),
            ("ZZ", None),
            ("xx", None),
        ] {
            assert_eq!(Country::parse(text).as_ref().map(Country::as_str), expected, "{text}");
        }
    }

    #[test]
    fn makers_say_what_is_in_their_files() {
        for (kind, alone) in [
            ("GeoLite2-Country", true),
            ("DBIP-Country-Lite", true),
            ("GeoLite2-City", false),
            ("ipinfo country_asn", true),
            ("dbip-city-ipv4", false),
            ("country-city", false),
            ("", false),
        ] {
            assert_eq!(knows_countries_alone(kind), alone, "{kind}");
        }
    }

    #[test]
    fn regions_are_a_country_and_a_code() {
        for (text, expected) in [
            ("US-CA", Some("US-CA")),
            ("us-ca", Some("US-CA")),
            ("GB-ENG", Some("GB-ENG")),
            ("CZ-7", Some("CZ-7")),
            ("FR-75C", Some("FR-75C")),
            ("US", None),
            ("US-", None),
            ("US-CALI", None),
            ("USA-CA", None),
            ("US-C A", None),
            ("XX-CA", None),
            ("US-é", None),
        ] {
            assert_eq!(Region::parse(text).map(|region| region.to_string()).as_deref(), expected, "{text}");
        }
    }
}
