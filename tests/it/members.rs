//! The people of a workspace: seen, changed, removed, and one owner however many want to be it.

use linkforty::{
    entity::{member, user},
    ids::WorkspaceId,
    pb::v1::{self, workspace_service_client::WorkspaceServiceClient},
    workspaces::Role,
};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use tonic::{Code, Status, service::interceptor::InterceptedService, transport::Channel};

use crate::{
    accounts::{auth, settled_owner},
    support::{App, Bearer, Store, on_every_store, reason, request_id, stores, wrong},
    workspaces::person,
};

/// Workspaces, for whoever holds a token.
pub type Client = WorkspaceServiceClient<InterceptedService<Channel, Bearer>>;

/// Workspaces, for whoever holds `token`.
pub async fn client(app: &App, token: &str) -> Client {
    WorkspaceServiceClient::with_interceptor(app.channel().await, Bearer(token.to_owned()))
}

/// Returns who holds a token.
pub async fn id_of(app: &App, token: &str) -> String {
    let me = auth(app, token).await.get_me(v1::GetMeRequest {}).await.expect("is somebody");
    me.into_inner().user.expect("always there").id
}

async fn members(app: &App, token: &str, workspace: &str) -> Result<Vec<v1::Member>, Status> {
    let asked = v1::ListMembersRequest { workspace_id: workspace.into(), ..Default::default() };
    Ok(client(app, token).await.list_members(asked).await?.into_inner().members)
}

fn to(workspace: &str, user: &str, role: v1::Role) -> v1::UpdateMemberRoleRequest {
    v1::UpdateMemberRoleRequest {
        workspace_id: workspace.into(),
        user_id: user.into(),
        role: role.into(),
        ..Default::default()
    }
}

async fn change(app: &App, token: &str, asked: v1::UpdateMemberRoleRequest) -> Result<v1::Member, Status> {
    let changed = client(app, token).await.update_member_role(asked).await?;
    Ok(changed.into_inner().member.expect("always there"))
}

async fn remove(app: &App, token: &str, workspace: &str, user: &str) -> Result<(), Status> {
    let asked = v1::RemoveMemberRequest {
        workspace_id: workspace.into(),
        user_id: user.into(),
        ..Default::default()
    };
    client(app, token).await.remove_member(asked).await.map(drop)
}

async fn transfer(app: &App, token: &str, workspace: &str, user: &str) -> Result<v1::Member, Status> {
    let asked = v1::TransferOwnershipRequest {
        workspace_id: workspace.into(),
        user_id: user.into(),
        ..Default::default()
    };
    let moved = client(app, token).await.transfer_ownership(asked).await?;
    Ok(moved.into_inner().owner.expect("always there"))
}

/// Who owns the workspace, as it is stored.
async fn owners(app: &App, workspace: &str) -> Vec<String> {
    let id = WorkspaceId::parse(workspace).expect("an id");
    let owners = member::Entity::find()
        .filter(member::Column::WorkspaceId.eq(id))
        .filter(member::Column::Role.eq(Role::Owner.number()));
    let owners = owners.all(&app.env().db.api).await.expect("the stores answer");
    owners.into_iter().map(|owner| owner.user_id.to_string()).collect()
}

#[tokio::test]
async fn people_are_listed_page_by_page_those_who_came_first_at_the_top() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let mut expected = vec!["owner@localhost".to_owned()];
        for name in ["zoe", "ann", "bob"] {
            app.clock.advance(chrono::Duration::milliseconds(1));
            let email = format!("{name}@example.com");
            person(app, &email, Some((&id, Role::Viewer))).await;
            expected.push(email);
        }
        let mut asked =
            v1::ListMembersRequest { workspace_id: id.clone(), page_size: 3, ..Default::default() };
        let mut listed = Vec::new();
        loop {
            let page =
                client(app, &owner).await.list_members(asked.clone()).await.expect("lists").into_inner();
            listed.extend(page.members.into_iter().map(|member| member.email));
            asked.page_token = page.next_page_token;
            if asked.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(listed, expected);
        let stranger = person(app, "stranger@example.com", None).await;
        let refused = members(app, &stranger, &id).await.expect_err("belongs to nothing");
        assert_eq!(reason(&refused), "NOT_FOUND");
    })
    .await;
}

#[tokio::test]
async fn a_role_counts_from_the_next_call_on() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let ann = person(app, "ann@example.com", Some((&id, Role::Viewer))).await;
        let (owner_id, ann_id) = (id_of(app, &owner).await, id_of(app, &ann).await);
        let bob = person(app, "bob@example.com", Some((&id, Role::Member))).await;
        let bob_id = id_of(app, &bob).await;

        let refused = change(app, &ann, to(&id, &bob_id, v1::Role::Viewer)).await.expect_err("a viewer");
        assert_eq!(reason(&refused), "PERMISSION_MISSING");
        let read = change(app, &owner, to(&id, &ann_id, v1::Role::Admin)).await.expect("changes");
        assert_eq!((read.role(), read.email.as_str()), (v1::Role::Admin, "ann@example.com"));
        // An admin makes admins, and steps down, but nobody becomes the owner by it, and the owner stays.
        change(app, &ann, to(&id, &bob_id, v1::Role::Admin)).await.expect("an admin may");
        let refused = change(app, &ann, to(&id, &ann_id, v1::Role::Owner)).await.expect_err("not upward");
        assert_eq!(wrong(&refused), ["role"]);
        let refused = change(app, &ann, to(&id, &owner_id, v1::Role::Viewer)).await.expect_err("the owner");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, "OWNER_REQUIRED"));
        let refused = change(app, &ann, to(&id, &ann_id, v1::Role::Unspecified)).await.expect_err("which?");
        assert_eq!(wrong(&refused), ["role"]);

        // Two admins with the same page before them: the second is told.
        let first =
            v1::UpdateMemberRoleRequest { etag: read.etag.clone(), ..to(&id, &ann_id, v1::Role::Member) };
        change(app, &bob, first.clone()).await.expect("the etag is the one of now");
        let refused = change(app, &bob, first).await.expect_err("it is another one now");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::Aborted, "ETAG_MISMATCH"));
        let refused =
            change(app, &ann, to(&id, &bob_id, v1::Role::Viewer)).await.expect_err("no admin any more");
        assert_eq!(reason(&refused), "PERMISSION_MISSING");

        // Somebody who is no member is as unknown as nobody.
        let stranger = person(app, "stranger@example.com", None).await;
        let stranger = id_of(app, &stranger).await;
        for user in [stranger.as_str(), "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506", "nobody"] {
            let refused = change(app, &owner, to(&id, user, v1::Role::Viewer)).await.expect_err("no member");
            assert_eq!((refused.code(), refused.message()), (Code::NotFound, "no such member"), "{user}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_of_role_is_made_once_for_a_request_id() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let ann = person(app, "ann@example.com", Some((&id, Role::Viewer))).await;
        let ann = id_of(app, &ann).await;
        let once = v1::UpdateMemberRoleRequest { request_id: request_id(), ..to(&id, &ann, v1::Role::Admin) };
        change(app, &owner, once.clone()).await.expect("changes");
        change(app, &owner, to(&id, &ann, v1::Role::Member)).await.expect("changes");
        let again = change(app, &owner, once).await.expect("a repeat");
        assert_eq!(again.role(), v1::Role::Member, "as it is now");
    })
    .await;
}

#[tokio::test]
async fn members_are_removed_and_leave_and_the_owner_stays() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let owner_id = id_of(app, &owner).await;
        let ann = person(app, "ann@example.com", Some((&id, Role::Viewer))).await;
        let bob = person(app, "bob@example.com", Some((&id, Role::Viewer))).await;
        let (ann_id, bob_id) = (id_of(app, &ann).await, id_of(app, &bob).await);
        let refused = remove(app, &ann, &id, &bob_id).await.expect_err("a viewer removes nobody");
        assert_eq!(reason(&refused), "PERMISSION_MISSING");
        let leave = v1::RemoveMemberRequest {
            workspace_id: id.clone(),
            user_id: ann_id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        for _ in 0..2 {
            let left = client(app, &ann).await.remove_member(leave.clone()).await;
            left.expect("leaves, and is told so again after a lost answer");
        }
        let refused = members(app, &ann, &id).await.expect_err("is gone");
        assert_eq!(reason(&refused), "NOT_FOUND");
        remove(app, &owner, &id, &bob_id).await.expect("removes");
        let refused = members(app, &bob, &id).await.expect_err("is gone");
        assert_eq!(reason(&refused), "NOT_FOUND");
        let refused = remove(app, &owner, &id, &bob_id).await.expect_err("is gone already");
        assert_eq!(refused.message(), "no such member");
        let refused = remove(app, &owner, &id, &owner_id).await.expect_err("owns it");
        assert_eq!(reason(&refused), "OWNER_REQUIRED");
        assert_eq!(members(app, &owner, &id).await.expect("lists").len(), 1);
        // Their account is theirs.
        assert_eq!(id_of(app, &ann).await, ann_id);
        let known = user::Entity::find().all(&app.env().db.api).await.expect("the stores answer");
        assert_eq!(known.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_workspace_is_handed_over_and_its_owner_becomes_an_admin() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let ann = person(app, "ann@example.com", Some((&id, Role::Viewer))).await;
        let (owner_id, ann_id) = (id_of(app, &owner).await, id_of(app, &ann).await);
        let refused = transfer(app, &ann, &id, &ann_id).await.expect_err("takes it for herself");
        assert_eq!(reason(&refused), "PERMISSION_MISSING");
        let refused = transfer(app, &owner, &id, "0190f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506").await;
        assert_eq!(reason(&refused.expect_err("no member")), "NOT_FOUND");
        assert_eq!(
            transfer(app, &owner, &id, &owner_id).await.expect("nothing changes").role(),
            v1::Role::Owner
        );
        let now = transfer(app, &owner, &id, &ann_id).await.expect("hands over");
        assert_eq!((now.user_id.as_str(), now.role()), (ann_id.as_str(), v1::Role::Owner));
        assert_eq!(owners(app, &id).await, [ann_id]);
        let refused = transfer(app, &owner, &id, &owner_id).await.expect_err("owns it no more");
        assert_eq!(reason(&refused), "PERMISSION_MISSING");
        remove(app, &owner, &id, &owner_id).await.expect("who owns nothing may leave");
    })
    .await;
}

#[tokio::test]
async fn however_many_are_made_owner_at_once_there_is_one() {
    for store in stores() {
        let app = App::start(store).await;
        let beside = if store == Store::Production { Some(app.start_beside(&[]).await) } else { None };
        let (owner, id) = settled_owner(&app).await;
        let owner_id = id_of(&app, &owner).await;
        let mut people = vec![(owner, owner_id)];
        for number in 0..4 {
            let email = format!("p{number}@example.com");
            let token = person(&app, &email, Some((&id, Role::Admin))).await;
            let user = id_of(&app, &token).await;
            people.push((token, user));
        }
        for round in 0..2 {
            // Everybody hands the workspace over to everybody and takes rights from everybody, through whichever node.
            let mut calls = Vec::new();
            for (at, (token, _)) in people.iter().enumerate() {
                for (to_whom, (_, user)) in people.iter().enumerate() {
                    let node = if (at + to_whom) % 2 == 0 { &app } else { beside.as_ref().unwrap_or(&app) };
                    let id = &id;
                    calls.push(async move {
                        if (at + round) % 3 == 0 {
                            let _ = change(node, token, to(id, user, v1::Role::Admin)).await;
                        }
                        transfer(node, token, id, user).await.is_ok()
                    });
                }
            }
            let done = futures::future::join_all(calls).await;
            assert!(done.into_iter().any(|done| done), "somebody hands over");
            assert_eq!(owners(&app, &id).await.len(), 1, "round {round}");
        }
        if let Some(beside) = beside {
            beside.stop().await;
        }
        app.stop().await;
    }
}
