//! Queries of `workspaces`, `members` and `invitations`; and of other rooms' tables how many rows a workspace has in them, and who the
//! members are.

use chrono::Datelike as _;
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait as _, FromQueryResult,
    JoinType, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, RelationDef, Select,
    sea_query::{Expr, LockType},
};
use uuid::Uuid;

use super::{Invitation, Role, Workspace};
use crate::{
    clock::Moment,
    entity::{
        api_key, app, domain,
        invitation::{self, Entity as Invitations},
        link,
        member::{self, Entity as Members, Model as Member},
        rollup,
        user::{self, Entity as Users},
        workspace::{self, Entity as Workspaces},
    },
    ids::{InvitationId, UserId, WorkspaceId},
    pb::v1::Quota,
};

/// A person in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Person {
    /// Who.
    pub user_id: UserId,
    /// What they sign in with.
    pub email: String,
    /// May be empty.
    pub display_name: String,
    /// The number of `linkforty.v1.Role`.
    pub role: i16,
    /// Since when they belong here.
    pub create_time: Moment,
}

/// What a person is in a workspace, and what the operator says of it.
#[derive(Debug, Clone, PartialEq, FromQueryResult)]
pub struct Standing {
    /// The number of `linkforty.v1.Role`.
    pub role: i16,
    /// What the operator says it may have.
    pub quotas: Option<serde_json::Value>,
}

/// Inserts a workspace.
pub async fn insert(tx: &impl ConnectionTrait, workspace: &Workspace) -> Result<(), DbErr> {
    let row: workspace::ActiveModel = workspace.clone().into();
    Workspaces::insert(row.reset_all()).exec_without_returning(tx).await.map(drop)
}

/// Inserts a membership; `false` when the person belongs to the workspace already.
pub async fn insert_member(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    user: UserId,
    role: Role,
    now: Moment,
) -> Result<bool, DbErr> {
    let row = member::ActiveModel {
        workspace_id: Set(workspace),
        user_id: Set(user),
        role: Set(role.number()),
        create_time: Set(now),
    };
    let key = [member::Column::WorkspaceId, member::Column::UserId];
    let conflict = sea_orm::sea_query::OnConflict::columns(key).do_nothing().to_owned();
    Ok(Members::insert(row).on_conflict(conflict).exec_without_returning(tx).await? > 0)
}

/// Returns the workspace, if there is one.
pub async fn find(db: &impl ConnectionTrait, id: WorkspaceId) -> Result<Option<Workspace>, DbErr> {
    Workspaces::find_by_id(id).one(db).await
}

/// Returns the workspace and keeps everybody else from changing it until the transaction ends. No key of the row changes, so who only
/// refers to it need not wait.
pub async fn lock(tx: &impl ConnectionTrait, id: WorkspaceId) -> Result<Option<Workspace>, DbErr> {
    Workspaces::find_by_id(id).lock(LockType::NoKeyUpdate).one(tx).await
}

/// Keeps everybody else from changing the workspace until the transaction ends.
pub async fn lock_row(tx: &impl ConnectionTrait, id: WorkspaceId) -> Result<(), DbErr> {
    let row = Workspaces::find_by_id(id).select_only().column(workspace::Column::Id);
    row.lock(LockType::NoKeyUpdate).into_tuple::<WorkspaceId>().one(tx).await.map(drop)
}

/// Returns the workspace's hosts that answer.
pub async fn answering_hosts(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
) -> Result<Vec<String>, DbErr> {
    let held = domain::Entity::find()
        .select_only()
        .column(domain::Column::HeldHost)
        .filter(domain::Column::WorkspaceId.eq(workspace))
        .filter(domain::Column::HeldHost.is_not_null());
    held.into_tuple().all(db).await
}

/// Stores what changed about a workspace.
pub async fn save(tx: &impl ConnectionTrait, workspace: &Workspace) -> Result<(), DbErr> {
    let row: workspace::ActiveModel = workspace.clone().into();
    Workspaces::update(row.reset_all()).exec(tx).await.map(drop)
}

/// Returns the workspaces whose links follow something new since `since`, and since when; the latest if there are many.
/// For the node, which is above the tenants.
pub async fn changed_since(
    db: &impl ConnectionTrait,
    since: Moment,
    limit: u64,
) -> Result<Vec<(WorkspaceId, Moment)>, DbErr> {
    Workspaces::find()
        .select_only()
        .columns([workspace::Column::Id, workspace::Column::RedirectTime])
        .filter(workspace::Column::RedirectTime.gte(since))
        .order_by_desc(workspace::Column::RedirectTime)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await
}

/// Lists up to `limit` of all workspaces after `after`, oldest first. For the operator only, who is above the tenants.
pub async fn list_all(
    db: &impl ConnectionTrait,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Workspace>, DbErr> {
    let mut query = Workspaces::find();
    if let Some(after) = after {
        query = query.filter(workspace::Column::Id.gt(after));
    }
    query.order_by_asc(workspace::Column::Id).limit(limit).all(db).await
}

/// Lists up to `limit` of all workspaces that are not deleted, oldest first. For the operator only, who is above the tenants.
pub async fn oldest(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<Workspace>, DbErr> {
    let there = Workspaces::find().filter(workspace::Column::DeleteTime.is_null());
    there.order_by_asc(workspace::Column::Id).limit(limit).all(db).await
}

/// Returns the first of all workspaces, the operator's own. For the node.
pub async fn first(db: &impl ConnectionTrait) -> Result<Option<Workspace>, DbErr> {
    Ok(oldest(db, 1).await?.pop())
}

/// Returns up to `limit` deleted workspaces, those deleted longest ago first. For the node.
pub async fn deleted(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<Workspace>, DbErr> {
    let deleted = Workspaces::find().filter(workspace::Column::DeleteTime.is_not_null());
    deleted.order_by_asc(workspace::Column::DeleteTime).limit(limit).all(db).await
}

/// Removes the row of a deleted workspace.
pub async fn remove(db: &impl ConnectionTrait, id: WorkspaceId) -> Result<(), DbErr> {
    let deleted = Workspaces::delete_by_id(id).filter(workspace::Column::DeleteTime.is_not_null());
    deleted.exec(db).await.map(drop)
}

/// Returns the person's membership of the workspace, if there is one.
pub async fn find_member(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    user: UserId,
) -> Result<Option<Member>, DbErr> {
    Members::find_by_id((workspace, user)).one(db).await
}

/// Lists up to `limit` of the person's workspaces after `after`, oldest first, each with the membership.
pub async fn list_of(
    db: &impl ConnectionTrait,
    user: UserId,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<(Member, Workspace)>, DbErr> {
    let mut query = Members::find()
        .select_also(Workspaces)
        .join(JoinType::InnerJoin, workspace_of_member())
        .filter(member::Column::UserId.eq(user));
    if let Some(after) = after {
        query = query.filter(member::Column::WorkspaceId.gt(after));
    }
    let rows = query.order_by_asc(member::Column::WorkspaceId).limit(limit).all(db).await?;
    Ok(rows.into_iter().filter_map(|(member, workspace)| Some((member, workspace?))).collect())
}

fn workspace_of_member() -> RelationDef {
    Members::belongs_to(Workspaces).from(member::Column::WorkspaceId).to(workspace::Column::Id).into()
}

/// Returns what the person is in the workspace, if they belong to it.
pub async fn find_standing(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    user: UserId,
) -> Result<Option<Standing>, DbErr> {
    Members::find_by_id((workspace, user))
        .select_only()
        .column(member::Column::Role)
        .column(workspace::Column::Quotas)
        .join(JoinType::InnerJoin, workspace_of_member())
        .filter(workspace::Column::DeleteTime.is_null())
        .into_model()
        .one(db)
        .await
}

/// Returns who owns the workspace.
pub async fn find_owner(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Option<UserId>, DbErr> {
    let owner = Members::find()
        .filter(member::Column::WorkspaceId.eq(workspace))
        .filter(member::Column::Role.eq(Role::Owner.number()));
    Ok(owner.one(db).await?.map(|owner| owner.user_id))
}

/// Selects the people of a workspace.
fn people(workspace: WorkspaceId) -> Select<Members> {
    Members::find()
        .select_only()
        .columns([member::Column::UserId, member::Column::Role, member::Column::CreateTime])
        .columns([user::Column::Email, user::Column::DisplayName])
        .join(
            JoinType::InnerJoin,
            Members::belongs_to(Users).from(member::Column::UserId).to(user::Column::Id).into(),
        )
        .filter(member::Column::WorkspaceId.eq(workspace))
}

/// Returns a person of the workspace.
pub async fn find_person(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    user: UserId,
) -> Result<Option<Person>, DbErr> {
    people(workspace).filter(member::Column::UserId.eq(user)).into_model().one(db).await
}

/// Lists up to `limit` people of the workspace after `after`, those who came first at the top.
pub async fn list_people(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    after: Option<(Moment, UserId)>,
    limit: u64,
) -> Result<Vec<Person>, DbErr> {
    let mut query = people(workspace);
    if let Some((time, user)) = after {
        let later = Condition::any()
            .add(member::Column::CreateTime.gt(time))
            .add(member::Column::CreateTime.eq(time).and(member::Column::UserId.gt(user)));
        query = query.filter(later);
    }
    query
        .order_by_asc(member::Column::CreateTime)
        .order_by_asc(member::Column::UserId)
        .limit(limit)
        .into_model()
        .all(db)
        .await
}

/// Returns the e-mails of those who own the workspace.
pub async fn owners(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Vec<String>, DbErr> {
    let query = people(workspace).filter(member::Column::Role.eq(Role::Owner.number()));
    Ok(query.into_model::<Person>().all(db).await?.into_iter().map(|person| person.email).collect())
}

/// Says whether somebody with this e-mail belongs to the workspace.
pub async fn has_member_of_email(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    email: &str,
) -> Result<bool, DbErr> {
    let found =
        people(workspace).filter(user::Column::Email.eq(email)).into_model::<Person>().one(db).await?;
    Ok(found.is_some())
}

/// Returns what a person signs in with. For the person themselves, who is above the tenants.
pub async fn email_of(db: &impl ConnectionTrait, user: UserId) -> Result<Option<String>, DbErr> {
    Users::find_by_id(user).select_only().column(user::Column::Email).into_tuple().one(db).await
}

/// Makes a member of another role.
pub async fn set_role(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    user: UserId,
    role: Role,
) -> Result<(), DbErr> {
    Members::update_many()
        .col_expr(member::Column::Role, Expr::value(role.number()))
        .filter(member::Column::WorkspaceId.eq(workspace))
        .filter(member::Column::UserId.eq(user))
        .exec(tx)
        .await
        .map(drop)
}

/// Removes a member.
pub async fn remove_member(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    user: UserId,
) -> Result<(), DbErr> {
    Members::delete_by_id((workspace, user)).exec(tx).await.map(drop)
}

/// Removes every member.
pub async fn remove_members(tx: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<(), DbErr> {
    Members::delete_many().filter(member::Column::WorkspaceId.eq(workspace)).exec(tx).await.map(drop)
}

/// Stores a new invitation.
pub async fn insert_invitation(tx: &impl ConnectionTrait, invitation: &Invitation) -> Result<(), DbErr> {
    let row: invitation::ActiveModel = invitation.clone().into();
    Invitations::insert(row.reset_all()).exec_without_returning(tx).await.map(drop)
}

/// Stores what changed about an invitation.
pub async fn save_invitation(tx: &impl ConnectionTrait, invitation: &Invitation) -> Result<(), DbErr> {
    let row: invitation::ActiveModel = invitation.clone().into();
    Invitations::update(row.reset_all()).exec(tx).await.map(drop)
}

/// Returns an invitation of the workspace, if it has this one.
pub async fn find_invitation(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: InvitationId,
) -> Result<Option<Invitation>, DbErr> {
    Invitations::find_by_id(id).filter(invitation::Column::WorkspaceId.eq(workspace)).one(db).await
}

/// Returns the invitation of the workspace for this e-mail, if there is one.
pub async fn find_invitation_for(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    email: &str,
) -> Result<Option<Invitation>, DbErr> {
    Invitations::find()
        .filter(invitation::Column::WorkspaceId.eq(workspace))
        .filter(invitation::Column::Email.eq(email))
        .one(db)
        .await
}

/// Says whether an e-mail is invited anywhere, by an invitation that is good.
pub async fn has_invitation(db: &impl ConnectionTrait, email: &str, now: Moment) -> Result<bool, DbErr> {
    let found = invitation::Entity::find()
        .filter(invitation::Column::Email.eq(email))
        .filter(invitation::Column::ExpireTime.gt(now));
    Ok(found.limit(1).count(db).await? > 0)
}

/// Returns the invitation with this hash of its token. Without a tenant: the token says which.
pub async fn find_invitation_by_hash(
    db: &impl ConnectionTrait,
    hash: &[u8],
) -> Result<Option<Invitation>, DbErr> {
    Invitations::find().filter(invitation::Column::TokenHash.eq(hash)).one(db).await
}

/// Lists up to `limit` invitations of the workspace before `before`, newest first.
pub async fn list_invitations(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    before: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Invitation>, DbErr> {
    let mut query = Invitations::find().filter(invitation::Column::WorkspaceId.eq(workspace));
    if let Some(before) = before {
        query = query.filter(invitation::Column::Id.lt(before));
    }
    query.order_by_desc(invitation::Column::Id).limit(limit).all(db).await
}

/// Removes every invitation.
pub async fn remove_invitations(tx: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<(), DbErr> {
    let all = Invitations::delete_many().filter(invitation::Column::WorkspaceId.eq(workspace));
    all.exec(tx).await.map(drop)
}

/// Counts the invitations of the workspace that are good.
pub async fn count_invitations(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    now: Moment,
) -> Result<u64, DbErr> {
    let open = Invitations::find().filter(invitation::Column::WorkspaceId.eq(workspace));
    open.filter(invitation::Column::ExpireTime.gt(now)).count(db).await
}

/// Removes an invitation of the workspace; `false` when it has none such.
pub async fn remove_invitation(
    tx: &impl ConnectionTrait,
    workspace: WorkspaceId,
    id: InvitationId,
) -> Result<bool, DbErr> {
    let removed =
        Invitations::delete_by_id(id).filter(invitation::Column::WorkspaceId.eq(workspace)).exec(tx);
    Ok(removed.await?.rows_affected > 0)
}

/// Removes invitations that were over before `before`. For the node.
pub async fn delete_invitations(db: &impl ConnectionTrait, before: Moment) -> Result<u64, DbErr> {
    let gone = Invitations::delete_many().filter(invitation::Column::ExpireTime.lt(before)).exec(db).await?;
    Ok(gone.rows_affected)
}

/// Counts what the workspace has of something, up to `most` if that is enough to know.
pub async fn count(
    db: &impl ConnectionTrait,
    workspace: WorkspaceId,
    quota: Quota,
    now: Moment,
    most: Option<u64>,
) -> Result<u64, DbErr> {
    match quota {
        Quota::Unspecified => Ok(0),
        Quota::Links => {
            let links = link::Entity::find()
                .select_only()
                .column(link::Column::Id)
                .filter(link::Column::WorkspaceId.eq(workspace))
                .filter(link::Column::AliasOf.is_null());
            links.limit(most).count(db).await
        }
        Quota::Members => {
            Members::find().filter(member::Column::WorkspaceId.eq(workspace)).limit(most).count(db).await
        }
        Quota::ApiKeys => {
            let good = api_key::Entity::find()
                .filter(api_key::Column::WorkspaceId.eq(workspace))
                .filter(api_key::Column::RevokeTime.is_null())
                .filter(api_key::Column::ExpireTime.gt(now));
            good.limit(most).count(db).await
        }
        Quota::Domains => {
            let domains = domain::Entity::find().filter(domain::Column::WorkspaceId.eq(workspace));
            domains.limit(most).count(db).await
        }
        Quota::Apps => {
            app::Entity::find().filter(app::Column::WorkspaceId.eq(workspace)).limit(most).count(db).await
        }
        Quota::ClicksPerMonth => {
            // The days of the workspace as a whole, as `analytics::rollup::key` numbers them.
            let clicks = rollup::Entity::find()
                .select_only()
                .expr_as(rollup::Column::Clicks.sum().cast_as("bigint"), "clicks")
                .filter(rollup::Column::WorkspaceId.eq(workspace))
                .filter(rollup::Column::Scope.eq(0_i16))
                .filter(rollup::Column::Part.eq(0))
                .filter(rollup::Column::Bundle.eq(0_i16))
                .filter(rollup::Column::Level.eq(1_i16))
                .filter(rollup::Column::Period.gte(first_day_of_month(now)))
                .into_tuple::<Option<i64>>()
                .one(db)
                .await?;
            Ok(clicks.flatten().and_then(|clicks| u64::try_from(clicks).ok()).unwrap_or(0))
        }
    }
}

/// Returns the first day of which anything is counted of the workspace, in days since 1970.
pub async fn first_day(db: &impl ConnectionTrait, workspace: WorkspaceId) -> Result<Option<i32>, DbErr> {
    rollup::Entity::find()
        .select_only()
        .column(rollup::Column::Period)
        .filter(rollup::Column::WorkspaceId.eq(workspace))
        .filter(rollup::Column::Level.eq(1_i16))
        .order_by_asc(rollup::Column::Period)
        .limit(1)
        .into_tuple()
        .one(db)
        .await
}

/// Returns the first day of the calendar month, in days since 1970.
fn first_day_of_month(now: Moment) -> i32 {
    let days = i64::from(now.day0());
    i32::try_from(now.timestamp().div_euclid(86_400) - days).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn a_month_begins_with_its_first_day() {
        for (seconds, day) in [
            (0, 0),
            (31 * 86_400 - 1, 0),
            (31 * 86_400, 31),
            // 2026-11-26 12:00 and 2026-11-01 00:00.
            (1_795_694_400, 1_793_491_200 / 86_400),
        ] {
            assert_eq!(i64::from(first_day_of_month(from_micros(seconds * 1_000_000))), day, "{seconds}");
        }
    }
}
