//! `LOG_FILE`: the log in files of bounded size and number, beside stdout.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::served::{Served, binary, text};

const SIZE: usize = 64 * 1024;

#[test]
fn files_have_the_lines_of_stdout_without_secrets_and_only_so_many_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = [("LOG_FILE", "server.log"), ("LOG_FILE_SIZE", "64KiB"), ("LOG_FILES", "3")];
    let server = Served::start_in(folder, &[&file[..], &[("LOG_FORMAT", "json"), ("LOG_LEVEL", "debug")]].concat());
    let before = server.said.concat() + "\n";
    let secret = [("authorization", "Bearer hunter2-in-a-header")];
    // Lines of some three hundred bytes each.
    std::thread::scope(|threads| {
        let send = || (0..300).for_each(|_| drop(server.send("GET", "/health/live?key=hunter2", &secret, "")));
        let reading: Vec<_> = (0..4).map(|_| threads.spawn(send)).collect();
        reading.into_iter().for_each(|sending| sending.join().unwrap());
    });
    let (code, rest, folder) = server.stop();
    assert_eq!(code, Some(0), "{rest}");
    let kept: Vec<_> = ["server.log.2", "server.log.1", "server.log"]
        .map(|name| fs::read_to_string(folder.path().join(name)).unwrap())
        .into();
    assert!(!folder.path().join("server.log.3").exists());
    assert!(kept.iter().all(|file| file.len() <= SIZE && file.ends_with('\n')));
    assert!(kept[..2].iter().all(|file| file.len() > SIZE / 2), "they are full when they are put aside");
    let (kept, said) = (kept.concat(), before + &rest);
    // Lines that come at the same time have no order.
    let all: BTreeSet<_> = said.lines().collect();
    assert!(said.len() > kept.len() && kept.lines().all(|line| all.contains(line)));
    assert_eq!(kept.lines().last(), said.lines().last(), "they are the last ones");
    assert!(!said.contains("hunter2"));
    let lines = kept.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    assert!(lines.filter(|line| line["message"] == "request").count() > 300);
}

#[test]
fn lines_for_people_are_in_the_file_as_well_with_where_the_server_is() {
    let server = Served::start(&[("LOG_FILE", "server.log")]);
    assert_eq!(server.said.len(), 6);
    let (_, rest, folder) = server.stop();
    let kept = fs::read_to_string(folder.path().join("server.log")).unwrap();
    assert!(kept.contains("serving address=\"127.0.0.1:") && kept.contains("stopping"), "{kept}");
    assert_eq!(rest, kept);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_at_the_start_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["nowhere/server.log", "."] {
        let ran = binary(folder.path(), &[("PORT", "0"), ("LOG_FILE", file)]).output().unwrap();
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(3), "{said}");
        for words in ["LOG_FILE (from the environment)", file, "a folder that is there"] {
            assert!(said.contains(words), "{said}");
        }
        assert!(ran.stdout.is_empty() && said.lines().count() == 1, "{said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_stops_no_request_and_stdout_tells_of_it() {
    let mut server = Served::start(&[("LOG_FILE", "/dev/full"), ("LOG_FORMAT", "json"), ("LOG_LEVEL", "debug")]);
    let heard = server.hear("the log cannot be written");
    for _ in 0..100 {
        assert_eq!(server.get("/health/live").status, 200);
    }
    let (code, rest, _) = server.stop();
    assert_eq!(code, Some(0), "{rest}");
    let said = heard + &rest;
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let told: Vec<_> = lines.iter().filter(|line| line["log"] == "file").collect();
    assert_eq!(told.len(), 1, "it is told once: {told:?}");
    assert!(told[0]["error"].as_str().unwrap().contains("No space left"), "{told:?}");
    assert_eq!(lines.iter().filter(|line| line["message"] == "request").count(), 100);
}

#[test]
fn a_server_over_the_standard_streams_has_its_log_on_stderr_and_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = |settings: &[(&str, &str)]| stdio(folder.path()).envs(settings.iter().copied()).output().unwrap();
    let ran = run(&[("LOG_FILE", "stdio.log"), ("LOG_LEVEL", "sea_orm_migration=info"), ("LOG_FORMAT", "json")]);
    let (said, kept) = (text(&ran.stderr), fs::read_to_string(folder.path().join("stdio.log")).unwrap());
    assert!(ran.status.success() && ran.stdout.is_empty(), "{said}");
    assert!(kept.lines().count() > 1);
    assert_eq!(said, kept);
    let refused = run(&[("LOG_FILE", "nowhere/stdio.log")]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("LOG_FILE"), "{}", text(&refused.stderr));
}

/// `mcp-stdio` whose client has nothing to say.
fn stdio(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-stdio"));
    command.current_dir(folder).env_clear().stdin(Stdio::null());
    command
}
