//! What tells one state of an app from the next, for people who change it at the same time.

use crate::{entity::app, error::Result, etag};

/// Returns the etag of an app: opaque, another one for every version.
pub fn of(app: &app::Model) -> String {
    etag::of_version(app.id.0, app.version)
}

/// Makes sure that `given`, unless it is empty, is the etag of the stored app.
pub fn require(given: &str, stored: &app::Model) -> Result<()> {
    etag::require("app", given, &of(stored))
}
