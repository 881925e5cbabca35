//! How users walk through screens. Pure.

use std::{cmp::Reverse, collections::BTreeMap};

use chrono::Duration;

use super::sessions::View;

/// How many screens are told at the most.
const MOST_SCREENS: usize = 500;
/// How many ways between them.
const MOST_WAYS: usize = 2000;

/// The walks of some sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walks {
    /// Most seen first.
    pub screens: Vec<(String, Screen)>,
    /// From, to and how often; most used first.
    pub ways: Vec<(String, String, i64)>,
    /// Whether rarer ones were left out.
    pub cut: bool,
}

/// One screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Screen {
    /// How often it was seen.
    pub views: i64,
    /// How many sessions began with it.
    pub entries: i64,
    /// How many ended with it.
    pub exits: i64,
    /// How often another one followed.
    followed: i64,
    /// How long it was seen then, in all, in microseconds.
    micros: i128,
}

impl Screen {
    /// Returns how long it was seen on the average, where another one followed.
    pub fn average(&self) -> Option<Duration> {
        let average = self.micros.checked_div(self.followed.into())?;
        Some(Duration::microseconds(i64::try_from(average).unwrap_or(i64::MAX)))
    }
}

/// Follows sessions, each in the order of time. The same screen several times in a row was seen once.
pub fn walks(sessions: &[Vec<View>]) -> Walks {
    let mut screens: BTreeMap<&str, Screen> = BTreeMap::new();
    let mut ways: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for session in sessions {
        let mut seen: Vec<&View> = session.iter().collect();
        seen.dedup_by(|next, before| next.screen == before.screen);
        if let (Some(first), Some(last)) = (seen.first(), seen.last()) {
            screens.entry(&first.screen).or_default().entries += 1;
            screens.entry(&last.screen).or_default().exits += 1;
        }
        for view in &seen {
            screens.entry(&view.screen).or_default().views += 1;
        }
        for two in seen.windows(2) {
            *ways.entry((&two[0].screen, &two[1].screen)).or_default() += 1;
            let screen = screens.entry(&two[0].screen).or_default();
            screen.followed += 1;
            screen.micros += i128::from((two[1].time - two[0].time).num_microseconds().unwrap_or(0));
        }
    }
    let cut = screens.len() > MOST_SCREENS || ways.len() > MOST_WAYS;
    let mut screens: Vec<(String, Screen)> =
        screens.into_iter().map(|(name, screen)| (name.to_owned(), screen)).collect();
    screens.sort_by_key(|(_, screen)| Reverse(screen.views));
    screens.truncate(MOST_SCREENS);
    let mut ways: Vec<(String, String, i64)> =
        ways.into_iter().map(|((from, to), count)| (from.to_owned(), to.to_owned(), count)).collect();
    ways.sort_by_key(|(.., count)| Reverse(*count));
    ways.truncate(MOST_WAYS);
    Walks { screens, ways, cut }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        clock::from_micros,
        ids::{EventId, InstallId},
    };

    fn session(walk: &[(&str, i64)]) -> Vec<View> {
        let view = |(screen, seconds): &(&str, i64)| View {
            id: EventId(Uuid::nil()),
            install: InstallId(Uuid::nil()),
            app: None,
            time: from_micros(seconds * 1_000_000),
            session: None,
            screen: (*screen).to_owned(),
        };
        walk.iter().map(view).collect()
    }

    #[test]
    fn entries_exits_ways_and_times_are_counted() {
        let sessions = [
            session(&[("home", 0), ("home", 4), ("item", 10), ("cart", 30), ("item", 31)]),
            session(&[("home", 0), ("item", 20)]),
            session(&[("item", 5)]),
        ];
        let walks = walks(&sessions);
        let told: Vec<_> = walks
            .screens
            .iter()
            .map(|(name, screen)| {
                let average = screen.average().map(|time| time.num_seconds());
                (name.as_str(), screen.views, screen.entries, screen.exits, average)
            })
            .collect();
        assert_eq!(
            told,
            [("item", 4, 1, 3, Some(20)), ("home", 2, 2, 0, Some(15)), ("cart", 1, 0, 0, Some(1))]
        );
        let ways: Vec<_> =
            walks.ways.iter().map(|(from, to, count)| (from.as_str(), to.as_str(), *count)).collect();
        assert_eq!(ways, [("home", "item", 2), ("cart", "item", 1), ("item", "cart", 1)]);
        assert!(!walks.cut);
    }

    #[test]
    fn rare_screens_are_left_out_and_that_is_said() {
        let names: Vec<String> = (0..=MOST_SCREENS).map(|number| number.to_string()).collect();
        let views: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let walks = walks(&[session(&views)]);
        assert_eq!((walks.screens.len(), walks.cut), (MOST_SCREENS, true));
        assert_eq!(super::walks(&[]), Walks::default());
    }
}
