//! How full the memory is, and who is turned away for it. A process that the kernel kills answers nobody.

use std::{fs, path::Path};

use super::decide::Class;

/// Who is turned away because the memory is nearly full. Each turns away those before it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Nobody.
    None = 0,
    /// [`Class::Bulk`].
    Bulk = 1,
    /// [`Class::Interactive`] too.
    Interactive = 2,
    /// [`Class::Ingest`] too. Visitors never.
    Ingest = 3,
}

/// From how many hundredths of the limit on.
const STEPS: [(Pressure, u64); 3] =
    [(Pressure::Bulk, 80), (Pressure::Interactive, 90), (Pressure::Ingest, 95)];
/// How many hundredths below that it is over again, so that it does not come and go with every call.
const SLACK: u64 = 3;

impl Pressure {
    pub(super) const fn of(number: u8) -> Self {
        match number {
            0 => Self::None,
            1 => Self::Bulk,
            2 => Self::Interactive,
            _ => Self::Ingest,
        }
    }

    /// Says whether a class is turned away.
    pub fn sheds(self, class: Class) -> bool {
        match class {
            Class::Redirect => false,
            Class::Ingest => self >= Self::Ingest,
            Class::Interactive => self >= Self::Interactive,
            Class::Bulk => self >= Self::Bulk,
        }
    }

    /// Returns what follows on `self` when `used` of `limit` bytes are in use.
    #[must_use]
    pub fn next(self, used: u64, limit: u64) -> Self {
        let hundredths = used.saturating_mul(100) / limit.max(1);
        let reached = |slack: u64| {
            let step = STEPS.iter().rev().find(|(_, from)| hundredths >= from - slack);
            step.map_or(Self::None, |(pressure, _)| *pressure)
        };
        // Up at once, down with some slack.
        reached(0).max(self.min(reached(SLACK)))
    }
}

/// Returns how many bytes the process may use: what its control group (version 2) allows it or one above it, or what the machine has.
/// `None`: nobody says, as anywhere but on Linux.
pub fn limit() -> Option<u64> {
    let of_the_machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kib(&text, "MemTotal:"));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let of_the_group = own.lines().find_map(|line| line.strip_prefix("0::")).and_then(|path| {
        let root = Path::new("/sys/fs/cgroup");
        let group = root.join(path.trim_start_matches('/'));
        let groups = group.ancestors().take_while(|above| above.starts_with(root));
        groups.filter_map(|group| allowed(&fs::read_to_string(group.join("memory.max")).ok()?)).min()
    });
    of_the_group.into_iter().chain(of_the_machine).min()
}

/// Returns how many bytes the process has in memory.
pub fn used() -> Option<u64> {
    kib(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Reads `memory.max`: a number of bytes, or `max`.
fn allowed(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Reads a line of `/proc` such as `MemTotal:  16384 kB`, and returns bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_at_once_and_goes_with_some_slack() {
        use Pressure::{Bulk, Ingest, Interactive, None};
        let mut pressure = None;
        for (line, (used, expected)) in [
            (0, None),
            (799, None),
            (800, Bulk),
            (790, Bulk),
            (770, Bulk),
            (769, None),
            (790, None),
            (950, Ingest),
            (921, Ingest),
            (919, Interactive),
            (869, Bulk),
            (899, Bulk),
            (900, Interactive),
            (5_000, Ingest),
            (1, None),
        ]
        .into_iter()
        .enumerate()
        {
            pressure = pressure.next(used, 1000);
            assert_eq!(pressure, expected, "line {line}: {used}");
        }
        assert_eq!(None.next(1, 0), Ingest, "no memory at all is full");
        for number in 0..4 {
            assert_eq!(Pressure::of(number) as u8, number);
        }
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(allowed("536870912\n"), Some(512 * 1024 * 1024));
        assert_eq!(allowed("max\n"), None);
        let page = "MemTotal:       16384 kB\nMemFree: 1 kB\n";
        assert_eq!(kib(page, "MemTotal:"), Some(16 * 1024 * 1024));
        assert_eq!(kib(page, "VmRSS:"), None);
        let (limit, used) = (limit().expect("Linux says"), used().expect("Linux says"));
        assert!(used > 1024 * 1024 && used < limit, "{used} of {limit}");
    }
}
