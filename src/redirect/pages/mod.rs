//! The pages that visitors see where they are not simply sent on.
//!
//! Cast: `notice`, `warning`, `password`, `open_app`, `pasteboard`, `launchpad`, `report` and `preview` each turn a plain struct into a [`Page`], with
//! the template of the same name beside them; `layout.html` and `style.css` are what all pages share; `texts` is what they say,
//! one file for each language; `urls` decides what may become a link, `user_text` how a stranger's words are shown, `accent` which colours a
//! workspace may bring, `qr` draws a code, `page` writes headers. `docs/pages.md` shows them.
//!
//! Guarantees: pure, nothing is read or asked; what users wrote leaves only as escaped text or attributes, and only http(s) URLs become links
//! (an app's scheme on the two pages that open apps); no page asks anything of another host but the pictures of a workspace, by https; every page works
//! without its script; the policy of each page allows exactly what the page has.

mod accent;
mod launchpad;
mod notice;
mod open_app;
mod page;
mod password;
mod pasteboard;
mod preview;
mod qr;
mod report;
mod texts;
mod urls;
mod user_text;
mod warning;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::ids::Ids;

pub use self::{
    launchpad::{Launchpad, launchpad},
    notice::{expired, gone, no_destination, not_found, reported, unavailable},
    open_app::{OpenApp, open_app},
    page::Page,
    password::{Password, PasswordState, password},
    pasteboard::{Pasteboard, pasteboard},
    preview::{Preview, PublicPreview, preview, public_preview},
    report::{ReportState, report},
    texts::Language,
    warning::{Warning, warning},
};

/// What every page depends on.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// What it speaks.
    pub language: Language,
    /// What its script and its own styles are known by.
    pub nonce: Nonce,
}

impl Look {
    /// Returns the look of one answer to a visitor who sent `accept_language`.
    pub fn of(accept_language: &str, ids: &Ids) -> Self {
        Self { language: Language::of(accept_language), nonce: Nonce(ids.bytes()) }
    }
}

/// 128 bits that nobody can guess and no two answers share.
#[derive(Debug, Clone, Copy)]
pub struct Nonce(pub [u8; 16]);

impl std::fmt::Display for Nonce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

#[cfg(test)]
impl Look {
    /// Returns a look in English.
    fn plain() -> Self {
        Self { language: Language::of(""), nonce: Nonce(*b"sixteen bytes...") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_leave_nothing_unescaped_but_our_own_constants() {
        for (name, template) in [
            ("layout", include_str!("layout.html")),
            ("icon", include_str!("icon.html")),
            ("notice", include_str!("notice.html")),
            ("warning", include_str!("warning.html")),
            ("password", include_str!("password.html")),
            ("open_app", include_str!("open_app.html")),
            ("pasteboard", include_str!("pasteboard.html")),
            ("launchpad", include_str!("launchpad.html")),
            ("report", include_str!("report.html")),
            ("preview", include_str!("preview.html")),
            ("public_preview", include_str!("public_preview.html")),
        ] {
            for part in template.split("{{").skip(1) {
                let expression = part.split("}}").next().unwrap_or_default().trim();
                if expression.contains('|') {
                    let ours = [
                        "crate::redirect::pages::page::STYLE|safe",
                        "crate::redirect::pages::open_app::SCRIPT|safe",
                        "crate::redirect::pages::pasteboard::SCRIPT|safe",
                    ];
                    assert!(ours.contains(&expression), "{name}: {expression}");
                }
            }
            assert!(!template.contains("autoescape") && !template.contains("{% filter"), "{name}");
            assert!(
                !template.contains("style=\"") && !template.contains(" on"),
                "{name} has what its policy forbids"
            );
        }
    }

    #[test]
    fn a_nonce_has_all_its_bits() {
        let ids = Ids::seeded(1);
        let (one, two) = (Look::of("de", &ids), Look::of("de", &ids));
        assert_ne!(one.nonce.0, two.nonce.0);
        assert_eq!(one.nonce.to_string().len(), 24);
        assert_eq!(one.language.tag(), "de");
    }
}
