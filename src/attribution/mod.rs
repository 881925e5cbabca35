//! Which link brought the user of an app, and what the user did there.
//!
//! | file | what |
//! |---|---|
//! | `decide.rs` | which click an install is credited to; pure |
//! | `device.rs` | what is compared of a click and an install; pure |
//! | `deep_link.rs` | what an app is told of the link that brought its user; pure |
//! | `shared.rs` | networks whose addresses say nothing of anybody |
//! | `installs/` | installs: known again, credited once |
//! | `decisions/` | the log of what was decided, which anybody can check |
//! | `networks/` | what ad networks say of installs |
//! | `opens.rs` | links that the system handed to the app |
//! | `sharing.rs` | links that users of an app share |
//! | `events/` | what users do in apps, with its money |
//! | `postbacks/` | what Apple says of installs that ads brought |
//! | `json/` | the paths that LinkForty's SDKs call |
//! | `fraud/` | what is odd about installs and links, and what follows from it |
//! | `replay/` | what other rules would have decided |
//! | `views.rs` | ads that somebody saw, kept for as long as an install may be theirs |
//! | `returns/` | users whom links bring back |
//! | `assists.rs` | clicks that had a part in an install without the credit; pure |
//! | `explain.rs` | installs as people see them, and why each is credited as it is; pure |
//! | `grpc.rs` | `linkforty.v1.AttributionService` |
//! | `sdk.rs` | `linkforty.sdk.v1.SdkService`: who calls, what do they want, do it, answer |
//! | `simulate/` | a population of which everything is known, and what the decisions are worth on it; pure |

mod assists;
pub mod decide;
#[cfg(test)]
mod decide_tests;
pub mod decisions;
mod deep_link;
mod device;
pub mod events;
mod explain;
pub mod fraud;
mod grpc;
mod installs;
mod json;
mod networks;
mod opens;
pub mod postbacks;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod reference_tests;
mod replay;
mod returns;
mod sdk;
mod shared;
mod sharing;
pub mod simulate;
mod views;

use futures::future::BoxFuture;
use sea_orm::DbErr;

pub use self::{
    grpc::AttributionApi,
    installs::{decide_pending, past as past_installs},
    json::{platform as json_platform, revenue as json_revenue, router as json_routes},
    networks::{EVERY as EXCHANGE_EVERY, exchange_tokens, forget_click_ids},
    sdk::SdkApi,
    shared::refresh as refresh_shared_networks,
    views::forget as forget_views,
};
use crate::{
    clicks::{Recorder, drain::Unreadable},
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
    /// Records opens of links.
    pub recorder: Recorder,
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
        let (mut views, mut opens) = (Vec::new(), Vec::new());
        for (place, record) in records.iter().enumerate() {
            let read = match record.kind {
                RecordKind::Install => installs::carry(env, record).await?,
                RecordKind::Event => {
                    events.push((place, record));
                    true
                }
                RecordKind::Postback => postbacks::carry(env, record).await?,
                RecordKind::View => {
                    views.push((place, record));
                    true
                }
                // It is stored already; what it says of a device is not.
                RecordKind::Click => {
                    views::identify(env, record).await?;
                    true
                }
                RecordKind::Open => {
                    opens.push((place, record));
                    true
                }
                RecordKind::Unknown(_) => false,
            };
            if !read {
                unreadable.push(Unreadable(place));
            }
        }
        unreadable.extend(events::carry(env, &events).await?);
        unreadable.extend(views::carry(env, &views).await?);
        // Behind the installs that they are of, and the events before them.
        for (place, record) in opens {
            if !returns::carry(env, record).await? {
                unreadable.push(Unreadable(place));
            }
        }
        Ok(unreadable)
    })
}
