//! The ids of clicks. LinkForty's are random; here an id holds the moment of its click, and clicks are found by it. Pure.

use ring::digest;
use uuid::Uuid;

use crate::{
    clock::Moment,
    ids::{ClickId, derived},
};

/// Returns the id that a click has here: its time part is the moment of the click, the rest a hash of the id that it had. So it is the same
/// however often the click is met, and whoever knows the old id and the moment knows the new one.
pub fn click(old: Uuid, time: Moment) -> ClickId {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(b"linkforty click");
    hash.update(old.as_bytes());
    let mut tail = [0; 8];
    tail.copy_from_slice(&hash.finish().as_ref()[..8]);
    ClickId(derived(time, tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::from_micros, ids::time_of};

    #[test]
    fn a_click_has_one_id_which_holds_its_moment() {
        let (old, time) = (Uuid::from_u128(7), from_micros(1_700_000_000_123_456));
        let id = click(old, time);
        assert_eq!(id, click(old, time));
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(time_of(id.0), from_micros(1_700_000_000_123_000));
        assert_ne!(id, click(Uuid::from_u128(8), time));
        assert_ne!(id, click(old, time + chrono::Duration::milliseconds(1)));
    }
}
