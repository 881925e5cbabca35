//! How often somebody may call. Never how much work there is: that is `admission`'s to bound, and the listeners'.
//!
//! Each limit is a bucket for a key that holds a minute's calls and fills evenly, so a quiet caller may spend a minute's
//! worth at once. The node's own bucket is asked first; where there is Redis, its bucket, which all nodes share, has the
//! last word. While Redis is away each node counts alone: nodes then allow the limit each, and nothing waits.

mod process;
mod shared;
mod store;

use std::{fmt::Debug, num::NonZeroU32, sync::Arc, time::Duration};

use async_trait::async_trait;

pub use self::{process::ProcessLimits, shared::SharedLimits};
use crate::{cache::Redis, clock::Clock, config};

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitName {
    /// Calls of an API key or a person; the key is its id, of an API key behind its workspace's.
    Caller,
    /// Calls of an address that has no credential; the key is the address, of IPv6 its /64.
    Address,
    /// Passwords of links that somebody tries; the key is the address, of IPv6 its /64.
    Unlock,
    /// Passwords that everybody together tries on one link; the key is its id.
    UnlockLink,
    /// Passwords of shared reports that somebody tries; the key is the address, of IPv6 its /64.
    Share,
    /// Passwords that everybody together tries on one share of a report; the key is its id.
    ShareReport,
    /// Links that somebody reports; the key is the address, of IPv6 its /64.
    Report,
    /// Reports of one link by everybody together; the key is its id.
    ReportLink,
    /// Pictures of codes that are drawn for an address, of IPv6 its /64.
    QrCode,
    /// Other people's pages and pictures that are fetched for a workspace; the key is its id.
    Fetch,
    /// Tests of webhook endpoints that somebody sends from a workspace; the key is its id.
    WebhookTest,
    /// Calls of all API keys of a workspace together; the key is its id.
    Workspace,
    /// Calls of an app's copies behind one address; the key is the app, or the workspace where nothing says which app, and the address, of IPv6
    /// its /64.
    App,
    /// Short codes that nobody made, as an address asks for them; the key is the address, of IPv6 its /64.
    Unknown,
}

impl LimitName {
    /// Every limit.
    pub const ALL: [Self; 14] = [
        Self::Caller,
        Self::Address,
        Self::Unlock,
        Self::UnlockLink,
        Self::Share,
        Self::ShareReport,
        Self::Report,
        Self::ReportLink,
        Self::QrCode,
        Self::Fetch,
        Self::WebhookTest,
        Self::Workspace,
        Self::App,
        Self::Unknown,
    ];

    /// Returns the limit's name as keys and metrics carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Address => "address",
            Self::Unlock => "unlock",
            Self::UnlockLink => "unlock_link",
            Self::Share => "share",
            Self::ShareReport => "share_report",
            Self::Report => "report",
            Self::ReportLink => "report_link",
            Self::QrCode => "qr_code",
            Self::Fetch => "fetch",
            Self::WebhookTest => "webhook_test",
            Self::Workspace => "workspace",
            Self::App => "app",
            Self::Unknown => "unknown",
        }
    }
}

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls a minute, evenly spread.
    pub per_minute: NonZeroU32,
    /// Calls at once after a quiet time.
    pub burst: NonZeroU32,
}

impl Rate {
    /// Returns a rate whose bucket holds a minute's calls. Settings with a zero do not load; here it counts as one.
    pub fn per_minute(calls: u32) -> Self {
        let calls = NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN);
        Self { per_minute: calls, burst: calls }
    }

    /// Returns the time between two calls.
    fn interval(self) -> Duration {
        Duration::from_mins(1) / self.per_minute.get()
    }

    /// A call that costs more than the bucket holds takes the whole bucket.
    fn cost(self, cost: u32) -> NonZeroU32 {
        NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN).min(self.burst)
    }
}

/// Whether a call may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed {
        /// Calls the bucket holds when full.
        limit: u32,
        /// Calls left at this moment.
        remaining: u32,
    },
    /// It may not.
    Limited {
        /// Calls the bucket holds when full.
        limit: u32,
        /// When the same call would be allowed, if nothing else comes in between. Never zero.
        retry_after: Duration,
    },
}

impl Verdict {
    /// Says whether the call may go on.
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// What was taken from a bucket of this node, or what it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Of which limit the bucket is.
    pub name: LimitName,
    /// Whose it is.
    pub key: String,
    /// How many calls.
    pub cost: u32,
    /// What came of it.
    pub verdict: Verdict,
}

/// Counts calls against limits.
#[async_trait]
pub trait Limits: Send + Sync + Debug {
    /// Takes `cost` calls from the bucket of `key` on this node alone, if it holds them. Waits for nothing.
    fn check_here(&self, name: LimitName, key: &str, cost: u32) -> Verdict;
    /// Takes from the buckets that all nodes share what was taken from this node's: from all of them, or from none and the one that is used up
    /// says so. Where there are none, or nobody answers, what the node said holds. Keys that are asked for together have a part in `{}` in common
    /// (a hash tag: all of them lie on one server of a cluster).
    async fn check_everywhere(&self, taken: &mut [Taken]);
    /// Takes `cost` calls from the bucket of `key`, if it holds them: on this node, and then everywhere.
    async fn check(&self, name: LimitName, key: &str, cost: u32) -> Verdict {
        let verdict = self.check_here(name, key, cost);
        let mut taken = [Taken { name, key: key.to_owned(), cost, verdict }];
        if verdict.is_allowed() {
            self.check_everywhere(&mut taken).await;
        }
        taken[0].verdict
    }
    /// Forgets buckets that are full again. `serve` calls it every few seconds.
    fn sweep(&self);
}

/// Limits nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

#[async_trait]
impl Limits for Unlimited {
    fn check_here(&self, _: LimitName, _: &str, _: u32) -> Verdict {
        Verdict::Allowed { limit: u32::MAX, remaining: u32::MAX }
    }

    async fn check_everywhere(&self, _: &mut [Taken]) {}

    fn sweep(&self) {}
}

/// The rates of the settings.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Of callers, of addresses without a credential, of codes drawn for an address, and of what is fetched for a workspace.
    pub calls: Rate,
    /// Of passwords of links and of shared reports from one address, and of reports about links.
    pub unlock: Rate,
    /// Of passwords tried on one link or one share.
    pub unlock_link: Rate,
    /// Of the API keys of one workspace.
    pub workspace: Rate,
    /// Of one app at one address.
    pub app: Rate,
    /// Of codes that nobody made, asked for from one address.
    pub unknown: Rate,
}

/// How many times an address's share of passwords everybody together may try on one link.
const ADDRESSES_AT_ONE_LINK: u32 = 10;
/// Tests of webhook endpoints that a workspace may send.
const WEBHOOK_TESTS: Rate = Rate { per_minute: TEN, burst: TEN };
const TEN: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");

impl Rates {
    /// Returns those of the settings.
    pub fn new(config: &config::Limits) -> Self {
        Self {
            calls: Rate::per_minute(config.per_minute),
            unlock: Rate::per_minute(config.unlock_per_minute),
            unlock_link: Rate::per_minute(config.unlock_per_minute.saturating_mul(ADDRESSES_AT_ONE_LINK)),
            workspace: Rate::per_minute(config.workspace_per_minute),
            app: Rate::per_minute(config.app_per_minute),
            unknown: Rate::per_minute(config.unknown_per_minute),
        }
    }

    /// Returns one a minute of everything but calls.
    #[cfg(test)]
    pub fn testing(calls_per_minute: u32) -> Self {
        let one = Rate::per_minute(1);
        let calls = Rate::per_minute(calls_per_minute);
        Self { calls, unlock: one, unlock_link: one, workspace: one, app: one, unknown: one }
    }

    /// Returns the rate of a limit.
    pub const fn of(&self, name: LimitName) -> Rate {
        match name {
            LimitName::Caller | LimitName::Address | LimitName::QrCode | LimitName::Fetch => self.calls,
            LimitName::Unlock | LimitName::Share | LimitName::Report => self.unlock,
            LimitName::UnlockLink | LimitName::ShareReport | LimitName::ReportLink => self.unlock_link,
            LimitName::Workspace => self.workspace,
            LimitName::App => self.app,
            LimitName::Unknown => self.unknown,
            // Strangers are called as fast as a person clicks, whatever a server allows its callers.
            LimitName::WebhookTest => WEBHOOK_TESTS,
        }
    }
}

/// Returns the limits that the settings ask for.
pub fn open(config: &config::Limits, clock: Arc<dyn Clock>, redis: Option<&Redis>) -> Arc<dyn Limits> {
    if !config.enabled {
        return Arc::new(Unlimited);
    }
    let local = ProcessLimits::new(Rates::new(config), clock);
    match redis {
        Some(redis) => Arc::new(SharedLimits::new(local, redis.counter())),
        None => Arc::new(local),
    }
}
