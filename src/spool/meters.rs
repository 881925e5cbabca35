//! The spool's metrics. Handles are resolved once, when a spool is opened: install the recorder before.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::Refused;

pub(super) struct Meters {
    appended: [Counter; 4],
    refused: [Counter; 5],
    pub bytes: Gauge,
    pub lag_records: Gauge,
    pub fsync_seconds: Histogram,
    pub cut_bytes: Counter,
    pub quarantined: Counter,
}

impl Meters {
    pub fn resolve() -> Meters {
        let appended = |kind: &'static str| counter!("linkforty_spool_append_total", "kind" => kind);
        let refused =
            |reason: Refused| counter!("linkforty_spool_refused_total", "reason" => reason.as_str());
        Meters {
            appended: ["other", "click", "install", "event"].map(appended),
            refused: Refused::ALL.map(refused),
            bytes: gauge!("linkforty_spool_bytes"),
            lag_records: gauge!("linkforty_spool_lag_records"),
            fsync_seconds: histogram!("linkforty_spool_fsync_seconds"),
            cut_bytes: counter!("linkforty_spool_cut_bytes_total"),
            quarantined: counter!("linkforty_spool_quarantined_total"),
        }
    }

    pub fn appended(&self, kind: u8) {
        self.appended[if kind > 3 { 0 } else { usize::from(kind) }].increment(1);
    }

    pub fn refused(&self, reason: Refused) {
        self.refused[reason as usize].increment(1);
    }
}
