//! Signed checkpoints: texts of a few lines that anybody can check with the public key alone. Pure.
//!
//! The form is C2SP's `signed-note` with a body of `tlog-checkpoint` (<https://c2sp.org/tlog-checkpoint>), which the tools of Go's checksum database and of
//! Certificate Transparency read: origin, size, root in base64, here a line with the time, an empty line, and `— name signature`. The signature is
//! Ed25519 over all lines before the empty one; in front of it stand four bytes that tell keys apart.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use data_encoding::HEXLOWER;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::tree::{Hash, sha256};
use crate::{clock::Moment, ids::WorkspaceId, sealing};

/// What `signed-note` calls Ed25519.
const ALGORITHM: u8 = 1;
/// How many bytes tell keys apart.
const ID: usize = 4;
/// The line with the time begins with this.
const TIME: &str = "time ";

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many entries it had.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// When.
    pub time: Moment,
}

/// Why a text is no checkpoint of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It has not the form.
    Form,
    /// No signature is by the key.
    OtherKey,
    /// The signature is not of this text.
    Signature,
}

/// Returns the name of a workspace's log, which is that of its key too.
pub fn origin(workspace: WorkspaceId) -> String {
    format!("linkforty/decisions/{workspace}")
}

/// What signs the checkpoints of a workspace.
#[derive(Debug)]
pub struct Signer {
    name: String,
    pair: Ed25519KeyPair,
}

impl Signer {
    /// Derives it from the server's secret: the same on every node, and another one in every workspace.
    pub fn derive(secret: &[u8], workspace: WorkspaceId) -> Self {
        let seed = sealing::derive(b"linkforty decisions v1", secret, workspace.0.as_bytes());
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed has 32 bytes");
        Self { name: origin(workspace), pair }
    }

    /// Returns the key that checks what it signs.
    pub fn public(&self) -> Public {
        let mut key = [0; 32];
        key.copy_from_slice(self.pair.public_key().as_ref());
        Public { name: self.name.clone(), key }
    }

    /// Writes and signs a checkpoint.
    pub fn sign(&self, size: u64, root: &Hash, time: Moment) -> String {
        let time = time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let body = format!("{}\n{size}\n{}\n{TIME}{time}\n", self.name, STANDARD.encode(root));
        let signature = [&self.public().id()[..], self.pair.sign(body.as_bytes()).as_ref()].concat();
        format!("{body}\n— {} {}\n", self.name, STANDARD.encode(signature))
    }
}

/// A key that checks checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    name: String,
    /// Ed25519.
    pub key: [u8; 32],
}

impl Public {
    /// Returns the key of that name.
    pub fn new(name: String, key: [u8; 32]) -> Self {
        Self { name, key }
    }

    /// Reads a key as `signed-note` writes it. `None`: that is none.
    pub fn parse(text: &str) -> Option<Self> {
        // The base64 may have a plus too.
        let mut parts = text.trim().splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let key = STANDARD.decode(key).ok()?;
        let (algorithm, key) = key.split_first()?;
        let read = Self { name: name.to_owned(), key: key.try_into().ok()? };
        let good = *algorithm == ALGORITHM && !name.is_empty() && HEXLOWER.encode(&read.id()) == id;
        good.then_some(read)
    }

    /// Writes it like that: the name, what tells it apart, and the key, joined by `+`.
    pub fn text(&self) -> String {
        let key = STANDARD.encode([&[ALGORITHM], &self.key[..]].concat());
        format!("{}+{}+{key}", self.name, HEXLOWER.encode(&self.id()))
    }

    fn id(&self) -> [u8; ID] {
        let hash = sha256(&[self.name.as_bytes(), b"\n", &[ALGORITHM], &self.key]);
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Returns the text that is signed by this key.
    fn open<'a>(&self, note: &'a str) -> Result<&'a str, Fault> {
        let (body, signatures) = note.rsplit_once("\n\n").ok_or(Fault::Form)?;
        let body = &note[..=body.len()];
        let signatures = signatures.strip_suffix('\n').ok_or(Fault::Form)?;
        let mut by_others = true;
        for line in signatures.split('\n') {
            let (name, signature) =
                line.strip_prefix("— ").and_then(|line| line.split_once(' ')).ok_or(Fault::Form)?;
            let signature = STANDARD.decode(signature).map_err(|_| Fault::Form)?;
            let (id, signature) = signature.split_at_checked(ID).ok_or(Fault::Form)?;
            if name != self.name || id != self.id() {
                continue;
            }
            by_others = false;
            if UnparsedPublicKey::new(&ED25519, self.key).verify(body.as_bytes(), signature).is_ok() {
                return Ok(body);
            }
        }
        Err(if by_others { Fault::OtherKey } else { Fault::Signature })
    }

    /// Reads a checkpoint that is signed by this key.
    pub fn check(&self, note: &str) -> Result<Checkpoint, Fault> {
        let body = self.open(note)?;
        let mut lines = body.lines();
        let mut line = || lines.next().ok_or(Fault::Form);
        let (origin, size, root) = (line()?, line()?, line()?);
        let time = line()?.strip_prefix(TIME).ok_or(Fault::Form)?;
        let number = size.parse().ok().filter(|number: &u64| number.to_string() == size);
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        let time = chrono::DateTime::parse_from_rfc3339(time).ok();
        match (number, root, time) {
            (Some(size), Some(root), Some(time)) if origin == self.name => {
                Ok(Checkpoint { origin: origin.to_owned(), size, root, time: time.to_utc() })
            }
            _ => Err(Fault::Form),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::from_micros;

    fn signer(workspace: u128) -> Signer {
        Signer::derive(b"secret", WorkspaceId(Uuid::from_u128(workspace)))
    }

    #[test]
    fn what_another_implementation_signed_is_read() {
        // The example in the documentation of golang.org/x/mod/sumdb/note.
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let note = "If you think cryptography is the answer to your problem,\n\
            then you don't know what your problem is.\n\
            \n\
            — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        let public = Public::parse(key).expect("a key");
        assert_eq!(public.text(), key);
        assert!(public.open(note).expect("is signed").ends_with("your problem is.\n"));
        assert_eq!(public.open(&note.replace("answer", "ansver")), Err(Fault::Signature));
        assert_eq!(public.check(note), Err(Fault::Form), "it is no checkpoint");
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_signed_and_not_when_a_byte_is_another() {
        let (signer, root) = (signer(7), [9; 32]);
        let time = from_micros(1_764_214_496_000_001);
        let note = signer.sign(1234, &root, time);
        let public = Public::parse(&signer.public().text()).expect("a key");
        let said = Checkpoint { origin: origin(WorkspaceId(Uuid::from_u128(7))), size: 1234, root, time };
        assert_eq!(public.check(&note), Ok(said));
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(public.check(&changed).is_err(), "changed at {at}: {changed}");
            }
        }
    }

    #[test]
    fn each_workspace_and_each_secret_has_a_key_of_its_own() {
        let note = signer(7).sign(1, &[0; 32], from_micros(0));
        assert_eq!(signer(8).public().check(&note), Err(Fault::OtherKey));
        let other = Signer::derive(b"other", WorkspaceId(Uuid::from_u128(7)));
        assert_eq!(other.public().check(&note), Err(Fault::OtherKey));
        assert_eq!(signer(7).public(), signer(7).public());
        for wrong in ["", "a+b", "linkforty+00000000+AQ==", "x"] {
            assert_eq!(Public::parse(wrong), None, "{wrong:?}");
        }
    }
}
