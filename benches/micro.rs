//! The steps of a redirect, one by one (`cargo bench --bench micro`).

use std::{hint::black_box, net::Ipv4Addr, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linkforty::{
    clicks::{Click, Recorder, class::Class},
    clock::from_micros,
    geo::Geo,
    ids::{ClickId, Ids, LinkId, WorkspaceId},
    links::{Rules, Target},
    page::{Cursor, PageSeal},
    redirect::{agent::Agents, destination::choose, visitor::Visitor},
    spool::{Reader, RecordKind, Spool, SpoolOptions},
};
use tempfile::TempDir;

use ruled::USER_AGENT;

#[path = "shared/ruled.rs"]
mod ruled;

/// As large as a click with a browser's user agent.
const CLICK_BYTES: usize = 220;

/// A spool that nobody drains: what is appended stays, which is why the runs are short.
fn spool() -> (TempDir, Spool, Reader) {
    let dir = tempfile::tempdir().expect("the benchmark needs a temporary directory");
    let (spool, reader) =
        Spool::open(dir.path(), SpoolOptions::default()).expect("an empty directory becomes a spool");
    (dir, spool, reader)
}

/// What a redirect waits for before it answers. Promised: at most 20 microseconds, with `clicks/record`.
fn spool_append(criterion: &mut Criterion) {
    let (_dir, spool, _reader) = spool();
    let payload = [7; CLICK_BYTES];
    let id = Ids::seeded(1).uuid(from_micros(0));
    let mut group = criterion.benchmark_group("spool");
    group.throughput(Throughput::Bytes(CLICK_BYTES as u64));
    group.bench_function("append", |bencher| {
        bencher.iter(|| spool.append(RecordKind::Click, id, black_box(&payload)).expect("there is room"));
    });
    group.finish();
}

/// The same with its encoding and the visitor's hash.
fn click_record(criterion: &mut Criterion) {
    let (_dir, spool, _reader) = spool();
    let recorder = Recorder::new(spool, b"a benchmark has nothing to hide", Geo::new(None));
    let ids = Ids::seeded(1);
    let click = Click {
        workspace: WorkspaceId::mint(&ids, from_micros(0)),
        link: LinkId::mint(&ids, from_micros(0)),
        platform: 1,
        class: Class::Human,
        step: 1,
        client: Some(Ipv4Addr::new(203, 0, 113, 7).into()),
        user_agent: USER_AGENT,
        referrer: "https://news.example.com/today",
        languages: "en-GB,en;q=0.9",
        query: "",
        parameters: &[],
        lease: None,
    };
    let id = ClickId::mint(&ids, from_micros(0));
    criterion.bench_function("clicks/record", |bencher| {
        bencher.iter(|| recorder.record(id, black_box(&click)).expect("there is room"));
    });
}

fn click_id(criterion: &mut Criterion) {
    let ids = Ids::from_os();
    criterion
        .bench_function("ids/uuid", |bencher| bencher.iter(|| ids.uuid(black_box(from_micros(1_000_000)))));
}

fn destination(criterion: &mut Criterion) {
    let link = Target { rules: Rules::default(), ..ruled::link() };
    let twenty = ruled::link();
    let visit = ruled::visit();
    // What a visit pays for its user agent, and what the first visit with it pays.
    let agents = Agents::default();
    criterion.bench_function("redirect/agent", |bencher| {
        bencher.iter(|| agents.read(black_box(USER_AGENT)));
    });
    criterion.bench_function("redirect/visitor", |bencher| {
        bencher.iter(|| Visitor::of(black_box(USER_AGENT)));
    });
    for (name, link) in [("redirect/choose", &link), ("redirect/choose 20 rules", &twenty)] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                black_box(choose(black_box(link), black_box(&visit), from_micros(1_800_000_000_000_000)))
            });
        });
    }
}

fn page_token(criterion: &mut Criterion) {
    let seal = PageSeal::new(b"a benchmark has nothing to hide");
    let cursor = Cursor { key: "2026-11-22T21:00:00Z".to_owned(), id: uuid::Uuid::nil().to_string() };
    criterion.bench_function("page/token", |bencher| {
        bencher.iter(|| seal.token(Some(black_box(&cursor)), b"ListLinks", from_micros(0)));
    });
}

criterion_group! {
    name = steps;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    targets = spool_append, click_record, click_id, destination, page_token
}
criterion_main!(steps);
