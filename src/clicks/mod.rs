//! Visits: captured before the answer leaves, counted exactly once.
//!
//! Cast: [`Click`] is one visit; [`Recorder`] writes it into the spool; [`drain`] carries the spool into the database in batches
//! and into the feed, and keeps the totals; [`Homes`] knows where their links are; [`class`] tells people from programs; [`query`]
//! reads what the query of a short URL says; [`past`] takes in what another product recorded; `record` is a click as the
//! spool holds it; [`VisitorHash`] tells visitors apart; [`ClickTokens`] carry a click through a store; `store` the SQL of both
//! databases.
//!
//! Guarantees: a click whose id was given out is in the spool (survives kill -9 of the process) and reaches the database
//! once, however often its batch is repeated; totals count exactly the rows that were really inserted; a
//! record the database refuses is set aside with its bytes and never blocks the ones behind it.

pub mod class;
pub mod drain;
mod homes;
mod meters;
mod network;
pub mod past;
pub mod query;
mod record;
mod store;
mod token;
mod visitor;

use metrics::{Counter, counter};

use self::class::Class;
pub use self::{
    homes::{Home, Homes},
    meters::Meters,
    network::{Network, network_of},
    record::decode,
    token::{ClickTokens, Named, TOKEN_LENGTH, named},
    visitor::VisitorHash,
};
use crate::{
    db::Dialect,
    env::Env,
    error::Result,
    geo::{Geo, Place},
    ids::{ClickId, LeaseId, LinkId, WorkspaceId},
    spool::{RecordKind, Refused, Spool},
};

/// The step of a visit that no redirect saw: the system opened the app, which told. No number of a redirect's step.
pub const OPENED_BY_SYSTEM: i16 = 12;
/// The longest texts that are kept of a request, in bytes.
const MAX_USER_AGENT: usize = 512;
const MAX_LANGUAGE: usize = 35;
const MAX_REFERRER_HOST: usize = 253;
const MAX_QUERY: usize = 1024;
const MAX_CITY: usize = 100;

/// One visit to a short link, as the redirect saw it.
#[derive(Debug, Clone)]
pub struct Click<'a> {
    /// Whose link.
    pub workspace: WorkspaceId,
    /// Which link.
    pub link: LinkId,
    /// The number of the visitor's platform.
    pub platform: i16,
    /// What the request says; the user agent is read once for each distinct one, by the drain.
    pub class: Class,
    /// The number of the step that named the destination.
    pub step: i16,
    /// Where the visitor called from.
    pub client: Option<std::net::IpAddr>,
    /// The User-Agent header.
    pub user_agent: &'a str,
    /// The Referer header.
    pub referrer: &'a str,
    /// The Accept-Language header.
    pub languages: &'a str,
    /// The query of the short URL.
    pub query: &'a str,
    /// What the link sets in the query of the URL it leads to; its campaign is kept, as it is now.
    pub parameters: &'a [(String, String)],
    /// What the visit used a part of, where the link has a limit of clicks.
    pub lease: Option<LeaseId>,
}

/// Writes clicks into the spool.
#[derive(Debug, Clone)]
pub struct Recorder {
    spool: Spool,
    visitor_hash: VisitorHash,
    tokens: ClickTokens,
    geo: Geo,
    unrecorded: Counter,
}

impl Recorder {
    /// Returns a recorder. `secret` keys the hashes that tell visitors apart.
    pub fn new(spool: Spool, secret: &[u8], geo: Geo) -> Self {
        Self {
            spool,
            visitor_hash: VisitorHash::new(secret),
            tokens: ClickTokens::new(secret),
            geo,
            unrecorded: counter!("linkforty_clicks_unrecorded_total"),
        }
    }

    /// Returns what makes tokens of clicks.
    pub fn tokens(&self) -> &ClickTokens {
        &self.tokens
    }

    /// Records under `id` that somebody saw an ad for a link, described as a click would be. It is none: nothing counts it.
    pub fn record_view(&self, id: ClickId, seen: &Click<'_>) -> Result<(), Refused> {
        let appended = self.spool.append_with(RecordKind::View, id.0, |record| self.encode(seen, record));
        appended.map(drop).inspect_err(|_| counter!("linkforty_views_unrecorded_total").increment(1))
    }

    /// Records a click under `id`. When this returns without an error the click survives the death of the process.
    pub fn record(&self, id: ClickId, click: &Click<'_>) -> Result<(), Refused> {
        match self.spool.append_with(RecordKind::Click, id.0, |record| self.encode(click, record)) {
            Ok(_) => Ok(()),
            Err(refused) => {
                self.unrecorded.increment(1);
                Err(refused)
            }
        }
    }

    fn encode(&self, click: &Click<'_>, record: &mut Vec<u8>) {
        // Looked up now, because the address is not kept.
        self.geo.place(click.client, |place| self.encode_at(click, place, record));
    }

    fn encode_at(&self, click: &Click<'_>, place: Place<'_>, record: &mut Vec<u8>) {
        let network = click.client.map(network_of).unwrap_or_default();
        let query = query::allowed(click.query);
        let fields = record::Fields {
            workspace: click.workspace.0.as_bytes(),
            link: click.link.0.as_bytes(),
            platform: click.platform.unsigned_abs(),
            class: click.class.number().unsigned_abs(),
            step: click.step.unsigned_abs(),
            network: &network,
            visitor: self.visitor_hash.of(click.workspace, click.client, click.user_agent),
            user_agent: kept_of_user_agent(click.user_agent),
            referrer_host: cut(referrer_host(click.referrer), MAX_REFERRER_HOST),
            language: cut(first_language(click.languages), MAX_LANGUAGE),
            query: cut(&query, MAX_QUERY),
            parameters: click.parameters,
            country: place.country,
            region: place.region,
            city: cut(place.city, MAX_CITY),
            lease: click.lease.as_ref().map_or(&[], |lease| lease.0.as_bytes()),
            address: click.client.map_or(0, |client| self.visitor_hash.address(click.workspace, client)),
        };
        record::encode(&fields, record);
    }
}

/// How many days of partitions are there before they are needed.
const PARTITIONS_AHEAD: chrono::Days = chrono::Days::new(14);

/// Makes the partitions of today and the two weeks to come, where the database has partitions, and returns how many were
/// missing. Called at start and every hour; a click whose partition is missing all the same makes its own.
pub async fn make_partitions_ahead(env: &Env) -> Result<i32> {
    if env.db.dialect() == Dialect::Sqlite {
        return Ok(0);
    }
    let today = env.now().date_naive();
    Ok(store::make_partitions(&env.db.drain, today, today + PARTITIONS_AHEAD).await?)
}

/// Returns what is kept of a User-Agent header.
pub fn kept_of_user_agent(user_agent: &str) -> &str {
    cut(user_agent, MAX_USER_AGENT)
}

/// Cuts a text to at most `bytes` bytes, between characters.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Returns the first tag of an Accept-Language header.
fn first_language(header: &str) -> &str {
    header.split([',', ';']).next().unwrap_or_default().trim()
}

/// Returns the host of a Referer header, without a port, as it is written; paths and queries of strangers are not kept.
pub fn referrer_host(referrer: &str) -> &str {
    // By bytes, which every visit pays for: all that is looked for is ASCII.
    let Some(scheme) = referrer.as_bytes().windows(3).position(|bytes| bytes == b"://") else { return "" };
    let rest = &referrer[scheme + 3..];
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\'));
    let authority = &rest[..end.unwrap_or(rest.len())];
    let host = authority.bytes().rposition(|byte| byte == b'@').map_or(authority, |at| &authority[at + 1..]);
    if let Some((v6, _)) = host.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        return v6;
    }
    &host[..host.bytes().position(|byte| byte == b':').unwrap_or(host.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("ab", 5), "ab");
    }

    #[test]
    fn headers_are_read_for_their_first_and_least() {
        assert_eq!(first_language("de-CH, en;q=0.5"), "de-CH");
        assert_eq!(first_language(""), "");
        assert_eq!(referrer_host("https://mail.example.com/inbox?secret=1"), "mail.example.com");
        assert_eq!(referrer_host("android-app://com.example/"), "com.example");
        assert_eq!(referrer_host("https://user:password@example.com:8443?q"), "example.com");
        assert_eq!(referrer_host("https://[2001:db8::1]:8443/"), "2001:db8::1");
        assert_eq!(referrer_host("https://[2001:db8::1"), "[2001");
        assert_eq!(referrer_host("https://b\u{fc}cher.example"), "b\u{fc}cher.example");
        assert_eq!(referrer_host("https://"), "");
        assert_eq!(referrer_host("nonsense"), "");
    }
}
