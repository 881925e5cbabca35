//! That an entry is in a log: made here, and checked by whoever has the public key, without this server.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    entry::Entry,
    note::{Checkpoint, Public, origin},
    store,
    tree::{Hash, Known, follow, leaf, needed},
};
use crate::{
    attribution::installs,
    entity::decision_checkpoint,
    env::Env,
    error::{Error, Reason, Result},
    ids::InstallId,
    links::timestamp,
    pb::v1::{DecisionCheckpoint, DecisionEvidence, DecisionProof, GetDecisionProofResponse},
    workspaces::Tenant,
};

/// How many entries of an install are proved: the newest.
const MOST: u64 = 10;
/// When a proof is there that is not yet.
const SOON: std::time::Duration = std::time::Duration::from_mins(1);

/// Proves the newest entries of an install under the last checkpoint, the newest first. With `evidence` the last says what was hashed.
pub async fn prove(
    env: &Env,
    tenant: &Tenant,
    install: InstallId,
    evidence: bool,
) -> Result<GetDecisionProofResponse> {
    let db = &env.db.api;
    let row = installs::find(env, tenant.id, install).await?;
    let row = row.ok_or_else(|| Error::not_found("install"))?;
    let Some(checkpoint) = store::last_checkpoint(db, tenant.id).await? else { return Err(not_yet()) };
    let entries = store::of_install(db, tenant.id, row.id, checkpoint.size, MOST).await?;
    if entries.is_empty() {
        return Err(not_yet());
    }
    let size = checkpoint.size.cast_unsigned();
    let mut proofs = Vec::new();
    for stored in entries {
        let at = stored.leaf.unwrap_or_default();
        let mut known = Known::default();
        store::known(db, tenant.id, &needed(Some(at.cast_unsigned()), size), &mut known).await?;
        let path = known.path(at.cast_unsigned(), size);
        let path = path.ok_or_else(|| Error::internal("a log of decisions has a hole"))?;
        let said: Option<Entry> = serde_json::from_str(&stored.entry).ok();
        // Of those before, what was hashed is gone.
        let hashed = row.decision_salt.clone().filter(|_| evidence).zip(said);
        let hashed = hashed.filter(|(_, said)| said.is_of(&row)).map(|(salt, _)| DecisionEvidence {
            salt: salt.into(),
            facts: row.facts.clone(),
            click_id: row.click_id.map(|click| click.to_string()).unwrap_or_default(),
        });
        proofs.push(DecisionProof {
            entry: stored.entry.into_bytes().into(),
            leaf_index: at,
            audit_path: path.into_iter().map(|hash| hash.to_vec().into()).collect(),
            evidence: hashed,
        });
    }
    let public_key = key_of(&checkpoint);
    Ok(GetDecisionProofResponse { proofs, checkpoint: checkpoint.note, public_key })
}

/// Writes a checkpoint as it is shown.
pub fn shown(checkpoint: decision_checkpoint::Model) -> DecisionCheckpoint {
    DecisionCheckpoint {
        size: checkpoint.size,
        create_time: Some(timestamp(checkpoint.time)),
        public_key: key_of(&checkpoint),
        note: checkpoint.note,
    }
}

fn key_of(checkpoint: &decision_checkpoint::Model) -> String {
    let key = checkpoint.public_key.as_slice().try_into();
    key.map(|key| Public::new(origin(checkpoint.workspace_id), key).text()).unwrap_or_default()
}

/// The entry of a decision that was just made has no place yet, or is not signed. One that is older than the log never will be.
fn not_yet() -> Error {
    Error::new(Reason::DecisionNotLogged, "no checkpoint is over an entry of this install").retry_after(SOON)
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproved {
    /// It has not the form that GetDecisionProof answers with.
    Form,
    /// The checkpoint is not signed by the key.
    Checkpoint,
    /// The path does not lead from the entry to the root of the checkpoint.
    Path,
    /// The facts or the click are not those that were hashed.
    Evidence,
}

/// What a proof proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The place and the text of each entry.
    pub entries: Vec<(u64, String)>,
}

/// Checks a proof as GetDecisionProof answers it, in the JSON of protocol buffers, by a public key that was had elsewhere.
pub fn check(json: &str, key: &Public) -> Result<Proved, Unproved> {
    let answer: Value = serde_json::from_str(json).map_err(|_| Unproved::Form)?;
    let note = field(&answer, "checkpoint").and_then(Value::as_str).ok_or(Unproved::Form)?;
    let checkpoint = key.check(note).map_err(|_| Unproved::Checkpoint)?;
    let proofs = field(&answer, "proofs").and_then(Value::as_array).ok_or(Unproved::Form)?;
    if proofs.is_empty() {
        return Err(Unproved::Form);
    }
    let mut entries = Vec::new();
    for proof in proofs {
        let entry = field(proof, "entry").and_then(bytes).ok_or(Unproved::Form)?;
        // Zero is left out.
        let index = field(proof, "leaf_index").map_or(Some(0), number).ok_or(Unproved::Form)?;
        let path = field(proof, "audit_path").map_or(Some(Vec::new()), path).ok_or(Unproved::Form)?;
        if follow(leaf(&entry), index, checkpoint.size, &path) != Some(checkpoint.root) {
            return Err(Unproved::Path);
        }
        let entry = String::from_utf8(entry).map_err(|_| Unproved::Form)?;
        if let Some(evidence) = field(proof, "evidence") {
            let said: Entry = serde_json::from_str(&entry).map_err(|_| Unproved::Form)?;
            let salt = field(evidence, "salt").and_then(bytes).ok_or(Unproved::Form)?;
            let text = |name| field(evidence, name).and_then(Value::as_str).unwrap_or_default();
            if !said.holds(&salt, text("facts"), text("click_id")) {
                return Err(Unproved::Evidence);
            }
        }
        entries.push((index, entry));
    }
    Ok(Proved { checkpoint, entries })
}

/// Returns a field under either of the names that protocol buffers have in JSON.
fn field<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    let camel = words.fold(first, |name, word| {
        let (head, tail) = word.split_at(1);
        name + &head.to_uppercase() + tail
    });
    of.get(&camel).or_else(|| of.get(name)).filter(|value| !value.is_null())
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_str()?).ok()
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn path(value: &Value) -> Option<Vec<Hash>> {
    value.as_array()?.iter().map(|hash| bytes(hash)?.try_into().ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{
        attribution::decisions::{note::Signer, tree::Growing},
        clock::from_micros,
        ids::WorkspaceId,
    };

    /// A proof of the third of five entries, and the key that checks it.
    fn proof() -> (Value, Public) {
        let (mut growing, mut known) = (Growing::default(), Known::default());
        let entries: Vec<String> = (0..5).map(|n| format!("{{\"n\":{n}}}")).collect();
        for (at, entry) in entries.iter().enumerate() {
            growing.push(leaf(entry.as_bytes()));
            known.add(0, at as u64, leaf(entry.as_bytes()));
        }
        let signer = Signer::derive(b"secret", WorkspaceId(Uuid::from_u128(1)));
        let path = known.path(2, 5).expect("all is known");
        let answer = json!({
            "proofs": [{
                "entry": STANDARD.encode(&entries[2]), "leafIndex": "2",
                "auditPath": path.iter().map(|hash| STANDARD.encode(hash)).collect::<Vec<_>>(),
            }],
            "checkpoint": signer.sign(5, &growing.root().expect("there are some"), from_micros(0)),
        });
        (answer, signer.public())
    }

    #[test]
    fn a_proof_is_checked_by_the_key_alone() {
        let (answer, key) = proof();
        let proved = check(&answer.to_string(), &key).expect("proves it");
        assert_eq!((proved.checkpoint.size, proved.entries), (5, vec![(2, "{\"n\":2}".to_owned())]));
        let snake = answer.to_string().replace("leafIndex", "leaf_index").replace("auditPath", "audit_path");
        assert!(check(&snake, &key).is_ok());
    }

    #[test]
    fn whatever_is_changed_is_found() {
        let (answer, key) = proof();
        let mut cases: Vec<(Value, Unproved)> = Vec::new();
        let mut case = |path: &str, value: Value, expected| {
            let mut changed = answer.clone();
            *changed.pointer_mut(path).expect("is there") = value;
            cases.push((changed, expected));
        };
        case("/proofs/0/entry", json!(STANDARD.encode("{\"n\":3}")), Unproved::Path);
        case("/proofs/0/leafIndex", json!("3"), Unproved::Path);
        case("/proofs/0/leafIndex", json!("5"), Unproved::Path);
        case("/proofs/0/auditPath/0", json!(STANDARD.encode([0; 32])), Unproved::Path);
        case("/proofs/0/auditPath", json!([]), Unproved::Path);
        case("/proofs/0/auditPath/0", json!("?"), Unproved::Form);
        case("/proofs", json!([]), Unproved::Form);
        case("/checkpoint", json!("5"), Unproved::Checkpoint);
        for (changed, expected) in cases {
            assert_eq!(check(&changed.to_string(), &key), Err(expected), "{changed}");
        }
        let other = Signer::derive(b"other", WorkspaceId(Uuid::from_u128(1))).public();
        assert_eq!(check(&answer.to_string(), &other), Err(Unproved::Checkpoint));
        assert_eq!(check("nothing", &key), Err(Unproved::Form));
    }
}
