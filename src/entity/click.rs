//! The table `clicks`.

use sea_orm::entity::prelude::*;

use crate::ids::{ClickId, LinkId, WorkspaceId};

/// One visit to a short link. On Postgres partitioned by day of its id.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "clicks")]
pub struct Model {
    /// Holds the moment of the visit.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ClickId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Which link; it may be deleted since.
    pub link_id: LinkId,
    /// Keyed hash of address and user agent.
    pub visitor: i64,
    /// In the dictionary.
    pub user_agent_id: i32,
    /// In the dictionary.
    pub referrer_id: i32,
    /// In the dictionary.
    pub language_id: i32,
    /// 0 web, 1 iOS, 2 Android.
    pub platform: i16,
    /// Who made it: 0 a person, else `clicks::class::Class`.
    #[sea_orm(column_name = "bot")]
    pub class: i16,
    /// Which step of the destination chain fired.
    pub step: i16,
    /// IPv4 /24 in 3 bytes, IPv6 /48 in 6, or nothing.
    pub network: Vec<u8>,
    /// The query of the short URL.
    pub query: Option<String>,
    /// Two letters, where a file of countries knew it.
    pub country: Option<String>,
    /// In the dictionary: the campaign of the visitor's query, else the link's own, as `clicks::query::campaign` writes it.
    pub campaign_id: Option<i32>,
    /// Keyed hash of the address, where there is a network.
    pub address: Option<i32>,
    /// In the dictionary: `CC`, part of the country and city with NUL between them, as far as they were known.
    pub place_id: Option<i32>,
    /// In the dictionary: the host of the link and its project with NUL between them, as they were when the click was drained.
    pub home_id: Option<i32>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
