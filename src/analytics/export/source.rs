//! The pages of an answer, one after the other.

use chrono_tz::Tz;

use super::{rows, table::Table};
use crate::{
    analytics::{
        calendar::date_at,
        raw::{self, Networks},
        reports,
    },
    env::Env,
    error::{Error, Result, Violation},
    pb::v1::{
        GetCampaignsRequest, GetFunnelRequest, GetRetentionRequest, ListClicksRequest, QueryBreakdownRequest,
        QueryTimeSeriesRequest, ReportSpan, export_report_request::Report,
    },
    rpc::moment,
    workspaces::Tenant,
};

/// Rows of a page, as many as the calls answer.
const PAGE: i32 = 1000;

/// What is asked, page after page.
#[derive(Debug)]
pub enum Source {
    /// It has one page.
    TimeSeries(QueryTimeSeriesRequest),
    /// Values.
    Breakdown(QueryBreakdownRequest),
    /// Nodes.
    Campaigns(GetCampaignsRequest),
    /// Single clicks.
    Clicks(ListClicksRequest),
    /// It has one page.
    Funnel(GetFunnelRequest),
    /// It has one page.
    Retention(GetRetentionRequest),
}

/// One page.
#[derive(Debug)]
pub struct Piece {
    /// Its rows; the columns are the same on every page.
    pub table: Table,
    /// The days it is of, for the name of a file.
    pub span: String,
    /// Whether another page follows.
    pub more: bool,
}

impl Source {
    /// Reads what is asked.
    pub fn read(asked: Option<Report>) -> Result<Self> {
        Ok(match asked {
            None => return Err(Error::invalid_field("report", "is required")),
            Some(Report::TimeSeries(asked)) => Self::TimeSeries(asked),
            Some(Report::Breakdown(asked)) => {
                Self::Breakdown(QueryBreakdownRequest { page_size: PAGE, page_token: String::new(), ..asked })
            }
            Some(Report::Campaigns(asked)) => {
                Self::Campaigns(GetCampaignsRequest { page_size: PAGE, page_token: String::new(), ..asked })
            }
            Some(Report::Clicks(asked)) => {
                Self::Clicks(ListClicksRequest { page_size: PAGE, page_token: String::new(), ..asked })
            }
            Some(Report::Funnel(asked)) => Self::Funnel(asked),
            Some(Report::Retention(asked)) => Self::Retention(asked),
        })
    }

    /// Returns the workspace that is asked about.
    pub fn workspace_id(asked: Option<&Report>) -> &str {
        let scope = match asked {
            None => None,
            Some(Report::TimeSeries(asked)) => asked.scope.as_ref(),
            Some(Report::Breakdown(asked)) => asked.scope.as_ref(),
            Some(Report::Campaigns(asked)) => asked.scope.as_ref(),
            Some(Report::Clicks(asked)) => asked.scope.as_ref(),
            Some(Report::Funnel(asked)) => asked.scope.as_ref(),
            Some(Report::Retention(asked)) => asked.scope.as_ref(),
        };
        scope.map_or("", |scope| &scope.workspace_id)
    }

    /// Returns what the report is called in the name of a file.
    pub fn name(&self) -> String {
        match self {
            Self::TimeSeries(_) => "time-series".to_owned(),
            Self::Breakdown(asked) => {
                let dimension = asked.dimension().as_str_name().trim_start_matches("DIMENSION_");
                format!("breakdown-{}", dimension.to_ascii_lowercase().replace('_', "-"))
            }
            Self::Campaigns(_) => "campaigns".to_owned(),
            Self::Clicks(_) => "clicks".to_owned(),
            Self::Funnel(_) => "funnel".to_owned(),
            Self::Retention(_) => "retention".to_owned(),
        }
    }

    /// Returns the next page.
    pub async fn next(&mut self, env: &Env, tenant: &Tenant) -> Result<Piece> {
        match self {
            Self::TimeSeries(asked) => {
                let answer = reports::time_series(env, tenant, asked).await;
                let answer = answer.map_err(|error| below("time_series", error))?;
                let table = rows::time_series(&answer);
                Ok(Piece { table, span: days(answer.span.as_ref()), more: false })
            }
            Self::Breakdown(asked) => {
                let answer = reports::breakdown(env, tenant, asked).await;
                let answer = answer.map_err(|error| below("breakdown", error))?;
                let more = !answer.next_page_token.is_empty();
                let table = rows::breakdown(&answer, !more);
                asked.page_token.clone_from(&answer.next_page_token);
                Ok(Piece { table, span: days(answer.span.as_ref()), more })
            }
            Self::Campaigns(asked) => {
                let answer = reports::campaigns(env, tenant, asked).await;
                let answer = answer.map_err(|error| below("campaigns", error))?;
                let more = !answer.next_page_token.is_empty();
                let table = rows::campaigns(&answer, !more);
                asked.page_token.clone_from(&answer.next_page_token);
                Ok(Piece { table, span: days(answer.span.as_ref()), more })
            }
            Self::Clicks(asked) => {
                // Whoever may take files along may see networks.
                let answer = raw::clicks(env, tenant, asked, Networks::Told).await;
                let answer = answer.map_err(|error| below("clicks", error))?;
                let more = !answer.next_page_token.is_empty();
                let table = rows::clicks(&answer);
                asked.page_token.clone_from(&answer.next_page_token);
                Ok(Piece { table, span: days(answer.span.as_ref()), more })
            }
            Self::Funnel(asked) => {
                let answer = reports::funnel(env, tenant, asked).await;
                let answer = answer.map_err(|error| below("funnel", error))?;
                Ok(Piece { table: rows::funnel(&answer), span: days(answer.span.as_ref()), more: false })
            }
            Self::Retention(asked) => {
                let answer = reports::retention(env, tenant, asked).await;
                let answer = answer.map_err(|error| below("retention", error))?;
                Ok(Piece { table: rows::retention(&answer), span: days(answer.span.as_ref()), more: false })
            }
        }
    }
}

/// Says where in the request the part is that an answer complains of.
fn below(path: &str, error: Error) -> Error {
    if error.violations().is_empty() {
        return error;
    }
    let below = |violation: &Violation| Violation {
        field: format!("{path}.{}", violation.field),
        description: violation.description.clone(),
    };
    Error::invalid(error.violations().iter().map(below).collect())
}

/// Writes the first and the last day of a span.
fn days(span: Option<&ReportSpan>) -> String {
    let Some(span) = span else { return String::new() };
    let zone: Tz = span.time_zone.parse().unwrap_or(Tz::UTC);
    let time = |time: Option<&prost_types::Timestamp>| time.and_then(|time| moment(time).ok());
    let (Some(start), Some(end)) = (time(span.start_time.as_ref()), time(span.end_time.as_ref())) else {
        return String::new();
    };
    let last = end - chrono::Duration::microseconds(1);
    format!("{}-{}", date_at(start, zone), date_at(last, zone))
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    #[test]
    fn files_are_named_by_the_days_they_are_of() {
        let span = |start: i64, end: i64, zone: &str| ReportSpan {
            start_time: Some(Timestamp { seconds: start, nanos: 0 }),
            end_time: Some(Timestamp { seconds: end, nanos: 0 }),
            time_zone: zone.into(),
        };
        assert_eq!(days(Some(&span(0, 2 * 86_400, "UTC"))), "1970-01-01-1970-01-02");
        assert_eq!(days(Some(&span(-3600, 86_400 - 3600, "Europe/Zurich"))), "1970-01-01-1970-01-01");
        assert_eq!(days(None), "");
    }
}
