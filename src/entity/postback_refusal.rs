//! The table `postback_refusals`.

use sea_orm::entity::prelude::*;

use crate::ids::{AppId, WorkspaceId};

/// How many postbacks of an app were not verified on a day, kept or not.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "postback_refusals")]
pub struct Model {
    /// The app they named.
    #[sea_orm(primary_key, auto_increment = false)]
    pub app_id: AppId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Days since 1970, UTC.
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i32,
    /// `linkforty.v1.PostbackOutcome`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub outcome: i16,
    /// How many.
    pub count: i64,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
