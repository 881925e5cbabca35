//! What the identity provider is asked, and what it answers.
//!
//! Its addresses come from its discovery document, its keys from where that says; both are kept for an hour, and keys are asked for anew
//! when a token names another one, once a minute at the most. Whoever needs them while somebody asks waits for the same answer. A
//! provider that failed is left alone for two seconds.
//!
//! It is the operator who names the provider, so it may be where users' URLs may not lead: in `OIDC_ALLOW_NETWORKS`, at the issuer's
//! port, and on this machine where that is what the setting says.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::TimeDelta;
use http::{HeaderValue, StatusCode, header};
use ipnet::IpNet;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use super::{
    fault::{Failed, Fault, REST, Trouble},
    id_token::{self, Expected, Vouched},
    keys::{Keys, Signed},
};
use crate::{
    clock::Moment,
    config::{Config, Oidc, is_loopback},
    outbound::{Outbound, OutboundRequest, OutboundUrl},
};

/// How long a call may take.
const LONGEST: Duration = Duration::from_secs(5);
/// How long addresses and keys are kept.
const KEPT: TimeDelta = TimeDelta::hours(1);
/// How soon keys are asked for anew when a token names another one.
const KEYS_REST: TimeDelta = TimeDelta::minutes(1);
const DISCOVERY: &str = ".well-known/openid-configuration";
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// The identity provider.
#[derive(Debug)]
pub struct Provider {
    settings: Oidc,
    outbound: Outbound,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Option<(Moment, Arc<Addresses>)>,
    keys: Option<(Moment, Arc<Keys>)>,
    failed: Option<(Moment, Failed)>,
}

/// Where the provider does what.
#[derive(Debug)]
pub struct Addresses {
    /// Where people prove who they are.
    pub authorization: Url,
    token: OutboundUrl,
    keys: OutboundUrl,
    user_info: Option<OutboundUrl>,
    /// Whether the client's secret goes into the form, or into a header.
    by_post: bool,
    /// Whether browsers come back with the provider's name (RFC 9207).
    pub names_itself: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct TokenRefusal {
    error: String,
}

/// What a code is exchanged with.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The code.
    pub code: &'a str,
    /// Where the browser came back to.
    pub redirect_uri: &'a str,
    /// What the challenge was made of.
    pub verifier: &'a str,
    /// What the ID token must hold.
    pub nonce: &'a str,
}

impl Provider {
    /// Returns the provider of the settings, if there is one.
    pub fn of(config: &Config, outbound: &Outbound) -> Option<Self> {
        let settings = config.oidc.clone()?;
        let issuer = Url::parse(&settings.issuer).ok()?;
        let mut networks = settings.allow_networks.clone();
        if is_loopback(&issuer) {
            networks.extend(["127.0.0.0/8", "::1/128"].iter().filter_map(|net| net.parse::<IpNet>().ok()));
        }
        let ports: Vec<u16> = issuer.port().into_iter().collect();
        Some(Self { outbound: outbound.and_to(&networks, &ports), settings, known: Mutex::default() })
    }

    /// Returns its settings.
    pub fn settings(&self) -> &Oidc {
        &self.settings
    }

    /// Returns where it does what.
    pub async fn addresses(&self, now: Moment) -> Result<Arc<Addresses>, Failed> {
        self.addresses_of(&mut *self.known.lock().await, now).await
    }

    /// Exchanges a code for what the provider says of whoever got it.
    pub async fn exchange(&self, exchange: Exchange<'_>, now: Moment) -> Result<Vouched, Trouble> {
        let addresses = self.addresses(now).await?;
        let answer = self.redeem(&addresses, exchange).await?;
        let token = answer.id_token.ok_or(Fault::Form)?;
        let signed = Signed::read(&token)?;
        let keys = self.keys_for(&signed, now).await?;
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: exchange.nonce,
            access_token: answer.access_token.as_deref(),
            algorithm: signed.algorithm,
        };
        let vouched = id_token::read(keys.verify(&signed)?, expected, now)?;
        // Many providers say in the token who somebody is and nothing more.
        match (&addresses.user_info, answer.access_token) {
            (Some(url), Some(access)) if vouched.email.is_none() => {
                let mut request = OutboundRequest::get(url.clone());
                let bearer = HeaderValue::from_str(&format!("Bearer {access}")).map_err(|_| Fault::Form)?;
                request.headers.insert(header::AUTHORIZATION, bearer);
                Ok(id_token::add(vouched, &self.ask(request).await?)?)
            }
            _ => Ok(vouched),
        }
    }

    async fn addresses_of(&self, known: &mut Known, now: Moment) -> Result<Arc<Addresses>, Failed> {
        if let Some((since, addresses)) = &known.addresses
            && is_within(*since, KEPT, now)
        {
            return Ok(addresses.clone());
        }
        known.let_rest(now)?;
        match self.discover().await {
            Ok(addresses) => {
                let addresses = Arc::new(addresses);
                known.addresses = Some((now, addresses.clone()));
                Ok(addresses)
            }
            Err(failed) => Err(known.note(failed, now)),
        }
    }

    async fn discover(&self) -> Result<Addresses, Failed> {
        let base = self.settings.issuer.trim_end_matches('/');
        let url = self.url(&format!("{base}/{DISCOVERY}"))?;
        let document = self.ask(OutboundRequest::get(url)).await?;
        let document: Document = serde_json::from_slice(&document)
            .map_err(|error| Failed::new("content", format!("the discovery document: {error}")))?;
        if document.issuer != self.settings.issuer {
            let cause = format!("it calls itself {:?}, not {:?}", document.issuer, self.settings.issuer);
            return Err(Failed::new("issuer", cause));
        }
        let methods = document.token_endpoint_auth_methods_supported;
        let has = |name: &str| methods.as_ref().is_some_and(|methods| methods.iter().any(|one| one == name));
        // Basic is what a provider takes that does not say.
        let by_basic = methods.is_none() || has("client_secret_basic");
        if !by_basic && !has("client_secret_post") {
            return Err(Failed::new(
                "client_authentication",
                format!("it takes a secret by none of {methods:?}"),
            ));
        }
        Ok(Addresses {
            authorization: self.checked(&document.authorization_endpoint)?,
            token: self.url(&document.token_endpoint)?,
            keys: self.url(&document.jwks_uri)?,
            user_info: document.userinfo_endpoint.map(|url| self.url(&url)).transpose()?,
            by_post: !by_basic,
            names_itself: document.authorization_response_iss_parameter_supported == Some(true),
        })
    }

    /// Returns keys that know the one a token names, if the provider has it.
    async fn keys_for(&self, token: &Signed<'_>, now: Moment) -> Result<Arc<Keys>, Failed> {
        let mut known = self.known.lock().await;
        if let Some((since, keys)) = &known.keys
            && is_within(*since, KEPT, now)
            && (keys.know(token) || is_within(*since, KEYS_REST, now))
        {
            return Ok(keys.clone());
        }
        let addresses = self.addresses_of(&mut known, now).await?;
        known.let_rest(now)?;
        let asked = self.ask(OutboundRequest::get(addresses.keys.clone())).await;
        let read = asked.and_then(|set| {
            Keys::read(&set).ok_or_else(|| Failed::new("content", "its keys are no set of keys"))
        });
        match read {
            Ok(keys) => {
                let keys = Arc::new(keys);
                known.keys = Some((now, keys.clone()));
                Ok(keys)
            }
            Err(failed) => Err(known.note(failed, now)),
        }
    }

    async fn redeem(&self, addresses: &Addresses, exchange: Exchange<'_>) -> Result<TokenAnswer, Trouble> {
        let request = self.token_request(addresses, exchange);
        let (status, body) = self.send(request).await?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&body)
                .map_err(|_| Failed::new("content", "what it gives for a code is no answer").into());
        }
        match serde_json::from_slice::<TokenRefusal>(&body) {
            Ok(refusal) if refusal.error == "invalid_grant" => Err(Fault::Code.into()),
            // What else it says is about us, not about the person. It is a stranger's text, so only what RFC 6749 has is repeated.
            Ok(refusal) => {
                let told = [
                    "invalid_request",
                    "invalid_client",
                    "unauthorized_client",
                    "unsupported_grant_type",
                    "invalid_scope",
                ];
                let told = told.into_iter().find(|told| *told == refusal.error).unwrap_or("something else");
                Err(Failed::new("client", format!("it refuses to exchange a code: {told}")).into())
            }
            Err(_) => Err(Failed::new("status", format!("it answers with {status} to a code")).into()),
        }
    }

    fn token_request(&self, addresses: &Addresses, exchange: Exchange<'_>) -> OutboundRequest {
        let Oidc { client_id, client_secret, .. } = &self.settings;
        let secret = client_secret.expose_secret();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", exchange.code)
            .append_pair("redirect_uri", exchange.redirect_uri)
            .append_pair("code_verifier", exchange.verifier);
        if addresses.by_post {
            form.append_pair("client_id", client_id).append_pair("client_secret", secret);
        }
        let mut request = OutboundRequest::post(addresses.token.clone(), Bytes::from(form.finish()));
        request.headers.insert(header::CONTENT_TYPE, FORM);
        if !addresses.by_post {
            // RFC 6749, 2.3.1: each is encoded as in a form first.
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(secret)));
            let mut basic = HeaderValue::from_str(&format!("Basic {pair}")).expect("base64 is ASCII");
            basic.set_sensitive(true);
            request.headers.insert(header::AUTHORIZATION, basic);
        }
        request
    }

    /// Asks for a JSON document, and nothing else will do.
    async fn ask(&self, request: OutboundRequest) -> Result<Bytes, Failed> {
        let url = request.url.clone();
        match self.send(request).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(Failed::new("status", format!("{url} answers with {status}"))),
        }
    }

    async fn send(&self, mut request: OutboundRequest) -> Result<(StatusCode, Bytes), Failed> {
        let url = request.url.clone();
        request.timeout = Some(LONGEST);
        request.headers.insert(header::ACCEPT, JSON);
        let answer = self.outbound.send(request).await;
        let answer = answer.map_err(|failure| Failed::new(failure.name(), format!("{url}: {failure}")))?;
        if answer.truncated {
            return Err(Failed::new("too_large", format!("{url} answers with more than is read")));
        }
        let kind = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if answer.status == StatusCode::OK && !kind.is_some_and(is_json) {
            return Err(Failed::new(
                "content",
                format!("{url} answers with something that is not called JSON"),
            ));
        }
        Ok((answer.status, answer.body))
    }

    /// Reads an address that the provider says: encrypted, unless the provider itself is on this machine.
    fn checked(&self, raw: &str) -> Result<Url, Failed> {
        let wrong =
            || Failed::new("endpoint", format!("its document names {raw:?}, which is no https:// URL"));
        let url = Url::parse(raw).map_err(|_| wrong())?;
        let plain =
            self.settings.issuer.starts_with("http://") && url.scheme() == "http" && is_loopback(&url);
        if (url.scheme() == "https" || plain) && url.fragment().is_none() { Ok(url) } else { Err(wrong()) }
    }

    fn url(&self, raw: &str) -> Result<OutboundUrl, Failed> {
        self.checked(raw)?;
        self.outbound.url(raw).map_err(|refused| {
            Failed::new("endpoint", format!("its document names {raw:?}, which {refused}"))
        })
    }
}

impl Known {
    /// Says that the provider failed a moment ago, if it did.
    fn let_rest(&self, now: Moment) -> Result<(), Failed> {
        match &self.failed {
            Some((since, failed)) if is_within(*since, REST, now) => Err(failed.clone()),
            _ => Ok(()),
        }
    }

    fn note(&mut self, failed: Failed, now: Moment) -> Failed {
        self.failed = Some((now, failed.clone()));
        failed
    }
}

/// Says whether less than `life` went by since. A clock that was put back makes nothing young again.
fn is_within(since: Moment, life: TimeDelta, now: Moment) -> bool {
    (TimeDelta::zero()..life).contains(&(now - since))
}

/// Says whether a content type is one of JSON (RFC 6839).
fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("application/") && (essence.ends_with("/json") || essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_what_is_called_so() {
        for (kind, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/jwk-set+json", true),
            ("text/html", false),
            ("text/json", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            assert_eq!(is_json(kind), json, "{kind}");
        }
    }
}
