//! Pages of clicks, newest first.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use sea_orm::ConnectionTrait;

use super::{
    filter::{Filter, fits, of_part, only_link},
    read::{Texts, Walk},
};
use crate::{
    analytics::{
        dims::{self, Agents, Dimension, Values},
        rollup::read::Scope,
    },
    clicks::class::Class,
    clock::Moment,
    entity::click::Model,
    error::Result,
    ids::{ClickId, parse, time_of},
    page::{Cursor, Page, PageRequest},
    pb::v1::RecordedClick,
    rpc::timestamp,
};

/// How many clicks a page looks at.
const MOST: usize = 20_000;
/// How many are read at once.
const PIECE: usize = 2000;

/// Which clicks somebody wants to see.
#[derive(Debug, Clone)]
pub struct ClickQuery {
    /// Whose.
    pub scope: Scope,
    /// From this moment on.
    pub start: Moment,
    /// Before this moment.
    pub end: Moment,
    /// Only those that fit.
    pub filters: Vec<Filter>,
    /// Those of programs too.
    pub bots: bool,
    /// Whether the network is told.
    pub networks: bool,
}

/// One click, as the contract tells it.
pub type Listed = RecordedClick;

/// Returns one page of clicks.
pub async fn list(
    db: &impl ConnectionTrait,
    agents: Arc<Agents>,
    query: &ClickQuery,
    page: &PageRequest,
) -> Result<Page<Listed>> {
    let Some(mut filters) = of_part(&query.scope.part) else { return Ok(Page::nothing()) };
    filters.extend_from_slice(&query.filters);
    let people_only = !query.bots && !filters.iter().any(|filter| filter.dimension == Dimension::Class);
    let link = only_link(&query.scope.part, &query.filters);
    let mut walk = Walk::new(query.scope.workspace, link, query.start, query.end);
    if let Some(after) = page.after.as_ref().and_then(|cursor| parse(&cursor.id)).map(ClickId) {
        walk.ids.end = walk.ids.end.min(after);
    }
    let wanted = page.size as usize + 1;
    let mut texts = Texts::new(agents);
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

fn listed(row: &Model, values: &Values<'_>, networks: bool) -> Listed {
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
        network: if networks { network(&row.network) } else { String::new() },
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
