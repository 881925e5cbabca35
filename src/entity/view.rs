//! The table `views`.

use sea_orm::entity::prelude::*;

use crate::ids::{ClickId, LinkId, WorkspaceId};

/// An ad for a link that somebody saw. Described as a click is, and none.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "views")]
pub struct Model {
    /// UUIDv7; its time part is the moment.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ClickId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Which link.
    pub link_id: LinkId,
    /// Who it was, as of clicks: 0 a person.
    pub class: i16,
    /// The network: 3 bytes of an IPv4 /24 or 6 bytes of an IPv6 /48; empty if unknown.
    pub network: Vec<u8>,
    /// Keyed hash of the address.
    pub address: Option<i32>,
    /// Tells visitors apart.
    pub visitor: i64,
    /// Keyed hash of the device's advertising id, where the network names it with consent.
    pub identity: Option<Vec<u8>>,
    /// The User-Agent header.
    pub user_agent: String,
    /// The first Accept-Language tag.
    pub language: String,
    /// The query, without advertising ids.
    pub query: String,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
