//! What a mail says: one list of parts from which both forms are made, so that neither can say something else, and whatever strangers
//! wrote is escaped in one place.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

const MAX_SUBJECT_CHARACTERS: usize = 150;

/// A mail to one person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The e-mail; empty for nobody.
    pub to: String,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub parts: Vec<Part>,
}

/// A part of a mail.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// A paragraph.
    Text(String),
    /// A link of ours on a line of its own.
    Link {
        /// What it does.
        label: String,
        /// Where it leads.
        url: String,
    },
}

impl std::fmt::Debug for Letter {
    // The parts may hold what opens an account.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Letter").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Letter {
    /// Returns the subject on one line.
    pub fn subject_line(&self) -> String {
        self.subject
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(MAX_SUBJECT_CHARACTERS)
            .collect()
    }

    /// Returns the plain form.
    pub fn text(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => plain(text),
            Part::Link { label, url } => format!("{}:\n{}", plain(label), plain(url)),
        });
        parts.collect::<Vec<_>>().join("\n\n") + "\n"
    }

    /// Returns the HTML form.
    pub fn html(&self) -> String {
        let mut html = String::from("<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>");
        html.push_str(&escaped(&self.subject_line()));
        html.push_str(
            "</title></head>\n<body style=\"font-family:sans-serif;line-height:1.5;max-width:36em\">\n",
        );
        for part in &self.parts {
            let written = match part {
                Part::Text(text) => writeln!(html, "<p>{}</p>", escaped(text)),
                Part::Link { label, url } => {
                    let (label, url) = (escaped(label), escaped(url));
                    writeln!(html, "<p><a href=\"{url}\">{label}</a><br><small>{url}</small></p>")
                }
            };
            written.expect("a text grows");
        }
        html.push_str("</body></html>\n");
        html
    }
}

/// One paragraph stays one, whatever somebody's name holds.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        Letter {
            to: "ann@example.com".into(),
            subject: "Hi\r\nBcc: everybody@example.com".into(),
            parts: vec![
                Part::Text("<b>\"Ann\" & 'co'</b>\n\n.\nsigned".into()),
                Part::Link { label: "Open <it>".into(), url: "https://x.test/a?b=1&c=2#token=\"".into() },
            ],
        }
    }

    #[test]
    fn what_strangers_wrote_is_text_in_both_forms() {
        assert_eq!(
            letter().text(),
            "<b>\"Ann\" & 'co'</b>  . signed\n\nOpen <it>:\nhttps://x.test/a?b=1&c=2#token=\"\n"
        );
        let html = letter().html();
        assert!(
            html.contains("<p>&lt;b&gt;&quot;Ann&quot; &amp; &#39;co&#39;&lt;/b&gt;  . signed</p>"),
            "{html}"
        );
        assert!(
            html.contains("<a href=\"https://x.test/a?b=1&amp;c=2#token=&quot;\">Open &lt;it&gt;</a>"),
            "{html}"
        );
    }

    #[test]
    fn a_subject_is_one_line_of_bounded_length() {
        assert_eq!(letter().subject_line(), "Hi  Bcc: everybody@example.com");
        let long = Letter { subject: "ü".repeat(1_000), ..letter() };
        assert_eq!(long.subject_line().chars().count(), 150);
    }

    #[test]
    fn what_it_says_is_not_logged() {
        assert!(!format!("{:?}", letter()).contains("token"));
    }
}
