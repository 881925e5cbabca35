//! Writes the request that tells an endpoint something. Decides alone; who sends it is `call.rs`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Serialize;

use super::{
    endpoint::{Endpoint, Format, Postback, PostbackMethod, Sealed, Secret, Signing},
    macros::{Place, Template, Values},
    message::Message,
    payload::legacy::legacy,
    sign,
};
use crate::{
    clock::{self, Moment},
    outbound::{Outbound, OutboundRequest, OutboundUrl, TenantHeaders},
    sealing::Seal,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const LINKFORTY_SIGNATURE: HeaderName = HeaderName::from_static("x-linkforty-signature");
const LINKFORTY_EVENT: HeaderName = HeaderName::from_static("x-linkforty-event");
const LINKFORTY_EVENT_ID: HeaderName = HeaderName::from_static("x-linkforty-event-id");
const LINKFORTY_AGENT: HeaderValue = HeaderValue::from_static("LinkForty-Webhook/1.0");

/// An endpoint with all that is read of it once: its secrets opened, its URL and templates parsed.
#[derive(Debug)]
pub struct Ready {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Who is called, as it stands in the URL.
    pub host: Arc<str>,
    secrets: Vec<Secret>,
    headers: TenantHeaders,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Standard(OutboundUrl),
    LinkForty(OutboundUrl),
    Postback {
        url: Template,
        body: Template,
        postback: Postback,
    },
    /// It was saved under other settings: its secrets do not open, or its URL is not called any more.
    Unusable,
}

/// The body of the existing product.
#[derive(Serialize)]
struct LinkForty<'a> {
    event: &'a str,
    event_id: String,
    timestamp: String,
    data: serde_json::Value,
}

impl Ready {
    /// Reads an endpoint.
    pub fn of(endpoint: Endpoint, seal: &Seal, outbound: &Outbound) -> Self {
        let opened = endpoint.open(seal);
        if opened.is_none() {
            tracing::error!(webhook_endpoint.id = %endpoint.id, "a webhook endpoint was saved under another SESSION_SECRET; rotate its secret");
        }
        let Sealed { secrets, headers } = opened.clone().unwrap_or_default();
        let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let headers = TenantHeaders::parse(given);
        let (host, form) = match (&opened, &headers) {
            (Some(_), Ok(_)) => form(&endpoint, outbound).unwrap_or_else(|| (String::new(), Form::Unusable)),
            _ => (String::new(), Form::Unusable),
        };
        Self { host: host.into(), secrets, headers: headers.unwrap_or_default(), form, endpoint }
    }

    /// Writes the request for an attempt at `now`; `None` when there is nobody who may be called.
    pub fn request(&self, message: &Message, outbound: &Outbound, now: Moment) -> Option<OutboundRequest> {
        let mut request = match &self.form {
            Form::Standard(url) => self.standard(url, message, now),
            Form::LinkForty(url) => self.linkforty(url, message, now),
            Form::Postback { url, body, postback } => {
                let values = Values::of_message(message);
                let url = outbound.url(&url.fill(&values, Place::Url)).ok()?;
                match postback.method {
                    PostbackMethod::Get => OutboundRequest::get(url),
                    PostbackMethod::Post => {
                        let body = body.fill(&values, Place::of_content_type(&postback.content_type));
                        let mut request = OutboundRequest::post(url, body.into());
                        let content_type = HeaderValue::from_str(&postback.content_type).ok()?;
                        request.headers.insert(header::CONTENT_TYPE, content_type);
                        request
                    }
                }
            }
            Form::Unusable => return None,
        };
        request.tenant_headers = self.headers.clone();
        Some(request)
    }

    fn standard(&self, url: &OutboundUrl, message: &Message, now: Moment) -> OutboundRequest {
        let (kind, time) = (message.event_type.name(), clock::text(message.time));
        let head = format!("{{\"type\":\"{kind}\",\"timestamp\":\"{time}\",\"data\":");
        self.signed(url, [head.as_bytes(), &message.body, b"}"].concat(), message, now)
    }

    /// What receivers of the existing product look at, and beside it what the standard has.
    fn linkforty(&self, url: &OutboundUrl, message: &Message, now: Moment) -> OutboundRequest {
        let told = serde_json::from_slice(&message.body).unwrap_or_default();
        let (event, data) = legacy(message.event_type, &told);
        let event_id = message.id.to_string();
        let timestamp = message.time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        let body = LinkForty { event, event_id: event_id.clone(), timestamp, data };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let secret = self.secrets.iter().find(|secret| secret.is_valid(now));
        let signature = secret.map(|secret| {
            // A receiver that LinkForty told its secret goes on with that.
            let text = secret.text.clone().unwrap_or_else(|| sign::secret_text(&secret.key));
            sign::of_body(&text, &body)
        });
        let mut request = self.signed(url, body, message, now);
        let headers = &mut request.headers;
        set(headers, LINKFORTY_SIGNATURE, &signature.unwrap_or_default());
        set(headers, LINKFORTY_EVENT, event);
        set(headers, LINKFORTY_EVENT_ID, &event_id);
        headers.insert(header::USER_AGENT, LINKFORTY_AGENT);
        request
    }

    fn signed(&self, url: &OutboundUrl, body: Vec<u8>, message: &Message, now: Moment) -> OutboundRequest {
        let (id, seconds) = (message.told_id(), now.timestamp());
        let keys = self.secrets.iter().filter(|secret| secret.is_valid(now)).map(|secret| &secret.key[..]);
        let content = (id.as_str(), seconds, &body[..]);
        let signature = match self.endpoint.settings.signing {
            Signing::Hmac => sign::hmac(keys, content),
            Signing::Ed25519 => sign::ed25519(keys, content),
        };
        let mut request = OutboundRequest::post(url.clone(), Bytes::from(body));
        let headers = &mut request.headers;
        headers.insert(header::CONTENT_TYPE, JSON);
        set(headers, ID, &id);
        set(headers, TIMESTAMP, &seconds.to_string());
        set(headers, SIGNATURE, &signature);
        request
    }
}

fn form(endpoint: &Endpoint, outbound: &Outbound) -> Option<(String, Form)> {
    let settings = &endpoint.settings;
    let plain = || outbound.url(&endpoint.url).ok();
    let (url, form) = match settings.format {
        Format::Standard => plain().map(|url| (url.clone(), Form::Standard(url)))?,
        Format::LinkForty => plain().map(|url| (url.clone(), Form::LinkForty(url)))?,
        Format::Postback => {
            let postback = settings.postback.clone()?;
            let (url, body) =
                (Template::parse_url(&endpoint.url).ok()?, Template::parse(&postback.body).ok()?);
            (outbound.url(&url.sample()).ok()?, Form::Postback { url, body, postback })
        }
    };
    Some((url.host_text().to_owned(), form))
}

/// What is set here is ASCII that we made.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
