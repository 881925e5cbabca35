//! How a sign-in by an identity provider ends without a person.

use std::time::Duration;

use chrono::TimeDelta;

use crate::error::{Error, Reason};

/// How long nobody asks a provider again that failed.
pub const REST: TimeDelta = TimeDelta::seconds(2);

/// Why nothing that a provider says of somebody is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The provider does not know the code, or not for this sign-in.
    Code,
    /// The browser came back from another provider (RFC 9207).
    ResponseIssuer,
    /// There is no ID token, or it is none.
    Form,
    /// It is signed by an algorithm that is not taken, or not at all.
    Algorithm,
    /// The provider has no such key.
    Key,
    /// The signature is not the key's.
    Signature,
    /// It is from another provider.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It was given to somebody else.
    AuthorizedParty,
    /// It is not for this sign-in.
    Nonce,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYet,
    /// It does not belong to the access token it came with.
    AccessToken,
    /// It is about nobody.
    Subject,
    /// What the provider says besides is about somebody else.
    UserInfo,
    /// The provider does not vouch for the e-mail.
    EmailUnverified,
}

impl Fault {
    /// Returns its name, as errors and the audit trail carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::ResponseIssuer => "response_issuer",
            Self::Form => "form",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::AuthorizedParty => "authorized_party",
            Self::Nonce => "nonce",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::AccessToken => "access_token",
            Self::Subject => "subject",
            Self::UserInfo => "user_info",
            Self::EmailUnverified => "email_unverified",
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::new(
            Reason::IdentityRefused,
            "what the identity provider says of you cannot be believed; begin again",
        )
        .with("fault", fault.name())
    }
}

/// How a provider failed.
#[derive(Debug, Clone)]
pub struct Failed {
    /// In a word, for programs.
    pub name: &'static str,
    /// What happened, for the log.
    pub cause: String,
}

impl Failed {
    /// Returns a failure.
    pub fn new(name: &'static str, cause: impl Into<String>) -> Self {
        Self { name, cause: cause.into() }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        Self::new(Reason::IdentityProviderFailed, "the identity provider does not answer as it should")
            .with("failure", failed.name)
            .retry_after(Duration::from_secs(u64::try_from(REST.num_seconds()).unwrap_or(1)))
            .caused_by(failed.cause)
    }
}

/// Either of the two.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// The provider failed.
    Failed(Failed),
    /// It is not believed.
    Fault(Fault),
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
