//! One order, from wherever it stands to a certificate.
//!
//! Its URL and the key that will go with the certificate are stored as soon as the authority has taken it: whoever goes on after a crash goes on
//! with it.

use std::time::Duration;

use fail::fail_point;
use tokio::time::{Instant, sleep};

use super::{
    Certificate, account, broken, keys,
    plan::{self, Recent},
    setback::{Kind, Setback},
    store,
};
use crate::{
    acme::{Account, AuthorizationStatus, Challenge, ChallengeKind, Client, Fault, Order, OrderStatus},
    config::{Acme, Proof},
    env::Env,
    error::Error,
    ids::WorkspaceId,
    outbound::{self, Outbound},
};

/// How long the authority may take to look at a host, and how long to sign.
const PATIENCE: Duration = Duration::from_secs(75);
/// How long to wait before it is asked again: at first, and at the most.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the nodes answer the authority's questions. It may ask again while it looks from elsewhere.
const ANSWERED_FOR: chrono::Duration = chrono::Duration::hours(1);
/// How many things an order may have to be proved by: it is for one host.
const AUTHORIZATIONS: usize = 4;

/// A certificate that was got.
pub(super) struct Got {
    /// In PEM, the host's own first.
    pub(super) chain: String,
    /// PKCS #8.
    pub(super) key: Vec<u8>,
    /// What it says of itself.
    pub(super) read: outbound::Certificate,
}

/// Why an order does not go on.
pub(super) enum Stop {
    /// It failed.
    Setback(Setback),
    /// It is to begin later; nothing failed.
    Until(crate::clock::Moment),
    /// A store of ours does not work.
    Broken(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Setback(fault.into())
    }
}

/// Gets the certificate of a host for its owner.
pub(super) async fn go_on(
    env: &Env,
    outbound: &Outbound,
    settings: &Acme,
    certificate: &Certificate,
    owner: Option<WorkspaceId>,
) -> Result<Got, Stop> {
    let host = &certificate.host;
    let client = Client::open(env, outbound, settings.directory_url.as_str()).await?;
    let account = account::open(env, &client, settings).await?;
    let (url, mut order, key) = match resume(env, &client, &account, certificate).await? {
        Some(resumed) => resumed,
        None => begin(env, (&client, &account, settings), certificate, owner).await?,
    };
    for authorization in order.authorizations.iter().take(AUTHORIZATIONS) {
        if order.status == OrderStatus::Pending {
            prove(env, (&client, &account, settings), host, authorization).await?;
        }
    }
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    let certificate_url = loop {
        match order.status {
            OrderStatus::Valid => {
                let found = order.certificate.take();
                break found.ok_or(Fault::Unreadable("an order is done and has no certificate"))?;
            }
            OrderStatus::Invalid => return Err(Stop::Setback(Setback::of_proof(order.error))),
            OrderStatus::Ready => {
                let request = keys::request(host, &key).ok_or_else(unmakeable)?;
                order = client.finalize(&account, &order.finalize, &request).await?;
                fail_point!("certificates.finalize.after");
                if order.status == OrderStatus::Valid {
                    continue;
                }
            }
            OrderStatus::Pending | OrderStatus::Processing | OrderStatus::Other => {}
        }
        rest(&begun, order.retry_after, &mut pause).await?;
        order = client.order_at(&account, &url).await?;
    };
    let chain = client.certificate(&account, &certificate_url).await?;
    let read = keys::check(host, &chain, &key, env.now());
    let read = read.map_err(|wrong| Stop::Setback(Setback::new(Kind::Unusable, wrong)))?;
    fail_point!("certificates.issued.after");
    Ok(Got { chain, key, read })
}

/// Returns the order that is under way, if it can go on.
async fn resume(
    env: &Env,
    client: &Client,
    account: &Account,
    certificate: &Certificate,
) -> Result<Option<(String, Order, Vec<u8>)>, Stop> {
    let (Some(url), Some(sealed)) = (&certificate.order_url, &certificate.order_key) else { return Ok(None) };
    let Some(key) = keys::open(env, &keys::of_order(&certificate.host), sealed) else { return Ok(None) };
    match client.order_at(account, url).await {
        Ok(order) if order.status != OrderStatus::Invalid => Ok(Some((url.clone(), order, key))),
        // It is over; another one begins.
        Ok(_) | Err(Fault::Refused(_)) => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}

async fn begin(
    env: &Env,
    (client, account, settings): (&Client, &Account, &Acme),
    certificate: &Certificate,
    owner: Option<WorkspaceId>,
) -> Result<(String, Order, Vec<u8>), Stop> {
    count(env, settings, owner).await?;
    let host = &certificate.host;
    let key = keys::generate().ok_or_else(unmakeable)?;
    let (url, order) = client.order(account, host).await?;
    let sealed = keys::seal(env, &keys::of_order(host), &key);
    if !store::keep_order(&env.db.api, certificate, &url, sealed).await.map_err(broken)? {
        return Err(Stop::Setback(Setback::new(Kind::NotHere, "the host is no longer ours")));
    }
    fail_point!("certificates.order.after");
    Ok((url, order, key))
}

/// Takes one of the orders of this hour, or says when to come back.
async fn count(env: &Env, settings: &Acme, owner: Option<WorkspaceId>) -> Result<(), Stop> {
    let now = env.now();
    let tx = env.db.begin().await.map_err(broken)?;
    // One at a time, on whatever node.
    store::lock_account(&tx, settings.directory_url.as_str()).await.map_err(broken)?;
    let (all, of_workspace) =
        store::count_orders(&tx, owner, now - chrono::Duration::hours(1)).await.map_err(broken)?;
    if !plan::may_order(Recent { all, of_workspace }, settings.orders_per_hour) {
        metrics::counter!("linkforty_certificate_orders_limited_total").increment(1);
        return Err(Stop::Until(now + super::SOON));
    }
    store::note_order(&tx, env.ids.uuid(now), owner, now).await.map_err(broken)?;
    tx.commit().await.map_err(broken)
}

/// Proves to the authority that a host is ours.
async fn prove(
    env: &Env,
    (client, account, settings): (&Client, &Account, &Acme),
    host: &str,
    url: &str,
) -> Result<(), Stop> {
    let mut authorization = client.authorization(account, url).await?;
    if authorization.status == AuthorizationStatus::Pending {
        let challenge = choose(env, settings, &authorization.challenges).ok_or_else(|| {
            let text = "the authority offers no way of proving the host that this server has";
            Stop::Setback(Setback::new(Kind::Rejected, text))
        })?;
        let answer = account.key.authorization(&challenge.token);
        let now = env.now();
        store::keep_challenge(&env.db.api, (&challenge.token, host, &answer), now, now + ANSWERED_FOR)
            .await
            .map_err(broken)?;
        fail_point!("certificates.challenge.after");
        client.answer(account, challenge).await?;
    }
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match authorization.status {
            AuthorizationStatus::Valid => return Ok(()),
            AuthorizationStatus::Over => {
                let error = authorization.challenges.into_iter().find_map(|challenge| challenge.error);
                return Err(Stop::Setback(Setback::of_proof(error)));
            }
            AuthorizationStatus::Pending => {}
        }
        rest(&begun, authorization.retry_after, &mut pause).await?;
        authorization = client.authorization(account, url).await?;
    }
}

/// Returns the challenge to take: the one of the settings, or else the other one where it can be answered.
fn choose<'a>(env: &Env, settings: &Acme, offered: &'a [Challenge]) -> Option<&'a Challenge> {
    let of =
        |kind: ChallengeKind| offered.iter().find(|challenge| challenge.kind == kind && challenge.is_sound());
    let plain = || env.config.listen.plain.and_then(|_| of(ChallengeKind::Http01));
    match settings.challenge {
        Proof::TlsAlpn01 => of(ChallengeKind::TlsAlpn01).or_else(plain),
        Proof::Http01 => of(ChallengeKind::Http01).or_else(|| of(ChallengeKind::TlsAlpn01)),
    }
}

/// Waits before the authority is asked again, unless that was long enough.
async fn rest(begun: &Instant, wish: Option<Duration>, pause: &mut Duration) -> Result<(), Stop> {
    if begun.elapsed() >= PATIENCE {
        let text = "the authority does not come to an end";
        return Err(Stop::Setback(Setback::new(Kind::AuthorityAway, text)));
    }
    sleep(wish.unwrap_or(*pause).clamp(FIRST_PAUSE, LONGEST_PAUSE)).await;
    *pause = (*pause * 2).min(LONGEST_PAUSE);
    Ok(())
}

fn unmakeable() -> Stop {
    Stop::Broken(Error::internal("a key or a request for a certificate cannot be made"))
}
