//! The pages that say one thing and offer nothing. They are the same for everybody who reads their language, so each is made once.

use std::sync::LazyLock;

use askama::Template;
use http::StatusCode;

use super::{Language, Look, Page, page::Has, texts::Texts};

#[derive(Template)]
#[template(path = "notice.html")]
struct Html {
    texts: &'static Texts,
    icon: &'static str,
    title: &'static str,
    message: &'static str,
}

/// One page, in every language.
type Everywhere = LazyLock<[Page; Language::COUNT]>;

fn everywhere(
    status: StatusCode,
    retry_after: Option<u32>,
    icon: &'static str,
    says: fn(&Texts) -> [&'static str; 2],
) -> [Page; Language::COUNT] {
    let mut languages = Language::all();
    std::array::from_fn(|_| {
        let texts = languages.next().unwrap_or(Language::of("")).texts();
        let [title, message] = says(texts);
        let page = Page::new(status, Has::default(), &Html { texts, icon, title, message });
        Page { retry_after, ..page }
    })
}

static NOT_FOUND: Everywhere = LazyLock::new(|| {
    let icon = "M11 4a7 7 0 1 1 0 14a7 7 0 0 1 0-14M16 16l4.5 4.5M8.8 8.8l4.4 4.4M13.2 8.8l-4.4 4.4";
    everywhere(StatusCode::NOT_FOUND, None, icon, |texts| [texts.not_found_title, texts.not_found_text])
});
static EXPIRED: Everywhere = LazyLock::new(|| {
    let icon = "M12 3a9 9 0 1 1 0 18a9 9 0 0 1 0-18M12 7.5V12l3 2";
    everywhere(StatusCode::NOT_FOUND, None, icon, |texts| [texts.expired_title, texts.expired_text])
});
static GONE: Everywhere = LazyLock::new(|| {
    let icon = "M12 3a9 9 0 1 1 0 18a9 9 0 0 1 0-18M5.7 5.7l12.6 12.6";
    everywhere(StatusCode::GONE, None, icon, |texts| [texts.gone_title, texts.gone_text])
});
static UNAVAILABLE: Everywhere = LazyLock::new(|| {
    let icon = "M19.6 9.5A8 8 0 1 0 20 12M20 4.5v5h-5";
    let says = |texts: &Texts| [texts.unavailable_title, texts.unavailable_text];
    everywhere(StatusCode::SERVICE_UNAVAILABLE, Some(2), icon, says)
});
static NO_DESTINATION: Everywhere = LazyLock::new(|| {
    let icon = "M8 2.5h8a1.5 1.5 0 0 1 1.5 1.5v16a1.5 1.5 0 0 1-1.5 1.5H8A1.5 1.5 0 0 1 6.5 20V4A1.5 1.5 0 0 1 8 2.5M11 18.5h2";
    everywhere(StatusCode::OK, None, icon, |texts| [texts.no_destination_title, texts.no_destination_text])
});

static REPORTED: Everywhere = LazyLock::new(|| {
    let icon = "M12 3a9 9 0 1 1 0 18a9 9 0 0 1 0-18M8 12.5l3 3l5-6";
    everywhere(StatusCode::OK, None, icon, |texts| [texts.report_thanks_title, texts.report_thanks_text])
});

/// A link was reported. 200.
pub fn reported(look: &Look) -> Page {
    REPORTED[look.language.place()].clone()
}

/// There is no such link. 404.
pub fn not_found(look: &Look) -> Page {
    NOT_FOUND[look.language.place()].clone()
}

/// The link's time is over. 404, as for a link that is unknown: only the words differ.
pub fn expired(look: &Look) -> Page {
    EXPIRED[look.language.place()].clone()
}

/// The link was switched off for good. 410, and not a word about why.
pub fn gone(look: &Look) -> Page {
    GONE[look.language.place()].clone()
}

/// No store could say where the link goes. 503, worth another try in two seconds.
pub fn unavailable(look: &Look) -> Page {
    UNAVAILABLE[look.language.place()].clone()
}

/// The link leads nowhere on this device. 200.
pub fn no_destination(look: &Look) -> Page {
    NO_DESTINATION[look.language.place()].clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_notice_is_made_once_for_each_language() {
        for (page, status, retry_after) in [
            (not_found as fn(&Look) -> Page, 404, None),
            (expired, 404, None),
            (gone, 410, None),
            (unavailable, 503, Some(2)),
            (no_destination, 200, None),
        ] {
            for language in Language::all() {
                let look = Look { language, ..Look::plain() };
                let (one, two) = (page(&look), page(&look));
                assert_eq!(one.html.as_ptr(), two.html.as_ptr(), "the same bytes");
                assert_eq!((one.status.as_u16(), one.retry_after), (status, retry_after));
                let html = String::from_utf8(one.html.to_vec()).expect("UTF-8");
                assert!(html.contains(&format!("<html lang=\"{}\"", language.tag())), "{html}");
                assert!(!html.contains("<a ") && !html.contains("<script"), "a way on: {html}");
            }
        }
    }
}
