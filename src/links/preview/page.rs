//! The tags of a page that say what it is; pure. Nothing is built of the page but these few texts, each of them bounded.

use std::convert::Infallible;

use html5gum::{
    Span, Tokenizer,
    emitters::callback::{Callback, CallbackEmitter, CallbackEvent},
};

/// The most bytes of one text that are looked at.
const MAX_TEXT: usize = 8 * 1024;

/// What a page says of itself, as it stands there with character references resolved. Of several of a kind it is the first that says something.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) og_title: Option<String>,
    pub(super) twitter_title: Option<String>,
    pub(super) title: Option<String>,
    pub(super) og_description: Option<String>,
    pub(super) twitter_description: Option<String>,
    pub(super) description: Option<String>,
    pub(super) site_name: Option<String>,
    pub(super) application_name: Option<String>,
    /// The best first.
    pub(super) images: [Option<String>; 6],
    pub(super) canonical: Option<String>,
    pub(super) og_url: Option<String>,
    pub(super) base: Option<String>,
}

impl Page {
    /// Reads a page.
    pub(super) fn read(html: &str) -> Self {
        let mut page = Self::default();
        walk(html, |element| page.note(element));
        page
    }

    fn note(&mut self, element: &Element) {
        match element.kind {
            Kind::Title => keep(&mut self.title, &element.text),
            Kind::Base => keep(&mut self.base, &element.href),
            Kind::Link => {
                let is = |name: &str| {
                    element.rel.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case(name))
                };
                if is("canonical") {
                    keep(&mut self.canonical, &element.href);
                }
                if is("image_src") {
                    keep(&mut self.images[5], &element.href);
                }
            }
            Kind::Meta => {
                // Both are written in both.
                let name = if element.property.is_empty() { &element.name } else { &element.property };
                let [secure, image, url, twitter, source, _] = &mut self.images;
                let place = match &*name.trim().to_ascii_lowercase() {
                    "og:title" => &mut self.og_title,
                    "og:description" => &mut self.og_description,
                    "og:site_name" => &mut self.site_name,
                    "og:image:secure_url" => secure,
                    "og:image" => image,
                    "og:image:url" => url,
                    "og:url" => &mut self.og_url,
                    "twitter:title" => &mut self.twitter_title,
                    "twitter:description" => &mut self.twitter_description,
                    "twitter:image" => twitter,
                    "twitter:image:src" => source,
                    "description" => &mut self.description,
                    "application-name" => &mut self.application_name,
                    _ => return,
                };
                keep(place, &element.content);
            }
            Kind::Svg | Kind::Other => {}
        }
    }
}

fn keep(place: &mut Option<String>, text: &str) {
    if place.is_none() && !text.trim().is_empty() {
        *place = Some(text.to_owned());
    }
}

/// Returns what a page says of its own characters.
pub(super) fn charset(html: &str) -> Option<String> {
    let mut found = None;
    walk(html, |element| {
        if element.kind != Kind::Meta {
            return;
        }
        keep(&mut found, &element.charset);
        if element.http_equiv.trim().eq_ignore_ascii_case("content-type") {
            let (_, parameters) = element.content.split_once(';').unwrap_or_default();
            keep(&mut found, super::charset::of_parameters(parameters).unwrap_or_default());
        }
    });
    found.map(|charset| charset.trim().to_owned())
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Meta,
    Link,
    Base,
    Title,
    Svg,
    #[default]
    Other,
}

/// One element, of the attributes that matter.
#[derive(Debug, Default)]
struct Element {
    kind: Kind,
    property: String,
    name: String,
    content: String,
    charset: String,
    http_equiv: String,
    rel: String,
    href: String,
    /// What stands in it, of a title.
    text: String,
}

/// Where the value of an attribute goes.
#[derive(Debug, Default, Clone, Copy)]
enum Attribute {
    Property,
    Name,
    Content,
    Charset,
    HttpEquiv,
    Rel,
    Href,
    #[default]
    Other,
}

struct Walk<F> {
    visit: F,
    element: Element,
    attribute: Attribute,
    /// A picture's title is not the page's.
    pictures: usize,
    in_title: bool,
}

fn walk(html: &str, visit: impl FnMut(&Element)) {
    let walk = Walk {
        visit,
        element: Element::default(),
        attribute: Attribute::default(),
        pictures: 0,
        in_title: false,
    };
    let mut emitter = CallbackEmitter::new(walk);
    // What stands in scripts and styles are no tags.
    emitter.naively_switch_states(true);
    let Ok(()) = Tokenizer::new_with_emitter(html, emitter).finish();
}

impl<F: FnMut(&Element)> Callback<Infallible, ()> for Walk<F> {
    fn handle_event(&mut self, event: CallbackEvent<'_>, _: Span<()>) -> Option<Infallible> {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                let kind = match name {
                    b"meta" => Kind::Meta,
                    b"link" => Kind::Link,
                    b"base" => Kind::Base,
                    b"title" => Kind::Title,
                    b"svg" => Kind::Svg,
                    _ => Kind::Other,
                };
                self.in_title = false;
                self.element = Element { kind, ..Element::default() };
            }
            CallbackEvent::AttributeName { name } => {
                self.attribute = match name {
                    b"property" => Attribute::Property,
                    b"name" => Attribute::Name,
                    b"content" => Attribute::Content,
                    b"charset" => Attribute::Charset,
                    b"http-equiv" => Attribute::HttpEquiv,
                    b"rel" => Attribute::Rel,
                    b"href" => Attribute::Href,
                    _ => Attribute::Other,
                };
            }
            CallbackEvent::AttributeValue { value } => self.value(value),
            CallbackEvent::CloseStartTag { self_closing } => match self.element.kind {
                Kind::Meta | Kind::Link | Kind::Base => (self.visit)(&self.element),
                Kind::Title => self.in_title = self.pictures == 0,
                Kind::Svg if !self_closing => self.pictures += 1,
                Kind::Svg | Kind::Other => {}
            },
            CallbackEvent::String { value } if self.in_title => push(&mut self.element.text, value),
            CallbackEvent::EndTag { name } => match name {
                b"title" if std::mem::take(&mut self.in_title) => (self.visit)(&self.element),
                b"svg" => self.pictures = self.pictures.saturating_sub(1),
                _ => {}
            },
            _ => {}
        }
        None
    }
}

impl<F> Walk<F> {
    fn value(&mut self, value: &[u8]) {
        let Element { kind, property, name, content, charset, http_equiv, rel, href, .. } = &mut self.element;
        if !matches!(kind, Kind::Meta | Kind::Link | Kind::Base) {
            return;
        }
        let place = match self.attribute {
            Attribute::Property => property,
            Attribute::Name => name,
            Attribute::Content => content,
            Attribute::Charset => charset,
            Attribute::HttpEquiv => http_equiv,
            Attribute::Rel => rel,
            Attribute::Href => href,
            Attribute::Other => return,
        };
        // Of several the first counts.
        if place.is_empty() {
            push(place, value);
        }
    }
}

fn push(text: &mut String, more: &[u8]) {
    let room = MAX_TEXT.saturating_sub(text.len());
    text.push_str(&String::from_utf8_lossy(&more[..more.len().min(room)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_tag_of_the_page_says_nothing() {
        for html in [
            "<script>'<title>no</title><meta property=og:title content=no>'</script>",
            "<style><title>no</title></style>",
            "<!-- <title>no</title> -->",
            "<textarea><title>no</title></textarea>",
            "<svg><title>no</title></svg>",
            "<svg><g><svg><title>no</title></svg><title>no</title></g></svg>",
            "<iframe><title>no</title></iframe>",
            "<meta property=og:title>",
            "<meta content=no>",
            "<title></title>",
            "<title>never closed",
            "<a title=no content=no property=og:title>",
            "</meta property=og:title content=no>",
        ] {
            assert_eq!(Page::read(html), Page::default(), "{html}");
        }
        let late = Page::read("<svg><title>no</title></svg><svg/><title>yes</title>");
        assert_eq!(late.title.as_deref(), Some("yes"));
        let script = Page::read("<title><script>alert(1)</script> &lt;b&gt; </title>");
        assert_eq!(script.title.as_deref(), Some("<script>alert(1)</script> <b> "));
        let twice = Page::read("<meta property=og:title content=one content=two property=og:url>");
        assert_eq!((twice.og_title.as_deref(), twice.og_url), (Some("one"), None));
        let late = Page::read("<body><div><META PROPERTY='OG:Title' CONTENT='streamed'/></div>");
        assert_eq!(late.og_title.as_deref(), Some("streamed"));
    }

    #[test]
    fn a_page_without_end_or_measure_is_read_in_proportion() {
        let long = |part: &str| part.repeat(1024 * 1024 / part.len());
        let mut number = 0;
        let attributes = std::iter::repeat_with(|| {
            number += 1;
            format!("a{number} ")
        });
        let attributes: String = attributes.take(150_000).collect();
        for html in [
            format!("<title>{}</title>", long("x")),
            format!("<title>{}", long("<title>")),
            format!("<meta property=og:title content='{}'>", long("y")),
            format!("<meta {attributes} property=og:title content=z>"),
            long("<svg>"),
            long("<meta "),
            long("&amp"),
            long("<!--"),
            long("<![CDATA["),
            long("</title"),
            long("<script><!--"),
            format!("<!doctype {}", long("d")),
        ] {
            let page = Page::read(&html);
            for text in [page.title, page.og_title].into_iter().flatten() {
                assert!((1..=MAX_TEXT).contains(&text.len()));
            }
        }
    }
}
