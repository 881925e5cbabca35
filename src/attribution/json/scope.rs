//! Whose app calls by JSON: some SDKs say so by an app's token, some by an API key, and some say nothing but the host they call.

use http::{HeaderMap, header::AUTHORIZATION};
use sea_orm::DbErr;

use crate::{
    apps::tokens::{self, is_token},
    attribution::{Sdk, installs::report::Scope},
    cache::Recall,
    domains::Site,
    env::Env,
    error::{Error, Reason, Result},
    ids::WorkspaceId,
    pb::v1,
    rpc::{Caller, Permission, bearer},
    trail::Origin,
    workspaces::{self, Tenant, enter_as_app, keys},
};

/// How many workspaces are remembered.
const REMEMBERED: usize = 1000;

/// Who calls, as far as they said.
#[derive(Debug)]
pub enum Who {
    /// Nobody in particular.
    Stranger,
    /// An app.
    App(Box<Scope>),
    /// A program of a workspace.
    Key(Caller),
    /// Somebody whose credentials are no good.
    Nobody,
}

impl Who {
    /// Returns the workspace that the credentials are of, if they are of one.
    pub fn workspace(&self) -> Option<WorkspaceId> {
        match self {
            Self::App(scope) => Some(scope.workspace),
            Self::Key(Caller::ApiKey { workspace, .. }) => Some(*workspace),
            Self::Key(Caller::Person { .. }) | Self::Stranger | Self::Nobody => None,
        }
    }
}

/// Reads the credentials. What is wrong with them is for the method to say: most need none.
pub async fn who(env: &Env, headers: &HeaderMap, app_token: &str) -> Result<Who> {
    if is_token(app_token)
        && let Some(holder) = tokens::holder(env, app_token).await?
    {
        return Ok(Who::App(Box::new(Scope::from(&*holder))));
    }
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(Who::Stranger) };
    let Some(bearer) = bearer(value) else { return Ok(Who::Nobody) };
    if is_token(bearer) {
        let holder = tokens::holder(env, bearer).await?;
        return Ok(holder.map_or(Who::Nobody, |holder| Who::App(Box::new(Scope::from(&*holder)))));
    }
    match keys::authenticate(env, bearer).await {
        Ok(caller) => Ok(Who::Key(caller)),
        Err(error) if error.reason() == Reason::CredentialsInvalid => {
            metrics::counter!("linkforty_sdk_bad_credentials_total").increment(1);
            Ok(Who::Nobody)
        }
        Err(error) => Err(error),
    }
}

/// Returns whose the call is: the app's, else the key's workspace, else that of the host; on the server's own host that of the first
/// workspace, as with association files.
pub async fn scope(sdk: &Sdk, who: Who, site: &Site) -> Result<Scope> {
    if let Who::App(scope) = who {
        return Ok(*scope);
    }
    let workspace = match (who.workspace(), site) {
        (Some(workspace), _) => Some(workspace),
        (None, Site::Of(domain)) => Some(domain.workspace_id),
        (None, Site::Away) => return Err(Error::store_unavailable("nobody knows the domains yet")),
        (None, Site::Own | Site::Unknown) => None,
    };
    of_workspace(&sdk.env, workspace).await
}

/// Lets whoever may create links into their workspace.
pub async fn enter_to_create(env: &Env, who: Who, origin: Origin) -> Result<(Scope, Tenant)> {
    match who {
        Who::App(scope) => {
            let app = scope.app.ok_or_else(Error::credentials_invalid)?;
            let tenant = enter_as_app(env, (scope.workspace, app), scope.quotas.as_ref(), origin);
            Ok((*scope, tenant))
        }
        Who::Key(caller) => {
            let tenant = workspaces::enter(env, &caller.from(origin), "", Permission::LinksWrite).await?;
            Ok((of_workspace(env, Some(tenant.id)).await?, tenant))
        }
        Who::Stranger | Who::Nobody => Err(Error::credentials_invalid()),
    }
}

/// Returns the scope of a workspace whose apps did not say which they are. What was known goes on being believed while the database is
/// away.
async fn of_workspace(env: &Env, workspace: Option<WorkspaceId>) -> Result<Scope> {
    let bound = env.config.cache.max_stale_if_error;
    let remembered = env.memory.of(|| Recall::<Option<WorkspaceId>, Scope>::new(REMEMBERED));
    let found = remembered.ask(&workspace, env.now(), bound, find(env, workspace)).await?;
    found.map(|scope| Scope::clone(&scope)).ok_or_else(|| Error::not_found("workspace"))
}

async fn find(env: &Env, workspace: Option<WorkspaceId>) -> Result<Option<Scope>, DbErr> {
    let found = match workspace {
        Some(id) => workspaces::find(&env.db.lookup, id).await?,
        None => workspaces::first(&env.db.lookup).await?,
    };
    Ok(found.filter(|found| found.suspend_time.is_none()).map(|found| {
        let settings = workspaces::settings::shown(found.settings.as_deref());
        Scope {
            workspace: found.id,
            app: None,
            attribution: v1::AppAttribution::default(),
            probabilistic: settings.probabilistic_matching != Some(false),
            quotas: found.quotas,
            app_store_id: String::new(),
            package_name: String::new(),
        }
    }))
}
