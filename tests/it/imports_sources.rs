//! Every tool's own files, read as they come from it (`fixtures/import/README.md`).

use std::{collections::BTreeMap, fs};

use chrono::DateTime;
use linkforty::pb::v1::{
    ExportFormat, ImportOutcome, ImportRow, ImportSource, Link, LinkOrder, ListLinksRequest, Og, Platform,
    StartImportRequest, Utm,
};

use crate::{
    imports::{export, import, start_with},
    support::{App, Store, Tenant, coded, on_every_store, variable},
};

/// A link as it should be.
struct Expected {
    code: &'static str,
    destination: &'static str,
    title: &'static str,
    tags: &'static [&'static str],
    made: &'static str,
}

const fn link(
    code: &'static str,
    destination: &'static str,
    title: &'static str,
    tags: &'static [&'static str],
    made: &'static str,
) -> Expected {
    Expected { code, destination, title, tags, made }
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/it/fixtures/import/{name}", env!("CARGO_MANIFEST_DIR"))).expect("is there")
}

/// Imports a file and returns what became of its rows, and the links by their codes.
async fn imported(
    tenant: &Tenant,
    source: ImportSource,
    file: &[u8],
    map: &[(&str, &str)],
) -> (Vec<ImportRow>, BTreeMap<String, Link>) {
    let column_map = map.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
    let terms = StartImportRequest { source: source.into(), column_map, ..StartImportRequest::default() };
    let started = start_with(tenant, terms).await.expect("starts");
    let (_, rows) = import(tenant, &started.id, file).await.expect("imports");
    let request = ListLinksRequest {
        page_size: 1000,
        order: LinkOrder::CreateTimeAsc.into(),
        ..ListLinksRequest::default()
    };
    let listed = tenant.links.clone().list_links(request).await.expect("lists").into_inner().links;
    (rows, listed.into_iter().map(|link| (link.short_code.clone(), link)).collect())
}

/// Checks that a file makes these links and no others, and empties the workspace.
async fn check(
    tenant: &Tenant,
    source: ImportSource,
    name: &str,
    map: &[(&str, &str)],
    expected: &[Expected],
) -> BTreeMap<String, Link> {
    let (rows, links) = imported(tenant, source, &fixture(name), map).await;
    for row in &rows {
        let outcome = row.outcome();
        assert!(matches!(outcome, ImportOutcome::Created | ImportOutcome::Wrong), "{name}: {row:?}");
        assert_eq!(outcome == ImportOutcome::Wrong, row.error.is_some(), "{name}: {row:?}");
    }
    assert_eq!(links.len(), expected.len(), "{name}: {rows:?}");
    for Expected { code, destination, title, tags, made } in expected {
        let link = links.get(*code).unwrap_or_else(|| panic!("{name}: no {code}"));
        assert_eq!(link.destination_url, *destination, "{name} {code}");
        assert_eq!(link.title, *title, "{name} {code}");
        assert_eq!(link.tags, *tags, "{name} {code}");
        let made_then = link.create_time.expect("always there").seconds;
        let expected = DateTime::parse_from_rfc3339(made).expect("a moment").timestamp();
        assert_eq!(made_then, expected, "{name} {code}");
    }
    for link in links.values() {
        tenant.delete(&link.id).await;
    }
    links
}

#[tokio::test]
async fn bitly_links_keep_their_codes_titles_tags_and_moments() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let spring = "https://example.com/spring?utm_source=mail";
        let expected = [
            link("3xYzAbc", spring, "Spring, \"the sale\"", &["spring", "sale 24"], "2024-03-01T12:00:00Z"),
            // The back-half that somebody chose is the one in print.
            link("menu", "https://example.com/menu", "", &[], "2024-02-29T08:30:15Z"),
            link(
                "3cccDDD",
                "https://example.com/wein%20%26%20brot",
                "Wein & Brot {neu} [2023]",
                &["brot"],
                "2023-12-24T18:00:00Z",
            ),
            link("3eeeFFF", "https://example.com/gone", "", &[], "2023-12-23T18:00:00Z"),
        ];
        let links = check(&tenant, ImportSource::Bitly, "bitly.json", &[], &expected).await;
        assert!(links["menu"].active(), "archived links of Bitly lead on");
        assert!(!links["3eeeFFF"].active(), "deleted ones do not");
    })
    .await;
}

#[tokio::test]
async fn dub_links_keep_their_codes_titles_tags_and_moments() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let launch =
            |title, tags| link("launch", "https://example.com/launch", title, tags, "2024-05-06T07:08:09Z");
        let docs = "https://example.com/docs?ref=dub,2";
        let handbook = || link("handbook", docs, "", &[], "2023-11-30T23:59:59Z");
        for name in ["dub.csv", "dub-ids.csv"] {
            check(&tenant, ImportSource::Dub, name, &[], &[launch("", &["launch", "eu"]), handbook()]).await;
        }
        let lists = [launch("Launch, \"week 1\"", &["launch", "eu, all"]), handbook()];
        let links = check(&tenant, ImportSource::Dub, "dub-lists.csv", &[], &lists).await;
        assert!(links["handbook"].active(), "archived links of Dub lead on");

        // The other one has a password that must not be lost unseen.
        let expected = [link(
            "try",
            "https://example.com/try?utm_source=x",
            "Try it",
            &["trial"],
            "2024-06-01T00:00:00Z",
        )];
        let links = check(&tenant, ImportSource::Dub, "dub.json", &[], &expected).await;
        assert_eq!(links["try"].description, "All of it");
        assert_eq!(links["try"].ios_url, "https://apps.apple.com/app/id1");
        assert_eq!(links["try"].expire_time.expect("set").seconds, 1_925_089_445);
    })
    .await;
}

#[tokio::test]
async fn shlink_links_keep_their_codes_titles_tags_and_moments() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let konzert = "https://example.com/konzert";
        let expected = [
            link("konzert", konzert, "Konzert \"im\" Mai", &["musik", "mai"], "2024-01-15T08:30:00Z"),
            link("x7Kp2", "https://example.com/?q=a,b", "", &[], "2022-07-31T22:00:00Z"),
        ];
        check(&tenant, ImportSource::Shlink, "shlink.csv", &[], &expected).await;
        let links = check(&tenant, ImportSource::Shlink, "shlink.json", &[], &expected).await;
        let konzert = &links["konzert"];
        assert_eq!((konzert.max_clicks, konzert.forward_query), (5000, Some(false)));
        assert_eq!(konzert.start_time.expect("set").seconds, 1_705_359_600);
        assert_eq!(konzert.expire_time.expect("set").seconds, 2_032_725_599);
        assert_eq!(links["x7Kp2"].start_time, None);
    })
    .await;
}

#[tokio::test]
async fn kutt_links_keep_their_codes_and_moments_and_banned_ones_lead_nowhere() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let expected = [
            link("recipes", "https://example.com/recipes", "", &[], "2024-04-04T04:04:04Z"),
            link("closed", "https://example.com/closed", "", &[], "2024-04-03T10:20:30Z"),
        ];
        let links = check(&tenant, ImportSource::Kutt, "kutt.json", &[], &expected).await;
        assert_eq!(links["recipes"].description, "Recipes of the week");
        assert_eq!(links["recipes"].expire_time.expect("set").seconds, 1_959_393_906);
        assert!(links["recipes"].active() && !links["closed"].active());
        let soup = [link("soup", "https://example.com/soup", "", &[], "2021-04-03T10:20:30Z")];
        check(&tenant, ImportSource::Kutt, "kutt-2.json", &[], &soup).await;
    })
    .await;
}

#[tokio::test]
async fn yourls_links_keep_their_codes_titles_and_moments() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let expected = [
            link("ozh", "https://example.com/ozh", "Ozh's \"page\"", &[], "2012-08-15T14:31:02Z"),
            link("2b", "https://example.com/2b?x=1&y=2", "", &[], "2023-03-26T02:30:00Z"),
        ];
        check(&tenant, ImportSource::Yourls, "yourls.csv", &[], &expected).await;
        check(&tenant, ImportSource::Yourls, "yourls.json", &[], &expected).await;
        let (_, links) = imported(&tenant, ImportSource::Yourls, &fixture("yourls-plugin.csv"), &[]).await;
        assert_eq!(links["ozh"].destination_url, "https://example.com/ozh");
        assert_eq!(links["2b"].destination_url, "https://example.com/2b,or%20not");
    })
    .await;
}

#[tokio::test]
async fn what_linkforty_wrote_it_can_read_for_ever() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    let files = [(ExportFormat::Csv, "linkforty.csv"), (ExportFormat::Ndjson, "linkforty.ndjson")];
    if variable("UPDATE_SNAPSHOT").as_deref() == Some("1") {
        let spring = Link {
            title: "Spring, \"the sale\"".into(),
            description: "First line\nsecond line".into(),
            tags: vec!["spring".into(), "eu, all".into()],
            utm: Some(Utm { source: "mail".into(), campaign: "spring".into(), ..Utm::default() }),
            og: Some(Og { title: "Shoes".into(), ..Og::default() }),
            deep_link_parameters: [("sku".to_owned(), "=7".to_owned())].into(),
            max_clicks: 500,
            ..coded("golden")
        };
        let made = [tenant.create(spring).await, tenant.create(coded("plain")).await];
        for (format, name) in files {
            let path = format!("{}/tests/it/fixtures/import/{name}", env!("CARGO_MANIFEST_DIR"));
            fs::write(path, export(&tenant, format).await).expect("writes");
        }
        for link in made {
            tenant.delete(&link.id).await;
        }
    }
    let destination = coded("").destination_url;
    let destination: &'static str = Box::leak(destination.into_boxed_str());
    let noon = "2026-11-22T12:00:00Z";
    let expected = [
        link("golden", destination, "Spring, \"the sale\"", &["spring", "eu, all"], noon),
        link("plain", destination, "", &[], noon),
    ];
    for (_, name) in files {
        let links = check(&tenant, ImportSource::Linkforty, name, &[], &expected).await;
        let golden = &links["golden"];
        assert_eq!(golden.description, "First line\nsecond line", "{name}");
        assert_eq!(golden.utm.as_ref().expect("set").campaign, "spring", "{name}");
        assert_eq!(golden.og.as_ref().expect("set").title, "Shoes", "{name}");
        assert_eq!(golden.deep_link_parameters["sku"], "=7", "{name}");
        assert_eq!(golden.max_clicks, 500, "{name}");
    }
    // What is written today has the same columns, and perhaps more.
    let today = export(&tenant, ExportFormat::Csv).await;
    let columns = |file: &str| -> Vec<String> {
        let mut reader = csv::Reader::from_reader(file.as_bytes());
        reader.headers().expect("a header").iter().map(str::to_owned).collect()
    };
    let (today, then) =
        (columns(&today), columns(&String::from_utf8(fixture("linkforty.csv")).expect("text")));
    assert!(then.iter().all(|column| today.contains(column)), "{then:?} and now {today:?}");
    app.stop().await;
}

#[tokio::test]
async fn links_of_linkforty_core_keep_all_that_has_a_place_here() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let shoes = "https://example.com/shoes?a=b";
        let expected = [
            link("aB3xYz9Q", shoes, "Shoes, \"red\"", &[], "2025-03-04T05:06:07Z"),
            link("off", "https://example.com/off", "", &[], "2025-02-03T00:00:00Z"),
        ];
        let links = check(&tenant, ImportSource::Linkforty, "linkforty-core.json", &[], &expected).await;
        let shoes = &links["aB3xYz9Q"];
        assert_eq!(
            (&*shoes.ios_url, &*shoes.web_url, &*shoes.app_scheme, &*shoes.deep_link_path),
            ("https://apps.apple.com/app/id1", "https://example.com/web", "shop", "/product/42")
        );
        assert!(shoes.android_url.ends_with("?id=com.example"), "{}", shoes.android_url);
        let utm = shoes.utm.clone().expect("set");
        assert_eq!((&*utm.source, &*utm.medium, &*utm.campaign), ("mail", "letter", "spring"));
        let targeting = shoes.targeting.clone().expect("set");
        assert_eq!(
            (targeting.countries, targeting.languages),
            (vec!["DE".into(), "CH".into()], vec!["de".into()])
        );
        assert_eq!(targeting.platforms, [i32::from(Platform::Ios), i32::from(Platform::Web)]);
        let og = shoes.og.clone().expect("set");
        assert_eq!((&*og.title, &*og.image_url), ("Shoes for you", "https://example.com/shoes.png"));
        assert_eq!((&*shoes.deep_link_parameters["sku"], &*shoes.deep_link_parameters["n"]), ("42", "7"));
        assert_eq!(shoes.attribution_window.expect("set").seconds, 86_400);
        assert_eq!(shoes.expire_time.expect("set").seconds, 1_925_089_445);
        assert!(shoes.append_click_id && shoes.active() && shoes.template_id.is_empty());
        let off = &links["off"];
        assert_eq!((off.active(), &*off.disable_reason), (false, "phishing"));
        assert_eq!(off.disable_time.expect("set").seconds, 1_748_736_000);
    })
    .await;
}

#[tokio::test]
async fn a_csv_of_anybody_is_read_by_a_map_of_its_columns() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let map = [
            ("Lang", "destination_url"),
            ("Kurz", "short_url"),
            ("Wann", "create_time"),
            ("Stichworte", "tags"),
            ("Quelle", "utm.source"),
        ];
        let expected = [
            link("eins", "https://example.com/eins", "", &["a", "b"], "2024-07-01T00:00:00Z"),
            link("zwei", "https://example.com/zwei;2", "", &[], "2024-07-02T10:00:00Z"),
        ];
        let links = check(&tenant, ImportSource::Csv, "any.csv", &map, &expected).await;
        assert_eq!(links["eins"].utm.clone().expect("set").source, "mail");
    })
    .await;
}
