//! Countries of addresses, out of a MaxMind-format file that the operator brings (`GEOIP_FILE`); without one nobody is anywhere.
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
use maxminddb::{PathElement, Reader};

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
        let reader = self.0.reader.load();
        let reader = reader.as_ref()?;
        if !is_somewhere(address) {
            return None;
        }
        let found = reader.lookup(address.to_canonical()).ok()?;
        if !found.has_data() {
            return None;
        }
        PLACES
            .iter()
            .find_map(|place| found.decode_path::<&str>(place).ok().flatten().and_then(Country::parse))
    }
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
}
