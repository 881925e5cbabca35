//! Who did what: noted with what was done, shown to those who may see it, and never rewritten unseen.

use std::collections::BTreeSet;

use linkforty::{
    audit::{self, Head, Verdict, chain::Fault},
    db::Dialect,
    entity::audit_event,
    pb::v1::{
        self, AuditActorKind, AuditEvent, AuditFilter, ExportAuditEventsRequest, ExportFormat, Link,
        ListAuditEventsRequest, api_key_service_client::ApiKeyServiceClient,
        audit_service_client::AuditServiceClient, workspace_service_client::WorkspaceServiceClient,
    },
    rpc::Permission,
    trail::Action,
    workspaces::Role,
};
use sea_orm::{ConnectionTrait as _, EntityTrait as _, QueryOrder as _};
use serde_json::{Value, json};
use tonic::{Code, Request, Status, service::interceptor::InterceptedService, transport::Channel};

use crate::{
    accounts::{PASSWORD, auth, settled_owner, sign_in},
    support::{
        App, Bearer, Tenant, an_app, coded, eventually, first_open, iphone, on_every_store, reason, report,
        request_id, wrong,
    },
    workspaces::person,
};

type Audit = AuditServiceClient<InterceptedService<Channel, Bearer>>;

async fn client(app: &App, token: &str) -> Audit {
    AuditServiceClient::with_interceptor(app.channel().await, Bearer(token.to_owned()))
}

async fn page(
    app: &App,
    token: &str,
    workspace: &str,
    filter: AuditFilter,
    (page_size, page_token): (i32, &str),
) -> Result<(Vec<AuditEvent>, String), Status> {
    let request = ListAuditEventsRequest {
        workspace_id: workspace.to_owned(),
        filter: Some(filter),
        page_size,
        page_token: page_token.to_owned(),
    };
    let listed = client(app, token).await.list_audit_events(request).await?.into_inner();
    Ok((listed.audit_events, listed.next_page_token))
}

async fn listed(app: &App, token: &str, workspace: &str, actions: &[&str]) -> Vec<AuditEvent> {
    let actions = actions.iter().map(|action| (*action).to_owned()).collect();
    let filter = AuditFilter { actions, ..AuditFilter::default() };
    page(app, token, workspace, filter, (1000, "")).await.expect("lists").0
}

fn changes(event: &AuditEvent) -> Value {
    let side = |side: &Option<String>| {
        side.as_deref().map(|text| serde_json::from_str::<Value>(text).expect("JSON"))
    };
    let told = event
        .changes
        .iter()
        .map(|change| (change.path.clone(), json!([side(&change.before), side(&change.after)])));
    Value::Object(told.collect())
}

/// A key that sees who did what.
async fn auditor(app: &App, tenant: &Tenant) -> String {
    app.key(&tenant.id, &[Permission::AuditRead]).await
}

#[tokio::test]
async fn a_change_is_noted_with_who_made_it_and_from_where() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let auditor = auditor(app, &tenant).await;
        let link = Link { title: "Spring".into(), password: "sesame".into(), ..coded("spring") };
        let mut request = Request::new(v1::CreateLinkRequest { link: Some(link), ..Default::default() });
        request.metadata_mut().insert("x-request-id", "my-request-17".parse().expect("a value"));
        let made = tenant.links.clone().create_link(request).await.expect("creates").into_inner();
        let made = made.link.expect("always there");
        app.clock.advance(chrono::Duration::milliseconds(1));
        let changed = Link { title: "Summer".into(), password: "another".into(), ..made.clone() };
        tenant.update(changed, &["title", "password"]).await;
        app.clock.advance(chrono::Duration::milliseconds(1));
        tenant.delete(&made.id).await;

        let events = listed(app, &auditor, &tenant.id, &["link."]).await;
        let named: Vec<&str> = events.iter().map(|event| &*event.action).collect();
        assert_eq!(named, ["link.deleted", "link.updated", "link.created"]);
        let (deleted, updated, created) = (&events[0], &events[1], &events[2]);
        for event in &events {
            assert_eq!((&event.target_id, &event.workspace_id), (&made.id, &tenant.id));
            assert_eq!(event.actor_kind(), AuditActorKind::ApiKey);
            assert_eq!(event.actor_id.len(), 36);
            assert_eq!(event.address, "127.0.0.1");
            assert!(event.time.as_ref().is_some_and(|time| time.seconds == app.env().now().timestamp()));
        }
        assert_eq!(created.request_id, "my-request-17");
        assert_eq!(updated.request_id.len(), 36, "one is made for who sends none");
        assert_eq!(
            changes(updated),
            json!({ "title": ["Spring", "Summer"], "password": ["(hidden)", "(hidden)"] })
        );
        assert_eq!(changes(created)["short_code"], json!([null, "spring"]));
        assert_eq!(changes(deleted)["title"], json!(["Summer", null]));
    })
    .await;
}

#[tokio::test]
async fn people_programs_apps_and_the_server_itself_are_told_apart() {
    on_every_store(async |app| {
        let (token, id) = settled_owner(app).await;
        let tenant = app.tenant_of(&id).await;
        let as_person = app.with_key(&id, token.clone()).await;
        let request =
            v1::CreateLinkRequest { workspace_id: id.clone(), link: Some(coded("p")), ..Default::default() };
        let by_person = as_person.links.clone().create_link(request).await.expect("creates").into_inner();
        let by_person = by_person.link.expect("always there");
        let by_key = tenant.create(coded("k")).await;
        let shop = tenant.create_app(an_app()).await;
        let sdk = app.sdk(&shop.app_token, "192.0.2.7").await;
        let install = report(&sdk, first_open("0190f3a4-5b6c-4d8e-9fa0-b1c2d3e4f506", iphone())).await;
        let forget = linkforty::pb::sdk::v1::ForgetInstallRequest { install_id: install.install_id.clone() };
        sdk.clone().forget_install(forget).await.expect("forgets");

        let events = listed(app, &token, &id, &[]).await;
        let who = |target: &str, action: &str| {
            let found = events.iter().find(|event| event.target_id == target && event.action == action);
            let found = found.unwrap_or_else(|| panic!("{action} is noted"));
            (found.actor_kind(), found.actor_id.clone(), !found.session_id.is_empty())
        };
        assert_eq!(
            (who(&by_person.id, "link.created").0, who(&by_person.id, "link.created").2),
            (AuditActorKind::User, true)
        );
        assert_eq!(
            (who(&by_key.id, "link.created").0, who(&by_key.id, "link.created").2),
            (AuditActorKind::ApiKey, false)
        );
        assert_eq!(who(&install.install_id, "install.forgotten"), (AuditActorKind::App, shop.id, false));
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_or_repeated_or_only_tried_is_not_noted() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let auditor = auditor(app, &tenant).await;
        let create = async |request: v1::CreateLinkRequest| tenant.links.clone().create_link(request).await;
        let once = v1::CreateLinkRequest {
            link: Some(coded("one")),
            request_id: request_id(),
            ..Default::default()
        };
        create(once.clone()).await.expect("creates");
        create(once).await.expect("a repeat");
        create(v1::CreateLinkRequest { link: Some(coded("one")), ..Default::default() })
            .await
            .expect_err("is taken");
        let tried =
            v1::CreateLinkRequest { link: Some(coded("two")), validate_only: true, ..Default::default() };
        create(tried).await.expect("would do");
        let unchanged =
            tenant.get(&listed(app, &auditor, &tenant.id, &["link.created"]).await[0].target_id).await;
        tenant.update(unchanged.expect("is there"), &["title"]).await;
        let events = listed(app, &auditor, &tenant.id, &["link."]).await;
        assert_eq!(events.iter().map(|event| &*event.action).collect::<Vec<_>>(), ["link.created"]);
    })
    .await;
}

#[tokio::test]
async fn a_batch_notes_each_of_its_links() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let auditor = auditor(app, &tenant).await;
        let links: Vec<Link> = (0..700).map(|n| coded(format!("b{n}"))).chain([coded("b0")]).collect();
        let request = v1::BatchCreateLinksRequest { links, ..Default::default() };
        let made = tenant.links.clone().batch_create_links(request).await.expect("creates").into_inner();
        let ids: BTreeSet<String> = made
            .results
            .iter()
            .filter_map(|result| match &result.result {
                Some(v1::batch_link_result::Result::Link(link)) => Some(link.id.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(ids.len(), 700);
        let noted = listed(app, &auditor, &tenant.id, &["link.created"]).await;
        assert_eq!(noted.into_iter().map(|event| event.target_id).collect::<BTreeSet<_>>(), ids);
        let request = v1::BatchDeleteLinksRequest {
            link_ids: ids.iter().take(3).cloned().collect(),
            ..Default::default()
        };
        tenant.links.clone().batch_delete_links(request).await.expect("deletes");
        assert_eq!(listed(app, &auditor, &tenant.id, &["link.deleted"]).await.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn filters_and_pages_find_what_is_asked_for() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let auditor = auditor(app, &tenant).await;
        let start = app.env().now();
        let mut made = Vec::new();
        for n in 0..5 {
            made.push(tenant.create(coded(format!("c{n}"))).await);
            app.clock.advance(chrono::Duration::minutes(1));
        }
        let shop = tenant.create_app(an_app()).await;
        let asked = async |filter: AuditFilter| {
            let (mut all, mut token) = (Vec::new(), String::new());
            loop {
                let (some, next) =
                    page(app, &auditor, &tenant.id, filter.clone(), (2, &token)).await.expect("lists");
                assert!(some.len() <= 2);
                all.extend(some.into_iter().map(|event| event.target_id));
                token = next;
                if token.is_empty() {
                    return all;
                }
            }
        };
        let newest_first: Vec<String> = made.iter().rev().map(|link| link.id.clone()).collect();
        let links = AuditFilter { actions: vec!["link.".into()], ..AuditFilter::default() };
        assert_eq!(asked(links.clone()).await, newest_first);
        let one = AuditFilter { target_id: made[2].id.clone(), ..AuditFilter::default() };
        assert_eq!(asked(one).await, [made[2].id.clone()]);
        let either = AuditFilter {
            actions: vec!["app.created".into(), "app.deleted".into()],
            ..AuditFilter::default()
        };
        assert_eq!(asked(either).await, [shop.id.clone()]);
        let moment = |minutes: i64| {
            let at = start + chrono::Duration::minutes(minutes);
            Some(prost_types::Timestamp {
                seconds: at.timestamp(),
                nanos: at.timestamp_subsec_nanos() as i32,
            })
        };
        let between = AuditFilter { start_time: moment(1), end_time: moment(3), ..links };
        assert_eq!(asked(between).await, [made[2].id.clone(), made[1].id.clone()]);
        let by_nobody = AuditFilter { actor_id: made[0].id.clone(), ..AuditFilter::default() };
        assert!(asked(by_nobody).await.is_empty());

        let bad = AuditFilter {
            actor_id: "x".into(),
            actions: vec!["link.vanished".into()],
            ..AuditFilter::default()
        };
        let refused = page(app, &auditor, &tenant.id, bad, (0, "")).await.expect_err("makes no sense");
        assert_eq!(wrong(&refused), ["filter.actor_id", "filter.actions[0]"]);
    })
    .await;
}

#[tokio::test]
async fn only_admins_and_keys_with_the_scope_see_it() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let admin = person(app, "admin@example.com", Some((&id, Role::Admin))).await;
        let member = person(app, "member@example.com", Some((&id, Role::Member))).await;
        let stranger = person(app, "stranger@example.com", None).await;
        let tenant = app.tenant_of(&id).await;
        for (token, expected) in [
            (&owner, None),
            (&admin, None),
            (&member, Some((Code::PermissionDenied, "PERMISSION_MISSING"))),
            (&stranger, Some((Code::NotFound, "NOT_FOUND"))),
            (
                &app.key(&id, &[Permission::LinksRead]).await,
                Some((Code::PermissionDenied, "PERMISSION_MISSING")),
            ),
            (&auditor(app, &tenant).await, None),
        ] {
            let seen = page(app, token, &id, AuditFilter::default(), (0, "")).await;
            match (seen, expected) {
                (Ok(_), None) => {}
                (Err(refused), Some(expected)) => assert_eq!((refused.code(), &*reason(&refused)), expected),
                (seen, expected) => panic!("{seen:?} instead of {expected:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn events_leave_as_files_part_by_part() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let auditor = auditor(app, &tenant).await;
        let links: Vec<Link> =
            (0..120).map(|n| Link { title: format!("=cmd|{n}"), ..coded(format!("e{n}")) }).collect();
        let request = v1::BatchCreateLinksRequest { links, ..Default::default() };
        tenant.links.clone().batch_create_links(request).await.expect("creates");
        let filter = Some(AuditFilter { actions: vec!["link.created".into()], ..AuditFilter::default() });
        let export = async |format: ExportFormat, page_token: &str, most: usize| {
            let request = ExportAuditEventsRequest {
                workspace_id: tenant.id.clone(),
                filter: filter.clone(),
                format: format.into(),
                page_token: page_token.to_owned(),
            };
            let mut stream =
                client(app, &auditor).await.export_audit_events(request).await.expect("opens").into_inner();
            let (mut data, mut token, mut parts) = (Vec::new(), String::new(), 0);
            while let Some(part) = stream.message().await.expect("goes on") {
                data.extend_from_slice(&part.data);
                token = part.next_page_token;
                parts += 1;
                if parts == most {
                    break;
                }
            }
            (String::from_utf8(data).expect("UTF-8"), token)
        };
        let (lines, token) = export(ExportFormat::Ndjson, "", usize::MAX).await;
        assert!(token.is_empty());
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 120);
        assert!(lines.is_sorted_by_key(|line| line["id"].as_str().map(str::to_owned)), "oldest first");

        let (first, token) = export(ExportFormat::Csv, "", 1).await;
        let (rest, _) = export(ExportFormat::Csv, &token, usize::MAX).await;
        let whole = first + &rest;
        let mut reader = csv::Reader::from_reader(whole.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("well formed")).collect();
        assert_eq!(rows.len(), 120, "nothing twice, nothing left out, one header");
        assert_eq!(
            rows.iter().map(|row| &row[0]).collect::<Vec<_>>(),
            lines.iter().map(|line| line["id"].as_str().expect("text")).collect::<Vec<_>>()
        );
        let unnamed = ExportAuditEventsRequest { workspace_id: tenant.id.clone(), ..Default::default() };
        let refused = client(app, &auditor).await.export_audit_events(unnamed).await.expect_err("no format");
        assert_eq!(wrong(&refused), ["format"]);
    })
    .await;
}

async fn whole(app: &App) -> Head {
    audit::seal(app.env()).await.expect("seals");
    match audit::verify(app.env(), None, |_| {}).await.expect("checks") {
        Verdict::Whole(head) => head,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_event_gets_one_place_in_the_chain_however_many_nodes_give_it() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let links = (0..600).map(|n| coded(format!("s{n}"))).collect();
        let request = v1::BatchCreateLinksRequest { links, ..Default::default() };
        tenant.links.clone().batch_create_links(request).await.expect("creates");
        futures::future::join_all((0..8).map(|_| audit::seal(app.env()))).await;
        eventually("all have their places", async || {
            let stored = audit_event::Entity::find().all(&app.env().db.api).await.expect("reads");
            stored.len() >= 600 && stored.iter().all(|event| event.seq.is_some())
        })
        .await;
        let stored = audit_event::Entity::find()
            .order_by_asc(audit_event::Column::Seq)
            .all(&app.env().db.api)
            .await
            .expect("reads");
        let places: Vec<i64> = stored.iter().filter_map(|event| event.seq).collect();
        assert_eq!(places, (1..=stored.len() as i64).collect::<Vec<_>>());
        assert_eq!(whole(app).await.seq, stored.len() as i64);
        // Who may see it sees the places too.
        let auditor = auditor(app, &tenant).await;
        let newest = &listed(app, &auditor, &tenant.id, &["link.created"]).await[0];
        assert!(newest.seq > 0 && newest.hash.len() == 32);
    })
    .await;
}

async fn run(app: &App, sql: &str) -> Result<(), sea_orm::DbErr> {
    app.env().db.api.execute_unprepared(sql).await.map(drop)
}

async fn run_as_owner(app: &App, sql: &str) -> Result<(), sea_orm::DbErr> {
    app.owner_db().await.execute_unprepared(sql).await.map(drop)
}

/// Takes away what keeps the table from being rewritten, as somebody who owns the database can.
async fn unlock(app: &App) {
    let postgres = app.env().db.dialect() == Dialect::Postgres;
    let on = if postgres { " ON audit_events" } else { "" };
    for trigger in ["audit_events_keep", "audit_events_keep_all"] {
        run_as_owner(app, &format!("DROP TRIGGER {trigger}{on}")).await.expect("drops");
    }
}

#[tokio::test]
async fn the_database_refuses_to_rewrite_what_was_done() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        tenant.create(coded("a")).await;
        let before = whole(app).await;
        for sql in [
            "UPDATE audit_events SET changes = '{}'",
            "UPDATE audit_events SET seq = seq + 1000",
            "UPDATE audit_events SET hash = NULL, seq = NULL",
            "DELETE FROM audit_events",
        ] {
            run(app, sql).await.expect_err(sql);
        }
        if app.env().db.dialect() == Dialect::Postgres {
            run(app, "TRUNCATE audit_events").await.expect_err("no truncation");
        }
        assert_eq!(whole(app).await, before);
    })
    .await;
}

#[tokio::test]
async fn the_first_event_that_was_rewritten_or_taken_out_is_named() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        for n in 0..6 {
            tenant.create(coded(format!("v{n}"))).await;
        }
        let noted = whole(app).await;
        let third = audit_event::Entity::find()
            .order_by_asc(audit_event::Column::Seq)
            .all(&app.env().db.api)
            .await
            .expect("reads")
            .swap_remove(2);
        unlock(app).await;
        let verdict = async |head| audit::verify(app.env(), head, |_| {}).await.expect("checks");

        run(app, "UPDATE audit_events SET changes = '{}' WHERE seq = 3").await.expect("rewrites");
        let altered = Verdict::Broken { seq: 3, event: Some(third.id), fault: Fault::Altered };
        assert_eq!(verdict(None).await, altered);
        run(app, "UPDATE audit_events SET changes = '{}' WHERE seq = 5").await.expect("rewrites");
        assert_eq!(verdict(None).await, altered, "the first one");

        run(app, "DELETE FROM audit_events WHERE seq = 2").await.expect("deletes");
        assert_eq!(verdict(None).await, Verdict::Broken { seq: 2, event: None, fault: Fault::Missing });

        // A cut-off end looks like a shorter chain, unless somebody kept a head.
        run(app, "DELETE FROM audit_events WHERE seq > 1").await.expect("deletes");
        assert!(matches!(verdict(None).await, Verdict::Whole(Head { seq: 1, .. })));
        assert_eq!(verdict(Some(noted)).await, Verdict::OtherHead);
    })
    .await;
}

#[test]
fn the_documentation_lists_every_action() {
    let documented = include_str!("../../docs/audit.md");
    for action in Action::ALL {
        let line = format!("| `{}` | {} |", action.name(), action.meaning().trim());
        assert!(documented.contains(&line), "docs/audit.md lacks:\n{line}");
    }
    let lines = documented.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(lines, Action::ALL.len(), "docs/audit.md lists what nobody does");
}

#[tokio::test]
async fn what_happens_to_an_account_is_shown_to_its_owner_alone() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let ann = person(app, "ann@example.com", Some((&id, Role::Admin))).await;
        sign_in(app, "ann@example.com", "not her password at all").await.expect_err("is wrong");
        let session = sign_in(app, "ann@example.com", PASSWORD).await.expect("signs in").tokens;
        let session = session.expect("always there").access_token;
        auth(app, &session).await.sign_out(v1::SignOutRequest {}).await.expect("signs out");

        let actions = async |token: &str| {
            let events = listed(app, token, "", &[]).await;
            assert!(events.iter().all(|event| event.workspace_id.is_empty()));
            events.into_iter().map(|event| event.action).collect::<BTreeSet<_>>()
        };
        let of_ann = actions(&ann).await;
        for action in
            ["user.created", "session.opened", "session.refused", "session.ended", "password.changed"]
        {
            assert!(of_ann.contains(action), "{action} is missing in {of_ann:?}");
        }
        let refused = &listed(app, &ann, "", &["session.refused"]).await[0];
        assert_eq!((refused.actor_kind(), &*refused.address), (AuditActorKind::Anybody, "127.0.0.1"));
        let opened = &listed(app, &ann, "", &["session.opened"]).await[0];
        assert_eq!((&opened.actor_id, opened.session_id.len()), (&refused.target_id, 36));
        assert!(!actions(&owner).await.contains("session.refused"), "nobody sees what others got wrong");
        // In the workspace stands that she came, and nothing of her sessions.
        let there = listed(app, &owner, &id, &[]).await;
        assert!(
            there.iter().any(|event| event.action == "member.added" && event.target_id == refused.target_id)
        );
        assert!(there.iter().all(|event| !event.action.starts_with("session.")));
    })
    .await;
}

#[tokio::test]
async fn people_and_keys_of_a_workspace_come_and_go_on_record() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let ann = person(app, "ann@example.com", None).await;
        let mut workspaces =
            WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(owner.clone()));
        let invite = v1::InviteMemberRequest {
            workspace_id: id.clone(),
            invitation: Some(v1::Invitation {
                email: "ann@example.com".into(),
                role: v1::Role::Member.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let token = workspaces.invite_member(invite).await.expect("invites").into_inner().token;
        let accept = v1::AcceptInvitationRequest { token: token.clone(), ..Default::default() };
        let mut hers = WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(ann));
        hers.accept_invitation(accept).await.expect("accepts");
        let people = v1::ListMembersRequest { workspace_id: id.clone(), ..Default::default() };
        let people = workspaces.list_members(people).await.expect("lists").into_inner().members;
        let her = people.iter().find(|person| person.email == "ann@example.com").expect("is there");
        let promote = v1::UpdateMemberRoleRequest {
            workspace_id: id.clone(),
            user_id: her.user_id.clone(),
            role: v1::Role::Admin.into(),
            ..Default::default()
        };
        workspaces.update_member_role(promote).await.expect("changes");
        let remove = v1::RemoveMemberRequest {
            workspace_id: id.clone(),
            user_id: her.user_id.clone(),
            ..Default::default()
        };
        workspaces.remove_member(remove).await.expect("removes");

        let mut keys = ApiKeyServiceClient::with_interceptor(app.channel().await, Bearer(owner.clone()));
        let api_key =
            v1::ApiKey { name: "ci".into(), scopes: vec![v1::Scope::LinksRead.into()], ..Default::default() };
        let create = v1::CreateApiKeyRequest {
            workspace_id: id.clone(),
            api_key: Some(api_key),
            ..Default::default()
        };
        let made = keys.create_api_key(create).await.expect("creates").into_inner();
        let key = made.api_key.expect("always there").id;
        let rotate = v1::RotateApiKeyRequest {
            workspace_id: id.clone(),
            api_key_id: key.clone(),
            ..Default::default()
        };
        let rotated = keys.rotate_api_key(rotate).await.expect("rotates").into_inner();
        let revoke = v1::RevokeApiKeyRequest { workspace_id: id.clone(), api_key_id: key.clone() };
        for _ in 0..2 {
            keys.revoke_api_key(revoke.clone()).await.expect("revokes");
        }

        let noted = listed(app, &owner, &id, &["invitation.", "member.", "api_key."]).await;
        let mut actions: Vec<&str> = noted.iter().map(|event| &*event.action).collect();
        actions.sort_unstable();
        assert_eq!(
            actions,
            [
                "api_key.created",
                "api_key.revoked",
                "api_key.rotated",
                "invitation.accepted",
                "invitation.created",
                "member.removed",
                "member.role_changed"
            ]
        );
        let role = noted.iter().find(|event| event.action == "member.role_changed").expect("is there");
        assert_eq!(changes(role), json!({ "role": ["member", "admin"] }));
        for secret in [&token, &made.secret, &rotated.secret] {
            assert!(!format!("{noted:?}").contains(&**secret));
        }
    })
    .await;
}
