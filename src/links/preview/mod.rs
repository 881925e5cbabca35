//! What pages say of themselves, for previews of links that lead there: `charset.rs` makes text of bytes, `page.rs` reads the tags, `text.rs` makes
//! them fit to be shown. A page is a stranger's: each of these takes memory and time in proportion to what was read of it, which is bounded.

mod charset;
mod page;
mod text;

use url::Url;

use self::page::Page;
use super::{
    Content, Fetch, Field, LinkChange, extras,
    fetch::{Wanted, content_type, unreadable},
};
use crate::{
    destination_url::{self, Own},
    domains,
    env::Env,
    error::{Error, Result},
    outbound::Fetched,
    pb::v1,
    rpc,
    workspaces::Tenant,
};

/// How much of a page is read. Its tags stand at its beginning, but with some there are scripts before them.
const BYTES: usize = 1024 * 1024;
const ACCEPT: &str = "text/html,application/xhtml+xml";
const NO_PAGE: &str = "needs link.destination_url or link.web_url";

/// Reads what the page at `url`, which stands in the request as `field`, says of itself.
pub(super) async fn fetch(
    env: &Env,
    fetch: &Fetch,
    tenant: &Tenant,
    field: &str,
    url: &str,
) -> Result<v1::Preview> {
    let fetched = fetch.get(env, tenant, (field, url), Wanted { accept: ACCEPT, bytes: BYTES }).await?;
    let kind = content_type(&fetched);
    let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let is_page = ["", "text/html", "application/xhtml+xml"]
        .iter()
        .any(|page| essence.trim().eq_ignore_ascii_case(page));
    if !is_page {
        return Err(unreadable(&fetched, "the host sends something that is no HTML"));
    }
    let charset = charset::of_parameters(parameters).map(str::to_owned);
    let (own, hosts) = (env.config.links_url.clone(), domains::answering(&env.db.api, tenant).await?);
    let reading = tokio::task::spawn_blocking(move || {
        let Fetched { url, response } = fetched;
        let text = charset::decode(&response.body, charset.as_deref());
        let from = Url::parse(url.as_str()).map_err(Error::internal)?;
        Ok(preview(Page::read(&text), from, Own { url: &own, hosts: &hosts }))
    });
    reading.await.map_err(Error::internal)?
}

/// Makes a preview of what a page at `from` says; `own` is where short URLs live, which no preview may name.
fn preview(page: Page, from: Url, own: Own<'_>) -> v1::Preview {
    let base = page.base.as_deref().and_then(|base| from.join(base.trim()).ok());
    let base = base.filter(|base| matches!(base.scheme(), "http" | "https")).unwrap_or_else(|| from.clone());
    let absolute = |raw: &String| {
        let url = base.join(raw.trim()).ok()?;
        destination_url::check(url.as_str(), own).ok()
    };
    let fit = |texts: [Option<String>; 3], most: usize| {
        texts
            .into_iter()
            .flatten()
            .map(|raw| text::fit(&raw, most))
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    };
    v1::Preview {
        title: fit([page.og_title, page.twitter_title, page.title], extras::MAX_OG_TITLE),
        description: fit(
            [page.og_description, page.twitter_description, page.description],
            extras::MAX_OG_DESCRIPTION,
        ),
        site_name: fit([page.site_name, page.application_name, None], extras::MAX_SITE_NAME),
        image_url: page.images.iter().flatten().find_map(absolute).unwrap_or_default(),
        canonical_url: page.canonical.iter().chain(&page.og_url).find_map(absolute).unwrap_or_default(),
        url: from.into(),
    }
}

/// Gives a new link from its page what it does not have. Says what went wrong with that.
pub(super) async fn fill_new(
    env: &Env,
    fetch: &Fetch,
    tenant: &Tenant,
    content: &mut Content,
) -> Result<Option<v1::ItemError>> {
    let page = leads_to(&content.web_url, &content.destination_url)?;
    fill(env, fetch, tenant, &page, (&mut content.og, &mut content.title)).await
}

/// The same for a link that is changed, from the page that it leads to afterwards.
pub(super) async fn fill_changed(
    env: &Env,
    fetch: &Fetch,
    tenant: &Tenant,
    change: &mut LinkChange,
) -> Result<Option<v1::ItemError>> {
    let stored = super::get(env, tenant, change.id).await?.link;
    let LinkChange { fields, content, .. } = change;
    let after = |field: Field, changed: &str, kept: &str| {
        if fields.contains(&field) { changed.to_owned() } else { kept.to_owned() }
    };
    let web = after(Field::WebUrl, &content.web_url, &stored.web_url);
    let destination = after(Field::DestinationUrl, &content.destination_url, &stored.destination_url);
    let page = leads_to(&web, &destination)?;
    let mut title = after(Field::Title, &content.title, &stored.title);
    let mut og = if fields.contains(&Field::Og) {
        content.og.clone()
    } else {
        extras::from_bytes(stored.og.as_deref())
    };
    let had = (og.clone(), title.clone());
    let error = fill(env, fetch, tenant, &page, (&mut og, &mut title)).await?;
    // What was not filled is not written either: somebody may be changing it at this moment.
    if og != had.0 {
        fields.insert(Field::Og);
        content.og = og;
    }
    if title != had.1 {
        fields.insert(Field::Title);
        content.title = title;
    }
    Ok(error)
}

fn leads_to(web: &str, destination: &str) -> Result<String> {
    let page = [web, destination].into_iter().find(|url| !url.is_empty());
    page.map(str::to_owned).ok_or_else(|| Error::invalid_field("fetch_preview", NO_PAGE))
}

async fn fill(
    env: &Env,
    through: &Fetch,
    tenant: &Tenant,
    page: &str,
    (og, title): (&mut Option<v1::Og>, &mut String),
) -> Result<Option<v1::ItemError>> {
    let has = og.clone().unwrap_or_default();
    let is_whole = [&has.title, &has.description, &has.image_url, &has.site_name, title]
        .iter()
        .all(|text| !text.is_empty());
    if is_whole {
        return Ok(None);
    }
    let found = match fetch(env, through, tenant, "fetch_preview", page).await {
        Ok(found) => found,
        Err(error) => return Ok(Some(rpc::item_error(&error))),
    };
    let or = |has: String, found: String| if has.is_empty() { found } else { has };
    *title = or(std::mem::take(title), found.title.clone());
    let filled = v1::Og {
        title: or(has.title, found.title),
        description: or(has.description, found.description),
        image_url: or(has.image_url, found.image_url),
        site_name: or(has.site_name, found.site_name),
    };
    *og = (filled != v1::Og::default()).then_some(filled);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(html: &str) -> v1::Preview {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let own = Own { url: &url("https://go.example"), hosts: &["go.brand.example".to_owned()] };
        preview(Page::read(html), url("https://shop.example/de/shoes?a=b"), own)
    }

    #[test]
    fn a_page_says_what_it_is_in_several_ways_and_the_best_is_taken() {
        let whole = of(r#"<!doctype html><html><head><title>Plain</title>
            <meta name="description" content="plain"><meta name="twitter:title" content="Bird">
            <meta property="og:title" content="  Spring &amp;&#10; Summer "><meta property="og:title" content="second">
            <meta property="og:description" content="All &quot;new&quot;"><meta property="og:site_name" content="Shop">
            <meta property="og:image" content="/a.png"><meta name="twitter:image" content="/b.png">
            <link rel="canonical" href="../shoes"><meta property="og:url" content="https://shop.example/other">"#);
        let expected = v1::Preview {
            title: "Spring & Summer".into(),
            description: "All \"new\"".into(),
            image_url: "https://shop.example/a.png".into(),
            site_name: "Shop".into(),
            canonical_url: "https://shop.example/shoes".into(),
            url: "https://shop.example/de/shoes?a=b".into(),
        };
        assert_eq!(whole, expected);
        let bird = of(
            r#"<meta name=twitter:title content=Bird><meta name="twitter:description" content="tweet">
            <meta name="twitter:image:src" content="//cdn.example/b.png"><meta name="application-name" content="App">"#,
        );
        assert_eq!(
            (&*bird.title, &*bird.description, &*bird.image_url, &*bird.site_name),
            ("Bird", "tweet", "https://cdn.example/b.png", "App")
        );
        let plain = of(
            "<title>\n Plain\t page </title><meta content='said' name='Description'><link rel=image_src href=c.png>",
        );
        assert_eq!(
            (&*plain.title, &*plain.description, &*plain.image_url),
            ("Plain page", "said", "https://shop.example/de/c.png")
        );
        assert_eq!(
            of(""),
            v1::Preview { url: "https://shop.example/de/shoes?a=b".into(), ..Default::default() }
        );
        assert_eq!(of("no tags at all").title, "");
    }

    #[test]
    fn urls_are_made_absolute_and_those_that_nobody_should_follow_are_left_out() {
        for (html, image) in [
            (
                "<base href='https://cdn.example/x/'><meta property=og:image content=a.png>",
                "https://cdn.example/x/a.png",
            ),
            ("<base href='/y/'><meta property=og:image content=a.png>", "https://shop.example/y/a.png"),
            (
                "<base href='javascript:1'><meta property=og:image content=a.png>",
                "https://shop.example/de/a.png",
            ),
            (
                "<meta property=og:image content='data:image/png;base64,AA'><meta name=twitter:image content=b.png>",
                "https://shop.example/de/b.png",
            ),
            ("<meta property=og:image content='javascript:alert(1)'>", ""),
            ("<meta property=og:image content='https://user:pw@cdn.example/a.png'>", ""),
            ("<meta property=og:image content='https://go.example/spring'>", ""),
            (
                "<meta property=og:image content=''><meta property=og:image:url content=c.png>",
                "https://shop.example/de/c.png",
            ),
            (
                "<meta property=og:image content=a.png><meta property=og:image:secure_url content=s.png>",
                "https://shop.example/de/s.png",
            ),
            ("<meta property=og:image content='http://[bad'>", ""),
        ] {
            assert_eq!(of(html).image_url, image, "{html}");
        }
        assert_eq!(
            of("<link rel='alternate canonical' href='#top'>").canonical_url,
            "https://shop.example/de/shoes?a=b#top"
        );
        assert_eq!(
            of("<link rel=canonical href='ftp://x/'><meta property=og:url content='/z'>").canonical_url,
            "https://shop.example/z"
        );
    }
}
