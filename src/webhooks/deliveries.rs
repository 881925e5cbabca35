//! What endpoints were sent and are to be sent, as people look at it.
//!
//! A list goes through deliveries in the order of an index, newest first, and keeps those that are asked for; it gives up looking after 5,000, so that a
//! page costs the same whatever is asked, and says where to go on.

use std::collections::HashMap;

use prost::Message as _;
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::{
    DeliveryState, EventType, endpoints,
    store::{
        deliveries::{self as store, Head, Place, Try},
        endpoints as endpoint_store,
    },
};
use crate::{
    clock::Moment,
    entity::webhook_delivery::Model,
    env::Env,
    error::Result,
    ids::{MessageId, WebhookAttemptId, WebhookEndpointId, WorkspaceId, floor, parse, time_of},
    page::{Cursor, Page, PageRequest},
    pb::v1,
    workspaces::Tenant,
};

/// How many deliveries a page looks at, at the most.
const LOOKS: usize = 5000;
/// How many of them at once.
const CHUNK: usize = 1000;
/// How many attempts are shown of a delivery.
const ATTEMPTS: usize = 20;
/// How many attempts are looked at for a page: there are ten of a delivery, unless it was sent again and again.
const ATTEMPT_LOOKS: u64 = 50_000;
/// How many answers are read at once: 800 KiB of them.
const ANSWERS: usize = 200;
/// How many bytes a page has at the most: with those of one more delivery it fits into a message.
const PAGE_BYTES: usize = 2 << 20;

/// Which deliveries are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// Of which endpoint; `None`: of any.
    pub endpoint: Option<WebhookEndpointId>,
    /// Of messages noted then or later.
    pub from: Option<Moment>,
    /// Of messages noted before.
    pub until: Option<Moment>,
    /// In one of these states; none: in any.
    pub states: Vec<DeliveryState>,
    /// That tell one of these; none: of any.
    pub event_types: Vec<EventType>,
}

impl Which {
    fn span(&self) -> (Uuid, Uuid) {
        (self.from.map_or(Uuid::nil(), floor), self.until.map_or(Uuid::max(), floor))
    }

    fn takes(&self, row: &Model) -> bool {
        let state = DeliveryState::of_number(row.state);
        self.states.is_empty() || state.is_some_and(|state| self.states.contains(&state))
    }

    fn tells(&self, event_type: EventType) -> bool {
        self.event_types.is_empty() || self.event_types.contains(&event_type)
    }

    const fn takes_all(&self) -> bool {
        self.states.is_empty() && self.event_types.is_empty()
    }
}

/// Who may see what receivers answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Whoever asks.
    Told,
    /// Not whoever asks.
    Hidden,
}

/// A delivery as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The row.
    pub row: Model,
    /// What is told.
    pub event_type: EventType,
    /// Of what.
    pub subject: Uuid,
    /// When that happened.
    pub time: Moment,
    /// When the message was noted.
    pub create_time: Moment,
    /// What was tried, newest first.
    pub attempts: Vec<Attempt>,
}

/// An attempt as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which one it was.
    pub number: i32,
    /// When it began.
    pub create_time: Moment,
    /// How long it took, in milliseconds.
    pub took_ms: i32,
    /// What came of it.
    pub outcome: i16,
    /// What was answered, if anything.
    pub status: Option<i32>,
    /// How the answer began; empty where nobody may see it.
    pub response: Vec<u8>,
}

/// A delivery that was found.
#[derive(Debug)]
pub struct Found {
    /// The row.
    pub row: Model,
    /// What is known of its message.
    pub head: Head,
    /// What that tells.
    pub event_type: EventType,
}

/// Returns one page of deliveries.
pub async fn list(
    env: &Env,
    tenant: &Tenant,
    (which, answers): (&Which, Answers),
    page: &PageRequest,
) -> Result<Page<v1::WebhookDelivery>> {
    let db = &env.db.api;
    if let Some(endpoint) = which.endpoint {
        endpoint_store::find(db, tenant.id, endpoint).await?.ok_or_else(endpoints::unknown)?;
    }
    let after = page.after.as_ref().and_then(place_of);
    let (found, next) = walk(db, tenant.id, which, (after, page.size as usize, LOOKS)).await?;
    let messages = found.iter().map(|found| found.row.message_id).collect();
    let tries = store::attempts(db, (tenant.id, which.endpoint), messages, ATTEMPT_LOOKS).await?;
    let mut tries = by_delivery(tries);
    let (mut items, mut bytes) = (Vec::new(), 0);
    let mut found = found.into_iter().peekable();
    // A few at a time, so that no more is read than fits.
    while found.peek().is_some() {
        let some: Vec<(Found, Vec<Try>)> = found
            .by_ref()
            .take(ANSWERS / ATTEMPTS)
            .map(|found| {
                let tries = tries.remove(&(found.row.message_id, found.row.endpoint_id));
                (found, tries.unwrap_or_default())
            })
            .collect();
        let ids: Vec<WebhookAttemptId> =
            some.iter().flat_map(|(_, tries)| tries.iter().map(|one| one.id)).collect();
        let mut read = match answers {
            Answers::Told => store::answers(db, tenant.id, &ids).await?,
            Answers::Hidden => HashMap::new(),
        };
        for (found, tries) in some {
            let place = Place::of(&found.row);
            let delivery = v1::WebhookDelivery::from(delivery(found, tries, &mut read));
            bytes += delivery.encoded_len();
            if bytes > PAGE_BYTES && !items.is_empty() {
                return Ok(Page {
                    next: items.last().map(|(place, _)| cursor(*place)),
                    items: unplaced(items),
                });
            }
            items.push((place, delivery));
        }
    }
    Ok(Page { items: unplaced(items), next: next.map(cursor) })
}

fn unplaced(items: Vec<(Place, v1::WebhookDelivery)>) -> Vec<v1::WebhookDelivery> {
    items.into_iter().map(|(_, delivery)| delivery).collect()
}

/// Goes through deliveries behind `after` until `wanted` are found or `looks` were looked at. Returns what is found and where to go on, `None` at the end. A delivery whose message is gone is
/// going too.
pub async fn walk(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    which: &Which,
    (mut after, wanted, looks): (Option<Place>, usize, usize),
) -> Result<(Vec<Found>, Option<Place>), DbErr> {
    let mut found = Vec::new();
    let mut looked = 0;
    while looked < looks {
        let chunk = if which.takes_all() { (wanted - found.len() + 1).min(CHUNK) } else { CHUNK };
        let limit = u64::try_from(chunk).unwrap_or(u64::MAX);
        let rows = store::list(db, (workspace, which.endpoint), which.span(), after, limit).await?;
        let (count, is_end) = (rows.len(), rows.len() < chunk);
        let taken = rows.iter().filter(|row| which.takes(row)).map(|row| row.message_id).collect();
        let heads = store::heads(db, workspace, taken).await?;
        for row in rows {
            let place = Place::of(&row);
            let head = heads.get(&row.message_id).filter(|_| which.takes(&row)).copied();
            let told = head.and_then(|head| Some((head, EventType::of_number(head.event_type)?)));
            if let Some((head, event_type)) = told.filter(|(_, event_type)| which.tells(*event_type)) {
                if found.len() == wanted {
                    return Ok((found, after));
                }
                found.push(Found { row, head, event_type });
            }
            after = Some(place);
        }
        if is_end {
            return Ok((found, None));
        }
        looked += count;
    }
    Ok((found, after))
}

/// Puts attempts to their deliveries, the newest 20 of each.
fn by_delivery(tries: Vec<Try>) -> HashMap<(MessageId, WebhookEndpointId), Vec<Try>> {
    let mut sorted: HashMap<_, Vec<Try>> = HashMap::new();
    for one in tries {
        let of = sorted.entry((one.message_id, one.endpoint_id)).or_default();
        if of.len() < ATTEMPTS {
            of.push(one);
        }
    }
    sorted
}

fn delivery(
    Found { row, head, event_type }: Found,
    tries: Vec<Try>,
    answers: &mut HashMap<WebhookAttemptId, Vec<u8>>,
) -> Delivery {
    let attempt = |one: Try| Attempt {
        number: one.number,
        create_time: time_of(one.id.0),
        took_ms: one.took_ms,
        outcome: one.outcome,
        status: one.status,
        response: answers.remove(&one.id).unwrap_or_default(),
    };
    Delivery {
        event_type,
        subject: head.subject_id,
        time: head.time,
        create_time: time_of(row.message_id.0),
        attempts: tries.into_iter().map(attempt).collect(),
        row,
    }
}

/// Returns a place as page tokens carry it.
pub fn cursor(place: Place) -> Cursor {
    Cursor { key: place.message.to_string(), id: place.endpoint.to_string() }
}

/// Reads such a place.
pub fn place_of(cursor: &Cursor) -> Option<Place> {
    let (message, endpoint) = (parse(&cursor.key)?, parse(&cursor.id)?);
    Some(Place { message: MessageId(message), endpoint: WebhookEndpointId(endpoint) })
}
