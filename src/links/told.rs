//! What those hear of links who want to be told what happens: noted in the transaction that makes, changes or removes them.

use sea_orm::{ConnectionTrait, DbErr};
use serde_json::{Value, json};

use super::{CountedLink, revisions, wire};
use crate::{
    clock::Moment,
    entity::link::Model,
    env::Env,
    ids::WorkspaceId,
    outbox::{self, Fact, Kind},
    pb,
};

/// What became of a link.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate<'a> {
    /// It was made.
    Created(&'a Model),
    /// It was the first and is the second.
    Updated(&'a Model, &'a Model),
    /// It is gone.
    Deleted(&'a Model),
}

impl Fate<'_> {
    const fn kind(self) -> Kind {
        match self {
            Self::Created(_) => Kind::LinkCreated,
            Self::Updated(..) => Kind::LinkUpdated,
            Self::Deleted(_) => Kind::LinkDeleted,
        }
    }

    fn fact(self, env: &Env) -> Fact {
        let (link, data) = match self {
            Self::Created(link) | Self::Deleted(link) => (link, json!({ "link": shown(env, link) })),
            Self::Updated(before, after) => {
                let changed = revisions::names(before, after);
                (after, json!({ "link": shown(env, after), "changed_fields": changed }))
            }
        };
        Fact { kind: self.kind(), subject: link.id.0, body: data.to_string().into_bytes() }
    }
}

/// Notes what became of links, if anybody wants to know.
pub(super) async fn note<'a>(
    env: &Env,
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    fates: impl IntoIterator<Item = Fate<'a>>,
    now: Moment,
) -> Result<(), DbErr> {
    let fates: Vec<Fate<'_>> = fates.into_iter().collect();
    let mut kinds: Vec<Kind> = fates.iter().map(|fate| fate.kind()).collect();
    kinds.dedup();
    if fates.is_empty() || !outbox::is_wanted(tx, workspace, &kinds).await? {
        return Ok(());
    }
    outbox::note(tx, &env.ids, workspace, fates.into_iter().map(|fate| fate.fact(env)), now).await
}

/// Returns a link as calls show it, without its clicks: what is told of those is told by itself.
fn shown(env: &Env, link: &Model) -> Value {
    let link = wire::link(&env.config, CountedLink { link: link.clone(), clicks: 0 });
    pb::to_json("Link", &link).into()
}
