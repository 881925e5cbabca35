//! What one row of `rollups` holds: for each dimension the measures of each value and slot, and perhaps a sketch of visitors. Pure.
//!
//! ```text
//! version (1 byte), then sections in the order of their numbers: number, length in bytes, and
//!   dimension 0 (all together) or 1..28:  values in the order of their codes:
//!     what the code is more than the one before; then slots in order:
//!       (what the slot is more than the one before) << 3 | kind << 1 | whether another slot follows
//!         kind 0: one click · 1: so many clicks · 2: so many clicks of others
//!         kind 3: which measures there are (a bit each), then each of them, zigzag
//!   64: the sketch
//! ```
//!
//! All numbers are varints. The empty value is not written: it is what the others lack of dimension 0. A dimension has at the most
//! [`most_values`] values; the rest counts under the code [`OTHER`]. Those with the smallest codes stay, so what is left over does not
//! depend on the order things came in.

use prost::encoding::{decode_varint, encode_varint};

use super::{
    measures::{Currency, Measures},
    sketch::Sketch,
};
use crate::analytics::dims::Dimension;

const VERSION: u8 = 1;
/// The dimension of everything together.
pub const ALL: u8 = 0;
/// The section of the sketch.
const VISITORS: u8 = 64;
/// The code of the empty value, which is not written but in the dimension of everything together.
pub const NOTHING: u32 = 0;
/// The code of what is beyond the bound of values.
pub const OTHER: u32 = 1;

const MOST_VALUES: usize = 1000;
const MOST_LINKS: usize = 100_000;

const ONE_CLICK: u64 = 0;
const CLICKS: u64 = 1;
const BOT_CLICKS: u64 = 2;
const SEVERAL: u64 = 3;

/// Returns how many values of a dimension one row holds.
fn most_values(dimension: u8) -> usize {
    match Dimension::numbered(dimension) {
        Some(
            Dimension::Link
            | Dimension::CampaignLink
            | Dimension::CampaignAd
            | Dimension::Rule
            | Dimension::Variant,
        ) => MOST_LINKS,
        _ => MOST_VALUES,
    }
}

/// Where something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The number of the dimension.
    pub dimension: u8,
    /// The code of the value.
    pub value: u32,
    /// Of an hour its quarters, of a day the same where it has slots and 0 where it has none.
    pub slot: u8,
}

/// What is counted at one place.
pub type Cell = (Place, Measures);

/// The content of a row, or what is to be added to one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// In order; none is zero.
    cells: Vec<Cell>,
    visitors: Option<Sketch>,
}

impl Content {
    /// Puts cells in order, adds those of one place up and applies the bounds.
    pub fn new(mut cells: Vec<Cell>, visitors: Option<Sketch>) -> Self {
        cells.sort_by_key(|(place, _)| *place);
        let mut content = Self { cells: combined(cells), visitors };
        content.apply_bounds();
        content
    }

    /// Adds another.
    pub fn merge(&mut self, other: Self) {
        let Self { cells, visitors } = other;
        match (&mut self.visitors, visitors) {
            (Some(own), Some(others)) => own.merge(&others),
            (own @ None, others) => *own = others,
            (Some(_), None) => {}
        }
        if cells.is_empty() {
            return;
        }
        let own = std::mem::take(&mut self.cells);
        let mut both = Vec::with_capacity(own.len() + cells.len());
        let (mut own, mut others) = (own.into_iter().peekable(), cells.into_iter().peekable());
        loop {
            let next = match (own.peek(), others.peek()) {
                (Some(one), Some(other)) if one.0 <= other.0 => own.next(),
                (_, Some(_)) => others.next(),
                (Some(_), None) => own.next(),
                (None, None) => break,
            };
            both.extend(next);
        }
        self.cells = combined(both);
        self.apply_bounds();
    }

    /// Says whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.visitors.is_none()
    }

    /// Returns what is counted, in the order of places.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Returns who was counted.
    pub fn visitors(&self) -> Option<&Sketch> {
        self.visitors.as_ref()
    }

    /// Returns how many clicks of people all together are.
    pub fn clicks(&self) -> i64 {
        let all = self.cells.iter().take_while(|(place, _)| place.dimension == ALL);
        all.map(|(_, measures)| measures.clicks).sum()
    }

    /// Moves what is beyond the bounds to the code of the rest.
    fn apply_bounds(&mut self) {
        let mut beyond = Vec::new();
        for of_one in self.cells.chunk_by(|one, next| one.0.dimension == next.0.dimension) {
            let dimension = of_one[0].0.dimension;
            let mut values = 0;
            let mut before = None;
            for (place, _) in of_one {
                if place.value != OTHER && before != Some(place.value) {
                    before = Some(place.value);
                    values += 1;
                    if values > most_values(dimension) {
                        beyond.push((dimension, place.value));
                        break;
                    }
                }
            }
        }
        if beyond.is_empty() {
            return;
        }
        for (place, _) in &mut self.cells {
            if beyond.iter().any(|(dimension, first)| place.dimension == *dimension && place.value >= *first)
            {
                place.value = OTHER;
            }
        }
        self.cells.sort_by_key(|(place, _)| *place);
        self.cells = combined(std::mem::take(&mut self.cells));
    }

    /// Writes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let mut section = Vec::new();
        let mut close = |number: u8, section: &mut Vec<u8>| {
            encode_varint(number.into(), &mut bytes);
            encode_varint(section.len() as u64, &mut bytes);
            bytes.append(section);
        };
        for of_one in self.cells.chunk_by(|one, next| one.0.dimension == next.0.dimension) {
            let mut code = 0;
            for of_value in of_one.chunk_by(|one, next| one.0.value == next.0.value) {
                let value = of_value[0].0.value;
                encode_varint(u64::from(value - code), &mut section);
                code = value;
                let mut slot = 0;
                for (place, (at, measures)) in of_value.iter().enumerate() {
                    let follows = place + 1 < of_value.len();
                    encode_cell(u64::from(at.slot - slot), follows, measures, &mut section);
                    slot = at.slot;
                }
            }
            close(of_one[0].0.dimension, &mut section);
        }
        if let Some(visitors) = &self.visitors {
            visitors.encode(&mut section);
            close(VISITORS, &mut section);
        }
        bytes
    }

    /// Reads one; `None` for bytes that are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut content = Self::default();
        for section in sections(bytes)? {
            let (number, body) = section?;
            if number == VISITORS {
                content.visitors = Some(Sketch::decode(body)?);
            } else {
                each(body, |value, slot, measures| {
                    content.cells.push((Place { dimension: number, value, slot }, measures));
                })?;
            }
        }
        Some(content)
    }
}

/// Calls `of` with each value, slot and measures of one dimension. `None` for bytes that hold no content.
pub fn each_of(bytes: &[u8], dimension: u8, of: impl FnMut(u32, u8, Measures)) -> Option<()> {
    each(section(bytes, dimension)?, of)
}

/// Where what is read is added up.
pub trait Totals {
    /// Returns what the next measures are added to. Values come in the order of their codes, slots of each in theirs.
    fn at(&mut self, value: u32, slot: u8) -> &mut Measures;
}

/// Adds one dimension up, without making anything for each of its values. `None` for bytes that hold no content.
pub fn add_of(bytes: &[u8], dimension: u8, to: &mut impl Totals) -> Option<()> {
    walk(section(bytes, dimension)?, |value, slot, kind, body| add_cell(kind, body, to.at(value, slot)))
}

/// Returns the sketch, if there is one. `None` for bytes that hold no content.
pub fn visitors_of(bytes: &[u8]) -> Option<Option<Sketch>> {
    match encoded_visitors(bytes)? {
        [] => Some(None),
        sketch => Sketch::decode(sketch).map(Some),
    }
}

/// Returns the bytes of the sketch; none without one. `None` for bytes that hold no content.
pub fn encoded_visitors(bytes: &[u8]) -> Option<&[u8]> {
    section(bytes, VISITORS)
}

/// Returns the body of a section; nothing where there is none such.
fn section(bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    for section in sections(bytes)? {
        let (number, body) = section?;
        if number == wanted {
            return Some(body);
        }
    }
    Some(&[])
}

/// Adds cells of one place up and leaves out those that come to nothing.
fn combined(cells: Vec<Cell>) -> Vec<Cell> {
    let mut sum: Vec<Cell> = Vec::with_capacity(cells.len());
    for (place, measures) in cells {
        match sum.last_mut() {
            Some((last, total)) if *last == place => *total += measures,
            _ => {
                if sum.last().is_some_and(|(_, total)| total.is_zero()) {
                    sum.pop();
                }
                sum.push((place, measures));
            }
        }
    }
    if sum.last().is_some_and(|(_, total)| total.is_zero()) {
        sum.pop();
    }
    sum
}

/// Cuts content into its sections.
fn sections(bytes: &[u8]) -> Option<impl Iterator<Item = Option<(u8, &[u8])>>> {
    let (version, mut rest) = bytes.split_first()?;
    if *version != VERSION {
        return None;
    }
    Some(std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let section = (|| {
            let number = u8::try_from(decode_varint(&mut rest).ok()?).ok()?;
            let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
            let (body, after) = rest.split_at_checked(length)?;
            rest = after;
            Some((number, body))
        })();
        if section.is_none() {
            rest = &[];
        }
        Some(section)
    }))
}

fn each(body: &[u8], mut of: impl FnMut(u32, u8, Measures)) -> Option<()> {
    walk(body, |value, slot, kind, body| {
        let mut measures = Measures::default();
        add_cell(kind, body, &mut measures)?;
        of(value, slot, measures);
        Some(())
    })
}

/// Calls `cell` with each value, slot and kind, and the bytes that follow, of which it takes what is the cell's.
fn walk(mut body: &[u8], mut cell: impl FnMut(u32, u8, u64, &mut &[u8]) -> Option<()>) -> Option<()> {
    let mut value = 0_u32;
    while !body.is_empty() {
        value = value.checked_add(u32::try_from(varint(&mut body)?).ok()?)?;
        let mut slot = 0_u8;
        loop {
            let head = varint(&mut body)?;
            slot = slot.checked_add(u8::try_from(head >> 3).ok()?)?;
            cell(value, slot, head >> 1 & 3, &mut body)?;
            if head & 1 == 0 {
                break;
            }
        }
    }
    Some(())
}

/// Reads a number; most are one byte.
#[inline]
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    match bytes.split_first() {
        Some((first, rest)) if *first < 0x80 => {
            *bytes = rest;
            Some(u64::from(*first))
        }
        _ => decode_varint(bytes).ok(),
    }
}

fn encode_cell(slot: u64, follows: bool, measures: &Measures, bytes: &mut Vec<u8>) {
    let Measures { clicks, bot_clicks, opens, installs, attributed_installs, events, revenue } = measures;
    let counts = [*clicks, *bot_clicks, *opens, *installs, *attributed_installs, *events];
    let only = |at: usize| {
        let others = counts.iter().enumerate().all(|(other, count)| other == at || *count == 0);
        others && revenue.is_empty() && counts[at] > 0
    };
    let kind = match () {
        () if *clicks == 1 && only(0) => ONE_CLICK,
        () if only(0) => CLICKS,
        () if only(1) => BOT_CLICKS,
        () => SEVERAL,
    };
    encode_varint(slot << 3 | kind << 1 | u64::from(follows), bytes);
    match kind {
        ONE_CLICK => {}
        CLICKS => encode_varint(clicks.cast_unsigned(), bytes),
        BOT_CLICKS => encode_varint(bot_clicks.cast_unsigned(), bytes),
        _ => {
            let there = counts.iter().enumerate().filter(|(_, count)| **count != 0);
            let mask = there.fold(u64::from(!revenue.is_empty()) << 6, |mask, (at, _)| mask | 1 << at);
            encode_varint(mask, bytes);
            for count in counts.into_iter().filter(|count| *count != 0) {
                encode_varint((count << 1 ^ count >> 63).cast_unsigned(), bytes);
            }
            if !revenue.is_empty() {
                encode_varint(revenue.len() as u64, bytes);
                for (currency, nanos) in revenue {
                    encode_varint(currency.number(), bytes);
                    // Two numbers, the lower one of 63 bits, so that both are varints.
                    let zigzag = (nanos << 1 ^ nanos >> 127).cast_unsigned();
                    encode_varint((zigzag & u128::from(LOW)) as u64, bytes);
                    encode_varint((zigzag >> 63) as u64, bytes);
                }
            }
        }
    }
}

const LOW: u64 = u64::MAX >> 1;

/// Reads a cell and adds it.
#[inline]
fn add_cell(kind: u64, bytes: &mut &[u8], to: &mut Measures) -> Option<()> {
    match kind {
        ONE_CLICK => to.clicks += 1,
        CLICKS => to.clicks += varint(bytes)?.cast_signed(),
        BOT_CLICKS => to.bot_clicks += varint(bytes)?.cast_signed(),
        _ => {
            let mask = varint(bytes)?;
            let Measures { clicks, bot_clicks, opens, installs, attributed_installs, events, revenue: _ } =
                &mut *to;
            let counts = [clicks, bot_clicks, opens, installs, attributed_installs, events];
            for (at, count) in counts.into_iter().enumerate() {
                if mask >> at & 1 == 1 {
                    let zigzag = varint(bytes)?;
                    *count += (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
                }
            }
            if mask >> 6 & 1 == 1 {
                for _ in 0..varint(bytes)? {
                    let currency = Currency::numbered(varint(bytes)?)?;
                    let low = u128::from(varint(bytes)?);
                    let zigzag = u128::from(varint(bytes)?) << 63 | low;
                    to.earn(currency, (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
                }
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(dimension: u8, value: u32, slot: u8) -> Place {
        Place { dimension, value, slot }
    }

    fn clicks(clicks: i64) -> Measures {
        Measures { clicks, ..Measures::default() }
    }

    fn measures() -> impl Strategy<Value = Measures> {
        let counts =
            prop::array::uniform6(prop_oneof![3 => Just(0_i64), 2 => 1_i64..3, 1 => 0..i64::MAX >> 8]);
        let money = prop::collection::vec((0_u64..5, -(1_i128 << 100)..1_i128 << 100), 0..3);
        (counts, money).prop_map(
            |([clicks, bot_clicks, opens, installs, attributed_installs, events], money)| {
                let mut measures = Measures {
                    clicks,
                    bot_clicks,
                    opens,
                    installs,
                    attributed_installs,
                    events,
                    revenue: std::collections::BTreeMap::new(),
                };
                for (currency, nanos) in money {
                    measures.earn(Currency::numbered(currency * 1000).unwrap(), nanos);
                }
                measures
            },
        )
    }

    fn content() -> impl Strategy<Value = Content> {
        let places = (0_u8..28, 2_u32..40, 0_u8..96)
            .prop_map(|(dimension, value, slot)| place(dimension, value, slot));
        let cells = prop::collection::vec((places, measures()), 0..40);
        let visitors = prop::option::of(prop::collection::vec(any::<i64>(), 0..50));
        (cells, visitors).prop_map(|(cells, visitors)| {
            let visitors = visitors.map(|visitors| {
                let mut sketch = Sketch::default();
                visitors.into_iter().for_each(|visitor| sketch.insert(visitor));
                sketch
            });
            Content::new(cells, visitors)
        })
    }

    fn merged<const N: usize>(all: [&Content; N]) -> Content {
        let mut sum = Content::default();
        all.into_iter().for_each(|one| sum.merge(one.clone()));
        sum
    }

    #[test]
    fn one_click_is_few_bytes() {
        let content = Content::new(vec![(place(1, 900, 50), clicks(1))], None);
        assert_eq!(content.encode(), [1, 1, 4, 0x84, 7, 0x90, 3]);
    }

    #[test]
    fn only_the_dimension_that_is_asked_for_is_read() {
        let mut sketch = Sketch::default();
        sketch.insert(1);
        let cells = vec![
            (place(ALL, NOTHING, 3), clicks(5)),
            (place(9, 7, 3), clicks(4)),
            (place(9, 7, 5), clicks(1)),
        ];
        let bytes = Content::new(cells, Some(sketch.clone())).encode();
        let mut seen = Vec::new();
        each_of(&bytes, 9, |value, slot, measures| seen.push((value, slot, measures.clicks)))
            .expect("content");
        assert_eq!(seen, [(7, 3, 4), (7, 5, 1)]);
        each_of(&bytes, 8, |_, _, _| panic!("there is none")).expect("content");
        assert_eq!(visitors_of(&bytes), Some(Some(sketch)));
        for wrong in [&[][..], &[9], &[1, 9], &[1, 9, 4, 1], &[1, 9, 1, 7]] {
            assert_eq!(Content::decode(wrong), None, "{wrong:?}");
        }
        assert_eq!(Content::decode(&[1]), Some(Content::default()));
    }

    #[test]
    fn what_comes_to_nothing_is_gone() {
        let mut content = Content::new(vec![(place(1, 2, 0), clicks(3)), (place(1, 3, 0), clicks(1))], None);
        content.merge(Content::new(vec![(place(1, 2, 0), clicks(-3))], None));
        assert_eq!(content.cells(), [(place(1, 3, 0), clicks(1))]);
        content.merge(Content::new(vec![(place(1, 3, 0), clicks(-1))], None));
        assert!(content.is_empty());
    }

    #[test]
    fn values_beyond_the_bound_count_as_others_whatever_the_order_they_come_in() {
        let cells = |values: std::ops::Range<u32>| {
            Content::new(
                values
                    .flat_map(|value| {
                        [(place(1, value + 2, 0), clicks(1)), (place(22, value + 2, 1), clicks(2))]
                    })
                    .collect(),
                None,
            )
        };
        let (first, second, third) = (cells(0..700), cells(700..1400), cells(300..1001));
        let whole = merged([&first, &second, &third]);
        assert_eq!(whole, merged([&third, &second, &first]));
        assert_eq!(whole, merged([&first, &merged([&second, &third])]));
        let of = |dimension: u8| whole.cells().iter().filter(move |(place, _)| place.dimension == dimension);
        assert_eq!(of(1).count(), 1001);
        assert_eq!(of(1).next(), Some(&(place(1, OTHER, 0), clicks(401))));
        assert_eq!(of(1).map(|(_, measures)| measures.clicks).sum::<i64>(), 700 + 700 + 701);
        assert_eq!(of(22).count(), 1400);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(content in content()) {
            prop_assert_eq!(Content::decode(&content.encode()), Some(content));
        }

        #[test]
        fn merging_has_no_order(one in content(), other in content(), third in content()) {
            let whole = merged([&one, &other, &third]);
            prop_assert_eq!(&whole, &merged([&other, &one, &third]));
            prop_assert_eq!(&whole, &merged([&third, &merged([&other, &one])]));
            let total = |content: &Content| content.cells().iter().map(|(_, measures)| measures).sum::<Measures>();
            prop_assert_eq!(total(&whole), total(&one) + total(&other) + total(&third));
            prop_assert_eq!(Content::decode(&whole.encode()), Some(whole));
        }

        #[test]
        fn bytes_that_are_no_content_are_none(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            // Nothing is said of what it is, only that it ends.
            let _ = Content::decode(&bytes);
        }
    }
}
