//! Files of links: in by parts of any length, out again as they were.

use std::collections::{BTreeMap, BTreeSet};

use linkforty::{
    links,
    pb::v1::{
        ExportFormat, ExportImportErrorsRequest, ExportLinksRequest, GetImportRequest, Import,
        ImportChunkRequest, ImportChunkResponse, ImportExisting, ImportLinksRequest, ImportOutcome,
        ImportRow, ImportSource, ImportState, Link, LinkFilter, ListLinksRequest, Og, RoutingRule,
        StartImportRequest, Targeting, Utm, routing_rule,
    },
};
use prost_types::Timestamp;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::support::{App, Store, Tenant, call_web, coded, link, on_every_store, reason, request_id};

/// Starts an import.
pub async fn start(tenant: &Tenant, source: ImportSource) -> Import {
    let terms = StartImportRequest { source: source.into(), ..StartImportRequest::default() };
    start_with(tenant, terms).await.expect("starts")
}

/// Starts an import of one's own terms.
pub async fn start_with(tenant: &Tenant, terms: StartImportRequest) -> Result<Import, Status> {
    let terms = StartImportRequest { workspace_id: tenant.id.clone(), ..terms };
    Ok(tenant.links.clone().start_import(terms).await?.into_inner().import.expect("always there"))
}

async fn chunk(
    tenant: &Tenant,
    id: &str,
    offset: usize,
    data: &[u8],
    last: bool,
) -> Result<ImportChunkResponse, Status> {
    let request = ImportChunkRequest {
        workspace_id: tenant.id.clone(),
        import_id: id.to_owned(),
        offset: offset as i64,
        data: data.to_vec().into(),
        last,
    };
    Ok(tenant.links.clone().import_chunk(request).await?.into_inner())
}

/// Imports a whole file by single calls.
pub async fn import(tenant: &Tenant, id: &str, file: &[u8]) -> Result<(Import, Vec<ImportRow>), Status> {
    import_by(tenant, id, file, 512 * 1024).await
}

async fn import_by(
    tenant: &Tenant,
    id: &str,
    file: &[u8],
    part: usize,
) -> Result<(Import, Vec<ImportRow>), Status> {
    let (mut rows, mut at, mut length) = (Vec::new(), 0, part);
    loop {
        let end = (at + length).min(file.len());
        let answer = chunk(tenant, id, at, &file[at..end], end == file.len()).await?;
        let import = answer.import.expect("always there");
        rows.extend(answer.rows);
        let next = import.next_offset as usize;
        // A row that is longer than the part needs more of it.
        length = if next == at { length + part } else { part };
        at = next;
        if import.state() == ImportState::Done {
            return Ok((import, rows));
        }
    }
}

fn outcomes(rows: &[ImportRow]) -> Vec<(i64, ImportOutcome, &str)> {
    rows.iter().map(|row| (row.row, row.outcome(), &*row.short_code)).collect()
}

async fn all(tenant: &Tenant) -> BTreeMap<String, Link> {
    let mut request =
        ListLinksRequest { workspace_id: tenant.id.clone(), page_size: 1000, ..ListLinksRequest::default() };
    let mut links = BTreeMap::new();
    loop {
        let page = tenant.links.clone().list_links(request.clone()).await.expect("lists").into_inner();
        links.extend(page.links.into_iter().map(|link| (link.short_code.clone(), link)));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return links;
        }
    }
}

async fn errors_of(tenant: &Tenant, id: &str) -> String {
    let request = ExportImportErrorsRequest { workspace_id: tenant.id.clone(), import_id: id.to_owned() };
    let mut parts = tenant.links.clone().export_import_errors(request).await.expect("begins").into_inner();
    let mut text = Vec::new();
    while let Some(part) = parts.message().await.expect("a part") {
        text.extend_from_slice(&part.data);
    }
    String::from_utf8(text).expect("UTF-8")
}

/// Returns the whole file of an export.
pub async fn export(tenant: &Tenant, format: ExportFormat) -> String {
    let request = ExportLinksRequest {
        workspace_id: tenant.id.clone(),
        format: format.into(),
        ..ExportLinksRequest::default()
    };
    let mut parts = tenant.links.clone().export_links(request).await.expect("begins").into_inner();
    let mut text = Vec::new();
    while let Some(part) = parts.message().await.expect("a part") {
        text.extend_from_slice(&part.data);
    }
    String::from_utf8(text).expect("UTF-8")
}

use ImportOutcome::{Changed, Conflict, Created, Same, Wrong};

const FILE: &str = "\
short_code,destination_url,description,create_time
one,https://example.com/1,\"First,
with a \"\"line\"\" break\",2020-01-01T00:00:00Z
two,https://example.com/2,,
one,https://example.com/1,\"First,
with a \"\"line\"\" break\",2020-01-01T00:00:00Z
one,https://example.com/other,First,
,https://example.com/3,Third,2021-06-01
-x,nonsense,,tomorrow
";

#[tokio::test]
async fn a_file_is_imported_the_same_wherever_it_is_cut() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        for part in [1000, 40, 7, 1] {
            let started = start(&tenant, ImportSource::Csv).await;
            let (done, rows) = import_by(&tenant, &started.id, FILE.as_bytes(), part).await.expect("imports");
            let made = rows[4].short_code.clone();
            let expected = [
                (1, Created, "one"),
                (2, Created, "two"),
                (3, Same, "one"),
                (4, Conflict, "one"),
                (5, Created, &*made),
                (6, Wrong, ""),
            ];
            assert_eq!(outcomes(&rows), expected, "{part}");
            let counts = done.counts.expect("always there");
            assert_eq!((counts.rows, counts.created, counts.changed), (6, 3, 0));
            assert_eq!((counts.same, counts.conflicts, counts.wrong), (1, 1, 1));
            assert_eq!(done.next_offset as usize, FILE.len());
            assert_eq!(rows[3].changed_fields, ["description", "destination_url"]);
            assert_eq!(
                rows[3].error.as_ref().expect("says why").reason().as_str_name(),
                "ERROR_REASON_SHORT_CODE_TAKEN"
            );
            let wrong = rows[5].error.as_ref().expect("says why");
            let fields: Vec<_> = wrong.violations.iter().map(|wrong| &*wrong.field).collect();
            assert_eq!(fields, ["create_time"], "what cannot be read is said first");

            let links = all(&tenant).await;
            assert_eq!(links.len(), 3, "{part}");
            assert_eq!(links["one"].description, "First,\nwith a \"line\" break");
            assert_eq!(links["one"].create_time.expect("set").seconds, 1_577_836_800);
            assert_eq!(links["two"].create_time.expect("set").seconds, app.env().now().timestamp());
            assert_eq!(links["one"].id, rows[0].link_id);
            for link in links.values() {
                tenant.delete(&link.id).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn imported_links_lead_on_at_once_also_those_that_were_asked_for_before() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        assert_eq!(app.visit("/spring").await.status, 404);
        let started = start(&tenant, ImportSource::Csv).await;
        let file = b"short_code,destination_url\nspring,https://example.com/spring\n";
        import(&tenant, &started.id, file).await.expect("imports");
        assert_eq!(app.visit("/spring").await.header("location"), "https://example.com/spring");
        // A second file changes it, and that is known at once too.
        let terms = StartImportRequest {
            source: ImportSource::Csv.into(),
            existing: ImportExisting::Update.into(),
            ..StartImportRequest::default()
        };
        let started = start_with(&tenant, terms).await.expect("starts");
        let file = b"short_code,destination_url\nspring,https://example.com/summer\n";
        let (_, rows) = import(&tenant, &started.id, file).await.expect("imports");
        assert_eq!(outcomes(&rows), [(1, Changed, "spring")]);
        assert_eq!(app.visit("/spring").await.header("location"), "https://example.com/summer");
    })
    .await;
}

const MIXED: &str = "\
short_code,destination_url,tags
there,https://example.com/there,
there,https://example.com/new,a
there,https://example.com/newer,a
fresh,https://example.com/fresh,b
fresh,https://example.com/fresher,b
fresh,https://example.com/fresher,b
theirs,https://example.com/theirs,
,https://example.com/any,
,nowhere,
";

#[tokio::test]
async fn a_dry_run_says_what_a_real_one_does_and_stores_nothing() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let other = app.another_tenant().await;
        other.create(coded("theirs")).await;
        let there = tenant.create(link("there", "https://example.com/there")).await;
        for existing in [ImportExisting::Keep, ImportExisting::Update] {
            let terms = |validate_only| StartImportRequest {
                source: ImportSource::Csv.into(),
                existing: existing.into(),
                validate_only,
                ..StartImportRequest::default()
            };
            let before = all(&tenant).await;
            let mut told: Vec<Vec<ImportRow>> = Vec::new();
            // Also when each row comes in a step of its own.
            for part in [10_000, 1] {
                let dry = start_with(&tenant, terms(true)).await.expect("starts");
                let (done, rows) =
                    import_by(&tenant, &dry.id, MIXED.as_bytes(), part).await.expect("imports");
                assert!(done.validate_only);
                told.push(rows);
            }
            assert_eq!(told[0], told[1], "{existing:?}");
            assert_eq!(all(&tenant).await, before);
            let real = start_with(&tenant, terms(false)).await.expect("starts");
            let (_, rows) = import(&tenant, &real.id, MIXED.as_bytes()).await.expect("imports");
            let same = |rows: &[ImportRow]| {
                let row = |row: &ImportRow| (row.row, row.outcome(), row.changed_fields.clone());
                rows.iter().map(row).collect::<Vec<_>>()
            };
            assert_eq!(same(&told[0]), same(&rows), "{existing:?}");
            assert!(told[0][3].link_id.is_empty() && told[0][7].short_code.is_empty());
            let found: Vec<_> = rows.iter().map(ImportRow::outcome).collect();
            if existing == ImportExisting::Keep {
                let expected =
                    [Same, Conflict, Conflict, Created, Conflict, Conflict, Conflict, Created, Wrong];
                assert_eq!(found, expected);
                assert_eq!(all(&tenant).await["there"].destination_url, "https://example.com/there");
                for (_, link) in all(&tenant).await {
                    if link.id != there.id {
                        tenant.delete(&link.id).await;
                    }
                }
            } else {
                let expected = [Same, Changed, Changed, Created, Changed, Same, Conflict, Created, Wrong];
                assert_eq!(found, expected);
                let links = all(&tenant).await;
                assert_eq!(links["there"].destination_url, "https://example.com/newer");
                assert_eq!(links["fresh"].destination_url, "https://example.com/fresher");
                assert_eq!(links["there"].id, there.id);
                assert_ne!(links["there"].etag, there.etag);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_imported_twice_changes_nothing_the_second_time() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let file = b"short_code,destination_url\na,https://example.com/a\nb,https://example.com/b\n";
        for expected in [Created, Same] {
            let started = start(&tenant, ImportSource::Csv).await;
            let (_, rows) = import(&tenant, &started.id, file).await.expect("imports");
            assert_eq!(outcomes(&rows), [(1, expected, "a"), (2, expected, "b")]);
        }
    })
    .await;
}

#[tokio::test]
async fn rows_that_were_not_imported_can_be_mended_and_imported_again() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let file = "url;short_code;note\nhttps://example.com/a;a;=1+1\nnowhere;b;\"x;y\"\n;c;\n";
        let started = start(&tenant, ImportSource::Csv).await;
        import(&tenant, &started.id, file.as_bytes()).await.expect("imports");
        let errors = errors_of(&tenant, &started.id).await;
        let lines: Vec<&str> = errors.lines().collect();
        assert_eq!(lines[0], "url,short_code,note,import_row,import_error");
        assert!(lines[1].starts_with("nowhere,b,x;y,2,"), "{errors}");
        assert!(lines[1].contains("destination_url: "), "{errors}");
        assert!(lines[2].starts_with(",c,,3,"), "{errors}");
        assert_eq!(lines.len(), 3);
        let mended = errors.replace("nowhere", "https://example.com/b");
        let again = start(&tenant, ImportSource::Csv).await;
        let (_, rows) = import(&tenant, &again.id, mended.as_bytes()).await.expect("imports");
        assert_eq!(outcomes(&rows), [(1, Created, "b"), (2, Wrong, "c")]);
        // Of another form there is one column with the record.
        let json = br#"{"links":[{"link":"https://bit.ly/x","long_url":"nowhere"}]}"#;
        let started = start(&tenant, ImportSource::Bitly).await;
        import(&tenant, &started.id, json).await.expect("imports");
        let errors = errors_of(&tenant, &started.id).await;
        assert!(errors.starts_with("record,import_row,import_error\r\n\"{\"\"link\"\""), "{errors}");
        // And none of an import without any.
        let clean = start(&tenant, ImportSource::Csv).await;
        assert_eq!(errors_of(&tenant, &clean.id).await, "import_row,import_error\r\n");
    })
    .await;
}

#[tokio::test]
async fn a_part_that_comes_again_does_no_harm_and_a_gap_is_refused() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let file = b"short_code,destination_url\na,https://example.com/a\nb,https://example.com/b\n";
        let id = start(&tenant, ImportSource::Csv).await.id;
        let first = chunk(&tenant, &id, 0, &file[..60], false).await.expect("imports");
        let at = first.import.expect("there").next_offset as usize;
        assert_eq!((at, first.rows.len()), (51, 1));
        let again = chunk(&tenant, &id, 0, &file[..51], false).await.expect("is passed over");
        assert_eq!((again.rows.len(), again.import.expect("there").next_offset), (0, 51));
        let gap = chunk(&tenant, &id, 52, &file[52..], true).await.expect_err("a byte is missing");
        assert_eq!(reason(&gap), "IMPORT_OFFSET_MISMATCH");
        let info = gap.get_details_error_info().expect("always there");
        assert_eq!(info.metadata["next_offset"], "51");
        // From the beginning, which is known, to the end.
        let rest = chunk(&tenant, &id, 0, file, true).await.expect("imports");
        assert_eq!(outcomes(&rest.rows), [(2, Created, "b")]);
        assert_eq!(rest.import.expect("there").state(), ImportState::Done);
        let again = chunk(&tenant, &id, 0, file, true).await.expect("is done with");
        assert_eq!(again.rows.len(), 0);
        let more = chunk(&tenant, &id, file.len(), b"c", true).await.expect_err("it has its end");
        assert_eq!(reason(&more), "IMPORT_DONE");
        assert_eq!(all(&tenant).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn two_who_import_one_file_at_once_import_each_row_once() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let mut file = String::from("destination_url\n");
        for row in 0..3000 {
            file.push_str(&format!("https://example.com/{row}\n"));
        }
        let id = start(&tenant, ImportSource::Csv).await.id;
        // Neither knows of the other; who comes too late hears where to go on.
        let both = (0..2).map(|_| async {
            let (mut rows, mut at) = (0, 0);
            loop {
                match chunk(&tenant, &id, at, &file.as_bytes()[at..], true).await {
                    Ok(answer) => {
                        rows += answer.rows.len();
                        let import = answer.import.expect("there");
                        at = import.next_offset as usize;
                        if import.state() == ImportState::Done {
                            return rows;
                        }
                    }
                    Err(status) => {
                        assert!(
                            ["IMPORT_OFFSET_MISMATCH", "IMPORT_DONE"].contains(&&*reason(&status)),
                            "{status:?}"
                        );
                        let request =
                            GetImportRequest { workspace_id: tenant.id.clone(), import_id: id.clone() };
                        let found = tenant.links.clone().get_import(request).await.expect("is there");
                        let import = found.into_inner().import.expect("there");
                        at = import.next_offset as usize;
                        if import.state() == ImportState::Done {
                            return rows;
                        }
                    }
                }
            }
        });
        let rows: usize = futures::future::join_all(both).await.into_iter().sum();
        // What one of them stored and was not told of, because its call failed later, is stored all the same.
        assert!(rows <= 3000, "{rows}");
        let links = all(&tenant).await;
        assert_eq!(links.len(), 3000);
        let destinations: BTreeSet<_> = links.values().map(|link| &link.destination_url).collect();
        assert_eq!(destinations.len(), 3000);
    })
    .await;
}

#[tokio::test]
async fn a_stream_tells_of_each_transaction_and_another_goes_on_where_it_broke_off() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let mut file = String::from("short_code,destination_url\n");
        for row in 0..2500 {
            file.push_str(&format!("code-{row},https://example.com/{row}\n"));
        }
        let id = start(&tenant, ImportSource::Csv).await.id;
        let part = |from: usize, to: usize| ImportLinksRequest {
            workspace_id: tenant.id.clone(),
            import_id: id.clone(),
            offset: from as i64,
            data: file.as_bytes()[from..to].to_vec().into(),
            last: to == file.len(),
        };
        // The first two thirds, in parts that cut rows; then nothing more comes.
        let cut = file.len() * 2 / 3;
        let parts: Vec<_> =
            (0..cut).step_by(10_000).map(|from| part(from, (from + 10_000).min(cut))).collect();
        let mut answers =
            tenant.links.clone().import_links(tokio_stream::iter(parts)).await.expect("begins").into_inner();
        let (mut told, mut import) = (0, None);
        while let Some(answer) = answers.message().await.expect("an answer") {
            told += answer.rows.len();
            let now = answer.import.expect("there");
            assert_eq!(now.counts.expect("there").rows as usize, told, "it tells of what is stored");
            import = Some(now);
        }
        let import = import.expect("some answer");
        assert_eq!(import.state(), ImportState::Open);
        assert!(told > 1000 && told < 2500, "{told}");
        assert_eq!(all(&tenant).await.len(), told);

        let at = import.next_offset as usize;
        let rest = tokio_stream::once(part(at, file.len()));
        let mut answers = tenant.links.clone().import_links(rest).await.expect("begins").into_inner();
        let mut last = None;
        while let Some(answer) = answers.message().await.expect("an answer") {
            told += answer.rows.len();
            last = answer.import;
        }
        let last = last.expect("some answer");
        assert_eq!((last.state(), told), (ImportState::Done, 2500));
        assert_eq!(last.counts.expect("there").created, 2500);
        assert_eq!(all(&tenant).await.len(), 2500);

        let gap = ImportLinksRequest { offset: 5, ..part(0, 3) };
        let id = start(&tenant, ImportSource::Csv).await.id;
        let gap = ImportLinksRequest { import_id: id, ..gap };
        let refused = tenant.links.clone().import_links(tokio_stream::once(gap)).await;
        let refused = match refused {
            Ok(answers) => answers.into_inner().message().await.expect_err("a gap"),
            Err(status) => status,
        };
        assert_eq!(reason(&refused), "IMPORT_OFFSET_MISMATCH");
    })
    .await;
}

#[tokio::test]
async fn a_browser_imports_too() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    let id = start(&tenant, ImportSource::Csv).await.id;
    let request = ImportChunkRequest {
        import_id: id,
        data: b"short_code,destination_url\nweb,https://example.com/web".as_slice().into(),
        last: true,
        ..ImportChunkRequest::default()
    };
    let bearer = format!("Bearer {}", tenant.key);
    let headers = [("authorization", &*bearer)];
    let path = "/linkforty.v1.LinkService/ImportChunk";
    let (answer, _) = call_web::<ImportChunkResponse>(app.api(), path, &request, &headers).await;
    assert_eq!(outcomes(&answer.expect("imports").rows), [(1, Created, "web")]);
    app.stop().await;
}

#[tokio::test]
async fn an_import_is_started_once_for_a_request_id_and_says_all_that_is_wrong() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let terms = StartImportRequest {
            source: ImportSource::Dub.into(),
            file_name: "links.csv".into(),
            file_digest: "sha256:abc".into(),
            file_size: 12,
            request_id: request_id(),
            ..StartImportRequest::default()
        };
        let first = start_with(&tenant, terms.clone()).await.expect("starts");
        assert_eq!(start_with(&tenant, terms.clone()).await.expect("is the same"), first);
        assert_eq!(
            (&*first.file_name, &*first.file_digest, first.file_size),
            ("links.csv", "sha256:abc", 12)
        );
        assert_eq!((first.existing(), first.state()), (ImportExisting::Keep, ImportState::Open));
        let other = StartImportRequest { source: ImportSource::Kutt.into(), ..terms };
        let refused = start_with(&tenant, other).await.expect_err("another one");
        assert_eq!(reason(&refused), "IDEMPOTENCY_KEY_REUSED");
        let refused = start_with(
            &tenant,
            StartImportRequest {
                source: 99,
                existing: 99,
                column_map: [("a".to_owned(), "password".to_owned())].into(),
                file_name: "\n".into(),
                file_size: -1,
                request_id: "x".into(),
                ..StartImportRequest::default()
            },
        )
        .await
        .expect_err("all of it is wrong");
        let wrong = refused.get_details_bad_request().expect("says what");
        let fields: BTreeSet<_> = wrong.field_violations.iter().map(|wrong| &*wrong.field).collect();
        let expected =
            ["column_map", "column_map[\"a\"]", "existing", "file_name", "file_size", "request_id", "source"];
        assert_eq!(fields, expected.into());
        let too_large = chunk(&tenant, &first.id, -1_i64 as usize, &vec![b'x'; 786_433], false).await;
        let too_large = too_large.expect_err("too large").get_details_bad_request().expect("says what");
        assert_eq!(too_large.field_violations.len(), 2);
        let binary = chunk(&tenant, &first.id, 0, b"[1,", true).await.expect_err("no file of links");
        assert_eq!(reason(&binary), "INVALID_FIELDS");
    })
    .await;
}

#[tokio::test]
async fn imports_are_forgotten_a_week_after_they_last_got_on_and_their_links_stay() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let file = b"short_code,destination_url\na,https://example.com/a\nb,nowhere\n";
        let id = start(&tenant, ImportSource::Csv).await.id;
        import(&tenant, &id, file).await.expect("imports");
        let get = async || {
            let request = GetImportRequest { workspace_id: tenant.id.clone(), import_id: id.clone() };
            tenant.links.clone().get_import(request).await
        };
        app.clock.advance(chrono::Duration::days(6));
        assert_eq!(links::sweep_imports(app.env()).await.expect("sweeps"), 0);
        get().await.expect("is there");
        app.clock.advance(chrono::Duration::days(2));
        assert_eq!(links::sweep_imports(app.env()).await.expect("sweeps"), 1);
        assert_eq!(reason(&get().await.expect_err("is gone")), "NOT_FOUND");
        assert_eq!(all(&tenant).await.len(), 1);
    })
    .await;
}

/// Links with something of everything, and with what spreadsheets and parsers stumble over.
fn everything(now: i64) -> Vec<Link> {
    let nasty = [
        "=HYPERLINK(\"http://evil.example\")",
        "+1",
        "-1",
        "@x",
        "'=x",
        "'quoted'",
        "a;b,c\"d\"",
        "ü € 日本 🎉",
        "{\"json\": [1]}",
        "null",
        "true",
        "[a, b]",
    ];
    let mut links: Vec<Link> = nasty
        .iter()
        .enumerate()
        .map(|(number, text)| Link {
            title: (*text).to_owned(),
            description: format!("{text}\r\nsecond\tline\n{text}"),
            tags: vec![(*text).to_owned(), format!("tag {number}")],
            deep_link_parameters: [(format!("k{number}"), (*text).to_owned())].into(),
            utm: Some(Utm { source: (*text).to_owned(), ..Utm::default() }),
            ..coded(format!("nasty-{number}"))
        })
        .collect();
    links.push(Link {
        active: Some(false),
        forward_query: Some(false),
        append_click_id: true,
        ios_url: "https://apps.apple.com/app/id1".into(),
        android_url: "https://play.google.com/store/apps/details?id=a.b".into(),
        web_url: "https://example.com/web".into(),
        app_scheme: "myapp".into(),
        ios_universal_link: "https://example.com/ul".into(),
        android_app_link: "https://example.com/al".into(),
        deep_link_path: "/a/b".into(),
        start_time: Some(Timestamp { seconds: now + 60, nanos: 123_000_000 }),
        expire_time: Some(Timestamp { seconds: now + 6000, nanos: 0 }),
        warn_time: Some(Timestamp { seconds: now + 7000, nanos: 0 }),
        disable_time: Some(Timestamp { seconds: now + 8000, nanos: 999_999_000 }),
        disable_reason: "because\n=1".into(),
        max_clicks: 1_000_000_000,
        launchpad_mode: 2,
        targeting: Some(Targeting {
            countries: vec!["DE".into(), "FR".into()],
            platforms: vec![1, 2],
            languages: vec!["de".into()],
        }),
        og: Some(Og { title: "=og".into(), image_url: "https://example.com/i.png".into(), ..Og::default() }),
        routing_rules: vec![RoutingRule {
            name: "r, 1".into(),
            action: Some(routing_rule::Action::Url("https://example.com/rule".into())),
            ..RoutingRule::default()
        }],
        ..coded("full")
    });
    links.push(coded("plain"));
    links
}

#[tokio::test]
async fn what_is_exported_is_imported_as_it_was_in_either_format() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        for link in everything(app.env().now().timestamp()) {
            app.clock.advance(chrono::Duration::seconds(1));
            tenant.create(link).await;
        }
        let before = all(&tenant).await;
        // What an import makes anew.
        let bare = |links: BTreeMap<String, Link>| {
            let mut links = links;
            for link in links.values_mut() {
                link.id.clear();
                link.etag.clear();
                link.update_time = None;
            }
            links
        };
        for format in [ExportFormat::Csv, ExportFormat::Ndjson] {
            let file = export(&tenant, format).await;
            for link in all(&tenant).await.values() {
                tenant.delete(&link.id).await;
            }
            let started = start(&tenant, ImportSource::Linkforty).await;
            let (done, rows) = import(&tenant, &started.id, file.as_bytes()).await.expect("imports");
            let counts = done.counts.expect("there");
            assert_eq!((counts.rows, counts.created), (before.len() as i64, before.len() as i64), "{rows:?}");
            assert_eq!(bare(all(&tenant).await), bare(before.clone()), "{format:?}");
            // Once more, and nothing changes.
            let terms = StartImportRequest {
                source: ImportSource::Linkforty.into(),
                existing: ImportExisting::Update.into(),
                ..StartImportRequest::default()
            };
            let again = start_with(&tenant, terms).await.expect("starts");
            let (done, rows) = import(&tenant, &again.id, file.as_bytes()).await.expect("imports");
            assert_eq!(done.counts.expect("there").same, before.len() as i64, "{rows:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn no_cell_of_an_export_is_a_formula() {
    let app = App::start(Store::Embedded).await;
    let tenant = app.tenant().await;
    for link in everything(app.env().now().timestamp()) {
        tenant.create(link).await;
    }
    let file = export(&tenant, ExportFormat::Csv).await;
    let mut reader = csv::Reader::from_reader(file.as_bytes());
    let mut cells = 0;
    for record in reader.records() {
        for cell in &record.expect("a row") {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']), "{cell:?}");
            cells += 1;
        }
    }
    assert!(cells > 300, "{cells}");
    app.stop().await;
}

#[tokio::test]
async fn an_export_shows_what_is_asked_for_and_goes_on_where_it_broke_off() {
    on_every_store(async |app| {
        let tenant = app.tenant().await;
        let mut file = String::from("short_code,destination_url,tags,active\n");
        for row in 0..1200 {
            let tag = if row % 2 == 0 { "even" } else { "odd" };
            file.push_str(&format!("c{row:04},https://example.com/{row},{tag},{}\n", row % 3 != 0));
        }
        let id = start(&tenant, ImportSource::Csv).await.id;
        import(&tenant, &id, file.as_bytes()).await.expect("imports");
        let request = ExportLinksRequest {
            workspace_id: tenant.id.clone(),
            format: ExportFormat::Ndjson.into(),
            filter: Some(LinkFilter {
                active: Some(true),
                tags: vec!["even".into()],
                ..LinkFilter::default()
            }),
            search: "EXAMPLE.com/1".into(),
            ..ExportLinksRequest::default()
        };
        let mut parts = tenant.links.clone().export_links(request).await.expect("begins").into_inner();
        let mut codes = Vec::new();
        while let Some(part) = parts.message().await.expect("a part") {
            for line in std::str::from_utf8(&part.data).expect("UTF-8").lines() {
                let link: serde_json::Value = serde_json::from_str(line).expect("JSON");
                codes.push(link["short_code"].as_str().expect("a text").to_owned());
            }
        }
        let expected: Vec<String> = (0..1200)
            .filter(|row| row % 2 == 0 && row % 3 != 0 && row.to_string().starts_with('1'))
            .map(|row| format!("c{row:04}"))
            .collect();
        // The clock stands still, so those of one transaction have an order and no others.
        codes.sort_unstable();
        assert_eq!(codes, expected);

        let whole = export(&tenant, ExportFormat::Csv).await;
        let mut request = ExportLinksRequest {
            workspace_id: tenant.id.clone(),
            format: ExportFormat::Csv.into(),
            ..ExportLinksRequest::default()
        };
        let mut pieces = Vec::new();
        loop {
            // Each time only the first part arrives.
            let mut parts =
                tenant.links.clone().export_links(request.clone()).await.expect("begins").into_inner();
            let part = parts.message().await.expect("a part").expect("one at least");
            pieces.extend_from_slice(&part.data);
            request.page_token = part.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        assert_eq!(String::from_utf8(pieces).expect("UTF-8"), whole);
        let other = ExportLinksRequest { search: "x".into(), ..request.clone() };
        let first =
            tenant.links.clone().export_links(request).await.expect("begins").into_inner().message().await;
        let token = first.expect("a part").expect("one at least").next_page_token;
        let other = ExportLinksRequest { page_token: token, ..other };
        let refused =
            tenant.links.clone().export_links(other).await.expect_err("a token of another question");
        assert_eq!(reason(&refused), "PAGE_TOKEN_INVALID");
        let nothing = ExportLinksRequest::default();
        let refused = tenant.links.clone().export_links(nothing).await.expect_err("no format");
        assert_eq!(reason(&refused), "INVALID_FIELDS");
    })
    .await;
}
