//! Ids and randomness.
//!
//! Every id is a UUIDv7 in a type of its own, so that a link's cannot be passed for a workspace's. The time in an id
//! comes from the clock that is handed in, the rest from a generator that tests can seed.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

use crate::clock::{Moment, from_micros};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize, sea_orm::DeriveValueType,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Mints a new id at `now`.
            pub fn mint(ids: &Ids, now: Moment) -> Self {
                Self(ids.uuid(now))
            }

            /// Mints the id of something that was made elsewhere, at a moment that is over.
            pub fn mint_past(ids: &Ids, made: Moment) -> Self {
                Self(ids.past_uuid(made))
            }

            /// Reads the id as clients write it: 36 characters with hyphens. `None` for anything else.
            pub fn parse(text: &str) -> Option<Self> {
                parse(text).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        // SeaORM wants this of every primary key, for databases that count their keys.
        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    )*};
}

id! {
    /// A tenant.
    WorkspaceId;
    /// A person with a sign-in.
    UserId;
    /// One sign-in of a person.
    SessionId;
    /// What another server calls a person.
    IdentityId;
    /// A passkey of a person.
    PasskeyId;
    /// A credential of a program.
    ApiKeyId;
    /// A way into a workspace that somebody was sent.
    InvitationId;
    /// A domain that a workspace has for its links.
    DomainId;
    /// A short link.
    LinkId;
    /// One visit to a short link. Its time part is the moment of the visit.
    ClickId;
    /// A mobile app.
    AppId;
    /// A part of a link's limit of clicks that one node may use up.
    LeaseId;
    /// What a visitor reported about a link.
    ReportId;
    /// A folder for links.
    ProjectId;
    /// What links have in common.
    TemplateId;
    /// Campaign parameters under a name.
    UtmPresetId;
    /// An import of a file of links.
    ImportId;
    /// The first open of an app.
    InstallId;
    /// Something that happened in an app.
    EventId;
    /// A report that is kept under a name.
    SavedReportId;
    /// A link to such a report.
    ReportShareId;
    /// Where somebody is told what happens.
    WebhookEndpointId;
    /// What such places are told. Its time part is the moment it was written.
    MessageId;
    /// One try to tell one of them.
    WebhookAttemptId;
    /// What Apple says of an install that an ad brought.
    PostbackId;
}

/// Mints ids and random bytes.
#[derive(Debug)]
pub struct Ids {
    rng: Mutex<StdRng>,
    last: AtomicU64,
}

impl Ids {
    /// Returns a generator seeded by the operating system; fit for secrets.
    pub fn from_os() -> Self {
        Self::new(StdRng::from_os_rng())
    }

    /// Returns a generator whose whole output follows from `seed`; for tests.
    pub fn seeded(seed: u64) -> Self {
        Self::new(StdRng::seed_from_u64(seed))
    }

    fn new(rng: StdRng) -> Self {
        Self { rng: Mutex::new(rng), last: AtomicU64::new(0) }
    }

    /// Mints a UUIDv7 whose time part is `now`, to a quarter of a microsecond, or the newest time minted if the clock
    /// went back: ids of one process never go down (RFC 9562 6.2, method 3).
    pub fn uuid(&self, now: Moment) -> Uuid {
        let asked = tick(now);
        let time = self.last.fetch_max(asked, Ordering::Relaxed).max(asked);
        let tail = self.lock().next_u64().to_le_bytes();
        at_tick(time, tail)
    }

    /// Mints a UUIDv7 whose time part is `made`, however long that is over. Ids of now do not wait for it, and those of one
    /// moment have no order.
    pub fn past_uuid(&self, made: Moment) -> Uuid {
        let mut tail = [0_u8; 8];
        self.fill(&mut tail);
        at_tick(tick(made), tail)
    }

    /// Returns `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Returns a random number below `bound`, each equally likely. `bound` is at least 1.
    pub fn below(&self, bound: u32) -> u32 {
        self.lock().random_range(0..bound.max(1))
    }

    /// Returns `length` random characters of `alphabet`, each equally likely.
    pub fn text(&self, alphabet: &[u8], length: usize) -> String {
        let mut rng = self.lock();
        (0..length).map(|_| char::from(alphabet[rng.random_range(0..alphabet.len())])).collect()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.lock().fill_bytes(bytes);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, StdRng> {
        // A generator that somebody panicked over is still a generator.
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds in the upper 48 bits, the 4096ths of that millisecond in the lower 12.
fn tick(now: Moment) -> u64 {
    let micros = u64::try_from(now.timestamp_micros()).unwrap_or(0);
    let fraction = (micros % 1000) * 4096 / 1000;
    ((micros / 1000) << 12) | fraction
}

fn at_tick(tick: u64, tail: [u8; 8]) -> Uuid {
    let millis = tick >> 12;
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    bytes[6..8].copy_from_slice(&((tick & 0xfff) as u16 | 0x7000).to_be_bytes());
    bytes[8..].copy_from_slice(&tail);
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    Uuid::from_bytes(bytes)
}

/// Returns the UUIDv7 of a moment whose rest is `tail`: the same of the same.
pub fn derived(made: Moment, tail: [u8; 8]) -> Uuid {
    at_tick(tick(made), tail)
}

/// Returns the moment in a UUIDv7, to the millisecond.
pub fn time_of(id: Uuid) -> Moment {
    let bytes = id.as_bytes();
    let millis = bytes[..6].iter().fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte));
    from_micros(millis.saturating_mul(1000))
}

/// Returns the smallest UUIDv7 of the moment `from`: a range of time is a range of ids, `floor(a)..floor(b)`.
pub fn floor(from: Moment) -> Uuid {
    let millis = u64::try_from(from.timestamp_millis()).unwrap_or(0);
    let mut bytes = [0_u8; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    Uuid::from_bytes(bytes)
}

/// Reads a UUID in its 36-character form only: one id, one spelling.
pub fn parse(text: &str) -> Option<Uuid> {
    if text.len() == 36 { Uuid::try_parse(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_hold_their_moment_and_sort_by_it() {
        let ids = Ids::seeded(7);
        let early = ids.uuid(from_micros(1_700_000_000_000_500));
        let late = ids.uuid(from_micros(1_700_000_000_000_900));
        assert!(early < late);
        assert_eq!(early.get_version_num(), 7);
        assert_eq!(time_of(late), from_micros(1_700_000_000_000_000));
    }

    #[test]
    fn ids_do_not_go_down_when_the_clock_does() {
        let ids = Ids::seeded(7);
        ids.uuid(from_micros(2_000_000_000));
        assert_eq!(time_of(ids.uuid(from_micros(1_000_000_000))), from_micros(2_000_000_000));
    }

    #[test]
    fn ids_of_what_is_over_hold_its_moment() {
        let ids = Ids::seeded(7);
        ids.uuid(from_micros(2_000_000_000));
        assert_eq!(time_of(ids.past_uuid(from_micros(1_000_000_000))), from_micros(1_000_000_000));
        assert_eq!(time_of(ids.uuid(from_micros(2_000_001_000))), from_micros(2_000_001_000));
    }

    #[test]
    fn a_range_of_time_is_a_range_of_ids() {
        let ids = Ids::seeded(1);
        let moment = from_micros(1_700_000_000_123_456);
        let id = ids.uuid(moment);
        assert!(floor(moment) <= id);
        assert!(id < floor(moment + chrono::Duration::milliseconds(1)));
    }

    #[test]
    fn only_the_canonical_spelling_is_read() {
        let id = LinkId(Ids::seeded(1).uuid(from_micros(0)));
        assert_eq!(LinkId::parse(&id.to_string()), Some(id));
        assert_eq!(LinkId::parse(&id.0.simple().to_string()), None);
        assert_eq!(LinkId::parse("x"), None);
    }
}
