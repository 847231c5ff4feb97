//! The folder of a backup: under another name until all of it is on disk.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::BackupError;
use super::manifest::{self, FileSum, Manifest};
use crate::progress::{Progress, Unit};
use mcp_core::store::hex::hex;

/// A backup that is being written.
pub(super) struct Draft {
    folder: PathBuf,
    partial: PathBuf,
    /// Held by whoever writes; it goes with the process, however that ends.
    _lock: File,
    is_whole: bool,
}

/// A backup of which every byte was looked at.
pub(super) struct Whole {
    folder: PathBuf,
    pub(super) manifest: Manifest,
}

/// The file whose lock tells that somebody writes.
const LOCK: &str = ".lock";
/// The sum of the manifest, as `sha256sum --check` reads it.
const SUM: &str = "manifest.json.sha256";

impl Draft {
    /// Makes the folder, under its other name, and its parents. What an earlier one left is removed.
    pub(super) fn begin(folder: &Path) -> Result<Self, BackupError> {
        let partial = beside(folder, ".partial");
        make(&partial)?;
        let lock = partial.join(LOCK);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .map_err(|error| BackupError::file("make", &lock, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::Busy { path: folder.display().to_string() }),
            Err(TryLockError::Error(error)) => return Err(BackupError::file("lock", &partial, error)),
        }
        if folder.symlink_metadata().is_ok() {
            // Ours alone, and empty but for what an earlier one left.
            let _ = fs::remove_dir_all(&partial);
            return Err(BackupError::Exists { path: folder.display().to_string() });
        }
        for entry in entries(&partial)? {
            if entry.file_name().is_some_and(|name| name != LOCK) {
                let removed = if entry.is_dir() { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
                removed.map_err(|error| BackupError::file("remove", &entry, error))?;
            }
        }
        Ok(Self { folder: folder.to_owned(), partial, _lock: lock, is_whole: false })
    }

    /// Where it is being written.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Where a file is to be written.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.partial.join(name)
    }

    /// Brings all files to the disk, writes the manifest about them, and gives the folder its name.
    pub(super) async fn finish(
        mut self,
        progress: Progress,
        manifest: impl FnOnce(Vec<FileSum>) -> Manifest + Send + 'static,
    ) -> Result<Manifest, BackupError> {
        blocking(move || {
            let mut files = Vec::new();
            progress.starts("bringing it to the disk", Unit::Bytes, Some(size_of(&self.partial)?));
            sum_all(&self.partial, &self.partial, &mut files, &progress)?;
            let manifest = manifest(files);
            let mut text = serde_json::to_vec_pretty(&manifest)
                .map_err(|error| BackupError::file("write", &self.partial, error.into()))?;
            text.push(b'\n');
            write(&self.partial.join(manifest::FILE), &text)?;
            write(&self.partial.join(SUM), sum_line(&text).as_bytes())?;
            sync(&self.partial)?;
            fs::rename(&self.partial, &self.folder)
                .map_err(|error| BackupError::file("rename", &self.partial, error))?;
            self.is_whole = true;
            // Not before, or another could begin in the same place. Nobody minds it if it stays.
            let _ = fs::remove_file(self.folder.join(LOCK));
            sync(parent(&self.folder))?;
            Ok(manifest)
        })
        .await
    }
}

impl Drop for Draft {
    /// What came to nothing is removed; where that fails, the next one does it.
    fn drop(&mut self) {
        if !self.is_whole {
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

impl Whole {
    /// Reads the manifest, and compares every file with it.
    pub(super) async fn open(folder: &Path, progress: Progress) -> Result<Self, BackupError> {
        let folder = folder.to_owned();
        blocking(move || {
            let text = read(&folder, manifest::FILE)?;
            if read(&folder, SUM)? != sum_line(&text).as_bytes() {
                let file = folder.join(manifest::FILE);
                return Err(BackupError::damaged(&file, "is not as it was written"));
            }
            let manifest = Manifest::decode(&folder, &text)?;
            let all = manifest.files.iter().map(|file| file.bytes).sum();
            progress.starts("looking through the backup", Unit::Bytes, Some(all));
            for expected in &manifest.files {
                let path = folder.join(&expected.path);
                match sum(&path, &progress) {
                    Ok((bytes, sha256)) if bytes == expected.bytes && sha256 == expected.sha256 => {}
                    Ok((bytes, _)) if bytes != expected.bytes => {
                        let problem = format!("has {bytes} bytes, where there were {}", expected.bytes);
                        return Err(BackupError::damaged(&path, problem));
                    }
                    Ok(_) => return Err(BackupError::damaged(&path, "is not as it was written")),
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        return Err(BackupError::damaged(&path, "is missing"));
                    }
                    Err(error) => return Err(BackupError::file("read", &path, error)),
                }
            }
            Ok(Self { folder, manifest })
        })
        .await
    }

    /// Where the copy of the database is.
    pub(super) fn database(&self) -> PathBuf {
        self.folder.join(self.manifest.source.file())
    }
}

/// Does what blocks beside the runtime. Once begun it comes to its end.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|ended| Err(BackupError::ended(&ended)))
}

/// The folder of that name with something behind it.
pub(super) fn beside(folder: &Path, end: &str) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(end);
    folder.with_file_name(name)
}

/// Makes a folder that is its owner's alone, and its parents.
pub(super) fn make(folder: &Path) -> Result<(), BackupError> {
    let mut make = DirBuilder::new();
    make.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
    make.create(folder).map_err(|error| BackupError::file("make", folder, error))
}

/// What is in a folder, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let failed = |error| BackupError::file("read", folder, error);
    let entries = fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()));
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort();
    Ok(entries)
}

/// Brings all files below `folder` to the disk, and takes their sums.
fn sum_all(root: &Path, folder: &Path, files: &mut Vec<FileSum>, progress: &Progress) -> Result<(), BackupError> {
    for path in entries(folder)? {
        if path.is_dir() {
            sum_all(root, &path, files, progress)?;
            sync(&path)?;
            continue;
        }
        if path == root.join(LOCK) {
            continue;
        }
        sync(&path)?;
        let (bytes, sha256) = sum(&path, progress).map_err(|error| BackupError::file("read", &path, error))?;
        let path = path.strip_prefix(root).unwrap_or(&path);
        let path = path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        files.push(FileSum { path, bytes, sha256 });
    }
    Ok(())
}

/// How many bytes the files below `folder` have.
fn size_of(folder: &Path) -> Result<u64, BackupError> {
    let sizes = entries(folder)?.into_iter().map(|path| match path.is_dir() {
        true => size_of(&path),
        false => path.metadata().map(|file| file.len()).map_err(|error| BackupError::file("read", &path, error)),
    });
    sizes.sum()
}

/// How many bytes a file has, and their sum.
fn sum(path: &Path, progress: &Progress) -> std::io::Result<(u64, String)> {
    let (mut file, mut hash, mut buffer, mut bytes) = (File::open(path)?, Sha256::new(), vec![0; 64 * 1024], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, hex(&hash.finalize()))),
            read => {
                hash.update(&buffer[..read]);
                bytes += read as u64;
                progress.add(read as u64);
            }
        }
    }
}

/// The line about the manifest.
fn sum_line(manifest: &[u8]) -> String {
    format!("{}  {}\n", hex(&Sha256::digest(manifest)), manifest::FILE)
}

/// Waits until a file or a folder is on disk.
pub(super) fn sync(path: &Path) -> Result<(), BackupError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| BackupError::file("bring to the disk", path, error))
}

/// The folder in which something is.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| BackupError::file("write", path, error))
}

/// Reads one of the small files, without which it is no backup.
fn read(folder: &Path, name: &str) -> Result<Vec<u8>, BackupError> {
    /// More than any manifest has.
    const MOST: u64 = 64 * 1024 * 1024;
    let path = folder.join(name);
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(MOST).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(BackupError::damaged(folder, format!("is no backup, for there is no {name} in it")))
        }
        Err(error) => Err(BackupError::file("read", &path, error)),
    }
}
