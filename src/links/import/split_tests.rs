use proptest::prelude::*;

use super::split::{Content, Cut, MAX_ROW, Part, Record, cut};
use crate::pb::internal::v1::ImportReading;

/// Cuts a whole file that comes in parts of these lengths, over and over, and returns its records and its header.
fn in_parts(
    file: &[u8],
    lengths: &[usize],
    most: usize,
    lists: &'static [&'static str],
) -> Result<(Vec<Record>, Vec<String>), String> {
    let (mut reading, mut done, mut sent, mut records) = (ImportReading::default(), 0, 0, Vec::new());
    let mut lengths = lengths.iter().cycle();
    loop {
        sent = (sent + lengths.next().expect("some").max(&1)).min(file.len());
        loop {
            let part =
                Part { data: &file[done..sent], first: done == 0, last: sent == file.len(), most, lists };
            let Cut { records: more, consumed, reading: after, ended } =
                cut(&reading, part).map_err(|wrong| wrong.into_owned())?;
            assert!(more.len() <= most);
            let stuck = more.is_empty() && consumed == 0;
            (reading, done) = (after, done + consumed);
            records.extend(more);
            if ended {
                assert_eq!(done, file.len());
                return Ok((records, reading.columns));
            }
            if stuck {
                break;
            }
        }
        assert!(sent < file.len(), "it never ends");
    }
}

fn whole(file: &str, lists: &'static [&'static str]) -> Result<Vec<Record>, String> {
    in_parts(file.as_bytes(), &[usize::MAX / 2], 10_000, lists).map(|(records, _)| records)
}

fn texts(records: &[Record]) -> Vec<Vec<&str>> {
    records.iter().map(|record| record.cells.iter().map(String::as_str).collect()).collect()
}

#[test]
fn csv_is_read_however_it_is_written() {
    for (file, columns, rows) in [
        ("a,b\n1,2\n3,4\n", &["a", "b"][..], &[&["1", "2"][..], &["3", "4"]][..]),
        ("a,b\r\n1,2\r\n3,4", &["a", "b"], &[&["1", "2"], &["3", "4"]]),
        ("\u{feff}a;b\n\"1;2\";\"x\"\"y\"\n", &["a", "b"], &[&["1;2", "x\"y"]]),
        ("a\tb\n1\t\n", &["a", "b"], &[&["1", ""]]),
        ("\"a, b\",c\n\"1\n2\",3\n", &["a, b", "c"], &[&["1\n2", "3"]]),
        ("a,b\n\n\n1\n", &["a", "b"], &[&["1"]]),
        ("a\n", &["a"], &[]),
        ("", &[], &[]),
        ("  \n ", &[], &[]),
    ] {
        let (records, header) = in_parts(file.as_bytes(), &[1000], 100, &[]).expect(file);
        assert_eq!(header, columns, "{file:?}");
        assert_eq!(texts(&records), rows, "{file:?}");
    }
}

#[test]
fn json_is_read_however_it_is_wrapped() {
    let one = "{\"a\":\"]}\\\"{\"}";
    let two = "{\"b\":[{\"links\":[1]}]}";
    for (file, lists, count) in [
        (format!("[{one},{two}]"), &[][..], 2),
        (format!("[ {one} ,\n {two} ]\n"), &[], 2),
        (format!("{one}\n{two}\n"), &[], 2),
        (format!("{{\"total\":2,\"data\":[{one},{two}],\"skip\":0}}"), &["data"], 2),
        (
            format!("{{\"links\":[{one}],\"pagination\":{{\"next\":\"\"}}}}{{\"links\":[{two}]}}"),
            &["links"],
            2,
        ),
        (
            format!("{{\"shortUrls\":{{\"data\":[{one},{two}],\"x\":{{}}}},\"y\":1}}"),
            &["shortUrls", "data"],
            2,
        ),
        (
            format!("{{\"links\":{{\"link_1\":{one},\"link_2\":{two}}},\"stats\":{{}}}}"),
            &["links", "result"],
            2,
        ),
        (format!("{{\"result\":[{one}]}}"), &["links", "result"], 1),
        ("[]".to_owned(), &[], 0),
        ("{\"links\":{}}".to_owned(), &["links"], 0),
        ("[1,null,\"x\",[2]]".to_owned(), &[], 4),
    ] {
        let records = whole(&file, lists).expect(&file);
        assert_eq!(records.len(), count, "{file}");
        let objects =
            records.iter().filter(|record| matches!(record.content, Ok(Content::Object(_)))).count();
        assert_eq!(objects, if file.starts_with("[1") { 0 } else { count }, "{file}");
    }
}

#[test]
fn what_is_no_file_of_links_is_refused() {
    for (file, lists) in [
        ("[{\"a\":1}", &[][..]),
        ("{\"links\":[{}]", &["links"]),
        ("{\"a\":", &[]),
        ("[{}]x", &[]),
        ("[,{}}]", &[]),
        ("{\"links\":{1}}", &["links"]),
    ] {
        assert!(whole(file, lists).is_err(), "{file}");
    }
    let row = "x".repeat(MAX_ROW + 10);
    let unclosed = format!("a,b\n1,\"{row}");
    let part = Part { data: unclosed.as_bytes(), first: true, last: false, most: 10, lists: &[] };
    let refused = cut(&ImportReading::default(), part).expect_err("waits for no quote for ever");
    assert!(refused.contains("quote"), "{refused}");
    let many = vec!["x"; 201].join(",");
    whole(&format!("{many}\n"), &[]).expect_err("too many columns");
}

#[test]
fn a_record_that_cannot_be_read_does_not_end_the_file() {
    let long = "x".repeat(MAX_ROW);
    let file = [b"a,b\n1,\xff\n".as_slice(), format!("{long},y\n").as_bytes(), b"2,3\n"].concat();
    let (records, _) = in_parts(&file, &[1_000_000], 100, &[]).expect("read");
    let good: Vec<bool> = records.iter().map(|record| record.content.is_ok()).collect();
    assert_eq!(good, [false, false, true]);
    let json = whole("[{\"a\":1},{a:1},{\"b\":2}]", &[]).expect("read");
    let good: Vec<bool> = json.iter().map(|record| record.content.is_ok()).collect();
    assert_eq!(good, [true, false, true]);
}

fn csv_file() -> impl Strategy<Value = String> {
    let cell = prop_oneof!["[a-z,;\"\n\r ]{0,8}", "[äöü€]{0,3}"];
    prop::collection::vec(prop::collection::vec(cell, 3), 1..12).prop_map(|rows| {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["a", "b", "c"]).expect("memory");
        for row in rows {
            writer.write_record(row).expect("memory");
        }
        String::from_utf8(writer.into_inner().expect("memory")).expect("UTF-8")
    })
}

fn json_file() -> impl Strategy<Value = String> {
    let text = "[a-z{}\\[\\]\",:\\\\ ä]{0,8}";
    prop::collection::vec(prop::collection::vec((text, text), 0..3), 0..10).prop_map(|records| {
        let records: Vec<serde_json::Value> = records
            .into_iter()
            .map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name, value.into()))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            })
            .collect();
        serde_json::json!({"total": 3, "data": records, "next": {"page": "}"}}).to_string()
    })
}

proptest! {
    #[test]
    fn csv_reads_the_same_wherever_it_is_cut(file in csv_file(), lengths in prop::collection::vec(1_usize..20, 1..6), most in 1_usize..5) {
        let all = whole(&file, &[]).expect("good");
        let (parts, _) = in_parts(file.as_bytes(), &lengths, most, &[]).expect("good");
        prop_assert_eq!(parts, all);
    }

    #[test]
    fn json_reads_the_same_wherever_it_is_cut(file in json_file(), lengths in prop::collection::vec(1_usize..20, 1..6), most in 1_usize..5) {
        let all = whole(&file, &["data"]).expect("good");
        let (parts, _) = in_parts(file.as_bytes(), &lengths, most, &["data"]).expect("good");
        prop_assert_eq!(parts, all);
    }

    #[test]
    fn no_file_is_anybodys_crash(file in "[\\[\\]{}\",:a1\\\\\n ]{0,60}", lengths in prop::collection::vec(1_usize..9, 1..4)) {
        let _ = in_parts(file.as_bytes(), &lengths, 3, &["a", "aa"]);
    }
}
