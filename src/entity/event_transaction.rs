//! The table `event_transactions`.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

use crate::ids::EventId;

/// The event whose revenue counts for a transaction.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_transactions")]
pub struct Model {
    /// The app, or the workspace where no app is known.
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope_id: Uuid,
    /// Whether money went back.
    #[sea_orm(primary_key, auto_increment = false)]
    pub refund: bool,
    /// The purchase as the app names it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub transaction_id: String,
    /// The event.
    pub event_id: EventId,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
