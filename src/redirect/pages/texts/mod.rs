//! What the pages say: one table for each language. To add a language, write its file beside `en.rs` and name it in
//! [`LANGUAGES`]; a table with a text missing does not compile.

mod de;
mod en;
mod es;
mod fr;
mod ja;
mod pt;

use crate::redirect::languages::tags;

/// Every language there is. The first is for visitors who like none of them.
static LANGUAGES: [&Texts; 6] = [&en::TEXTS, &de::TEXTS, &fr::TEXTS, &es::TEXTS, &pt::TEXTS, &ja::TEXTS];
/// How many languages a header may list; the rest is not read.
const MAX_TAGS: usize = 32;

/// A language that the pages speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(usize);

impl Language {
    /// How many there are.
    pub(super) const COUNT: usize = LANGUAGES.len();

    /// Returns the language that an Accept-Language header likes best.
    pub fn of(accept_language: &str) -> Self {
        let mut best = Self(0);
        let mut most = 0;
        for (tag, quality) in tags(accept_language).take(MAX_TAGS) {
            let primary = tag.split('-').next().unwrap_or_default();
            // Of two liked equally the one named first is taken.
            if quality > most
                && let Some(place) =
                    LANGUAGES.iter().position(|texts| texts.tag.eq_ignore_ascii_case(primary))
            {
                (best, most) = (Self(place), quality);
            }
        }
        best
    }

    /// Returns all languages.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// Returns the language's tag, as in the `lang` attribute of its pages.
    pub fn tag(self) -> &'static str {
        self.texts().tag
    }

    pub(super) fn place(self) -> usize {
        self.0
    }

    pub(super) fn texts(self) -> &'static Texts {
        LANGUAGES[self.0]
    }
}

/// Names its fields, so that a test can look at every one.
macro_rules! texts {
    ($($(#[$about:meta])* $name:ident,)*) => {
        /// The texts of one language. `{…}` in a text is replaced.
        #[derive(Debug)]
        pub(super) struct Texts {
            $($(#[$about])* pub $name: &'static str,)*
        }

        #[cfg(test)]
        impl Texts {
            fn each(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

texts! {
    /// The language's tag, without a region.
    tag,
    /// `ltr` or `rtl`.
    dir,
    not_found_title,
    not_found_text,
    expired_title,
    expired_text,
    gone_title,
    gone_text,
    unavailable_title,
    unavailable_text,
    no_destination_title,
    no_destination_text,
    warning_title,
    warning_text,
    warning_continue,
    warning_report,
    password_title,
    password_text,
    password_label,
    password_submit,
    password_wrong,
    /// `{wait}` is one of the two that follow.
    password_throttled,
    /// `{n}` is a number of seconds.
    seconds,
    /// `{n}` is a number of minutes.
    minutes,
    open_title,
    open_text,
    open_button,
    open_webview,
    get_ios,
    get_android,
    continue_web,
    paste_title,
    /// One sentence that says what the button does.
    paste_text,
    paste_button,
    paste_without,
    /// `{app}` is the name of the app.
    launchpad_open,
    launchpad_scan,
    launchpad_code,
    /// The title of a page about a link that has none.
    shared_link,
    preview_open,
    public_title,
    public_short,
    public_hidden,
    public_created,
    /// What stands before the address a link leads to.
    leads_to,
    /// What the buttons together are called, for those who hear the page.
    choices,
    report_title,
    report_text,
    report_kind,
    report_phishing,
    report_malware,
    report_spam,
    report_content,
    report_other,
    report_details,
    report_contact,
    report_submit,
    report_thanks_title,
    report_thanks_text,
    report_unread,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_language_liked_best_that_the_pages_speak_is_taken() {
        for (header, tag) in [
            ("", "en"),
            ("de", "de"),
            ("de-AT,en;q=0.9", "de"),
            ("DE-at", "de"),
            ("en;q=0.5, fr;q=0.8", "fr"),
            ("en;q=0.8,fr;q=0.8", "en"),
            ("zh-CN, ja;q=0.4, de;q=0.3", "ja"),
            ("zh", "en"),
            ("*", "en"),
            ("*, pt;q=0.1", "pt"),
            ("pt-BR", "pt"),
            ("es-419;q=0.9", "es"),
            ("de;q=0", "en"),
            ("de;q=2, fr;q=0.1", "fr"),
            ("de;q=x, fr;q=0.1", "fr"),
            ("deu", "en"),
            (",,;q=1,-", "en"),
            ("fr;level=1;q=0.3,de;q=0.2", "fr"),
        ] {
            assert_eq!(Language::of(header).tag(), tag, "{header:?}");
        }
        let long = "xx,".repeat(100_000) + "de";
        assert_eq!(Language::of(&long).tag(), "en", "a long header is not read to its end");
    }

    #[test]
    fn no_language_lacks_a_text() {
        let gaps = |text: &str| -> BTreeSet<String> {
            text.split('{')
                .skip(1)
                .filter_map(|rest| rest.split_once('}'))
                .map(|(name, _)| name.to_owned())
                .collect()
        };
        let english = en::TEXTS.each();
        let mut seen = BTreeSet::new();
        for texts in LANGUAGES {
            assert!(seen.insert(texts.tag), "{} is there twice", texts.tag);
            assert!(matches!(texts.dir, "ltr" | "rtl"), "{}", texts.tag);
            for ((name, text), (_, original)) in texts.each().into_iter().zip(&english) {
                assert!(!text.trim().is_empty() && text.trim() == text, "{}: {name}", texts.tag);
                assert_eq!(gaps(text), gaps(original), "{}: {name} has other gaps", texts.tag);
                let translated = texts.tag == "en" || text.len() < 24 || text != *original;
                assert!(translated, "{}: {name} is still English", texts.tag);
            }
        }
    }
}
