//! A file that grows to a size and is then put aside, of which so many are kept: what the log takes on disk is bounded.
//!
//! It is ours since tracing-appender rotates by time alone, which bounds nothing, and those that rotate by size bring calendars and
//! compression along.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `PATH`, and beside it, from the newest to the oldest, `PATH.1`, `PATH.2`, …
///
/// Several processes may write to the same file, and something else may put it aside: before each line it is looked what is at the
/// path by now.
pub(super) struct RollingFile {
    path: PathBuf,
    file: File,
    /// How many bytes are in one.
    size: u64,
    /// How many there are, with the one that is written.
    files: u32,
}

impl RollingFile {
    /// # Errors
    /// Where it cannot be opened, or made in a folder that is there.
    pub(super) fn open(path: &Path, size: u64, files: u32) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)?, size, files })
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        let mut there = self.file.metadata()?;
        if !self.is_at_its_path(&there) {
            there = self.reopen()?;
        }
        if there.len() > 0 && there.len() + line.len() as u64 > self.size && self.put_aside()? {
            there = self.reopen()?;
        }
        // Half a line would spoil the next one as well.
        self.file.write_all(line).inspect_err(|_| drop(self.file.set_len(there.len())))
    }

    fn is_at_its_path(&self, there: &Metadata) -> bool {
        fs::metadata(&self.path).is_ok_and(|named| is_same(&named, there))
    }

    fn reopen(&mut self) -> io::Result<Metadata> {
        self.file = open(&self.path)?;
        self.file.metadata()
    }

    /// Gives the file its new name, and says whether there is another one to be opened; there is none yet where another process is
    /// doing this.
    fn put_aside(&self) -> io::Result<bool> {
        // The lock goes with the file. Some file systems have none.
        if let Err(TryLockError::WouldBlock) = self.file.try_lock() {
            return Ok(false);
        }
        if !self.is_at_its_path(&self.file.metadata()?) {
            return Ok(true);
        }
        // Only up to the first gap: where this comes to its end at a second try, nothing is moved twice.
        let last = (1..self.files).find(|n| !self.name(*n).exists()).unwrap_or(self.files - 1);
        for n in (1..=last).rev() {
            fs::rename(self.name(n - 1), self.name(n))?;
        }
        // Those of a time when more were kept.
        (self.files..).find(|n| fs::remove_file(self.name(*n)).is_err());
        Ok(true)
    }

    fn name(&self, n: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        if n > 0 {
            name.push(format!(".{n}"));
        }
        name.into()
    }
}

impl Write for RollingFile {
    /// Takes a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    // Who calls and from where is not for everybody.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

#[cfg(unix)]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Elsewhere nobody can give another name to a file that is open.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn read(path: &Path, n: &str) -> String {
        fs::read_to_string(format!("{}{n}", path.display())).unwrap()
    }

    #[test]
    fn a_file_is_put_aside_when_it_is_full_and_the_oldest_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = RollingFile::open(&path, 10, 3).unwrap();
        for n in 0..8 {
            log.write_all(format!("{n}234\n").as_bytes()).unwrap();
        }
        assert_eq!(names(folder.path()), ["log", "log.1", "log.2"]);
        let all = ["", ".1", ".2"].map(|n| read(&path, n));
        assert_eq!(all, ["6234\n7234\n", "4234\n5234\n", "2234\n3234\n"]);
        // A line that is longer than all of it is alone in one.
        log.write_all(b"0123456789abcdef\n").unwrap();
        log.write_all(b"after\n").unwrap();
        assert_eq!(["", ".1"].map(|n| read(&path, n)), ["after\n", "0123456789abcdef\n"]);
    }

    #[test]
    fn a_process_goes_on_where_the_one_before_it_was_and_keeps_as_many_as_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = RollingFile::open(&path, 5, 6).unwrap();
        for n in 0..6 {
            log.write_all(format!("{n}234\n").as_bytes()).unwrap();
        }
        drop(log);
        let mut log = RollingFile::open(&path, 8, 3).unwrap();
        log.write_all(b"ab\n").unwrap();
        assert_eq!((names(folder.path()).len(), read(&path, "")), (6, "5234\nab\n".to_owned()));
        log.write_all(b"next\n").unwrap();
        assert_eq!(names(folder.path()), ["log", "log.1", "log.2"]);
        assert_eq!(["", ".1", ".2"].map(|n| read(&path, n)), ["next\n", "5234\nab\n", "4234\n"]);
    }

    #[cfg(unix)]
    #[test]
    fn what_something_else_has_put_aside_emptied_or_removed_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = RollingFile::open(&path, 10, 2).unwrap();
        log.write_all(b"one\n").unwrap();
        fs::rename(&path, folder.path().join("log-20260101")).unwrap();
        log.write_all(b"two\n").unwrap();
        assert_eq!((read(&path, ""), read(&path, "-20260101")), ("two\n".to_owned(), "one\n".to_owned()));
        log.write_all(b"three\n").unwrap();
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        log.write_all(b"four\n").unwrap();
        assert_eq!(read(&path, ""), "four\n");
        fs::remove_file(&path).unwrap();
        log.write_all(b"five\n").unwrap();
        assert_eq!(read(&path, ""), "five\n");
        assert_eq!(names(folder.path()), ["log", "log-20260101"]);
    }

    #[cfg(unix)]
    #[test]
    fn processes_that_share_a_file_lose_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::thread::scope(|threads| {
            for thread in 0..4 {
                let mut log = RollingFile::open(&path, 32, 1_000).unwrap();
                threads.spawn(move || {
                    for n in 0..200 {
                        log.write_all(format!("{thread} {n:03} ........\n").as_bytes()).unwrap();
                    }
                });
            }
        });
        let files = names(folder.path());
        let mut lines: Vec<_> = files
            .iter()
            .flat_map(|name| {
                let text = fs::read_to_string(folder.path().join(name)).unwrap();
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        lines.sort();
        let all = (0..4).flat_map(|thread| (0..200).map(move |n| format!("{thread} {n:03} ........")));
        assert!(lines.into_iter().eq(all));
        // 800 lines, of which two have room in a file: but for those that came while it was put aside.
        assert!((20..800).contains(&files.len()), "{}", files.len());
    }

    #[cfg(unix)]
    #[test]
    fn where_it_cannot_be_put_aside_it_does_not_grow_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = RollingFile::open(&path, 10, 2).unwrap();
        // A folder that is not empty is not replaced by a file, whoever asks.
        fs::create_dir_all(folder.path().join("log.1/held")).unwrap();
        log.write_all(b"12345678\n").unwrap();
        assert!(log.write_all(b"more\n").is_err());
        assert!(log.write_all(b"more\n").is_err());
        assert_eq!(read(&path, ""), "12345678\n");
        fs::remove_dir_all(folder.path().join("log.1")).unwrap();
        log.write_all(b"more\n").unwrap();
        assert_eq!(["", ".1"].map(|n| read(&path, n)), ["more\n", "12345678\n"]);
    }
}
