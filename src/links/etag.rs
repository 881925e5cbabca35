//! What tells one state of a link from the next, for people who change it at the same time.

use crate::{
    entity::link,
    error::{Error, Result},
    etag,
};

/// Returns the etag of a link: opaque, another one for every version.
pub fn of(link: &link::Model) -> String {
    etag::of_version(link.id.0, link.version)
}

/// Makes sure that `given`, unless it is empty, is the etag of the stored link.
pub fn require(given: &str, stored: &link::Model) -> Result<()> {
    etag::require("link", given, &of(stored))
}

/// Says that the link is not what it was when it was read.
pub fn mismatch() -> Error {
    etag::mismatch("link")
}
