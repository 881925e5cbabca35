//! The table `app_tokens`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{AppId, WorkspaceId},
};

/// What an app sends with its calls. Publishable, so it is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "app_tokens")]
pub struct Model {
    /// `at_` and 32 hexadecimal digits.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token: String,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Which app's.
    pub app_id: AppId,
    /// When it was made.
    pub create_time: Moment,
    /// From when on it is no good; none: for ever.
    pub expire_time: Option<Moment>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
