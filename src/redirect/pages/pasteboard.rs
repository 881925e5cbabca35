//! The page before the App Store that offers to put a token of the click on the pasteboard, where the app finds it at its first start.

use askama::Template;
use http::StatusCode;

use super::{Look, Nonce, Page, page::Has, texts::Texts, urls::WebUrl};

/// Reads nothing but the page's own attributes, and writes nothing before the button is pressed.
pub(super) const SCRIPT: &str = include_str!("pasteboard.js");

/// What goes along, and where to.
#[derive(Debug, Clone, Copy)]
pub struct Pasteboard<'a> {
    /// The page of the app in the store. Only http(s) is offered.
    pub store: &'a str,
    /// What is put on the pasteboard: the short URL with the token of the click.
    pub text: &'a str,
}

#[derive(Template)]
#[template(path = "pasteboard.html")]
struct Html<'a> {
    texts: &'static Texts,
    icon: &'static str,
    nonce: Nonce,
    store: Option<WebUrl>,
    text: &'a str,
}

/// Offers to put a click on the pasteboard. 200.
pub fn pasteboard(look: &Look, pasteboard: Pasteboard<'_>) -> Page {
    let Pasteboard { store, text } = pasteboard;
    let html = Html {
        texts: look.language.texts(),
        icon: "M9 3.5h6v3.5H9zM9 5H6v15.5h12V5h-3M12 10.5v6.5M9 14l3 3 3-3",
        nonce: look.nonce,
        store: WebUrl::parse(store),
        text,
    };
    Page::new(StatusCode::OK, Has { script: Some(look.nonce), ..Has::default() }, &html)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(store: &str) -> String {
        let text = "https://go.example.com/spring?lf=token&\"<b>";
        let page = pasteboard(&Look::plain(), Pasteboard { store, text });
        assert_eq!(page.status, StatusCode::OK);
        String::from_utf8(page.html.to_vec()).expect("UTF-8")
    }

    #[test]
    fn both_ways_lead_to_the_store_and_one_carries_the_click() {
        let page = html("https://apps.apple.com/app/id1?a=b&c=d");
        assert_eq!(page.matches("href=\"https://apps.apple.com/app/id1?a=b&#38;c=d\"").count(), 2, "{page}");
        let carried = "data-text=\"https://go.example.com/spring?lf=token&#38;&#34;&#60;b&#62;\"";
        assert_eq!(page.matches(carried).count(), 1, "{page}");
        let nowhere = html("javascript:alert(1)");
        assert!(!nowhere.contains("href=") && !nowhere.contains("data-text"), "{nowhere}");
    }
}
