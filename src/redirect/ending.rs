//! How visits end, and how many ended so: every answer to a path that can be a short link is counted here, once.

use metrics::{Counter, counter};

/// How a visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Sent on, and the click is in the spool: with [`Ending::OpenedApp`], [`Ending::Launchpad`], [`Ending::Pasteboard`] and
    /// [`Ending::Previewed`] in the end as many as the clicks of all classes together.
    Redirected,
    /// Sent on or shown a page instead, but the spool could not take the click.
    Unrecorded,
    /// Turned away, because the spool could not take the click (`SPOOL_FULL_POLICY=refuse_503`, or the link has a limit of clicks).
    Refused,
    /// There is no such link.
    Unknown,
    /// The link is inactive, over, used up, not open yet or for others.
    Closed,
    /// The link's destination cannot stand in a header.
    Broken,
    /// No store could say where the link goes, or whether its limit leaves a click.
    Away,
    /// The answer would have taken too long.
    Late,
    /// Too many visits at once.
    Overloaded,
    /// A defect of ours.
    Failed,
    /// Links are followed with GET and HEAD and nothing else.
    Method,
    /// A page that opens the app; the click is in the spool.
    OpenedApp,
    /// The page with the ways into the app; the click is in the spool.
    Launchpad,
    /// What a preview shows; the click is in the spool.
    Previewed,
    /// The link is disabled, or its workspace suspended.
    Gone,
    /// The link is warned of.
    Warned,
    /// The link asked for its password, or was told a wrong one.
    Locked,
    /// Too many passwords were tried, or codes that nobody made.
    Throttled,
    /// The link has no address for this visitor.
    Nowhere,
    /// Somebody looked where the link leads and did not follow it.
    Looked,
    /// The host is none of this server's.
    Misdirected,
    /// Somebody got the QR code of the link.
    Drawn,
    /// Somebody wanted a QR code that no reader could make out.
    Undrawable,
    /// The page that offers to put the click on the pasteboard; the click is in the spool.
    Pasteboard,
    /// Somebody saw an ad for the link, and got a picture of one pixel.
    Viewed,
}

const ALL: [(Ending, &str); 25] = [
    (Ending::Redirected, "redirected"),
    (Ending::Unrecorded, "unrecorded"),
    (Ending::Refused, "refused"),
    (Ending::Unknown, "unknown"),
    (Ending::Closed, "closed"),
    (Ending::Broken, "broken"),
    (Ending::Away, "away"),
    (Ending::Late, "late"),
    (Ending::Overloaded, "overloaded"),
    (Ending::Failed, "failed"),
    (Ending::Method, "method"),
    (Ending::OpenedApp, "opened_app"),
    (Ending::Launchpad, "launchpad"),
    (Ending::Previewed, "previewed"),
    (Ending::Gone, "gone"),
    (Ending::Warned, "warned"),
    (Ending::Locked, "locked"),
    (Ending::Throttled, "throttled"),
    (Ending::Nowhere, "nowhere"),
    (Ending::Looked, "looked"),
    (Ending::Misdirected, "misdirected"),
    (Ending::Drawn, "drawn"),
    (Ending::Undrawable, "undrawable"),
    (Ending::Pasteboard, "pasteboard"),
    (Ending::Viewed, "viewed"),
];

/// The counters, made beforehand: counting must cost nothing.
#[derive(Debug)]
pub(super) struct Endings([Counter; ALL.len()]);

impl Endings {
    pub(super) fn new() -> Self {
        Self(ALL.map(|(_, outcome)| counter!("linkforty_visits_total", "outcome" => outcome)))
    }

    pub(super) fn count(&self, ending: Ending) {
        self.0[ending as usize].increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_its_counter() {
        for (place, (ending, _)) in ALL.into_iter().enumerate() {
            assert_eq!(ending as usize, place);
        }
    }
}
