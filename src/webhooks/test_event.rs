//! Events that somebody sends an endpoint to see what becomes of them.

use std::sync::Arc;

use super::{
    EventType, Message,
    call::{self, Attempt},
    endpoints::unknown,
    payload,
    store::endpoints as store,
};
use crate::{
    env::Env,
    error::{Error, Reason, Result},
    ids::{MessageId, WebhookEndpointId},
    limits::{LimitName, Limits, Verdict},
    outbound::Outbound,
    workspaces::Tenant,
};

/// Calls endpoints that somebody tries.
#[derive(Debug, Clone)]
pub struct Tests {
    /// Calls them.
    pub outbound: Outbound,
    /// How often.
    pub limits: Arc<dyn Limits>,
}

/// What was sent, and what came of it.
#[derive(Debug)]
pub struct Tested {
    /// What.
    pub message: Message,
    /// What came of it.
    pub attempt: Attempt,
}

impl Tests {
    /// Sends an endpoint an event that says nothing, once. It is not kept.
    pub async fn send(&self, env: &Env, tenant: &Tenant, id: WebhookEndpointId) -> Result<Tested> {
        let endpoint = store::find(&env.db.api, tenant.id, id).await?.ok_or_else(unknown)?;
        let limit = LimitName::WebhookTest;
        if let Verdict::Limited { retry_after, .. } =
            self.limits.check(limit, &tenant.id.to_string(), 1).await
        {
            metrics::counter!("linkforty_rate_limited_total", "limit" => limit.name()).increment(1);
            return Err(Error::new(Reason::RateLimited, "too many tests; wait a moment")
                .with("limit", limit.name())
                .retry_after(retry_after));
        }
        let now = env.now();
        let message = Message {
            id: MessageId::mint(&env.ids, now),
            workspace: tenant.id,
            endpoint: Some(id),
            event_type: EventType::TestSent,
            subject: id.0,
            time: now,
            body: payload::test(tenant.id, id),
        };
        let attempt = call::once(env, &self.outbound, &endpoint, &message).await;
        Ok(Tested { message, attempt })
    }
}
