//! How a page of a search goes on: a walk over links in their order, or the index of texts; pure.
//!
//! A walk finds a text that many links have at once and a rare one never; the index is the other way round, for it returns all there are
//! before the first can be shown. So a page begins with a walk, and the index is asked only for what the walk shows to be rare. Both are
//! bounded: a page may end before it is full.

/// How many links the first walk of a page passes.
pub const FIRST: u32 = 1000;
/// How many links the walks of a page pass in all.
pub const MOST: u32 = 6000;
/// How many links the index may return.
pub const MATCHES: u32 = 10_000;
/// The index is asked for what at most one of so many links has. Those of more would fill a page of the usual size on the way.
const RARE: u32 = 200;

/// What a page has come to so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// How many links it wants.
    pub wanted: usize,
    /// How many it has.
    pub found: usize,
    /// How many links were passed.
    pub walked: u32,
    /// Which of those the index would have to look at.
    pub candidates: u32,
    /// Whether there is nothing behind them.
    pub at_end: bool,
    /// Whether the index may be asked.
    pub index: Index,
}

/// Whether the index may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// It may.
    Open,
    /// It knows nothing of such a text: it is too short.
    Useless,
    /// It was asked, for this page or one before, and would return too many.
    Exceeded,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Pass so many links.
    Walk(u32),
    /// Ask the index for all others.
    Index,
    /// Answer with what there is.
    Answer,
}

/// Decides.
pub fn next(search: &Search) -> Step {
    let Search { wanted, found, walked, candidates, at_end, index } = *search;
    if at_end || found >= wanted {
        return Step::Answer;
    }
    let is_rare = candidates.saturating_mul(RARE) <= walked;
    match index {
        Index::Open if walked < FIRST => Step::Walk(FIRST - walked),
        Index::Open if is_rare => Step::Index,
        _ if walked < MOST => Step::Walk(MOST - walked),
        _ => Step::Answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_walks_first_and_asks_the_index_for_what_is_rare() {
        let begun =
            Search { wanted: 51, found: 0, walked: 0, candidates: 0, at_end: false, index: Index::Open };
        let walked = |found, candidates| Search { walked: FIRST, found, candidates, ..begun };
        for (name, search, expected) in [
            ("at the beginning", begun, Step::Walk(1000)),
            ("full", walked(51, 1000), Step::Answer),
            ("at the end", Search { at_end: true, ..walked(3, 3) }, Step::Answer),
            ("no such text so far", walked(0, 0), Step::Index),
            ("one in two hundred", walked(5, 5), Step::Index),
            ("one more", walked(6, 6), Step::Walk(5000)),
            ("rare, of three characters in a row that all links have", walked(0, 1000), Step::Walk(5000)),
            ("often, and still not full", Search { walked: MOST, ..walked(30, 30) }, Step::Index),
            ("as often as that, and more", Search { walked: MOST, ..walked(30, 31) }, Step::Answer),
            ("too short", Search { index: Index::Useless, ..begun }, Step::Walk(6000)),
            (
                "too short, passed all it may",
                Search { index: Index::Useless, walked: MOST, ..begun },
                Step::Answer,
            ),
            ("the index has too many", Search { index: Index::Exceeded, ..walked(0, 0) }, Step::Walk(5000)),
            ("and had on the page before", Search { index: Index::Exceeded, ..begun }, Step::Walk(6000)),
            ("a part of the order is behind us", Search { walked: 400, ..begun }, Step::Walk(600)),
        ] {
            assert_eq!(next(&search), expected, "{name}");
        }
    }

    /// Whatever is found on the way.
    #[test]
    fn a_page_ends() {
        for index in [Index::Open, Index::Useless, Index::Exceeded] {
            for one_in in [1, 7, 150, 200, 5000, u32::MAX] {
                let mut search =
                    Search { wanted: 51, found: 0, walked: 0, candidates: 0, at_end: false, index };
                let mut asked = 0;
                for _ in 0..10 {
                    match next(&search) {
                        Step::Walk(links) => {
                            search.walked += links;
                            search.candidates = search.walked / one_in;
                        }
                        Step::Index => {
                            asked += 1;
                            search.index = Index::Exceeded;
                        }
                        Step::Answer => break,
                    }
                }
                assert_eq!(next(&search), Step::Answer);
                assert!(search.walked <= MOST && asked <= 1, "{index:?} {one_in}");
            }
        }
    }
}
