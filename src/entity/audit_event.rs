//! The table `audit_events`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{SessionId, WorkspaceId},
};

/// Something that somebody did. Never changed and never deleted; only its place in the chain is added, once.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_events")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Where; none for what is done outside workspaces. Outlives the workspace.
    pub workspace_id: Option<WorkspaceId>,
    /// When.
    pub time: Moment,
    /// What kind of actor, as [`crate::trail::Who`] numbers them.
    pub actor_kind: i16,
    /// Who of that kind.
    pub actor_id: Option<Uuid>,
    /// In which session.
    pub session_id: Option<SessionId>,
    /// From which address.
    pub address: Option<String>,
    /// The id that the log lines of the call carry.
    pub request_id: Option<String>,
    /// What, as [`crate::trail::Action`] names it.
    pub action: String,
    /// To what.
    pub target_id: Option<Uuid>,
    /// What is different: JSON, as text, since its hash must come out the same for ever.
    pub changes: String,
    /// Its place in the chain: 1, 2, ... None until it has one.
    #[sea_orm(unique)]
    pub seq: Option<i64>,
    /// The hash over it and the hash of the one before it.
    pub hash: Option<Vec<u8>>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
