//! What every node answers while the authority looks whether a host is ours.
//!
//! The answers stand in the database, since the authority asks whichever node the DNS leads it to. Anybody may ask, so few questions at a time
//! come that far, and only those that have the form of one.

use std::{sync::Arc, time::Duration};

use rustls::sign::CertifiedKey;
use tokio::{sync::Semaphore, time::timeout};

use super::{keys, store};
use crate::{acme, env::Env};

/// How many questions are looked up at once. Authorities ask from a handful of places.
const AT_ONCE: usize = 16;
/// How long one may take, pool included.
const LONGEST: Duration = Duration::from_secs(3);

/// Answers authorities. A cheap clone.
#[derive(Debug, Clone)]
pub struct Challenges {
    env: Env,
    places: Arc<Semaphore>,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// This.
    Yes(String),
    /// Nobody asked us to prove that.
    Unknown,
    /// Nobody can say: the database is away, or too many ask.
    Away,
}

impl Challenges {
    /// Returns the answers of this server; `None`: it gets no certificates.
    pub fn of(env: &Env) -> Option<Self> {
        env.config.acme.as_ref()?;
        Some(Self { env: env.clone(), places: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Returns the text that a token is answered with on port 80.
    pub async fn text(&self, token: &str) -> Answered {
        let answered = if acme::is_token(token) {
            self.look_up(store::answer_to(&self.env.db.lookup, token, self.env.now())).await
        } else {
            Answered::Unknown
        };
        Self::count("http-01", &answered);
        answered
    }

    /// Returns the certificate that answers for a host in a handshake of its own on port 443.
    pub async fn certificate(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let answered = self.look_up(store::answer_for(&self.env.db.lookup, host, self.env.now())).await;
        Self::count("tls-alpn-01", &answered);
        match answered {
            Answered::Yes(answer) => keys::answering(host, &answer).map(Arc::new),
            Answered::Unknown | Answered::Away => None,
        }
    }

    async fn look_up(
        &self,
        question: impl Future<Output = Result<Option<String>, sea_orm::DbErr>>,
    ) -> Answered {
        let Ok(_place) = self.places.try_acquire() else { return Answered::Away };
        match timeout(LONGEST, question).await {
            Ok(Ok(Some(answer))) => Answered::Yes(answer),
            Ok(Ok(None)) => Answered::Unknown,
            Ok(Err(_)) | Err(_) => Answered::Away,
        }
    }

    fn count(kind: &'static str, answered: &Answered) {
        let outcome = match answered {
            Answered::Yes(_) => "answered",
            Answered::Unknown => "unknown",
            Answered::Away => "away",
        };
        metrics::counter!("linkforty_certificate_challenges_total", "kind" => kind, "outcome" => outcome)
            .increment(1);
    }
}
