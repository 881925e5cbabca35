//! What people are written: links that only they are to have, and what happened to their account.
//!
//! A token stands behind the `#` of a link: browsers keep that part to themselves, so no server, proxy or log sees it.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;

use super::Client;
use crate::{
    clock::Moment,
    config::Config,
    env::Env,
    error::Result,
    mail::{self, Letter, Part},
};

/// How long it is tried to tell people what happened.
const NOTICE_LIFE: TimeDelta = TimeDelta::days(3);

/// What happened to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The password is another one.
    PasswordChanged,
    /// A second factor is asked for from now on.
    SecondFactorEnrolled,
    /// No second factor is asked for any more.
    SecondFactorDisabled,
    /// The recovery codes are others.
    RecoveryCodesReplaced,
    /// Somebody signed in with a recovery code.
    RecoveryCodeUsed {
        /// How many are left.
        left: u64,
    },
    /// The person can sign in by an identity provider from now on.
    IdentityLinked {
        /// What people know it by.
        provider: String,
    },
    /// The person can sign in by a passkey from now on.
    PasskeyAdded {
        /// What they call it.
        name: String,
    },
    /// They cannot any more.
    PasskeyDeleted {
        /// What they called it.
        name: String,
    },
    /// They cannot any more.
    IdentityUnlinked {
        /// What it calls itself.
        provider: String,
    },
}

/// Writes to whoever forgot a password.
pub fn password_reset(config: &Config, to: &str, token: &str) -> Letter {
    Letter {
        to: to.to_owned(),
        subject: "Set a new linkforty password".to_owned(),
        parts: vec![
            Part::Text("Somebody, most likely you, asked to set a new password for this e-mail.".to_owned()),
            Part::Link {
                label: "Set a new password".to_owned(),
                url: link(config, "/reset-password", token),
            },
            Part::Text("The link is good once and for 30 minutes.".to_owned()),
            Part::Text("If it was not you, do nothing: without the link nothing changes.".to_owned()),
        ],
    }
}

/// Asks whether an e-mail reaches its person.
pub fn email_verification(config: &Config, to: &str, token: &str) -> Letter {
    Letter {
        to: to.to_owned(),
        subject: "Confirm your e-mail for linkforty".to_owned(),
        parts: vec![
            Part::Text("Confirm that this is your e-mail.".to_owned()),
            Part::Link { label: "Confirm".to_owned(), url: link(config, "/verify-email", token) },
            Part::Text("The link is good once and for 24 hours.".to_owned()),
        ],
    }
}

/// Tells a person what happened to their account: with the transaction that made it happen, and by mail after it.
pub async fn tell(
    env: &Env,
    tx: &impl ConnectionTrait,
    email: &str,
    news: News,
    client: &Client,
    now: Moment,
) -> Result<()> {
    mail::post(env, tx, &notice(&env.config, email, news, client, now), NOTICE_LIFE, now).await
}

/// Tells somebody what happened to their account, when, and from where.
fn notice(config: &Config, to: &str, news: News, client: &Client, now: Moment) -> Letter {
    let (subject, what) = match news {
        News::PasswordChanged => (
            "Your linkforty password was changed",
            "Your password was changed, and all other sessions were ended.".to_owned(),
        ),
        News::SecondFactorEnrolled => (
            "Your linkforty account has a second factor now",
            "From now on a code of your authenticator app is asked for when you sign in.".to_owned(),
        ),
        News::SecondFactorDisabled => (
            "Your linkforty account has no second factor any more",
            "From now on your password alone is enough to sign in.".to_owned(),
        ),
        News::RecoveryCodesReplaced => (
            "Your linkforty recovery codes were replaced",
            "You have ten new recovery codes; those from before are worth nothing.".to_owned(),
        ),
        News::RecoveryCodeUsed { left } => (
            "A recovery code of your linkforty account was used",
            format!("Somebody signed in with one of your recovery codes. {left} are left."),
        ),
        News::IdentityLinked { provider } => (
            "Your linkforty account has another way to sign in",
            format!("From now on you can sign in by your identity at {provider}."),
        ),
        News::PasskeyAdded { name } => (
            "Your linkforty account has a new passkey",
            format!("From now on you can sign in by the passkey “{name}”."),
        ),
        News::PasskeyDeleted { name } => (
            "Your linkforty account has a passkey less",
            format!("Nobody can sign in by the passkey “{name}” any more."),
        ),
        News::IdentityUnlinked { provider } => (
            "Your linkforty account has a way to sign in less",
            format!("Nobody can sign in to it by the identity at {provider} any more."),
        ),
    };
    let mut parts = vec![Part::Text(what), Part::Text(format!("Time: {} UTC", now.format("%Y-%m-%d %H:%M")))];
    if !client.address_text().is_empty() {
        parts.push(Part::Text(format!("Address: {}", client.address_text())));
    }
    if !client.user_agent.is_empty() {
        parts.push(Part::Text(format!("Program: {}", client.user_agent)));
    }
    parts.push(Part::Text("If it was not you, set a new password at once and end all sessions.".to_owned()));
    parts.push(Part::Link { label: "Set a new password".to_owned(), url: page(config, "/reset-password") });
    Letter { to: to.to_owned(), subject: subject.to_owned(), parts }
}

fn link(config: &Config, path: &str, token: &str) -> String {
    format!("{}#token={token}", page(config, path))
}

/// Returns the address of a page of the dashboard.
fn page(config: &Config, path: &str) -> String {
    let frontend = config.frontend_urls.first().unwrap_or(&config.links_url);
    format!("{}{path}", frontend.as_str().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn a_token_stands_behind_the_hash_and_news_say_when_and_from_where() {
        let config = Config::from_lookup(&|name| {
            (name == "FRONTEND_URL").then(|| "https://dash.example.com,https://other.example".to_owned())
        });
        let config = config.expect("valid");
        let text = password_reset(&config, "ann@example.com", "abc").text();
        assert!(text.contains("\nhttps://dash.example.com/reset-password#token=abc\n"), "{text}");
        let text = email_verification(&config, "ann@example.com", "abc").text();
        assert!(text.contains("\nhttps://dash.example.com/verify-email#token=abc\n"), "{text}");
        let client = Client {
            address: Some("203.0.113.7".parse().expect("an address")),
            user_agent: "<b>Firefox</b>".into(),
            request_id: None,
        };
        let news = News::RecoveryCodeUsed { left: 9 };
        let letter = notice(&config, "ann@example.com", news, &client, from_micros(1_800_000_000_000_000));
        for part in ["9 are left", "2027-01-15 08:00 UTC", "203.0.113.7", "<b>Firefox</b>"] {
            assert!(letter.text().contains(part), "{part}");
        }
        assert!(!letter.html().contains("<b>Firefox"));
    }
}
