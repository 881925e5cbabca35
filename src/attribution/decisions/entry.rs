//! What the log keeps of a decision: ids, words and salted hashes, nothing of a device. Pure.
//!
//! An entry stays as it is when its install is forgotten. What could be found out by trying, the click and the facts, stands there as SHA-256 over
//! a label, 16 random bytes and the text; the random bytes go with the install.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::tree::{Hash, sha256};
use crate::{
    attribution::fraud::rules::Rule,
    clock::Moment,
    entity::install::Model,
    pb::sdk::v1::{AttributionState, MatchMethod, NoMatchReason},
};

/// What the first hash of a chain goes on from.
pub const START: Hash = [0; 32];
const CHAIN: &[u8] = b"linkforty decisions v1";
const CLICK: &[u8] = b"linkforty decision click v1";
const FACTS: &[u8] = b"linkforty decision facts v1";

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The install was put off.
    PutOff,
    /// It was decided.
    Decided,
    /// It was decided anew, because its user took back what it was decided by.
    DecidedAgain,
    /// What was known of it was erased.
    Forgotten,
}

/// One entry. It is stored as JSON with the fields in this order; a further field is added at the end and left out where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The form: 1.
    pub v: u8,
    /// Whose.
    pub workspace: Uuid,
    /// Of which install.
    pub install: Uuid,
    /// When, in RFC 3339 with microseconds.
    pub time: String,
    /// What was done.
    pub what: What,
    /// `attributed`, `organic` or `pending`.
    pub state: String,
    /// How its click was found, as `store_referrer`; empty without one.
    pub method: String,
    /// Why it has none, as `no_click`; empty with one.
    pub no_match: String,
    /// How alike click and install are, 0 to 100.
    pub score: i16,
    /// The link.
    pub link: Option<Uuid>,
    /// What is odd about it, as `click_injection`.
    pub flags: Vec<String>,
    /// When the app was first opened, like `time`.
    pub install_time: String,
    /// The salted hash of the click's id, in hexadecimal digits.
    pub click: Option<String>,
    /// The salted hash of what it was decided from.
    pub facts: Option<String>,
}

impl Entry {
    /// Returns the entry that says what became of an install at a moment.
    pub fn of(row: &Model, what: What, time: Moment) -> Self {
        let salt = row.decision_salt.as_deref();
        let hashed = |label, text: Option<&[u8]>| {
            salt.zip(text).map(|(salt, text)| HEXLOWER.encode(&sha256(&[label, salt, text])))
        };
        let click = row.click_id.map(|click| click.to_string());
        Self {
            v: 1,
            workspace: row.workspace_id.0,
            install: row.id.0,
            time: moment(time),
            what,
            state: state(row.state),
            method: method(row.method),
            no_match: no_match(row.no_match),
            score: row.score,
            link: row.link_id.map(|link| link.0),
            flags: Rule::of_flags(row.flags).map(|rule| rule.id().to_owned()).collect(),
            install_time: moment(row.install_time),
            click: hashed(CLICK, click.as_deref().map(str::as_bytes)),
            facts: hashed(FACTS, Some(row.facts.as_bytes()).filter(|facts| !facts.is_empty())),
        }
    }

    /// Returns the text that is stored.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers can be written")
    }

    /// Says whether it is what became of an install as it is now.
    pub fn is_of(&self, row: &Model) -> bool {
        let now = Self::of(row, self.what, row.install_time);
        now == Self { time: now.time.clone(), ..self.clone() }
    }

    /// Says whether these are the facts and the click that were hashed.
    pub fn holds(&self, salt: &[u8], facts: &str, click: &str) -> bool {
        let hashed = |label, text: &str| {
            Some(HEXLOWER.encode(&sha256(&[label, salt, text.as_bytes()]))).filter(|_| !text.is_empty())
        };
        self.facts == hashed(FACTS, facts) && self.click == hashed(CLICK, click)
    }
}

/// Returns the hash of an entry behind another.
pub fn chained(before: &Hash, entry: &str) -> Hash {
    sha256(&[CHAIN, before, entry.as_bytes()])
}

fn moment(time: Moment) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// Returns a word of the contract as entries have it; empty for the one that says nothing.
fn word(name: &str, front: &str) -> String {
    match name.trim_start_matches(front) {
        "UNSPECIFIED" => String::new(),
        word => word.to_lowercase(),
    }
}

fn state(number: i16) -> String {
    let known = AttributionState::try_from(i32::from(number)).unwrap_or_default();
    word(known.as_str_name(), "ATTRIBUTION_STATE_")
}

fn method(number: i16) -> String {
    let known = MatchMethod::try_from(i32::from(number)).unwrap_or_default();
    word(known.as_str_name(), "MATCH_METHOD_")
}

fn no_match(number: i16) -> String {
    let known = NoMatchReason::try_from(i32::from(number)).unwrap_or_default();
    word(known.as_str_name(), "NO_MATCH_REASON_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::from_micros,
        ids::{ClickId, InstallId, LinkId, WorkspaceId},
    };

    fn row() -> Model {
        Model {
            id: InstallId(Uuid::from_u128(1)),
            workspace_id: WorkspaceId(Uuid::from_u128(2)),
            app_id: None,
            state: 1,
            method: 1,
            no_match: 0,
            score: 100,
            factors: 0,
            flags: 3,
            link_id: Some(LinkId(Uuid::from_u128(3))),
            click_id: Some(ClickId(Uuid::from_u128(4))),
            click_time: None,
            platform: 2,
            test: false,
            install_time: from_micros(1_000_000),
            receive_time: from_micros(2_000_000),
            reinstalls: 0,
            reinstall_time: None,
            due_time: None,
            report: vec![1],
            facts: "{}".to_owned(),
            deep_link: Vec::new(),
            decision_salt: Some(vec![7; 16]),
        }
    }

    #[test]
    fn an_entry_is_the_same_text_for_ever() {
        let text = Entry::of(&row(), What::Decided, from_micros(3_000_000)).text();
        let expected = r#"{"v":1,"workspace":"00000000-0000-0000-0000-000000000002","install":"00000000-0000-0000-0000-000000000001","time":"1970-01-01T00:00:03.000000Z","what":"decided","state":"attributed","method":"store_referrer","no_match":"","score":100,"link":"00000000-0000-0000-0000-000000000003","flags":["click_injection","short_time"],"install_time":"1970-01-01T00:00:01.000000Z","click":"CLICK","facts":"FACTS"}"#;
        let hash = |label: &[u8], text: &[u8]| HEXLOWER.encode(&sha256(&[label, &[7; 16], text]));
        let click = hash(CLICK, b"00000000-0000-0000-0000-000000000004");
        assert_eq!(text, expected.replace("CLICK", &click).replace("FACTS", &hash(FACTS, b"{}")));
        let read: Entry = serde_json::from_str(&text).expect("reads");
        assert_eq!(read.text(), text);
        assert!(read.is_of(&row()));
        assert!(read.holds(&[7; 16], "{}", "00000000-0000-0000-0000-000000000004"));
        assert!(!read.holds(&[8; 16], "{}", "00000000-0000-0000-0000-000000000004"));
    }

    #[test]
    fn whatever_was_decided_is_part_of_it() {
        let entry = Entry::of(&row(), What::Decided, from_micros(3_000_000));
        let other = [
            Model { state: 2, ..row() },
            Model { method: 2, ..row() },
            Model { no_match: 1, ..row() },
            Model { score: 99, ..row() },
            Model { flags: 1, ..row() },
            Model { link_id: None, ..row() },
            Model { click_id: None, ..row() },
            Model { click_id: Some(ClickId(Uuid::from_u128(5))), ..row() },
            Model { install_time: from_micros(1), ..row() },
            Model { facts: "{ }".to_owned(), ..row() },
            Model { decision_salt: None, ..row() },
            Model { id: InstallId(Uuid::from_u128(9)), ..row() },
        ];
        for other in other {
            assert!(!entry.is_of(&other), "{other:?}");
        }
        // That the device came again is not.
        assert!(entry.is_of(&Model { reinstalls: 1, ..row() }));
    }

    #[test]
    fn a_forgotten_install_leaves_nothing_to_try() {
        let forgotten = Model { click_id: None, facts: String::new(), decision_salt: None, ..row() };
        let entry = Entry::of(&forgotten, What::Forgotten, from_micros(4_000_000));
        assert_eq!((&entry.click, &entry.facts), (&None, &None));
        assert!(entry.is_of(&forgotten));
    }
}
