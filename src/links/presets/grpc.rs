//! `linkforty.v1.UtmPresetService`.

use std::mem::take;

use tonic::{Request, Response, Status};

use super::{Model, PresetChange, app_fields};
use crate::{
    env::Env,
    error::{Error, Result, Violations},
    ids::UtmPresetId,
    links::{
        Run,
        fields::{NOT_A_UUID, timestamp},
        projects::named,
        wire::{both, once},
    },
    pb::v1::{
        self, CreateUtmPresetRequest, CreateUtmPresetResponse, DeleteUtmPresetRequest,
        DeleteUtmPresetResponse, ListUtmPresetsRequest, ListUtmPresetsResponse, UpdateUtmPresetRequest,
        UpdateUtmPresetResponse, utm_preset_service_server::UtmPresetService,
    },
    rpc::{self, Permission},
    workspaces::{self, enter},
};

const FIELDS: [&str; 2] = ["name", "utm"];
const OUTPUT_ONLY: [&str; 4] = ["id", "workspace_id", "create_time", "update_time"];

/// Answers `UtmPresetService`.
#[derive(Debug, Clone)]
pub struct UtmPresetApi {
    /// The handles.
    pub env: Env,
}

#[tonic::async_trait]
impl UtmPresetService for UtmPresetApi {
    async fn create_utm_preset(
        &self,
        request: Request<CreateUtmPresetRequest>,
    ) -> Result<Response<CreateUtmPresetResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::UtmPresetsWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "CreateUtmPreset", &request_id, &asked, Run::Store);
            let (new, once) = both(read(asked.utm_preset, &FIELDS), once)?;
            let made = super::create(env, &tenant, new, once).await?;
            Ok(CreateUtmPresetResponse { utm_preset: Some(made.into()) })
        })
        .await
    }

    async fn list_utm_presets(
        &self,
        request: Request<ListUtmPresetsRequest>,
    ) -> Result<Response<ListUtmPresetsResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::UtmPresetsRead).await?;
            let question = [b"ListUtmPresets".as_slice(), tenant.id.0.as_bytes()].concat();
            let page = env.pages.request(asked.page_size, &asked.page_token, &question, env.now())?;
            let page = super::list(env, &tenant, &page).await?;
            Ok(ListUtmPresetsResponse {
                next_page_token: env.pages.token(page.next.as_ref(), &question, env.now()),
                utm_presets: page.items.into_iter().map(v1::UtmPreset::from).collect(),
            })
        })
        .await
    }

    async fn update_utm_preset(
        &self,
        request: Request<UpdateUtmPresetRequest>,
    ) -> Result<Response<UpdateUtmPresetResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::UtmPresetsWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "UpdateUtmPreset", &request_id, &asked, Run::Store);
            let preset = asked.utm_preset.as_ref();
            let id = id("utm_preset.id", preset.map_or("", |preset| &preset.id));
            let set = |name: &str| match name {
                "name" => preset.is_some_and(|preset| !preset.name.is_empty()),
                _ => preset.is_some_and(|preset| preset.utm.is_some()),
            };
            let fields = named(asked.update_mask.as_ref(), &FIELDS, &OUTPUT_ONLY, set);
            let change = fields.and_then(|fields| read(asked.utm_preset, &fields));
            let (id, (change, once)) = both(id, both(change, once))?;
            let changed = super::update(env, &tenant, id, change, once).await?;
            Ok(UpdateUtmPresetResponse { utm_preset: Some(changed.into()) })
        })
        .await
    }

    async fn delete_utm_preset(
        &self,
        request: Request<DeleteUtmPresetRequest>,
    ) -> Result<Response<DeleteUtmPresetResponse>, Status> {
        rpc::answer(async {
            let env = &self.env;
            let (caller, mut asked) = rpc::open(request)?;
            let tenant = enter(env, &caller, &asked.workspace_id, Permission::UtmPresetsWrite).await?;
            let request_id = take(&mut asked.request_id);
            let once = once(env, &tenant, "DeleteUtmPreset", &request_id, &asked, Run::Store);
            let (id, once) = both(id("utm_preset_id", &asked.utm_preset_id), once)?;
            super::delete(env, &tenant, id, once).await?;
            Ok(DeleteUtmPresetResponse {})
        })
        .await
    }
}

fn id(path: &str, text: &str) -> Result<UtmPresetId> {
    UtmPresetId::parse(text).ok_or_else(|| Error::invalid_field(path, NOT_A_UUID))
}

fn read(preset: Option<v1::UtmPreset>, fields: &[&str]) -> Result<PresetChange> {
    let preset = preset.ok_or_else(|| Error::invalid_field("utm_preset", "is required"))?;
    let mut wrong = Violations::default();
    let mut change = PresetChange::default();
    if fields.contains(&"name") {
        change.name = wrong.take("utm_preset.name", workspaces::name(&preset.name));
    }
    if fields.contains(&"utm") {
        let given = preset.utm.unwrap_or_default();
        let utm = app_fields::read_utm("utm_preset.utm", given, &mut wrong);
        if utm.is_empty() && wrong.is_empty() {
            wrong.add("utm_preset.utm", "must set at least one parameter");
        }
        change.utm = Some(utm);
    }
    wrong.into_result(change)
}

impl From<Model> for v1::UtmPreset {
    fn from(preset: Model) -> Self {
        let Model { id, workspace_id, name, utm, create_time, update_time } = preset;
        Self {
            id: id.to_string(),
            workspace_id: workspace_id.to_string(),
            name,
            utm: app_fields::utm(&app_fields::from_json(utm)),
            create_time: Some(timestamp(create_time)),
            update_time: Some(timestamp(update_time)),
        }
    }
}
