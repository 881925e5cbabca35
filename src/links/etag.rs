//! What tells one state of a link from the next, for people who change it at the same time.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;
use uuid::Uuid;

use crate::{
    entity::link,
    error::{Error, Reason, Result},
};

/// Returns the etag of a link: opaque, another one for every version.
pub fn of(link: &link::Model) -> String {
    of_version(link.id.0, link.version)
}

/// Returns the etag of a version of anything.
pub fn of_version(id: Uuid, version: i64) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(id.as_bytes());
    hash.update(&version.to_be_bytes());
    URL_SAFE_NO_PAD.encode(&hash.finish().as_ref()[..9])
}

/// Makes sure that `given`, unless it is empty, is the etag of the stored link.
pub fn require(given: &str, stored: &link::Model) -> Result<()> {
    if given.is_empty() || given == of(stored) {
        return Ok(());
    }
    Err(mismatch())
}

/// Says that the link is not what it was when it was read.
pub fn mismatch() -> Error {
    mismatch_of("link")
}

/// Says that something is not what it was when it was read.
pub fn mismatch_of(what: &str) -> Error {
    Error::new(
        Reason::EtagMismatch,
        format!("the {what} was changed since it was read: read it again and repeat the change"),
    )
}
