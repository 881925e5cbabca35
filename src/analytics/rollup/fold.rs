//! From things that happened to what is to be added to which rows. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use quick_cache::DefaultHashBuilder;

use super::{
    content::{self, Cell, Content, NOTHING, Place},
    key::{Bundle, HOURS_A_DAY, Key, Level, SLOTS_AN_HOUR, Scoped},
    measures::Measures,
    sketch::Sketch,
};
use crate::{
    analytics::dims::{Dimension, Values},
    clock::Moment,
    ids::WorkspaceId,
};

/// Microseconds of a quarter-hour.
const SLOT_MICROS: i64 = 900_000_000;

type Map<K, V> = HashMap<K, V, DefaultHashBuilder>;

/// Sums of what happened, until they are added to rows. Texts have numbers of its own here: places in `texts`.
#[derive(Debug, Default)]
pub struct Fold {
    numbers: Map<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    /// A part of a workspace in an hour, and its place in `hours`.
    places: Map<(WorkspaceId, Scoped, u32, i32), u32>,
    hours: Vec<(WorkspaceId, Scoped, u32, i32)>,
    /// By place in `hours`, dimension, value and quarter of the hour.
    cells: Map<(u32, u8, u32, u8), Measures>,
    visitors: Map<(WorkspaceId, Scoped, u32, i32), Sketch>,
    items: u64,
}

/// One thing that happened, or that did not happen after all.
#[derive(Debug)]
pub struct Item<'a, 'b> {
    /// Whose.
    pub workspace: WorkspaceId,
    /// When.
    pub time: Moment,
    /// What it is in each dimension.
    pub values: &'b Values<'a>,
    /// What it counts as; below zero where it counts no more.
    pub measures: &'b Measures,
    /// Who it was, where that is counted.
    pub visitor: Option<i64>,
}

/// The parts of a workspace that something counts in, beside the whole: those it has a value of.
const PARTS: [(Scoped, Dimension); 4] = [
    (Scoped::Project, Dimension::Project),
    (Scoped::Link, Dimension::Link),
    (Scoped::App, Dimension::App),
    (Scoped::Domain, Dimension::Domain),
];

impl Fold {
    /// Counts one thing.
    pub fn add(&mut self, item: &Item<'_, '_>) {
        let Item { workspace, time, values, measures, visitor } = *item;
        if measures.is_zero() && visitor.is_none() {
            return;
        }
        self.items += 1;
        let slot = slot_of(time);
        let (hour, quarter) = (slot.div_euclid(SLOTS_AN_HOUR), slot.rem_euclid(SLOTS_AN_HOUR) as u8);
        // One number for each value, once for all parts.
        let codes: [u32; crate::analytics::dims::COUNT] = std::array::from_fn(|at| self.number(&values[at]));
        let parts = PARTS.map(|(scope, dimension)| (scope, codes[dimension.index()]));
        let parts = parts.into_iter().filter(|(_, part)| *part != NOTHING);
        for (scope, part) in [(Scoped::Workspace, NOTHING)].into_iter().chain(parts) {
            let key = (workspace, scope, part, hour);
            let place = *self.places.entry(key).or_insert_with(|| {
                self.hours.push(key);
                (self.hours.len() - 1) as u32
            });
            *self.cells.entry((place, content::ALL, NOTHING, quarter)).or_default() += measures;
            for (dimension, code) in Dimension::ALL.into_iter().zip(codes) {
                // That a link is itself need not be kept.
                let is_itself = scope == Scoped::Link && dimension == Dimension::Link;
                if code != NOTHING && !is_itself {
                    *self.cells.entry((place, dimension.number(), code, quarter)).or_default() += measures;
                }
            }
            // Apps have no visitors.
            if let Some(visitor) = visitor
                && scope != Scoped::App
            {
                let day = hour.div_euclid(HOURS_A_DAY);
                self.visitors.entry((workspace, scope, part, day)).or_default().insert(visitor);
            }
        }
    }

    /// Says how many things were counted.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Returns the texts that need codes, in the order in which [`Fold::rows`] takes these.
    pub fn texts(&self) -> &[Arc<str>] {
        &self.texts
    }

    /// Returns what is to be added to which rows. `codes` are those of `texts`.
    pub fn rows(self, codes: &[u32]) -> BTreeMap<Key, Content> {
        let code = |number: u32| if number == NOTHING { NOTHING } else { codes[number as usize - 1] };
        let mut cells: Map<Key, Vec<Cell>> = Map::default();
        for ((place, dimension, value, quarter), measures) in self.cells {
            let (workspace, scope, part, hour) = self.hours[place as usize];
            let (day, hour_of_day) = (hour.div_euclid(HOURS_A_DAY), hour.rem_euclid(HOURS_A_DAY));
            let slot_of_day = (hour_of_day * SLOTS_AN_HOUR) as u8 + quarter;
            let key =
                |bundle, level, period| Key { workspace, scope, part: code(part), bundle, level, period };
            let at = |slot| Place { dimension, value: code(value), slot };
            let bundle = match (scope, Dimension::numbered(dimension)) {
                (Scoped::Link, _) => Bundle::Whole,
                (_, None) => Bundle::Totals,
                (_, Some(dimension)) => {
                    let bundle = Bundle::of(dimension);
                    let hourly = cells.entry(key(bundle, Level::Hour, hour)).or_default();
                    hourly.push((at(quarter), measures.clone()));
                    cells.entry(key(bundle, Level::Day, day)).or_default().push((at(0), measures));
                    continue;
                }
            };
            cells.entry(key(bundle, Level::Day, day)).or_default().push((at(slot_of_day), measures));
        }
        let mut rows: BTreeMap<Key, Content> =
            cells.into_iter().map(|(key, cells)| (key, Content::new(cells, None))).collect();
        for ((workspace, scope, part, day), sketch) in self.visitors {
            let bundle = if scope == Scoped::Link { Bundle::Whole } else { Bundle::Visitors };
            let key = Key { workspace, scope, part: code(part), bundle, level: Level::Day, period: day };
            rows.entry(key).or_default().merge(Content::new(Vec::new(), Some(sketch)));
        }
        rows.retain(|_, content| !content.is_empty());
        rows
    }

    /// Returns the number of a text: 0 for the empty one, else one more than its place.
    fn number(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return NOTHING;
        }
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let text: Arc<str> = Arc::from(text);
        self.texts.push(text.clone());
        let number = self.texts.len() as u32;
        self.numbers.insert(text, number);
        number
    }
}

/// Returns the quarter-hour of a moment, as a number since 1970.
pub fn slot_of(time: Moment) -> i32 {
    i32::try_from(time.timestamp_micros().div_euclid(SLOT_MICROS)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::from_micros;

    const LINK: &str = "00000000-0000-0000-0000-000000000007";

    fn values(country: &'static str, link: &'static str, domain: &'static str) -> Values<'static> {
        let mut values = Values::default();
        values[Dimension::Country.index()] = country.into();
        values[Dimension::Link.index()] = link.into();
        values[Dimension::Domain.index()] = domain.into();
        values
    }

    #[test]
    fn a_click_counts_in_every_part_it_has_to_do_with() {
        let workspace = WorkspaceId(Uuid::nil());
        let mut fold = Fold::default();
        let one = Measures { clicks: 1, ..Measures::default() };
        // 26 hours and a quarter.
        let time = from_micros(SLOT_MICROS * (26 * 4 + 1));
        let (swiss, unknown) = (values("CH", LINK, "a.example"), values("", LINK, ""));
        let item = Item { workspace, time, values: &swiss, measures: &one, visitor: Some(1) };
        fold.add(&item);
        fold.add(&Item { visitor: Some(2), ..item });
        fold.add(&Item { values: &unknown, visitor: None, ..item });
        fold.add(&Item { measures: &Measures::default(), visitor: None, ..item });
        assert_eq!(fold.items(), 3);
        let texts: Vec<&str> = fold.texts().iter().map(|text| &**text).collect();
        assert_eq!(texts, ["CH", "a.example", LINK]);
        let rows = fold.rows(&[12, 11, 10]);
        let told: Vec<String> = rows
            .iter()
            .map(|(key, content)| {
                let Key { workspace: _, scope, part, bundle, level, period } = key;
                let cells: Vec<String> = content
                    .cells()
                    .iter()
                    .map(|(at, of)| format!("{}:{}@{}={}", at.dimension, at.value, at.slot, of.clicks))
                    .collect();
                let visitors = content.visitors().map_or(0, Sketch::estimate);
                format!("{scope:?} {part} {bundle:?} {level:?} {period} [{}] {visitors}", cells.join(" "))
            })
            .collect();
        assert_eq!(
            told,
            [
                "Workspace 0 Totals Day 1 [0:0@9=3] 0",
                "Workspace 0 Places Hour 26 [1:12@1=2] 0",
                "Workspace 0 Places Day 1 [1:12@0=2] 0",
                "Workspace 0 Devices Hour 26 [20:11@1=2] 0",
                "Workspace 0 Devices Day 1 [20:11@0=2] 0",
                "Workspace 0 Links Hour 26 [22:10@1=3] 0",
                "Workspace 0 Links Day 1 [22:10@0=3] 0",
                "Workspace 0 Visitors Day 1 [] 2",
                "Link 10 Whole Day 1 [0:0@9=3 1:12@9=2 20:11@9=2] 2",
                "Domain 11 Totals Day 1 [0:0@9=2] 0",
                "Domain 11 Places Hour 26 [1:12@1=2] 0",
                "Domain 11 Places Day 1 [1:12@0=2] 0",
                "Domain 11 Devices Hour 26 [20:11@1=2] 0",
                "Domain 11 Devices Day 1 [20:11@0=2] 0",
                "Domain 11 Links Hour 26 [22:10@1=2] 0",
                "Domain 11 Links Day 1 [22:10@0=2] 0",
                "Domain 11 Visitors Day 1 [] 2",
            ]
        );
    }

    #[test]
    fn what_is_taken_back_leaves_nothing() {
        let workspace = WorkspaceId(Uuid::nil());
        let mut fold = Fold::default();
        let one = Measures { installs: 1, ..Measures::default() };
        let values = values("", LINK, "");
        let item = Item { workspace, time: from_micros(-1), values: &values, measures: &one, visitor: None };
        fold.add(&item);
        fold.add(&Item { measures: &-one.clone(), ..item });
        assert!(fold.rows(&[2]).is_empty());
        assert_eq!((slot_of(from_micros(-1)), slot_of(from_micros(0))), (-1, 0));
    }
}
