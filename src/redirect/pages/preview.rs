//! What is told of a link without following it: to the programs that draw a card for it, and to people who ask first.

use std::borrow::Cow;

use askama::Template;
use chrono::NaiveDate;
use http::StatusCode;

use super::{
    Look, Page,
    page::Has,
    texts::Texts,
    urls::{WebUrl, as_text},
    user_text::{shown, shown_if_any},
};

/// What a card says.
#[derive(Debug, Clone, Copy)]
pub struct Preview<'a> {
    /// Its title; empty for a name of ours.
    pub title: &'a str,
    /// More about it.
    pub description: Option<&'a str>,
    /// A picture, https.
    pub image: Option<&'a str>,
    /// Whose it is.
    pub site_name: Option<&'a str>,
    /// The short URL itself.
    pub short_url: &'a str,
}

#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewHtml<'a> {
    texts: &'static Texts,
    title: Cow<'a, str>,
    description: Option<Cow<'a, str>>,
    image: Option<WebUrl>,
    site_name: Option<Cow<'a, str>>,
    short_url: Option<WebUrl>,
}

/// Shows the card of a link, in Open Graph and Twitter tags and to the eye. It never leads on by itself. 200.
pub fn preview(look: &Look, preview: Preview<'_>) -> Page {
    let Preview { title, description, image, site_name, short_url } = preview;
    let texts = look.language.texts();
    let html = PreviewHtml {
        texts,
        title: shown_if_any(Some(title)).unwrap_or(Cow::Borrowed(texts.shared_link)),
        description: shown_if_any(description),
        image: image.and_then(WebUrl::picture),
        site_name: shown_if_any(site_name),
        short_url: WebUrl::parse(short_url),
    };
    Page::new(StatusCode::OK, Has { pictures: html.image.is_some(), ..Has::default() }, &html)
}

/// What people are told who put a `+` behind a short URL.
#[derive(Debug, Clone, Copy)]
pub struct PublicPreview<'a> {
    /// What the link is about.
    pub title: Option<&'a str>,
    /// The short URL itself.
    pub short_url: &'a str,
    /// Where it leads, unless that is not for everybody.
    pub destination: Option<&'a str>,
    /// The host it leads to, unless that is not for everybody.
    pub host: Option<&'a str>,
    /// The day it was made.
    pub created: Option<NaiveDate>,
}

#[derive(Template)]
#[template(path = "public_preview.html")]
struct PublicPreviewHtml<'a> {
    texts: &'static Texts,
    icon: &'static str,
    title: Option<Cow<'a, str>>,
    short_text: String,
    short_url: Option<WebUrl>,
    host: Option<Cow<'a, str>>,
    destination: Option<String>,
    created: Option<NaiveDate>,
}

/// Tells where a link leads. 200.
pub fn public_preview(look: &Look, preview: PublicPreview<'_>) -> Page {
    let PublicPreview { title, short_url, destination, host, created } = preview;
    let html = PublicPreviewHtml {
        texts: look.language.texts(),
        icon: "M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1.2 1.2M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1.2-1.2",
        title: shown_if_any(title),
        short_text: as_text(short_url),
        short_url: WebUrl::parse(short_url),
        host: host.map(shown),
        destination: destination.map(as_text),
        created,
    };
    Page::new(StatusCode::OK, Has::default(), &html)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(page: &Page) -> String {
        assert_eq!(page.status, StatusCode::OK);
        String::from_utf8(page.html.to_vec()).expect("UTF-8")
    }

    #[test]
    fn a_card_says_the_same_in_every_dialect_and_does_not_lead_on() {
        let card = Preview {
            title: "A \"title\"",
            description: Some("More"),
            image: Some("https://img.example/a.png"),
            site_name: Some("Shop"),
            short_url: "https://go.example.com/spring",
        };
        let page = text(&preview(&Look::plain(), card));
        for tag in [
            "property=\"og:title\" content=\"A &#34;title&#34;\"",
            "name=\"twitter:title\" content=\"A &#34;title&#34;\"",
            "name=\"description\" content=\"More\"",
            "property=\"og:description\" content=\"More\"",
            "property=\"og:image\" content=\"https://img.example/a.png\"",
            "property=\"og:url\" content=\"https://go.example.com/spring\"",
            "property=\"og:site_name\" content=\"Shop\"",
            "name=\"twitter:card\" content=\"summary_large_image\"",
        ] {
            assert!(page.contains(&format!("<meta {tag}>")), "{tag}: {page}");
        }
        assert!(!page.contains("http-equiv"));
        let bare = Preview {
            title: " ",
            description: None,
            image: Some("http://img.example/a.png"),
            site_name: None,
            ..card
        };
        let page = text(&preview(&Look::plain(), bare));
        assert!(page.contains("content=\"Shared link\"") && page.contains("content=\"summary\""), "{page}");
        assert!(!page.contains("<img") && !page.contains("og:image"));
    }

    #[test]
    fn where_a_link_leads_is_text_and_can_be_kept_back() {
        let link = PublicPreview {
            title: None,
            short_url: "https://go.example.com/spring",
            destination: Some("https://example.com/a"),
            host: Some("example.com"),
            created: NaiveDate::from_ymd_opt(2026, 11, 22),
        };
        let page = text(&public_preview(&Look::plain(), link));
        assert!(page.contains("<code dir=\"ltr\">https://example.com/a</code>"), "{page}");
        assert!(page.contains("<time datetime=\"2026-11-22\">2026-11-22</time>"));
        assert!(!page.contains("href=\"https://example.com"));
        let hidden = PublicPreview { destination: None, host: None, ..link };
        assert!(text(&public_preview(&Look::plain(), hidden)).contains("Not shown"));
    }
}
