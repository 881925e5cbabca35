//! Decides who may come in of those whom an identity provider vouches for. Pure.
//!
//! An e-mail makes two people one only if both sides have proved it: else whoever made an account here, or there, under somebody's
//! e-mail would share theirs. A person has one identity of a provider, so who gets an e-mail there that was somebody else's does not get
//! that person's account here.

use super::{fault::Fault, id_token::Vouched};
use crate::accounts::User;

/// What is known here of whom the provider vouches for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    /// Whose the identity is.
    pub linked: Option<&'a User>,
    /// Whose the e-mail is.
    pub by_email: Option<&'a User>,
    /// Whether they have another identity of the provider.
    pub has_another: bool,
    /// Whether somebody invited that e-mail.
    pub invited: bool,
}

/// What the operator wants.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Whether people whom nobody knows get an account.
    pub create_accounts: bool,
    /// The domains that e-mails must be of; none: any.
    pub domains: &'a [String],
}

/// What becomes of somebody.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission<'a> {
    /// They are known by their identity.
    Known(&'a User),
    /// They are known by their e-mail, and get their identity linked.
    Link(&'a User),
    /// They get an account of this e-mail.
    Create(&'a str),
    /// They stay outside.
    Refused(Refusal),
}

/// Why somebody stays outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody knows them.
    Unknown,
    /// The operator disabled them.
    Disabled,
    /// Their e-mail is of a domain that the operator does not let in.
    Domain,
    /// The provider does not vouch for their e-mail.
    EmailUnverified,
    /// The person here has never proved the e-mail.
    EmailUnproved,
    /// The person here has another identity of the provider.
    AnotherIdentity,
}

impl Refusal {
    /// Returns its name, as the audit trail carries it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Disabled => "disabled",
            Self::Domain => "domain",
            Self::EmailUnverified => Fault::EmailUnverified.name(),
            Self::EmailUnproved => "email_unproved",
            Self::AnotherIdentity => "another_identity",
        }
    }
}

/// Decides.
pub fn admit<'a>(vouched: &'a Vouched, seen: Seen<'a>, rules: Rules<'_>) -> Admission<'a> {
    let email = vouched.email.as_deref();
    if !rules.domains.is_empty() {
        let of_one = email.is_some_and(|email| is_of_one(email, rules.domains));
        if !of_one {
            return Admission::Refused(Refusal::Domain);
        }
        if !vouched.email_verified {
            return Admission::Refused(Refusal::EmailUnverified);
        }
    }
    if let Some(user) = seen.linked {
        return if user.disable_time.is_some() {
            Admission::Refused(Refusal::Disabled)
        } else {
            Admission::Known(user)
        };
    }
    let Some(email) = email else { return Admission::Refused(Refusal::Unknown) };
    if !vouched.email_verified {
        return Admission::Refused(Refusal::EmailUnverified);
    }
    match seen.by_email {
        Some(user) if user.disable_time.is_some() => Admission::Refused(Refusal::Disabled),
        Some(user) if user.email_verify_time.is_none() => Admission::Refused(Refusal::EmailUnproved),
        Some(_) if seen.has_another => Admission::Refused(Refusal::AnotherIdentity),
        Some(user) => Admission::Link(user),
        None if seen.invited || rules.create_accounts => Admission::Create(email),
        None => Admission::Refused(Refusal::Unknown),
    }
}

fn is_of_one(email: &str, domains: &[String]) -> bool {
    email.rsplit_once('@').is_some_and(|(_, domain)| domains.iter().any(|one| one == domain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::from_micros, ids::Ids, ids::UserId};

    fn user(disabled: bool, proved: bool) -> User {
        let now = from_micros(1_800_000_000_000_000);
        User {
            id: UserId::mint(&Ids::seeded(1), now),
            email: "ann@example.com".into(),
            display_name: String::new(),
            password_hash: String::new(),
            password_change_required: false,
            create_time: now,
            update_time: now,
            disable_time: disabled.then_some(now),
            email_verify_time: proved.then_some(now),
        }
    }

    #[test]
    fn who_comes_in_is_what_the_table_says() {
        let (ann, disabled, unproved) = (user(false, true), user(true, true), user(false, false));
        let vouched = |email: Option<&str>, verified| Vouched {
            subject: "s".into(),
            email: email.map(Into::into),
            email_verified: verified,
            name: String::new(),
        };
        let (verified, unverified, silent) = (
            vouched(Some("ann@example.com"), true),
            vouched(Some("ann@example.com"), false),
            vouched(None, false),
        );
        let open = Rules { create_accounts: true, domains: &[] };
        let closed = Rules { create_accounts: false, domains: &[] };
        let (ours, theirs) = (["example.com".to_owned()], ["example.org".to_owned()]);
        let (of_ours, of_theirs) = (
            Rules { create_accounts: true, domains: &ours },
            Rules { create_accounts: true, domains: &theirs },
        );
        let nobody = Seen::default();
        let linked = Seen { linked: Some(&ann), ..nobody };
        let linked_disabled = Seen { linked: Some(&disabled), ..nobody };
        let by_email = Seen { by_email: Some(&ann), ..nobody };
        let by_email_disabled = Seen { by_email: Some(&disabled), ..nobody };
        let by_email_unproved = Seen { by_email: Some(&unproved), ..nobody };
        let by_email_another = Seen { has_another: true, ..by_email };
        let invited = Seen { invited: true, ..nobody };
        let refused = Admission::Refused;
        let create = Admission::Create("ann@example.com");
        for (what, vouched, seen, rules, expected) in [
            ("known", &silent, linked, closed, Admission::Known(&ann)),
            ("known, whatever the e-mail", &unverified, linked, closed, Admission::Known(&ann)),
            ("known and disabled", &verified, linked_disabled, open, refused(Refusal::Disabled)),
            ("known by e-mail", &verified, by_email, closed, Admission::Link(&ann)),
            ("its e-mail not vouched for", &unverified, by_email, open, refused(Refusal::EmailUnverified)),
            ("disabled, by e-mail", &verified, by_email_disabled, open, refused(Refusal::Disabled)),
            ("never proved here", &verified, by_email_unproved, open, refused(Refusal::EmailUnproved)),
            ("another identity", &verified, by_email_another, open, refused(Refusal::AnotherIdentity)),
            ("unknown", &verified, nobody, closed, refused(Refusal::Unknown)),
            ("without e-mail", &silent, nobody, open, refused(Refusal::Unknown)),
            ("unknown and not vouched for", &unverified, nobody, open, refused(Refusal::EmailUnverified)),
            ("invited", &verified, invited, closed, create.clone()),
            ("invited, not vouched for", &unverified, invited, closed, refused(Refusal::EmailUnverified)),
            ("everybody", &verified, nobody, open, create.clone()),
            ("of the domain", &verified, nobody, of_ours, create),
            ("of another domain", &verified, nobody, of_theirs, refused(Refusal::Domain)),
            ("known, of another domain", &verified, linked, of_theirs, refused(Refusal::Domain)),
            ("known, of no domain", &silent, linked, of_ours, refused(Refusal::Domain)),
            ("known, not vouched for", &unverified, linked, of_ours, refused(Refusal::EmailUnverified)),
        ] {
            assert_eq!(admit(vouched, seen, rules), expected, "{what}");
        }
        assert!(!is_of_one("ann@sub.example.com", &ours) && !is_of_one("ann@notexample.com", &ours));
    }
}
