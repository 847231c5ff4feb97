//! What the system says of this process: nothing, where it has no `/proc`.

use std::fs;
use std::path::Path;

/// The figures of a process, by the names that Prometheus gives them.
pub(crate) struct Process {
    pub(crate) cpu_seconds: f64,
    pub(crate) start_time: f64,
    pub(crate) resident_bytes: f64,
    pub(crate) open_files: f64,
    pub(crate) max_files: f64,
}

/// How often a second the kernel counts (proc(5), `sysconf(_SC_CLK_TCK)`), on every platform that is in use.
const TICKS: f64 = 100.0;

impl Process {
    /// The figures of this moment.
    pub(crate) fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name in parentheses may hold spaces; what follows is counted from 3 in proc(5).
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |n: usize| fields.get(n - 3)?.parse::<f64>().ok();
        let booted = number_after("/proc/stat", "btime ")?;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / TICKS,
            start_time: booted + field(22)? / TICKS,
            resident_bytes: number_after("/proc/self/status", "VmRSS:")? * 1024.0,
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            open_files: fs::read_dir("/proc/self/fd").ok()?.count() as f64,
            max_files: number_after("/proc/self/limits", "Max open files")?,
        })
    }
}

/// The first number behind a line's beginning.
pub(crate) fn number_after(file: impl AsRef<Path>, beginning: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(beginning))?;
    let first = rest.split_whitespace().next()?;
    if first == "unlimited" { Some(f64::INFINITY) } else { first.parse().ok() }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_figures_are_those_of_this_process() {
        let before = Process::read().expect("there is a /proc");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(before.start_time > now - 86_400.0 && before.start_time < now + 2.0, "{}", before.start_time);
        assert!(before.resident_bytes > 1e6 && before.resident_bytes < 1e10, "{}", before.resident_bytes);
        assert!(before.open_files >= 3.0 && before.max_files >= before.open_files);

        let held: Vec<_> = (0..100).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let mut sum = 0_u64;
        while Process::read().unwrap().cpu_seconds < before.cpu_seconds + 0.05 {
            sum = std::hint::black_box((0..100_000_u64).fold(sum, u64::wrapping_add));
        }
        assert!(Process::read().unwrap().open_files >= 100.0);
        drop(held);
    }
}
