//! A workspace that is deleted: gone at once for everybody, and erased bit by bit.

use chrono::Duration;
use linkforty::{
    attribution::decisions,
    pb::v1::{self, workspace_service_client::WorkspaceServiceClient},
    workspaces::{self, Role, ending, enter_as_operator},
};
use sea_orm::{ConnectionTrait as _, Statement};
use tonic::{Code, Status};

use crate::{
    accounts::{auth, settled_owner},
    members::client,
    support::{
        App, Bearer, HERE, Store, an_app, eventually, first_open, iphone, link, on_every_store, reason,
        report, request_id, stores, within, wrong,
    },
    workspaces::person,
};

async fn delete(app: &App, token: &str, asked: &v1::DeleteWorkspaceRequest) -> Result<(), Status> {
    client(app, token).await.delete_workspace(asked.clone()).await.map(drop)
}

fn of(workspace: &str, confirmation: &str) -> v1::DeleteWorkspaceRequest {
    v1::DeleteWorkspaceRequest {
        workspace_id: workspace.into(),
        confirmation: confirmation.into(),
        request_id: request_id(),
    }
}

/// How many rows every table has of the workspace.
async fn rows(app: &App, workspace: &str) -> Vec<(String, i64)> {
    let db = &app.env().db.api;
    let id = uuid::Uuid::parse_str(workspace).expect("an id");
    let mut rows = Vec::new();
    for table in ending::tables() {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE workspace_id = $1");
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [id.into()]);
        let row = db.query_one_raw(statement).await.expect("the table is there").expect("one row");
        let count: i64 = row.try_get_by_index(0).expect("a number");
        if count > 0 {
            rows.push((table.to_owned(), count));
        }
    }
    rows
}

#[tokio::test]
async fn only_the_owner_deletes_and_only_who_says_its_name() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let admin = person(app, "ann@example.com", Some((&id, Role::Admin))).await;
        let refused = delete(app, &admin, &of(&id, "My workspace")).await.expect_err("an admin");
        assert_eq!(reason(&refused), "PERMISSION_MISSING");
        for name in ["", "my workspace", "Another"] {
            let refused = delete(app, &owner, &of(&id, name)).await.expect_err("not its name");
            assert_eq!(wrong(&refused), ["confirmation"], "{name:?}");
        }
        let once = of(&id, "My workspace");
        delete(app, &owner, &once).await.expect("deletes");
        delete(app, &owner, &once).await.expect("a repeat");
        let refused = delete(app, &owner, &of(&id, "My workspace")).await.expect_err("is gone");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::NotFound, "NOT_FOUND"));
        let me = auth(app, &owner).await.get_me(v1::GetMeRequest {}).await.expect("is still somebody");
        assert!(me.into_inner().memberships.is_empty());
        // Nor does the operator bring it back.
        assert!(enter_as_operator(app.env(), Some(&id)).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn links_are_gone_and_keys_are_dead_on_every_node_at_once() {
    for store in stores() {
        let app = App::start(store).await;
        let beside = if store == Store::Production { Some(app.start_beside(&[]).await) } else { None };
        let there = beside.as_ref().unwrap_or(&app);
        let (owner, id) = settled_owner(&app).await;
        let tenant = app.tenant_of(&id).await;
        tenant.create(link("spring", "https://example.com/")).await;
        let token = tenant.app_token().await;
        for node in [&app, there] {
            assert_eq!(node.visit("/spring").await.status, 302, "on {store}");
            node.with_key(&id, tenant.key.clone()).await.overview("").await;
        }
        delete(&app, &owner, &of(&id, "My workspace")).await.expect("deletes");
        for node in [&app, there] {
            within(std::time::Duration::from_secs(1), "the link is gone", async || {
                node.visit("/spring").await.status == 410
            })
            .await;
            within(std::time::Duration::from_secs(1), "the key is dead", async || {
                let channel = node.channel().await;
                let mut with_key =
                    WorkspaceServiceClient::with_interceptor(channel, Bearer(tenant.key.clone()));
                let answer = with_key.get_workspace(v1::GetWorkspaceRequest::default()).await;
                answer.is_err_and(|status| reason(&status) == "CREDENTIALS_INVALID")
            })
            .await;
        }
        // Apps are let in for as long as nodes believe their tokens.
        app.clock.advance(Duration::seconds(11));
        let sdk = app.sdk(&token, HERE).await;
        let refused = crate::support::try_report(&sdk, first_open("deleted-0001", iphone())).await;
        assert_eq!(refused.expect_err("the token is dead").code(), Code::Unauthenticated, "on {store}");
        if let Some(beside) = beside {
            beside.stop().await;
        }
        app.stop().await;
    }
}

#[tokio::test]
async fn what_it_held_is_erased_and_what_others_hold_stays() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let tenant = app.tenant_of(&id).await;
        let other = app.another_tenant().await;
        for of in [&tenant, &other] {
            let code = if of.id == id { "ours" } else { "theirs" };
            let made = of.create(link(code, "https://example.com/")).await;
            of.alias(&made.id, &format!("{code}-too")).await.expect("adds");
            of.update(v1::Link { title: "changed".into(), etag: String::new(), ..made }, &["title"]).await;
            of.add_domain(&format!("{code}.shop.test")).await;
            of.create_app(an_app()).await;
            app.visit(&format!("/{code}")).await;
            let sdk = app.sdk(&of.app_token().await, HERE).await;
            report(&sdk, first_open(&format!("{code}-0001"), iphone())).await;
        }
        app.settled().await;
        eventually("the installs are stored", async || {
            rows(app, &other.id).await.iter().any(|(table, _)| table == "installs")
        })
        .await;
        // What is written a while later is written now.
        app.told().await;
        decisions::seal(app.env()).await.expect("seals");
        workspaces::keys::flush_last_use(app.env()).await.expect("writes");
        let theirs = rows(app, &other.id).await;
        assert!(theirs.len() > 10, "{theirs:?}");
        delete(app, &owner, &of(&id, "My workspace")).await.expect("deletes");
        ending::erase(app.env()).await.expect("erases");
        assert_eq!(rows(app, &id).await, []);
        let kept = |rows: Vec<(String, i64)>| {
            rows.into_iter().filter(|(table, _)| table != "idempotency_keys").collect::<Vec<_>>()
        };
        assert_eq!(kept(rows(app, &other.id).await), kept(theirs));
        assert_eq!(app.visit("/theirs").await.status, 302);
        // Its row stays a while, for what may still come in.
        let stays = async || {
            let found =
                workspaces::find(&app.env().db.api, linkforty::ids::WorkspaceId::parse(&id).expect("an id"));
            found.await.expect("the stores answer")
        };
        let row = stays().await.expect("is still there");
        assert_eq!((row.name.as_str(), row.settings), ("", None));
        app.clock.advance(Duration::days(8));
        ending::erase(app.env()).await.expect("erases");
        assert_eq!(stays().await, None);
    })
    .await;
}

/// A table that somebody adds is erased too, or this test fails.
#[tokio::test]
async fn every_table_of_workspaces_is_erased() {
    let app = App::start(Store::Embedded).await;
    let db = &app.env().db.api;
    let sql = "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'workspace_id'
        WHERE m.type = 'table' ORDER BY m.name";
    let found = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await;
    let found = found.expect("the catalogue answers");
    let mut found: Vec<String> = found.iter().map(|row| row.try_get_by_index(0).expect("text")).collect();
    let mut erased: Vec<String> =
        ending::tables().chain(ending::KEPT.iter().copied()).map(str::to_owned).collect();
    found.sort();
    erased.sort();
    assert_eq!(found, erased, "left: the schema, right: those of src/workspaces/ending.rs");
    app.stop().await;
}
