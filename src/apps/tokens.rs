//! The tokens of apps: publishable, and enough to say which app calls.
//!
//! Each node asks the database at most every ten seconds for one token. While the database is away what was known goes on being
//! believed, for as long as links are: an app that could report its install a minute ago still can.

use std::{collections::HashMap, sync::Arc};

use sea_orm::{ConnectionTrait, DbErr};

use super::{content_of, store};
use crate::{
    cache::Recall,
    entity::{app, workspace},
    env::Env,
    error::Result,
    ids::{AppId, Ids, WorkspaceId},
    pb::v1,
};

/// What every token begins with, and neither an API key nor an access token does.
pub const START: &str = "at_";
const DIGITS: usize = 32;
const HEX: &[u8] = b"0123456789abcdef";
/// How many tokens are remembered, good and bad ones apart.
const REMEMBERED: usize = 10_000;

/// An app, known by its token.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Which.
    pub app: AppId,
    /// The app as it is stored.
    pub content: v1::App,
    /// What the workspace says of matching by likeness, where the app does not.
    pub probabilistic: bool,
    /// What the operator says the workspace may have, where that is not the default.
    pub quotas: Option<serde_json::Value>,
}

/// Makes a token.
pub(super) fn mint(ids: &Ids) -> String {
    format!("{START}{}", ids.text(HEX, DIGITS))
}

/// Says whether a text can be a token.
pub fn is_token(text: &str) -> bool {
    text.strip_prefix(START)
        .is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|byte| HEX.contains(&byte)))
}

/// Returns the app whose token this is. `None`: nobody's, one that is over, or one of a suspended workspace.
pub async fn holder(env: &Env, token: &str) -> Result<Option<Arc<Holder>>> {
    if !is_token(token) {
        return Ok(None);
    }
    let (now, bound) = (env.now(), env.config.cache.max_stale_if_error);
    let remembered = env.memory.of(|| Recall::<String, Holder>::new(REMEMBERED));
    let find = store::holder(&env.db.lookup, token, now);
    remembered.ask(&token.to_owned(), now, bound, find).await
}

/// Returns the app whose token this was when somebody called with it last, as far as this node remembers. Good enough to count calls by.
pub fn known(env: &Env, token: &str) -> Option<Arc<Holder>> {
    env.memory.of(|| Recall::<String, Holder>::new(REMEMBERED)).known(&token.to_owned())
}

/// Returns the newest token of each app.
pub(super) async fn newest(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    apps: &[AppId],
) -> Result<HashMap<AppId, String>, DbErr> {
    let tokens = store::tokens(db, workspace, apps).await?;
    // The one before which all others were given an end.
    let newest = tokens.into_iter().filter(|token| token.expire_time.is_none());
    Ok(newest.map(|token| (token.app_id, token.token)).collect())
}

pub(super) fn holder_of(app: &app::Model, workspace: workspace::Model) -> Holder {
    use prost::Message as _;
    let settings = workspace.settings.as_deref();
    let settings =
        settings.and_then(|settings| v1::WorkspaceSettings::decode(settings).ok()).unwrap_or_default();
    Holder {
        workspace: app.workspace_id,
        app: app.id,
        content: content_of(app),
        probabilistic: settings.probabilistic_matching != Some(false),
        quotas: workspace.quotas,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_told_from_everything_else() {
        let token = mint(&Ids::seeded(1));
        assert!(is_token(&token), "{token}");
        for other in
            ["", "at_", "at_0123", &token[1..], &token.to_uppercase(), &format!("{token}0"), "lf_0123456789"]
        {
            assert!(!is_token(other), "{other}");
        }
    }
}
