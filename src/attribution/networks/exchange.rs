//! Asks Apple what the tokens of installs stand for. One task of each node does; nobody waits for it.
//!
//! A node claims a token by moving its next attempt on by [`LEASE`] and commits before it calls: the moment it moved it to is its ticket, and
//! what came of the call is written by nobody else. A node that dies leaves its claims, which come again.

use std::time::Duration;

use futures::future::join_all;
use http::{HeaderValue, header};

use super::{
    adservices::{self, Answer, Next, TOKEN_LIFE},
    content, open_token, store,
};
use crate::{
    clock::Moment,
    entity::network_claim::Model,
    env::Env,
    error::Result,
    outbound::{Outbound, OutboundRequest, OutboundUrl, retry_after},
    pb::v1::{ClaimState, NetworkClaim},
};

/// How often the task looks.
pub const EVERY: Duration = Duration::from_secs(1);
/// How long a claim lasts: four times as long as a call may take.
const LEASE: chrono::Duration = chrono::Duration::seconds(60);
/// How long a call may take.
const LONGEST: Duration = Duration::from_secs(15);
/// How many tokens are asked about at once: no more than one host is called at once.
const AT_ONCE: u64 = 8;
/// How much of an answer is read.
const READ: usize = 16 * 1024;

/// Asks about the tokens that are due, once each. Returns how many.
pub async fn exchange_tokens(env: &Env, outbound: &Outbound) -> Result<usize> {
    let now = env.now();
    let due = store::due(&env.db.drain, now, AT_ONCE).await?;
    if due.is_empty() {
        return Ok(0);
    }
    let url = match outbound.url(&env.config.adservices_url) {
        Ok(url) => url,
        Err(refused) => {
            tracing::warn!(%refused, "APPLE_ADSERVICES_URL cannot be called");
            return Ok(0);
        }
    };
    let mut mine = Vec::new();
    for claim in due {
        if store::lease(env.db.writer(&env.db.drain), &claim, now + LEASE).await? {
            mine.push(claim);
        }
    }
    let asked = mine.len();
    let calls = mine.iter().map(|claim| ask(env, outbound, url.clone(), claim));
    for (claim, next) in mine.iter().zip(join_all(calls).await) {
        let settled = match next {
            Next::Again(due) => Model { due_time: Some(due), attempts: claim.attempts + 1, ..claim.clone() },
            Next::Settled(said) => settled(claim, *said),
        };
        store::settle(env.db.writer(&env.db.drain), &settled, now + LEASE).await?;
    }
    Ok(asked)
}

/// Asks about one token.
async fn ask(env: &Env, outbound: &Outbound, url: OutboundUrl, claim: &Model) -> Next {
    let (now, asked) = (env.now(), claim.attempts + 1);
    let sealed = claim.token.as_deref().unwrap_or_default();
    // Sealed under another secret, or changed: nobody knows what it was.
    let Some(token) = open_token(env, claim.workspace_id, sealed) else {
        return Next::Settled(Box::new(adservices::claim(ClaimState::Invalid)));
    };
    // No use asking: Apple's answer to an old token says nothing of the install.
    if now >= claim.receive_time + TOKEN_LIFE {
        return Next::Settled(Box::new(adservices::claim(ClaimState::Expired)));
    }
    let answer = call(outbound, url, token, now).await;
    metrics::counter!("linkforty_adservices_calls_total", "outcome" => name(&answer)).increment(1);
    adservices::next(answer, asked, claim.receive_time, env.now())
}

async fn call(outbound: &Outbound, url: OutboundUrl, token: Vec<u8>, now: Moment) -> Answer {
    let mut request = OutboundRequest::post(url, token.into());
    request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    request.timeout = Some(LONGEST);
    request.max_response_bytes = READ;
    match outbound.send(request).await {
        Ok(answer) => {
            let pause = answer.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let pause = pause.and_then(|value| retry_after(value, now));
            adservices::read(answer.status.as_u16(), &answer.body, pause)
        }
        Err(failure) => {
            tracing::debug!(failure = failure.name(), "Apple's AdServices did not answer");
            Answer::Away(None)
        }
    }
}

/// Returns a claim as Apple settled it; the token goes.
fn settled(claim: &Model, said: NetworkClaim) -> Model {
    Model {
        state: said.state() as i16,
        campaign: said.campaign.clone(),
        content: content(said),
        token: None,
        due_time: None,
        attempts: claim.attempts + 1,
        ..claim.clone()
    }
}

const fn name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Ad(_) => "ad",
        Answer::NoAd => "no_ad",
        Answer::Sample => "sample",
        Answer::NotYet => "not_yet",
        Answer::NoToken => "no_token",
        Answer::Away(_) => "away",
    }
}
