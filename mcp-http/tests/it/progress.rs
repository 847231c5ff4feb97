//! How far long work is: shown on a terminal, and to nobody else.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use sea_orm::{ConnectionTrait, Database};

use crate::served::{Served, binary, text};

/// Runs a command whose stderr is a terminal of this width, and tells what that was shown.
fn on_a_terminal(mut command: Command, columns: u16) -> (ExitStatus, String) {
    let controller: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    tcsetwinsize(&controller, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let terminal =
        OpenOptions::new().read(true).write(true).open(Path::new(std::ffi::OsStr::from_bytes(name.as_bytes())));
    let mut child = command.stdout(Stdio::null()).stderr(terminal.unwrap()).spawn().unwrap();
    // With it our own end of the terminal goes.
    drop(command);
    let reading = std::thread::spawn(move || {
        let mut shown = Vec::new();
        // It ends with an error, once nobody has the terminal any more.
        let _ = File::from(controller).read_to_end(&mut shown);
        text(&shown)
    });
    (child.wait().unwrap(), reading.join().unwrap())
}

/// Somebody else removes files for so long, and a backup waits for that.
fn hold_files(database: &Path, time: Duration) {
    let until = (SystemTime::now() + time).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let database = Database::connect(format!("sqlite:{}", database.display())).await.unwrap();
        let hold = format!(
            "INSERT INTO mcp_leases (name, epoch, until) VALUES ('blobs', 1, {until}) \
             ON CONFLICT (name) DO UPDATE SET until = EXCLUDED.until"
        );
        database.execute_unprepared(&hold).await.unwrap();
        database.close().await.unwrap();
    });
}

#[test]
fn a_terminal_is_shown_how_far_a_backup_is_and_is_clean_afterwards() {
    let (_, _, folder) = Served::start(&[]).stop();
    let database = folder.path().join("data/mcp.db");
    let backup = |words: &[&str]| {
        hold_files(&database, Duration::from_secs(3));
        let mut command = binary(folder.path(), &[]);
        command.arg("backup").args(words).stdin(Stdio::null());
        command
    };
    let (status, shown) = on_a_terminal(backup(&["one"]), 100);
    assert!(status.success(), "{shown:?}");
    let lines: Vec<_> = shown.split('\r').collect();
    assert!(lines.len() > 3, "it is said again and again: {shown:?}");
    assert!(lines.iter().any(|line| line.starts_with("backup: waiting for who removes files: 2 s\x1b[K")), "{shown:?}");
    assert!(shown.ends_with("\r\x1b[K") && !shown.contains('\n'), "{shown:?}");

    let (status, narrow) = on_a_terminal(backup(&["two"]), 24);
    assert!(status.success(), "{narrow:?}");
    let lines: Vec<_> = narrow.split('\r').map(|line| line.trim_end_matches("\x1b[K")).collect();
    assert!(lines.len() > 3 && lines.iter().all(|line| line.len() < 24), "no line is wrapped: {narrow:?}");

    let (status, quiet) = on_a_terminal(backup(&["three", "--json"]), 100);
    assert!(status.success() && quiet.is_empty(), "{quiet:?}");
    let piped = backup(&["four"]).output().unwrap();
    assert!(piped.status.success() && piped.stderr.is_empty(), "{}", text(&piped.stderr));
}
