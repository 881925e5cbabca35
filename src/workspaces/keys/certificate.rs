//! Services that show a client certificate instead of a secret: a name in it says which key they are.
//!
//! Only the operator binds a name to a key, at the command line: the authorities are the operator's, and a workspace that could name any
//! service would have that service work for it. A certificate that was stolen is made worthless by revoking its key.

use sea_orm::{DbErr, SqlErr};

use super::{Good, Key, beliefs, let_in, store};
use crate::{
    cache::Belief,
    env::Env,
    error::{Error, Reason, Result},
    rpc::Caller,
};

/// The longest name, in bytes: as long as a DNS name and longer than what SPIFFE asks of an issuer to support for most.
const LONGEST: usize = 255;

/// Checks a name that certificates are to carry among their subject alternative names: a URI, such as `spiffe://example.com/billing`, or a
/// DNS name, of which capitals do not matter.
pub fn name(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > LONGEST || !printable {
        return Err(format!("must be 1 to {LONGEST} printable ASCII characters without blanks"));
    }
    if text.contains("://") {
        return Ok(text.to_owned());
    }
    let letters = |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if text.split('.').all(|label| !label.is_empty() && letters(label)) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("must be a URI, such as spiffe://example.com/billing, or a DNS name without a wildcard".into())
    }
}

/// Says which program shows a certificate with these names, which an authority of ours has signed. A certificate of nobody, of a
/// key that is over, and one that names two keys are refused in the same words.
pub async fn authenticate(env: &Env, names: &[String]) -> Result<Caller> {
    let now = env.now();
    let mut asked = None;
    for name in names {
        match beliefs(env).look(&belief_key(name), now) {
            Belief::Known(good) => return let_in(env, good, now),
            Belief::Unknown(since) => asked = Some(since),
        }
    }
    let asked = asked.ok_or_else(nobody)?;
    let found = store::find_by_certificate(&env.db.api, names).await?;
    let [(key, quotas)] = <[_; 1]>::try_from(found).map_err(|_| nobody())?;
    let good = Good::of(env, &key, quotas, key.expire_time).await?;
    if let Some(name) = &key.certificate_name {
        beliefs(env).keep(asked, &belief_key(name), good.clone(), now);
    }
    let_in(env, good, now)
}

pub(super) fn belief_key(name: &str) -> Vec<u8> {
    [b"certificate ", name.as_bytes()].concat()
}

/// Returns what went wrong when a key was stored: its name may open another one.
pub(super) fn taken(key: &Key, error: DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) if key.certificate_name.is_some() => {
            Error::invalid_field("certificate_name", "opens another key: revoke that one first")
        }
        _ => error.into(),
    }
}

fn nobody() -> Error {
    Error::new(
        Reason::CredentialsInvalid,
        "the client certificate names no service that is known here; send an access token or an API key, or have the operator name it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_uri_or_a_dns_name() {
        for (text, expected) in [
            ("spiffe://example.com/ns/prod/sa/Billing", Some("spiffe://example.com/ns/prod/sa/Billing")),
            ("https://billing.example.com", Some("https://billing.example.com")),
            ("Billing.Example.com", Some("billing.example.com")),
            ("billing", Some("billing")),
            ("", None),
            ("*.example.com", None),
            ("billing..example.com", None),
            ("billing example.com", None),
            ("spiffe://example.com/bill ing", None),
            ("spiffe://exämple.com/billing", None),
            ("a\nb", None),
        ] {
            assert_eq!(name(text).ok().as_deref(), expected, "{text:?}");
        }
        assert!(name(&"a".repeat(255)).is_ok());
        assert!(name(&"a".repeat(256)).is_err());
    }
}
