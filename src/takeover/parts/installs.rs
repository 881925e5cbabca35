//! Installs, under the ids that SDKs keep, credited as LinkForty credited them.

use std::collections::HashMap;

use sea_orm::{DatabaseTransaction, FromQueryResult};
use uuid::Uuid;

use super::rows::{TIMELESS, Timed, moment, timed, timeless};
use crate::{
    attribution::{
        json_platform,
        past_installs::{self as past, PastInstall, Recorded},
    },
    clock::from_micros,
    ids::{InstallId, LinkId},
    links::past::Stored,
    takeover::{
        ids,
        part::{Cx, Fate, Page, Part},
    },
};

/// Installs.
pub enum Installs {}

#[derive(Debug, FromQueryResult)]
struct Row {
    id: Uuid,
    time: String,
    micros: i64,
    created: Option<i64>,
    link_id: Option<Uuid>,
    click_id: Option<Uuid>,
    click_micros: Option<i64>,
    confidence_score: Option<f64>,
    matched_factors: Option<String>,
    attribution_window_hours: Option<i32>,
    address: Option<String>,
    user_agent: Option<String>,
    timezone: Option<String>,
    language: Option<String>,
    screen_width: Option<i32>,
    screen_height: Option<i32>,
    platform: Option<String>,
    platform_version: Option<String>,
    device_id: Option<String>,
    sdk_name: Option<String>,
    sdk_version: Option<String>,
}

impl Timed for Row {
    fn id(&self) -> Uuid {
        self.id
    }

    fn time(&self) -> &str {
        &self.time
    }
}

const TABLE: &str = "install_events";

fn from(cx: &Cx<'_>) -> String {
    let wanted = cx.source.of_links("l");
    format!("FROM install_events i LEFT JOIN links l ON l.id = i.link_id WHERE {wanted}")
}

fn select(cx: &Cx<'_>) -> String {
    let source = &cx.source;
    let column = |name: &str, kind: &str| source.column("i", TABLE, name, kind);
    let texts = [
        "user_agent",
        "timezone",
        "language",
        "platform",
        "platform_version",
        "device_id",
        "sdk_name",
        "sdk_version",
    ];
    let mut columns: Vec<String> = texts.iter().map(|name| column(name, "text")).collect();
    let numbers = ["attribution_window_hours", "screen_width", "screen_height"];
    columns.extend(numbers.iter().map(|name| column(name, "integer")));
    columns.push(column("confidence_score", "double precision"));
    columns.push(match source.has_column(TABLE, "matched_factors") {
        true => "to_json(i.matched_factors)::text AS matched_factors".to_owned(),
        false => "NULL::text AS matched_factors".to_owned(),
    });
    columns.push(match source.has_column(TABLE, "ip_address") {
        true => "host(i.ip_address) AS address".to_owned(),
        false => "NULL::text AS address".to_owned(),
    });
    let created = match source.has_column(TABLE, "created_at") {
        true => format!("CASE WHEN isfinite(i.created_at) THEN {} END", source.micros("i.created_at")),
        false => "NULL::bigint".to_owned(),
    };
    let clicked = format!("CASE WHEN isfinite(c.clicked_at) THEN {} END", source.micros("c.clicked_at"));
    format!(
        "SELECT i.id, i.link_id, i.click_id, i.installed_at::text AS time, {} AS micros, {created} AS created,
         {clicked} AS click_micros, {}
         FROM install_events i LEFT JOIN links l ON l.id = i.link_id
         LEFT JOIN click_events c ON c.id = i.click_id WHERE {}",
        source.micros("i.installed_at"),
        columns.join(", "),
        source.of_links("l")
    )
}

/// Returns which install each click is of: LinkForty let several have one, here the first has it.
async fn owners(cx: &Cx<'_>, rows: &[Row]) -> anyhow::Result<HashMap<Uuid, Uuid>> {
    #[derive(FromQueryResult)]
    struct Owner {
        click_id: Uuid,
        id: Uuid,
    }
    let clicks: Vec<String> = rows.iter().filter_map(|row| Some(row.click_id?.to_string())).collect();
    if clicks.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "SELECT DISTINCT ON (click_id) click_id, id FROM install_events
        WHERE click_id = ANY(string_to_array($1, ',')::uuid[]) AND isfinite(installed_at)
        ORDER BY click_id, installed_at, id";
    let rows: Vec<Owner> = cx.source.rows(sql.to_owned(), vec![clicks.join(",").into()]).await?;
    Ok(rows.into_iter().map(|row| (row.click_id, row.id)).collect())
}

impl Part for Installs {
    const NUMBER: i16 = 5;
    const NAME: &'static str = "installs";
    const TABLE: &'static str = TABLE;
    const STEP: usize = 5000;
    type Row = PastInstall;
    type Ready = Vec<PastInstall>;

    async fn count(cx: &Cx<'_>) -> anyhow::Result<u64> {
        cx.source.number(format!("SELECT count(*) {}", from(cx))).await
    }

    async fn page(cx: &Cx<'_>, after: &str) -> anyhow::Result<Page<PastInstall>> {
        let by = ("i", "installed_at");
        let (found, place) = timed::<Row>(&cx.source, &select(cx), by, after, Self::STEP).await?;
        let is_last = found.len() < Self::STEP;
        let owners = owners(cx, &found).await?;
        let mut rows: Vec<Fate<PastInstall>> = found.iter().map(|row| install(cx, row, &owners)).collect();
        if after.is_empty() {
            let none = timeless(&cx.source, &from(cx), by).await?;
            rows.extend(none.into_iter().map(|of| Fate::Refused { of, why: TIMELESS.to_owned() }));
        }
        Ok(Page { rows, place, is_last })
    }

    async fn prepare(_: &Cx<'_>, rows: Vec<PastInstall>) -> anyhow::Result<Vec<PastInstall>> {
        Ok(rows)
    }

    async fn insert(cx: &Cx<'_>, tx: &DatabaseTransaction, rows: Vec<PastInstall>) -> anyhow::Result<Stored> {
        let inserted = past::insert(tx, cx.tenant.id, &rows).await?.into_iter().map(|id| id.0).collect();
        Ok(Stored { inserted, ..Stored::default() })
    }

    async fn stored(cx: &Cx<'_>, ids: &[Uuid]) -> anyhow::Result<Vec<(Uuid, Vec<Vec<u8>>)>> {
        let ids: Vec<InstallId> = ids.iter().copied().map(InstallId).collect();
        let found = past::stored(&cx.env.db.api, cx.tenant.id, &ids).await?;
        Ok(found.into_iter().map(|(id, parts)| (id.0, parts)).collect())
    }

    fn id(row: &PastInstall) -> Uuid {
        row.id().0
    }

    fn parts(row: &PastInstall) -> Vec<Vec<u8>> {
        row.parts()
    }
}

fn install(cx: &Cx<'_>, row: &Row, owners: &HashMap<Uuid, Uuid>) -> Fate<PastInstall> {
    let now = cx.env.now();
    let time = match moment(row.micros, now) {
        Ok(time) => time,
        Err(why) => return Fate::Refused { of: row.id, why },
    };
    let text = |text: &'_ Option<String>| text.clone().unwrap_or_default();
    let click = row.click_id.zip(row.click_micros.and_then(|micros| moment(micros, now).ok()));
    let mut left_out = Vec::new();
    let own = click.filter(|(click, _)| owners.get(click) == Some(&row.id));
    if click.is_some() && own.is_none() {
        left_out.push("click_id: the click is an earlier install's".to_owned());
    }
    let score = row.confidence_score.unwrap_or_default().round().clamp(0.0, 100.0) as i16;
    let factors = row.matched_factors.as_deref().and_then(|factors| serde_json::from_str(factors).ok());
    let side = |side: Option<i32>| side.map_or(0, |side| side.clamp(0, 100_000).unsigned_abs());
    let (user_agent, os_version) = (text(&row.user_agent), text(&row.platform_version));
    let (time_zone, language) = (text(&row.timezone), text(&row.language));
    let (device_id, sdk_name, sdk_version) =
        (text(&row.device_id), text(&row.sdk_name), text(&row.sdk_version));
    let recorded = Recorded {
        link: row.link_id.map(LinkId),
        click: own.map(|(click, time)| ids::click(click, time)),
        click_time: click.map(|(_, time)| time),
        score,
        factors: factors.unwrap_or_default(),
        install_time: time,
        receive_time: row.created.map_or(time, from_micros),
        address: row.address.as_deref().and_then(|address| address.parse().ok()),
        platform: json_platform(row.platform.as_deref().unwrap_or_default(), &user_agent),
        os_version: &os_version,
        time_zone: &time_zone,
        language: &language,
        screen: (side(row.screen_width), side(row.screen_height)),
        device_id: &device_id,
        sdk: (&sdk_name, &sdk_version),
        user_agent: &user_agent,
        window_seconds: i64::from(row.attribution_window_hours.unwrap_or_default().max(0)) * 3600,
    };
    let of = past::read(&cx.env, (cx.tenant.id, cx.app), InstallId(row.id), &recorded);
    Fate::Carried { of: row.id, row: of, left_out }
}
