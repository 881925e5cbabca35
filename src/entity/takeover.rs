//! The table `takeovers`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::WorkspaceId};

/// How far one part of a LinkForty database is taken over into a workspace.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "takeovers")]
pub struct Model {
    /// Into which.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// A hash of where the database is and of what of it is wanted, 16 bytes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub source: Vec<u8>,
    /// A number of `takeover::Name`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub part: i16,
    /// Whether it is at its end.
    pub done: bool,
    /// The last row that is dealt with, in the order of the part; empty: none.
    pub place: String,
    /// How many rows that are.
    pub seen: i64,
    /// How many of them were stored.
    pub stored: i64,
    /// How many of them were there already.
    pub present: i64,
    /// The sum of what those rows say, 16 bytes (`takeover::content`).
    pub checksum: Vec<u8>,
    /// Why rows were not stored, or not whole: JSON (`takeover::remarks`).
    pub remarks: String,
    /// When it last got on.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
