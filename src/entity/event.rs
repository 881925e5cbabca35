//! The table `events`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{AppId, ClickId, EventId, InstallId, LinkId, WorkspaceId},
};

/// Something that happened in an app. On Postgres partitioned by day of its id.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    /// Derived from the app, the id the app gave it and its time by the device's clock, which it holds.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EventId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// In which install; it may be known later, or never.
    pub install_id: InstallId,
    /// Which app, where the caller said.
    pub app_id: Option<AppId>,
    /// The link that opened the app last, as the app says.
    pub link_id: Option<LinkId>,
    /// Its click, as the app says.
    pub click_id: Option<ClickId>,
    /// When it did.
    pub link_open_time: Option<Moment>,
    /// When it happened, by the clock of the device, but not later than `receive_time`.
    pub event_time: Moment,
    /// When this server heard of it.
    pub receive_time: Moment,
    /// Tells other content under the same id.
    pub content_hash: i64,
    /// What it earned: whole units of `currency`.
    pub units: Option<i64>,
    /// The same in `reporting_currency`; none while nobody knows the rate.
    pub reporting_units: Option<i64>,
    /// Billionths of a unit, of the same sign.
    pub nanos: Option<i32>,
    /// Billionths of a unit, of the same sign.
    pub reporting_nanos: Option<i32>,
    /// The day of the rate, in days since 1970; none where none was needed.
    pub rate_day: Option<i32>,
    /// Whether another event earned the same before: the same transaction.
    pub duplicate_revenue: bool,
    /// The id as the app gave it.
    pub event_key: String,
    /// What happened.
    pub name: String,
    /// The session as the app counts them.
    pub session: Option<String>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// ISO 4217.
    pub reporting_currency: Option<String>,
    /// The purchase.
    pub transaction_id: Option<String>,
    /// A JSON object.
    pub properties: Option<String>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
