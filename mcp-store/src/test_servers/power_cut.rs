//! A machine whose power may fail.

use std::fs::{self, DirEntry, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

use super::process::run;

/// A folder of which a power cut leaves only what was synced: `fsync` of a file keeps its content, and `fsync` of a folder the names
/// in it. Linux alone, with a C compiler (`cc`), and for one process at a time.
///
/// That process is run with a library in front of the C library's `fsync` and `fdatasync`, which copies what is synced. What is
/// there when the power cut is made has been synced before.
pub struct PowerCut {
    folder: PathBuf,
    /// The library, and what was synced, as `power_cut.c` describes it.
    kept: TempDir,
}

impl PowerCut {
    /// Watches `folder`, which is there.
    pub fn of(folder: &Path) -> Self {
        let folder = folder.canonicalize().expect("the folder is there");
        let kept = TempDir::new().expect("a temporary folder can be made");
        let source = kept.path().join("power_cut.c");
        fs::write(&source, include_str!("power_cut.c")).expect("the folder can be written to");
        let mut compile = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
        compile.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-pthread", "-o"]);
        run(compile.arg(kept.path().join(LIBRARY)).arg(source));
        let power_cut = Self { folder, kept };
        power_cut.keep(&power_cut.folder);
        power_cut
    }

    /// What `command` runs meets the power cut.
    pub fn befalls<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("LD_PRELOAD", self.kept.path().join(LIBRARY));
        command.env("POWER_CUT_FOLDER", &self.folder).env("POWER_CUT_KEPT", self.kept.path())
    }

    /// Makes `to`, which is not there, the folder that a power cut leaves. The process has been killed before.
    pub fn leave(&self, to: &Path) {
        self.restore(&id(&self.folder.metadata().expect("the folder is there")), to);
    }

    /// Everything that is in `folder` was synced.
    fn keep(&self, folder: &Path) {
        let mut names = String::new();
        for entry in fs::read_dir(folder).expect("the folder can be read") {
            let entry = entry.expect("the folder can be read");
            let (name, found) = described(&entry);
            let kind = if found.is_dir() { 'd' } else { 'f' };
            names.push_str(&format!("{} {kind} {name}\n", id(&found)));
            if found.is_dir() {
                self.keep(&entry.path());
            } else {
                fs::copy(entry.path(), self.kept.path().join(id(&found))).expect("a file can be copied");
            }
        }
        let found = folder.metadata().expect("the folder is there");
        let kept = self.names(&id(&found));
        fs::write(&kept, names).expect("the folder can be written to");
        fs::set_permissions(kept, found.permissions()).expect("what is ours has the mode that we give it");
    }

    fn restore(&self, folder: &str, to: &Path) {
        fs::create_dir(to).expect("a folder can be made");
        // Whose names were never synced has none.
        let Ok(names) = fs::read_to_string(self.names(folder)) else { return };
        let mode = fs::metadata(self.names(folder)).expect("it is there").permissions();
        fs::set_permissions(to, mode).expect("what is ours has the mode that we give it");
        for line in names.lines() {
            let mut words = line.splitn(3, ' ');
            let mut next = || words.next().expect("a line has three words");
            let (id, kind, name) = (next(), next(), next());
            let content = self.kept.path().join(id);
            match kind {
                "d" => self.restore(id, &to.join(name)),
                _ if content.exists() => drop(fs::copy(content, to.join(name)).expect("a file can be copied")),
                // Its name was synced, and nothing of what is in it.
                _ => fs::write(to.join(name), "").expect("a file can be made"),
            }
        }
    }

    fn names(&self, folder: &str) -> PathBuf {
        self.kept.path().join(format!("{folder}.names"))
    }
}

const LIBRARY: &str = "power_cut.so";

fn described(entry: &DirEntry) -> (String, Metadata) {
    let name = entry.file_name().into_string().expect("tests give names that are text");
    (name, entry.metadata().expect("it is there"))
}

/// As the library tells it.
fn id(of: &Metadata) -> String {
    let born = of.created().map_or(Default::default(), |born| born.duration_since(UNIX_EPOCH).unwrap_or_default());
    format!("{}-{}.{:09}", of.ino(), born.as_secs(), born.subsec_nanos())
}
