//! How a stranger's words are shown. Escaping is the templates' part; this takes out what misleads the eye. Pure.

use std::borrow::Cow;

/// Returns a text without the characters that are not seen themselves but change what is: controls, and those that reverse the
/// direction of what follows, with which `exe.fdp` reads as `pdf.exe`. Each leaves a mark behind.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.contains(misleads) { Cow::Owned(text.replace(misleads, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Returns what [`shown`] does, and nothing of an empty text.
pub(super) fn shown_if_any(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(shown).filter(|text| !text.is_empty())
}

fn misleads(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misleads_the_eye_leaves_a_mark() {
        for (text, expected) in [
            ("Spring sale", "Spring sale"),
            ("  שלום 春 👩‍🔬 ", "שלום 春 👩‍🔬"),
            ("a\u{202e}gpj.exe", "a\u{fffd}gpj.exe"),
            ("a\u{2066}b\u{2069}", "a\u{fffd}b\u{fffd}"),
            ("a\0b\u{2028}c\nd\te", "a\u{fffd}b\u{fffd}c\nd\u{fffd}e"),
            ("<b>&\"'", "<b>&\"'"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
        assert_eq!(shown_if_any(Some(" ")), None);
        assert_eq!(shown_if_any(None), None);
    }
}
