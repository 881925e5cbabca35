//! What strangers who open a share are not told: ids, and what campaigns cost. Pure.

use data_encoding::HEXLOWER;
use ring::digest;

use crate::pb::v1::{
    CampaignLevel, Dimension, GetCampaignsResponse, GetFunnelResponse, Measures, QueryBreakdownResponse,
    ReportQuery, ReportResult, report_query::Query, report_result::Result as Answer,
};

/// How many bytes tell apart what has no name.
const NAME_BYTES: usize = 4;

/// Takes out of an answer what it does not show: of links and projects their labels stay, and what has none gets a short name that says nothing.
pub fn veil(query: &ReportQuery, result: &mut ReportResult) {
    costs(result);
    match (&query.query, &mut result.result) {
        (Some(Query::Breakdown(asked)), Some(Answer::Breakdown(answer))) => {
            breakdown(asked.dimension(), answer);
        }
        (Some(Query::Campaigns(asked)), Some(Answer::Campaigns(answer))) => campaigns(asked.level(), answer),
        (Some(Query::Funnel(_)), Some(Answer::Funnel(answer))) => funnel(answer),
        _ => {}
    }
}

fn costs(result: &mut ReportResult) {
    let measures: Vec<&mut Measures> = match &mut result.result {
        Some(Answer::TimeSeries(answer)) => {
            let buckets = answer.buckets.iter_mut().chain(&mut answer.previous);
            let buckets = buckets.filter_map(|bucket| bucket.measures.as_mut());
            buckets.chain(&mut answer.total).chain(&mut answer.previous_total).collect()
        }
        Some(Answer::Breakdown(answer)) => {
            let rows = answer.rows.iter_mut().filter_map(|row| row.measures.as_mut());
            rows.chain(&mut answer.other).chain(&mut answer.total).collect()
        }
        Some(Answer::Campaigns(answer)) => {
            let rows = answer.rows.iter_mut().filter_map(|row| row.measures.as_mut());
            rows.chain(&mut answer.other).chain(&mut answer.total).collect()
        }
        Some(Answer::Funnel(_) | Answer::Retention(_)) | None => Vec::new(),
    };
    for measures in measures {
        measures.cost.clear();
        (measures.cpi, measures.cpc, measures.roas) = (None, None, None);
    }
}

fn breakdown(dimension: Dimension, answer: &mut QueryBreakdownResponse) {
    for row in &mut answer.rows {
        match dimension {
            _ if row.value.is_empty() => {}
            Dimension::Link | Dimension::Project | Dimension::App => {
                row.value = if row.label.is_empty() { nameless(&row.value) } else { row.label.clone() };
            }
            // The id of the link, and places in it.
            Dimension::Rule | Dimension::Variant => {
                let (link, places) = row.value.split_once('/').unwrap_or((&row.value, ""));
                row.value = format!("{}/{places}", nameless(link));
            }
            _ => {}
        }
    }
}

fn campaigns(level: CampaignLevel, answer: &mut GetCampaignsResponse) {
    for row in answer.rows.iter_mut().filter(|_| level == CampaignLevel::Link) {
        if row.label.is_empty() && !row.link_id.is_empty() {
            row.label = nameless(&row.link_id);
        }
        row.link_id.clear();
    }
}

fn funnel(answer: &mut GetFunnelResponse) {
    for link in &mut answer.top_links {
        if link.label.is_empty() {
            link.label = nameless(&link.link_id);
        }
        link.link_id.clear();
    }
}

/// Returns a name that is the same for the same id, and says nothing of it.
fn nameless(id: &str) -> String {
    let hash = digest::digest(&digest::SHA256, id.as_bytes());
    format!("~{}", HEXLOWER.encode(&hash.as_ref()[..NAME_BYTES]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::v1::{
        BreakdownRow, CampaignRow, FunnelLink, GetCampaignsRequest, GetFunnelRequest, QueryBreakdownRequest,
    };

    const ID: &str = "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f507";

    fn row(value: &str, label: &str) -> BreakdownRow {
        BreakdownRow { value: value.into(), label: label.into(), ..BreakdownRow::default() }
    }

    fn veiled(dimension: Dimension, rows: Vec<BreakdownRow>) -> Vec<String> {
        let asked = QueryBreakdownRequest { dimension: dimension.into(), ..QueryBreakdownRequest::default() };
        let query = ReportQuery { query: Some(Query::Breakdown(asked)), relative_span: None };
        let answer = QueryBreakdownResponse { rows, ..QueryBreakdownResponse::default() };
        let mut result = ReportResult { result: Some(Answer::Breakdown(answer)) };
        veil(&query, &mut result);
        match result.result {
            Some(Answer::Breakdown(answer)) => answer.rows.into_iter().map(|row| row.value).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ids_become_labels_or_names_that_say_nothing() {
        let name = nameless(ID);
        assert_eq!((name.len(), name.starts_with('~')), (9, true));
        let rows = vec![row(ID, "Spring sale"), row(ID, ""), row("", "")];
        for dimension in [Dimension::Link, Dimension::Project, Dimension::App] {
            assert_eq!(veiled(dimension, rows.clone()), ["Spring sale", &name, ""], "{dimension:?}");
        }
        let rule = vec![row(&format!("{ID}/0"), ""), row("", "")];
        assert_eq!(veiled(Dimension::Rule, rule), [format!("{name}/0"), String::new()]);
        let variant = vec![row(&format!("{ID}/0/1"), "")];
        assert_eq!(veiled(Dimension::Variant, variant), [format!("{name}/0/1")]);
        assert_eq!(veiled(Dimension::Country, vec![row("CH", "")]), ["CH"]);
    }

    #[test]
    fn links_of_funnels_keep_their_labels() {
        let query =
            ReportQuery { query: Some(Query::Funnel(GetFunnelRequest::default())), ..ReportQuery::default() };
        let link =
            |label: &str| FunnelLink { link_id: ID.into(), label: label.into(), ..FunnelLink::default() };
        let answer =
            GetFunnelResponse { top_links: vec![link("Spring"), link("")], ..GetFunnelResponse::default() };
        let mut result = ReportResult { result: Some(Answer::Funnel(answer)) };
        veil(&query, &mut result);
        let Some(Answer::Funnel(answer)) = result.result else { panic!("it stays what it is") };
        let told: Vec<_> =
            answer.top_links.iter().map(|link| (link.link_id.as_str(), link.label.clone())).collect();
        assert_eq!(told, [("", "Spring".to_owned()), ("", nameless(ID))]);
    }

    #[test]
    fn links_of_campaigns_keep_their_labels() {
        let asked =
            GetCampaignsRequest { level: CampaignLevel::Link.into(), ..GetCampaignsRequest::default() };
        let query = ReportQuery { query: Some(Query::Campaigns(asked)), relative_span: None };
        let link =
            |label: &str| CampaignRow { link_id: ID.into(), label: label.into(), ..CampaignRow::default() };
        let answer =
            GetCampaignsResponse { rows: vec![link("Spring"), link("")], ..GetCampaignsResponse::default() };
        let mut result = ReportResult { result: Some(Answer::Campaigns(answer)) };
        veil(&query, &mut result);
        let Some(Answer::Campaigns(answer)) = result.result else { panic!("it stays what it is") };
        let told: Vec<_> = answer.rows.iter().map(|row| (row.link_id.as_str(), row.label.clone())).collect();
        assert_eq!(told, [("", "Spring".to_owned()), ("", nameless(ID))]);
    }
}
