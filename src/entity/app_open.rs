//! The table `app_opens`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{AppId, ClickId, InstallId, LinkId, WorkspaceId},
};

/// A link that opened an app.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "app_opens")]
pub struct Model {
    /// The click that it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub click_id: ClickId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Which app, where that is known.
    pub app_id: Option<AppId>,
    /// The install.
    pub install_id: InstallId,
    /// The link.
    pub link_id: LinkId,
    /// When it was, by the clock of the device.
    pub open_time: Moment,
    /// When the user was last seen before.
    pub seen_time: Moment,
    /// Until when the link has what the user does to its credit; none when it did not bring them back.
    pub credit_time: Option<Moment>,
    /// Whether it is a developers' device.
    pub test: bool,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
