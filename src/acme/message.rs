//! What an authority says (RFC 8555 7.1), as far as it is used. Words that are not known are read as what nobody acts on.

use std::time::Duration;

use serde::Deserialize;

use super::Problem;

/// Where an authority takes what.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    pub(super) new_nonce: String,
    pub(super) new_account: String,
    pub(super) new_order: String,
    meta: Option<Meta>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(default)]
    external_account_required: bool,
}

impl Directory {
    pub(super) fn requires_external_account(&self) -> bool {
        self.meta.as_ref().is_some_and(|meta| meta.external_account_required)
    }
}

/// An order of a certificate.
#[derive(Debug, Clone, Deserialize)]
pub struct Order {
    /// How it stands.
    pub status: OrderStatus,
    /// Where it says what it has to be proved by.
    #[serde(default)]
    pub authorizations: Vec<String>,
    /// Where it takes what is to be signed.
    pub finalize: String,
    /// Where the certificate is, once there is one.
    pub certificate: Option<String>,
    /// Why there will be none.
    pub error: Option<Problem>,
    /// How long to wait before it is asked for again.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// How an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Something is to be proved.
    Pending,
    /// All is proved: what is to be signed can be sent.
    Ready,
    /// It is being signed.
    Processing,
    /// There is a certificate.
    Valid,
    /// There will be none.
    Invalid,
    /// Nobody knows.
    #[serde(other)]
    Other,
}

/// What an order has to be proved by.
#[derive(Debug, Clone, Deserialize)]
pub struct Authorization {
    /// How it stands.
    pub status: AuthorizationStatus,
    /// The ways of proving it; one is enough.
    #[serde(default)]
    pub challenges: Vec<Challenge>,
    /// How long to wait before it is asked for again.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
}

/// How an authorization stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationStatus {
    /// It is not proved yet.
    Pending,
    /// It is proved.
    Valid,
    /// It was tried, and is not; or it is over, or was taken back.
    #[serde(other)]
    Over,
}

/// A way of proving that a host is ours.
#[derive(Debug, Clone, Deserialize)]
pub struct Challenge {
    /// Which.
    #[serde(rename = "type")]
    pub kind: ChallengeKind,
    /// Where it is to be said that it can be looked at.
    pub url: String,
    /// What it is about; empty for those that have none.
    #[serde(default)]
    pub token: String,
    /// Why it failed.
    pub error: Option<Problem>,
}

/// How a host is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum ChallengeKind {
    /// By a text at a path, on port 80.
    #[serde(rename = "http-01")]
    Http01,
    /// By a certificate in a handshake of its own, on port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// By something that we do not do.
    #[serde(other)]
    Other,
}

impl Challenge {
    /// Says whether its token has the form that RFC 8555 8.1 asks for: what is no token is put into no path.
    pub fn is_sound(&self) -> bool {
        is_token(&self.token)
    }
}

/// Says whether a text has the form of a token: base64url, at least 128 bits, and no longer than anybody's.
pub fn is_token(text: &str) -> bool {
    (22..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_nobody_knows_are_read() {
        let order: Order =
            serde_json::from_str(r#"{"status":"dreaming","finalize":"f","x":1}"#).expect("an order");
        assert_eq!((order.status, order.authorizations.len()), (OrderStatus::Other, 0));
        let authorization: Authorization = serde_json::from_str(
            r#"{"status":"revoked","challenges":[{"type":"dns-account-01","url":"u"},{"type":"http-01","url":"v","token":"t"}]}"#,
        )
        .expect("an authorization");
        assert_eq!(authorization.status, AuthorizationStatus::Over);
        let kinds: Vec<_> = authorization.challenges.iter().map(|challenge| challenge.kind).collect();
        assert_eq!(kinds, [ChallengeKind::Other, ChallengeKind::Http01]);
        assert!(!authorization.challenges[1].is_sound());
    }

    #[test]
    fn what_could_leave_its_path_is_no_token() {
        for (text, is_sound) in [
            ("LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0", true),
            ("short", false),
            ("../../../../etc/passwd/aaaaaaaaaa", false),
            ("LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDf%2f", false),
            ("", false),
        ] {
            assert_eq!(is_token(text), is_sound, "{text}");
        }
        assert!(!is_token(&"a".repeat(129)));
    }
}
