//! The table `api_keys`.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Moment,
    ids::{ApiKeyId, WorkspaceId},
};

/// A credential of a program.
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// The id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ApiKeyId,
    /// Whose.
    pub workspace_id: WorkspaceId,
    /// What it is for.
    pub name: String,
    /// The first characters of the secret.
    pub prefix: String,
    /// SHA-256 of the secret, which has entropy enough to need no slow hash.
    pub secret_hash: Vec<u8>,
    /// The names of its scopes, an array of texts.
    #[sea_orm(column_type = "JsonBinary")]
    pub scopes: Json,
    /// When it was created.
    pub create_time: Moment,
    /// When it ends.
    pub expire_time: Moment,
    /// When it was revoked.
    pub revoke_time: Option<Moment>,
    /// When it was last used, to the minute.
    pub last_use_time: Option<Moment>,
    /// Whether its secret says that it is for trying things out.
    pub test: bool,
    /// The hash of the secret before this one, while that is still good.
    pub previous_hash: Option<Vec<u8>>,
    /// When that ends.
    pub previous_expire_time: Option<Moment>,
    /// When it got its present secret, if that is not its first.
    pub rotate_time: Option<Moment>,
    /// The ids of the projects whose links it reaches, an array of texts; none: whatever project they are in.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub project_ids: Option<Json>,
    /// The ids of the domains whose links it reaches; none: wherever they live.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub domain_ids: Option<Json>,
    /// How many days before its end somebody was last warned; 0: never.
    pub warned_days: i16,
    /// The name in a client certificate that opens it; such a key has no secret.
    pub certificate_name: Option<String>,
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
