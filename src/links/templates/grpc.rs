//! `linkforty.v1.TemplateService`.

use std::{collections::BTreeSet, mem::take};

use prost_types::FieldMask;
use tonic::{Request, Response, Status};

use super::{NewTemplate, TemplateChange, defaults, etag, linkforty};
use crate::{
    domains,
    entity::template::Model,
    env::Env,
    error::{Error, Result, Violations},
    ids::TemplateId,
    links::{
        Run, code,
        fields::{Door, NOT_A_UUID, timestamp},
        projects::check_description,
        wire::{both, door, once},
    },
    pb::v1::{
        self, CreateTemplateRequest, CreateTemplateResponse, DeleteTemplateRequest, DeleteTemplateResponse,
        GetTemplateRequest, GetTemplateResponse, LinkDefaults, ListTemplatesRequest, ListTemplatesResponse,
        SetDefaultTemplateRequest, SetDefaultTemplateResponse, UpdateTemplateRequest, UpdateTemplateResponse,
        template_service_server::TemplateService,
    },
    rpc::{self, Permission},
    workspaces::{self, enter},
};

const MAX_SLUG: usize = 100;
const OUTPUT_ONLY: [&str; 6] = ["id", "workspace_id", "is_default", "create_time", "update_time", "etag"];

/// Answers `TemplateService`.
#[derive(Debug, Clone)]
pub struct TemplateApi {
    /// The handles.
    pub env: Env,
}

#[tonic::async_trait]
impl TemplateService for TemplateApi {
    async fn create_template(
        &self,
        request: Request<CreateTemplateRequest>,
    ) -> Result<Response<CreateTemplateResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::TemplatesWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "CreateTemplate", &request_id, &asked, Run::Store);
            let hosts = domains::answering(&env.db.api, &tenant).await?;
            let new = read_new(
                &door(env, &hosts, "template.defaults.", None),
                asked.template,
                &asked.linkforty_settings,
            );
            let (new, once) = both(new, once)?;
            let made = super::create(env, &tenant, new, once).await?;
            Ok(CreateTemplateResponse { template: Some(made.into()) })
        })
        .await
    }

    async fn get_template(
        &self,
        request: Request<GetTemplateRequest>,
    ) -> Result<Response<GetTemplateResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::TemplatesRead).await?;
            let found = super::get(env, &tenant, id("template_id", &asked.template_id)?).await?;
            Ok(GetTemplateResponse { template: Some(found.into()) })
        })
        .await
    }

    async fn list_templates(
        &self,
        request: Request<ListTemplatesRequest>,
    ) -> Result<Response<ListTemplatesResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::TemplatesRead).await?;
            let question = [b"ListTemplates".as_slice(), tenant.id.0.as_bytes()].concat();
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, env.now())?;
            let page = super::list(env, &tenant, &page).await?;
            Ok(ListTemplatesResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, env.now()),
                templates: page.items.into_iter().map(v1::Template::from).collect(),
            })
        })
        .await
    }

    async fn update_template(
        &self,
        request: Request<UpdateTemplateRequest>,
    ) -> Result<Response<UpdateTemplateResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::TemplatesWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "UpdateTemplate", &request_id, &asked, Run::Store);
            let hosts = domains::answering(&env.db.api, &tenant).await?;
            let door = door(env, &hosts, "template.defaults.", None);
            let change = read_change(&door, asked.template, asked.update_mask.as_ref());
            let (change, once) = both(change, once)?;
            let changed = super::update(env, &tenant, change, once).await?;
            Ok(UpdateTemplateResponse { template: Some(changed.into()) })
        })
        .await
    }

    async fn delete_template(
        &self,
        request: Request<DeleteTemplateRequest>,
    ) -> Result<Response<DeleteTemplateResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::TemplatesWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "DeleteTemplate", &request_id, &asked, Run::Store);
            let (id, once) = both(id("template_id", &asked.template_id), once)?;
            super::delete(env, &tenant, id, once).await?;
            Ok(DeleteTemplateResponse {})
        })
        .await
    }

    async fn set_default_template(
        &self,
        request: Request<SetDefaultTemplateRequest>,
    ) -> Result<Response<SetDefaultTemplateResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::TemplatesWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "SetDefaultTemplate", &request_id, &asked, Run::Store);
            let named = Some(&asked.template_id).filter(|id| !id.is_empty());
            let named = named.map(|text| id("template_id", text)).transpose();
            let (named, once) = both(named, once)?;
            let template = super::set_default(env, &tenant, named, once).await?;
            Ok(SetDefaultTemplateResponse { template: template.map(v1::Template::from) })
        })
        .await
    }
}

fn id(path: &str, text: &str) -> Result<TemplateId> {
    TemplateId::parse(text).ok_or_else(|| Error::invalid_field(path, NOT_A_UUID))
}

fn missing() -> Error {
    Error::invalid_field("template", "is required")
}

pub(super) fn read_new(
    door: &Door<'_>,
    template: Option<v1::Template>,
    settings: &str,
) -> Result<NewTemplate> {
    let template = template.ok_or_else(missing)?;
    let mut wrong = Violations::default();
    let name = wrong.take("template.name", workspaces::name(&template.name)).unwrap_or_default();
    let slug = if template.slug.is_empty() {
        None
    } else {
        let checked = code::check(&template.slug).and_then(|()| match template.slug.len() {
            1..=MAX_SLUG if template.slug != "report" => Ok(()),
            1..=MAX_SLUG => Err("is a word that the server keeps for itself"),
            _ => Err("must have 1 to 100 characters"),
        });
        wrong.take("template.slug", checked);
        Some(template.slug)
    };
    check_description("template.description", &template.description, &mut wrong);
    let mut given = template.defaults.unwrap_or_default();
    if !settings.is_empty() {
        if given == LinkDefaults::default() {
            given = wrong.take("linkforty_settings", linkforty::read(settings)).unwrap_or_default();
        } else {
            wrong.add("linkforty_settings", "stands in place of template.defaults, not beside it");
        }
    }
    let all = defaults::FIELDS.iter().copied().collect();
    let defaults = defaults::check(door, &all, &given, &mut wrong);
    wrong.into_result(NewTemplate { name, slug, description: template.description, defaults })
}

fn read_change(
    door: &Door<'_>,
    template: Option<v1::Template>,
    mask: Option<&FieldMask>,
) -> Result<TemplateChange> {
    let template = template.ok_or_else(missing)?;
    let mut wrong = Violations::default();
    let id = TemplateId::parse(&template.id);
    if id.is_none() {
        wrong.add("template.id", NOT_A_UUID);
    }
    let mask = read_mask(mask, &template, &mut wrong);
    let name = mask.name.then(|| wrong.take("template.name", workspaces::name(&template.name))).flatten();
    if mask.description {
        check_description("template.description", &template.description, &mut wrong);
    }
    let description = mask.description.then_some(template.description);
    let given = template.defaults.unwrap_or_default();
    let defaults = defaults::check(door, &mask.defaults, &given, &mut wrong);
    wrong.into_result(())?;
    let id = id.ok_or_else(|| Error::internal("an unreadable id passed as a good one"))?;
    let slug = if mask.whole { template.slug } else { String::new() };
    Ok(TemplateChange { id, etag: template.etag, slug, name, description, fields: mask.defaults, defaults })
}

/// Which fields are meant.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mask {
    name: bool,
    description: bool,
    defaults: BTreeSet<&'static str>,
    whole: bool,
}

fn read_mask(mask: Option<&FieldMask>, template: &v1::Template, wrong: &mut Violations) -> Mask {
    let paths = mask.map_or(&[][..], |mask| &mask.paths);
    let all = || defaults::FIELDS.iter().copied().collect();
    if paths.is_empty() {
        return Mask {
            name: !template.name.is_empty(),
            description: !template.description.is_empty(),
            defaults: if template.defaults.is_some() { all() } else { BTreeSet::new() },
            whole: true,
        };
    }
    let mut meant = Mask::default();
    for path in paths {
        match path.as_str() {
            "*" => meant = Mask { name: true, description: true, defaults: all(), whole: true },
            "name" => meant.name = true,
            "description" => meant.description = true,
            "defaults" => meant.defaults = all(),
            "slug" => wrong.add("update_mask", "slug cannot change after creation"),
            path => {
                let field = path.strip_prefix("defaults.");
                match field.and_then(|field| defaults::FIELDS.iter().find(|name| **name == field)) {
                    Some(field) => drop(meant.defaults.insert(field)),
                    None if OUTPUT_ONLY.contains(&path) => {}
                    None => wrong.add("update_mask", format!("{path:?} is no field of a template")),
                }
            }
        }
    }
    meant
}

impl From<Model> for v1::Template {
    fn from(template: Model) -> Self {
        let etag = etag(&template);
        let stored = defaults::stored(&template.defaults);
        let defaults = LinkDefaults { forward_query: Some(stored.forward_query != Some(false)), ..stored };
        let Model { id, workspace_id, name, slug, description, is_default, create_time, update_time, .. } =
            template;
        Self {
            id: id.to_string(),
            workspace_id: workspace_id.to_string(),
            name,
            slug,
            description,
            defaults: Some(defaults),
            is_default,
            create_time: Some(timestamp(create_time)),
            update_time: Some(timestamp(update_time)),
            etag,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_of_templates_reach_into_the_defaults() {
        let given = v1::Template {
            name: "x".into(),
            defaults: Some(LinkDefaults::default()),
            ..v1::Template::default()
        };
        let all = defaults::FIELDS.len();
        for (paths, expected, violations) in [
            (&[][..], (true, false, all, true), 0),
            (&["*"], (true, true, all, true), 0),
            (&["description", "etag"], (false, true, 0, false), 0),
            (&["defaults"], (false, false, all, false), 0),
            (&["defaults.ios_url", "defaults.utm"], (false, false, 2, false), 0),
            (&["slug", "defaults.slug", "ios_url"], (false, false, 0, false), 3),
        ] {
            let mask = FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
            let mut wrong = Violations::default();
            let read = read_mask(Some(&mask), &given, &mut wrong);
            let read = (read.name, read.description, read.defaults.len(), read.whole);
            assert_eq!((read, wrong.into_inner().len()), (expected, violations), "{paths:?}");
        }
    }
}
