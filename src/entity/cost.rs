//! The table `costs`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{AppId, LinkId, WorkspaceId},
};

/// What something cost on one day.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "costs")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub workspace_id: WorkspaceId,
    /// Which day, in days since 1970.
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i32,
    /// Made of what tells it apart from others of the day.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The app that was advertised.
    pub app_id: Option<AppId>,
    /// The link that was paid for.
    pub link_id: Option<LinkId>,
    /// Two letters; empty when it is not known, as the texts below.
    pub country: String,
    /// `utm_source`.
    pub source: String,
    /// `utm_medium`.
    pub medium: String,
    /// `utm_campaign`.
    pub campaign: String,
    /// `utm_term`.
    pub ad_group: String,
    /// `utm_content`.
    pub creative: String,
    /// In which currency it was paid.
    pub currency: String,
    /// Whole units of it.
    pub units: i64,
    /// Billionths of a unit.
    pub nanos: i32,
    /// The reporting currency of the workspace; none while there is no rate.
    pub reporting_currency: Option<String>,
    /// Whole units of it.
    pub reporting_units: Option<i64>,
    /// Billionths of a unit.
    pub reporting_nanos: Option<i32>,
    /// When it was stored last.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
