//! The table `workspaces`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::WorkspaceId};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "workspaces")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// When it was created.
    pub create_time: Moment,
    /// When it last changed.
    pub update_time: Moment,
    /// Protobuf, `linkforty.v1.WorkspaceSettings`; none when nothing is set.
    pub settings: Option<Vec<u8>>,
    /// Since when the operator has it suspended.
    pub suspend_time: Option<Moment>,
    /// Why, for the operator.
    pub suspend_reason: String,
    /// When something last changed that redirects of all its links depend on; none: never.
    pub redirect_time: Option<Moment>,
    /// Whether its apps may open links on the server's own host.
    pub apps_allowed: bool,
    /// What the operator says it may have, where that is not the default: numbers by the names of quotas.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub quotas: Option<Json>,
    /// When its owner deleted it; what is left of it is being erased.
    pub delete_time: Option<Moment>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
