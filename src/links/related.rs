//! What links name of their workspace: projects and templates. Looked up once for a call, in its transaction, and kept there
//! until it ends.

use std::collections::{HashMap, HashSet};

use sea_orm::{ConnectionTrait, DbErr};

use super::{
    fields::{Content, LinkChange, MAX_TAGS, NO_ADDRESS, Template},
    projects, templates,
};
use crate::{
    entity::link::Model,
    error::{Result, Violations},
    ids::{ProjectId, TemplateId, WorkspaceId},
};

/// The projects and templates that the links of a call name, as far as they are the workspace's.
#[derive(Debug, Default)]
pub(super) struct Related {
    projects: HashSet<ProjectId>,
    templates: HashMap<TemplateId, Known>,
    default: Option<TemplateId>,
}

/// What is to be known of a template.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether it leads anywhere.
    pub leads: bool,
    /// What its links are tagged with when they are created.
    pub tags: Vec<String>,
    /// Whether links get it that name none.
    pub is_default: bool,
}

impl Related {
    /// Looks up what new links name, and the default template for those that name none.
    pub async fn of_new(
        db: &impl ConnectionTrait,
        workspace: WorkspaceId,
        contents: &[&Content],
    ) -> Result<Self, DbErr> {
        let (mut projects, mut templates, mut unsaid) = (HashSet::new(), HashSet::new(), false);
        for content in contents {
            projects.extend(content.project_id);
            templates.extend(content.template.id());
            unsaid |= content.template == Template::Unsaid;
        }
        Self::find(db, workspace, projects, templates, unsaid).await
    }

    /// Looks up what changes name, and the templates of the links that they change.
    pub async fn of_changes(
        db: &impl ConnectionTrait,
        workspace: WorkspaceId,
        changes: &[&LinkChange],
        stored: &[&Model],
    ) -> Result<Self, DbErr> {
        let (mut projects, mut templates) = (HashSet::new(), HashSet::new());
        for change in changes {
            projects.extend(change.content.project_id);
            templates.extend(change.content.template.id());
        }
        templates.extend(stored.iter().filter_map(|link| link.template_id));
        Self::find(db, workspace, projects, templates, false).await
    }

    /// Looks up projects and templates, for links that get no template unless they name one.
    pub async fn of_named(
        db: &impl ConnectionTrait,
        workspace: WorkspaceId,
        projects: HashSet<ProjectId>,
        templates: HashSet<TemplateId>,
    ) -> Result<Self, DbErr> {
        Self::find(db, workspace, projects, templates, false).await
    }

    async fn find(
        db: &impl ConnectionTrait,
        workspace: WorkspaceId,
        projects: HashSet<ProjectId>,
        templates: HashSet<TemplateId>,
        with_default: bool,
    ) -> Result<Self, DbErr> {
        let mut related = Self::default();
        if !projects.is_empty() {
            related.projects = projects::store::existing(db, workspace, projects).await?;
        }
        if with_default || !templates.is_empty() {
            related.templates = templates::store::known(db, workspace, templates, with_default).await?;
            let default = related.templates.iter().find(|(_, known)| known.is_default);
            related.default = default.map(|(id, _)| *id).filter(|_| with_default);
        }
        Ok(related)
    }

    /// Notes what is named and not there.
    pub fn check(&self, path: &str, content: &Content, wrong: &mut Violations) {
        if content.project_id.is_some_and(|id| !self.projects.contains(&id)) {
            wrong.add(format!("{path}project_id"), "is no project of this workspace");
        }
        if content.template.id().is_some_and(|id| !self.templates.contains_key(&id)) {
            wrong.add(format!("{path}template_id"), "is no template of this workspace");
        }
    }

    /// Says whether a link with this template leads somewhere that has no address of its own.
    pub fn leads(&self, template: Option<TemplateId>) -> bool {
        template.and_then(|id| self.templates.get(&id)).is_some_and(|known| known.leads)
    }

    /// Gives a new link the template that is meant and the tags that come with it, or says what is wrong with what it names.
    pub fn settle(&self, path: &str, content: &mut Content) -> Result<()> {
        let mut wrong = Violations::default();
        self.check(path, content, &mut wrong);
        if content.template == Template::Unsaid {
            content.template = self.default.map_or(Template::None, Template::This);
        }
        let template = content.template.id();
        if wrong.is_empty() && !content.has_address() && !self.leads(template) {
            wrong.add(format!("{path}destination_url"), NO_ADDRESS);
        }
        if let Some(known) = template.and_then(|id| self.templates.get(&id)) {
            for tag in &known.tags {
                if content.tags.len() < MAX_TAGS && !content.tags.contains(tag) {
                    content.tags.push(tag.clone());
                }
            }
        }
        wrong.into_result(())
    }
}
