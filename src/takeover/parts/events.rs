//! What happened in apps, with what it earned.

use sea_orm::{DatabaseTransaction, FromQueryResult};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::rows::{TIMELESS, Timed, moment, timed, timeless};
use crate::{
    attribution::{
        events::{
            Source as Of,
            past::{self, PastEvent, ReadyEvents},
            shown_properties,
        },
        json_revenue,
    },
    clock::from_micros,
    ids::{EventId, InstallId},
    links::{past::Stored, timestamp},
    pb::sdk::v1 as sdk,
    takeover::{
        ids,
        part::{Cx, Fate, Page, Part},
    },
};

/// Events.
pub enum Events {}

#[derive(Debug, FromQueryResult)]
struct Row {
    id: Uuid,
    install_id: Uuid,
    event_name: String,
    event_data: Option<String>,
    time: String,
    micros: i64,
    created: Option<i64>,
    opened: Option<i64>,
    attributed_link_id: Option<Uuid>,
    attributed_click_id: Option<Uuid>,
    click_micros: Option<i64>,
    session_id: Option<String>,
}

impl Timed for Row {
    fn id(&self) -> Uuid {
        self.id
    }

    fn time(&self) -> &str {
        &self.time
    }
}

const TABLE: &str = "in_app_events";
const MAX_TRANSACTION: usize = 128;

fn from(cx: &Cx<'_>) -> String {
    format!(
        "FROM in_app_events e JOIN install_events i ON i.id = e.install_id
         LEFT JOIN links l ON l.id = i.link_id WHERE {}",
        cx.source.of_links("l")
    )
}

fn select(cx: &Cx<'_>) -> String {
    let source = &cx.source;
    let micros = |column: &str| match source.has_column(TABLE, column) {
        true => {
            let of = format!("e.{column}");
            format!("CASE WHEN isfinite({of}) THEN {} END", source.micros(&of))
        }
        false => "NULL::bigint".to_owned(),
    };
    let (clicked, join) = if source.has_column(TABLE, "attributed_click_id") {
        let clicked = format!("CASE WHEN isfinite(c.clicked_at) THEN {} END", source.micros("c.clicked_at"));
        (clicked, "LEFT JOIN click_events c ON c.id = e.attributed_click_id")
    } else {
        ("NULL::bigint".to_owned(), "")
    };
    let columns = [
        source.column("e", TABLE, "event_data", "text"),
        source.column("e", TABLE, "attributed_link_id", "uuid"),
        source.column("e", TABLE, "attributed_click_id", "uuid"),
        source.column("e", TABLE, "session_id", "text"),
    ];
    format!(
        "SELECT e.id, e.install_id, e.event_name::text AS event_name, e.event_timestamp::text AS time, {} AS micros,
         {} AS created, {} AS opened, {clicked} AS click_micros, {}
         FROM in_app_events e JOIN install_events i ON i.id = e.install_id
         LEFT JOIN links l ON l.id = i.link_id {join} WHERE {}",
        source.micros("e.event_timestamp"),
        micros("created_at"),
        micros("attributed_at"),
        columns.join(", "),
        source.of_links("l")
    )
}

impl Part for Events {
    const NUMBER: i16 = 6;
    const NAME: &'static str = "events";
    const TABLE: &'static str = TABLE;
    const STEP: usize = 2000;
    type Row = PastEvent;
    type Ready = ReadyEvents;

    async fn count(cx: &Cx<'_>) -> anyhow::Result<u64> {
        cx.source.number(format!("SELECT count(*) {}", from(cx))).await
    }

    async fn page(cx: &Cx<'_>, after: &str) -> anyhow::Result<Page<PastEvent>> {
        let by = ("e", "event_timestamp");
        let (found, place) = timed::<Row>(&cx.source, &select(cx), by, after, Self::STEP).await?;
        let is_last = found.len() < Self::STEP;
        let mut rows: Vec<Fate<PastEvent>> = found.into_iter().map(|row| event(cx, row)).collect();
        if after.is_empty() {
            let none = timeless(&cx.source, &from(cx), by).await?;
            rows.extend(none.into_iter().map(|of| Fate::Refused { of, why: TIMELESS.to_owned() }));
        }
        Ok(Page { rows, place, is_last })
    }

    async fn prepare(cx: &Cx<'_>, rows: Vec<PastEvent>) -> anyhow::Result<ReadyEvents> {
        Ok(past::prepare(&cx.env, rows).await?)
    }

    async fn insert(_: &Cx<'_>, tx: &DatabaseTransaction, ready: ReadyEvents) -> anyhow::Result<Stored> {
        let inserted = past::insert(tx, &ready).await?.into_iter().map(|id| id.0).collect();
        Ok(Stored { inserted, ..Stored::default() })
    }

    async fn stored(cx: &Cx<'_>, ids: &[Uuid]) -> anyhow::Result<Vec<(Uuid, Vec<Vec<u8>>)>> {
        let ids: Vec<EventId> = ids.iter().copied().map(EventId).collect();
        let found = past::stored(&cx.env.db.api, cx.tenant.id, &ids).await?;
        Ok(found.into_iter().map(|(id, parts)| (id.0, parts)).collect())
    }

    fn id(row: &PastEvent) -> Uuid {
        row.id().0
    }

    fn parts(row: &PastEvent) -> Vec<Vec<u8>> {
        row.parts()
    }
}

fn event(cx: &Cx<'_>, row: Row) -> Fate<PastEvent> {
    let of = row.id;
    let now = cx.env.now();
    // A device's clock may be anywhere; what the server noted is the end of it.
    let received = row.created.unwrap_or(row.micros);
    let time = match moment(received, now).and(moment(row.micros.min(received), now)) {
        Ok(_) => from_micros(row.micros),
        Err(why) => return Fate::Refused { of, why },
    };
    let data: Map<String, Json> =
        row.event_data.as_deref().and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
    let mut left_out = Vec::new();
    let click = row.attributed_click_id.map(|click| {
        let time = row.click_micros.and_then(|micros| moment(micros, now).ok());
        time.map(|time| ids::click(click, time).to_string()).unwrap_or_else(|| {
            left_out.push("attributed_click_id: there is no such click".to_owned());
            String::new()
        })
    });
    let link = row.attributed_link_id.map(|link| link.to_string()).unwrap_or_default();
    let transaction = ["transactionId", "transaction_id"].iter().find_map(|name| data.get(*name)?.as_str());
    let event = sdk::Event {
        event_id: of.to_string(),
        revenue: (row.event_name == "revenue").then(|| json_revenue(&data)).flatten(),
        transaction_id: transaction.unwrap_or_default().chars().take(MAX_TRANSACTION).collect(),
        name: row.event_name,
        event_time: Some(timestamp(time)),
        session_id: row.session_id.unwrap_or_default(),
        link_open_time: row.opened.filter(|_| !link.is_empty()).map(|opened| timestamp(from_micros(opened))),
        link_id: link,
        click_id: click.unwrap_or_default(),
        properties: Some(shown_properties(&Json::Object(data).to_string())),
    };
    let source = Of { workspace: cx.tenant.id, app: cx.app };
    let read = past::read(source, InstallId(row.install_id), event, from_micros(received));
    Fate::of(
        of,
        read.map(|(row, more)| {
            left_out.extend(more);
            (row, left_out)
        }),
    )
}
