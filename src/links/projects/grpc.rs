//! `linkforty.v1.ProjectService`.

use std::mem::take;

use prost_types::FieldMask;
use tonic::{Request, Response, Status};

use super::{Project, ProjectChange};
use crate::{
    env::Env,
    error::{Error, Result, Violations},
    ids::ProjectId,
    links::{
        Run,
        fields::{NOT_A_UUID, check_text, timestamp},
        wire::{both, once},
    },
    pb::v1::{
        self, CreateProjectRequest, CreateProjectResponse, DeleteProjectRequest, DeleteProjectResponse,
        GetProjectRequest, GetProjectResponse, ListProjectsRequest, ListProjectsResponse,
        UpdateProjectRequest, UpdateProjectResponse, project_service_server::ProjectService,
    },
    rpc::{self, Permission},
    workspaces::{self, enter},
};

/// The longest description of a project or a template.
const MAX_DESCRIPTION: usize = 500;

/// Answers `ProjectService`.
#[derive(Debug, Clone)]
pub struct ProjectApi {
    /// The handles.
    pub env: Env,
}

#[tonic::async_trait]
impl ProjectService for ProjectApi {
    async fn create_project(
        &self,
        request: Request<CreateProjectRequest>,
    ) -> Result<Response<CreateProjectResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::ProjectsWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "CreateProject", &request_id, &asked, Run::Store);
            let (new, once) = both(read(asked.project, &["name", "description"]), once)?;
            let made = super::create(env, &tenant, new, once).await?;
            Ok(CreateProjectResponse { project: Some(made.into()) })
        })
        .await
    }

    async fn get_project(
        &self,
        request: Request<GetProjectRequest>,
    ) -> Result<Response<GetProjectResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::ProjectsRead).await?;
            let found = super::get(env, &tenant, id("project_id", &asked.project_id)?).await?;
            Ok(GetProjectResponse { project: Some(found.into()) })
        })
        .await
    }

    async fn list_projects(
        &self,
        request: Request<ListProjectsRequest>,
    ) -> Result<Response<ListProjectsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::ProjectsRead).await?;
            let question = [b"ListProjects".as_slice(), tenant.id.0.as_bytes()].concat();
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, env.now())?;
            let page = super::list(env, &tenant, &page).await?;
            Ok(ListProjectsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, env.now()),
                projects: page.items.into_iter().map(v1::Project::from).collect(),
            })
        })
        .await
    }

    async fn update_project(
        &self,
        request: Request<UpdateProjectRequest>,
    ) -> Result<Response<UpdateProjectResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::ProjectsWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "UpdateProject", &request_id, &asked, Run::Store);
            let id = id("project.id", asked.project.as_ref().map_or("", |project| &project.id));
            let fields = masked(asked.project.as_ref(), asked.update_mask.as_ref());
            let change = fields.and_then(|fields| read(asked.project, &fields));
            let (id, (change, once)) = both(id, both(change, once))?;
            let changed = super::update(env, &tenant, id, change, once).await?;
            Ok(UpdateProjectResponse { project: Some(changed.into()) })
        })
        .await
    }

    async fn delete_project(
        &self,
        request: Request<DeleteProjectRequest>,
    ) -> Result<Response<DeleteProjectResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::ProjectsDelete).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "DeleteProject", &request_id, &asked, Run::Store);
            let (id, once) = both(id("project_id", &asked.project_id), once)?;
            super::delete(env, &tenant, id, once).await?;
            Ok(DeleteProjectResponse {})
        })
        .await
    }
}

fn id(path: &str, text: &str) -> Result<ProjectId> {
    ProjectId::parse(text).ok_or_else(|| Error::invalid_field(path, NOT_A_UUID))
}

fn masked(project: Option<&v1::Project>, mask: Option<&FieldMask>) -> Result<Vec<&'static str>> {
    let set = |name: &str| match name {
        "name" => project.is_some_and(|project| !project.name.is_empty()),
        _ => project.is_some_and(|project| !project.description.is_empty()),
    };
    let output_only = ["id", "workspace_id", "create_time", "update_time"];
    named(mask, &["name", "description"], &output_only, set)
}

/// Reads a mask of a message with few fields: which of `names` are meant. `is_set` says which are when there is no mask.
pub fn named(
    mask: Option<&FieldMask>,
    names: &[&'static str],
    output_only: &[&str],
    is_set: impl Fn(&str) -> bool,
) -> Result<Vec<&'static str>> {
    let paths = mask.map_or(&[][..], |mask| &mask.paths);
    if paths.is_empty() {
        return Ok(names.iter().copied().filter(|name| is_set(name)).collect());
    }
    let mut wrong = Violations::default();
    let mut meant = Vec::new();
    for path in paths {
        if path == "*" {
            meant.extend(names);
        } else if let Some(name) = names.iter().find(|name| *name == path) {
            meant.push(*name);
        } else if !output_only.contains(&path.as_str()) {
            wrong.add("update_mask", format!("{path:?} is no field that can change"));
        }
    }
    wrong.into_result(meant)
}

fn read(project: Option<v1::Project>, fields: &[&str]) -> Result<ProjectChange> {
    let project = project.ok_or_else(|| Error::invalid_field("project", "is required"))?;
    let mut wrong = Violations::default();
    let mut change = ProjectChange::default();
    if fields.contains(&"name") {
        change.name = wrong.take("project.name", workspaces::name(&project.name));
    }
    if fields.contains(&"description") {
        check_description("project.description", &project.description, &mut wrong);
        change.description = Some(project.description);
    }
    wrong.into_result(change)
}

/// Notes what is wrong with the description of a project or a template.
pub(in crate::links) fn check_description(path: &str, text: &str, wrong: &mut Violations) {
    check_text(path, text, MAX_DESCRIPTION, &['\n', '\r', '\t'], wrong);
}

impl From<Project> for v1::Project {
    fn from(project: Project) -> Self {
        let Project { id, workspace_id, name, description, create_time, update_time } = project;
        Self {
            id: id.to_string(),
            workspace_id: workspace_id.to_string(),
            name,
            description,
            create_time: Some(timestamp(create_time)),
            update_time: Some(timestamp(update_time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_few_fields_say_which_are_meant() {
        let project = v1::Project { name: "x".into(), ..v1::Project::default() };
        for (paths, expected) in [
            (&[][..], Some(&["name"][..])),
            (&["*"], Some(&["name", "description"])),
            (&["description", "id"], Some(&["description"])),
            (&["create_time"], Some(&[])),
            (&["links"], None),
        ] {
            let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
            let read = masked(Some(&project), Some(&mask)).ok();
            assert_eq!(read.as_deref(), expected, "{paths:?}");
        }
    }

    #[test]
    fn everything_wrong_with_a_project_is_told() {
        let project = v1::Project { description: "x".repeat(501), ..v1::Project::default() };
        let wrong = read(Some(project), &["name", "description"]).expect_err("two fields are wrong");
        assert_eq!(wrong.violations().len(), 2);
        assert!(read(None, &[]).is_err());
    }
}
