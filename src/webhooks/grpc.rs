//! `linkforty.v1.WebhookService`: who calls, may they, what do they want, do it, answer.

use std::mem::take;

use chrono::Duration;
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{
    DeliveryState,
    deliveries::{self, Answers, Which},
    endpoints::{self, Change, Made},
    fields::{self, FIELDS, OUTPUT_ONLY, endpoint_id},
    message::{parse_told_id, told_id},
    redeliver::{self, What},
    secrets::{DEFAULT_OVERLAP, MAX_OVERLAP},
    test_event::Tests,
    wire,
};
use crate::{
    clock::Moment,
    env::Env,
    error::{Error, Result, Violations, both},
    links::{Run, named, once},
    pb::v1::{
        CreateWebhookEndpointRequest, CreateWebhookEndpointResponse, DeleteWebhookEndpointRequest,
        DeleteWebhookEndpointResponse, GetWebhookEndpointRequest, GetWebhookEndpointResponse,
        ListDeliveriesRequest, ListDeliveriesResponse, ListWebhookEndpointsRequest,
        ListWebhookEndpointsResponse, RedeliverEventsRequest, RedeliverEventsResponse,
        RotateWebhookSecretRequest, RotateWebhookSecretResponse, SendTestEventRequest, SendTestEventResponse,
        UpdateWebhookEndpointRequest, UpdateWebhookEndpointResponse, WebhookEndpoint,
        webhook_service_server::WebhookService,
    },
    rpc::{self, Permission, moment},
    workspaces::enter,
};

/// Answers `WebhookService`.
#[derive(Debug, Clone)]
pub struct WebhookApi {
    /// The handles.
    pub env: Env,
    /// Calls endpoints that somebody tries, and says which URLs are called at all.
    pub tests: Tests,
}

#[tonic::async_trait]
impl WebhookService for WebhookApi {
    async fn create_webhook_endpoint(
        &self,
        request: Request<CreateWebhookEndpointRequest>,
    ) -> Result<Response<CreateWebhookEndpointResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::WebhooksWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "CreateWebhookEndpoint", &request_id, &asked, Run::Store);
            let endpoint = asked.webhook_endpoint.as_ref().ok_or_else(required);
            let decided = endpoint.and_then(|endpoint| fields::new(&self.tests.outbound, endpoint));
            let (mut decided, once) = both(decided, once)?;
            fields::expect(env, &tenant, &mut decided.settings.filter).await?;
            let made = endpoints::create(env, &tenant, decided, once.as_ref()).await?;
            let (webhook_endpoint, secret) = self.made(made);
            Ok(CreateWebhookEndpointResponse { webhook_endpoint, secret })
        })
        .await
    }

    async fn get_webhook_endpoint(
        &self,
        request: Request<GetWebhookEndpointRequest>,
    ) -> Result<Response<GetWebhookEndpointResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::WebhooksRead).await?;
            let id = endpoint_id("webhook_endpoint_id", &asked.webhook_endpoint_id)?;
            let found = endpoints::get(env, &tenant, id).await?;
            Ok(GetWebhookEndpointResponse { webhook_endpoint: Some(found.shown(env.now())) })
        })
        .await
    }

    async fn list_webhook_endpoints(
        &self,
        request: Request<ListWebhookEndpointsRequest>,
    ) -> Result<Response<ListWebhookEndpointsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::WebhooksRead).await?;
            let (now, question) =
                (env.now(), [b"ListWebhookEndpoints".as_slice(), tenant.id.0.as_bytes()].concat());
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = endpoints::list(env, &tenant, &page).await?;
            Ok(ListWebhookEndpointsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, now),
                webhook_endpoints: page.items.iter().map(|opened| opened.shown(now)).collect(),
            })
        })
        .await
    }

    async fn update_webhook_endpoint(
        &self,
        request: Request<UpdateWebhookEndpointRequest>,
    ) -> Result<Response<UpdateWebhookEndpointResponse>, Status> {
        rpc::answer(async {
            let (env, outbound) = (&self.env, &self.tests.outbound);
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::WebhooksWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "UpdateWebhookEndpoint", &request_id, &asked, Run::Store);
            let endpoint = asked.webhook_endpoint.unwrap_or_default();
            let id = endpoint_id("webhook_endpoint.id", &endpoint.id);
            let is_set = |name: &str| fields::is_set(&endpoint, name);
            let fields = named(asked.update_mask.as_ref(), &FIELDS, &OUTPUT_ONLY, is_set);
            let ((id, fields), once) = both(both(id, fields), once)?;
            let change = Change { id, asked: &endpoint, fields: &fields };
            let filter = endpoints::check(env, outbound, &tenant, &change).await?;
            let changed = endpoints::update(env, outbound, &tenant, (&change, filter), once.as_ref()).await?;
            Ok(UpdateWebhookEndpointResponse { webhook_endpoint: Some(changed.shown(env.now())) })
        })
        .await
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<DeleteWebhookEndpointRequest>,
    ) -> Result<Response<DeleteWebhookEndpointResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::WebhooksWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "DeleteWebhookEndpoint", &request_id, &asked, Run::Store);
            let id = endpoint_id("webhook_endpoint_id", &asked.webhook_endpoint_id);
            let (id, once) = both(id, once)?;
            endpoints::delete(env, &tenant, id, once.as_ref()).await?;
            Ok(DeleteWebhookEndpointResponse {})
        })
        .await
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<RotateWebhookSecretRequest>,
    ) -> Result<Response<RotateWebhookSecretResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::WebhooksWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "RotateWebhookSecret", &request_id, &asked, Run::Store);
            let id = endpoint_id("webhook_endpoint_id", &asked.webhook_endpoint_id);
            let ((id, overlap), once) = both(both(id, overlap(&asked)), once)?;
            let made = endpoints::rotate(env, &tenant, (id, overlap), once.as_ref()).await?;
            let (webhook_endpoint, secret) = self.made(made);
            Ok(RotateWebhookSecretResponse { webhook_endpoint, secret })
        })
        .await
    }

    async fn send_test_event(
        &self,
        request: Request<SendTestEventRequest>,
    ) -> Result<Response<SendTestEventResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::WebhooksWrite).await?;
            let id = endpoint_id("webhook_endpoint_id", &asked.webhook_endpoint_id)?;
            let tested = self.tests.send(env, &tenant, id).await?;
            Ok(SendTestEventResponse {
                message_id: told_id(tested.message.id),
                attempt: Some(wire::tested(tested.attempt)),
            })
        })
        .await
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::WebhooksRead).await?;
            // Strangers may answer with something that is not for everybody.
            let sees_answers = enter(env, &caller, &asked.workspace_id, Permission::WebhooksWrite).await;
            let answers = if sees_answers.is_ok() { Answers::Told } else { Answers::Hidden };
            let (size, token) = (take(&mut asked.page_size), take(&mut asked.page_token));
            let which = deliveries_meant(&asked)?;
            let now = env.now();
            let question =
                [b"ListDeliveries".as_slice(), tenant.id.0.as_bytes(), &asked.encode_to_vec()].concat();
            let page = env.pages.request(size, &token, &question, now)?;
            let page = deliveries::list(env, &tenant, (&which, answers), &page).await?;
            Ok(ListDeliveriesResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, now),
                deliveries: page.items,
            })
        })
        .await
    }

    async fn redeliver_events(
        &self,
        request: Request<RedeliverEventsRequest>,
    ) -> Result<Response<RedeliverEventsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env.for_bulk();
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::WebhooksWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "RedeliverEvents", &request_id, &asked, Run::Store);
            let id = endpoint_id("webhook_endpoint_id", &asked.webhook_endpoint_id);
            let ((id, what), once) = both(both(id, meant(&asked)), once)?;
            let (now, token) = (env.now(), take(&mut asked.page_token));
            let question =
                [b"RedeliverEvents".as_slice(), tenant.id.0.as_bytes(), &asked.encode_to_vec()].concat();
            let page = env.pages.request(0, &token, &question, now)?;
            let again =
                redeliver::redeliver(env, &tenant, (id, &what), page.after.as_ref(), once.as_ref()).await?;
            Ok(RedeliverEventsResponse {
                redelivered_count: i32::try_from(again.count).unwrap_or(i32::MAX),
                next_page_token: env.pages.token(again.next.as_ref(), &question, now),
            })
        })
        .await
    }
}

impl WebhookApi {
    fn made(&self, made: Made) -> (Option<WebhookEndpoint>, String) {
        (Some(made.opened.shown(self.env.now())), made.secret.unwrap_or_default())
    }
}

fn required() -> Error {
    Error::invalid_field("webhook_endpoint", "is required")
}

/// Reads for how long the secret until now is good.
fn overlap(asked: &RotateWebhookSecretRequest) -> Result<Duration> {
    let Some(given) = asked.overlap else { return Ok(DEFAULT_OVERLAP) };
    let nanos = u32::try_from(given.nanos).ok();
    let read = nanos.and_then(|nanos| Duration::new(given.seconds, nanos));
    read.filter(|read| (Duration::zero()..=MAX_OVERLAP).contains(read))
        .ok_or_else(|| Error::invalid_field("overlap", "must be 0 to 7 days"))
}

/// Reads which deliveries are to be listed.
fn deliveries_meant(asked: &ListDeliveriesRequest) -> Result<Which> {
    let mut wrong = Violations::default();
    let endpoint = match &*asked.webhook_endpoint_id {
        "" => Ok(None),
        id => endpoint_id("webhook_endpoint_id", id).map(Some),
    };
    let (from, until) = span(asked.start_time, asked.end_time, &mut wrong);
    let states = wire::states(&asked.states, &mut wrong);
    let event_types = wire::event_types(&asked.event_types, &mut wrong);
    let (endpoint, ()) = both(endpoint, wrong.into_result(()))?;
    Ok(Which { endpoint, from, until, states, event_types })
}

/// Reads what is to be sent again.
fn meant(asked: &RedeliverEventsRequest) -> Result<What> {
    let mut wrong = Violations::default();
    let (from, until) = span(asked.start_time, asked.end_time, &mut wrong);
    let mut states = wire::states(&asked.states, &mut wrong);
    let event_types = wire::event_types(&asked.event_types, &mut wrong);
    let endpoint = endpoint_id("webhook_endpoint_id", &asked.webhook_endpoint_id).ok();
    if asked.message_id.is_empty() {
        if states.is_empty() {
            states = vec![DeliveryState::GivenUp, DeliveryState::Cancelled];
        }
        return wrong.into_result(What::Those(Which { endpoint, from, until, states, event_types }));
    }
    for (field, is_set) in [
        ("start_time", asked.start_time.is_some()),
        ("end_time", asked.end_time.is_some()),
        ("states", !asked.states.is_empty()),
        ("event_types", !asked.event_types.is_empty()),
        ("page_token", !asked.page_token.is_empty()),
    ] {
        if is_set {
            wrong.add(field, "must be unset where message_id says which");
        }
    }
    let message = parse_told_id(&asked.message_id).ok_or("must be msg_ and 32 digits of hexadecimal");
    let message = wrong.take("message_id", message);
    let message = wrong.into_result(message)?;
    message.map(What::One).ok_or_else(|| Error::internal("what cannot be read passed as good"))
}

/// Reads a span of time that may be open at both ends.
fn span(
    start: Option<prost_types::Timestamp>,
    end: Option<prost_types::Timestamp>,
    wrong: &mut Violations,
) -> (Option<Moment>, Option<Moment>) {
    let start = start.and_then(|time| wrong.take("start_time", moment(&time)));
    let end = end.and_then(|time| wrong.take("end_time", moment(&time)));
    if start.zip(end).is_some_and(|(start, end)| start >= end) {
        wrong.add("end_time", "must be after start_time");
    }
    (start, end)
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    fn fields<T>(read: Result<T>) -> Vec<String> {
        let error = read.map(drop).expect_err("is wrong");
        error.violations().iter().map(|violation| violation.field.clone()).collect()
    }

    #[test]
    fn everything_wrong_with_what_is_to_be_sent_again_is_told() {
        let asked = RedeliverEventsRequest {
            message_id: "msg_x".into(),
            start_time: at(2),
            end_time: at(1),
            states: vec![0],
            event_types: vec![99],
            page_token: "x".into(),
            ..RedeliverEventsRequest::default()
        };
        assert_eq!(
            fields(meant(&asked)),
            [
                "end_time",
                "states[0]",
                "event_types[0]",
                "start_time",
                "end_time",
                "states",
                "event_types",
                "page_token",
                "message_id"
            ]
        );
        let What::Those(which) = meant(&RedeliverEventsRequest::default()).expect("all that failed") else {
            panic!("not one")
        };
        assert_eq!(which.states, [DeliveryState::GivenUp, DeliveryState::Cancelled]);
        let one = "msg_0197f3c8a1b27c3d8e9f0a1b2c3d4e5f";
        let asked = RedeliverEventsRequest { message_id: one.into(), ..RedeliverEventsRequest::default() };
        assert!(matches!(meant(&asked).expect("one"), What::One(_)));
    }

    #[test]
    fn everything_wrong_with_what_is_to_be_listed_is_told() {
        let asked = ListDeliveriesRequest {
            webhook_endpoint_id: "x".into(),
            start_time: at(i64::MAX),
            states: vec![9],
            event_types: vec![0],
            ..ListDeliveriesRequest::default()
        };
        assert_eq!(
            fields(deliveries_meant(&asked)),
            ["webhook_endpoint_id", "start_time", "states[0]", "event_types[0]"]
        );
    }

    #[test]
    fn an_overlap_is_seven_days_at_the_most() {
        let day = 24 * 60 * 60;
        for (given, expected) in [
            (None, Some(Duration::hours(24))),
            (Some((0, 0)), Some(Duration::zero())),
            (Some((7 * day, 0)), Some(Duration::days(7))),
            (Some((7 * day, 1)), None),
            (Some((-1, 0)), None),
            (Some((0, -1)), None),
            (Some((i64::MAX, 0)), None),
        ] {
            let given = given.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
            let asked =
                RotateWebhookSecretRequest { overlap: given, ..RotateWebhookSecretRequest::default() };
            assert_eq!(overlap(&asked).ok(), expected, "{given:?}");
        }
    }
}
