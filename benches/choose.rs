//! Chooses for a link with twenty rules so many times: `benches/run.sh` has its instructions counted, which no other work on the
//! machine changes.
//!
//! `choose TIMES`

use std::hint::black_box;

use linkforty::{clock::from_micros, redirect::destination::choose};

#[path = "shared/ruled.rs"]
mod ruled;

fn main() {
    let Some(times) = std::env::args().nth(1).and_then(|times| times.parse::<u32>().ok()) else {
        println!("usage: choose TIMES");
        return;
    };
    let (link, visit) = (ruled::link(), ruled::visit());
    for _ in 0..times {
        black_box(choose(black_box(&link), black_box(&visit), from_micros(1_800_000_000_000_000)));
    }
}
