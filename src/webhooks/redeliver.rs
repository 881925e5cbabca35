//! Events that an endpoint is sent again: one of them, or all of a span of time that are in one of some states.

use super::{
    DeliveryState, Endpoint,
    deliveries::{Which, cursor, place_of, walk},
    endpoint::State,
    endpoints::unknown,
    message::told_id,
    store::{deliveries as store, endpoints as endpoint_store},
    wake,
};
use crate::{
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim, Request},
    ids::{MessageId, WebhookEndpointId},
    page::Cursor,
    trail::{self, Action, Changes},
    workspaces::Tenant,
};

/// How many deliveries one call looks at.
const LOOKS: usize = 10_000;
/// How many one statement changes.
const CHUNK: usize = 1000;
/// Every state: one message is sent again whatever became of it.
const ANY: [DeliveryState; 4] =
    [DeliveryState::Due, DeliveryState::Delivered, DeliveryState::GivenUp, DeliveryState::Cancelled];

/// What is to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// One message.
    One(MessageId),
    /// All of these, of that endpoint, in one of the states that are named.
    Those(Which),
}

/// What is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// How many.
    pub count: u64,
    /// Where to go on; `None`: that was all.
    pub next: Option<Cursor>,
}

/// Sends an endpoint events again, behind `after`. A repeat of `request` returns what the first one did.
pub async fn redeliver(
    env: &Env,
    tenant: &Tenant,
    (id, what): (WebhookEndpointId, &What),
    after: Option<&Cursor>,
    request: Option<&Request>,
) -> Result<Again> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(outcome) = idempotency::claim(&tx, request, now).await? {
        return read(&outcome).ok_or_else(|| Error::internal("a request id led to no count"));
    }
    let endpoint = endpoint_store::find(&tx, tenant.id, id).await?.ok_or_else(unknown)?;
    require_called(&endpoint)?;
    let whose = (tenant.id, id);
    let (messages, states, next) = match what {
        What::One(message) => {
            let found = store::find(&tx, whose, *message).await?;
            found.ok_or_else(|| Error::not_found("delivery"))?;
            (vec![*message], &ANY[..], None)
        }
        What::Those(which @ Which { states, .. }) => {
            let after = after.and_then(place_of);
            let (found, next) = walk(&tx, tenant.id, which, (after, LOOKS, LOOKS)).await?;
            let messages = found.into_iter().map(|found| found.row.message_id).collect();
            // Those that were found, unless something came of them since.
            (messages, states.as_slice(), next)
        }
    };
    let mut count = 0;
    for messages in messages.chunks(CHUNK) {
        count += store::send_again(&tx, whose, messages, states, now).await?;
    }
    let again = Again { count, next: next.map(cursor) };
    if count > 0 {
        let changes = Changes::none().with("redelivered_count", count);
        let changes = match what {
            What::One(message) => changes.with("message_id", told_id(*message)),
            What::Those(_) => changes,
        };
        trail::note(&tx, &env.ids, [tenant.did(Action::WebhookEventsRedelivered, id.0, changes)], now)
            .await?;
    }
    idempotency::made(&tx, request, written(&again)).await?;
    tx.commit().await?;
    wake(env);
    Ok(again)
}

/// Fails for an endpoint that nothing is sent to any more.
fn require_called(endpoint: &Endpoint) -> Result<()> {
    match endpoint.state {
        State::Active | State::Paused => Ok(()),
        State::Disabled(_) => Err(Error::new(
            Reason::WebhookEndpointDisabled,
            "the webhook endpoint is disabled: set its state to ACTIVE first",
        )),
    }
}

/// Writes down what a repeat is told.
fn written(again: &Again) -> String {
    match &again.next {
        None => again.count.to_string(),
        Some(Cursor { key, id }) => format!("{} {key} {id}", again.count),
    }
}

fn read(outcome: &str) -> Option<Again> {
    let mut parts = outcome.split(' ');
    let count = parts.next()?.parse().ok()?;
    let next = match (parts.next(), parts.next()) {
        (Some(key), Some(id)) => Some(Cursor { key: key.to_owned(), id: id.to_owned() }),
        _ => None,
    };
    Some(Again { count, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_repeat_is_told_comes_back() {
        let next = Some(Cursor { key: "a-b".into(), id: "c".into() });
        for again in [Again { count: 0, next: None }, Again { count: 10_000, next }] {
            assert_eq!(read(&written(&again)), Some(again));
        }
        assert_eq!(read(""), None);
    }
}
