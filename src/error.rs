//! The one error of the house.
//!
//! It has two texts: an outward one for the caller and an inward one (its source) for the log. Neither HTTP nor gRPC
//! is known here; `rpc/status.rs` and `serve/` translate. The reason decides the code, so the two cannot disagree.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

pub use crate::pb::v1::ErrorReason as Reason;

/// A result with the house's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for the caller and for the log.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    reason: Reason,
    message: Cow<'static, str>,
    violations: Vec<Violation>,
    metadata: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// One wrong field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path as the client wrote it, for example `link.destination_url`.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// The kinds of failure, one for each canonical gRPC code that linkforty uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong.
    Invalid,
    /// No valid credentials.
    Unauthenticated,
    /// Valid credentials, not enough rights.
    Denied,
    /// Unknown, or somebody else's.
    NotFound,
    /// A name is taken.
    AlreadyExists,
    /// Somebody changed it in between.
    Aborted,
    /// The state of the world forbids it.
    Precondition,
    /// The caller's own limit.
    Exhausted,
    /// Our load or a store of ours.
    Unavailable,
    /// What is asked for is kept no longer.
    Expired,
    /// Too late.
    Deadline,
    /// No such method.
    Unimplemented,
    /// A defect.
    Internal,
}

impl Kind {
    /// Returns the canonical gRPC status code.
    pub const fn grpc_code(self) -> i32 {
        match self {
            Self::Invalid => 3,
            Self::Deadline => 4,
            Self::NotFound => 5,
            Self::AlreadyExists => 6,
            Self::Denied => 7,
            Self::Exhausted => 8,
            Self::Precondition => 9,
            Self::Aborted => 10,
            Self::Expired => 11,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }

    /// Returns the HTTP status a plain HTTP door answers with.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Denied => 403,
            Self::NotFound | Self::Unimplemented => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::Expired => 410,
            Self::Precondition => 412,
            Self::Exhausted => 429,
            Self::Unavailable => 503,
            Self::Deadline => 504,
            Self::Internal => 500,
        }
    }
}

/// Returns the kind of failure a reason belongs to.
pub const fn kind_of(reason: Reason) -> Kind {
    match reason {
        Reason::InvalidFields | Reason::PageTokenInvalid | Reason::IdempotencyKeyReused | Reason::NotGrpc => {
            Kind::Invalid
        }
        Reason::CredentialsMissing
        | Reason::CredentialsInvalid
        | Reason::SignInFailed
        | Reason::SecondFactorFailed
        | Reason::IdentityRefused
        | Reason::IdentityUnknown
        | Reason::ReportShareLocked
        | Reason::PasskeyRefused => Kind::Unauthenticated,
        Reason::PasswordChangeRequired
        | Reason::TokenInvalid
        | Reason::SecondFactorEnrolled
        | Reason::SecondFactorNotEnrolled
        | Reason::RoutingTestsFailed
        | Reason::DomainHeld
        | Reason::DomainHasLinks
        | Reason::DomainNotVerified
        | Reason::DomainLimitReached
        | Reason::AssociationFileTooLarge
        | Reason::TooManyApps
        | Reason::TemplateInUse
        | Reason::HttpsRequired
        | Reason::TooManyAliases
        | Reason::OwnerRequired
        | Reason::TooManyInvitations
        | Reason::ApiKeyOver
        | Reason::SignInMethodDisabled
        | Reason::TooManyPasskeys
        | Reason::TooManyReports
        | Reason::TooManyReportShares
        | Reason::TooManyWebhookEndpoints
        | Reason::DecisionNotLogged
        | Reason::WebhookEndpointDisabled
        | Reason::ImportDone
        | Reason::FetchRefused
        | Reason::FetchFailed
        | Reason::FetchStatus
        | Reason::FetchUnreadable
        | Reason::FetchTooLarge => Kind::Precondition,
        Reason::PermissionMissing
        | Reason::OriginNotAllowed
        | Reason::CookieNotAllowed
        | Reason::InvitationForAnother => Kind::Denied,
        Reason::NotFound => Kind::NotFound,
        Reason::ShortCodeTaken | Reason::AlreadyExists => Kind::AlreadyExists,
        Reason::EtagMismatch | Reason::ImportOffsetMismatch => Kind::Aborted,
        Reason::RateLimited | Reason::QuotaExceeded | Reason::ReportTooLarge => Kind::Exhausted,
        Reason::ServerOverloaded
        | Reason::StoreUnavailable
        | Reason::ShuttingDown
        | Reason::IdentityProviderFailed => Kind::Unavailable,
        Reason::ResumeCursorExpired => Kind::Expired,
        Reason::DeadlineExceeded => Kind::Deadline,
        Reason::UnknownMethod => Kind::Unimplemented,
        Reason::Internal | Reason::Unspecified => Kind::Internal,
    }
}

impl Error {
    /// Returns an error with a reason and a message for the caller.
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            reason,
            message: message.into(),
            violations: Vec::new(),
            metadata: Vec::new(),
            retry_after: None,
            source: None,
        }))
    }

    /// Says that fields are wrong; `violations` holds all of them and at least one.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let message = match violations.as_slice() {
            [one] => format!("{}: {}", one.field, one.description),
            many => format!("{} fields are wrong", many.len()),
        };
        let mut error = Self::new(Reason::InvalidFields, message);
        error.0.violations = violations;
        error
    }

    /// Says that one field is wrong.
    pub fn invalid_field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::invalid(vec![Violation { field: field.into(), description: description.into() }])
    }

    /// Says that there is no such thing, or that it is somebody else's.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Reason::NotFound, format!("no such {what}"))
    }

    /// Says that a permission is missing; `permission` is its name, for example `links.write`.
    pub fn denied(permission: &'static str) -> Self {
        Self::new(Reason::PermissionMissing, format!("this call needs the permission {permission}"))
            .with("permission", permission)
    }

    /// Says that a token or a key is no good, in the same words whatever is wrong with it.
    pub fn credentials_invalid() -> Self {
        Self::new(Reason::CredentialsInvalid, "the credentials are expired, revoked or forged")
    }

    /// Says that the server has a defect. The source goes to the log and never to the caller.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Reason::Internal, "something went wrong here; quote the request id when you report it")
            .caused_by(source)
    }

    /// Says that a store does not answer. The source goes to the log and never to the caller.
    pub fn store_unavailable(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Reason::StoreUnavailable, "a store is not answering at the moment; try again")
            .caused_by(source)
            .retry_after(Duration::from_secs(1))
    }

    /// Adds the fields it is about.
    #[must_use]
    pub fn about(mut self, violations: Vec<Violation>) -> Self {
        self.0.violations = violations;
        self
    }

    /// Adds what really happened, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.0.metadata.push((key, value.into()));
        self
    }

    /// Adds when a repeat makes sense.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Returns the reason.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// Returns the reason as it goes over the wire, for example `SHORT_CODE_TAKEN`.
    pub fn reason_name(&self) -> &'static str {
        let name = self.0.reason.as_str_name();
        name.strip_prefix("ERROR_REASON_").unwrap_or(name)
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> Kind {
        kind_of(self.0.reason)
    }

    /// Returns the text for the caller.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the wrong fields.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// Returns the facts for programs.
    pub fn metadata(&self) -> &[(&'static str, String)] {
        &self.0.metadata
    }

    /// Returns when a repeat makes sense.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the inward text: the message and the whole chain of causes. For logs only.
    pub fn inward(&self) -> String {
        let mut text = self.0.message.clone().into_owned();
        let mut source = self.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Collects every violation of a request, so that the caller hears of all of them at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Notes that a field is wrong.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// Notes a violation when `parsed` is one, and returns what was parsed otherwise.
    pub fn take<T>(&mut self, field: &str, parsed: Result<T, impl Into<String>>) -> Option<T> {
        parsed.map_err(|description| self.add(field, description)).ok()
    }

    /// Returns `value`, or the error that names every violation.
    pub fn into_result<T>(self, value: T) -> Result<T> {
        if self.0.is_empty() { Ok(value) } else { Err(Error::invalid(self.0)) }
    }

    /// Says whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the violations found.
    pub fn into_inner(self) -> Vec<Violation> {
        self.0
    }
}

/// Joins two readings of one request, so that the caller hears of all violations at once.
pub fn both<A, B>(a: Result<A>, b: Result<B>) -> Result<(A, B)> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(a), Err(b)) if a.reason() == Reason::InvalidFields && b.reason() == Reason::InvalidFields => {
            Err(Error::invalid([a.violations(), b.violations()].concat()))
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_inward_only() {
        let error = Error::internal("relation links does not exist");
        assert!(!error.to_string().contains("relation"));
        assert!(error.inward().contains("relation links does not exist"));
    }

    #[test]
    fn every_violation_is_named() {
        let mut violations = Violations::default();
        violations.add("a", "is bad");
        violations.add("b", "is worse");
        let error = violations.into_result(()).expect_err("two violations are an error");
        assert_eq!(error.reason_name(), "INVALID_FIELDS");
        assert_eq!(error.violations().len(), 2);
    }
}
