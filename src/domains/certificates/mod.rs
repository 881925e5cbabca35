//! Certificates that the server gets by itself (`ACME_ENABLED`): for domains that are proved, and for its own hosts.
//!
//! | file | what |
//! |---|---|
//! | `plan.rs` | whether a certificate is to be ordered, renewed, waited for or given up; pure |
//! | `setback.rs` | why one could not be got, and what to do; pure |
//! | `order.rs` | one order, from wherever it stands to a certificate |
//! | `account.rs` | the server's account at the authority |
//! | `challenge.rs` | what every node answers while the authority looks |
//! | `keyring.rs` `shelf.rs` | what this node shows in handshakes, in memory and on disk |
//! | `keys.rs` | keys, requests and certificates as rustls takes them |
//! | `store.rs` | queries of `certificates`, `certificate_orders`, `acme_accounts`, `acme_challenges` |
//!
//! Guarantees: only a host that is proved, and whose DNS leads here at that moment, is ordered; never more orders an hour than the settings
//! say. A certificate is got by one node at a time, and by another one if that dies; every node answers the authority's questions and shows what
//! was got. A key is stored, sealed, before the authority hears of it: whoever goes on after a crash has the same account and the same
//! order. A host that ceases to be answered for is shown no longer within a second, and what was stored of it is erased.

mod account;
mod challenge;
mod keyring;
mod keys;
mod order;
mod plan;
mod setback;
mod shelf;
mod store;

use std::{collections::HashMap, time::Duration};

use futures::StreamExt as _;
use tokio::time::timeout;

pub use self::{
    challenge::{Answered, Challenges},
    keyring::Keyring,
};
use self::{
    order::{Got, Stop},
    plan::{Standing, Step},
    setback::{Kind, Setback},
};
use super::{
    Domain,
    changes::Changed,
    looks,
    verify::{Sight, State},
};
pub use crate::entity::certificate::Model as Certificate;
use crate::{
    clock::Moment,
    config::Acme,
    entity::domain,
    env::Env,
    error::{Error, Result},
    ids::{DomainId, WorkspaceId},
    outbound::Outbound,
    pb::v1,
    rpc::timestamp,
    trail::{self, Action, Changes, Note},
    workspaces,
};

/// How often the background looks for what is due.
pub const EVERY: Duration = Duration::from_secs(1);
/// How many certificates one round takes, and how many of them at once.
const ROUND: u64 = 32;
const AT_ONCE: usize = 4;
/// How long one order may take in one go.
const LONGEST: Duration = Duration::from_mins(3);
/// When another node may go on with one that this node has taken and not finished, as when it died.
const TAKEN_FOR: chrono::Duration = chrono::Duration::minutes(5);
/// How long a host is left alone whose name servers are silent, or for which there is no order left in this hour.
const SOON: chrono::Duration = chrono::Duration::minutes(10);
/// How long a host is left alone whose proof has gone, or whose workspace is suspended.
const LATER: chrono::Duration = chrono::Duration::hours(1);
/// How long after a failure somebody may ask for another try.
const PATIENCE: chrono::Duration = chrono::Duration::minutes(10);

/// Whom certificates are got from.
#[derive(Debug, Clone)]
pub struct Authority {
    env: Env,
    outbound: Outbound,
    settings: Acme,
}

impl Authority {
    /// Returns the authority of the settings, if there is one.
    pub fn of(env: &Env, outbound: &Outbound) -> Option<Self> {
        let settings = env.config.acme.clone()?;
        Some(Self { env: env.clone(), outbound: outbound.clone(), settings })
    }

    /// Looks after everything that is due.
    pub async fn tend(&self) -> Result<()> {
        let env = &self.env;
        let now = env.now();
        // Not over the connections that callers wait for.
        let db = &env.db.drain;
        store::remove_stale(db).await?;
        for (id, host) in store::lacking(db, ROUND).await? {
            store::enroll(db, &host, Some(id), now).await?;
        }
        let known = store::own_hosts(db).await?;
        for host in self.settings.hosts.iter().filter(|host| !known.contains(host)) {
            store::enroll(db, host, None, now).await?;
        }
        let due = store::due(db, now, ROUND).await?;
        if due.is_empty() {
            return Ok(());
        }
        store::forget_the_past(db, now).await?;
        futures::stream::iter(due)
            .for_each_concurrent(AT_ONCE, |certificate| async move {
                if let Err(error) = Box::pin(self.tend_one(&certificate)).await {
                    tracing::warn!(
                        cause = %error.inward(), host = certificate.host,
                        "cannot look after a certificate; trying again"
                    );
                }
            })
            .await;
        Ok(())
    }

    async fn tend_one(&self, certificate: &Certificate) -> Result<()> {
        let env = &self.env;
        let now = env.now();
        if certificate.domain_id.is_none() && !self.settings.hosts.contains(&certificate.host) {
            // Another node may know better; what is there is shown until it is over.
            return Ok(store::put_off(&env.db.api, certificate, Some(now + LATER)).await.map(drop)?);
        }
        let step = plan::next(&standing(certificate), now);
        let until = match step {
            Step::Wait(until) => Some(until),
            Step::GiveUp(_) => None,
            Step::Order | Step::Renew => Some(now + TAKEN_FOR),
        };
        if !store::put_off(&env.db.api, certificate, until).await? {
            // Another node was first.
            return Ok(());
        }
        if !matches!(step, Step::Order | Step::Renew) {
            return Ok(());
        }
        let domain = match certificate.domain_id {
            Some(id) => match store::holder(&env.db.api, id).await? {
                Some(domain) => Some(domain),
                None => return Ok(()),
            },
            None => None,
        };
        let outcome = match domain.as_ref() {
            Some(domain) => match self.fitness(domain).await? {
                Fitness::Fit => self.work(certificate, Some(domain)).await,
                Fitness::Later(pause) => Err(Stop::Until(env.now() + pause)),
                Fitness::Elsewhere(ways) => Err(Stop::Setback(Setback::new(Kind::NotHere, &ways))),
            },
            None => self.work(certificate, None).await,
        };
        self.conclude(certificate, domain.as_ref(), step, outcome).await
    }

    async fn work(&self, certificate: &Certificate, domain: Option<&Domain>) -> Result<Got, Stop> {
        let owner = domain.map(|domain| domain.workspace_id);
        let working = order::go_on(&self.env, &self.outbound, &self.settings, certificate, owner);
        timeout(LONGEST, working)
            .await
            .unwrap_or_else(|_| Err(Stop::Setback(Setback::new(Kind::AuthorityAway, "it takes too long"))))
    }

    /// Says whether a domain may have a certificate now.
    async fn fitness(&self, domain: &Domain) -> Result<Fitness> {
        if State::numbered(domain.state) != State::Verified {
            return Ok(Fitness::Later(LATER));
        }
        let workspace = workspaces::find(&self.env.db.api, domain.workspace_id).await?;
        if workspace.is_none_or(|workspace| workspace.suspend_time.is_some()) {
            return Ok(Fitness::Later(LATER));
        }
        // The authority counts what fails, so it is not asked in vain.
        let seen = looks::records(&self.env, domain).await;
        Ok(match (seen.ownership, seen.address) {
            (Sight::Right, Sight::Right) => Fitness::Fit,
            (Sight::Silent, _) | (_, Sight::Silent) => Fitness::Later(SOON),
            (_, Sight::Right) => Fitness::Elsewhere("the TXT record is gone".to_owned()),
            _ => Fitness::Elsewhere(seen.ways.join(", ")),
        })
    }

    /// Stores what came of an order.
    async fn conclude(
        &self,
        certificate: &Certificate,
        domain: Option<&Domain>,
        step: Step,
        outcome: Result<Got, Stop>,
    ) -> Result<()> {
        let env = &self.env;
        let now = env.now();
        let name = match &outcome {
            Ok(_) => "issued",
            Err(Stop::Until(_)) => "put_off",
            Err(Stop::Setback(setback)) => setback.kind.name(),
            Err(Stop::Broken(_)) => "broken",
        };
        metrics::counter!("linkforty_certificate_orders_total", "outcome" => name).increment(1);
        match outcome {
            Ok(got) => self.keep(certificate, domain, step, got, now).await,
            Err(Stop::Setback(setback)) => self.suffer(certificate, domain, setback, now).await,
            Err(Stop::Until(until)) => Ok(store::wait_until(&env.db.api, certificate, until).await?),
            Err(Stop::Broken(error)) => Err(error),
        }
    }

    async fn keep(
        &self,
        certificate: &Certificate,
        domain: Option<&Domain>,
        step: Step,
        got: Got,
        now: Moment,
    ) -> Result<()> {
        let env = &self.env;
        let host = &certificate.host;
        let Got { chain, key, read } = got;
        let kept = Certificate {
            chain: Some(chain),
            private_key: Some(keys::seal(env, &keys::of_certificate(host), &key)),
            issuer: read.issuer,
            start_time: Some(read.not_before),
            expire_time: Some(read.not_after),
            order_url: None,
            order_key: None,
            failures: 0,
            failure: 0,
            failure_detail: String::new(),
            failure_time: None,
            next_time: Some(plan::renewal(host, read.not_before, read.not_after)),
            version: certificate.version + 1,
            update_time: now,
            ..certificate.clone()
        };
        let tx = env.db.begin().await?;
        if !store::save(&tx, &kept).await? {
            tracing::info!(host, "a certificate came for a host that is no longer ours");
            return Ok(());
        }
        store::remove_challenges(&tx, host).await?;
        let action = if step == Step::Renew { Action::CertificateRenewed } else { Action::CertificateIssued };
        if let Some(domain) = domain {
            let changes = Changes::none()
                .with("issuer", &*kept.issuer)
                .with("expire_time", read.not_after.to_rfc3339());
            trail::note(&tx, &env.ids, [noted(domain, action, changes)], now).await?;
        }
        let told = Changed::of(host, now);
        told.notify(&tx).await?;
        told.commit(env, tx).await?;
        keyring::read(env).await;
        tracing::info!(host, issuer = kept.issuer, expires = %read.not_after, "a certificate was got");
        Ok(())
    }

    async fn suffer(
        &self,
        certificate: &Certificate,
        domain: Option<&Domain>,
        setback: Setback,
        now: Moment,
    ) -> Result<()> {
        let env = &self.env;
        let host = &certificate.host;
        if setback.kind == Kind::Account {
            account::doubt(env, &self.settings, now).await?;
        }
        // As it is stored by now: the order was begun since.
        let Some(stored) = store::find(&env.db.api, host).await? else { return Ok(()) };
        let mut failed = Certificate {
            failures: stored.failures + 1,
            failure: setback.kind as i16,
            failure_detail: setback.detail.clone(),
            failure_time: Some(now),
            update_time: now,
            ..stored
        };
        if !setback.kind.leaves_order() {
            (failed.order_url, failed.order_key) = (None, None);
        }
        failed.next_time = match plan::next(&standing(&failed), now) {
            Step::Wait(until) => Some(until),
            Step::Order | Step::Renew => Some(now),
            Step::GiveUp(_) => None,
        };
        if let Some(wait) = setback.retry_after
            && let Some(next) = failed.next_time
        {
            let wait = chrono::Duration::from_std(wait).unwrap_or(plan::LONGEST).min(plan::LONGEST);
            failed.next_time = Some(next.max(now + wait));
        }
        let tx = env.db.begin().await?;
        if !store::save(&tx, &failed).await? {
            return Ok(());
        }
        if !setback.kind.leaves_order() {
            store::remove_challenges(&tx, host).await?;
        }
        if let Some(domain) = domain.filter(|_| failed.failures == 1) {
            let changes =
                Changes::none().with("failure", setback.kind.name()).with("detail", &*setback.detail);
            trail::note(&tx, &env.ids, [noted(domain, Action::CertificateFailed, changes)], now).await?;
        }
        tx.commit().await?;
        tracing::warn!(
            host, failure = setback.kind.name(), detail = setback.detail, failures = failed.failures,
            next = ?failed.next_time, "a certificate could not be got"
        );
        Ok(())
    }
}

/// Whether a domain may have a certificate.
enum Fitness {
    Fit,
    /// Not for the time being.
    Later(chrono::Duration),
    /// Its DNS leads elsewhere.
    Elsewhere(String),
}

fn noted(domain: &Domain, action: Action, changes: Changes) -> Note {
    Note::by_server(domain.workspace_id, action, domain.id.0, changes)
}

fn standing(certificate: &Certificate) -> Standing<'_> {
    Standing {
        host: &certificate.host,
        validity: certificate.chain.as_ref().and(certificate.start_time.zip(certificate.expire_time)),
        failures: u32::try_from(certificate.failures).unwrap_or(0),
        failure: Kind::numbered(certificate.failure).zip(certificate.failure_time),
        of_a_domain: certificate.domain_id.is_some(),
    }
}

/// Tries again to get the certificate of a domain that could not be got, unless that was just now.
pub(super) async fn hurry(env: &Env, id: DomainId, now: Moment) -> Result<()> {
    Ok(store::hurry(&env.db.api, id, now, now - PATIENCE).await?)
}

/// Gets another certificate for a host now, because the operator says so; `false`: it is not to have one.
pub async fn renew(env: &Env, host: &str) -> Result<bool> {
    Ok(store::renew(&env.db.api, host, env.now()).await?)
}

/// Returns every certificate, in the order of the hosts. For the operator, who is above the tenants.
pub async fn list(env: &Env) -> Result<Vec<Certificate>> {
    Ok(store::all(&env.db.api).await?)
}

/// Returns the certificates of domains.
pub(super) async fn of_domains(
    env: &Env,
    workspace: WorkspaceId,
    domains: &[DomainId],
) -> Result<HashMap<DomainId, v1::DomainCertificate>> {
    if env.config.acme.is_none() || domains.is_empty() {
        return Ok(HashMap::new());
    }
    let (rows, now) = (store::of_domains(&env.db.api, workspace, domains).await?, env.now());
    Ok(rows.iter().filter_map(|row| Some((row.domain_id?, shown(row, now)))).collect())
}

/// Returns how a certificate stands.
pub fn state_of(certificate: &Certificate, now: Moment) -> v1::CertificateState {
    match (certificate.expire_time, certificate.next_time) {
        (Some(until), _) if now < until => v1::CertificateState::Active,
        (Some(_), _) => v1::CertificateState::Expired,
        (None, Some(_)) => v1::CertificateState::Pending,
        (None, None) => v1::CertificateState::Failed,
    }
}

/// Returns why a certificate could not be got the last time, in the words of the contract.
pub fn failure_of(certificate: &Certificate) -> Option<&'static str> {
    Kind::numbered(certificate.failure).map(Kind::name)
}

fn shown(certificate: &Certificate, now: Moment) -> v1::DomainCertificate {
    let kind = Kind::numbered(certificate.failure);
    v1::DomainCertificate {
        state: state_of(certificate, now).into(),
        issuer: certificate.issuer.clone(),
        start_time: certificate.start_time.map(timestamp),
        expire_time: certificate.expire_time.map(timestamp),
        next_time: certificate.next_time.map(timestamp),
        failure: certificate.failure.into(),
        failure_detail: certificate.failure_detail.clone(),
        failure_time: certificate.failure_time.map(timestamp),
        advice: kind.map(Kind::advice).unwrap_or_default().to_owned(),
    }
}

/// A domain as it is stored, for those who look at certificates only.
type Row = domain::Model;

/// Says what is wrong with an error of the stores.
fn broken(error: impl Into<Error>) -> Stop {
    Stop::Broken(error.into())
}
