//! Why a certificate could not be got, and what to do about it. Pure.

use std::time::Duration;

use crate::acme::{Fault, Problem};

/// Why. The numbers are those of `linkforty.v1.CertificateFailure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The authority cannot be reached, or does not work.
    AuthorityAway = 1,
    /// The authority wants to be left alone.
    RateLimited = 2,
    /// The authority did not find this server at the host.
    NotProved = 3,
    /// A CAA record allows others only.
    Caa = 4,
    /// The authority issues nothing for such a host.
    Rejected = 5,
    /// The authority does not want our account.
    Account = 6,
    /// The DNS does not lead here.
    NotHere = 7,
    /// What came is no certificate for the host.
    Unusable = 8,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setback {
    pub(super) kind: Kind,
    /// What was said of it.
    pub(super) detail: String,
    /// How long the authority wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::AuthorityAway,
        Self::RateLimited,
        Self::NotProved,
        Self::Caa,
        Self::Rejected,
        Self::Account,
        Self::NotHere,
        Self::Unusable,
    ];

    /// Returns the kind of that number; 0 and those that nobody knows are none.
    pub(super) fn numbered(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i16 == number)
    }

    /// Returns the name, for logs, metrics and the operator.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AuthorityAway => "authority_away",
            Self::RateLimited => "rate_limited",
            Self::NotProved => "not_proved",
            Self::Caa => "caa",
            Self::Rejected => "rejected",
            Self::Account => "account",
            Self::NotHere => "not_here",
            Self::Unusable => "unusable",
        }
    }

    /// Returns what to do.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::AuthorityAway => "Nothing: the server tries again by itself.",
            Self::RateLimited => "Nothing: the certificate authority asked to wait, and the server does.",
            Self::NotProved => {
                "Let the host lead to this server for everybody, all its addresses of IPv4 and IPv6, with nothing in between that answers \
                 the certificate authority instead."
            }
            Self::Caa => "Add the certificate authority to the CAA records of the host, or remove them.",
            Self::Rejected => {
                "Use another host: the certificate authority issues no certificates for this one."
            }
            Self::Account => {
                "Tell the operator of this server: the certificate authority does not accept its account."
            }
            Self::NotHere => "Restore the DNS records that prove the host, and call VerifyDomain.",
            Self::Unusable => {
                "Tell the operator of this server: what the certificate authority sends cannot be used."
            }
        }
    }

    /// Says whether an order that met it can go on later.
    pub(super) const fn leaves_order(self) -> bool {
        matches!(self, Self::AuthorityAway | Self::RateLimited | Self::NotHere)
    }
}

impl Setback {
    pub(super) fn new(kind: Kind, detail: &str) -> Self {
        let detail = detail.chars().filter(|character| !character.is_control()).take(255).collect();
        Self { kind, detail, retry_after: None }
    }

    /// Says why an authority did not do what it was asked.
    pub(super) fn of_fault(fault: &Fault) -> Self {
        let kind = match fault {
            Fault::Away(_) | Fault::Unreadable(_) => Kind::AuthorityAway,
            Fault::NeedsExternalAccount => Kind::Account,
            Fault::Refused(problem) => match problem.kind.as_str() {
                "rateLimited" => Kind::RateLimited,
                "caa" => Kind::Caa,
                "rejectedIdentifier" | "unsupportedIdentifier" => Kind::Rejected,
                "accountDoesNotExist"
                | "externalAccountRequired"
                | "unauthorized"
                | "userActionRequired"
                | "invalidContact"
                | "unsupportedContact" => Kind::Account,
                _ if problem.status == 429 => Kind::RateLimited,
                _ if problem.status == 403 => Kind::Account,
                _ => Kind::AuthorityAway,
            },
        };
        let retry_after = match fault {
            Fault::Refused(problem) => problem.retry_after,
            _ => None,
        };
        Self { retry_after, ..Self::new(kind, &fault.to_string()) }
    }

    /// Says why the authority does not believe that a host is ours, or issues nothing for it.
    pub(super) fn of_proof(problem: Option<Problem>) -> Self {
        let Some(problem) = problem.map(Problem::tidied) else {
            return Self::new(Kind::NotProved, "");
        };
        let kind = match problem.kind.as_str() {
            "caa" => Kind::Caa,
            "rejectedIdentifier" | "unsupportedIdentifier" => Kind::Rejected,
            "rateLimited" => Kind::RateLimited,
            "serverInternal" => Kind::AuthorityAway,
            _ => Kind::NotProved,
        };
        Self::new(kind, &format!("{}: {}", problem.kind, problem.detail))
    }
}

impl From<Fault> for Setback {
    fn from(fault: Fault) -> Self {
        Self::of_fault(&fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{outbound::Failure, pb::v1::CertificateFailure};

    #[test]
    fn the_numbers_and_names_are_those_of_the_contract() {
        for kind in Kind::ALL {
            let known = CertificateFailure::try_from(kind as i32).expect("the contract has it");
            let name = known.as_str_name().trim_start_matches("CERTIFICATE_FAILURE_").to_lowercase();
            assert_eq!(name, kind.name());
            assert_eq!(Kind::numbered(kind as i16), Some(kind));
        }
        assert_eq!((Kind::numbered(0), Kind::numbered(99)), (None, None));
    }

    #[test]
    fn what_an_authority_says_is_understood() {
        let refused =
            |kind: &str, status| Fault::Refused(Problem { kind: kind.into(), status, ..Problem::default() });
        for (fault, expected) in [
            (Fault::Away(Failure::NoAddress), Kind::AuthorityAway),
            (Fault::Unreadable("nothing"), Kind::AuthorityAway),
            (Fault::NeedsExternalAccount, Kind::Account),
            (refused("rateLimited", 429), Kind::RateLimited),
            (refused("", 429), Kind::RateLimited),
            (refused("accountDoesNotExist", 400), Kind::Account),
            (refused("rejectedIdentifier", 403), Kind::Rejected),
            (refused("caa", 403), Kind::Caa),
            (refused("serverInternal", 500), Kind::AuthorityAway),
            (refused("", 503), Kind::AuthorityAway),
            (refused("badNonce", 400), Kind::AuthorityAway),
        ] {
            assert_eq!(Setback::of_fault(&fault).kind, expected, "{fault}");
        }
        for (kind, expected) in [
            ("urn:ietf:params:acme:error:unauthorized", Kind::NotProved),
            ("urn:ietf:params:acme:error:connection", Kind::NotProved),
            ("urn:ietf:params:acme:error:dns", Kind::NotProved),
            ("urn:ietf:params:acme:error:caa", Kind::Caa),
            ("urn:ietf:params:acme:error:serverInternal", Kind::AuthorityAway),
            ("about:blank", Kind::NotProved),
        ] {
            let problem = Problem { kind: kind.into(), ..Problem::default() };
            assert_eq!(Setback::of_proof(Some(problem)).kind, expected, "{kind}");
        }
        assert_eq!(Setback::of_proof(None).kind, Kind::NotProved);
    }
}
