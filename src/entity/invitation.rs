//! The table `invitations`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{InvitationId, WorkspaceId},
};

/// A way into a workspace that somebody was sent and has not taken yet.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invitations")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InvitationId,
    /// Where to.
    pub workspace_id: WorkspaceId,
    /// For whom, in lower case.
    pub email: String,
    /// As what: the number of `linkforty.v1.Role`.
    pub role: i16,
    /// SHA-256 of the token, which has entropy enough to need no slow hash.
    pub token_hash: Vec<u8>,
    /// Who sent it, a person or an API key; none: the operator.
    pub inviter_id: Option<Uuid>,
    /// When it was made.
    pub create_time: Moment,
    /// When it ends.
    pub expire_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
