//! The machine or container that the command runs on, which is taken for that of the server.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::config::Config;
use crate::health::machine::{self, Part};
use crate::metrics::process::{Process, number_after};

/// From when on it is worth a word.
const NEARLY_FULL: f64 = 0.85;
/// How many files a server has open beside its connections.
const BESIDE: f64 = 256.0;

pub(super) fn disk(config: &Config) -> Finding {
    let Some(folder) = config.data_folder() else {
        return Finding::CannotApply("the database is elsewhere, and so is its disk".to_owned());
    };
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let there = folder.ancestors().find(|folder| folder.exists()).map_or_else(|| PathBuf::from("/"), Path::to_owned);
    match machine::disk(&there) {
        Some(used) => of_disk(used),
        None => Finding::CannotApply("the system does not tell how full the disk is".to_owned()),
    }
}

fn of_disk(used: f64) -> Finding {
    let said = format!("{:.0} % of the disk with the data is used", used * 100.0);
    let (most, mend) = Part::Disk.most();
    if used >= most {
        Finding::Failed(format!("{:.0} % {mend}", used * 100.0))
    } else if used >= NEARLY_FULL {
        Finding::Warning(said)
    } else {
        Finding::Ok(said)
    }
}

pub(super) fn open_files(config: &Config) -> Finding {
    let Some(process) = Process::read() else {
        return Finding::CannotApply("the system does not tell how many files may be open".to_owned());
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let needed = config.max_connections as f64 + BESIDE;
    let most = process.max_files;
    if most < needed {
        return Finding::amiss(
            config,
            format!(
                "a process may open {most} files, and MAX_CONNECTIONS asks for {needed}: raise the limit (`ulimit -n`, LimitNOFILE=, \
                 --ulimit), or set fewer"
            ),
        );
    }
    Finding::Ok(format!("a process may open {most}, and {needed} are needed"))
}

/// What is known of a container.
struct Seen {
    is_container: bool,
    is_root: bool,
    is_bounded: bool,
}

pub(super) fn container(config: &Config) -> Finding {
    let at_most = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<f64>().ok();
    let limit = at_most("/sys/fs/cgroup/memory.max").or_else(|| at_most("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let all = number_after("/proc/meminfo", "MemTotal:").map_or(f64::INFINITY, |kib| kib * 1024.0);
    let seen = Seen {
        is_container: ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists())
            || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
            || std::env::var_os("ECS_CONTAINER_METADATA_URI_V4").is_some(),
        is_root: number_after("/proc/self/status", "Uid:") == Some(0.0),
        is_bounded: limit.is_some_and(|limit| limit < all),
    };
    if !seen.is_container {
        return Finding::CannotApply("this is no container: deploy/systemd/ says what bounds a service".to_owned());
    }
    match of_container(&seen) {
        Ok(()) => Finding::Ok("the container runs as nobody, and its memory is bounded".to_owned()),
        Err(wrong) => Finding::amiss(config, wrong),
    }
}

fn of_container(seen: &Seen) -> Result<(), &'static str> {
    if seen.is_root {
        return Err("the container runs as root: run it as the user of the image, 10001");
    }
    if !seen.is_bounded {
        return Err(
            "nothing bounds the memory of the container, so that it can take all of the machine's: give it a limit \
                    (--memory, mem_limit, resources.limits)",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_full_is_found() {
        assert_eq!([0.5, 0.9, 0.96].map(|used| of_disk(used).as_str()), ["ok", "warning", "failed"]);
        assert!(of_disk(0.96).text().contains("96 %"));
    }

    #[test]
    fn a_container_that_is_root_or_unbounded_is_found() {
        let of = |is_root, is_bounded| of_container(&Seen { is_container: true, is_root, is_bounded });
        assert!(of(true, true).unwrap_err().contains("root"));
        assert!(of(false, false).unwrap_err().contains("memory"));
        assert_eq!(of(false, true), Ok(()));
    }
}
