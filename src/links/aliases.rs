//! Further codes of a link. Each is a row of `links` that names its link and has nothing else, because only so does one unique
//! index know all codes; the link names them too, so that whoever has it knows whom to tell.

use sea_orm::DatabaseTransaction;
use serde_json::Value;

use super::{
    Alphabet, CODE_ATTEMPTS, CodeStyle, CountedLink, Shown, changes::Changes, code_taken, codes, home_of,
    made_earlier, store, told, told::Fate, unknown,
};
use crate::{
    clock::Moment,
    domains,
    entity::link::Model,
    env::Env,
    error::{Error, Reason, Result},
    idempotency::{self, Claim, Request},
    ids::LinkId,
    trail::{self, Action},
    workspaces::Tenant,
};

/// How many further codes a link may have.
const MOST: usize = 50;

/// Gives a link a further code: the one asked for, or any.
pub async fn add_alias(
    env: &Env,
    tenant: &Tenant,
    id: LinkId,
    asked: Option<String>,
    request: Option<Request>,
) -> Result<Shown> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return made_earlier(&tx, tenant, &id).await;
    }
    let stored = store::lock(&tx, tenant, [id]).await?.remove(&id).ok_or_else(unknown)?;
    let mut aliases = aliases_of(&stored);
    if aliases.len() >= MOST {
        return Err(Error::new(Reason::TooManyAliases, "the link has 50 aliases"));
    }
    let alphabet = alphabet_of(&tx, tenant, &stored).await?;
    let asked = asked.map(|asked| alphabet.kept(asked));
    let mut code = asked.clone().unwrap_or_else(|| codes::generate(env, CodeStyle::Short, alphabet));
    for attempt in 1.. {
        let row = row(&stored, LinkId::mint(&env.ids, now), code.clone(), now);
        if !store::insert(&tx, vec![row]).await?.is_empty() {
            break;
        }
        if asked.is_some() {
            return Err(code_taken(&code));
        }
        if attempt == CODE_ATTEMPTS {
            return Err(Error::internal("no generated code was free"));
        }
        code = codes::again(env, CodeStyle::Short, alphabet);
    }
    let did = tenant.did(Action::LinkAliasAdded, id.0, trail::Changes::none().with("alias", code.clone()));
    trail::note(&tx, &env.ids, [did], now).await?;
    aliases.push(code);
    let link = with(stored.clone(), aliases, now);
    told::note(env, &tx, tenant.id, [Fate::Updated(&stored, &link)], now).await?;
    let clicks = finish(env, tenant, tx, request.as_ref(), (&link, &link), now).await?;
    Ok(Shown::Link(CountedLink { link, clicks }))
}

/// Takes a further code from a link.
pub async fn remove_alias(
    env: &Env,
    tenant: &Tenant,
    id: LinkId,
    alias: &str,
    request: Option<Request>,
) -> Result<Shown> {
    let now = env.now();
    let tx = env.db.begin().await?;
    if let Claim::Made(id) = idempotency::claim(&tx, request.as_ref(), now).await? {
        return made_earlier(&tx, tenant, &id).await;
    }
    let stored = store::lock(&tx, tenant, [id]).await?.remove(&id).ok_or_else(unknown)?;
    let alias = alphabet_of(&tx, tenant, &stored).await?.kept(alias.to_owned());
    if !store::remove_alias(&tx, tenant.id, id, &alias).await? {
        return Err(Error::not_found("alias"));
    }
    let did = tenant.did(Action::LinkAliasRemoved, id.0, trail::Changes::none().with("alias", alias.clone()));
    trail::note(&tx, &env.ids, [did], now).await?;
    let rest = aliases_of(&stored).into_iter().filter(|known| *known != alias).collect();
    let link = with(stored.clone(), rest, now);
    told::note(env, &tx, tenant.id, [Fate::Updated(&stored, &link)], now).await?;
    let clicks = finish(env, tenant, tx, request.as_ref(), (&link, &stored), now).await?;
    Ok(Shown::Link(CountedLink { link, clicks }))
}

/// Stores the link as it is now, and tells of every code that it has or had.
async fn finish(
    env: &Env,
    tenant: &Tenant,
    tx: DatabaseTransaction,
    request: Option<&Request>,
    (link, told): (&Model, &Model),
    now: Moment,
) -> Result<i64> {
    store::save(&tx, tenant.id, std::slice::from_ref(link)).await?;
    let clicks = store::clicks_of(&tx, tenant.id, [link.id]).await?.remove(&link.id).unwrap_or(0);
    idempotency::made(&tx, request, link.id.to_string()).await?;
    let changes = Changes::of([told], now);
    changes.notify(&tx).await?;
    changes.commit(env, tx).await?;
    Ok(clicks)
}

/// Returns what the codes of a link are made of.
async fn alphabet_of(tx: &DatabaseTransaction, tenant: &Tenant, link: &Model) -> Result<Alphabet> {
    let homes = domains::homes(tx, tenant, domains::host_of(&link.domain)).await?;
    Ok(Alphabet::of(home_of(&homes, link)))
}

fn aliases_of(link: &Model) -> Vec<String> {
    let aliases = link.aliases.as_array().into_iter().flatten();
    aliases.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn with(link: Model, aliases: Vec<String>, now: Moment) -> Model {
    Model { aliases: aliases.into(), version: link.version + 1, update_time: now, ..link }
}

/// Returns the row of a further code. It is listed, found and changed nowhere, and says nothing but whose it is.
fn row(link: &Model, id: LinkId, short_code: String, now: Moment) -> Model {
    Model {
        id,
        workspace_id: link.workspace_id,
        domain: link.domain.clone(),
        short_code,
        alias_of: Some(link.id),
        destination_url: String::new(),
        title: String::new(),
        description: String::new(),
        ios_url: String::new(),
        android_url: String::new(),
        web_url: String::new(),
        app_scheme: String::new(),
        ios_universal_link: String::new(),
        android_app_link: String::new(),
        deep_link_path: String::new(),
        deep_link_parameters: serde_json::json!({}),
        utm: serde_json::json!({}),
        append_click_id: false,
        forward_query: true,
        routing_rules: None,
        // To the version before, which knows nothing of further codes, it is a link that is switched off.
        active: false,
        start_time: None,
        expire_time: None,
        max_clicks: 0,
        tags: serde_json::json!([]),
        targeting: None,
        og: None,
        warn_time: None,
        disable_time: None,
        disable_reason: String::new(),
        password_hash: None,
        launchpad_mode: 0,
        routing_tests: None,
        project_id: None,
        template_id: None,
        external_id: None,
        external_user_id: String::new(),
        reuse_key: None,
        source: String::new(),
        archived: false,
        attribution_window: 0,
        event_attribution_window: 0,
        redirect_status: 0,
        cache_seconds: 0,
        aliases: serde_json::json!([]),
        version: 1,
        create_time: now,
        update_time: now,
    }
}
