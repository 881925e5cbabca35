//! Numbers of every value of a dimension.

use std::collections::HashMap;

use super::{
    Paged,
    filter::{self, Filter, NO_DIMENSION},
    numbers::shown,
    order::{self, Order},
    scope, snapshot,
    values::{dimension, labels, rows},
};
use crate::{
    analytics::{
        dims::{Dimension, OTHER},
        raw,
        rollup::read::{self, Measures, Part, Scope},
        span::{Span, YEARS},
    },
    env::Env,
    error::{Result, Violations, both},
    pb::v1::{BreakdownRow, QueryBreakdownRequest, QueryBreakdownResponse, ReportScope, ReportSource},
    workspaces::Tenant,
};

const MOST_FILTERS: usize = 5;

/// Returns one page of values.
pub async fn breakdown(
    env: &Env,
    tenant: &Tenant,
    asked: &QueryBreakdownRequest,
) -> Result<QueryBreakdownResponse> {
    let question = QueryBreakdownRequest {
        scope: asked.scope.clone().map(|scope| ReportScope { workspace_id: String::new(), ..scope }),
        page_size: 0,
        page_token: String::new(),
        ..asked.clone()
    };
    let paged = Paged::read(env, tenant, "QueryBreakdown", &question, (asked.page_size, &asked.page_token));
    let (read, paged) = both(Asked::read(asked, env), paged)?;
    let Asked { part, span, dimension, filters, order } = read;
    let span = paged.span(span)?;
    let scope = scope::find(env, tenant, part).await?;
    let money = super::money(env, tenant, order).await?;

    let (all, source) = numbers(env, &scope, span, (dimension, &filters)).await?;
    let total: Measures = all.values().sum();
    let (rows, other) = rows(all);
    let total_size = i32::try_from(rows.len()).unwrap_or(i32::MAX);
    let (rows, next) = order::page(rows, (order, money), &paged.page, span.slots);
    let mut labels =
        labels(env, tenant, dimension, rows.iter().map(|(value, _)| value.as_str())).await?;
    Ok(QueryBreakdownResponse {
        rows: rows
            .into_iter()
            .map(|(value, measures)| BreakdownRow {
                label: labels.remove(&value).unwrap_or_default(),
                value,
                measures: Some(shown(&measures, None)),
            })
            .collect(),
        other: Some(shown(&other, None)),
        total: Some(shown(&total, None)),
        next_page_token: env.pages.token(next.as_ref(), &paged.question, env.now()),
        total_size,
        source: source.into(),
        span: Some(span.shown()),
    })
}

/// Reads the numbers of all values, from wherever they are.
async fn numbers(
    env: &Env,
    scope: &Scope,
    span: Span,
    (dimension, filters): (Dimension, &[Filter]),
) -> Result<(HashMap<String, Measures>, ReportSource)> {
    let from_rollups = match filters {
        [] => true,
        [only] => only.dimension == dimension,
        _ => false,
    };
    if !from_rollups {
        let found = raw::breakdown(env, scope, span.slots, dimension, filters).await?;
        return Ok((found, ReportSource::RawClicks));
    }
    let db = snapshot(env).await?;
    let mut all = read::breakdown(&db, scope, span.slots, dimension).await?;
    db.commit().await?;
    if let [only] = filters {
        // What is counted together has lost its value.
        all.retain(|value, _| value != OTHER && only.values.binary_search(value).is_ok());
    }
    Ok((all, ReportSource::Rollups))
}

/// What is asked.
struct Asked {
    part: Part,
    span: Span,
    dimension: Dimension,
    filters: Vec<Filter>,
    order: Order,
}

impl Asked {
    fn read(asked: &QueryBreakdownRequest, env: &Env) -> Result<Self> {
        let part = scope::read("scope.", &asked.scope.clone().unwrap_or_default());
        let span = Span::read("span.", &asked.span.clone().unwrap_or_default(), YEARS, env.now());
        let mut wrong = Violations::default();
        let dimension = wrong.take("dimension", dimension(asked.dimension).ok_or(NO_DIMENSION));
        let order = wrong.take("order_by", Order::read(&asked.order_by));
        let own = wrong.into_result(dimension.zip(order));
        let filters = read_filters(&asked.filters);
        let ((part, span), (own, filters)) = both(both(part, span), both(own, filters))?;
        // Without one of the two something was wrong.
        let (dimension, order) = own.ok_or_else(|| crate::error::Error::invalid_field("dimension", NO_DIMENSION))?;
        Ok(Self { part, span, dimension, filters, order })
    }
}

fn read_filters(asked: &[crate::pb::v1::DimensionFilter]) -> Result<Vec<Filter>> {
    let mut wrong = Violations::default();
    if asked.len() > MOST_FILTERS {
        wrong.add("filters", "must be at most 5");
    }
    let mut filters: Vec<Filter> = Vec::new();
    for (place, filter) in asked.iter().enumerate().take(MOST_FILTERS) {
        match filter::read(&format!("filters[{place}]."), filter) {
            Ok(filter) if filters.iter().any(|before| before.dimension == filter.dimension) => {
                wrong.add(format!("filters[{place}].dimension"), "must not be that of another filter");
            }
            Ok(filter) => filters.push(filter),
            Err(error) => {
                for violation in error.violations() {
                    wrong.add(violation.field.clone(), violation.description.clone());
                }
            }
        }
    }
    wrong.into_result(filters)
}
