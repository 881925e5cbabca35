//! Pages of clicks, newest first.

use std::net::{Ipv4Addr, Ipv6Addr};

use sea_orm::ConnectionTrait;

use super::{
    filter::{filters, fits, of_part, only_link},
    read::{Texts, Walk},
};
use crate::{
    analytics::{
        dims::{self, Agents, Dimension, Values},
        reports::{Filter, Paged, find_scope, read_scope},
        rollup::read::Scope,
        span::{Span, YEARS},
    },
    clicks::class::Class,
    clock::Moment,
    entity::click::Model,
    env::Env,
    error::{Result, both},
    ids::{ClickId, parse, time_of},
    page::{Cursor, Page, PageRequest},
    pb::v1::{ListClicksRequest, ListClicksResponse, RecordedClick, ReportScope, ReportSpan},
    rpc::{moment, timestamp},
    workspaces::Tenant,
};

/// How many clicks a page looks at.
const MOST: usize = 20_000;
/// How many are read at once.
const PIECE: usize = 2000;

/// Whether the networks of visitors are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Networks {
    /// They are.
    Told,
    /// They are not.
    Hidden,
}

/// Which clicks somebody wants to see.
#[derive(Debug, Clone)]
struct Query {
    scope: Scope,
    /// From this moment on.
    start: Moment,
    /// Before this moment.
    end: Moment,
    /// Only those that fit.
    filters: Vec<Filter>,
    /// Those of programs too.
    bots: bool,
    networks: Networks,
}

/// Answers ListClicks.
pub async fn clicks(
    env: &Env,
    tenant: &Tenant,
    asked: &ListClicksRequest,
    networks: Networks,
) -> Result<ListClicksResponse> {
    let question = ListClicksRequest {
        scope: asked.scope.clone().map(|scope| ReportScope { workspace_id: String::new(), ..scope }),
        page_size: 0,
        page_token: String::new(),
        ..asked.clone()
    };
    let page = Paged::read(env, tenant, "ListClicks", &question, (asked.page_size, &asked.page_token));
    let part = read_scope("scope.", &asked.scope.clone().unwrap_or_default());
    let span = Span::read("span.", &asked.span.clone().unwrap_or_default(), YEARS, env.now());
    let ((Paged { page, question }, part), (span, filters)) =
        both(both(page, part), both(span, filters("filters", &asked.filters)))?;
    // What was asked for to the moment is answered to the moment.
    let exactly = |given: Option<&prost_types::Timestamp>| given.and_then(|given| moment(given).ok());
    let given = asked.span.as_ref();
    let start = exactly(given.and_then(|span| span.start_time.as_ref())).unwrap_or_else(|| span.start());
    let end = exactly(given.and_then(|span| span.end_time.as_ref())).unwrap_or_else(|| span.end());
    let scope = find_scope(env, tenant, part).await?;
    let query = Query { scope, start, end, filters, bots: asked.include_bots, networks };
    let db = env.db.for_reports().await;
    let page = list(env, &db, &query, &page).await?;
    Ok(ListClicksResponse {
        clicks: page.items,
        next_page_token: env.pages.token(page.next.as_ref(), &question, env.now()),
        span: Some(ReportSpan {
            start_time: Some(timestamp(start)),
            end_time: Some(timestamp(end)),
            time_zone: span.zone.name().to_owned(),
        }),
    })
}

async fn list(
    env: &Env,
    db: &impl ConnectionTrait,
    query: &Query,
    page: &PageRequest,
) -> Result<Page<RecordedClick>> {
    let Some(mut filters) = of_part(&query.scope.part) else { return Ok(Page::nothing()) };
    filters.extend_from_slice(&query.filters);
    let people_only = !query.bots && !filters.iter().any(|filter| filter.dimension == Dimension::Class);
    let link = only_link(&query.scope.part, &query.filters);
    let mut walk = Walk::new(query.scope.workspace, link, query.start, query.end);
    if let Some(after) = page.after.as_ref().and_then(|cursor| parse(&cursor.id)).map(ClickId) {
        walk.ids.end = walk.ids.end.min(after);
    }
    let wanted = page.size as usize + 1;
    let mut texts = Texts::new(env.memory.of(Agents::default));
    let mut found = Vec::new();
    let mut seen = 0;
    // Most pages are full with what is read first.
    let mut piece = wanted.min(PIECE);
    loop {
        let rows = walk.next(db, piece as u64).await?;
        texts.learn(db, &rows).await?;
        for row in &rows {
            if people_only && row.class != Class::Human.number() {
                continue;
            }
            let facts = texts.facts(row);
            let agent = texts.agent(&facts);
            let values = dims::of(&facts, &agent);
            if fits(&filters, &values) {
                found.push(listed(row, &values, query.networks));
                if found.len() == wanted {
                    return Ok(Page::of(found, page.size, |last| cursor(&last.id)));
                }
            }
        }
        seen += rows.len();
        let next = if rows.len() < piece {
            None
        } else if seen >= MOST {
            Some(cursor(&walk.ids.end.to_string()))
        } else {
            piece = PIECE;
            continue;
        };
        return Ok(Page { items: found, next });
    }
}

fn cursor(id: &str) -> Cursor {
    Cursor { key: String::new(), id: id.to_owned() }
}

fn listed(row: &Model, values: &Values<'_>, networks: Networks) -> RecordedClick {
    let value = |dimension: Dimension| values[dimension.index()].to_string();
    RecordedClick {
        id: row.id.to_string(),
        link_id: row.link_id.to_string(),
        time: Some(timestamp(time_of(row.id.0))),
        class: value(Dimension::Class),
        platform: value(Dimension::Platform),
        country: value(Dimension::Country),
        region: value(Dimension::Region),
        city: value(Dimension::City),
        device: value(Dimension::Device),
        os: value(Dimension::System),
        os_version: value(Dimension::SystemVersion),
        browser: value(Dimension::Browser),
        in_app_browser: value(Dimension::InAppBrowser),
        referrer: value(Dimension::Referrer),
        language: value(Dimension::Language),
        utm_source: value(Dimension::UtmSource),
        utm_medium: value(Dimension::UtmMedium),
        utm_campaign: value(Dimension::UtmCampaign),
        utm_term: value(Dimension::UtmTerm),
        utm_content: value(Dimension::UtmContent),
        rule: value(Dimension::Rule),
        variant: value(Dimension::Variant),
        destination: value(Dimension::Destination),
        domain: value(Dimension::Domain),
        project_id: value(Dimension::Project),
        query: row.query.clone().unwrap_or_default(),
        network: if networks == Networks::Told { network(&row.network) } else { String::new() },
    }
}

/// Writes the network of a click.
fn network(bytes: &[u8]) -> String {
    match *bytes {
        [a, b, c] => format!("{}/24", Ipv4Addr::new(a, b, c, 0)),
        [a, b, c, d, e, f] => {
            let part = |high, low| u16::from_be_bytes([high, low]);
            format!("{}/48", Ipv6Addr::new(part(a, b), part(c, d), part(e, f), 0, 0, 0, 0, 0))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_written_as_people_write_them() {
        for (bytes, written) in [
            (&[203, 0, 113][..], "203.0.113.0/24"),
            (&[0x20, 1, 0xd, 0xb8, 0, 1], "2001:db8:1::/48"),
            (&[], ""),
            (&[1, 2], ""),
        ] {
            assert_eq!(network(bytes), written);
        }
    }
}
