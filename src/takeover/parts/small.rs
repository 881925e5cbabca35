//! What people made: organizations, templates, links and webhooks.

use std::collections::HashMap;

use sea_orm::DatabaseTransaction;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::rows::{id, text, whole};
use crate::{
    clock::Moment,
    ids::{LinkId, ProjectId, TemplateId, WebhookEndpointId},
    links::past::{self as links, LinkRow, PastLink, PastProject, PastTemplate, Stored, TemplateRow},
    takeover::{
        Run,
        part::{Cx, Fate, Page, Part},
    },
    webhooks::past::{self as webhooks, EndpointRow, PastEndpoint},
};

const STEP: usize = 500;

type Columns = Map<String, Json>;

/// Returns when a row was made and last changed; what nobody noted was at the beginning of time.
fn times(cx: &Cx<'_>, columns: &Columns) -> (Moment, Moment) {
    let made = cx.source.moment(columns.get("created_at"));
    let changed = cx.source.moment(columns.get("updated_at"));
    // The same moment whenever it is read.
    let made = made.or(changed).unwrap_or(Moment::UNIX_EPOCH);
    (made, changed.unwrap_or(made))
}

/// Organizations, which become projects.
pub enum Projects {}

impl Part for Projects {
    const NUMBER: i16 = 1;
    const NAME: &'static str = "projects";
    const TABLE: &'static str = "organizations";
    const STEP: usize = STEP;
    type Row = PastProject;
    type Ready = Vec<PastProject>;

    async fn count(cx: &Cx<'_>) -> anyhow::Result<u64> {
        if !cx.source.is_whole() {
            return Ok(0);
        }
        cx.source.number("SELECT count(*) FROM organizations".to_owned()).await
    }

    async fn page(cx: &Cx<'_>, after: &str) -> anyhow::Result<Page<PastProject>> {
        // Of one organization the workspace is the organization.
        let condition = if cx.source.is_whole() { "TRUE" } else { "FALSE" };
        let (found, place) = whole(&cx.source, ("organizations", condition), after, STEP).await?;
        let is_last = found.len() < STEP;
        let row = |(of, columns): (Uuid, Columns)| {
            let name = text(&columns, "name");
            let row = links::read_past_project(cx.tenant, ProjectId(of), &name, times(cx, &columns));
            Fate::Carried { of, row, left_out: Vec::new() }
        };
        Ok(Page { rows: found.into_iter().map(row).collect(), place, is_last })
    }

    async fn prepare(_: &Cx<'_>, rows: Vec<PastProject>) -> anyhow::Result<Vec<PastProject>> {
        Ok(rows)
    }

    async fn insert(cx: &Cx<'_>, tx: &DatabaseTransaction, rows: Vec<PastProject>) -> anyhow::Result<Stored> {
        Ok(links::insert_past_projects(tx, cx.tenant, rows).await?)
    }

    async fn stored(cx: &Cx<'_>, ids: &[Uuid]) -> anyhow::Result<Vec<(Uuid, Vec<Vec<u8>>)>> {
        let ids: Vec<ProjectId> = ids.iter().copied().map(ProjectId).collect();
        Ok(links::stored_projects(&cx.env.db.api, cx.tenant, &ids).await?)
    }

    fn id(row: &PastProject) -> Uuid {
        row.id().0
    }

    fn parts(row: &PastProject) -> Vec<Vec<u8>> {
        row.parts()
    }
}

/// Templates.
pub enum Templates {}

impl Templates {
    fn condition(cx: &Cx<'_>) -> String {
        if cx.source.is_whole() || !cx.source.has_column("links", "template_id") {
            return cx.source.of_users("t");
        }
        let (users, links) = (cx.source.of_users("t"), cx.source.of_links("used"));
        format!("({users} OR t.id IN (SELECT used.template_id FROM links used WHERE {links}))")
    }
}

impl Part for Templates {
    const NUMBER: i16 = 2;
    const NAME: &'static str = "templates";
    const TABLE: &'static str = "link_templates";
    const STEP: usize = STEP;
    type Row = PastTemplate;
    type Ready = Vec<PastTemplate>;

    async fn count(cx: &Cx<'_>) -> anyhow::Result<u64> {
        let condition = Self::condition(cx);
        cx.source.number(format!("SELECT count(*) FROM link_templates t WHERE {condition}")).await
    }

    async fn page(cx: &Cx<'_>, after: &str) -> anyhow::Result<Page<PastTemplate>> {
        let (found, place) =
            whole(&cx.source, ("link_templates", &*Self::condition(cx)), after, STEP).await?;
        let is_last = found.len() < STEP;
        let row = |(of, columns): (Uuid, Columns)| {
            let (made, changed) = times(cx, &columns);
            let settings = columns.get("settings").filter(|settings| !settings.is_null());
            let row = TemplateRow {
                id: TemplateId(of),
                name: text(&columns, "name"),
                slug: text(&columns, "slug"),
                description: text(&columns, "description"),
                settings: settings.map_or_else(|| "{}".to_owned(), Json::to_string),
                is_default: columns.get("is_default") == Some(&Json::Bool(true)),
                made,
                changed,
            };
            Fate::of(of, links::read_past_template(&cx.env, cx.tenant, &cx.ground, row))
        };
        Ok(Page { rows: found.into_iter().map(row).collect(), place, is_last })
    }

    async fn prepare(_: &Cx<'_>, rows: Vec<PastTemplate>) -> anyhow::Result<Vec<PastTemplate>> {
        Ok(rows)
    }

    async fn insert(
        cx: &Cx<'_>,
        tx: &DatabaseTransaction,
        rows: Vec<PastTemplate>,
    ) -> anyhow::Result<Stored> {
        Ok(links::insert_past_templates(tx, cx.tenant, rows).await?)
    }

    async fn stored(cx: &Cx<'_>, ids: &[Uuid]) -> anyhow::Result<Vec<(Uuid, Vec<Vec<u8>>)>> {
        let ids: Vec<TemplateId> = ids.iter().copied().map(TemplateId).collect();
        Ok(links::stored_templates(&cx.env.db.api, cx.tenant, &ids).await?)
    }

    fn id(row: &PastTemplate) -> Uuid {
        row.id().0
    }

    fn parts(row: &PastTemplate) -> Vec<Vec<u8>> {
        row.parts()
    }
}

/// Links.
pub enum Links {}

/// The columns of a link that are times.
const LINK_TIMES: [&str; 5] = ["created_at", "updated_at", "expires_at", "warn_at", "disabled_at"];

impl Part for Links {
    const NUMBER: i16 = 3;
    const NAME: &'static str = "links";
    const TABLE: &'static str = "links";
    const STEP: usize = STEP;
    type Row = PastLink;
    type Ready = Vec<PastLink>;

    async fn count(cx: &Cx<'_>) -> anyhow::Result<u64> {
        let condition = cx.source.of_links("t");
        cx.source.number(format!("SELECT count(*) FROM links t WHERE {condition}")).await
    }

    async fn page(cx: &Cx<'_>, after: &str) -> anyhow::Result<Page<PastLink>> {
        let (found, place) = whole(&cx.source, ("links", &*cx.source.of_links("t")), after, STEP).await?;
        let is_last = found.len() < STEP;
        let suspended = suspended(cx).await?;
        let ids: Vec<Uuid> = found.iter().map(|(id, _)| *id).collect();
        let rows = found.into_iter().map(|(of, columns)| link(cx, of, columns, &suspended)).collect();
        let read = links::read_links(&cx.env, cx.tenant, &cx.ground, rows).await?;
        let rows = ids.into_iter().zip(read).map(|(of, read)| Fate::of(of, read)).collect();
        Ok(Page { rows, place, is_last })
    }

    async fn prepare(_: &Cx<'_>, rows: Vec<PastLink>) -> anyhow::Result<Vec<PastLink>> {
        Ok(rows)
    }

    async fn insert(cx: &Cx<'_>, tx: &DatabaseTransaction, rows: Vec<PastLink>) -> anyhow::Result<Stored> {
        Ok(links::insert_past_links(&cx.env, tx, cx.tenant, rows).await?)
    }

    async fn stored(cx: &Cx<'_>, ids: &[Uuid]) -> anyhow::Result<Vec<(Uuid, Vec<Vec<u8>>)>> {
        let ids: Vec<LinkId> = ids.iter().copied().map(LinkId).collect();
        Ok(links::stored_links(&cx.env.db.api, cx.tenant, &ids).await?)
    }

    fn id(row: &PastLink) -> Uuid {
        row.id().0
    }

    fn parts(row: &PastLink) -> Vec<Vec<u8>> {
        row.parts()
    }
}

fn link(cx: &Cx<'_>, of: Uuid, mut columns: Columns, suspended: &HashMap<Uuid, Moment>) -> LinkRow {
    let (made, changed) = times(cx, &columns);
    for name in LINK_TIMES {
        // Of a time that no clock shows, such as infinity, nothing is left.
        let time = cx.source.moment(columns.get(name)).map(|time| Json::from(time.to_rfc3339()));
        columns.insert(name.to_owned(), time.unwrap_or(Json::Null));
    }
    let organization = id(&columns, "organization_id");
    // A dry run has stored no project and no template that a link could name.
    let is_named = cx.run != Run::Try;
    LinkRow {
        id: LinkId(of),
        made,
        changed,
        project: organization.filter(|_| is_named && cx.source.is_whole()).map(ProjectId),
        template: id(&columns, "template_id").filter(|_| is_named).map(TemplateId),
        suspended: organization.and_then(|organization| suspended.get(&organization).copied()),
        columns,
    }
}

/// Returns the organizations that are suspended, and since when.
async fn suspended(cx: &Cx<'_>) -> anyhow::Result<HashMap<Uuid, Moment>> {
    if !cx.source.has_column("organizations", "suspended_at") {
        return Ok(HashMap::new());
    }
    let condition = "t.suspended_at IS NOT NULL";
    let (rows, _) = whole(&cx.source, ("organizations", condition), "", 100_000).await?;
    let since = |columns: &Columns| cx.source.moment(columns.get("suspended_at"));
    Ok(rows.into_iter().map(|(id, columns)| (id, since(&columns).unwrap_or(Moment::UNIX_EPOCH))).collect())
}

/// Webhooks.
pub enum Webhooks {}

impl Part for Webhooks {
    const NUMBER: i16 = 7;
    const NAME: &'static str = "webhooks";
    const TABLE: &'static str = "webhooks";
    const STEP: usize = STEP;
    type Row = PastEndpoint;
    type Ready = Vec<PastEndpoint>;

    async fn count(cx: &Cx<'_>) -> anyhow::Result<u64> {
        let condition = cx.source.of_users("t");
        cx.source.number(format!("SELECT count(*) FROM webhooks t WHERE {condition}")).await
    }

    async fn page(cx: &Cx<'_>, after: &str) -> anyhow::Result<Page<PastEndpoint>> {
        let (found, place) = whole(&cx.source, ("webhooks", &*cx.source.of_users("t")), after, STEP).await?;
        let is_last = found.len() < STEP;
        let row = |(of, columns): (Uuid, Columns)| {
            let (made, changed) = times(cx, &columns);
            let words = columns.get("events").and_then(Json::as_array).into_iter().flatten();
            let headers = columns.get("headers").and_then(Json::as_object).into_iter().flatten();
            let word = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let row = EndpointRow {
                id: WebhookEndpointId(of),
                name: text(&columns, "name"),
                url: text(&columns, "url"),
                secret: text(&columns, "secret"),
                events: words.map(word).collect(),
                headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), word(value))).collect(),
                active: columns.get("is_active") != Some(&Json::Bool(false)),
                made,
                changed,
            };
            Fate::of(of, webhooks::read(&cx.outbound, cx.tenant, row))
        };
        Ok(Page { rows: found.into_iter().map(row).collect(), place, is_last })
    }

    async fn prepare(_: &Cx<'_>, rows: Vec<PastEndpoint>) -> anyhow::Result<Vec<PastEndpoint>> {
        Ok(rows)
    }

    async fn insert(
        cx: &Cx<'_>,
        tx: &DatabaseTransaction,
        rows: Vec<PastEndpoint>,
    ) -> anyhow::Result<Stored> {
        let (inserted, refused) = webhooks::insert(&cx.env, tx, cx.tenant, rows).await?;
        Ok(Stored { inserted, refused })
    }

    async fn stored(cx: &Cx<'_>, ids: &[Uuid]) -> anyhow::Result<Vec<(Uuid, Vec<Vec<u8>>)>> {
        let ids: Vec<WebhookEndpointId> = ids.iter().copied().map(WebhookEndpointId).collect();
        Ok(webhooks::stored(&cx.env, &cx.env.db.api, cx.tenant, &ids).await?)
    }

    fn id(row: &PastEndpoint) -> Uuid {
        row.id().0
    }

    fn parts(row: &PastEndpoint) -> Vec<Vec<u8>> {
        row.parts()
    }
}
