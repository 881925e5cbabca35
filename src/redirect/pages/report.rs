//! The page on which a visitor reports a link, and the one that thanks. A plain form: it comes back to the address it was shown at.

use askama::Template;
use http::StatusCode;

use super::{Look, Page, page::Has, texts::Texts};
use crate::links::REPORT_KINDS;
use crate::pb::v1::ReportKind;

/// How it stands with a visitor who reports a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportState {
    /// They have not written anything. 200.
    Ask,
    /// What they sent cannot be kept. 400.
    Unread,
    /// They, or all together, reported too often. 429.
    Throttled {
        /// When they may try again.
        seconds: u32,
    },
}

#[derive(Template)]
#[template(path = "report.html")]
struct Html<'a> {
    texts: &'static Texts,
    icon: &'static str,
    short_url: &'a str,
    trouble: Option<String>,
    kinds: Vec<(&'static str, &'static str)>,
}

const ICON: &str = "M5 21V4h11l-2 4l2 4H5";

/// Asks what is wrong with a link.
pub fn report(look: &Look, short_url: &str, state: ReportState) -> Page {
    let texts = look.language.texts();
    let (status, retry_after, trouble) = match state {
        ReportState::Ask => (StatusCode::OK, None, None),
        ReportState::Unread => (StatusCode::BAD_REQUEST, None, Some(texts.report_unread.to_owned())),
        ReportState::Throttled { seconds } => {
            let trouble = texts.password_throttled.replace("{wait}", &super::password::wait(texts, seconds));
            (StatusCode::TOO_MANY_REQUESTS, Some(seconds), Some(trouble))
        }
    };
    let text = |kind| match kind {
        ReportKind::Phishing => texts.report_phishing,
        ReportKind::Malware => texts.report_malware,
        ReportKind::Spam => texts.report_spam,
        ReportKind::Content => texts.report_content,
        ReportKind::Other | ReportKind::Unspecified => texts.report_other,
    };
    let kinds = REPORT_KINDS.into_iter().map(|(kind, name)| (name, text(kind))).collect();
    let html = Html { texts, icon: ICON, short_url, trouble, kinds };
    Page { retry_after, ..Page::new(status, Has { form: true, ..Has::default() }, &html) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_sees_every_kind_and_what_went_wrong() {
        let look = Look::plain();
        for (state, status, trouble) in [
            (ReportState::Ask, 200, false),
            (ReportState::Unread, 400, true),
            (ReportState::Throttled { seconds: 30 }, 429, true),
        ] {
            let page = report(&look, "https://go.example/<x>", state);
            let html = String::from_utf8(page.html.to_vec()).expect("UTF-8");
            assert_eq!(page.status, status);
            assert_eq!(html.contains("role=\"alert\""), trouble, "{html}");
            assert_eq!(html.matches("<option").count(), REPORT_KINDS.len());
            assert!(html.contains("https://go.example/&#60;x&#62;"), "{html}");
        }
    }
}
