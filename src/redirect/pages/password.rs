//! The page before a link that has a password. A plain form: its `password` field comes back to the address it was shown at.

use askama::Template;
use http::StatusCode;

use super::{Look, Page, page::Has, texts::Texts};
use crate::links::MAX_PASSWORD;

/// What the form is about.
#[derive(Debug, Clone, Copy)]
pub struct Password {
    /// How it stands with the visitor.
    pub state: PasswordState,
}

/// How it stands with a visitor who needs a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordState {
    /// They have not tried. 200.
    Ask,
    /// What they sent was wrong. 403.
    Wrong,
    /// They tried too often. 429.
    Throttled {
        /// When they may try again.
        seconds: u32,
    },
}

#[derive(Template)]
#[template(path = "password.html")]
struct Html {
    texts: &'static Texts,
    icon: &'static str,
    longest: usize,
    trouble: Option<String>,
    wrong: bool,
}

/// Asks for the password of a link.
pub fn password(look: &Look, password: Password) -> Page {
    let texts = look.language.texts();
    let (status, retry_after, trouble) = match password.state {
        PasswordState::Ask => (StatusCode::OK, None, None),
        PasswordState::Wrong => (StatusCode::FORBIDDEN, None, Some(texts.password_wrong.to_owned())),
        PasswordState::Throttled { seconds } => {
            let trouble = texts.password_throttled.replace("{wait}", &wait(texts, seconds));
            (StatusCode::TOO_MANY_REQUESTS, Some(seconds), Some(trouble))
        }
    };
    let html = Html {
        texts,
        icon: "M6 11h12a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1v-8a1 1 0 0 1 1-1M8 11V7.5a4 4 0 0 1 8 0V11M12 15v2",
        longest: MAX_PASSWORD,
        trouble,
        wrong: password.state == PasswordState::Wrong,
    };
    Page { retry_after, ..Page::new(status, Has { form: true, ..Has::default() }, &html) }
}

/// Returns a time in words, never shorter than it is.
pub(super) fn wait(texts: &Texts, seconds: u32) -> String {
    if seconds <= 90 {
        texts.seconds.replace("{n}", &seconds.max(1).to_string())
    } else {
        texts.minutes.replace("{n}", &seconds.div_ceil(60).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_says_how_it_stands() {
        for (state, status, retry_after, says) in [
            (PasswordState::Ask, 200, None, ""),
            (PasswordState::Wrong, 403, None, "not right"),
            (PasswordState::Throttled { seconds: 0 }, 429, Some(0), "in 1 s."),
            (PasswordState::Throttled { seconds: 90 }, 429, Some(90), "in 90 s."),
            (PasswordState::Throttled { seconds: 91 }, 429, Some(91), "in 2 min."),
        ] {
            let page = password(&Look::plain(), Password { state });
            let html = String::from_utf8(page.html.to_vec()).expect("UTF-8");
            assert_eq!((page.status.as_u16(), page.retry_after), (status, retry_after));
            assert_eq!(html.contains("role=\"alert\""), !says.is_empty());
            assert!(html.contains(says), "{html}");
            assert!(html.contains("<form method=\"post\">") && html.contains("for=\"password\""));
        }
    }
}
