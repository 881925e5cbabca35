//! The file `checkpoint`: how far the consumer has got, in one line that an operator can read.
//!
//! `linkforty-spool 1 SEGMENT OFFSET CRC`. A damaged or missing one is never fatal: the reader starts at the oldest
//! record that is left, and consumers absorb what they have seen before.

use std::io;

use super::Position;
use super::directory::Directory;

const NAME: &str = "checkpoint";

/// Writes the checkpoint so that a crash leaves either the old one or the new one.
pub(super) fn write(dir: &Directory, position: Position) -> io::Result<()> {
    fail::fail_point!("spool.checkpoint.before", |_| Err(io::Error::other("failpoint")));
    dir.replace(NAME, encode(position).as_bytes())
}

/// Returns the stored checkpoint; `None` if there is none that can be trusted.
pub(super) fn read(dir: &std::path::Path) -> io::Result<Option<Position>> {
    let text = match std::fs::read(dir.join(NAME)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let position = std::str::from_utf8(&text).ok().and_then(decode);
    if position.is_none() {
        tracing::warn!("the spool checkpoint is damaged: records that were drained will be replayed");
    }
    Ok(position)
}

fn encode(position: Position) -> String {
    let body = format!("linkforty-spool 1 {} {}", position.segment, position.offset);
    format!("{body} {:08x}\n", crc32c::crc32c(body.as_bytes()))
}

fn decode(text: &str) -> Option<Position> {
    let (body, crc) = text.strip_suffix('\n')?.rsplit_once(' ')?;
    if u32::from_str_radix(crc, 16).ok()? != crc32c::crc32c(body.as_bytes()) {
        return None;
    }
    let (segment, offset) = body.strip_prefix("linkforty-spool 1 ")?.split_once(' ')?;
    Some(Position { segment: segment.parse().ok()?, offset: offset.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_noticed() {
        let position = Position { segment: 12, offset: 3_456 };
        let text = encode(position);
        assert_eq!(decode(&text), Some(position));
        for len in 0..text.len() {
            assert_eq!(decode(&text[..len]), None, "prefix of {len}");
        }
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let damaged = String::from_utf8(bytes).expect("ascii stays ascii");
            assert_eq!(decode(&damaged), None, "byte {at} of {damaged:?}");
        }
    }
}
