//! Clicks, with what their fingerprints say of the device.

use sea_orm::{DatabaseTransaction, FromQueryResult};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::rows::{TIMELESS, Timed, moment, timed, timeless};
use crate::{
    clicks::{
        past::{self, PastClick, ReadyClicks, Recorded},
        query::CAMPAIGN,
    },
    ids::{ClickId, LinkId},
    links::past::Stored,
    takeover::{
        ids,
        part::{Cx, Fate, Page, Part},
    },
};

/// Clicks.
pub enum Clicks {}

#[derive(Debug, FromQueryResult)]
struct Row {
    id: Uuid,
    link_id: Uuid,
    time: String,
    micros: i64,
    address: Option<String>,
    user_agent: Option<String>,
    device_type: Option<String>,
    country_code: Option<String>,
    region: Option<String>,
    city: Option<String>,
    utm_source: Option<String>,
    utm_medium: Option<String>,
    utm_campaign: Option<String>,
    referrer: Option<String>,
    is_bot: Option<bool>,
    bot_reason: Option<String>,
    link_params: Option<String>,
    link_utm: Option<String>,
    language: Option<String>,
    timezone: Option<String>,
    screen_width: Option<i32>,
    screen_height: Option<i32>,
}

impl Timed for Row {
    fn id(&self) -> Uuid {
        self.id
    }

    fn time(&self) -> &str {
        &self.time
    }
}

const TABLE: &str = "click_events";

fn from(cx: &Cx<'_>) -> String {
    format!("FROM click_events c JOIN links l ON l.id = c.link_id WHERE {}", cx.source.of_links("l"))
}

fn select(cx: &Cx<'_>) -> String {
    let source = &cx.source;
    let texts = [
        "user_agent",
        "device_type",
        "country_code",
        "region",
        "city",
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "referrer",
        "bot_reason",
        "link_params",
    ];
    let mut columns: Vec<String> = texts.iter().map(|name| source.column("c", TABLE, name, "text")).collect();
    columns.push(source.column("c", TABLE, "is_bot", "boolean"));
    let of_device = "device_fingerprints";
    let (device, join) = if source.has(of_device) {
        // A click has one; should it have several, the first counts.
        let join = "LEFT JOIN LATERAL (SELECT f.language, f.timezone, f.screen_width, f.screen_height
            FROM device_fingerprints f WHERE f.click_id = c.id ORDER BY f.created_at, f.id LIMIT 1) d ON TRUE";
        ("d.language::text, d.timezone::text, d.screen_width, d.screen_height", join)
    } else {
        (
            "NULL::text AS language, NULL::text AS timezone, NULL::int AS screen_width, NULL::int AS screen_height",
            "",
        )
    };
    let address = match source.has_column(TABLE, "ip_address") {
        true => "host(c.ip_address) AS address",
        false => "NULL::text AS address",
    };
    format!(
        "SELECT c.id, c.link_id, c.clicked_at::text AS time, {} AS micros, {address}, {}, {device},
         l.utm_parameters::text AS link_utm
         FROM click_events c JOIN links l ON l.id = c.link_id {join} WHERE {}",
        source.micros("c.clicked_at"),
        columns.join(", "),
        source.of_links("l")
    )
}

impl Part for Clicks {
    const NUMBER: i16 = 4;
    const NAME: &'static str = "clicks";
    const TABLE: &'static str = TABLE;
    const STEP: usize = 5000;
    type Row = PastClick;
    type Ready = ReadyClicks;

    async fn count(cx: &Cx<'_>) -> anyhow::Result<u64> {
        cx.source.number(format!("SELECT count(*) {}", from(cx))).await
    }

    async fn page(cx: &Cx<'_>, after: &str) -> anyhow::Result<Page<PastClick>> {
        let by = ("c", "clicked_at");
        let (found, place) = timed::<Row>(&cx.source, &select(cx), by, after, Self::STEP).await?;
        let is_last = found.len() < Self::STEP;
        let now = cx.env.now();
        let mut rows: Vec<Fate<PastClick>> = found
            .iter()
            .map(|row| match moment(row.micros, now) {
                Ok(time) => {
                    let click = click(cx, row, ids::click(row.id, time));
                    Fate::Carried { of: row.id, row: click, left_out: Vec::new() }
                }
                Err(why) => Fate::Refused { of: row.id, why },
            })
            .collect();
        if after.is_empty() {
            let none = timeless(&cx.source, &from(cx), by).await?;
            rows.extend(none.into_iter().map(|of| Fate::Refused { of, why: TIMELESS.to_owned() }));
        }
        Ok(Page { rows, place, is_last })
    }

    async fn prepare(cx: &Cx<'_>, rows: Vec<PastClick>) -> anyhow::Result<ReadyClicks> {
        Ok(past::prepare(&cx.env, rows).await?)
    }

    async fn insert(_: &Cx<'_>, tx: &DatabaseTransaction, ready: ReadyClicks) -> anyhow::Result<Stored> {
        let inserted = past::insert(tx, &ready).await?.into_iter().map(|id| id.0).collect();
        Ok(Stored { inserted, ..Stored::default() })
    }

    async fn stored(cx: &Cx<'_>, ids: &[Uuid]) -> anyhow::Result<Vec<(Uuid, Vec<Vec<u8>>)>> {
        let ids: Vec<ClickId> = ids.iter().copied().map(ClickId).collect();
        let found = past::stored(&cx.env.db.api, cx.tenant.id, &ids).await?;
        Ok(found.into_iter().map(|(id, parts)| (id.0, parts)).collect())
    }

    fn id(row: &PastClick) -> Uuid {
        row.id.0
    }

    fn parts(row: &PastClick) -> Vec<Vec<u8>> {
        row.parts()
    }
}

fn click(cx: &Cx<'_>, row: &Row, id: ClickId) -> PastClick {
    fn text(text: Option<&String>) -> &str {
        text.map_or("", String::as_str)
    }
    let object = |text: Option<&String>| -> Map<String, Json> {
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let (parameters, campaign) = (object(row.link_params.as_ref()), object(row.link_utm.as_ref()));
    let mut query: Vec<(&str, &str)> = Vec::new();
    for (name, value) in [
        ("utm_source", &row.utm_source),
        ("utm_medium", &row.utm_medium),
        ("utm_campaign", &row.utm_campaign),
        ("fp_tz", &row.timezone),
    ] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            query.push((name, value));
        }
    }
    let sides = [row.screen_width, row.screen_height].map(|side| side.unwrap_or_default());
    let screen = sides.map(|side| side.to_string());
    if sides.iter().all(|side| *side > 0) {
        query.extend([("fp_sw", &*screen[0]), ("fp_sh", &*screen[1])]);
    }
    query.extend(parameters.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))));
    let link_campaign: Vec<(&str, &str)> = CAMPAIGN
        .iter()
        .filter_map(|name| {
            let short = name.trim_start_matches("utm_");
            // Versions of LinkForty have written both.
            let value = campaign.get(short).or_else(|| campaign.get(*name))?.as_str()?;
            Some((*name, value))
        })
        .collect();
    let recorded = Recorded {
        address: row.address.as_deref().and_then(|address| address.parse().ok()),
        user_agent: text(row.user_agent.as_ref()),
        referrer: text(row.referrer.as_ref()),
        language: text(row.language.as_ref()),
        platform: match row.device_type.as_deref() {
            Some("ios") => 1,
            Some("android") => 2,
            _ => 0,
        },
        bot: row.is_bot.filter(|is_bot| *is_bot).map(|_| text(row.bot_reason.as_ref())),
        country: text(row.country_code.as_ref()),
        region: text(row.region.as_ref()),
        city: text(row.city.as_ref()),
        query,
        link_campaign,
    };
    cx.past.click(id, LinkId(row.link_id), &recorded)
}
