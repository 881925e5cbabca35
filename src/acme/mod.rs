//! A client of certificate authorities that speak ACME (RFC 8555): Let's Encrypt and any other directory.
//!
//! It calls through [`Outbound`], so that whatever URL an authority names is judged like a stranger's, and every answer is bounded. It keeps
//! nothing: keys, accounts and orders are its caller's, so that each can be stored before the authority hears of it. A key that is used
//! twice finds the same account; an order goes on from its URL.
//!
//! | file | holds |
//! |---|---|
//! | `jws.rs` | keys, and what is signed with them |
//! | `message.rs` | what an authority says |
//! | `fault.rs` | why there is no answer |

mod fault;
mod jws;
mod message;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

pub use self::{
    fault::{Fault, Problem},
    jws::{ExternalAccount, Key},
    message::{Authorization, AuthorizationStatus, Challenge, ChallengeKind, Order, OrderStatus, is_token},
};
use self::{jws::Signer, message::Directory};
use crate::{
    env::Env,
    outbound::{Failure, Outbound, OutboundRequest, OutboundResponse},
};

/// Bytes of an answer that are read; a chain of certificates has some thousand.
const MOST_BYTES: usize = 256 * 1024;
/// How often a request is sent again because its nonce was no longer good, which any request may meet.
const NONCES: usize = 4;
const REPLAY_NONCE: &str = "replay-nonce";

/// An authority.
pub struct Client {
    env: Env,
    outbound: Outbound,
    directory: Directory,
    /// The nonce that came with the last answer.
    nonce: Mutex<Option<String>>,
}

/// An account at an authority.
#[derive(Debug)]
pub struct Account {
    /// Signs for it.
    pub key: Key,
    /// Its URL.
    pub url: String,
}

/// What an account is opened with.
#[derive(Debug)]
pub struct Registration<'a> {
    /// Where the authority may write to.
    pub email: Option<&'a str>,
    /// Whether the operator agrees to the authority's terms.
    pub agrees_to_terms: bool,
    /// Binds it to an account that the operator has there already.
    pub external: Option<&'a ExternalAccount>,
}

/// An answer and where it came from.
struct Answer {
    response: OutboundResponse,
}

impl Client {
    /// Reads the directory of an authority.
    pub async fn open(env: &Env, outbound: &Outbound, directory: &str) -> Result<Self, Fault> {
        let answer = call(outbound, Method::GET, directory, Bytes::new()).await?;
        if answer.status != StatusCode::OK {
            return Err(refused(env, &answer));
        }
        let directory = read(&answer)?;
        Ok(Self { env: env.clone(), outbound: outbound.clone(), directory, nonce: Mutex::default() })
    }

    /// Opens an account with a key, or finds the one that was opened with it, and returns its URL.
    pub async fn register(&self, key: &Key, asked: &Registration<'_>) -> Result<String, Fault> {
        let url = &self.directory.new_account;
        let mut payload = json!({ "termsOfServiceAgreed": asked.agrees_to_terms });
        if let Some(email) = asked.email {
            payload["contact"] = json!([format!("mailto:{email}")]);
        }
        if let Some(external) = asked.external {
            payload["externalAccountBinding"] = external.bind(key, url);
        } else if self.directory.requires_external_account() {
            return Err(Fault::NeedsExternalAccount);
        }
        let answer = self.post(&Signer::Key(key), url, Some(&payload)).await?;
        answer.location()
    }

    /// Orders a certificate for a host; returns the URL of the order and how it stands.
    pub async fn order(&self, account: &Account, host: &str) -> Result<(String, Order), Fault> {
        let payload = json!({ "identifiers": [{ "type": "dns", "value": host }] });
        let answer = self.post(&account.signer(), &self.directory.new_order, Some(&payload)).await?;
        Ok((answer.location()?, answer.read_waiting(&self.env)?))
    }

    /// Returns how an order stands.
    pub async fn order_at(&self, account: &Account, url: &str) -> Result<Order, Fault> {
        self.post(&account.signer(), url, None).await?.read_waiting(&self.env)
    }

    /// Returns what an order has to be proved by.
    pub async fn authorization(&self, account: &Account, url: &str) -> Result<Authorization, Fault> {
        let answer = self.post(&account.signer(), url, None).await?;
        let mut authorization: Authorization = read(&answer.response)?;
        authorization.retry_after = fault::retry_after(&answer.response.headers, self.env.now());
        Ok(authorization)
    }

    /// Says that a challenge can be looked at.
    pub async fn answer(&self, account: &Account, challenge: &Challenge) -> Result<(), Fault> {
        self.post(&account.signer(), &challenge.url, Some(&json!({}))).await.map(drop)
    }

    /// Sends what is to be signed, a request of PKCS #10.
    pub async fn finalize(&self, account: &Account, url: &str, request: &[u8]) -> Result<Order, Fault> {
        let payload = json!({ "csr": jws::encoded(request) });
        self.post(&account.signer(), url, Some(&payload)).await?.read_waiting(&self.env)
    }

    /// Returns a chain of certificates in PEM, the host's own first.
    pub async fn certificate(&self, account: &Account, url: &str) -> Result<String, Fault> {
        let answer = self.post(&account.signer(), url, None).await?;
        if answer.response.truncated {
            return Err(Fault::Unreadable("the chain of certificates is too long"));
        }
        String::from_utf8(answer.response.body.to_vec())
            .map_err(|_| Fault::Unreadable("the chain of certificates is no text"))
    }

    /// Sends something signed; without a payload it asks for what is at the URL.
    async fn post(&self, signer: &Signer<'_>, url: &str, payload: Option<&Value>) -> Result<Answer, Fault> {
        let mut tries = 0;
        loop {
            tries += 1;
            let nonce = self.nonce().await?;
            let body = signer.sign(&nonce, url, payload).to_string();
            let response = call(&self.outbound, Method::POST, url, body.into()).await?;
            *self.nonce.lock().await = header_of(&response.headers, REPLAY_NONCE);
            if response.status.is_success() {
                return Ok(Answer { response });
            }
            match refused(&self.env, &response) {
                Fault::Refused(problem) if problem.kind == "badNonce" && tries < NONCES => {}
                fault => return Err(fault),
            }
        }
    }

    async fn nonce(&self) -> Result<String, Fault> {
        if let Some(nonce) = self.nonce.lock().await.take() {
            return Ok(nonce);
        }
        let url = &self.directory.new_nonce;
        let answer = call(&self.outbound, Method::HEAD, url, Bytes::new()).await?;
        if !answer.status.is_success() {
            return Err(refused(&self.env, &answer));
        }
        header_of(&answer.headers, REPLAY_NONCE).ok_or(Fault::Unreadable("an answer has no nonce"))
    }
}

impl Account {
    fn signer(&self) -> Signer<'_> {
        Signer::Account(&self.key, &self.url)
    }
}

impl Answer {
    fn location(&self) -> Result<String, Fault> {
        let found = header_of(&self.response.headers, header::LOCATION.as_str());
        found.ok_or(Fault::Unreadable("an answer does not say where the new thing is"))
    }

    /// Reads an order, with how long to wait before it is asked for again.
    fn read_waiting(&self, env: &Env) -> Result<Order, Fault> {
        let mut order: Order = read(&self.response)?;
        order.retry_after = fault::retry_after(&self.response.headers, env.now());
        Ok(order)
    }
}

async fn call(
    outbound: &Outbound,
    method: Method,
    url: &str,
    body: Bytes,
) -> Result<OutboundResponse, Fault> {
    let url = outbound.url(url).map_err(|refused| Fault::Away(Failure::Refused(refused)))?;
    let mut headers = HeaderMap::new();
    if method == Method::POST {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jose+json"));
    }
    let request = OutboundRequest {
        method,
        headers,
        max_response_bytes: MOST_BYTES,
        ..OutboundRequest::post(url, body)
    };
    outbound.send(request).await.map_err(Fault::Away)
}

fn header_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn read<T: DeserializeOwned>(answer: &OutboundResponse) -> Result<T, Fault> {
    if answer.truncated {
        return Err(Fault::Unreadable("an answer is too long"));
    }
    serde_json::from_slice(&answer.body).map_err(|_| Fault::Unreadable("an answer has not the form of ACME"))
}

/// Says why an authority refuses.
fn refused(env: &Env, answer: &OutboundResponse) -> Fault {
    let problem = read::<Problem>(answer).unwrap_or_default();
    Fault::Refused(problem.completed(answer.status, fault::retry_after(&answer.headers, env.now())))
}
