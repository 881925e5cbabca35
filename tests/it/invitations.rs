//! Invitations: sent once, taken once, by the one they are for.

use chrono::Duration;
use linkforty::{pb::v1, workspaces::Role};
use tonic::{Code, Request, Status};

use crate::{
    accounts::{auth, settled_owner, sign_in},
    members::{client, id_of},
    support::{App, on_every_store, reason, request_id, wrong},
    workspaces::person,
};

const PASSWORD: &str = "wir essen morgen torte";

fn invitation(workspace: &str, email: &str, role: v1::Role) -> v1::InviteMemberRequest {
    let invitation = v1::Invitation { email: email.into(), role: role.into(), ..Default::default() };
    v1::InviteMemberRequest {
        workspace_id: workspace.into(),
        invitation: Some(invitation),
        ..Default::default()
    }
}

async fn invite(
    app: &App,
    token: &str,
    asked: v1::InviteMemberRequest,
) -> Result<v1::InviteMemberResponse, Status> {
    Ok(client(app, token).await.invite_member(asked).await?.into_inner())
}

async fn invited(app: &App, token: &str, workspace: &str, email: &str) -> v1::InviteMemberResponse {
    invite(app, token, invitation(workspace, email, v1::Role::Member)).await.expect("invites")
}

/// Accepts as whoever holds `bearer`; nobody when it is empty.
async fn accept(
    app: &App,
    bearer: &str,
    asked: v1::AcceptInvitationRequest,
) -> Result<v1::Membership, Status> {
    let answer = if bearer.is_empty() {
        let channel = app.channel().await;
        let mut nobody = v1::workspace_service_client::WorkspaceServiceClient::new(channel);
        nobody.accept_invitation(Request::new(asked)).await?
    } else {
        client(app, bearer).await.accept_invitation(asked).await?
    };
    Ok(answer.into_inner().membership.expect("always there"))
}

fn with(token: &str, account: Option<(&str, &str)>) -> v1::AcceptInvitationRequest {
    let account = account
        .map(|(password, name)| v1::NewAccount { password: password.into(), display_name: name.into() });
    v1::AcceptInvitationRequest { token: token.into(), new_account: account, ..Default::default() }
}

async fn listed(app: &App, token: &str, workspace: &str) -> Vec<v1::Invitation> {
    let asked = v1::ListInvitationsRequest { workspace_id: workspace.into(), ..Default::default() };
    client(app, token).await.list_invitations(asked).await.expect("lists").into_inner().invitations
}

fn face(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

#[tokio::test]
async fn somebody_with_an_account_joins_by_the_token() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let ann = person(app, "ann@example.com", None).await;
        let sent = invited(app, &owner, &id, " Ann@Example.com ").await;
        let shown = sent.invitation.expect("always there");
        assert_eq!((shown.email.as_str(), shown.role()), ("ann@example.com", v1::Role::Member));
        assert_eq!(sent.token.len(), 43);
        assert_eq!(sent.accept_url, format!("https://dash.example.test/invitations#token={}", sent.token));
        let life = shown.expire_time.expect("set").seconds - shown.create_time.expect("set").seconds;
        assert_eq!(life, 7 * 86_400);
        assert_eq!(shown.inviter_id, id_of(app, &owner).await);

        let other = person(app, "bob@example.com", None).await;
        let refused = accept(app, &other, with(&sent.token, None)).await.expect_err("is for Ann");
        let face = (refused.code(), reason(&refused));
        assert_eq!(face, (Code::PermissionDenied, "INVITATION_FOR_ANOTHER".to_owned()));
        let joined = accept(app, &ann, with(&sent.token, None)).await.expect("joins");
        assert_eq!((joined.workspace_id.as_str(), joined.role()), (id.as_str(), v1::Role::Member));
        let again = accept(app, &ann, with(&sent.token, None)).await.expect_err("is used");
        assert_eq!(reason(&again), "NOT_FOUND");
        assert!(listed(app, &owner, &id).await.is_empty());
        let asked = v1::ListMembersRequest { workspace_id: id, ..Default::default() };
        assert_eq!(
            client(app, &ann).await.list_members(asked).await.expect("belongs").into_inner().members.len(),
            2
        );
    })
    .await;
}

#[tokio::test]
async fn somebody_new_gets_an_account_with_the_membership_or_neither() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let sent = invited(app, &owner, &id, "new@example.com").await;
        let refused = accept(app, "", with(&sent.token, None)).await.expect_err("as whom?");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::Unauthenticated, "CREDENTIALS_MISSING"));
        let bad = with(&sent.token, Some(("short", "a\u{7}b")));
        let refused = accept(app, "", bad).await.expect_err("breaks the rules");
        assert_eq!(wrong(&refused), ["new_account.display_name", "new_account.password"]);
        let refused =
            accept(app, &owner, with(&sent.token, Some((PASSWORD, "")))).await.expect_err("has one");
        assert_eq!(wrong(&refused), ["new_account"]);

        let once = v1::AcceptInvitationRequest {
            request_id: request_id(),
            ..with(&sent.token, Some((PASSWORD, " Nora ")))
        };
        let joined = accept(app, "", once.clone()).await.expect("joins");
        assert_eq!((joined.workspace_id.as_str(), joined.role()), (id.as_str(), v1::Role::Member));
        assert_eq!(accept(app, "", once).await.expect("a repeat"), joined);
        let tokens = sign_in(app, "new@example.com", PASSWORD).await.expect("signs in").tokens;
        let token = tokens.expect("always there").access_token;
        let me = auth(app, &token).await.get_me(v1::GetMeRequest {}).await.expect("is in").into_inner();
        let user = me.user.expect("always there");
        assert_eq!((user.display_name.as_str(), user.password_change_required), ("Nora", false));
        assert_eq!(me.memberships, [joined]);

        // Somebody who has an account takes no other one.
        let other = person(app, "old@example.com", None).await;
        let sent = invited(app, &owner, &id, "old@example.com").await;
        let refused = accept(app, "", with(&sent.token, Some((PASSWORD, "")))).await.expect_err("has one");
        assert_eq!(reason(&refused), "ALREADY_EXISTS");
        accept(app, &other, with(&sent.token, None)).await.expect("the invitation is still good");
    })
    .await;
}

#[tokio::test]
async fn tokens_that_are_over_used_taken_back_or_made_up_answer_alike() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let ann = person(app, "ann@example.com", None).await;
        let expired = invited(app, &owner, &id, "ann@example.com").await;
        app.clock.advance(Duration::days(7));
        // An access token lives ten minutes.
        let owner = crate::workspaces::again(app, "owner@localhost").await;
        let ann = {
            drop(ann);
            crate::workspaces::again(app, "ann@example.com").await
        };
        let mut answers = Vec::new();
        answers.push(accept(app, &ann, with(&expired.token, None)).await.expect_err("is over"));
        let revoked = invited(app, &owner, &id, "ann@example.com").await;
        let taken_back = v1::RevokeInvitationRequest {
            workspace_id: id.clone(),
            invitation_id: revoked.invitation.expect("always there").id,
            ..Default::default()
        };
        client(app, &owner).await.revoke_invitation(taken_back.clone()).await.expect("revokes");
        let gone = client(app, &owner).await.revoke_invitation(taken_back).await.expect_err("is gone");
        assert_eq!(reason(&gone), "NOT_FOUND");
        answers.push(accept(app, &ann, with(&revoked.token, None)).await.expect_err("is taken back"));
        let used = invited(app, &owner, &id, "ann@example.com").await;
        accept(app, &ann, with(&used.token, None)).await.expect("joins");
        answers.push(accept(app, &ann, with(&used.token, None)).await.expect_err("is used"));
        answers.push(accept(app, &ann, with(&"A".repeat(43), None)).await.expect_err("is made up"));
        answers.push(accept(app, &ann, with("", None)).await.expect_err("is none"));
        let faces: Vec<_> = answers.iter().map(face).collect();
        assert!(faces.iter().all(|one| *one == faces[0]), "{faces:?}");
        assert_eq!(reason(&answers[0]), "NOT_FOUND");
    })
    .await;
}

#[tokio::test]
async fn of_twenty_who_take_one_invitation_at_once_one_joins_once() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let ann = person(app, "ann@example.com", None).await;
        let sent = invited(app, &owner, &id, "ann@example.com").await;
        let takes = (0..20).map(|_| accept(app, &ann, with(&sent.token, None)));
        let taken = futures::future::join_all(takes).await;
        assert_eq!(taken.iter().filter(|one| one.is_ok()).count(), 1);
        for refused in taken.into_iter().filter_map(Result::err) {
            assert_eq!(reason(&refused), "NOT_FOUND");
        }
    })
    .await;
}

#[tokio::test]
async fn an_invitation_sent_again_has_another_token_and_all_of_its_days() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let ann = person(app, "ann@example.com", None).await;
        let once = v1::InviteMemberRequest {
            request_id: request_id(),
            ..invitation(&id, "ann@example.com", v1::Role::Viewer)
        };
        let first = invite(app, &owner, once.clone()).await.expect("invites");
        let repeat = invite(app, &owner, once).await.expect("a repeat");
        assert_eq!(repeat.invitation, first.invitation);
        assert!(repeat.token.is_empty() && repeat.accept_url.is_empty());
        for email in ["ann@example.com", "owner@localhost"] {
            let refused = invite(app, &owner, invitation(&id, email, v1::Role::Viewer)).await;
            assert_eq!(reason(&refused.expect_err("invited or in already")), "ALREADY_EXISTS");
        }
        app.clock.advance(Duration::minutes(5));
        let asked = v1::ResendInvitationRequest {
            workspace_id: id.clone(),
            invitation_id: first.invitation.clone().expect("always there").id,
            ..Default::default()
        };
        let second = client(app, &owner).await.resend_invitation(asked).await.expect("sends").into_inner();
        assert_ne!(second.token, first.token);
        let ends =
            |shown: Option<v1::Invitation>| shown.and_then(|one| one.expire_time).expect("set").seconds;
        assert_eq!(ends(second.invitation) - ends(first.invitation), 300);
        let refused = accept(app, &ann, with(&first.token, None)).await.expect_err("ended");
        assert_eq!(reason(&refused), "NOT_FOUND");
        accept(app, &ann, with(&second.token, None)).await.expect("joins");
    })
    .await;
}

#[tokio::test]
async fn a_workspace_has_a_hundred_open_invitations_at_the_most() {
    on_every_store(async |app| {
        let (owner, id) = settled_owner(app).await;
        let sends = (0..110).map(|number| {
            let asked = invitation(&id, &format!("p{number}@example.com"), v1::Role::Viewer);
            invite(app, &owner, asked)
        });
        let sent = futures::future::join_all(sends).await;
        assert_eq!(sent.iter().filter(|one| one.is_ok()).count(), 100);
        for refused in sent.into_iter().filter_map(Result::err) {
            assert_eq!(reason(&refused), "TOO_MANY_INVITATIONS");
        }
        let viewer = person(app, "viewer@example.com", Some((&id, Role::Viewer))).await;
        let seen = listed(app, &viewer, &id).await;
        assert_eq!(seen.len(), 50, "a page");
        let refused = invite(app, &viewer, invitation(&id, "x@example.com", v1::Role::Viewer)).await;
        assert_eq!(reason(&refused.expect_err("a viewer invites nobody")), "PERMISSION_MISSING");
    })
    .await;
}
