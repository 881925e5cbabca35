//! The table `domains`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{DomainId, WorkspaceId},
};

/// A host that a workspace has, or wants, for its links.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "domains")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DomainId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// In lower case, punycode. Unique in its workspace.
    pub host: String,
    /// The host while its proof holds: unique, so that one workspace has it at a time.
    pub held_host: Option<String>,
    /// What `links.domain` says of its links. No other domain ever has it, so that nobody inherits them with the host.
    pub namespace: String,
    /// What the TXT record must say.
    pub token: String,
    /// The number of `linkforty.v1.DomainState`.
    pub state: i16,
    /// Whether links go here when nobody says where to.
    pub is_default: bool,
    /// Whether codes are kept and looked up in lower case.
    pub ignores_case: bool,
    /// Where visitors of no link go; empty: nowhere.
    pub root_url: String,
    /// Where visitors of an unknown link go; empty: nowhere.
    pub not_found_url: String,
    /// Where visitors of a link that is over go; empty: nowhere.
    pub expired_url: String,
    /// What crawlers are told; empty: the server's own text.
    pub robots_txt: String,
    /// Protobuf, `linkforty.v1.DomainProof`: what the last look saw; none: nobody has looked.
    pub seen: Option<Vec<u8>>,
    /// When the proof was last whole.
    pub verify_time: Option<Moment>,
    /// When somebody last looked.
    pub look_time: Option<Moment>,
    /// When somebody looks next; none: never.
    pub next_look_time: Option<Moment>,
    /// Since when it is waited for a proof.
    pub waiting_time: Moment,
    /// Looks since then.
    pub looks: i32,
    /// Goes up with every change by a person or of the state.
    pub version: i64,
    /// When it was added.
    pub create_time: Moment,
    /// When it last changed.
    pub update_time: Moment,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
