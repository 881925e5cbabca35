//! What the audit trail says of accounts: things that happen to people and not in a workspace.

use sea_orm::{ConnectionTrait, DbErr};

use crate::{
    clock::Moment,
    env::Env,
    ids::UserId,
    trail::{self, Action, Actor, Changes},
};

/// Notes what somebody did to an account; `None`: to one that does not exist.
pub(super) async fn note(
    env: &Env,
    tx: &impl ConnectionTrait,
    actor: Actor,
    (action, user, changes): (Action, Option<UserId>, Changes),
    now: Moment,
) -> Result<(), DbErr> {
    let target = user.map(|user| user.0);
    trail::note(tx, &env.ids, [actor.did(None, action, target, changes)], now).await
}
