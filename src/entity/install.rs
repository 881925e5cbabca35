//! The table `installs`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{AppId, ClickId, InstallId, LinkId, WorkspaceId},
};

/// The first open of an app, and which link it is credited to.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "installs")]
pub struct Model {
    /// Derived from what the install is known by, so that a node whose database is away gives the same one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InstallId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// Which app, where the caller said.
    pub app_id: Option<AppId>,
    /// 1 attributed, 2 organic, 3 pending (`linkforty.sdk.v1.AttributionState`).
    pub state: i16,
    /// How (`linkforty.sdk.v1.MatchMethod`).
    pub method: i16,
    /// Why not (`linkforty.sdk.v1.NoMatchReason`).
    pub no_match: i16,
    /// 0 to 100.
    pub score: i16,
    /// What click and install had in common, where that was the evidence: the sum of `1 << Factor`.
    pub factors: i16,
    /// What is odd about it (`attribution::fraud`).
    pub flags: i32,
    /// The link; it may be deleted since.
    pub link_id: Option<LinkId>,
    /// The click.
    pub click_id: Option<ClickId>,
    /// When that was.
    pub click_time: Option<Moment>,
    /// 1 iOS, 2 Android, 0 unknown.
    pub platform: i16,
    /// Whether it is a developers' device.
    pub test: bool,
    /// When the app was first opened.
    pub install_time: Moment,
    /// When this server heard of it.
    pub receive_time: Moment,
    /// How often the same device installed it again.
    pub reinstalls: i32,
    /// When it last did.
    pub reinstall_time: Option<Moment>,
    /// While it is pending: from when on it is decided.
    pub due_time: Option<Moment>,
    /// What was reported (`linkforty.internal.v1.InstallRecord`).
    pub report: Vec<u8>,
    /// What was decided from: install, candidates and rules, as `attribution::decide` takes them, in JSON.
    pub facts: String,
    /// What the app was told (`linkforty.sdk.v1.DeepLink`); empty when no link brought the user.
    pub deep_link: Vec<u8>,
    /// What the hashes of its entry in the log of decisions are salted with. None for those decided before there was one, for pending ones, and
    /// once it is forgotten: nobody can find out by trying then what was hashed.
    pub decision_salt: Option<Vec<u8>>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
