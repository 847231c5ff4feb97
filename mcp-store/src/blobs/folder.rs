//! Blobs in a folder of this machine.

#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use mcp_core::clock::Timestamp;
use mcp_core::store::StoreError;
use mcp_core::store::blobs::{BlobInfo, Blobs, ByteStream};
use tokio::task::spawn_blocking;

use super::{STORE, is_name};

/// [`Blobs`] in a folder, each in a file of its name, on one of 256 shelves. A file has its name once all of it is on the disk.
pub(crate) struct FolderBlobs {
    folder: PathBuf,
}

/// How many bytes are written or read at once.
const PIECE: usize = 256 * 1024;

/// What stands behind the name of a file that is not whole yet.
const UNFINISHED: &str = "part";

impl FolderBlobs {
    /// The blobs of a folder, which is made where it is missing, for its owner alone.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        make(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name.get(..2).unwrap_or(name)).join(name)
    }

    /// Removes what is older than `age` of blobs that are not whole, because the process ended before they were. Blocks.
    pub(crate) fn remove_unfinished(folder: &Path, age: Duration) -> io::Result<()> {
        for shelf in shelves(folder)? {
            for file in shelf.read_dir()? {
                let path = file?.path();
                let is_old = |modified: SystemTime| modified.elapsed().is_ok_and(|elapsed| elapsed >= age);
                // One that becomes whole meanwhile is not there any more.
                if path.extension().is_some_and(|extension| extension == UNFINISHED)
                    && path.metadata().and_then(|file| file.modified()).is_ok_and(is_old)
                {
                    std::fs::remove_file(path)?;
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Blobs for FolderBlobs {
    async fn put(&self, name: &str, mut bytes: ByteStream) -> Result<u64, StoreError> {
        let path = self.path(name);
        let begun = path.with_extension(UNFINISHED);
        let mut part = blocking(move || Part::begin(begun)).await?;
        let (mut piece, mut size) = (BytesMut::new(), 0);
        loop {
            let next = bytes.try_next().await?;
            let is_last = next.is_none();
            piece.extend_from_slice(&next.unwrap_or_default());
            if piece.len() >= PIECE || is_last {
                let full = piece.split().freeze();
                size += full.len() as u64;
                part = blocking(move || part.file.write_all(&full).map(|()| part)).await?;
            }
            if is_last {
                break;
            }
        }
        blocking(move || part.finish(&path)).await?;
        Ok(size)
    }

    async fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<ByteStream>, StoreError> {
        let path = self.path(name);
        let opened = blocking(move || match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(mut file) => {
                let size = file.metadata()?.len();
                let Range { start, end } = range.unwrap_or(0..size);
                let left = end.min(size).saturating_sub(start);
                if start > 0 && left > 0 {
                    file.seek(SeekFrom::Start(start))?;
                }
                Ok(Some((file, left)))
            }
        });
        let Some(opened) = opened.await? else { return Ok(None) };
        let pieces = stream::try_unfold(opened, async |(file, left)| {
            if left == 0 {
                return Ok(None);
            }
            let (piece, file) = blocking(move || read(file, left)).await?;
            let left = left - piece.len() as u64;
            Ok(Some((piece, (file, left))))
        });
        Ok(Some(pieces.boxed()))
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name);
        blocking(move || match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }

    fn list(&self) -> BoxStream<'static, Result<BlobInfo, StoreError>> {
        let folder = self.folder.clone();
        let shelves = stream::once(blocking(move || shelves(&folder)));
        let shelves = shelves.map_ok(|shelves| stream::iter(shelves).map(Ok)).try_flatten();
        let blobs = shelves.and_then(|shelf| blocking(move || on(&shelf)));
        blobs.map_ok(|blobs| stream::iter(blobs).map(Ok)).try_flatten().boxed()
    }
}

/// A file that is not whole yet. It goes along with what waits for the disk, and so it is removed also where nobody waits for that any
/// more.
struct Part {
    file: File,
    path: PathBuf,
}

impl Part {
    fn begin(path: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = match options.open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make(path.parent().ok_or(error)?)?;
                options.open(&path)
            }
            opened => opened,
        };
        Ok(Self { file: file?, path })
    }

    /// Gives the file its name, once the disk has its bytes; and has the disk know of the name.
    fn finish(self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.path, path)?;
        sync_folder_of(path)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It has got its name, or what stays of it is removed once it is old.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Does what waits for the disk, where that holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, StoreError> {
    let done = spawn_blocking(work).await.unwrap_or_else(|ended| Err(io::Error::other(ended)));
    done.map_err(|error| StoreError::Unavailable { store: STORE, source: Some(Arc::new(error)) })
}

fn read(mut file: File, left: u64) -> io::Result<(Bytes, File)> {
    let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    let mut piece = BytesMut::zeroed(most);
    match file.read(&mut piece)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => {
            piece.truncate(count);
            Ok((piece.freeze(), file))
        }
    }
}

fn shelves(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut shelves = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_name().len() == 2 && entry.file_type()?.is_dir() {
            shelves.push(entry.path());
        }
    }
    Ok(shelves)
}

fn on(shelf: &Path) -> io::Result<Vec<BlobInfo>> {
    let mut blobs = Vec::new();
    for entry in shelf.read_dir()? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().filter(|name| is_name(name)).map(str::to_owned) else { continue };
        match entry.metadata() {
            Ok(file) => {
                let put = file.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
                let put = Timestamp::from_micros(i64::try_from(put).unwrap_or(i64::MAX));
                blobs.push(BlobInfo { name, size: file.len(), put });
            }
            // It was deleted meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(blobs)
}

/// Makes a folder that is its owner's alone, with those that lead to it, and has the disk know of it.
fn make(folder: &Path) -> io::Result<()> {
    let mut private = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
    match private.create(folder) {
        Ok(()) => sync_folder_of(folder),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make(folder.parent().filter(|parent| !parent.as_os_str().is_empty()).ok_or(error)?)?;
            make(folder)
        }
        Err(error) => Err(error),
    }
}

/// Without this, a power cut may take back that there is such a file, whose bytes are on the disk.
#[cfg(unix)]
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Elsewhere a folder cannot be opened.
#[cfg(not(unix))]
fn sync_folder_of(_: &Path) -> io::Result<()> {
    Ok(())
}
