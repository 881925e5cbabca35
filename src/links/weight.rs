//! How much links take in an answer, so that no message is larger than its receiver accepts; pure.

use super::{Shown, batch::Results};
use crate::{
    entity::link::Model,
    error::{Error, Result},
};

/// How much an answer may hold. Clients of other stacks take messages of 4 MiB at the most.
pub const ANSWER_BYTES: usize = 3 * 1024 * 1024;
/// What every link takes, whatever is in it: ids, moments, the etag, the host twice.
pub(super) const LINK_BYTES: usize = 896;
/// What every failed item takes, and every wrong field of it.
const ERROR_BYTES: usize = 32;

/// Returns about how many bytes a link takes in a message, rather too many than too few.
pub fn of(link: &Model) -> usize {
    let aliases = link.aliases.as_array().into_iter().flatten();
    let tags = link.tags.as_array().into_iter().flatten();
    let texts =
        [&link.deep_link_parameters, &link.utm].into_iter().filter_map(|texts| texts.as_object()).flatten();
    let messages =
        [&link.routing_rules, &link.targeting, &link.og, &link.routing_tests].into_iter().flatten();
    LINK_BYTES
        + link.short_code.len() * 2
        + link.destination_url.len()
        + link.title.len()
        + link.description.len()
        + link.ios_url.len()
        + link.android_url.len()
        + link.web_url.len()
        + link.app_scheme.len()
        + link.ios_universal_link.len()
        + link.android_app_link.len()
        + link.deep_link_path.len()
        + link.disable_reason.len()
        + link.external_id.as_ref().map_or(0, String::len)
        + link.external_user_id.len()
        + link.source.len()
        + aliases.map(|alias| alias.as_str().map_or(0, str::len) + 3).sum::<usize>()
        + texts.map(|(name, text)| name.len() + text.as_str().map_or(0, str::len) + 8).sum::<usize>()
        + messages.map(Vec::len).sum::<usize>()
        + tags.map(|tag| tag.as_str().map_or(0, str::len) + 3).sum::<usize>()
}

/// Says whether one message can carry the results of a batch.
pub fn fits(results: &Results) -> bool {
    results.iter().map(result).sum::<usize>() <= ANSWER_BYTES
}

/// Refuses a batch whose results no message can carry. `field` holds its items. To be asked before the commit: what was
/// done and cannot be told would be done again.
pub fn require(field: &str, results: &Results) -> Result<()> {
    if fits(results) {
        return Ok(());
    }
    Err(Error::invalid_field(field, "lead to an answer of more than 3 MiB; send fewer at once"))
}

fn result(result: &Result<Shown>) -> usize {
    match result {
        Ok(Shown::Link(shown)) => of(&shown.link),
        Ok(Shown::Draft(link)) => of(link),
        Ok(Shown::Id(_)) => LINK_BYTES,
        Err(error) => {
            let wrong = error.violations().iter();
            ERROR_BYTES
                + error.message().len()
                + wrong.map(|wrong| ERROR_BYTES + wrong.field.len() + wrong.description.len()).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::Violation, ids::LinkId};

    #[test]
    fn an_answer_is_no_larger_than_a_message() {
        let id = || Ok(Shown::Id(LinkId(uuid::Uuid::nil())));
        let error = |wrong: usize| {
            let violation = Violation { field: "x".repeat(1000), description: "y".repeat(1000) };
            Err(Error::invalid(vec![violation; wrong]))
        };
        let cases: [(Results, bool); 5] = [
            (vec![], true),
            ((0..1000).map(|_| id()).collect(), true),
            (vec![error(1500)], true),
            (vec![id(), error(1550)], false),
            ((0..1000).map(|_| error(2)).collect(), false),
        ];
        for (results, expected) in cases {
            assert_eq!(fits(&results), expected, "{} results", results.len());
            assert_eq!(require("links", &results).is_ok(), expected);
        }
    }
}
