//! The node dies in the middle of an import.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use linkforty::pb::v1::{GetImportRequest, Import};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::support::{World, dies_with_us, on_every_store, random, variable, visit, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_linkforty");
const DEFAULT_ROWS: usize = 20_000;
const LONG_ROWS: usize = 100_000;
const KILLS: i64 = 3;
const PATIENCE: Duration = Duration::from_secs(600);

/// `LINKFORTY_TEST_LONG=1` takes 100,000 rows, `LINKFORTY_TEST_SEED` repeats a run's moments, as far as the machine does.
#[tokio::test]
async fn an_import_whose_node_is_killed_again_and_again_ends_exact() {
    let rows = if variable("LINKFORTY_TEST_LONG").is_some() { LONG_ROWS } else { DEFAULT_ROWS };
    let seed = variable("LINKFORTY_TEST_SEED")
        .map_or_else(|| u64::from_be_bytes(random()), |seed| seed.parse().expect("a number"));
    eprintln!("LINKFORTY_TEST_SEED={seed}");
    on_every_store(&[], async |world| {
        let mut dice = StdRng::seed_from_u64(seed);
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (file, said) = (folder.path().join("links.csv"), folder.path().join("said.txt"));
        let expected = write(&file, rows);
        let begun = Instant::now();
        let said_to = File::create(&said).expect("a file");
        let mut command = dies_with_us(PROGRAM, "KILL");
        let mut child = command
            .env_clear()
            .env("LINKFORTY_KEY", world.key())
            .args(["import", "--source", "csv", "--api"])
            .arg(format!("http://{}", world.node.api))
            .arg(&file)
            .stdout(said_to.try_clone().expect("a second handle"))
            .stderr(said_to)
            .spawn()
            .expect("setpriv starts the program");
        let id = || {
            let said = fs::read_to_string(&said).unwrap_or_default();
            said.lines().find_map(|line| line.strip_prefix("import ").map(str::to_owned))
        };
        within(PATIENCE, "the import is started", async || id().is_some()).await;
        let id = id().expect("it is started");
        let mut peak = 0;
        for kill in 1..=KILLS {
            let from = rows as i64 * kill / (KILLS + 1);
            within(PATIENCE, "the import gets on", async || at(world, &id).await.is_some_and(|at| at >= from)).await;
            tokio::time::sleep(Duration::from_millis(dice.random_range(0..150))).await;
            peak = peak.max(world.node.peak_memory());
            world.node.kill();
            eprintln!("kill {kill} after {from} rows or more, {} ms after the start", begun.elapsed().as_millis());
            world.node.start().await;
        }
        let status = child.wait().expect("it ends");
        let took = begun.elapsed();
        let told = fs::read_to_string(&said).expect("it said something");
        assert!(status.success(), "{told}");
        peak = peak.max(world.node.peak_memory());
        eprintln!(
            "{}: {rows} rows in {:.1} s, {KILLS} kills included: {:.0} rows/s; the node held {} MiB at the most",
            world.store,
            took.as_secs_f64(),
            rows as f64 / took.as_secs_f64(),
            peak >> 20,
        );
        let counts = get(world, &id).await.expect("is there").counts.expect("always there");
        assert_eq!((counts.rows, counts.created), (rows as i64, rows as i64), "{told}");
        assert!(told.contains(&format!("{rows} rows: {rows} created, 0 changed, 0 the same, 0 conflicts, 0 wrong")), "{told}");

        let stored = export(world, folder.path());
        let own = world.links.len();
        assert_eq!(stored.len(), rows + own, "each row once");
        for (code, link) in &expected {
            assert_eq!(stored.get(code), Some(link), "{code}");
        }
        let code = expected.keys().next_back().expect("there are some");
        assert_eq!(visit(&world.node, code).await, 302);
    })
    .await;
}

/// Writes the file, and returns what must come of it: where each code leads, and since when.
fn write(to: &Path, rows: usize) -> BTreeMap<String, (String, String)> {
    let mut text = String::from("short_code,destination_url,title,tags,create_time\n");
    let mut expected = BTreeMap::new();
    for row in 0..rows {
        let (code, url) =
            (format!("imp-{row}"), format!("https://shop.example.com/products/{row}?from=import"));
        let (minute, hour) = (row % 60, row / 60 % 24);
        let made = format!("2023-05-06T{hour:02}:{minute:02}:07Z");
        writeln!(text, "{code},{url},\"Product {row}, with a title\",\"import, spring\",{made}")
            .expect("a text grows");
        expected.insert(code, (url, made));
    }
    fs::write(to, text).expect("the disk takes it");
    expected
}

async fn get(world: &World, id: &str) -> Option<Import> {
    let request = GetImportRequest { import_id: id.to_owned(), ..GetImportRequest::default() };
    world.api().get_import(request).await.ok()?.into_inner().import
}

async fn at(world: &World, id: &str) -> Option<i64> {
    get(world, id).await.map(|import| import.counts.unwrap_or_default().rows)
}

/// Reads all links through the command line, by their codes.
fn export(world: &World, folder: &Path) -> BTreeMap<String, (String, String)> {
    let file = folder.join("export.ndjson");
    let status = Command::new(PROGRAM)
        .env_clear()
        .env("LINKFORTY_KEY", world.key())
        .args(["export", "--format", "ndjson", "--api"])
        .arg(format!("http://{}", world.node.api))
        .arg(&file)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("it runs");
    assert!(status.success());
    let text = fs::read_to_string(&file).expect("it is written");
    let mut links = BTreeMap::new();
    for line in text.lines() {
        let link: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let field = |name: &str| link[name].as_str().expect("a text").to_owned();
        let twice = links.insert(field("short_code"), (field("destination_url"), field("create_time")));
        assert_eq!(twice, None, "{line}");
    }
    links
}
