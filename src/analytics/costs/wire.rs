//! Costs as messages.

use crate::{
    attribution::events::date_of,
    entity::cost::Model,
    pb::v1::{Cost, Money},
    rpc::timestamp,
};

/// Writes a cost.
pub fn cost(stored: Model) -> Cost {
    let reporting = stored.reporting_currency.map(|currency| Money {
        currency,
        units: stored.reporting_units.unwrap_or_default(),
        nanos: stored.reporting_nanos.unwrap_or_default(),
    });
    Cost {
        date: date_of(stored.day).to_string(),
        source: stored.source,
        medium: stored.medium,
        campaign: stored.campaign,
        ad_group: stored.ad_group,
        creative: stored.creative,
        country: stored.country,
        app_id: stored.app_id.map(|app| app.to_string()).unwrap_or_default(),
        link_id: stored.link_id.map(|link| link.to_string()).unwrap_or_default(),
        amount: Some(Money { currency: stored.currency, units: stored.units, nanos: stored.nanos }),
        reporting_amount: reporting,
        update_time: Some(timestamp(stored.update_time)),
    }
}
