//! Clients of what links name of their workspace: projects, templates, presets.

use linkforty::pb::v1::{
    AddAliasRequest, CreateProjectRequest, CreateTemplateRequest, CreateUtmPresetRequest, Link, LinkDefaults,
    Project, Template, UpdateTemplateRequest, Utm, UtmPreset, project_service_client::ProjectServiceClient,
    template_service_client::TemplateServiceClient, utm_preset_service_client::UtmPresetServiceClient,
};
use prost_types::FieldMask;
use tonic::{Status, service::interceptor::InterceptedService, transport::Channel};

use super::{App, Bearer, Tenant};

type Held = InterceptedService<Channel, Bearer>;

/// What links of a workspace name, for whoever holds its key.
#[derive(Clone)]
pub struct Folders {
    /// Its projects.
    pub projects: ProjectServiceClient<Held>,
    /// Its templates.
    pub templates: TemplateServiceClient<Held>,
    /// Its presets.
    pub presets: UtmPresetServiceClient<Held>,
}

impl App {
    /// Returns what links of a workspace name, through this node.
    pub async fn folders(&self, tenant: &Tenant) -> Folders {
        let (channel, bearer) = (self.channel().await, Bearer(tenant.key.clone()));
        Folders {
            projects: ProjectServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            templates: TemplateServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            presets: UtmPresetServiceClient::with_interceptor(channel, bearer),
        }
    }
}

impl Folders {
    /// Creates a project and returns its id.
    pub async fn project(&self, name: &str) -> String {
        let project = Some(Project { name: name.to_owned(), ..Project::default() });
        let request = CreateProjectRequest { project, ..CreateProjectRequest::default() };
        let made = self.projects.clone().create_project(request).await.expect("creates");
        made.into_inner().project.expect("always there").id
    }

    /// Creates a template.
    pub async fn template(&self, slug: &str, defaults: LinkDefaults) -> Template {
        let template = Template {
            name: "template".to_owned(),
            slug: slug.to_owned(),
            defaults: Some(defaults),
            ..Template::default()
        };
        let request = CreateTemplateRequest { template: Some(template), ..CreateTemplateRequest::default() };
        let made = self.templates.clone().create_template(request).await.expect("creates");
        made.into_inner().template.expect("always there")
    }

    /// Changes the defaults of a template that `paths` names.
    pub async fn set(&self, id: &str, defaults: LinkDefaults, paths: &[&str]) -> Result<Template, Status> {
        let template = Template { id: id.to_owned(), defaults: Some(defaults), ..Template::default() };
        let update_mask = Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
        let request = UpdateTemplateRequest {
            template: Some(template),
            update_mask,
            ..UpdateTemplateRequest::default()
        };
        let changed = self.templates.clone().update_template(request).await?;
        Ok(changed.into_inner().template.expect("always there"))
    }

    /// Creates a preset and returns its id.
    pub async fn preset(&self, name: &str, utm: Utm) -> String {
        let utm_preset = Some(UtmPreset { name: name.to_owned(), utm: Some(utm), ..UtmPreset::default() });
        let request = CreateUtmPresetRequest { utm_preset, ..CreateUtmPresetRequest::default() };
        let made = self.presets.clone().create_utm_preset(request).await.expect("creates");
        made.into_inner().utm_preset.expect("always there").id
    }
}

impl Tenant {
    /// Gives a link a further code.
    pub async fn alias(&self, link_id: &str, alias: &str) -> Result<Link, Status> {
        let request = AddAliasRequest {
            link_id: link_id.to_owned(),
            alias: alias.to_owned(),
            ..AddAliasRequest::default()
        };
        Ok(self.links.clone().add_alias(request).await?.into_inner().link.expect("always there"))
    }
}
