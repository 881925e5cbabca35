//! Between the messages of the contract and the types of this room. Pure.

use prost_types::Duration;

use super::{
    DeliveryState, EventType, Filter, call,
    deliveries::{Attempt, Delivery},
    endpoint::{
        ClickMode, DisableReason, Endpoint, Format, Postback, PostbackMethod, Sealed, Signing, State,
    },
    message::told_id,
    secrets,
};
use crate::{
    clock::Moment,
    error::Violations,
    pb::v1::{self, WebhookDeliveryState, WebhookEndpointState},
    rpc::timestamp,
};

/// Returns the etag of an endpoint: opaque, another one for every version.
pub fn etag(endpoint: &Endpoint) -> String {
    crate::etag::of_version(endpoint.id.0, endpoint.version)
}

/// Returns an endpoint as it is shown.
pub fn shown(endpoint: &Endpoint, sealed: &Sealed, now: Moment) -> v1::WebhookEndpoint {
    let valid =
        sealed.secrets.iter().filter(|secret| secret.is_valid(now) && secrets::are_of(&endpoint.settings));
    v1::WebhookEndpoint {
        id: endpoint.id.to_string(),
        workspace_id: endpoint.workspace.to_string(),
        failing_time: endpoint.failing_since.map(timestamp),
        secrets: valid
            .map(|secret| v1::WebhookSecret {
                create_time: Some(timestamp(secret.create_time)),
                expire_time: secret.expire_time.map(timestamp),
                public_key: secrets::shown(secret, &endpoint.settings),
            })
            .collect(),
        create_time: Some(timestamp(endpoint.create_time)),
        update_time: Some(timestamp(endpoint.update_time)),
        etag: etag(endpoint),
        ..content(endpoint, sealed)
    }
}

/// Returns what somebody decided about an endpoint, and its state.
pub fn content(endpoint: &Endpoint, sealed: &Sealed) -> v1::WebhookEndpoint {
    let settings = &endpoint.settings;
    let signing = match settings.signing {
        _ if !secrets::are_of(settings) => v1::WebhookSigning::Unspecified,
        Signing::Hmac => v1::WebhookSigning::Hmac,
        Signing::Ed25519 => v1::WebhookSigning::Ed25519,
    };
    let format = match settings.format {
        Format::Standard => v1::WebhookFormat::Standard,
        Format::LinkForty => v1::WebhookFormat::Linkforty,
        Format::Postback => v1::WebhookFormat::Postback,
    };
    let clicks = match settings.clicks {
        ClickMode::Batched => v1::WebhookClickMode::Batched,
        ClickMode::Each => v1::WebhookClickMode::Each,
    };
    let (state, reason) = match endpoint.state {
        State::Active => (WebhookEndpointState::Active, v1::WebhookDisableReason::Unspecified),
        State::Paused => (WebhookEndpointState::Paused, v1::WebhookDisableReason::Unspecified),
        State::Disabled(DisableReason::Gone) => {
            (WebhookEndpointState::Disabled, v1::WebhookDisableReason::Gone)
        }
        State::Disabled(DisableReason::Failing) => {
            (WebhookEndpointState::Disabled, v1::WebhookDisableReason::Failing)
        }
    };
    let header =
        |(name, _): &(String, String)| v1::WebhookHeader { name: name.clone(), value: String::new() };
    v1::WebhookEndpoint {
        name: endpoint.name.clone(),
        url: endpoint.url.clone(),
        event_types: settings.event_types.iter().map(|one| event_type(*one).into()).collect(),
        filter: filter(&settings.filter),
        headers: sealed.headers.iter().map(header).collect(),
        format: format.into(),
        click_mode: clicks.into(),
        click_sample: i32::try_from(settings.click_sample).unwrap_or(i32::MAX),
        signing: signing.into(),
        postback: settings.postback.as_ref().map(postback),
        state: state.into(),
        disable_reason: reason.into(),
        ..v1::WebhookEndpoint::default()
    }
}

fn filter(filter: &Filter) -> Option<v1::WebhookFilter> {
    if *filter == Filter::default() {
        return None;
    }
    let Filter { links, project, domain, apps, classes, countries, event_names } = filter;
    Some(v1::WebhookFilter {
        link_ids: links.iter().map(ToString::to_string).collect(),
        project_id: project.map(|project| project.to_string()).unwrap_or_default(),
        domain: domain.clone(),
        app_ids: apps.iter().map(ToString::to_string).collect(),
        classes: classes.iter().map(|class| i32::from(*class)).collect(),
        countries: countries.iter().map(|country| country.as_str().to_owned()).collect(),
        event_names: event_names.clone(),
    })
}

fn postback(postback: &Postback) -> v1::WebhookPostback {
    let method = match postback.method {
        PostbackMethod::Get => v1::PostbackMethod::Get,
        PostbackMethod::Post => v1::PostbackMethod::Post,
    };
    v1::WebhookPostback {
        method: method.into(),
        body: postback.body.clone(),
        content_type: postback.content_type.clone(),
    }
}

/// Returns the contract's word for a type of event; their numbers are the same.
pub fn event_type(event_type: EventType) -> v1::WebhookEventType {
    v1::WebhookEventType::try_from(i32::from(event_type.number())).unwrap_or_default()
}

/// Reads types of events that are asked for.
pub fn event_types(numbers: &[i32], wrong: &mut Violations) -> Vec<EventType> {
    let mut read = Vec::new();
    for (place, number) in numbers.iter().enumerate() {
        match i16::try_from(*number).ok().and_then(EventType::of_number) {
            Some(known) => read.push(known),
            None => wrong.add(format!("event_types[{place}]"), "must be one this server knows"),
        }
    }
    read
}

/// Reads states of deliveries that are asked for; their numbers are those that are stored.
pub fn states(numbers: &[i32], wrong: &mut Violations) -> Vec<DeliveryState> {
    let mut read = Vec::new();
    for (place, number) in numbers.iter().enumerate() {
        match i16::try_from(*number).ok().and_then(DeliveryState::of_number) {
            Some(known) => read.push(known),
            None => wrong.add(format!("states[{place}]"), "must be one this server knows"),
        }
    }
    read
}

impl From<Delivery> for v1::WebhookDelivery {
    fn from(delivery: Delivery) -> Self {
        let Delivery { row, event_type: told, subject, time, create_time, attempts } = delivery;
        let state = WebhookDeliveryState::try_from(i32::from(row.state)).unwrap_or_default();
        let is_due = state == WebhookDeliveryState::Pending;
        Self {
            message_id: told_id(row.message_id),
            webhook_endpoint_id: row.endpoint_id.to_string(),
            event_type: event_type(told).into(),
            subject_id: subject.to_string(),
            event_time: Some(timestamp(time)),
            state: state.into(),
            attempt_count: row.attempts,
            next_attempt_time: is_due.then(|| timestamp(row.next_time)),
            create_time: Some(timestamp(create_time)),
            update_time: Some(timestamp(row.update_time)),
            attempts: attempts.into_iter().map(v1::WebhookAttempt::from).collect(),
        }
    }
}

impl From<Attempt> for v1::WebhookAttempt {
    fn from(attempt: Attempt) -> Self {
        let Attempt { number, create_time, took_ms, outcome, status, response } = attempt;
        Self {
            number,
            create_time: Some(timestamp(create_time)),
            duration: Some(Duration {
                seconds: i64::from(took_ms / 1000),
                nanos: took_ms % 1000 * 1_000_000,
            }),
            outcome: v1::WebhookAttemptOutcome::try_from(i32::from(outcome)).unwrap_or_default().into(),
            status_code: status.unwrap_or_default(),
            response: safe(&response),
        }
    }
}

/// Returns what came of a test.
pub fn tested(attempt: call::Attempt) -> v1::WebhookAttempt {
    let status = attempt.status.map(i32::from);
    let took_ms = i32::try_from(attempt.took.as_millis()).unwrap_or(i32::MAX);
    let response = attempt.response.unwrap_or_default();
    let outcome = attempt.outcome as i16;
    Attempt { number: 1, create_time: attempt.time, took_ms, outcome, status, response }.into()
}

/// Returns a stranger's bytes as a text that no terminal and no log acts upon.
fn safe(bytes: &[u8]) -> String {
    let is_fine = |one: char| !one.is_control() || matches!(one, '\n' | '\t');
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|one| if is_fine(one) { one } else { char::REPLACEMENT_CHARACTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Violations;

    #[test]
    fn what_receivers_answer_is_made_safe() {
        for (bytes, expected) in [
            (&b"fine\n\ttext"[..], "fine\n\ttext"),
            (b"\x1b[31mred\r\n\0", "\u{fffd}[31mred\u{fffd}\n\u{fffd}"),
            (b"caf\xe9", "caf\u{fffd}"),
            ("\u{85}<script>é".as_bytes(), "\u{fffd}<script>é"),
            (b"", ""),
        ] {
            assert_eq!(safe(bytes), expected);
        }
    }

    #[test]
    fn numbers_are_those_that_are_stored() {
        for known in EventType::ALL {
            let word = event_type(known).as_str_name();
            let name = known.name().replace('.', "_").to_uppercase();
            assert_eq!(word, format!("WEBHOOK_EVENT_TYPE_{name}"));
        }
        let mut wrong = Violations::default();
        assert_eq!(states(&[1, 4], &mut wrong), [DeliveryState::Due, DeliveryState::Cancelled]);
        assert!(wrong.is_empty());
        states(&[0, 1, 5], &mut wrong);
        event_types(&[0, 1, 15, -1], &mut wrong);
        let fields: Vec<String> = wrong.into_inner().into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["states[0]", "states[2]", "event_types[0]", "event_types[2]", "event_types[3]"]);
    }
}
