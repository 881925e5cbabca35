//! Looks at the DNS for the proofs of domains, and makes of it what [`verify`] says.
//!
//! Domains that are due are looked at in the background by any node; the one that puts the next look off first does it. A look happens
//! outside any transaction; what comes of it is decided on the domain as it is stored by then.

use std::{net::IpAddr, time::Duration};

use futures::StreamExt as _;
use prost::Message as _;
use serde_json::json;

use super::{
    Domain,
    changes::Changed,
    store,
    verify::{self, Proof, Sight, Standing, State},
};
use crate::{
    clock::Moment,
    db::{Fault, fault},
    dns::Told,
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim, Request},
    outbox::{self, Fact, Kind},
    pb::{self, v1},
    trail::{self, Action, Changes, Note},
    workspaces::Tenant,
};

/// How many domains one round takes, and how many of them at once.
const ROUND: u64 = 64;
const AT_ONCE: usize = 8;
/// When another node may look at a domain that this one has taken and not finished, as when it died.
const TAKEN_FOR: chrono::Duration = chrono::Duration::minutes(2);
/// How many values of the DNS are shown, and how long each may be.
const SHOWN: usize = 10;
const SHOWN_LENGTH: usize = 255;
/// How many aliases of aliases are followed.
const ALIASES: usize = 5;
/// How often the background looks for what is due.
pub const EVERY: Duration = Duration::from_secs(1);

/// What a look saw.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    texts: Told<String>,
    aliases: Told<String>,
    addresses: Told<IpAddr>,
    /// Where we are.
    our_addresses: Vec<IpAddr>,
}

/// Looks at all domains that are due.
pub async fn look_at_due(env: &Env) -> Result<()> {
    let now = env.now();
    // Not over the connections that callers wait for.
    let due = store::due(&env.db.drain, now, ROUND).await?;
    futures::stream::iter(due)
        .for_each_concurrent(AT_ONCE, |domain| async move {
            if let Err(error) = look_if_first(env, &domain, now).await {
                tracing::warn!(cause = %error.inward(), domain.id = %domain.id, "cannot look at a domain; trying again");
            }
        })
        .await;
    Ok(())
}

async fn look_if_first(env: &Env, domain: &Domain, now: Moment) -> Result<()> {
    if store::put_off(&env.db.api, domain, now + TAKEN_FOR).await? {
        let look = look(env, &domain.host).await;
        conclude(env, domain, &look, Asked::ByNobody).await?;
    }
    Ok(())
}

/// Looks at a domain now, because somebody asks.
pub async fn look_at(
    env: &Env,
    tenant: &Tenant,
    domain: &Domain,
    request: Option<&Request>,
) -> Result<Domain> {
    let look = look(env, &domain.host).await;
    let (domain, proof) = conclude(env, domain, &look, Asked::BySomebody(tenant, request)).await?;
    if proof == Proof::Rivalled {
        return Err(Error::new(
            Reason::DomainHeld,
            "the DNS proves another workspace of this server right too, which has the host already: remove that \
             workspace's TXT record, or its domain",
        )
        .with("host", domain.host));
    }
    Ok(domain)
}

/// Who asked for a look.
#[derive(Debug, Clone, Copy)]
enum Asked<'a> {
    /// It was due.
    ByNobody,
    /// A caller: a domain that has given up begins to wait again.
    BySomebody(&'a Tenant, Option<&'a Request>),
}

async fn look(env: &Env, host: &str) -> Look {
    let txt_name = txt_name(host);
    let (texts, aliases, addresses, our_addresses) = tokio::join!(
        env.dns.texts(&txt_name),
        aliases(env, host),
        env.dns.addresses(host),
        our_addresses(env)
    );
    Look { texts, aliases, addresses, our_addresses }
}

/// What a look makes of the records of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// The TXT record.
    pub ownership: Sight,
    /// The way here.
    pub address: Sight,
    /// Where the host leads: aliases, then addresses.
    pub ways: Vec<String>,
}

/// Looks at the records of a domain and changes nothing.
pub async fn records(env: &Env, domain: &Domain) -> Records {
    let look = look(env, &domain.host).await;
    let (ownership, address) = look.sights(env, &domain.token);
    Records { ownership, address, ways: look.ways() }
}

impl Look {
    /// Returns what it makes of the TXT record and of the way here.
    fn sights(&self, env: &Env, token: &str) -> (Sight, Sight) {
        let targets = &env.config.domain_targets;
        let names: Vec<&str> =
            targets.iter().filter(|target| target.parse::<IpAddr>().is_err()).map(String::as_str).collect();
        let address = verify::way_here(&self.aliases, &self.addresses, &names, &self.our_addresses);
        (verify::ownership(&self.texts, token), address)
    }

    /// Returns where the host leads.
    fn ways(&self) -> Vec<String> {
        let addresses = self.addresses.values().iter().map(IpAddr::to_string);
        self.aliases.values().iter().cloned().chain(addresses).take(SHOWN).collect()
    }
}

/// Returns the name that a host is an alias of, the name that one is an alias of, and so on.
async fn aliases(env: &Env, host: &str) -> Told<String> {
    let mut found: Vec<String> = Vec::new();
    let mut name = host.to_owned();
    while found.len() < ALIASES {
        match env.dns.aliases(&name).await {
            Told::Values(values) if found.contains(&values[0]) => break,
            Told::Values(values) => {
                found.push(values[0].clone());
                name.clone_from(&values[0]);
            }
            Told::Nothing => break,
            Told::Silence if found.is_empty() => return Told::Silence,
            Told::Silence => break,
        }
    }
    if found.is_empty() { Told::Nothing } else { Told::Values(found) }
}

/// Returns the addresses that domains may lead to: those of the settings, and those of our names.
async fn our_addresses(env: &Env) -> Vec<IpAddr> {
    let mut ours = Vec::new();
    for target in &env.config.domain_targets {
        match target.parse() {
            Ok(address) => ours.push(address),
            Err(_) => ours.extend_from_slice(env.dns.addresses(target).await.values()),
        }
    }
    ours
}

/// Stores what comes of a look, and tells the nodes if a host begins or ceases to answer.
async fn conclude(env: &Env, looked_at: &Domain, look: &Look, asked: Asked<'_>) -> Result<(Domain, Proof)> {
    let now = env.now();
    let tx = env.db.begin().await?;
    let stored = store::lock(&tx, looked_at.workspace_id, looked_at.id).await?;
    let stored = stored.ok_or_else(|| Error::not_found("domain"))?;
    let holder = store::lock_holder(&tx, &stored.host).await?.filter(|holder| holder.id != stored.id);
    let (ownership, address) = look.sights(env, &stored.token);
    let rivalled =
        holder.as_ref().is_some_and(|holder| verify::ownership(&look.texts, &holder.token) == Sight::Right);
    let proof = match verify::proof(ownership, address) {
        Proof::Whole if rivalled => Proof::Rivalled,
        proof => proof,
    };
    let request = match asked {
        // What is refused is asked again.
        Asked::BySomebody(_, request) if proof != Proof::Rivalled => request,
        _ => None,
    };
    if let Claim::Made(_) = idempotency::claim(&tx, request, now).await? {
        return Ok((stored, proof));
    }
    let mut before = standing(&stored);
    let gave_up = before.state == State::Disabled || before.next_look_time.is_none();
    if matches!(asked, Asked::BySomebody(..)) && gave_up {
        before = verify::begin(now, before.verify_time);
    }
    let after = verify::judge(before, proof, now);
    let seen = Seen { ownership, address, look };
    let mut domain = stand(&stored, after, now);
    domain.seen = Some(seen.encode());
    domain.look_time = Some(now);

    let mut hosts_changed = stored.held_host != domain.held_host;
    if let Some(holder) = holder.filter(|_| after.state.serves()) {
        // Its proof has gone, and this one is whole.
        tracing::info!(domain.id = %holder.id, host = holder.host, "a domain lost its host to one whose proof is whole");
        let beaten = verify::disabled(standing(&holder));
        store::save(&tx, &stand(&holder, beaten, now)).await?;
        trail::note(&tx, &env.ids, [moved(&holder, beaten.state, Asked::ByNobody)], now).await?;
        hosts_changed = true;
    }
    if let Err(error) = store::save(&tx, &domain).await {
        // Nobody had the host, and another got it just now.
        return match fault(&error) {
            Fault::Refused => Ok((stored, Proof::Rivalled)),
            Fault::Away | Fault::Defect => Err(error.into()),
        };
    }
    idempotency::made(&tx, request, domain.id.to_string()).await?;
    if stored.state != domain.state {
        trail::note(&tx, &env.ids, [moved(&stored, after.state, asked)], now).await?;
        if after.state == State::Verified {
            outbox::note(&tx, &env.ids, domain.workspace_id, [verified(env, &domain)], now).await?;
        }
        tracing::info!(
            domain.id = %domain.id, host = domain.host, before = ?State::numbered(stored.state), after = ?after.state,
            "the state of a domain changed"
        );
    }
    if hosts_changed {
        let told = Changed::of(&domain.host, now);
        told.notify(&tx).await?;
        told.commit(env, tx).await?;
    } else {
        tx.commit().await?;
    }
    Ok((domain, proof))
}

/// Returns what is told of a domain that was found to be the workspace's.
fn verified(env: &Env, domain: &Domain) -> Fact {
    let data = json!({ "domain": pb::to_json("Domain", &super::noted(env, domain)) });
    Fact { kind: Kind::DomainVerified, subject: domain.id.0, body: data.to_string().into_bytes() }
}

/// Returns the note that what the DNS says changed the state of a domain.
fn moved(stored: &Domain, state: State, asked: Asked<'_>) -> Note {
    let name = |state: State| format!("{state:?}").to_lowercase();
    let changes = Changes::none().with_both("state", name(State::numbered(stored.state)), name(state));
    let (action, target) = (Action::DomainStateChanged, stored.id.0);
    match asked {
        Asked::BySomebody(tenant, _) => tenant.did(action, target, changes),
        Asked::ByNobody => Note::by_server(stored.workspace_id, action, target, changes),
    }
}

/// Returns how far the proof of a stored domain has come.
pub fn standing(domain: &Domain) -> Standing {
    Standing {
        state: State::numbered(domain.state),
        waiting_time: domain.waiting_time,
        looks: domain.looks,
        verify_time: domain.verify_time,
        next_look_time: domain.next_look_time,
    }
}

/// Returns a domain that stands there.
fn stand(stored: &Domain, standing: Standing, now: Moment) -> Domain {
    let changed = stored.state != standing.state as i16;
    Domain {
        state: standing.state as i16,
        held_host: standing.state.serves().then(|| stored.host.clone()),
        // What does not answer is no place for new links.
        is_default: stored.is_default && standing.state != State::Disabled,
        waiting_time: standing.waiting_time,
        looks: standing.looks,
        verify_time: standing.verify_time,
        next_look_time: standing.next_look_time,
        version: stored.version + i64::from(changed),
        update_time: if changed { now } else { stored.update_time },
        ..stored.clone()
    }
}

/// Returns the name of the TXT record.
pub fn txt_name(host: &str) -> String {
    format!("_linkforty.{host}")
}

struct Seen<'a> {
    ownership: Sight,
    address: Sight,
    look: &'a Look,
}

impl Seen<'_> {
    fn encode(&self) -> Vec<u8> {
        let Look { texts, our_addresses, .. } = self.look;
        let cut = |text: &String| text.chars().take(SHOWN_LENGTH).collect();
        let proof = v1::DomainProof {
            ownership_status: self.ownership as i32,
            ownership_seen: texts.values().iter().map(cut).take(SHOWN).collect(),
            address_status: self.address as i32,
            address_seen: self.look.ways(),
            address: our_addresses.iter().take(SHOWN).map(|address| address_record(*address)).collect(),
            ..v1::DomainProof::default()
        };
        proof.encode_to_vec()
    }
}

fn address_record(address: IpAddr) -> v1::DnsRecord {
    let kind = if address.is_ipv4() { v1::DnsRecordType::A } else { v1::DnsRecordType::Aaaa };
    v1::DnsRecord { r#type: kind.into(), name: String::new(), value: address.to_string() }
}

/// Returns what proves a domain, and what was last seen of it.
pub fn proof_of(env: &Env, domain: &Domain) -> v1::DomainProof {
    let seen = domain.seen.as_deref().and_then(|seen| v1::DomainProof::decode(seen).ok()).unwrap_or_default();
    let (names, addresses): (Vec<&String>, Vec<&String>) =
        env.config.domain_targets.iter().partition(|target| target.parse::<IpAddr>().is_err());
    let aliases = names.into_iter().map(|name| v1::DnsRecord {
        r#type: v1::DnsRecordType::Cname.into(),
        name: domain.host.clone(),
        value: name.clone(),
    });
    // Before the first look, what the settings say; after it, with what our names led to.
    let addresses = if seen.address.is_empty() {
        addresses.iter().filter_map(|address| address.parse().ok()).map(address_record).collect()
    } else {
        seen.address.clone()
    };
    let addresses = addresses.into_iter().map(|record| v1::DnsRecord { name: domain.host.clone(), ..record });
    let address = if super::host::is_apex(&domain.host) {
        addresses.chain(aliases).collect()
    } else {
        aliases.chain(addresses).collect()
    };
    v1::DomainProof {
        ownership: Some(v1::DnsRecord {
            r#type: v1::DnsRecordType::Txt.into(),
            name: txt_name(&domain.host),
            value: verify::txt_value(&domain.token),
        }),
        address,
        verify_time: domain.verify_time.map(super::grpc::time),
        look_time: domain.look_time.map(super::grpc::time),
        next_look_time: domain.next_look_time.map(super::grpc::time),
        ..seen
    }
}
