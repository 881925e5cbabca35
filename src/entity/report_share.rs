//! The table `report_shares`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{ReportShareId, SavedReportId, WorkspaceId},
};

/// A link to a report.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "report_shares")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReportShareId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Which report.
    pub report_id: SavedReportId,
    /// The first characters of its token.
    pub prefix: String,
    /// What its token hashes to.
    pub token_hash: Vec<u8>,
    /// Its password in PHC form, where it has one.
    pub password_hash: Option<String>,
    /// When it ends, if ever.
    pub expire_time: Option<Moment>,
    /// When it was made.
    pub create_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
