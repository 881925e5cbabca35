//! The table `outbox`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::WorkspaceId};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// UUIDv7: its time part is the moment.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// What, as [`crate::outbox::Kind`] names it.
    pub kind: String,
    /// What it happened to: the id of a link, of a domain, of an API key.
    pub subject_id: Uuid,
    /// What is told of it: JSON. Nodes of earlier releases leave it out.
    pub body: Option<Vec<u8>>,
    /// When it was told; none: it is still to be.
    pub told_time: Option<Moment>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
