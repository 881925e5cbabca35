//! The table `network_claims`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{InstallId, WorkspaceId},
};

/// What an ad network says of an install, or is to be asked.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "network_claims")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// The install.
    #[sea_orm(primary_key, auto_increment = false)]
    pub install_id: InstallId,
    /// Which network (`linkforty.v1.AdNetwork`).
    #[sea_orm(primary_key, auto_increment = false)]
    pub network: i16,
    /// How far it is known (`linkforty.v1.ClaimState`).
    pub state: i16,
    /// The campaign, as in `content`; may be empty.
    pub campaign: String,
    /// Protobuf, `linkforty.v1.NetworkClaim` without network, state and click id.
    pub content: Vec<u8>,
    /// The network's click id, for as long as it may be kept.
    pub click_id: Option<String>,
    /// What the network is asked with, sealed; none once it has answered.
    pub token: Option<Vec<u8>>,
    /// How often it was asked.
    pub attempts: i32,
    /// When it is asked next; none when it is not.
    pub due_time: Option<Moment>,
    /// When the install was reported.
    pub receive_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
