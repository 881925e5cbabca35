//! Items of the feed as the contract shows them. Pure.

use crate::{
    clicks::class::Class,
    feed,
    ids::{LinkId, time_of},
    links::timestamp,
    pb::{
        sdk::v1 as sdk,
        v1::{Click, Money, Platform, WatchedEvent, WatchedInstall},
    },
};

/// Returns a click.
pub fn click(click: &feed::Click) -> Click {
    Click {
        id: click.id.to_string(),
        link_id: click.link.to_string(),
        time: Some(timestamp(time_of(click.id.0))),
        platform: platform(click.platform).into(),
        class: Class::told(click.class).into(),
        referrer_host: click.referrer_host.to_string(),
        language: click.language.to_string(),
        query: click.query.to_string(),
        country: click.country.to_string(),
        region: click.region.to_string(),
        city: click.city.to_string(),
        domain: click.domain.to_string(),
        project_id: click.project.to_string(),
    }
}

/// Returns what became of an install.
pub fn install(install: &feed::Install) -> WatchedInstall {
    let feed::Install { id, app, time, platform, test, now, before: _ } = install;
    WatchedInstall {
        id: id.to_string(),
        app_id: app.map(|app| app.to_string()).unwrap_or_default(),
        install_time: Some(timestamp(*time)),
        platform: sdk::Platform::try_from(i32::from(*platform)).unwrap_or_default().into(),
        test: *test,
        state: sdk::AttributionState::try_from(i32::from(now.state)).unwrap_or_default().into(),
        method: sdk::MatchMethod::try_from(i32::from(now.method)).unwrap_or_default().into(),
        link_id: now.link.as_ref().map(LinkId::to_string).unwrap_or_default(),
        click_id: now.click.map(|click| click.to_string()).unwrap_or_default(),
    }
}

/// Returns an event.
pub fn event(event: &feed::Event) -> WatchedEvent {
    let money = |money: &feed::Money| Money {
        currency: money.currency.clone(),
        units: money.units,
        nanos: money.nanos,
    };
    WatchedEvent {
        id: event.id.to_string(),
        install_id: event.install.to_string(),
        app_id: event.app.map(|app| app.to_string()).unwrap_or_default(),
        name: event.name.clone(),
        event_time: Some(timestamp(event.time)),
        revenue: event.revenue.as_ref().map(money),
        reporting_revenue: event.reporting.as_ref().map(money),
        duplicate_revenue: event.duplicate_revenue,
        link_id: event.link.as_ref().map(LinkId::to_string).unwrap_or_default(),
    }
}

const fn platform(number: i16) -> Platform {
    match number {
        0 => Platform::Web,
        1 => Platform::Ios,
        2 => Platform::Android,
        _ => Platform::Unspecified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_their_names() {
        let named: Vec<_> = (0..4).map(platform).collect();
        assert_eq!(named, [Platform::Web, Platform::Ios, Platform::Android, Platform::Unspecified]);
    }
}
