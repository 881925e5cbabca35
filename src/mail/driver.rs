//! Sends mails through an SMTP server, or writes them into the log.

use std::{fs, time::Duration};

use anyhow::Context as _;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
        response::{Category, Severity},
    },
};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Letter, retry::Outcome};
use crate::{
    clock::Moment,
    config::{Config, Security, Smtp, Stage},
};

/// How long the server may take for one command, and for the whole mail.
const COMMAND: Duration = Duration::from_secs(20);
const WHOLE: Duration = Duration::from_secs(90);

/// Sends mails as the settings say.
#[derive(Debug)]
pub struct Mailer {
    from: Mailbox,
    domain: String,
    driver: Driver,
}

#[derive(Debug)]
enum Driver {
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
    /// Into the log, for whoever tries the server out.
    Log,
    /// Nowhere: what a mail says does not belong into the log of a production server.
    Nowhere,
}

impl Mailer {
    /// Returns the mailer of the settings.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let from: Mailbox = config.mail.from.parse().context("MAIL_FROM is no e-mail")?;
        let domain = from.email.domain().to_owned();
        let driver = match &config.mail.smtp {
            Some(smtp) => Driver::Smtp(Box::new(transport(smtp, config, &domain)?)),
            None if config.stage == Stage::Production => {
                tracing::warn!(
                    "no mail is sent: MAIL_DRIVER is log, so nobody can reset a password by mail; set MAIL_DRIVER=smtp, SMTP_URL and MAIL_FROM"
                );
                Driver::Nowhere
            }
            None => Driver::Log,
        };
        Ok(Self { from, domain, driver })
    }

    /// Sends a letter. The `Message-ID` follows from `id`, so that a repeat is known as one.
    pub async fn send(&self, id: Uuid, letter: &Letter, now: Moment) -> Outcome {
        let transport = match &self.driver {
            Driver::Smtp(transport) => transport,
            Driver::Log => {
                tracing::info!(mail.id = %id, "a mail to {}, {}:\n\n{}", letter.to, letter.subject_line(), letter.text());
                return Outcome::Sent;
            }
            Driver::Nowhere => {
                tracing::warn!(mail.id = %id, "a mail was not sent: MAIL_DRIVER is log");
                return Outcome::Nowhere;
            }
        };
        let message = match self.message(id, letter, now) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(mail.id = %id, cause = %format!("{error:#}"), "a mail cannot be written");
                return Outcome::Refused;
            }
        };
        match timeout(WHOLE, transport.send(message)).await {
            Ok(Ok(_)) => Outcome::Sent,
            Ok(Err(error)) => {
                let outcome = if is_final(&error) { Outcome::Refused } else { Outcome::Failed };
                tracing::warn!(mail.id = %id, cause = %error, ?outcome, "the mail server did not take a mail");
                outcome
            }
            Err(_) => {
                tracing::warn!(mail.id = %id, "the mail server did not take a mail in time");
                Outcome::Failed
            }
        }
    }

    fn message(&self, id: Uuid, letter: &Letter, now: Moment) -> anyhow::Result<Message> {
        // No name beside the address: it would be a stranger's text in a header.
        let to = Mailbox::new(None, letter.to.parse().context("the receiver is no e-mail")?);
        let body = MultiPart::alternative_plain_html(letter.text(), letter.html());
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject_line())
            .date(now.into())
            .message_id(Some(format!("<{id}@{}>", self.domain)))
            .multipart(body)?;
        // Nobody's holiday note should come back (RFC 3834).
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        message.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".to_owned()));
        Ok(message)
    }
}

fn transport(
    smtp: &Smtp,
    config: &Config,
    domain: &str,
) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let encrypted = || -> anyhow::Result<TlsParameters> {
        let mut tls = TlsParameters::builder(smtp.host.clone());
        if let Some(file) = &config.outbound.ca_file {
            let pem = fs::read(file)
                .with_context(|| format!("cannot read {} (OUTBOUND_CA_FILE)", file.display()))?;
            tls = tls.add_root_certificate(Certificate::from_pem(&pem).context("OUTBOUND_CA_FILE")?);
        }
        tls.build_rustls().context("SMTP_URL names a host without a name")
    };
    let tls = match smtp.security {
        Security::Tls => Tls::Wrapper(encrypted()?),
        Security::StartTls => Tls::Required(encrypted()?),
        Security::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.host.clone())
        .port(smtp.port)
        .tls(tls)
        .timeout(Some(COMMAND))
        .hello_name(ClientId::Domain(domain.to_owned()));
    if let Some((user, password)) = &smtp.credentials {
        builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
    }
    Ok(builder.build())
}

/// Says whether the server will never take the mail: it said so of the mailbox. What it says of us (credentials, connections) may
/// change.
fn is_final(error: &smtp::Error) -> bool {
    error.status().is_some_and(|code| {
        code.severity == Severity::PermanentNegativeCompletion && code.category == Category::MailSystem
    })
}
