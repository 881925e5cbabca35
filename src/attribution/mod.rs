//! Which link brought the user of an app, and what the user did there.
//!
//! | file | what |
//! |---|---|
//! | `decide.rs` | which click an install is credited to; pure |
//! | `sdk.rs` | `linkforty.sdk.v1.SdkService`: who calls, what do they want, do it, answer |

pub mod decide;
mod sdk;

use futures::future::BoxFuture;
use sea_orm::DbErr;

pub use self::sdk::SdkApi;
use crate::{
    clicks::drain::Unreadable, domains::Sites, env::Env, links::Resolver, spool::Record, spool::Spool,
};

/// What the calls of apps need. A cheap clone.
#[derive(Debug, Clone)]
pub struct Sdk {
    /// The handles.
    pub env: Env,
    /// Keeps what cannot be stored at once.
    pub spool: Spool,
    /// Knows links.
    pub resolver: Resolver,
    /// Knows whose hosts are whose.
    pub sites: Sites,
}

/// Writes what the spool holds of apps.
pub fn carry<'a>(_: &'a Env, records: &'a [Record]) -> BoxFuture<'a, Result<Vec<Unreadable>, DbErr>> {
    Box::pin(async move { Ok((0..records.len()).map(Unreadable).collect()) })
}
