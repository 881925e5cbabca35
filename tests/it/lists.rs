//! How the databases go about lists of links: by an index, whatever is asked.

use linkforty::{
    db::Dialect,
    ids::{Ids, WorkspaceId},
    links::{Archived, Kin, LinkOrder, LinkQuery, list_statements},
    page::{Cursor, PageRequest},
    pb::v1::{Link, LinkFilter, LinkOrder as Order, ListLinksRequest},
};
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, Statement, TransactionTrait as _};

use crate::support::{App, Tenant, coded, on_every_store};

/// Returns what the database says of how it would read a page, a line for each step.
async fn plan(app: &App, tx: &DatabaseTransaction, statement: Statement) -> Vec<String> {
    let (explain, place) = match app.env().db.dialect() {
        Dialect::Postgres => ("EXPLAIN", 0),
        Dialect::Sqlite => ("EXPLAIN QUERY PLAN", 3),
    };
    let explained = Statement { sql: format!("{explain} {}", statement.sql), ..statement };
    let rows = tx.query_all_raw(explained).await.expect("the database explains");
    rows.iter().map(|row| row.try_get_by_index::<String>(place).expect("text")).collect()
}

fn reads_all_links(step: &str) -> bool {
    let step = step.trim_start();
    step.contains("Seq Scan on links") || step == "SCAN links" || step.starts_with("SCAN links ")
}

fn sorts(step: &str) -> bool {
    step.contains("Sort") || step.contains("USE TEMP B-TREE FOR ORDER BY")
}

#[tokio::test]
async fn no_list_reads_all_links() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let workspace = WorkspaceId::parse(&tenant.id).expect("an id");
        for number in 0..20 {
            let tags = if number == 7 { vec!["rare".into()] } else { vec![] };
            tenant.create(Link { tags, title: format!("title {number}"), ..coded("") }).await;
        }
        let db = &app.env().db.api;
        let tx = db.begin().await.expect("a transaction");
        if app.env().db.dialect() == Dialect::Postgres {
            // With as few links as here reading all of them, and sorting them, is the quickest way; it must not be the only one.
            let unless_it_must = "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off";
            tx.execute_unprepared(unless_it_must).await.expect("sets");
        }
        let ids = Ids::seeded(3);
        let some = ids.uuid(app.env().now());
        let any = LinkQuery::default;
        let mut cases = vec![
            (any(), true),
            (LinkQuery { active: Some(false), ..any() }, true),
            (LinkQuery { archived: Archived::Only, ..any() }, true),
            (LinkQuery { archived: Archived::Included, ..any() }, true),
            (LinkQuery { created_after: Some(app.env().now()), ..any() }, true),
            (LinkQuery { created_before: Some(app.env().now()), ..any() }, true),
            (LinkQuery { project: Kin::This(some), ..any() }, true),
            (LinkQuery { source: "import".into(), ..any() }, true),
            (LinkQuery { external_user_id: "anna".into(), ..any() }, true),
            (LinkQuery { template: Kin::This(some), ..any() }, true),
            (LinkQuery { domain: Some(String::new()), ..any() }, true),
            (LinkQuery { domain: Some("go.example.org/1".into()), ..any() }, true),
            (LinkQuery { external_id: "order".into(), ..any() }, false),
            (LinkQuery { tags: vec!["rare".into()], ..any() }, false),
        ];
        for order in [LinkOrder::Oldest, LinkOrder::MostClicked, LinkOrder::Title] {
            cases.push((LinkQuery { order, ..any() }, true));
        }
        for (query, in_order) in cases {
            let key = match query.order {
                LinkOrder::MostClicked => "7",
                LinkOrder::Title => "title",
                LinkOrder::Newest | LinkOrder::Oldest => "",
            };
            let cursor = Cursor { key: key.into(), id: some.to_string() };
            for after in [None, Some(cursor)] {
                let page = PageRequest { size: 50, after };
                let statements = list_statements(db, workspace, &query, &page);
                assert_eq!(statements.len(), 1 + usize::from(query.order == LinkOrder::MostClicked));
                for (number, statement) in statements.into_iter().enumerate() {
                    let sql = statement.sql.clone();
                    let steps = plan(app, &tx, statement).await;
                    let told = format!("{query:?}\n{sql}\n{}", steps.join("\n"));
                    assert!(!steps.iter().any(|step| reads_all_links(step)), "{told}");
                    // Pages are found in their order, not put into it. The second statement of the most clicked ones is
                    // for the few pages at the end.
                    assert!(number > 0 || !in_order || !steps.iter().any(|step| sorts(step)), "{told}");
                    assert!(!sql.contains("OFFSET") && !sql.to_lowercase().contains("count("), "{told}");
                }
            }
        }
        tx.rollback().await.expect("ends");
    })
    .await;
}

/// Bounded however many links have the text: links in their order, and what the index has.
#[tokio::test]
async fn a_search_walks_in_order_and_then_asks_the_index() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let workspace = WorkspaceId::parse(&tenant.id).expect("an id");
        for number in 0..20 {
            tenant.create(Link { title: format!("title {number}"), ..coded("") }).await;
        }
        let db = app.owner_db().await;
        let tx = db.begin().await.expect("a transaction");
        let some = Ids::seeded(3).uuid(app.env().now());
        let (any, tagged) = (LinkQuery::default, vec!["rare".to_owned()]);
        let questions = [
            any(),
            LinkQuery { active: Some(false), ..any() },
            LinkQuery { archived: Archived::Only, ..any() },
            LinkQuery { project: Kin::This(some), ..any() },
            LinkQuery { source: "import".into(), ..any() },
            LinkQuery { tags: tagged, ..any() },
            LinkQuery { order: LinkOrder::Oldest, ..any() },
            LinkQuery { order: LinkOrder::MostClicked, ..any() },
            LinkQuery { order: LinkOrder::Title, ..any() },
        ];
        // As few links as here are read and sorted the quickest; it must not be the only way.
        let (walks, asks) = match app.env().db.dialect() {
            Dialect::Postgres => (
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off",
                "SET LOCAL enable_indexscan = off; SET LOCAL enable_sort = on; SET LOCAL enable_bitmapscan = on;
                 DO $$ DECLARE name text; BEGIN
                     FOR name IN SELECT indexname FROM pg_indexes WHERE tablename = 'links' AND schemaname = current_schema()
                         AND indexname NOT LIKE '%key' AND indexname <> 'links_search_idx'
                     LOOP EXECUTE 'DROP INDEX ' || quote_ident(name); END LOOP;
                 END $$",
            ),
            Dialect::Sqlite => ("SELECT 1", "SELECT 1"),
        };
        for (number, set) in [walks, asks].into_iter().enumerate() {
            tx.execute_unprepared(set).await.expect("sets");
            for query in &questions {
                let key = match query.order {
                    LinkOrder::MostClicked => "7",
                    LinkOrder::Title => "title",
                    LinkOrder::Newest | LinkOrder::Oldest => "",
                };
                let query = LinkQuery { search: "title 7".into(), ..query.clone() };
                let cursor = Cursor { key: key.into(), id: some.to_string() };
                for after in [None, Some(cursor)] {
                    let is_first = after.is_none();
                    let mut statements =
                        list_statements(&db, workspace, &query, &PageRequest { size: 50, after });
                    assert_eq!(statements.len(), 2);
                    let statement = statements.swap_remove(number);
                    let sql = statement.sql.clone();
                    assert!(!sql.contains("OFFSET") && sql.contains("LIMIT"), "{sql}");
                    let steps = plan(app, &tx, statement).await;
                    let told = format!("{query:?}\n{sql}\n{}", steps.join("\n"));
                    assert!(!steps.iter().any(|step| reads_all_links(step)), "{told}");
                    let by_text = |step: &String| {
                        step.contains("links_search_idx")
                            || step.contains("links_search VIRTUAL TABLE INDEX")
                            || step.contains("link_tags_pkey")
                    };
                    // A tag leads to its links, which are then put in order, as without a text.
                    let in_order = !query.tags.is_empty() || !steps.iter().any(|step| sorts(step));
                    assert!(number == 1 || in_order, "{told}");
                    // Behind a link, with so few, its id leads there just as well.
                    assert!(number == 0 || !is_first || steps.iter().any(by_text), "{told}");
                }
            }
        }
        tx.rollback().await.expect("ends");
    })
    .await;
}

async fn found(tenant: &Tenant, request: ListLinksRequest) -> Vec<String> {
    let (mut codes, mut request) = (Vec::new(), request);
    loop {
        let page = tenant.links.clone().list_links(request.clone()).await.expect("a page").into_inner();
        codes.extend(page.links.into_iter().map(|link| link.short_code));
        if page.next_page_token.is_empty() {
            return codes;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn what_is_searched_and_tagged_follows_the_links() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let search = async |text: &str| {
            found(&tenant, ListLinksRequest { search: text.into(), ..ListLinksRequest::default() }).await
        };
        let tagged = async |tag: &str| {
            let filter = LinkFilter { tags: vec![tag.into()], ..LinkFilter::default() };
            found(&tenant, ListLinksRequest { filter: Some(filter), ..ListLinksRequest::default() }).await
        };
        let made = tenant
            .create(Link {
                title: "Straße \"quoted\" 100%".into(),
                tags: vec!["a".into(), "b".into()],
                ..coded("one")
            })
            .await;
        app.clock.advance(chrono::Duration::seconds(1));
        tenant
            .create(Link { description: "two\nlines".into(), tags: vec!["b".into()], ..coded("two") })
            .await;
        for (text, expected) in [
            ("stra", &["one"][..]),
            ("STRASS", &[]),
            ("\"quoted\"", &["one"]),
            ("100%", &["one"]),
            ("0%", &["one"]),
            ("10_", &[]),
            ("lines", &["two"]),
            ("example.com/page", &["two", "one"]),
            ("one", &["one"]),
            // Where one text ends no other begins.
            ("onestra", &[]),
            ("AND", &[]),
            ("* OR *", &[]),
        ] {
            assert_eq!(search(text).await, expected, "{text:?}");
        }
        assert_eq!(
            (tagged("a").await, tagged("b").await),
            (vec!["one".into()], vec!["two".into(), "one".into()])
        );

        let changed =
            Link { id: made.id.clone(), title: "Allee".into(), tags: vec!["c".into()], ..Link::default() };
        tenant.update(changed, &["title", "tags"]).await;
        assert_eq!((search("stra").await, search("allee").await), (vec![], vec!["one".to_owned()]));
        assert_eq!(
            (tagged("a").await, tagged("b").await, tagged("c").await),
            (vec![], vec!["two".into()], vec!["one".into()])
        );
        tenant.alias(&made.id, "further").await.expect("adds");
        assert!(search("further").await.is_empty(), "the row of an alias is no link");
        tenant.delete(&made.id).await;
        assert!(search("allee").await.is_empty() && tagged("c").await.is_empty());
    })
    .await;
}

/// Those that were clicked and those that never were, over pages that end between the two and among either.
#[tokio::test]
async fn the_most_clicked_are_followed_by_those_that_nobody_clicked() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        for number in 0..6 {
            app.clock.advance(chrono::Duration::seconds(1));
            tenant.create(coded(format!("link{number}"))).await;
        }
        for (code, visits) in [("link1", 1), ("link2", 3), ("link4", 2)] {
            for _ in 0..visits {
                let agent = [("user-agent", crate::support::DESKTOP)];
                crate::support::get(app.links(), &format!("/{code}"), &agent).await;
            }
        }
        app.settled().await;
        for page_size in [1, 2, 3, 4, 6, 50] {
            let request = ListLinksRequest {
                page_size,
                order: Order::ClickCountDesc.into(),
                ..ListLinksRequest::default()
            };
            let expected = ["link2", "link4", "link1", "link5", "link3", "link0"];
            assert_eq!(found(&tenant, request).await, expected, "{page_size} a page");
        }
    })
    .await;
}
