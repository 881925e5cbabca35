//! Texts of strangers, fit to stand among ours; pure.

/// Returns a text on one line, without what cannot be seen or turns others around, and at most `most` characters long.
pub(super) fn fit(raw: &str, most: usize) -> String {
    let mut fit = String::new();
    let mut length = 0;
    let mut blank = false;
    for character in raw.chars() {
        if character.is_whitespace() {
            blank = !fit.is_empty();
            continue;
        }
        if character.is_control() || is_unseen(character) {
            continue;
        }
        length += 1 + usize::from(blank);
        if length > most {
            // Room for the sign that something is missing.
            while fit.chars().count() >= most {
                fit.pop();
            }
            fit.truncate(fit.trim_end().len());
            fit.push('…');
            return fit;
        }
        if std::mem::take(&mut blank) {
            fit.push(' ');
        }
        fit.push(character);
    }
    fit
}

/// Marks of direction, and characters that take no room. What joins the parts of an emoji or of a letter stays.
const fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffc}'
            | '\u{e0000}'..='\u{e001f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_cleaned() {
        for (raw, most, expected) in [
            ("", 5, ""),
            ("  \n\t ", 5, ""),
            (" a  b\u{a0}\n c ", 9, "a b c"),
            ("abcde", 5, "abcde"),
            ("abcdef", 5, "abcd…"),
            ("abc defg", 5, "abc…"),
            ("abcd  f", 5, "abcd…"),
            ("äöüäöü", 3, "äö…"),
            ("a\u{0}b\u{7}\u{1b}[31m\u{9f}", 9, "ab[31m"),
            ("moc\u{202e}.elpmaxe\u{200b}", 20, "moc.elpmaxe"),
            ("👩\u{200d}🚀", 3, "👩\u{200d}🚀"),
            ("<script>alert(1)</script>", 50, "<script>alert(1)</script>"),
        ] {
            let fit = fit(raw, most);
            assert_eq!(fit, expected, "{raw:?}");
            assert!(fit.chars().count() <= most);
        }
    }
}
