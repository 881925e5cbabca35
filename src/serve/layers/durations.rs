//! How long redirects take. The exporter's own histograms keep every sample until somebody folds them, which costs a redirect as much
//! as finding the link; this one adds one to a number. It is shown among the others, in the same family.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds in nanoseconds, from a redirect out of memory to the longest call.
const BOUNDS: [u64; 17] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

/// The same in seconds, for the exporter's.
pub(in crate::serve) const DURATIONS: [f64; BOUNDS.len()] = {
    let mut seconds = [0.0; BOUNDS.len()];
    let mut place = 0;
    while place < BOUNDS.len() {
        seconds[place] = BOUNDS[place] as f64 / 1e9;
        place += 1;
    }
    seconds
};

/// Counts by duration. Like the exporter's, the process has one.
#[derive(Debug)]
pub(in crate::serve) struct Durations {
    /// Up to each bound and above the one before; the last beyond all.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Durations {
    pub(in crate::serve) const fn new() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], nanos: AtomicU64::new(0) }
    }

    pub(in crate::serve) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // The first, as a rule.
        let place = BOUNDS.iter().position(|bound| nanos <= *bound).unwrap_or(BOUNDS.len());
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Adds the samples to a page of metrics, behind the head of the family `name` if it has one.
    pub(in crate::serve) fn add_to(&self, page: &mut String, name: &str, labels: &str) {
        let head = format!("# TYPE {name} histogram\n");
        let mut samples = String::new();
        let mut sum = 0;
        let bounds = DURATIONS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (count, bound) in self.counts.iter().zip(bounds) {
            sum += count.load(Ordering::Relaxed);
            let _ = writeln!(samples, "{name}_bucket{{{labels},le=\"{bound}\"}} {sum}");
        }
        let seconds = self.nanos.load(Ordering::Relaxed) as f64 / 1e9;
        let _ = writeln!(samples, "{name}_sum{{{labels}}} {seconds}\n{name}_count{{{labels}}} {sum}");
        match page.find(&head) {
            Some(at) => page.insert_str(at + head.len(), &samples),
            None => *page += &format!("{head}{samples}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_them_among_the_others_of_their_family() {
        let durations = Durations::new();
        for micros in [12, 100, 101, 60_000_000] {
            durations.record(Duration::from_micros(micros));
        }
        let mut page = "# TYPE a counter\na 1\n\n# TYPE t histogram\nt_count{x=\"y\"} 1\n\n".to_owned();
        durations.add_to(&mut page, "t", "x=\"z\"");
        let lines: Vec<&str> = page.lines().collect();
        assert_eq!(lines[..4], ["# TYPE a counter", "a 1", "", "# TYPE t histogram"]);
        assert_eq!(lines[4..6], [r#"t_bucket{x="z",le="0.0001"} 2"#, r#"t_bucket{x="z",le="0.00025"} 3"#]);
        let end = ["t_bucket{x=\"z\",le=\"30\"} 3", "t_bucket{x=\"z\",le=\"+Inf\"} 4"];
        assert_eq!(lines[20..22], end);
        assert_eq!(
            lines[22..],
            [r#"t_sum{x="z"} 60.000213"#, r#"t_count{x="z"} 4"#, "t_count{x=\"y\"} 1", ""]
        );

        let mut alone = String::new();
        durations.add_to(&mut alone, "t", "x=\"z\"");
        assert!(alone.starts_with("# TYPE t histogram\nt_bucket"), "{alone}");
    }
}
