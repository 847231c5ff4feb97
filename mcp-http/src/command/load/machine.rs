//! On which machine figures were measured.

use std::fs;

/// Its processors, memory and kernel, as far as it says.
pub(super) fn read() -> String {
    let line = |file: &str, beginning: &str| {
        let text = fs::read_to_string(file).ok()?;
        let rest = text.lines().find_map(|line| line.strip_prefix(beginning))?;
        Some(rest.trim_start_matches([' ', '\t', ':']).trim_end().to_owned())
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let model = line("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let kilobytes = line("/proc/meminfo", "MemTotal:").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let memory = kilobytes.map(|count| format!(", {} MiB", count / 1_024)).unwrap_or_default();
    let kernel = line("/proc/sys/kernel/osrelease", "").unwrap_or_default();
    format!("{processors} × {model}{memory}, {} {kernel}", std::env::consts::OS)
}
