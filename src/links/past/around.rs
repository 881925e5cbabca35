//! The templates and projects of a LinkForty database.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, ConnectionTrait, DatabaseTransaction, EntityTrait as _,
    IntoActiveModel as _, PaginatorTrait as _, QueryFilter as _, sea_query::OnConflict,
};
use uuid::Uuid;

use super::{Ground, Read, Stored, micros, told};
use crate::{
    clock::Moment,
    entity::{project, template},
    env::Env,
    error::Result,
    ids::{ProjectId, TemplateId},
    links::{
        templates::{self, read_past as read_template},
        wire::door,
    },
    pb::v1,
    workspaces::Tenant,
};

const MAX_PROJECT: usize = 255;

/// A template as LinkForty has it.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateRow {
    /// Its id.
    pub id: TemplateId,
    /// What people call it.
    pub name: String,
    /// Its slug.
    pub slug: String,
    /// What it is for.
    pub description: String,
    /// Its settings, as JSON.
    pub settings: String,
    /// Whether it is the default.
    pub is_default: bool,
    /// When it was made.
    pub made: Moment,
    /// When it was last changed.
    pub changed: Moment,
}

/// A template as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct PastTemplate(template::Model);

/// Reads a template. One whose settings say something that templates here do not is refused: its links would lead elsewhere.
pub fn read_past_template(
    env: &Env,
    tenant: &Tenant,
    ground: &Ground,
    row: TemplateRow,
) -> Read<PastTemplate> {
    let TemplateRow { id, name, slug, description, settings, is_default, made, changed } = row;
    let door = door(env, &ground.hosts, "template.defaults.", None);
    let given = v1::Template { name, slug, description, ..v1::Template::default() };
    let new = read_template(&door, given, &settings).map_err(|error| told(&error))?;
    let template = template::Model {
        id,
        workspace_id: tenant.id,
        name: new.name,
        slug: new.slug.unwrap_or_default(),
        description: new.description,
        defaults: prost::Message::encode_to_vec(&new.defaults),
        is_default,
        version: 1,
        create_time: made,
        update_time: changed.max(made),
    };
    Ok((PastTemplate(template), Vec::new()))
}

impl PastTemplate {
    /// Returns its id.
    pub const fn id(&self) -> TemplateId {
        self.0.id
    }

    /// Returns what it says, part by part, but for whether it is the default: a workspace has one.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        template_parts(&self.0)
    }
}

/// Stores templates. The first default of a workspace that has none becomes its default.
pub async fn insert_past_templates(
    tx: &DatabaseTransaction,
    tenant: &Tenant,
    rows: Vec<PastTemplate>,
) -> Result<Stored> {
    use template::{Column, Entity};
    let there = templates::store::all(tx, tenant.id).await?;
    let mut has_default = there.values().any(|template| template.is_default);
    let mut stored = Stored::default();
    for PastTemplate(mut row) in rows {
        if there.contains_key(&row.id) {
            continue;
        }
        row.is_default &= !has_default;
        has_default |= row.is_default;
        let (id, slug) = (row.id.0, row.slug.clone());
        let anything = OnConflict::new().do_nothing().to_owned();
        let row = row.into_active_model().reset_all();
        if Entity::insert(row).on_conflict(anything).exec_without_returning(tx).await? > 0 {
            stored.inserted.insert(id);
        } else {
            let of = Entity::find().filter(Column::WorkspaceId.eq(tenant.id)).filter(Column::Slug.eq(&*slug));
            let what = if of.count(tx).await? > 0 { "slug" } else { "id" };
            stored.refused.insert(id, format!("{what}: is in use here"));
        }
    }
    Ok(stored)
}

/// Returns what those of the templates say that are there, as [`PastTemplate::parts`] does.
pub async fn stored_templates(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    ids: &[TemplateId],
) -> Result<Vec<(Uuid, Vec<Vec<u8>>)>> {
    let all = templates::store::all(db, tenant.id).await?;
    Ok(ids.iter().filter_map(|id| all.get(id)).map(|row| (row.id.0, template_parts(row))).collect())
}

fn template_parts(row: &template::Model) -> Vec<Vec<u8>> {
    vec![
        row.id.0.as_bytes().to_vec(),
        row.name.clone().into_bytes(),
        row.slug.clone().into_bytes(),
        row.description.clone().into_bytes(),
        row.defaults.clone(),
        micros(row.create_time),
        micros(row.update_time),
    ]
}

/// A project, made of what LinkForty calls an organization.
#[derive(Debug, Clone, PartialEq)]
pub struct PastProject(project::Model);

/// Makes a project.
pub fn read_past_project(
    tenant: &Tenant,
    id: ProjectId,
    name: &str,
    (made, changed): (Moment, Moment),
) -> PastProject {
    let name: String = name.replace(char::is_control, " ").trim().chars().take(MAX_PROJECT).collect();
    let name = if name.is_empty() { format!("Organization {}", &id.to_string()[..8]) } else { name };
    PastProject(project::Model {
        id,
        workspace_id: tenant.id,
        name,
        description: String::new(),
        create_time: made,
        update_time: changed.max(made),
    })
}

impl PastProject {
    /// Returns its id.
    pub const fn id(&self) -> ProjectId {
        self.0.id
    }

    /// Returns what it says, part by part.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        project_parts(&self.0)
    }
}

/// Stores projects.
pub async fn insert_past_projects(
    tx: &DatabaseTransaction,
    tenant: &Tenant,
    rows: Vec<PastProject>,
) -> Result<Stored> {
    use project::{Column, Entity};
    let mut stored = Stored::default();
    for PastProject(row) in rows {
        let id = row.id;
        let anything = OnConflict::new().do_nothing().to_owned();
        let row = row.into_active_model().reset_all();
        if Entity::insert(row).on_conflict(anything).exec_without_returning(tx).await? > 0 {
            stored.inserted.insert(id.0);
        } else if Entity::find_by_id(id).filter(Column::WorkspaceId.eq(tenant.id)).count(tx).await? == 0 {
            stored.refused.insert(id.0, "id: is in use in another workspace".to_owned());
        }
    }
    Ok(stored)
}

/// Returns what those of the projects say that are there, as [`PastProject::parts`] does.
pub async fn stored_projects(
    db: &impl ConnectionTrait,
    tenant: &Tenant,
    ids: &[ProjectId],
) -> Result<Vec<(Uuid, Vec<Vec<u8>>)>> {
    use project::{Column, Entity};
    let found = Entity::find()
        .filter(Column::WorkspaceId.eq(tenant.id))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .all(db)
        .await?;
    Ok(found.into_iter().map(|row| (row.id.0, project_parts(&row))).collect())
}

fn project_parts(row: &project::Model) -> Vec<Vec<u8>> {
    vec![
        row.id.0.as_bytes().to_vec(),
        row.name.clone().into_bytes(),
        micros(row.create_time),
        micros(row.update_time),
    ]
}
