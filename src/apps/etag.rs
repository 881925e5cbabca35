//! What tells one state of an app from the next, for people who change it at the same time.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;

use crate::{
    entity::app,
    error::{Error, Reason, Result},
};

/// Returns the etag of an app: opaque, another one for every version.
pub fn of(app: &app::Model) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(app.id.0.as_bytes());
    hash.update(&app.version.to_be_bytes());
    URL_SAFE_NO_PAD.encode(&hash.finish().as_ref()[..9])
}

/// Makes sure that `given`, unless it is empty, is the etag of the stored app.
pub fn require(given: &str, stored: &app::Model) -> Result<()> {
    if given.is_empty() || given == of(stored) {
        return Ok(());
    }
    Err(Error::new(
        Reason::EtagMismatch,
        "the app was changed since it was read: read it again and repeat the change",
    ))
}
