//! Between the messages of the contract and the rows of this room. Pure.

use prost::Message as _;

use crate::{
    entity::{report_share::Model as Share, saved_report::Model},
    pb::v1::{Report, ReportQuery, ReportShare},
    rpc::timestamp,
};

/// Returns the etag of a report: opaque, another one for every version.
pub fn etag(report: &Model) -> String {
    crate::etag::of_version(report.id.0, report.version)
}

impl From<Model> for Report {
    fn from(report: Model) -> Self {
        let etag = etag(&report);
        let Model { id, workspace_id, name, query, version: _, create_time, update_time } = report;
        Self {
            id: id.to_string(),
            workspace_id: workspace_id.to_string(),
            name,
            query: ReportQuery::decode(&*query).ok(),
            create_time: Some(timestamp(create_time)),
            update_time: Some(timestamp(update_time)),
            etag,
        }
    }
}

impl From<Share> for ReportShare {
    fn from(share: Share) -> Self {
        let Share {
            id,
            workspace_id: _,
            report_id,
            prefix,
            token_hash: _,
            password_hash,
            expire_time,
            create_time,
        } = share;
        Self {
            id: id.to_string(),
            report_id: report_id.to_string(),
            prefix,
            has_password: password_hash.is_some(),
            expire_time: expire_time.map(timestamp),
            create_time: Some(timestamp(create_time)),
        }
    }
}
