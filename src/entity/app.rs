//! The table `apps`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{AppId, WorkspaceId},
};

/// A mobile app.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "apps")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AppId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// The bundle id, unique in its workspace; none when the app is not on Apple's platforms.
    pub ios_bundle_id: Option<String>,
    /// The application id, unique in its workspace; none when the app is not on Android.
    pub android_package_name: Option<String>,
    /// Protobuf, `linkforty.v1.App` without what is output only.
    pub content: Vec<u8>,
    /// The key of Meta's install referrers, sealed; none when there is none.
    pub meta_key: Option<Vec<u8>>,
    /// Goes up by one with every change; the etag is made of it.
    pub version: i64,
    /// When it was created.
    pub create_time: Moment,
    /// When it last changed.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
