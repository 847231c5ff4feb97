//! The machine on which the server runs, or the container: how much of it is used. Nothing is told where it has no `/proc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mcp_core::clock::Clock;
use mcp_core::measure::{Collector, Sample};
use mcp_core::store::check::{Check, CheckError};

use crate::metrics::process::{Process, number_after};

/// What is looked at, where it is bounded: by the machine, or by the container (cgroup v2 and v1), whichever is less.
pub(crate) struct Machine {
    /// Where data is kept, if on this machine.
    data: Option<PathBuf>,
    /// Where the system says how it is; another folder in tests.
    root: PathBuf,
    clock: Arc<dyn Clock>,
    cpu: Mutex<Cpu>,
}

/// What was seen of the processors.
#[derive(Default)]
struct Cpu {
    /// When, and for how many microseconds they had worked by then.
    last: Option<(Duration, f64)>,
    /// Which part of them worked between the last two looks that are far enough apart.
    used: Option<f64>,
    /// Since when nothing was left of them.
    full_since: Option<Duration>,
}

/// One of the parts of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Cpu,
    Memory,
    Disk,
    OpenFiles,
}

/// How far two looks at the processors are apart at the least.
const APART: Duration = Duration::from_secs(2);
/// How long nothing is left of the processors before that is told.
const FULL: Duration = Duration::from_secs(60);
/// How much less of what was full is used before it is well again.
const MARGIN: f64 = 0.02;
/// More than this of them is all.
const ALL_OF_CPU: f64 = 0.98;

impl Part {
    const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Disk, Self::OpenFiles];

    fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::OpenFiles => "open_files",
        }
    }

    /// Which part of it may be used, and what to do about more.
    pub(crate) fn most(self) -> (f64, &'static str) {
        match self {
            Self::Cpu => {
                (ALL_OF_CPU, "of the processors were busy for a minute: give it more of them, or another replica")
            }
            Self::Memory => {
                (0.95, "of the memory is used: give it more, or let it hold less (CACHE_BYTES, MAX_BYTES_IN_FLIGHT)")
            }
            Self::Disk => (0.95, "of the disk with the data is used: make room there, or keep less (KEEP_CALLS)"),
            Self::OpenFiles => {
                (0.9, "of the files and connections that the process may open are open: raise its limit (ulimit -n)")
            }
        }
    }
}

impl Machine {
    /// That which this process is on; `data` is a folder in which it keeps data.
    pub(crate) fn new(data: Option<PathBuf>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { data, root: PathBuf::from("/"), clock, cpu: Mutex::default() })
    }

    /// A check for each part of it that can be looked at here.
    pub(crate) fn checks(self: &Arc<Self>) -> impl Iterator<Item = Arc<dyn Check>> {
        let there = Part::ALL.into_iter().filter(|part| *part == Part::Cpu || self.used(*part).is_some());
        there.map(|part| Arc::new(Checked::new(self.clone(), part)) as Arc<dyn Check>)
    }

    /// Which part is used: from 0 to 1.
    fn used(&self, part: Part) -> Option<f64> {
        match part {
            Part::Cpu => self.cpu().used,
            Part::Memory => self.memory(),
            Part::Disk => disk(self.data.as_deref()?),
            Part::OpenFiles => Process::read().map(|process| process.open_files / process.max_files),
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    /// The number that is all of a file; nothing where it says `max`.
    fn number(&self, path: &str) -> Option<f64> {
        self.text(path)?.trim().parse().ok()
    }

    fn number_after(&self, path: &str, beginning: &str) -> Option<f64> {
        number_after(self.root.join(path), beginning)
    }

    /// Of the machine, or of the container where it is bounded: what is read of files and can be given back does not count.
    fn memory(&self) -> Option<f64> {
        let all = self.number_after("proc/meminfo", "MemTotal:")? * 1024.0;
        let free = self.number_after("proc/meminfo", "MemAvailable:")? * 1024.0;
        let of_container = |limit: &str, used: &str, stat: &str, given_back: &str| {
            let limit = self.number(limit).filter(|limit| *limit > 0.0 && *limit < all)?;
            let back = self.number_after(stat, given_back).unwrap_or(0.0);
            Some((self.number(used)? - back).max(0.0) / limit)
        };
        let v2 = || {
            of_container(
                "sys/fs/cgroup/memory.max",
                "sys/fs/cgroup/memory.current",
                "sys/fs/cgroup/memory.stat",
                "inactive_file ",
            )
        };
        let v1 = || {
            of_container(
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "sys/fs/cgroup/memory/memory.usage_in_bytes",
                "sys/fs/cgroup/memory/memory.stat",
                "total_inactive_file ",
            )
        };
        let container = v2().or_else(v1).unwrap_or(0.0);
        Some(container.max(1.0 - free / all))
    }

    /// How many microseconds of work there were since some moment, and how many there can be in a second.
    fn worked(&self) -> Option<(f64, f64)> {
        let quota = self.text("sys/fs/cgroup/cpu.max").and_then(|text| {
            let (quota, period) = text.trim().split_once(' ')?;
            Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
        });
        if let Some(cpus) = quota {
            return Some((self.number_after("sys/fs/cgroup/cpu.stat", "usage_usec ")?, cpus * 1e6));
        }
        let stat = self.text("proc/stat")?;
        let cpus = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
        let ticks: Vec<f64> =
            stat.lines().next()?.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
        // user, nice, system, idle, iowait, irq, softirq, steal: proc(5).
        let busy: f64 =
            ticks.iter().take(8).enumerate().filter(|(n, _)| !matches!(n, 3 | 4)).map(|(_, ticks)| ticks).sum();
        Some((busy * 1e4, cpus as f64 * 1e6))
    }

    fn cpu(&self) -> MutexGuard<'_, Cpu> {
        self.cpu.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the processors, and tells since when nothing is left of them.
    fn look_at_cpu(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        let (worked, in_a_second) = self.worked()?;
        let mut cpu = self.cpu();
        match cpu.last {
            None => cpu.last = Some((now, worked)),
            Some((then, before)) if now.saturating_sub(then) >= APART => {
                let used = (worked - before) / (in_a_second * (now - then).as_secs_f64());
                cpu.last = Some((now, worked));
                cpu.used = Some(used.clamp(0.0, 1.0));
                cpu.full_since = if used >= ALL_OF_CPU { cpu.full_since.or(Some(then)) } else { None };
            }
            Some(_) => {}
        }
        cpu.full_since.map(|since| now.saturating_sub(since))
    }
}

/// Of the file system that a folder is on.
pub(crate) fn disk(folder: &Path) -> Option<f64> {
    let known = rustix::fs::statvfs(folder).ok()?;
    // As df(1) tells it: what is for root alone is not there.
    let used = known.f_blocks.saturating_sub(known.f_bfree) as f64;
    let usable = used + known.f_bavail as f64;
    (usable > 0.0).then(|| used / usable)
}

/// One part of a machine, as a check.
struct Checked {
    machine: Arc<Machine>,
    part: Part,
    /// What was full is so until there is some room again, so that nobody is told at each turn.
    was_full: AtomicBool,
}

impl Checked {
    fn new(machine: Arc<Machine>, part: Part) -> Self {
        Self { machine, part, was_full: AtomicBool::new(false) }
    }
}

#[async_trait]
impl Check for Checked {
    fn name(&self) -> &'static str {
        self.part.name()
    }

    /// Calls go on as long as there is any left: who is to know is told by alerts.
    fn is_needed(&self) -> bool {
        false
    }

    fn is_counted(&self) -> bool {
        false
    }

    async fn check(&self) -> Result<(), CheckError> {
        let full = match self.part {
            Part::Cpu => self.machine.look_at_cpu().is_some_and(|full| full >= FULL),
            _ => true,
        };
        let (most, mend) = self.part.most();
        let most = if self.was_full.load(Ordering::Relaxed) { most - MARGIN } else { most };
        let used = self.machine.used(self.part).filter(|used| full && *used >= most);
        self.was_full.store(used.is_some(), Ordering::Relaxed);
        match used {
            Some(used) => Err(CheckError::new(format!("{:.0} % {mend}", (used * 100.0).floor()))),
            None => Ok(()),
        }
    }
}

impl Collector for Machine {
    fn collect(&self) -> Vec<Sample> {
        let help = "Which part of the machine, or of the container, is used, from 0 to 1: `cpu`, `memory`, `disk` (where data is kept), `open_files` of this process.";
        let sample = |part: Part| {
            Some(Sample::gauge("mcp_machine_used_ratio", help, self.used(part)?).with("part", part.name()))
        };
        Part::ALL.into_iter().filter_map(sample).collect()
    }
}

#[cfg(test)]
mod tests {
    use mcp_core::clock::simulated::SimulatedClock;

    use super::*;

    /// A machine of which these files tell.
    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, Arc<Machine>, SimulatedClock) {
        let (folder, clock) = (tempfile::tempdir().unwrap(), SimulatedClock::new());
        let root = folder.path().to_owned();
        write(&root, files);
        let data = Some(root.clone());
        let machine = Machine { data, root, clock: Arc::new(clock.clone()), cpu: Mutex::default() };
        (folder, Arc::new(machine), clock)
    }

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    async fn failure(machine: &Arc<Machine>, part: Part) -> Option<String> {
        Checked::new(machine.clone(), part).check().await.err().map(|error| error.to_string())
    }

    const MEMINFO: &str = "MemTotal:       1000 kB\nMemFree:         10 kB\nMemAvailable:    400 kB\n";

    #[tokio::test]
    async fn memory_is_that_of_the_container_where_it_has_a_limit() {
        let (folder, machine, _) = machine(&[("proc/meminfo", MEMINFO)]);
        assert_eq!(machine.used(Part::Memory), Some(0.6));
        write(folder.path(), &[("sys/fs/cgroup/memory.max", "max\n"), ("sys/fs/cgroup/memory.current", "1\n")]);
        assert_eq!(machine.used(Part::Memory), Some(0.6), "it has none");
        let full = [
            ("sys/fs/cgroup/memory.max", "100000\n"),
            ("sys/fs/cgroup/memory.current", "99000\n"),
            ("sys/fs/cgroup/memory.stat", "anon 5\ninactive_file 1000\n"),
        ];
        write(folder.path(), &full);
        assert_eq!(machine.used(Part::Memory), Some(0.98));
        assert!(failure(&machine, Part::Memory).await.unwrap().starts_with("98 % of the memory is used"));
        write(folder.path(), &[("sys/fs/cgroup/memory.current", "50000\n")]);
        assert_eq!(failure(&machine, Part::Memory).await, None);
    }

    #[tokio::test]
    async fn what_is_full_is_well_again_once_there_is_some_room() {
        let (folder, machine, _) = machine(&[("proc/meminfo", MEMINFO), ("sys/fs/cgroup/memory.max", "100000\n")]);
        let check = Checked::new(machine, Part::Memory);
        for (used, is_well) in [("94900", true), ("95000", false), ("94000", false), ("92900", true), ("94900", true)] {
            write(folder.path(), &[("sys/fs/cgroup/memory.current", used)]);
            assert_eq!(check.check().await.is_ok(), is_well, "{used}");
        }
        assert!(!check.is_counted(), "calls go on");
    }

    #[tokio::test]
    async fn memory_is_that_of_an_older_container_too() {
        let (_folder, machine, _) = machine(&[
            ("proc/meminfo", MEMINFO),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "100000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "90000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 10000\n"),
        ]);
        assert_eq!(machine.used(Part::Memory), Some(0.8));
    }

    #[tokio::test]
    async fn processors_that_are_busy_are_told_of_after_a_minute() {
        let stat = |busy: u64| format!("cpu {busy} 0 0 500 9 0 0 0 0 0\ncpu0 0\ncpu1 0\nbtime 5\n");
        let (folder, machine, clock) = machine(&[("proc/stat", &stat(0))]);
        let mut busy = 0;
        for second in (0..90).step_by(5) {
            let told = failure(&machine, Part::Cpu).await;
            assert_eq!(told.is_some(), second >= 60, "after {second} seconds: {told:?}");
            clock.advance(Duration::from_secs(5));
            // Two processors, a hundred ticks a second.
            busy += 1_000;
            write(folder.path(), &[("proc/stat", &stat(busy))]);
        }
        clock.advance(Duration::from_secs(5));
        write(folder.path(), &[("proc/stat", &stat(busy + 500))]);
        assert_eq!(failure(&machine, Part::Cpu).await, None);
        assert!(machine.used(Part::Cpu).unwrap() < 0.8);
    }

    #[tokio::test]
    async fn processors_are_those_that_the_container_may_use() {
        let max = ("sys/fs/cgroup/cpu.max", "50000 100000\n");
        let (folder, machine, clock) = machine(&[max, ("sys/fs/cgroup/cpu.stat", "usage_usec 1000\n")]);
        assert_eq!(failure(&machine, Part::Cpu).await, None);
        clock.advance(Duration::from_secs(10));
        write(folder.path(), &[("sys/fs/cgroup/cpu.stat", "usage_usec 2501000\n")]);
        assert_eq!(failure(&machine, Part::Cpu).await, None);
        assert_eq!(machine.used(Part::Cpu), Some(0.5), "two and a half of the five seconds");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_tells_of_each_part() {
        let clock = SimulatedClock::new();
        let machine = Machine::new(Some(PathBuf::from(".")), Arc::new(clock.clone()));
        assert_eq!(
            machine.checks().map(|check| check.name().to_owned()).collect::<Vec<_>>(),
            ["cpu", "memory", "disk", "open_files"]
        );
        machine.look_at_cpu();
        clock.advance(APART);
        machine.look_at_cpu();
        for part in Part::ALL {
            let used = machine.used(part).unwrap();
            assert!((0.0..=1.0).contains(&used), "{part:?}: {used}");
        }
        assert_eq!(machine.collect().len(), 4);
        assert!(Machine::new(None, Arc::new(clock)).used(Part::Disk).is_none(), "there is none with data");
    }
}
