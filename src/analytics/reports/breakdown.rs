//! Numbers of every value of a dimension.

use std::collections::HashMap;

use super::{
    Paged,
    filter::{self, Filter, NO_DIMENSION},
    numbers::{Numbers, joined, shown_with_cost},
    order::{self, Order},
    scope, snapshot,
    values::{dimension, labels, rows},
};
use crate::{
    analytics::{
        costs,
        dims::{Dimension, OTHER},
        raw,
        rollup::read::{Part, Reader, Scope},
        span::{Span, YEARS},
    },
    env::Env,
    error::{Error, Result, Violations, both},
    pb::v1::{BreakdownRow, QueryBreakdownRequest, QueryBreakdownResponse, ReportScope, ReportSource},
    workspaces::Tenant,
};

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
    let total: Numbers = all.values().sum();
    let (rows, other) = rows(all);
    let total_size = i32::try_from(rows.len()).unwrap_or(i32::MAX);
    let (rows, next) = order::page(rows, (order, money), &paged.page, span.slots);
    let mut labels = labels(env, tenant, dimension, rows.iter().map(|(value, _)| value.as_str())).await?;
    Ok(QueryBreakdownResponse {
        rows: rows
            .into_iter()
            .map(|(value, numbers)| BreakdownRow {
                label: labels.remove(&value).unwrap_or_default(),
                value,
                measures: Some(shown_with_cost(&numbers, None)),
            })
            .collect(),
        other: Some(shown_with_cost(&other, None)),
        total: Some(shown_with_cost(&total, None)),
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
    (dimension, filters): (Dimension, &Filters),
) -> Result<(HashMap<String, Numbers>, ReportSource)> {
    match filters {
        Filters::Rollups(filter) => {
            let db = snapshot(env).await?;
            let kept = super::kept(env);
            let mut from = Reader::open(&db, &kept, scope).await?;
            let counted = from.breakdown(span.slots, dimension).await?;
            let spent = costs::by_value(&db, scope, span, dimension).await?;
            db.commit().await?;
            let mut all = joined(counted, spent);
            if let Some(filter) = filter {
                // What is counted together has lost its value.
                all.retain(|value, _| value != OTHER && filter.values.binary_search(value).is_ok());
            }
            Ok((all, ReportSource::Rollups))
        }
        Filters::Clicks(filters) => {
            let all = raw::breakdown(env, scope, span.slots, dimension, filters).await?;
            Ok((joined(all, HashMap::new()), ReportSource::RawClicks))
        }
    }
}

/// What is counted at all, and so where that is to be found.
enum Filters {
    /// All, or some values of the dimension itself.
    Rollups(Option<Filter>),
    /// What fits other dimensions too.
    Clicks(Vec<Filter>),
}

impl Filters {
    fn read(asked: &QueryBreakdownRequest) -> Result<Self> {
        match asked.filters.as_slice() {
            [] => Ok(Self::Rollups(None)),
            [only] if only.dimension == asked.dimension => {
                filter::read("filters[0].", only).map(|filter| Self::Rollups(Some(filter)))
            }
            many => raw::filters("filters", many).map(Self::Clicks),
        }
    }
}

/// What is asked.
struct Asked {
    part: Part,
    span: Span,
    dimension: Dimension,
    filters: Filters,
    order: Order,
}

impl Asked {
    fn read(asked: &QueryBreakdownRequest, env: &Env) -> Result<Self> {
        let part = scope::read("scope.", &asked.scope.clone().unwrap_or_default());
        let span = Span::read("span.", &asked.span.clone().unwrap_or_default(), YEARS, env.now());
        let filters = Filters::read(asked);
        let mut wrong = Violations::default();
        let dimension = dimension(asked.dimension).ok_or(NO_DIMENSION);
        let dimension = dimension.and_then(|dimension| match dimension {
            Dimension::Method | Dimension::Event | Dimension::App
                if matches!(filters, Ok(Filters::Clicks(_))) =>
            {
                Err("is none that clicks have, which is what these filters are about")
            }
            _ => Ok(dimension),
        });
        let dimension = wrong.take("dimension", dimension);
        let order = wrong.take("order_by", Order::read(&asked.order_by));
        let own = wrong.into_result(dimension.zip(order));
        let ((part, span), (own, filters)) = both(both(part, span), both(own, filters))?;
        // Without one of the two something was wrong.
        let (dimension, order) = own.ok_or_else(|| Error::invalid_field("dimension", NO_DIMENSION))?;
        Ok(Self { part, span, dimension, filters, order })
    }
}
