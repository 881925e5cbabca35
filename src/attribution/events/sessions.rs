//! Which events are of one session. Pure.
//!
//! Of one session are the events of one install to which the app gave the same session id. Events without one are of one session as long
//! as no pause between two of them is longer than the app's gap.

use std::collections::{BTreeMap, HashMap};

use crate::{
    clock::Moment,
    ids::{AppId, EventId, InstallId},
};

/// A screen that somebody saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub id: EventId,
    pub install: InstallId,
    pub app: Option<AppId>,
    pub time: Moment,
    pub session: Option<String>,
    pub screen: String,
}

/// Puts views into sessions, each in the order of time. `gaps` are in seconds; an app that is not there has `default`.
pub fn sessions(mut views: Vec<View>, gaps: &HashMap<AppId, i64>, default: i64) -> Vec<Vec<View>> {
    views.sort_by_key(|view| (view.install, view.time, view.id));
    let mut named: BTreeMap<(InstallId, Option<AppId>, String), Vec<View>> = BTreeMap::new();
    let mut by_pause: Vec<Vec<View>> = Vec::new();
    // Where the last session of each app of this install is.
    let mut last: HashMap<(InstallId, Option<AppId>), usize> = HashMap::new();
    for view in views {
        if let Some(session) = &view.session {
            named.entry((view.install, view.app, session.clone())).or_default().push(view);
            continue;
        }
        let gap = view.app.and_then(|app| gaps.get(&app)).copied().unwrap_or(default);
        let goes_on = last.get(&(view.install, view.app)).copied().filter(|place| {
            let before = by_pause[*place].last().map_or(view.time, |before| before.time);
            view.time - before <= chrono::Duration::seconds(gap)
        });
        match goes_on {
            Some(place) => by_pause[place].push(view),
            None => {
                last.insert((view.install, view.app), by_pause.len());
                by_pause.push(vec![view]);
            }
        }
    }
    by_pause.extend(named.into_values());
    by_pause
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::from_micros;

    fn view(install: u128, app: u128, seconds: i64, session: &str) -> View {
        View {
            id: EventId(Uuid::from_u128(seconds.unsigned_abs().into())),
            install: InstallId(Uuid::from_u128(install)),
            app: Some(AppId(Uuid::from_u128(app))),
            time: from_micros(seconds * 1_000_000),
            session: Some(session.to_owned()).filter(|session| !session.is_empty()),
            screen: seconds.to_string(),
        }
    }

    #[test]
    fn a_pause_or_another_id_begins_another_session() {
        let gaps = HashMap::from([(AppId(Uuid::from_u128(2)), 60)]);
        for (views, expected) in [
            (vec![], vec![]),
            (vec![view(1, 1, 0, ""), view(1, 1, 1800, ""), view(1, 1, 3601, "")], vec!["0 1800", "3601"]),
            (vec![view(1, 1, 1800, ""), view(1, 1, 0, "")], vec!["0 1800"]),
            (vec![view(1, 2, 0, ""), view(1, 2, 60, ""), view(1, 2, 121, "")], vec!["0 60", "121"]),
            // Two installs, and two apps of one.
            (vec![view(1, 1, 0, ""), view(2, 1, 5, "")], vec!["0", "5"]),
            (vec![view(1, 1, 0, ""), view(1, 2, 5, ""), view(1, 1, 9, "")], vec!["0 9", "5"]),
            // What the app says counts more than any pause.
            (vec![view(1, 1, 0, "a"), view(1, 1, 5, "b"), view(1, 1, 99_999, "a")], vec!["0 99999", "5"]),
            (vec![view(1, 1, 0, "a"), view(2, 1, 5, "a")], vec!["0", "5"]),
            (vec![view(1, 1, 0, ""), view(1, 1, 5, "a"), view(1, 1, 9, "")], vec!["0 9", "5"]),
        ] {
            let told: Vec<String> = sessions(views, &gaps, 1800)
                .iter()
                .map(|views| views.iter().map(|view| view.screen.clone()).collect::<Vec<_>>().join(" "))
                .collect();
            assert_eq!(told, expected);
        }
    }
}
