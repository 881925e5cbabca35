//! The table `links`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{LinkId, WorkspaceId},
};

/// A short link.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "links")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LinkId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// The host; empty for the server's own.
    pub domain: String,
    /// Unique on its domain.
    pub short_code: String,
    /// Where to go when nothing fits better.
    pub destination_url: String,
    /// May be empty.
    pub title: String,
    /// May be empty.
    pub description: String,
    /// Empty when not set.
    pub ios_url: String,
    /// Empty when not set.
    pub android_url: String,
    /// Empty when not set.
    pub web_url: String,
    /// Whether it redirects.
    pub active: bool,
    /// From when on it redirects.
    pub start_time: Option<Moment>,
    /// From when on it does not.
    pub expire_time: Option<Moment>,
    /// An array of texts.
    #[sea_orm(column_type = "JsonBinary")]
    pub tags: Json,
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
