//! What a report asks, and how it is answered: by what answers the calls that it is of.

use prost::Message as _;

use super::relative::Relative;
use crate::{
    analytics::reports,
    entity::saved_report::Model,
    env::Env,
    error::{Error, Reason, Result, Violation, Violations, both},
    ids::WorkspaceId,
    pb::v1::{
        ReportQuery, ReportResult, ReportScope, ReportSpan, report_query::Query,
        report_result::Result as Answer,
    },
    workspaces::Tenant,
};

/// How many bytes a question has at the most.
const MOST_BYTES: usize = 16 * 1024;

/// Reads a question of a workspace that stands at `path`, as far as it can be judged without asking it.
pub fn read(path: &str, given: Option<&ReportQuery>, workspace: WorkspaceId) -> Result<ReportQuery> {
    let mut wrong = Violations::default();
    let Some((given, query)) = given.and_then(|given| Some((given, given.query.as_ref()?))) else {
        return Err(Error::invalid_field(path, "is required"));
    };
    let parts = Parts::of(query);
    let at = |field: &str| format!("{path}.{}.{field}", parts.name);
    let named = parts.scope.map_or("", |scope| &scope.workspace_id);
    if !named.is_empty() && WorkspaceId::parse(named) != Some(workspace) {
        wrong.add(at("scope.workspace_id"), "must be empty, or that of the report");
    }
    if !parts.page_token.is_empty() {
        wrong.add(at("page_token"), "must be empty");
    }
    if given.relative_span.is_some() && parts.span.is_some() {
        wrong.add(at("span"), "must be unset where relative_span is set");
    }
    if given.encoded_len() > MOST_BYTES {
        wrong.add(path, format!("must have at most {MOST_BYTES} bytes"));
    }
    let relative = given.relative_span.as_ref();
    let relative = relative.map(|span| Relative::read(&format!("{path}.relative_span"), span)).transpose();
    both(wrong.into_result(()), relative)?;
    let mut query = given.clone();
    if let Some(scope) = query.query.as_mut().and_then(scope_of) {
        // The report says which.
        scope.workspace_id.clear();
    }
    Ok(query)
}

fn scope_of(query: &mut Query) -> Option<&mut ReportScope> {
    match query {
        Query::TimeSeries(asked) => asked.scope.as_mut(),
        Query::Breakdown(asked) => asked.scope.as_mut(),
        Query::Campaigns(asked) => asked.scope.as_mut(),
        Query::Funnel(asked) => asked.scope.as_mut(),
        Query::Retention(asked) => asked.scope.as_mut(),
    }
}

/// What all questions have.
struct Parts<'a> {
    name: &'static str,
    scope: Option<&'a ReportScope>,
    span: Option<&'a ReportSpan>,
    page_token: &'a str,
}

impl<'a> Parts<'a> {
    fn of(query: &'a Query) -> Self {
        match query {
            Query::TimeSeries(asked) => Self {
                name: "time_series",
                scope: asked.scope.as_ref(),
                span: asked.span.as_ref(),
                page_token: "",
            },
            Query::Breakdown(asked) => Self {
                name: "breakdown",
                scope: asked.scope.as_ref(),
                span: asked.span.as_ref(),
                page_token: &asked.page_token,
            },
            Query::Campaigns(asked) => Self {
                name: "campaigns",
                scope: asked.scope.as_ref(),
                span: asked.span.as_ref(),
                page_token: &asked.page_token,
            },
            Query::Funnel(asked) => Self {
                name: "funnel",
                scope: asked.scope.as_ref(),
                span: asked.span.as_ref(),
                page_token: "",
            },
            Query::Retention(asked) => Self {
                name: "retention",
                scope: asked.scope.as_ref(),
                span: asked.span.as_ref(),
                page_token: "",
            },
        }
    }
}

/// Asks a question once, to see that it can be answered. What is wrong with it is told by its place below `path`.
pub async fn attempt(env: &Env, tenant: &Tenant, path: &str, query: &ReportQuery) -> Result<()> {
    let name = query.query.as_ref().map_or("", |query| Parts::of(query).name);
    answer(env, tenant, query, "").await.map(drop).map_err(|error| below(&format!("{path}.{name}"), error))
}

fn below(path: &str, error: Error) -> Error {
    if error.reason() != Reason::InvalidFields {
        return error;
    }
    let below = |violation: &Violation| Violation {
        field: format!("{path}.{}", violation.field),
        description: violation.description.clone(),
    };
    Error::invalid(error.violations().iter().map(below).collect())
}

/// Returns the question of a stored report.
pub fn stored(report: &Model) -> Result<ReportQuery> {
    ReportQuery::decode(&*report.query).map_err(Error::internal)
}

/// Answers a question, as of now.
pub async fn answer(
    env: &Env,
    tenant: &Tenant,
    query: &ReportQuery,
    page_token: &str,
) -> Result<ReportResult> {
    let relative = query.relative_span.as_ref();
    let relative = relative.map(|span| Relative::read("relative_span", span)).transpose()?;
    let span = |own: Option<ReportSpan>| relative.map(|span| span.at(env.now())).or(own);
    let asked = query.query.clone().ok_or_else(|| Error::invalid_field("query", "is required"))?;
    let answer = match asked {
        Query::TimeSeries(mut asked) => {
            asked.span = span(asked.span);
            Answer::TimeSeries(reports::time_series(env, tenant, &asked).await?)
        }
        Query::Breakdown(mut asked) => {
            asked.span = span(asked.span);
            page_token.clone_into(&mut asked.page_token);
            Answer::Breakdown(reports::breakdown(env, tenant, &asked).await?)
        }
        Query::Campaigns(mut asked) => {
            asked.span = span(asked.span);
            page_token.clone_into(&mut asked.page_token);
            Answer::Campaigns(reports::campaigns(env, tenant, &asked).await?)
        }
        Query::Funnel(mut asked) => {
            asked.span = span(asked.span);
            Answer::Funnel(reports::funnel(env, tenant, &asked).await?)
        }
        Query::Retention(mut asked) => {
            asked.span = span(asked.span);
            Answer::Retention(reports::retention(env, tenant, &asked).await?)
        }
    };
    Ok(ReportResult { result: Some(answer) })
}
