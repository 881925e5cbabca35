//! The table `postbacks`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{AppId, PostbackId, WorkspaceId},
};

/// What Apple says of an install that an ad brought. All but `body` is read from it; of what is not signed anybody may have written it.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "postbacks")]
pub struct Model {
    /// UUIDv7: its time part is the moment it came.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PostbackId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// The advertised app.
    pub app_id: AppId,
    /// The moment whose schema says what the values mean.
    pub value_time: Moment,
    /// The day it came: days since 1970, UTC.
    pub day: i32,
    /// How often the same came again.
    pub repeats: i32,
    /// How often it came again with other bytes.
    pub differing_repeats: i32,
    /// `linkforty.v1.PostbackOutcome`.
    pub outcome: i16,
    /// `linkforty.v1.PostbackKind`.
    pub kind: i16,
    /// `linkforty.v1.PostbackConversionType`.
    pub conversion_type: i16,
    /// `linkforty.v1.AdInteraction`.
    pub interaction: i16,
    /// `linkforty.v1.CoarseValue`; none: not said.
    pub coarse_value: Option<i16>,
    /// 0 to 63; none: not said.
    pub fine_value: Option<i16>,
    /// Which of the up to three postbacks of an install, from 0; none: not said.
    pub sequence_index: Option<i16>,
    /// Whether the ad won; none: not said.
    pub did_win: Option<bool>,
    /// What is the same of the same postback: a SHA-256.
    pub dedupe_key: Vec<u8>,
    /// The version of SKAdNetwork.
    pub version: String,
    /// The ad network.
    pub ad_network_id: String,
    /// What the ad network calls its campaign.
    pub source_identifier: String,
    /// The transaction or the postback, as Apple names it.
    pub transaction_id: String,
    /// Where the ad was: the App Store id of an app, or a domain.
    pub publisher: String,
    /// Two letters.
    pub country: String,
    /// Why it is not verified.
    pub detail: String,
    /// What came, byte for byte.
    pub body: Vec<u8>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
