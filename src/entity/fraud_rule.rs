//! The table `fraud_rules`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::WorkspaceId};

/// What a workspace says of a rule of fraud that it wants otherwise than it comes.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "fraud_rules")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// The rule's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub rule: String,
    /// What follows when it holds (`linkforty.v1.FraudAction`).
    pub action: i16,
    /// The number that it compares with.
    pub threshold: i32,
    /// When that was said.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
