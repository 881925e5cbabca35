//! Makes one attempt: one call, bounded in time and in bytes.

use std::time::Duration;

use chrono::TimeDelta;
use http::{StatusCode, header};

use super::{
    compose::Ready,
    endpoint::{self, Endpoint},
    message::Message,
    retry::{self, Outcome},
};
use crate::{
    clock::Moment,
    env::Env,
    outbound::{Failure, Outbound, OutboundRequest, OutboundResponse},
};

/// How long a call may take. `OUTBOUND_TIMEOUT_MS` may make it shorter.
pub const LONGEST: Duration = Duration::from_secs(15);
/// The same of one that somebody waits for.
const LONGEST_ONCE: Duration = Duration::from_secs(10);
/// How much of an answer is read, and how much of that is kept.
const READ: usize = 16 * 1024;
const KEPT: usize = 4 * 1024;

/// An attempt that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub time: Moment,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// The status, where there was one.
    pub status: Option<u16>,
    /// How long the receiver asks us to wait.
    pub retry_after: Option<TimeDelta>,
    /// The first 4 KiB of the answer's body, where there was an answer.
    pub response: Option<Vec<u8>>,
}

/// Tells an endpoint something, once: nothing is written down and nothing is tried again. Takes ten seconds at the most. `message` need
/// not be stored.
pub async fn once(env: &Env, outbound: &Outbound, endpoint: &Endpoint, message: &Message) -> Attempt {
    let ready = Ready::of(endpoint.clone(), &endpoint::seal(env), outbound);
    let now = env.now();
    let request = ready.request(message, outbound, now);
    let attempt = call(outbound, request, LONGEST_ONCE, now).await;
    // Too many calls to that host are under way. Who asks for one now is told that nobody was reached.
    let attempt = attempt.unwrap_or_else(|| failed(Outcome::Connect, now, Duration::ZERO));
    count(&attempt);
    attempt
}

/// Makes the call of a request that is to be sent at `now`; `None`: so many calls to that host are under way that nobody was called.
pub async fn call(
    outbound: &Outbound,
    request: Option<OutboundRequest>,
    longest: Duration,
    now: Moment,
) -> Option<Attempt> {
    let Some(mut request) = request else { return Some(failed(Outcome::Refused, now, Duration::ZERO)) };
    request.timeout = Some(longest);
    request.max_response_bytes = READ;
    let begun = tokio::time::Instant::now();
    match outbound.send(request).await {
        Ok(answer) => Some(answered(answer, now)),
        Err(Failure::Busy) => None,
        Err(failure) => {
            tracing::debug!(failure = failure.name(), "a webhook endpoint did not answer");
            Some(failed(outcome(&failure), now, begun.elapsed()))
        }
    }
}

/// Counts an attempt.
pub fn count(attempt: &Attempt) {
    let outcome = match attempt.outcome {
        Outcome::Delivered => "delivered",
        Outcome::Status => "status",
        Outcome::Timeout => "timeout",
        Outcome::Connect => "connect",
        Outcome::Name => "name",
        Outcome::Tls => "tls",
        Outcome::Answer => "answer",
        Outcome::Refused => "refused",
    };
    metrics::counter!("linkforty_webhook_attempts_total", "outcome" => outcome).increment(1);
    metrics::histogram!("linkforty_webhook_attempt_duration_seconds").record(attempt.took.as_secs_f64());
}

fn answered(answer: OutboundResponse, now: Moment) -> Attempt {
    let OutboundResponse { status, headers, body, took, .. } = answer;
    let retry_after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    Attempt {
        time: now,
        took,
        outcome: if status.is_success() { Outcome::Delivered } else { Outcome::Status },
        status: Some(status.as_u16()),
        retry_after: retry_after
            .filter(|_| !status.is_success())
            .and_then(|value| retry::retry_after(value, now)),
        response: Some(body[..body.len().min(KEPT)].to_vec()).filter(|_| status != StatusCode::NO_CONTENT),
    }
}

const fn failed(outcome: Outcome, time: Moment, took: Duration) -> Attempt {
    Attempt { time, took, outcome, status: None, retry_after: None, response: None }
}

const fn outcome(failure: &Failure) -> Outcome {
    match failure {
        Failure::Refused(_) | Failure::Address { .. } => Outcome::Refused,
        Failure::Name(_) | Failure::NoAddress => Outcome::Name,
        Failure::Busy | Failure::Connect(_) | Failure::ConnectTimeout => Outcome::Connect,
        Failure::Certificate(_) | Failure::Tls(_) => Outcome::Tls,
        Failure::Timeout => Outcome::Timeout,
        Failure::HeadersTooLarge
        | Failure::Flood
        | Failure::Protocol(_)
        | Failure::Redirect(_)
        | Failure::Redirects
        | Failure::Closed(_) => Outcome::Answer,
    }
}
