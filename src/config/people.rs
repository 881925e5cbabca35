//! Settings of people: how long they stay signed in, who else says who they are, how they are written to.

use std::time::Duration;

use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::{Reader, Stage};

/// How long people stay signed in.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// After so long without a refresh a session is over.
    pub idle_timeout: Duration,
    /// After so long it is over whatever happens.
    pub lifetime: Duration,
}

/// A server that says who people are, by OpenID Connect.
#[derive(Debug, Clone)]
pub struct Oidc {
    /// What it calls itself, letter by letter.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// What we show it.
    pub client_secret: SecretString,
    /// What people know it by.
    pub display_name: String,
    /// What it is asked for, `openid` among it.
    pub scopes: String,
    /// Whether whom it vouches for and nobody knows gets an account.
    pub create_accounts: bool,
    /// The domains that e-mails must be of, in lower case; none: any.
    pub allowed_email_domains: Vec<String>,
    /// Networks that are not on the public internet and in which it may be.
    pub allow_networks: Vec<IpNet>,
}

/// Mail to people.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The server that takes it; `None`: it is printed, in production nowhere.
    pub smtp: Option<Smtp>,
    /// Who it is from: an e-mail, or a name and an e-mail in angle brackets.
    pub from: String,
}

/// A mail server.
#[derive(Debug, Clone)]
pub struct Smtp {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is encrypted.
    pub security: Security,
    /// User and password.
    pub credentials: Option<(String, SecretString)>,
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// From the first byte on.
    Tls,
    /// After `STARTTLS`, without which nothing is sent.
    StartTls,
    /// Not at all.
    None,
}

/// An access token lives ten minutes.
const SHORTEST_SESSION: Duration = Duration::from_mins(15);
const LONGEST_SESSION: Duration = Duration::from_hours(365 * 24);

impl Reader<'_> {
    pub(super) fn sessions(&mut self) -> Sessions {
        let sessions = Sessions {
            idle_timeout: self.span("SESSION_IDLE_TIMEOUT", "14d"),
            lifetime: self.span("SESSION_LIFETIME", "90d"),
        };
        // Clients refresh when an access token ends: a session that is in use would be over before.
        if sessions.idle_timeout < SHORTEST_SESSION {
            self.problem("SESSION_IDLE_TIMEOUT must be at least 15m");
        }
        if sessions.idle_timeout > sessions.lifetime || sessions.lifetime > LONGEST_SESSION {
            self.problem("SESSION_LIFETIME must be at least SESSION_IDLE_TIMEOUT and at most 365d");
        }
        sessions
    }

    pub(super) fn oidc(&mut self, stage: Stage) -> Option<Oidc> {
        let issuer = self.text("OIDC_ISSUER", "");
        let client_id = self.text("OIDC_CLIENT_ID", "");
        let client_secret = self.secret("OIDC_CLIENT_SECRET");
        let display_name = self.text("OIDC_DISPLAY_NAME", "Single sign-on");
        let scopes = self.text("OIDC_SCOPES", "openid email profile");
        let create_accounts = self.flag("OIDC_CREATE_ACCOUNTS", false);
        let domains = self.text("OIDC_ALLOWED_EMAIL_DOMAINS", "");
        let networks = self.text("OIDC_ALLOW_NETWORKS", "");
        let allow_networks: Vec<IpNet> =
            self.list("OIDC_ALLOW_NETWORKS", &networks, "a network such as 10.1.0.0/16");
        if issuer.is_empty() {
            if !client_id.is_empty() || client_secret.is_some() {
                self.problem("OIDC_ISSUER is not set: name the provider that OIDC_CLIENT_ID and OIDC_CLIENT_SECRET are for, or set none of them");
            }
            return None;
        }
        if !is_issuer(&issuer, stage) {
            self.problem(format!(
                "OIDC_ISSUER is {issuer:?}: it must be the provider's https:// address, letter by letter as its discovery document says it, \
                 without query and fragment (http:// for a provider on this machine, in development)"
            ));
        }
        if client_id.is_empty() || client_secret.is_none() {
            self.problem("OIDC_CLIENT_ID or OIDC_CLIENT_SECRET is not set: the provider gave you both when you registered this server there");
        }
        if !scopes.split(' ').any(|scope| scope == "openid") {
            self.problem("OIDC_SCOPES must contain openid, or the provider says nothing of who somebody is");
        }
        if allow_networks.iter().any(|network| network.prefix_len() == 0) {
            self.problem("OIDC_ALLOW_NETWORKS allows every address: name the networks that are meant");
        }
        let allowed_email_domains = domains.split(',').map(|domain| domain.trim().to_lowercase());
        let allowed_email_domains = allowed_email_domains.filter(|domain| !domain.is_empty()).collect();
        Some(Oidc {
            issuer,
            client_id,
            client_secret: client_secret?,
            display_name,
            scopes,
            create_accounts,
            allowed_email_domains,
            allow_networks,
        })
    }

    /// Reads the domain that passkeys are for. A browser takes the dashboard's host, or one above it that is somebody's own.
    pub(super) fn rp_id(&mut self, frontends: &[Url]) -> Option<String> {
        let id = self.text("WEBAUTHN_RP_ID", "").to_ascii_lowercase();
        if id.is_empty() {
            return None;
        }
        let host = frontends.first().and_then(Url::host_str).unwrap_or_default();
        let above = host == id || host.strip_suffix(&*id).is_some_and(|rest| rest.ends_with('.'));
        let own = id == "localhost" || psl::domain_str(&id).is_some();
        if !above || !own {
            self.problem(format!(
                "WEBAUTHN_RP_ID is {id:?}: it must be the host of the first FRONTEND_URL, or a domain above it that people can register"
            ));
        }
        Some(id)
    }

    pub(super) fn mail(&mut self, production: bool) -> Mail {
        let driver = self.text("MAIL_DRIVER", "log");
        let url = self.secret("SMTP_URL");
        let from = self.text("MAIL_FROM", "linkforty@localhost");
        if from.parse::<lettre::message::Mailbox>().is_err() {
            self.problem(format!(
                "MAIL_FROM is {from:?}: it must be an e-mail, or a name and an e-mail such as linkforty <no-reply@example.com>"
            ));
        }
        let smtp = match (driver.as_str(), url) {
            ("log", _) => None,
            ("smtp", Some(url)) => smtp(url.expose_secret()).map_or_else(
                |problem| {
                    self.problem(format!("SMTP_URL {problem}"));
                    None
                },
                Some,
            ),
            ("smtp", None) => {
                self.problem("SMTP_URL is not set: MAIL_DRIVER=smtp needs one, such as smtps://user:password@mail.example.com");
                None
            }
            (other, _) => {
                self.problem(format!("MAIL_DRIVER is {other:?}: it must be smtp or log"));
                None
            }
        };
        if let Some(Smtp { security: Security::None, credentials: Some(_), .. }) = smtp
            && production
        {
            self.problem("SMTP_URL has a password and tls=none: it would be sent for everybody to read");
        }
        Mail { smtp, from }
    }
}

/// Says whether a URL is of this machine alone.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Says whether a text can be the name of a provider (OpenID Connect Discovery 1.0, section 3).
fn is_issuer(issuer: &str, stage: Stage) -> bool {
    let Ok(url) = Url::parse(issuer) else { return false };
    let encrypted = match url.scheme() {
        "https" => true,
        "http" => stage == Stage::Development && is_loopback(&url),
        _ => false,
    };
    encrypted && url.username().is_empty() && url.query().is_none() && url.fragment().is_none()
}

/// Reads the address of a mail server: `smtps://` encrypts from the first byte on, `smtp://` by `STARTTLS`, unless `?tls=none`.
fn smtp(url: &str) -> Result<Smtp, &'static str> {
    const FORM: &str = "must be smtps://user:password@host[:port] or smtp://user:password@host[:port], user and password as in a URL";
    let url = Url::parse(url).map_err(|_| FORM)?;
    let (security, port) = match (url.scheme(), url.query()) {
        ("smtps", None) => (Security::Tls, 465),
        ("smtp", None) => (Security::StartTls, 587),
        ("smtp", Some("tls=none")) => (Security::None, 25),
        _ => return Err(FORM),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(FORM)?.to_owned();
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err(FORM);
    }
    let decoded = |text: &str| {
        percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| FORM)
    };
    let credentials = match (url.username(), url.password()) {
        ("", None) => None,
        (user, Some(password)) => Some((decoded(user)?, SecretString::from(decoded(password)?))),
        (_, None) => return Err(FORM),
    };
    Ok(Smtp { host, port: url.port().unwrap_or(port), security, credentials })
}
