//! Which link brought the user of an app, and what the user did there.
//!
//! | file | what |
//! |---|---|
//! | `decide.rs` | which click an install is credited to; pure |
//! | `events/` | what users do in apps, with its money |
//! | `grpc.rs` | `linkforty.v1.AttributionService` |
//! | `sdk.rs` | `linkforty.sdk.v1.SdkService`: who calls, what do they want, do it, answer |

pub mod decide;
pub mod events;
mod grpc;
mod sdk;

use futures::future::BoxFuture;
use sea_orm::DbErr;

pub use self::{grpc::AttributionApi, sdk::SdkApi};
use crate::{
    clicks::drain::Unreadable,
    domains::Sites,
    env::Env,
    links::Resolver,
    spool::{Record, RecordKind, Spool},
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
pub fn carry<'a>(env: &'a Env, records: &'a [Record]) -> BoxFuture<'a, Result<Vec<Unreadable>, DbErr>> {
    Box::pin(async move {
        let mut unreadable = Vec::new();
        let mut events = Vec::new();
        for (place, record) in records.iter().enumerate() {
            match record.kind {
                RecordKind::Event => events.push((place, record)),
                _ => unreadable.push(Unreadable(place)),
            }
        }
        unreadable.extend(events::carry(env, &events).await?);
        Ok(unreadable)
    })
}
