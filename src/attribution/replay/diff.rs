//! What would be otherwise: credit by link and campaign, before and after, and from where to where it moved. Pure.

use std::collections::BTreeMap;

use super::again::{Incomplete, Unreplayable};
use crate::ids::{InstallId, LinkId};

/// How many installs are named of each kind.
const EXAMPLES: usize = 3;
/// How many installs that cannot be decided are named.
const NAMED: usize = 100;

/// What is credited: a link, and the campaign of the click.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Credit {
    /// The link.
    pub link: LinkId,
    /// `utm_campaign`; may be empty.
    pub campaign: String,
}

/// From whom to whom; `None` is nobody.
type Move = (Option<Credit>, Option<Credit>);

/// What would be otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// How many installs were decided again.
    pub replayed: i64,
    /// How many of them come out to the byte as they are stored.
    pub unchanged: i64,
    /// How many are credited to another link or campaign, or to one and not the other.
    pub moved: i64,
    /// How many cannot be decided by what is asked for, by why.
    pub incomplete: BTreeMap<Incomplete, i64>,
    /// The first of those.
    pub named: Vec<(InstallId, Incomplete)>,
    /// How many have nothing to be decided from, by why.
    pub unreplayable: BTreeMap<Unreplayable, i64>,
    /// How many installs each has before and after; `None` is nobody.
    pub credits: BTreeMap<Option<Credit>, (i64, i64)>,
    /// How many moved from whom to whom, and the first of them.
    pub moves: BTreeMap<Move, (i64, Vec<InstallId>)>,
}

impl Diff {
    /// Counts an install that was decided again; `same`: to the byte as it was.
    pub fn decided(&mut self, install: InstallId, before: Option<Credit>, after: Option<Credit>, same: bool) {
        self.replayed += 1;
        self.unchanged += i64::from(same);
        self.credits.entry(before.clone()).or_default().0 += 1;
        self.credits.entry(after.clone()).or_default().1 += 1;
        if before != after {
            self.moved += 1;
            let (count, examples) = self.moves.entry((before, after)).or_default();
            *count += 1;
            if examples.len() < EXAMPLES {
                examples.push(install);
            }
        }
    }

    /// Counts an install that cannot be decided, and so stays as it is.
    pub fn left(&mut self, install: InstallId, credit: Option<Credit>, why: Incomplete) {
        *self.incomplete.entry(why).or_default() += 1;
        if self.named.len() < NAMED {
            self.named.push((install, why));
        }
        let (before, after) = self.credits.entry(credit).or_default();
        *before += 1;
        *after += 1;
    }

    /// Counts an install that there is nothing to decide from.
    pub fn passed_over(&mut self, why: Unreplayable) {
        *self.unreplayable.entry(why).or_default() += 1;
    }
}

/// Returns the `utm_campaign` of a click's campaign, as that is stored.
pub fn campaign_name(campaign: &str) -> String {
    let value = campaign.lines().find_map(|line| line.strip_prefix("utm_campaign="));
    value.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn credit_is_counted_before_and_after() {
        let credit = |link, campaign: &str| {
            Some(Credit { link: LinkId(Uuid::from_u128(link)), campaign: campaign.to_owned() })
        };
        let install = |number| InstallId(Uuid::from_u128(number));
        let mut diff = Diff::default();
        diff.decided(install(1), credit(1, "a"), credit(1, "a"), true);
        for number in 2..7 {
            diff.decided(install(number), credit(1, "a"), credit(2, ""), false);
        }
        diff.decided(install(7), None, credit(2, ""), false);
        // Otherwise, but no credit moved.
        diff.decided(install(8), None, None, false);
        diff.left(install(9), credit(2, ""), Incomplete::Window);
        diff.passed_over(Unreplayable::Forgotten);
        assert_eq!((diff.replayed, diff.unchanged, diff.moved), (8, 1, 6));
        assert_eq!(diff.credits[&credit(1, "a")], (6, 1));
        assert_eq!(diff.credits[&credit(2, "")], (1, 7));
        assert_eq!(diff.credits[&None], (2, 1));
        let (count, examples) = &diff.moves[&(credit(1, "a"), credit(2, ""))];
        assert_eq!((*count, &examples[..]), (5, &[install(2), install(3), install(4)][..]));
        assert_eq!(diff.named, [(install(9), Incomplete::Window)]);
        assert_eq!(diff.unreplayable[&Unreplayable::Forgotten], 1);
    }

    #[test]
    fn a_campaign_is_read_as_it_is_stored() {
        for (stored, name) in [
            ("", ""),
            ("utm_source=mail\nutm_campaign=spring sale\nutm_term=x", "spring sale"),
            ("utm_source=utm_campaign=x", ""),
        ] {
            assert_eq!(campaign_name(stored), name);
        }
    }
}
