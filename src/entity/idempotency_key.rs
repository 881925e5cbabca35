//! The table `idempotency_keys`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::WorkspaceId};

/// A request id that was used, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency_keys")]
pub struct Model {
    /// The tenant; all zero for calls outside any.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Who called: the id of a person or of an API key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub principal: Uuid,
    /// What the client sent.
    #[sea_orm(primary_key, auto_increment = false)]
    pub request_id: Uuid,
    /// SHA-256 of the method and the rest of the request.
    pub fingerprint: Vec<u8>,
    /// What the room wrote down to answer a repeat.
    pub outcome: String,
    /// When it was used first.
    pub create_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
