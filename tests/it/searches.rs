//! Searching among more links than one page may pass.

use linkforty::{
    db::Dialect,
    pb::v1::{BatchCreateLinksRequest, Link, LinkFilter, LinkOrder as Order, ListLinksRequest},
};
use sea_orm::ConnectionTrait as _;

use crate::support::{App, DESKTOP, Tenant, coded, get, on_every_store};

/// A page passes 6,000 links at the most, and the index returns 10,000.
const LINKS: usize = 13_000;

fn number_of(code: &str) -> usize {
    code.strip_prefix("link").and_then(|number| number.parse().ok()).expect("one of ours")
}

/// Link 0 is the oldest.
fn a_link(number: usize) -> Link {
    let mut words = vec![format!("n{} mpage", number % 4000)];
    let mut say = |word: &str, when: bool| {
        if when {
            words.push(word.to_owned());
        }
    };
    say("campaign", number < 10_500);
    say("seldom", number % 300 == 7);
    say("zq", number == 4);
    say("elder", number == 11 || number == 12);
    let tags = if number % 50 == 3 { vec!["fifty".to_owned()] } else { vec![] };
    Link { title: words.join(" "), tags, ..coded(format!("link{number}")) }
}

async fn many(app: &App, tenant: &Tenant) {
    for first in (0..LINKS).step_by(1000) {
        app.clock.advance(chrono::Duration::milliseconds(20));
        let links = (first..first + 1000).map(a_link).collect();
        let request = BatchCreateLinksRequest { links, ..BatchCreateLinksRequest::default() };
        let made = tenant.links.clone().batch_create_links(request).await.expect("creates").into_inner();
        assert_eq!(made.succeeded, 1000);
    }
    if app.env().db.dialect() == Dialect::Postgres {
        // As autovacuum would within a minute; what Postgres believed of the first thousand makes a poor plan.
        app.owner_db().await.execute_unprepared("ANALYZE").await.expect("looks at what there is");
    }
}

/// What a search came to.
struct Found {
    numbers: Vec<usize>,
    /// How many links each page had.
    pages: Vec<usize>,
}

async fn search(tenant: &Tenant, text: &str, page_size: i32, order: Order, filter: LinkFilter) -> Found {
    let mut found = Found { numbers: Vec::new(), pages: Vec::new() };
    let mut request = ListLinksRequest {
        search: text.into(),
        page_size,
        order: order.into(),
        filter: Some(filter),
        ..ListLinksRequest::default()
    };
    loop {
        let page = tenant.links.clone().list_links(request.clone()).await.expect("a page").into_inner();
        found.pages.push(page.links.len());
        found.numbers.extend(page.links.iter().map(|link| number_of(&link.short_code)));
        if page.next_page_token.is_empty() {
            return found;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn every_link_with_the_text_is_found_once_and_in_order() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        many(app, &tenant).await;
        for (number, visits) in [(4, 2), (11, 1), (12_999, 1), (7, 3)] {
            for _ in 0..visits {
                get(app.links(), &format!("/link{number}"), &[("user-agent", DESKTOP)]).await;
            }
        }
        app.settled().await;
        let clicked = |number: usize| match number {
            7 => 3,
            4 => 2,
            11 | 12_999 => 1,
            _ => 0,
        };
        // Text, links of a page, and how many pages it takes at the most.
        for (text, page_size, most) in [
            ("example.com/page", 1000, 14),
            ("campaign", 1000, 13),
            ("seldom", 50, 2),
            ("elder", 50, 1),
            ("Elder", 1, 2),
            ("n3999", 50, 1),
            ("zq", 50, 3),
            ("no such text", 50, 1),
            // Every link has all of it, none has it in a row.
            ("exampage", 50, 3),
            ("///", 50, 3),
        ] {
            for order in [Order::CreateTimeDesc, Order::CreateTimeAsc, Order::ClickCountDesc, Order::TitleAsc]
            {
                for tag in ["", "fifty"] {
                    if page_size == 1000 && tag.is_empty() && order != Order::ClickCountDesc {
                        continue;
                    }
                    let mut expected: Vec<usize> = (0..LINKS)
                        .filter(|number| {
                            let link = a_link(*number);
                            let texts =
                                format!("{}\n{}\n{}", link.short_code, link.title, link.destination_url);
                            texts.contains(&text.to_lowercase()) && (tag.is_empty() || link.tags == [tag])
                        })
                        .collect();
                    match order {
                        Order::CreateTimeDesc => expected.reverse(),
                        Order::ClickCountDesc => {
                            expected.sort_by_key(|number| (clicked(*number), *number));
                            expected.reverse();
                        }
                        Order::TitleAsc => expected.sort_by_key(|number| (a_link(*number).title, *number)),
                        _ => {}
                    }
                    let filter = LinkFilter {
                        tags: Some(tag.to_owned()).filter(|tag| !tag.is_empty()).into_iter().collect(),
                        ..LinkFilter::default()
                    };
                    let found = search(&tenant, text, page_size, order, filter).await;
                    let told = format!("{text:?} {order:?} {tag:?}: pages of {:?}", found.pages);
                    assert!(found.numbers == expected, "{told}");
                    assert!(found.pages.len() <= most, "{told}");
                }
            }
        }
        // What no page may look through ends early, and the next one goes on.
        let far = search(&tenant, "exampage", 50, Order::CreateTimeDesc, LinkFilter::default()).await;
        assert_eq!(far.pages, [0, 0, 0]);
        let far = search(&tenant, "zq", 50, Order::CreateTimeDesc, LinkFilter::default()).await;
        assert_eq!(far.pages, [0, 0, 1]);
    })
    .await;
}
