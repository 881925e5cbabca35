//! `linkforty.v1.ApiKeyService`.

use chrono::Duration;
use prost::Message as _;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;

use super::{
    DayOfUse, Key, NewKey, Which, ids_of, max_life,
    rotate::{DEFAULT_OVERLAP, MAX_OVERLAP, Rotation},
    scopes_of,
    secret::Mode,
};
use crate::{
    clock::{Moment, cut, from_micros},
    env::Env,
    error::{Error, Result, Violations},
    ids::{ApiKeyId, DomainId, ProjectId, parse as parse_id},
    pb::v1::{self, api_key_service_server::ApiKeyService},
    rpc::{Permission, answer, moment, open, timestamp},
    workspaces::{enter, grpc::request_id, name},
};

/// How far back the use of keys can be asked for, in days, and how far it is if nobody says.
const MAX_DAYS: i32 = 400;
const DEFAULT_DAYS: i32 = 30;
/// How many projects and how many domains a key can be bound to.
const MAX_BOUND: usize = 50;
const BAD_DAYS: &str = "must be 0 to 400";

/// The service.
#[derive(Debug, Clone)]
pub struct ApiKeyApi {
    env: Env,
}

impl ApiKeyApi {
    /// Returns the service.
    pub fn new(env: Env) -> Self {
        Self { env }
    }
}

#[async_trait]
impl ApiKeyService for ApiKeyApi {
    async fn create_api_key(
        &self,
        request: Request<v1::CreateApiKeyRequest>,
    ) -> Result<Response<v1::CreateApiKeyResponse>, Status> {
        answer(async {
            let (caller, mut asked) = open(request)?;
            let tenant = enter(&self.env, &caller, &asked.workspace_id, Permission::ApiKeysWrite).await?;
            let once = std::mem::take(&mut asked.request_id);
            let content = asked.encode_to_vec();
            let mut violations = Violations::default();
            let new = parse(&asked.api_key.unwrap_or_default(), self.env.now(), &mut violations);
            let once =
                request_id(&once, tenant.id, tenant.principal, "CreateApiKey", &content, &mut violations);
            let (new, once) = violations.into_result((new, once))?;
            let made = super::create(&self.env, &tenant, new, once.as_ref()).await?;
            Ok(v1::CreateApiKeyResponse {
                api_key: Some(made.key.into()),
                secret: made.secret.unwrap_or_default(),
            })
        })
        .await
    }

    async fn list_api_keys(
        &self,
        request: Request<v1::ListApiKeysRequest>,
    ) -> Result<Response<v1::ListApiKeysResponse>, Status> {
        answer(async {
            let (caller, asked) = open(request)?;
            let tenant = enter(&self.env, &caller, &asked.workspace_id, Permission::ApiKeysRead).await?;
            let now = self.env.now();
            let which = which(&asked)?;
            let question =
                [b"ListApiKeys".as_slice(), tenant.id.0.as_bytes(), which.name().as_slice()].concat();
            let page = self.env.pages.request(asked.page_size, &asked.page_token, &question, now)?;
            let page = super::list(&self.env, &tenant, which, &page).await?;
            Ok(v1::ListApiKeysResponse {
                next_page_token: self.env.pages.token(page.next.as_ref(), &question, now),
                api_keys: page.items.into_iter().map(v1::ApiKey::from).collect(),
            })
        })
        .await
    }

    async fn get_api_key_usage(
        &self,
        request: Request<v1::GetApiKeyUsageRequest>,
    ) -> Result<Response<v1::GetApiKeyUsageResponse>, Status> {
        answer(async {
            let (caller, asked) = open(request)?;
            let tenant = enter(&self.env, &caller, &asked.workspace_id, Permission::ApiKeysRead).await?;
            let days = days("days", asked.days)?;
            let (key, days) = super::usage(&self.env, &tenant, key_id(&asked.api_key_id)?, days).await?;
            Ok(v1::GetApiKeyUsageResponse {
                api_key: Some(key.into()),
                days: days.into_iter().map(v1::ApiKeyDay::from).collect(),
            })
        })
        .await
    }

    async fn rotate_api_key(
        &self,
        request: Request<v1::RotateApiKeyRequest>,
    ) -> Result<Response<v1::RotateApiKeyResponse>, Status> {
        answer(async {
            let (caller, mut asked) = open(request)?;
            let tenant = enter(&self.env, &caller, &asked.workspace_id, Permission::ApiKeysWrite).await?;
            let once = std::mem::take(&mut asked.request_id);
            let content = asked.encode_to_vec();
            let id = key_id(&asked.api_key_id)?;
            let mut violations = Violations::default();
            let how = rotation(&asked, self.env.now(), &mut violations);
            let once =
                request_id(&once, tenant.id, tenant.principal, "RotateApiKey", &content, &mut violations);
            let (how, once) = violations.into_result((how, once))?;
            let made = super::rotate::rotate(&self.env, &tenant, id, how, once.as_ref()).await?;
            Ok(v1::RotateApiKeyResponse {
                api_key: Some(made.key.into()),
                secret: made.secret.unwrap_or_default(),
            })
        })
        .await
    }

    async fn revoke_api_key(
        &self,
        request: Request<v1::RevokeApiKeyRequest>,
    ) -> Result<Response<v1::RevokeApiKeyResponse>, Status> {
        answer(async {
            let (caller, asked) = open(request)?;
            let tenant = enter(&self.env, &caller, &asked.workspace_id, Permission::ApiKeysWrite).await?;
            let revoked = super::revoke(&self.env, &tenant, key_id(&asked.api_key_id)?).await?;
            Ok(v1::RevokeApiKeyResponse { api_key: Some(revoked.into()) })
        })
        .await
    }
}

fn key_id(text: &str) -> Result<ApiKeyId> {
    ApiKeyId::parse(text).ok_or_else(|| Error::not_found("API key"))
}

fn days(field: &str, asked: i32) -> Result<i32> {
    match asked {
        0 => Ok(DEFAULT_DAYS),
        1..=MAX_DAYS => Ok(asked),
        _ => Err(Error::invalid_field(field, BAD_DAYS)),
    }
}

fn which(asked: &v1::ListApiKeysRequest) -> Result<Which> {
    if !asked.stale {
        return Ok(Which::All);
    }
    Ok(Which::Stale(Duration::days(days("unused_days", asked.unused_days)?.into())))
}

/// Reads how a key is rotated, and notes everything that is wrong with it. How long keys for trying things out live the room knows.
fn rotation(asked: &v1::RotateApiKeyRequest, now: Moment, violations: &mut Violations) -> Rotation {
    let overlap = asked.overlap.map_or(DEFAULT_OVERLAP, |overlap| {
        let nanos = u32::try_from(overlap.nanos).ok();
        let read = nanos.and_then(|nanos| Duration::new(overlap.seconds, nanos));
        read.filter(|read| (Duration::zero()..=MAX_OVERLAP).contains(read)).unwrap_or_else(|| {
            violations.add("overlap", "must be 0 to 7 days");
            DEFAULT_OVERLAP
        })
    });
    let expire_time = asked.expire_time.map(|time| moment(&time).map(cut).unwrap_or_default());
    check_end("expire_time", expire_time, Mode::Live, now, violations);
    Rotation { overlap, expire_time }
}

fn check_end(field: &str, end: Option<Moment>, mode: Mode, now: Moment, violations: &mut Violations) {
    if end.is_some_and(|end| end <= now || end > now + max_life(mode)) {
        let days = max_life(mode).num_days();
        violations.add(field, format!("must be in the future and at most {days} days away"));
    }
}

/// Reads a new key, and notes everything that is wrong with it.
fn parse(key: &v1::ApiKey, now: Moment, violations: &mut Violations) -> NewKey {
    let name = violations.take("api_key.name", name(&key.name)).unwrap_or_default();
    let mut scopes = Vec::new();
    if key.scopes.is_empty() {
        violations.add("api_key.scopes", "must name at least one scope");
    }
    for (place, number) in key.scopes.iter().enumerate() {
        match v1::Scope::try_from(*number).ok().and_then(Permission::of_scope) {
            Some(scope) if scopes.contains(&scope) => {}
            Some(scope) => scopes.push(scope),
            None => violations.add(format!("api_key.scopes[{place}]"), "is not a scope"),
        }
    }
    let expire_time = key.expire_time.map(|time| moment(&time).map(cut).unwrap_or_default());
    let mode = if key.test { Mode::Test } else { Mode::Live };
    check_end("api_key.expire_time", expire_time, mode, now, violations);
    let projects = bound(&key.project_ids, "api_key.project_ids", violations);
    let domains = bound(&key.domain_ids, "api_key.domain_ids", violations);
    if !(projects.is_empty() && domains.is_empty()) && !scopes.iter().all(|scope| scope.is_about_links()) {
        let only = "of a key that is bound to projects or domains can only be links.read, links.write and links.export";
        violations.add("api_key.scopes", only);
    }
    let (projects, domains) =
        (projects.into_iter().map(ProjectId).collect(), domains.into_iter().map(DomainId).collect());
    NewKey { expire_time, mode, projects, domains, ..NewKey::new(name, scopes) }
}

/// Reads what a key is bound to, each once.
fn bound(ids: &[String], field: &str, violations: &mut Violations) -> Vec<Uuid> {
    let mut read = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        match parse_id(id) {
            Some(id) if read.contains(&id) => {}
            Some(id) => read.push(id),
            None => violations.add(format!("{field}[{place}]"), "must be a UUID"),
        }
    }
    if ids.len() > MAX_BOUND {
        violations.add(field, "must be at most 50");
    }
    read
}

impl From<Key> for v1::ApiKey {
    fn from(key: Key) -> Self {
        let scopes = scopes_of(&key).into_iter().map(|scope| scope.scope().into()).collect();
        let ids = |stored: Option<&serde_json::Value>| {
            stored.into_iter().flat_map(ids_of).map(|id| id.to_string()).collect::<Vec<_>>()
        };
        let (project_ids, domain_ids) = (ids(key.project_ids.as_ref()), ids(key.domain_ids.as_ref()));
        // The hash stays here.
        let Key {
            id,
            workspace_id,
            name,
            prefix,
            secret_hash: _,
            scopes: _,
            create_time,
            expire_time,
            revoke_time,
            last_use_time,
            test,
            previous_hash: _,
            previous_expire_time,
            rotate_time,
            project_ids: _,
            domain_ids: _,
            warned_days: _,
            certificate_name,
        } = key;
        Self {
            id: id.to_string(),
            workspace_id: workspace_id.to_string(),
            name,
            scopes,
            prefix,
            expire_time: Some(timestamp(expire_time)),
            create_time: Some(timestamp(create_time)),
            revoke_time: revoke_time.map(timestamp),
            last_use_time: last_use_time.map(timestamp),
            test,
            rotate_time: rotate_time.map(timestamp),
            previous_expire_time: previous_expire_time.map(timestamp),
            project_ids,
            domain_ids,
            certificate_name: certificate_name.unwrap_or_default(),
        }
    }
}

impl From<DayOfUse> for v1::ApiKeyDay {
    fn from(day: DayOfUse) -> Self {
        let date = from_micros(i64::from(day.day) * 86_400_000_000).date_naive();
        Self { date: date.to_string(), calls: day.calls, errors: day.errors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(key: &v1::ApiKey) -> Vec<String> {
        let mut violations = Violations::default();
        parse(key, from_micros(1_800_000_000_000_000), &mut violations);
        violations.into_inner().into_iter().map(|violation| violation.field).collect()
    }

    fn good() -> v1::ApiKey {
        v1::ApiKey { name: "ci".into(), scopes: vec![2, 1, 2], ..v1::ApiKey::default() }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let expire_time = Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 });
        let key = v1::ApiKey { scopes: vec![1, 0, 99], expire_time, ..v1::ApiKey::default() };
        let fields = ["api_key.name", "api_key.scopes[1]", "api_key.scopes[2]", "api_key.expire_time"];
        assert_eq!(wrong(&key), fields);
        assert_eq!(wrong(&v1::ApiKey { scopes: vec![], ..good() }), ["api_key.scopes"]);
    }

    #[test]
    fn scopes_are_told_once_each_in_their_order() {
        let mut violations = Violations::default();
        let new = parse(&good(), from_micros(0), &mut violations);
        assert_eq!(new.scopes, [Permission::LinksWrite, Permission::LinksRead]);
        assert!(violations.is_empty());
    }

    #[test]
    fn a_key_lives_366_days_at_the_most() {
        for (seconds, fine) in [
            (1_800_000_001, true),
            (1_800_000_000 + 366 * 86_400, true),
            (1_800_000_001 + 366 * 86_400, false),
            (1_799_999_999, false),
            (i64::MAX, false),
            (i64::MIN, false),
        ] {
            let expire_time = Some(prost_types::Timestamp { seconds, nanos: 0 });
            assert_eq!(wrong(&v1::ApiKey { expire_time, ..good() }).is_empty(), fine, "{seconds}");
        }
    }
}
