//! Whose numbers a report shows: read from a request, and looked up, since what is somebody else's is unknown.

use std::collections::HashSet;

use crate::{
    analytics::rollup::read::{Part, Scope},
    apps, domains,
    env::Env,
    error::{Error, Result},
    ids::{AppId, LinkId, ProjectId},
    links::{self, NOT_A_UUID},
    pb::v1::{ReportScope, report_scope},
    workspaces::Tenant,
};

/// Reads what a request says; `path` is where it has it, with its dot.
pub fn read(path: &str, asked: &ReportScope) -> Result<Part> {
    let not_an_id = |field: &str| Error::invalid_field(format!("{path}{field}"), NOT_A_UUID);
    Ok(match &asked.part {
        None => Part::All,
        Some(report_scope::Part::ProjectId(id)) => {
            Part::Project(ProjectId::parse(id).ok_or_else(|| not_an_id("project_id"))?)
        }
        Some(report_scope::Part::LinkId(id)) => {
            Part::Link(LinkId::parse(id).ok_or_else(|| not_an_id("link_id"))?)
        }
        Some(report_scope::Part::AppId(id)) => {
            Part::App(AppId::parse(id).ok_or_else(|| not_an_id("app_id"))?)
        }
        Some(report_scope::Part::Domain(host)) => Part::Domain(host.clone()),
    })
}

/// Returns the scope of a part of the workspace; NOT_FOUND when it has none such. By the primary's word: a standby may not know yet what was
/// just made.
pub async fn find(env: &Env, tenant: &Tenant, part: Part) -> Result<Scope> {
    let part = match part {
        Part::All => Part::All,
        Part::Project(id) => {
            links::expect_project(env, tenant, id).await?;
            Part::Project(id)
        }
        Part::Link(id) => {
            links::expect_all(env, tenant, &HashSet::from([id])).await?;
            Part::Link(id)
        }
        Part::App(id) => {
            apps::expect(env, tenant, id).await?;
            Part::App(id)
        }
        Part::Domain(host) => Part::Domain(domains::expect_host(env, tenant, &host).await?),
    };
    Ok(Scope { workspace: tenant.id, part })
}
