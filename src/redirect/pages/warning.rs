//! The page before a link that somebody should look at twice.

use askama::Template;
use http::StatusCode;

use super::{
    Look, Page,
    page::Has,
    texts::Texts,
    urls::{WebUrl, as_text},
};

/// What the warning is about.
#[derive(Debug, Clone, Copy)]
pub struct Warning<'a> {
    /// Where the link leads. Shown in full, whatever it is.
    pub destination: &'a str,
    /// Where those go who go on all the same. Only http(s) is offered.
    pub continue_url: Option<&'a str>,
    /// Where the link can be reported. Only http(s) is offered.
    pub report_url: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "warning.html")]
struct Html {
    texts: &'static Texts,
    icon: &'static str,
    host: Option<String>,
    destination: String,
    continue_url: Option<WebUrl>,
    report_url: Option<WebUrl>,
}

/// Warns of a link. 200; no click is counted for it.
pub fn warning(look: &Look, warning: Warning<'_>) -> Page {
    let Warning { destination, continue_url, report_url } = warning;
    let html = Html {
        texts: look.language.texts(),
        icon: "M12 3.5L2.5 20h19zM12 10v4.5M12 17.2v.1",
        host: WebUrl::parse(destination).map(|url| url.host().to_owned()),
        destination: as_text(destination),
        continue_url: continue_url.and_then(WebUrl::parse),
        report_url: report_url.and_then(WebUrl::parse),
    };
    Page::new(StatusCode::OK, Has::default(), &html)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(destination: &str, continue_url: Option<&str>, report_url: Option<&str>) -> String {
        let page = warning(&Look::plain(), Warning { destination, continue_url, report_url });
        assert_eq!(page.status, StatusCode::OK);
        String::from_utf8(page.html.to_vec()).expect("UTF-8")
    }

    #[test]
    fn it_shows_where_the_link_leads_and_lets_only_the_web_be_followed() {
        let url = "https://bank.example@evil.example/a?b=1&c=2";
        let page = html(url, Some(url), Some("https://go.example.com/report"));
        assert!(page.contains("<strong dir=\"ltr\">evil.example</strong>"), "{page}");
        assert!(page.contains("https://bank.example@evil.example/a?b=1&#38;c=2</code>"), "{page}");
        assert_eq!(page.matches("rel=\"nofollow noopener").count(), 2);
        assert_eq!(page.matches("href=").count(), 2);
        assert!(!page.contains("<script"));

        for other in
            ["javascript:alert(1)", "data:text/html,x", "myapp://open", "/relative", "//evil.example"]
        {
            let page = html(other, Some(other), Some(other));
            assert!(!page.contains("href=") && page.contains(&format!("{other}</code>")), "{other}: {page}");
        }
        assert!(!html(url, None, None).contains("href="));
    }
}
