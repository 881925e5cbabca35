//! Which apps a postback of Apple's can be about: it names an App Store id, and the host it came to says whose.
//!
//! A workspace's own host is the workspace's: there every app of its is meant. The server's own host is everybody's, and anybody can claim an App
//! Store id for an app of theirs; so it is as with the association files: the apps of those workspaces that the operator let in, as the first one is
//! (`linkforty workspace allow-apps`). Where several of them have the id, each is meant.

use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::{content_of, store};
use crate::{
    entity::app::Model,
    ids::{AppId, WorkspaceId},
    workspaces,
};

/// An app that is in the App Store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InStore {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Which.
    pub app: AppId,
    /// Its id in the App Store.
    pub store_id: u64,
    /// Whether it takes postbacks that keys for development signed.
    pub development: bool,
}

/// Returns the apps that postbacks can be about which come to a host of a workspace, or to the server's own. Apps of suspended workspaces are none. For
/// the node.
pub async fn in_store(
    db: &impl ConnectionTrait,
    workspace: Option<WorkspaceId>,
) -> Result<Vec<InStore>, DbErr> {
    let apps = match workspace {
        Some(id) => match workspaces::find(db, id).await? {
            Some(whose) if whose.suspend_time.is_none() => store::all_of(db, id).await?,
            _ => Vec::new(),
        },
        // Nobody is left out.
        None => store::listed_on_own_host(db, WorkspaceId(Uuid::nil())).await?,
    };
    Ok(apps.iter().filter_map(of).collect())
}

fn of(app: &Model) -> Option<InStore> {
    let ios = content_of(app).ios?;
    Some(InStore {
        workspace: app.workspace_id,
        app: app.id,
        store_id: ios.app_store_id.parse().ok()?,
        development: ios.development_postbacks,
    })
}
