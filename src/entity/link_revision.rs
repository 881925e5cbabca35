//! The table `link_revisions`.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

use crate::{
    clock::Moment,
    ids::{LinkId, WorkspaceId},
};

/// What a link was from a change on until the next.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "link_revisions")]
pub struct Model {
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// The link.
    #[sea_orm(primary_key, auto_increment = false)]
    pub link_id: LinkId,
    /// Its version.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    /// When it became so.
    pub change_time: Moment,
    /// Who made it so; none: the operator, or nobody knows.
    pub actor: Option<Uuid>,
    /// 0: nobody to name, 1: a person, 2: an API key.
    pub actor_kind: i16,
    /// An array of the names of the fields that the change gave another value.
    #[sea_orm(column_type = "JsonBinary")]
    pub fields: Json,
    /// Protobuf, `linkforty.v1.Link` without its password.
    pub content: Vec<u8>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
