//! Which link an event is credited to. Pure, and decided whenever somebody asks: a window that changes holds for what happened before too.

use std::collections::HashMap;

use chrono::Duration;

use crate::{clock::Moment, ids::LinkId};

/// The window of a link that says nothing, and of one that was deleted.
pub const WINDOW_SECONDS: i64 = 7 * 24 * 60 * 60;

/// Which link, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credit {
    /// The one that opened the app last.
    LastLink(LinkId),
    /// The one that brought the install.
    InstallLink(LinkId),
    /// None any more.
    WindowPassed,
    /// None.
    Organic,
}

/// A link that had to do with an event, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    /// Which link.
    pub link: LinkId,
    /// When it opened the app, or was clicked. An app that does not say means at the event.
    pub time: Option<Moment>,
}

/// Decides. `stamp` is what the app says, which counts only for links that `windows` knows: those of its workspace. `install` is what this server
/// found out, whose link may be deleted since.
pub fn credit(
    event_time: Moment,
    stamp: Option<Touch>,
    install: Option<Touch>,
    windows: &HashMap<LinkId, i64>,
) -> Credit {
    let is_inside = |touch: Touch, seconds: i64| {
        event_time - touch.time.unwrap_or(event_time) <= Duration::seconds(seconds)
    };
    if let Some(touch) = stamp
        && let Some(seconds) = windows.get(&touch.link)
    {
        return if is_inside(touch, *seconds) { Credit::LastLink(touch.link) } else { Credit::WindowPassed };
    }
    match install {
        None => Credit::Organic,
        Some(touch) => {
            let seconds = windows.get(&touch.link).copied().unwrap_or(WINDOW_SECONDS);
            if is_inside(touch, seconds) { Credit::InstallLink(touch.link) } else { Credit::WindowPassed }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn the_last_link_counts_inside_of_its_window_and_the_installs_otherwise() {
        let link = |number| LinkId(Uuid::from_u128(number));
        let at = |seconds: i64| from_micros(seconds * 1_000_000);
        let touch = |number, seconds: i64| Some(Touch { link: link(number), time: Some(at(seconds)) });
        let windows = HashMap::from([(link(1), 100), (link(2), 1000)]);
        let now = 10_000_000;
        for (stamp, install, expected) in [
            (None, None, Credit::Organic),
            (touch(1, now - 100), None, Credit::LastLink(link(1))),
            (touch(1, now - 101), None, Credit::WindowPassed),
            (touch(1, now - 101), touch(2, now), Credit::WindowPassed),
            (touch(1, now + 5), None, Credit::LastLink(link(1))),
            (Some(Touch { link: link(1), time: None }), None, Credit::LastLink(link(1))),
            // Somebody else's link, or one that is gone, is no stamp.
            (touch(9, now), None, Credit::Organic),
            (touch(9, now), touch(2, now - 1000), Credit::InstallLink(link(2))),
            (None, touch(2, now - 1000), Credit::InstallLink(link(2))),
            (None, touch(2, now - 1001), Credit::WindowPassed),
            (None, touch(9, now - WINDOW_SECONDS), Credit::InstallLink(link(9))),
            (None, touch(9, now - WINDOW_SECONDS - 1), Credit::WindowPassed),
        ] {
            assert_eq!(credit(at(now), stamp, install, &windows), expected, "{stamp:?} {install:?}");
        }
    }
}
