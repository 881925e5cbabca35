//! Reports: what `AnalyticsService` answers, request by request.
//!
//! | file | what |
//! |---|---|
//! | `overview.rs` `time_series.rs` `breakdown.rs` `campaigns.rs` | reports from rollups |
//! | `funnel.rs` `retention.rs` | reports from single installs and events: what they come to is pure |
//! | `cohort.rs` | the installs and events that those two look at, of which there is a bound |
//! | `scope.rs` `filter.rs` | whose numbers, and which of them |
//! | `values.rs` `order.rs` | values of a dimension, their names, their order and pages of them |
//! | `numbers.rs` | numbers as the contract has them; pure |
//!
//! Each takes the request and gives the answer, for whoever has been let into the workspace: calls, exports and shared reports say the same. All that
//! one answer shows is read in one snapshot.

mod breakdown;
mod campaigns;
mod cohort;
mod filter;
mod funnel;
mod numbers;
mod order;
mod overview;
mod retention;
mod scope;
mod time_series;
mod values;

use std::sync::Arc;

use prost::Message;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

pub use self::{
    breakdown::breakdown,
    campaigns::campaigns,
    filter::{Filter, read as read_filter},
    funnel::funnel,
    order::Order,
    overview::overview,
    retention::retention,
    scope::{find as find_scope, read as read_scope},
    time_series::time_series,
    values::Named,
};
use super::{
    rollup::read::{Currency, Kept, Measures, Part, Reader, Scope, Slots},
    span::{Span, utc_days},
};
use crate::{
    db,
    env::Env,
    error::{Error, Result},
    page::PageRequest,
    workspaces::{self, Tenant},
};

/// Begins to read what one answer shows.
async fn snapshot(env: &Env) -> Result<DatabaseTransaction, DbErr> {
    db::begin_snapshot(&env.db.for_reports().await).await
}

/// Returns the rows of rollups that this process remembers.
fn kept(env: &Env) -> Arc<Kept> {
    env.memory.of(Kept::default)
}

/// Returns the numbers of a time, which may be empty.
async fn total<C: ConnectionTrait>(from: &mut Reader<'_, C>, slots: Slots) -> Result<Measures, DbErr> {
    if slots.first >= slots.end { Ok(Measures::default()) } else { from.totals(slots).await }
}

/// Returns how many visitors there were on the days that a time touches; `None` where nobody counts them.
async fn visitors<C: ConnectionTrait>(
    from: &mut Reader<'_, C>,
    scope: &Scope,
    slots: Slots,
) -> Result<Option<u64>, DbErr> {
    if matches!(scope.part, Part::App(_)) {
        return Ok(None);
    }
    if slots.first >= slots.end {
        return Ok(Some(0));
    }
    from.visitors(utc_days(slots)).await.map(Some)
}

/// Returns the currency that money is ordered by: the workspace's, if it has one.
async fn money(env: &Env, tenant: &Tenant, order: Order) -> Result<Option<Currency>> {
    if !order.is_by_money() {
        return Ok(None);
    }
    let stored = workspaces::get(env, tenant).await?;
    let settings = workspaces::settings::shown(stored.settings.as_deref());
    Ok(Currency::parse(&settings.reporting_currency))
}

/// What is asked page by page.
pub(super) struct Paged {
    /// Which page.
    pub page: PageRequest,
    /// What its token is of: the report, the workspace and what was asked, but not who asks, since a shared report has many readers.
    pub question: Vec<u8>,
}

impl Paged {
    /// Reads which page is asked for, of the report `name`; `question` is the request without size, token and workspace.
    pub fn read(
        env: &Env,
        tenant: &Tenant,
        name: &str,
        question: &impl Message,
        (size, token): (i32, &str),
    ) -> Result<Self> {
        let question =
            [name.as_bytes(), tenant.id.0.as_bytes().as_slice(), &question.encode_to_vec()].concat();
        let page = env.pages.request(size, token, &question, env.now())?;
        Ok(Self { page, question })
    }

    /// Returns the span of all pages: that of the first one.
    fn span(&self, asked: Span) -> Result<Span> {
        let Some(after) = &self.page.after else { return Ok(asked) };
        // Tokens are sealed, so none of this report has another form.
        let slots = order::slots_of(after).ok_or_else(|| Error::internal("a page token without a span"))?;
        Ok(Span { slots, ..asked })
    }
}
