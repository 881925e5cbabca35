//! The table `acme_accounts`.

use sea_orm::entity::prelude::*;

use crate::clock::Moment;

/// The server's account at an authority.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "acme_accounts")]
pub struct Model {
    /// Where the authority is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub directory_url: String,
    /// The key of the account, PKCS #8, sealed. It is stored before the authority hears of it, so that there is never a second account.
    pub private_key: Vec<u8>,
    /// Where the account is; none: it is not known to be open.
    pub url: Option<String>,
    /// When the key was made.
    pub create_time: Moment,
    /// When the row last changed.
    pub update_time: Moment,
}

// The key is sealed, and still nothing for a log.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AcmeAccount").field("directory_url", &self.directory_url).finish_non_exhaustive()
    }
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
