//! The table `links`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{LinkId, ProjectId, TemplateId, WorkspaceId},
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
    /// The namespace of its domain (`domains.namespace`); empty for the server's own.
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
    /// The scheme of the app's own URLs; empty when not set.
    pub app_scheme: String,
    /// Empty when not set.
    pub ios_universal_link: String,
    /// Empty when not set.
    pub android_app_link: String,
    /// Empty when not set.
    pub deep_link_path: String,
    /// An object of texts.
    #[sea_orm(column_type = "JsonBinary")]
    pub deep_link_parameters: Json,
    /// An object of texts: `source`, `medium`, `campaign`, `term`, `content`, those that are set.
    #[sea_orm(column_type = "JsonBinary")]
    pub utm: Json,
    /// Whether URLs get the id of the click.
    pub append_click_id: bool,
    /// Whether URLs get the visitor's own query.
    pub forward_query: bool,
    /// Protobuf, see `links/routing.rs`; none when there are no rules.
    pub routing_rules: Option<Vec<u8>>,
    /// Whether it redirects.
    pub active: bool,
    /// From when on it redirects.
    pub start_time: Option<Moment>,
    /// From when on it does not.
    pub expire_time: Option<Moment>,
    /// How many visits it sends on; 0: any number.
    pub max_clicks: i64,
    /// An array of texts.
    #[sea_orm(column_type = "JsonBinary")]
    pub tags: Json,
    /// Protobuf, `linkforty.v1.Targeting`; none when it is for everybody.
    pub targeting: Option<Vec<u8>>,
    /// Protobuf, `linkforty.v1.Og`; none when nothing is set.
    pub og: Option<Vec<u8>>,
    /// From when on visitors are warned.
    pub warn_time: Option<Moment>,
    /// From when on it is gone.
    pub disable_time: Option<Moment>,
    /// Why, for members; empty when not said.
    pub disable_reason: String,
    /// Argon2id in PHC form; none: no password.
    pub password_hash: Option<String>,
    /// A number of `linkforty.v1.LaunchpadMode`.
    pub launchpad_mode: i16,
    /// The project it is kept in.
    pub project_id: Option<ProjectId>,
    /// The template it takes from what it does not set itself.
    pub template_id: Option<TemplateId>,
    /// What it is called elsewhere, unique in the workspace.
    pub external_id: Option<String>,
    /// Whom it belongs to elsewhere; empty when not set.
    pub external_user_id: String,
    /// What a link created with `reuse_existing` is found by again, unique in the workspace.
    pub reuse_key: Option<Vec<u8>>,
    /// Where it was made, in the client's words; may be empty.
    pub source: String,
    /// Whether lists leave it out.
    pub archived: bool,
    /// In seconds; 0: not set.
    pub attribution_window: i32,
    /// In seconds; 0: not set.
    pub event_attribution_window: i32,
    /// A number of `linkforty.v1.RedirectStatus`; 0: not set.
    pub redirect_status: i16,
    /// How long browsers may keep a redirect; 0: not set.
    pub cache_seconds: i32,
    /// An array of texts: the codes of the rows that name this one in `alias_of`.
    #[sea_orm(column_type = "JsonBinary")]
    pub aliases: Json,
    /// The link of which this row is a further code, and nothing else. It stands here so that one index knows all codes.
    pub alias_of: Option<LinkId>,
    /// Protobuf, see `links/routing_tests.rs`; none when there are none.
    pub routing_tests: Option<Vec<u8>>,
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
