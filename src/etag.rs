//! What tells one state of something from the next, for people who change it at the same time.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;
use uuid::Uuid;

use crate::error::{Error, Reason, Result};

/// Returns the etag of a version of anything: opaque, another one for every version.
pub fn of_version(id: Uuid, version: i64) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(id.as_bytes());
    hash.update(&version.to_be_bytes());
    URL_SAFE_NO_PAD.encode(&hash.finish().as_ref()[..9])
}

/// Makes sure that `given`, unless it is empty, is the etag that is stored. `what` is what people call the thing.
pub fn require(what: &str, given: &str, stored: &str) -> Result<()> {
    if given.is_empty() || given == stored { Ok(()) } else { Err(mismatch(what)) }
}

/// Says that something is not what it was when it was read.
pub fn mismatch(what: &str) -> Error {
    Error::new(
        Reason::EtagMismatch,
        format!("the {what} was changed since it was read: read it again and repeat the change"),
    )
}
