//! What the rooms promise under races, over two nodes and without a database. What a client sees is tested through the
//! door, in `tests/it`.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::Duration;
use tokio::sync::broadcast;

use super::{sessions::keyring, *};
use crate::{
    cache::{Away, Fanout, SharedCache, Signal, Topic},
    clock::{Moment, SettableClock, from_micros},
    config::Config,
    db,
    error::Reason,
    ids::{Ids, WorkspaceId},
    page::PageRequest,
    rpc::{Caller, Permission},
    workspaces::{
        Role, Tenant, enter, enter_as_operator,
        keys::{self, NewKey, Which},
    },
};

const NEW_PASSWORD: &str = "wir essen heute kuchen";

/// A fan-out inside the process, and a cache that never answers.
#[derive(Debug)]
struct Wire(broadcast::Sender<Signal>, Mutex<bool>);

#[async_trait]
impl Fanout for Wire {
    async fn publish(&self, _: Topic, message: Bytes) -> Result<(), Away> {
        if *self.1.lock().expect("no panic") {
            return Err(Away);
        }
        let _ = self.0.send(Signal::Message(message));
        Ok(())
    }
    fn subscribe(&self, _: Topic) -> broadcast::Receiver<Signal> {
        self.0.subscribe()
    }
}

#[async_trait]
impl SharedCache for Wire {
    async fn get(&self, _: &str) -> Result<Option<Bytes>, Away> {
        Err(Away)
    }
    async fn set(&self, _: &str, _: Bytes, _: std::time::Duration) -> Result<(), Away> {
        Err(Away)
    }
    async fn add(&self, _: &str, _: Bytes, _: std::time::Duration) -> Result<(), Away> {
        Err(Away)
    }
}

/// A database of its own, and as many nodes on it as are asked for.
struct World {
    clock: SettableClock,
    config: Arc<Config>,
    wire: Arc<Wire>,
    _folder: tempfile::TempDir,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "says where the private PostgreSQL of the tests is")]
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = match std::env::var("LINKFORTY_TEST_DATABASE_URL") {
            Ok(url) => Some(own_database(&url).await),
            Err(_) => None,
        };
        let config = Config::from_lookup(&|name| match name {
            "DATA_DIR" => Some(folder.path().display().to_string()),
            "DATABASE_URL" => database.clone(),
            "APP_ENV" => Some("test".into()),
            "DATABASE_POOL_MAX" => Some("8".into()),
            "DATABASE_ACQUIRE_TIMEOUT_MS" => Some("10000".into()),
            _ => None,
        })
        .expect("the settings are right");
        let wire = Arc::new(Wire(broadcast::channel(1024).0, Mutex::new(false)));
        let clock = SettableClock::at(from_micros(1_800_000_000_123_456));
        let world = Self { clock, config: Arc::new(config), wire, _folder: folder };
        db::migrate(&world.node(0).await.db.api).await.expect("migrates");
        world
    }

    async fn node(&self, seed: u64) -> Env {
        let wires = (self.wire.clone() as _, self.wire.clone() as _);
        Env::of_test(self.config.clone(), &self.clock, seed, wires).await
    }

    fn advance(&self, seconds: i64) {
        self.clock.advance(Duration::seconds(seconds));
    }
}

async fn own_database(url: &str) -> String {
    use sea_orm::ConnectionTrait as _;
    let name = format!("accounts_{}", uuid::Uuid::from_bytes(Ids::from_os().bytes()).simple());
    let server = sea_orm::Database::connect(url).await.expect("the server answers");
    server.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("creates");
    let mut url = url::Url::parse(url).expect("a URL");
    url.set_path(&name);
    url.into()
}

fn here() -> Client {
    Client {
        address: Some("203.0.113.7".parse().expect("an address")),
        user_agent: "a test".into(),
        request_id: None,
    }
}

async fn refresh(env: &Env, token: &str) -> Result<Tokens> {
    super::refresh(env, token, &here()).await
}

async fn sign_in(env: &Env, email: &str, password: &str) -> Result<(Tokens, User)> {
    match super::sign_in(env, email, password, &here()).await? {
        SignedIn::Session(tokens, user) => Ok((tokens, *user)),
        SignedIn::Challenge(_) => panic!("nobody here has a second factor"),
    }
}

async fn owner(env: &Env) -> FirstSignIn {
    bootstrap(env).await.expect("bootstraps").expect("nobody is here yet")
}

async fn signed_in(env: &Env) -> (Tokens, User) {
    let first = owner(env).await;
    sign_in(env, &first.email, &first.password).await.expect("signs in")
}

/// An owner who has changed their password, and their workspace.
async fn settled(env: &Env) -> (Caller, Tenant) {
    let first = owner(env).await;
    let (tokens, _) = sign_in(env, &first.email, &first.password).await.expect("signs in");
    let Caller::Person { user, session, .. } = authenticate(env, &tokens.access).await.expect("known") else {
        panic!("a person signed in");
    };
    let tokens = change_password(env, (user, session), (&first.password, NEW_PASSWORD), &here())
        .await
        .expect("changes");
    let caller = authenticate(env, &tokens.access).await.expect("known");
    let workspace = me(env, user).await.expect("is there").1.remove(0).workspace.id.to_string();
    let tenant = enter(env, &caller, &workspace, Permission::ApiKeysWrite).await.expect("owns it");
    (caller, tenant)
}

fn reason<T>(result: Result<T>) -> Reason {
    result.err().map_or(Reason::Unspecified, |error| error.reason())
}

async fn refused(env: &Env, bearer: &str) -> Reason {
    reason(authenticate(env, bearer).await)
}

#[tokio::test]
async fn one_owner_is_made_however_many_nodes_start() {
    let world = World::new().await;
    let mut nodes = Vec::new();
    for seed in 0..4 {
        nodes.push(world.node(seed).await);
    }
    let made = futures::future::join_all(nodes.iter().map(bootstrap)).await;
    let made: Vec<_> = made.into_iter().filter_map(|made| made.expect("bootstraps")).collect();
    assert_eq!(made.len(), 1);
    let (tokens, user) = sign_in(&nodes[0], &made[0].email, &made[0].password).await.expect("signs in");
    assert!(user.password_change_required);
    let (_, memberships) = me(&nodes[1], user.id).await.expect("is there");
    assert_eq!((memberships.len(), memberships[0].role), (1, Role::Owner));
    // Until the password is changed no workspace opens, on no node.
    let caller = authenticate(&nodes[2], &tokens.access).await.expect("known");
    let id = memberships[0].workspace.id.to_string();
    let entered = enter(&nodes[2], &caller, &id, Permission::LinksRead).await;
    assert_eq!(reason(entered), Reason::PasswordChangeRequired);
    assert!(bootstrap(&nodes[3]).await.expect("bootstraps").is_none());
}

#[tokio::test]
async fn twenty_refreshes_at_once_leave_one_line_of_tokens() {
    let world = World::new().await;
    let (env, other) = (world.node(1).await, world.node(2).await);
    let (tokens, _) = signed_in(&env).await;
    let racing = (0..20).map(|n| refresh(if n % 2 == 0 { &env } else { &other }, &tokens.refresh));
    let mut next: Vec<String> =
        futures::future::join_all(racing).await.into_iter().map(|t| t.expect("refreshes").refresh).collect();
    next.dedup();
    assert_eq!(next.len(), 1, "everybody holds the same token");
    let later = refresh(&env, &next[0]).await.expect("refreshes");
    assert!(authenticate(&other, &later.access).await.is_ok());
}

#[tokio::test]
async fn a_used_refresh_token_is_a_retry_for_thirty_seconds_and_then_a_theft() {
    let world = World::new().await;
    let (env, other) = (world.node(1).await, world.node(2).await);
    let (first, _) = signed_in(&env).await;
    let second = refresh(&env, &first.refresh).await.expect("refreshes");
    assert!(authenticate(&other, &second.access).await.is_ok());
    world.advance(30);
    let again = refresh(&other, &first.refresh).await.expect("the answer was lost");
    assert_eq!(again.refresh, second.refresh);
    world.advance(1);
    assert_eq!(reason(refresh(&env, &first.refresh).await), Reason::CredentialsInvalid);
    // The whole session is over, on every node and for everybody.
    assert_eq!(reason(refresh(&env, &second.refresh).await), Reason::CredentialsInvalid);
    assert_eq!(refused(&env, &second.access).await, Reason::CredentialsInvalid);
    assert_eq!(refused(&other, &again.access).await, Reason::CredentialsInvalid);
}

#[tokio::test]
async fn a_refresh_token_of_long_ago_ends_the_session_and_an_invented_one_does_not() {
    let world = World::new().await;
    let env = world.node(1).await;
    let (first, _) = signed_in(&env).await;
    let second = refresh(&env, &first.refresh).await.expect("refreshes");
    let third = refresh(&env, &second.refresh).await.expect("refreshes");
    let mut invented = third.refresh.clone();
    invented.replace_range(30..31, if invented.as_bytes()[30] == b'A' { "B" } else { "A" });
    assert_eq!(reason(refresh(&env, &invented).await), Reason::CredentialsInvalid);
    let fourth = refresh(&env, &third.refresh).await.expect("the session lives");
    assert_eq!(reason(refresh(&env, &first.refresh).await), Reason::CredentialsInvalid);
    assert_eq!(reason(refresh(&env, &fourth.refresh).await), Reason::CredentialsInvalid);
}

#[tokio::test]
async fn a_session_ends_after_14_idle_days_and_after_90_in_all() {
    let world = World::new().await;
    let env = world.node(1).await;
    let (mut tokens, user) = signed_in(&env).await;
    let day = 86_400;
    for _ in 0..6 {
        world.advance(14 * day - 1);
        tokens = refresh(&env, &tokens.refresh).await.expect("was used in time");
    }
    assert_eq!(tokens.refresh_expire_time, user_session_end(&env, &tokens).await);
    world.advance(6 * day + 6);
    assert_eq!(reason(refresh(&env, &tokens.refresh).await), Reason::CredentialsInvalid);
    assert_eq!(refused(&env, &tokens.access).await, Reason::CredentialsInvalid);
    assert_eq!(sweep(&env).await.expect("sweeps"), 0);
    world.advance(1);
    assert_eq!(sweep(&env).await.expect("sweeps"), 1);
    let idle = sign_in_again(&env, &user).await;
    world.advance(14 * day);
    assert_eq!(reason(refresh(&env, &idle.refresh).await), Reason::CredentialsInvalid);
}

async fn user_session_end(env: &Env, tokens: &Tokens) -> Moment {
    let session = keyring(env).read_refresh(&tokens.refresh).expect("ours").session;
    store::find_session(&env.db.api, session).await.expect("reads").expect("is there").expire_time
}

async fn sign_in_again(env: &Env, user: &User) -> Tokens {
    let reset = people::reset_password(env, &user.email).await.expect("resets");
    sign_in(env, &reset.email, &reset.password).await.expect("signs in").0
}

#[tokio::test]
async fn signing_out_is_known_at_once_on_every_node_that_hears_of_it() {
    let world = World::new().await;
    let (env, other) = (world.node(1).await, world.node(2).await);
    let (tokens, user) = signed_in(&env).await;
    let Caller::Person { session, .. } = authenticate(&env, &tokens.access).await.expect("known") else {
        panic!("a person signed in");
    };
    assert!(authenticate(&other, &tokens.access).await.is_ok());
    sign_out(&env, (user.id, session), &here()).await.expect("signs out");
    assert_eq!(refused(&env, &tokens.access).await, Reason::CredentialsInvalid);
    assert_eq!(refused(&other, &tokens.access).await, Reason::CredentialsInvalid);
    assert_eq!(reason(refresh(&env, &tokens.refresh).await), Reason::CredentialsInvalid);

    // With the fan-out away it is still known here at once, and there after ten seconds.
    let tokens = sign_in_again(&env, &user).await;
    let session = keyring(&env).read_refresh(&tokens.refresh).expect("ours").session;
    assert!(authenticate(&env, &tokens.access).await.is_ok());
    assert!(authenticate(&other, &tokens.access).await.is_ok());
    *world.wire.1.lock().expect("no panic") = true;
    sign_out(&env, (user.id, session), &here()).await.expect("signs out");
    assert_eq!(refused(&env, &tokens.access).await, Reason::CredentialsInvalid);
    assert!(authenticate(&other, &tokens.access).await.is_ok());
    world.advance(10);
    assert_eq!(refused(&other, &tokens.access).await, Reason::CredentialsInvalid);
}

#[tokio::test]
async fn a_password_change_ends_every_other_session_even_one_that_begins_meanwhile() {
    let world = World::new().await;
    let (env, other) = (world.node(1).await, world.node(2).await);
    let first = owner(&env).await;
    let (old, _) = sign_in(&other, &first.email, &first.password).await.expect("signs in");
    let (mine, user) = sign_in(&env, &first.email, &first.password).await.expect("signs in");
    let session = keyring(&env).read_refresh(&mine.refresh).expect("ours").session;
    // So many at once from one network would have to wait for each other.
    let elsewhere = Client::default();
    let (changed, sign_ins) = tokio::join!(
        change_password(&env, (user.id, session), (&first.password, NEW_PASSWORD), &elsewhere),
        futures::future::join_all((0..4).map(|_| sign_in(&other, &first.email, &first.password))),
    );
    let changed = changed.expect("changes");
    assert_eq!(refused(&other, &old.access).await, Reason::CredentialsInvalid);
    for (tokens, _) in sign_ins.into_iter().flatten() {
        assert_eq!(refused(&env, &tokens.access).await, Reason::CredentialsInvalid);
        assert_eq!(reason(refresh(&env, &tokens.refresh).await), Reason::CredentialsInvalid);
    }
    // This one goes on, with new tokens, and may do more than before.
    let caller = authenticate(&other, &changed.access).await.expect("known");
    assert!(matches!(caller, Caller::Person { password_change_required: false, .. }));
    assert!(refresh(&other, &changed.refresh).await.is_ok());
    assert_eq!(reason(sign_in(&env, &first.email, &first.password).await), Reason::SignInFailed);
    assert!(sign_in(&env, &first.email, NEW_PASSWORD).await.is_ok());
}

#[tokio::test]
async fn of_two_password_changes_at_once_one_wins() {
    let world = World::new().await;
    let env = world.node(1).await;
    let first = owner(&env).await;
    let (tokens, user) = sign_in(&env, &first.email, &first.password).await.expect("signs in");
    let session = keyring(&env).read_refresh(&tokens.refresh).expect("ours").session;
    let here = here();
    let change = |new| change_password(&env, (user.id, session), (&first.password, new), &here);
    let (one, two) = tokio::join!(change(NEW_PASSWORD), change("la lune est belle ce soir"));
    assert_eq!(one.is_ok(), two.is_err());
    assert_eq!(reason(if one.is_ok() { two } else { one }), Reason::SignInFailed);
}

#[tokio::test]
async fn a_flood_of_passwords_is_turned_away_instead_of_queued() {
    let world = World::new().await;
    let env = world.node(1).await;
    let flood = (0..60).map(|_| password::verify(&env, "x", None));
    let flood = futures::future::join_all(flood).await;
    let turned_away: Vec<_> = flood
        .iter()
        .filter_map(|r| r.as_ref().err())
        .filter(|e| e.reason() == Reason::ServerOverloaded)
        .collect();
    assert!(!turned_away.is_empty() && turned_away.len() < 60, "{}", turned_away.len());
    assert!(turned_away.iter().all(|error| error.retry_delay().is_some()));
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_on_every_node() {
    let world = World::new().await;
    let (env, other) = (world.node(1).await, world.node(2).await);
    let (_, tenant) = settled(&env).await;
    let new = NewKey::new("ci", vec![Permission::LinksRead]);
    let made = keys::create(&env, &tenant, new, None).await.expect("creates");
    let secret = made.secret.expect("shown once");
    for node in [&env, &other] {
        let caller = authenticate(node, &secret).await.expect("known");
        assert!(enter(node, &caller, "", Permission::LinksRead).await.is_ok());
        assert_eq!(reason(enter(node, &caller, "", Permission::LinksWrite).await), Reason::PermissionMissing);
        let foreign = WorkspaceId::mint(&env.ids, env.now()).to_string();
        let entered = enter(node, &caller, &foreign, Permission::LinksRead).await;
        assert_eq!(reason(entered), Reason::NotFound);
    }
    let revoked = keys::revoke(&env, &tenant, made.key.id).await.expect("revokes");
    assert_eq!(refused(&env, &secret).await, Reason::CredentialsInvalid);
    assert_eq!(refused(&other, &secret).await, Reason::CredentialsInvalid);
    world.advance(5);
    let again = keys::revoke(&env, &tenant, made.key.id).await.expect("idempotent");
    assert_eq!(again.revoke_time, revoked.revoke_time);
}

#[tokio::test]
async fn without_a_database_only_what_was_just_believed_is_let_in() {
    let world = World::new().await;
    let env = world.node(1).await;
    let (_, tenant) = settled(&env).await;
    let new = || NewKey::new("ci", vec![Permission::LinksRead]);
    let used = keys::create(&env, &tenant, new(), None).await.expect("creates").secret.expect("shown");
    let unused = keys::create(&env, &tenant, new(), None).await.expect("creates").secret.expect("shown");
    assert!(authenticate(&env, &used).await.is_ok());
    env.db.api.close_by_ref().await.expect("closes");
    assert!(authenticate(&env, &used).await.is_ok());
    assert_eq!(refused(&env, &unused).await, Reason::StoreUnavailable);
    // A wrong checksum needs no database to be refused.
    let wrong = format!("{}x", &unused[..unused.len() - 1]);
    assert_eq!(refused(&env, &wrong).await, Reason::CredentialsInvalid);
    world.advance(10);
    assert_eq!(refused(&env, &used).await, Reason::StoreUnavailable);
}

#[tokio::test]
async fn a_key_expires_by_the_clock_even_while_it_is_believed() {
    let world = World::new().await;
    let env = world.node(1).await;
    let (_, tenant) = settled(&env).await;
    let expire_time = Some(env.now() + Duration::seconds(5));
    let new = NewKey { expire_time, ..NewKey::new("ci", vec![Permission::LinksRead]) };
    let secret = keys::create(&env, &tenant, new, None).await.expect("creates").secret.expect("shown");
    assert!(authenticate(&env, &secret).await.is_ok());
    world.advance(5);
    assert_eq!(refused(&env, &secret).await, Reason::CredentialsInvalid);
}

#[tokio::test]
async fn the_last_use_of_a_key_is_written_now_and_then() {
    let world = World::new().await;
    let env = world.node(1).await;
    let (_, tenant) = settled(&env).await;
    let new = NewKey::new("ci", vec![Permission::LinksRead]);
    let secret = keys::create(&env, &tenant, new, None).await.expect("creates").secret.expect("shown");
    let last_use = async || {
        let page = PageRequest { size: 10, after: None };
        keys::list(&env, &tenant, Which::All, &page).await.expect("lists").items.remove(0).last_use_time
    };
    assert_eq!(last_use().await, None);
    authenticate(&env, &secret).await.expect("known");
    keys::flush_last_use(&env).await.expect("writes");
    let first = last_use().await.expect("was used");
    assert!(first <= env.now() && env.now() - first < Duration::minutes(1) && first.timestamp() % 60 == 0);
    world.advance(60);
    authenticate(&env, &secret).await.expect("known");
    keys::flush_last_use(&env).await.expect("writes");
    assert_eq!(last_use().await, Some(first + Duration::minutes(1)));
}

#[tokio::test]
async fn the_operator_adds_people_resets_passwords_and_lists_them() {
    let world = World::new().await;
    let env = world.node(1).await;
    let (_, tenant) = settled(&env).await;
    let operator = enter_as_operator(&env, Some(&tenant.id.to_string())).await.expect("exists");
    assert_eq!(enter_as_operator(&env, None).await.expect("there is one"), operator);
    let place = Some((&operator, Role::Viewer));
    let added = people::create(&env, " Ann@Example.com", "Ann", place).await.expect("adds");
    assert_eq!(added.email, "ann@example.com");
    assert_eq!(reason(people::create(&env, "ann@example.com", "", None).await), Reason::AlreadyExists);
    let place = Some((&operator, Role::Owner));
    assert_eq!(reason(people::create(&env, "bob@example.com", "", place).await), Reason::InvalidFields);
    let wrong = people::create(&env, "bob", "a\nb", None).await.expect_err("two faults");
    assert_eq!(wrong.violations().len(), 2);

    let page = PageRequest { size: 1, after: None };
    let listed = people::list(&env, &page).await.expect("lists");
    assert_eq!(listed.items[0].email, "ann@example.com");
    let listed = people::list(&env, &PageRequest { size: 1, after: listed.next }).await.expect("lists");
    assert_eq!((listed.items[0].email.as_str(), listed.next), ("owner@localhost", None));

    let (tokens, ann) = sign_in(&env, &added.email, &added.password).await.expect("signs in");
    assert_eq!(me(&env, ann.id).await.expect("is there").1[0].role, Role::Viewer);
    authenticate(&env, &tokens.access).await.expect("known");
    let reset = people::reset_password(&env, "ANN@example.com").await.expect("resets");
    assert_eq!(refused(&env, &tokens.access).await, Reason::CredentialsInvalid);
    assert_eq!(reason(sign_in(&env, &added.email, &added.password).await), Reason::SignInFailed);
    assert!(sign_in(&env, &reset.email, &reset.password).await.expect("signs in").1.password_change_required);
    assert_eq!(reason(people::reset_password(&env, "nobody@example.com").await), Reason::NotFound);
    assert_eq!(reason(enter_as_operator(&env, Some("x")).await), Reason::NotFound);
}
