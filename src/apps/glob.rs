//! The patterns of `dynamic_app_link_components`, as devices match them. Pure.
//!
//! Google's guide says that `*` is any number of characters and `?` one. Android 15 (AOSP: `DalComponentParser` of the statement service,
//! `android.os.PatternMatcher`) makes something of a pattern that is less than that, and whoever asks what a device does wants to hear of it:
//!
//! - Without wildcards all of the text must be the same; with one `*`, at the end, it must begin so. These two do as they say.
//! - Otherwise nothing is tried twice: `*` takes everything before the first of the character behind it. `/*/page` does not match `/a/b/page`.
//! - A `?` or another `*` right behind a `*` is taken for a dot, and the second star then for a star.
//! - A dot stands for any character, unless it is right behind a `*`.
//! - Characters are UTF-16's, so that a `?` is half of an emoji.
//! - What the URL does not have (no query, no fragment) matches nothing, not even `*`. Empty patterns are refused as a whole.

/// A pattern, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Glob {
    /// All of the text.
    Whole(String),
    /// Its beginning.
    Beginning(String),
    /// One after the other.
    Steps(Vec<Step>),
    /// Nothing.
    Never,
}

/// What a part of a pattern does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Takes any character.
    Any,
    /// Takes this one.
    This(u16),
    /// Takes everything up to the first of these, and it too.
    UpTo(u16),
    /// Takes what is left.
    Rest,
}

const DOT: u16 = b'.' as u16;
const STAR: u16 = b'*' as u16;

impl Glob {
    /// Reads a pattern.
    pub fn read(text: &str) -> Self {
        let wildcards = text.matches(['*', '?']).count();
        match text.strip_suffix('*') {
            _ if text.is_empty() => Self::Never,
            _ if wildcards == 0 => Self::Whole(text.to_owned()),
            Some(beginning) if wildcards == 1 => Self::Beginning(beginning.to_owned()),
            _ => Self::Steps(steps(text)),
        }
    }

    /// Reads a pattern for the value of a query's item, which is matched together with its name: `name=value`.
    pub fn item(name: &str, value: &str) -> Self {
        match Self::read(value) {
            Self::Whole(value) => Self::Whole(format!("{name}={value}")),
            Self::Beginning(value) => Self::Beginning(format!("{name}={value}")),
            Self::Steps(value) => Self::Steps(
                name.encode_utf16().chain("=".encode_utf16()).map(Step::This).chain(value).collect(),
            ),
            Self::Never => Self::Never,
        }
    }

    /// Says whether a text fits.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Whole(whole) => text == whole,
            Self::Beginning(beginning) => text.starts_with(beginning),
            Self::Steps(steps) => walk(steps, &text.encode_utf16().collect::<Vec<_>>()),
            Self::Never => false,
        }
    }
}

fn steps(text: &str) -> Vec<Step> {
    let text: Vec<u16> = text.encode_utf16().collect();
    let is = |character: Option<&u16>, wildcard: char| {
        character.is_some_and(|one| u32::from(*one) == u32::from(wildcard))
    };
    let mut steps = Vec::new();
    let mut at = 0;
    while let Some(character) = text.get(at) {
        let next = text.get(at + 1);
        at += 1;
        if is(Some(character), '?') || *character == DOT {
            steps.push(Step::Any);
        } else if *character != STAR {
            steps.push(Step::This(*character));
        } else if let Some(next) = next {
            at += 1;
            let is_wildcard = is(Some(next), '?') || *next == STAR;
            steps.push(Step::UpTo(if is_wildcard { DOT } else { *next }));
            if *next == STAR {
                steps.push(Step::This(STAR));
            }
        } else {
            steps.push(Step::Rest);
        }
    }
    steps
}

fn walk(steps: &[Step], text: &[u16]) -> bool {
    let mut left = text;
    for step in steps {
        let taken = match (step, left) {
            (Step::Rest, _) => return true,
            (Step::Any, [_, ..]) => 1,
            (Step::This(character), [first, ..]) if character == first => 1,
            (Step::UpTo(character), _) => match left.iter().position(|one| one == character) {
                Some(place) => place + 1,
                None => return false,
            },
            _ => return false,
        };
        left = &left[taken..];
    }
    left.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What AOSP's own test of the parser expects of both together, and the rest of what `PatternMatcher` does.
    #[test]
    fn patterns_match_what_devices_match() {
        for (pattern, fits, does_not) in [
            ("foobar", &["foobar"][..], &["foo.bar", ""][..]),
            ("foo.bar", &["foo.bar"], &["foobar", "foodbar"]),
            ("foo*", &["foo", "foobar", "foo.bar"], &["fo", "barfoo"]),
            ("foo.*", &["foo.", "foo.bar", "foo..."], &["foo", "fo.", "foobar"]),
            ("*", &["", "/", "anything"], &[]),
            ("*bar", &["foobar", "foo.bar", "bar", ".bar"], &["foo", "barfoo", "barfoobar", "abcbar"]),
            ("*.bar", &[".bar", "foo.bar"], &["bar", "foobar", ".bar.bar", "foo.b.bar"]),
            ("foo*bar", &["foobar", "foo.bar", "foofoobar"], &["foobarbar", "f.bar"]),
            ("foo\\*bar", &["foo\\bar", "foo\\.bar", "foo\\foobar"], &["foobarbar", "f.bar"]),
            ("foo.*bar", &["foo.bar", "foo.foobar", "foo-bar"], &["foobar", "foo.barbar"]),
            ("foo*.bar", &["foo.bar", "foobar.bar"], &["foobar", "foo.bar.bar"]),
            ("*foo*bar", &[".foo.bar", "xfoozbar", "foobar"], &["barfoo", "foobbar", "ffoobar"]),
            ("foo?bar", &["foo.bar", "foobbar"], &["foobar"]),
            ("foo.?bar", &["foo..bar", "foo.bbar", "foo-bbar"], &["foobar", "foo.bar"]),
            ("?bar", &[".bar", "fbar"], &["bar", "foobar"]),
            ("foo?", &["foo.", "foob"], &["foo", "foobar"]),
            ("fo?b*r", &["foobar", "fo.br", "fobbbbr"], &["foobrr", "fobar"]),
            ("foo*?bar", &["foo.bar", "foofoo.bar", "foobar.bar"], &["foobar", "foobarbar"]),
            ("?*bar", &["bbar", ".bar", "foo.bar"], &["bar"]),
            ("foo?*bar", &["foo.bar", "foodbar", "foofoobar", "foobarbar"], &["foobar", "foo.bar.bar"]),
            (
                "foo?*bar*",
                &["foo.bar", "foodbar", "foo..bar", "foobarbar", "foo.bar.bar.foo"],
                &["foobar", "foo.ba.bar"],
            ),
            ("foo?*bar.", &["foo.bar.", "foo..bar."], &["foobar."]),
            ("bar?*", &["barfoo", "bar."], &["bar", "foobar"]),
            ("[a-z]*bar", &["[a-z].bar", "[a-z]bar"], &["abar"]),
            ("fo{2}?*", &["fo{2}.", "fo{2}bar"], &["foobar"]),
            ("a**b", &["ax.*b"], &["ab", "axb", "a.b"]),
            ("a**", &["ax.*", "a.*"], &["a", "ax"]),
            ("/*/page/?*", &["/de/page/7", "//page/7"], &["/de/page/", "/de/x/page/7"]),
            ("??", &["ab", "🎉"], &["a", "abc", "🎉🎉"]),
            ("", &[], &["", "a"]),
        ] {
            let glob = Glob::read(pattern);
            for text in fits {
                assert!(glob.matches(text), "{pattern} on {text}");
            }
            for text in does_not {
                assert!(!glob.matches(text), "{pattern} not on {text}");
            }
        }
    }

    #[test]
    fn an_item_is_matched_with_its_name() {
        for (value, fits, does_not) in [
            ("7", &["id=7"][..], &["id=77", "id", "id=", "xid=7"][..]),
            ("*", &["id=7", "id="], &["id", "ids=7"]),
            ("?*", &["id=7", "id=77"], &["id=", "id"]),
            ("?", &["id=7"], &["id=", "id=77"]),
            ("a*b", &["id=ab", "id=axb"], &["id=abb"]),
            ("", &[], &["id", "id="]),
        ] {
            let glob = Glob::item("id", value);
            for text in fits {
                assert!(glob.matches(text), "{value} on {text}");
            }
            for text in does_not {
                assert!(!glob.matches(text), "{value} not on {text}");
            }
        }
    }
}
