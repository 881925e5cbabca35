//! The table `certificates`.

use sea_orm::entity::prelude::*;

use crate::{clock::Moment, ids::DomainId};

/// A certificate that the server got, or is to get, for a host.
#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "certificates")]
pub struct Model {
    /// The host, in lower case, punycode.
    #[sea_orm(primary_key, auto_increment = false)]
    pub host: String,
    /// The domain whose host it is; none: the server's own.
    pub domain_id: Option<DomainId>,
    /// The chain in PEM, the host's own certificate first; none: there is none yet.
    pub chain: Option<String>,
    /// Its private key, PKCS #8, sealed.
    pub private_key: Option<Vec<u8>>,
    /// Who issued it, as the certificate says.
    pub issuer: String,
    /// From when on it is valid; none: there is none, or another one is to be got at once.
    pub start_time: Option<Moment>,
    /// Until when it is valid.
    pub expire_time: Option<Moment>,
    /// The order that is under way.
    pub order_url: Option<String>,
    /// The private key that will go with it, PKCS #8, sealed.
    pub order_key: Option<Vec<u8>>,
    /// How often in a row it could not be got.
    pub failures: i32,
    /// The number of `linkforty.v1.CertificateFailure`: why, the last time.
    pub failure: i16,
    /// What was said of it.
    pub failure_detail: String,
    /// When that was.
    pub failure_time: Option<Moment>,
    /// When it is looked after next; none: not before somebody asks for it.
    pub next_time: Option<Moment>,
    /// Goes up with every other certificate.
    pub version: i64,
    /// When the host began to need one.
    pub create_time: Moment,
    /// When the row last changed.
    pub update_time: Moment,
}

// Keys are sealed, and still nothing for a log.
impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("host", &self.host).finish_non_exhaustive()
    }
}

/// None: queries join by hand.
#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
