//! SQLite: a copy that it makes itself, and a file that is put in its place as a whole.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

use super::contents::{Contents, query};
use super::error::BackupError;
use super::folder::{beside, blocking, make, parent, sync};
use crate::sql::error::message;
use crate::sql::sqlite::SqliteFile;

/// Writes the database, as it is at one moment, into a file that is not there yet. Who writes meanwhile does not wait.
pub(super) async fn copy(file: &SqliteFile, to: &Path) -> Result<Contents, BackupError> {
    let reader = file.alone().await?;
    let vacuum = Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO $1", [to.display().to_string().into()]);
    let copied = reader.execute_raw(vacuum).await;
    // What was copied is in the file; that the connection does not close well changes nothing.
    let _ = reader.close().await;
    copied.map_err(failed("copy", file))?;
    let contents = contents(&SqliteFile::existing(to)).await?;
    if contents.tables.is_empty() {
        return Err(BackupError::Empty { place: file.to_string() });
    }
    Ok(contents)
}

/// What is in the file, which is read to its last page.
pub(super) async fn contents(file: &SqliteFile) -> Result<Contents, BackupError> {
    let reader = file.alone().await?;
    let read = async {
        let said = query(&reader, "PRAGMA integrity_check(1)").await?;
        let said = said.first().map(|row| row.try_get_by_index::<String>(0)).transpose()?.unwrap_or_default();
        if said != "ok" {
            return Err(DbErr::Custom(said));
        }
        Contents::read(&reader).await
    };
    let read = read.await;
    let _ = reader.close().await;
    read.map_err(failed("read", file))
}

/// Refuses a file that is there, and what may be left of one: SQLite would take it for the newest part of whatever is put there.
pub(super) fn check_empty(file: &SqliteFile) -> Result<(), BackupError> {
    for end in ["", "-wal", "-journal"] {
        let mut path = file.path().as_os_str().to_owned();
        path.push(end);
        if Path::new(&path).symlink_metadata().is_ok() {
            let found = format!("there is {}", Path::new(&path).display());
            return Err(BackupError::NotEmpty { place: file.to_string(), found, mend: "a file that is not there yet" });
        }
    }
    Ok(())
}

/// Puts a copy in the place of the database: all of it, or nothing. The folder and the file are their owner's alone.
pub(super) async fn restore(file: &SqliteFile, from: &Path) -> Result<(), BackupError> {
    check_empty(file)?;
    let (from, place, partial) = (from.to_owned(), file.path().to_owned(), partial(file));
    blocking(move || {
        let partial = &*partial;
        let mut new = OpenOptions::new();
        new.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
        let around = parent(&place);
        make(around)?;
        let mut source = File::open(&from).map_err(|error| BackupError::file("read", &from, error))?;
        let written = new.open(partial).and_then(|mut to| {
            std::io::copy(&mut source, &mut to)?;
            to.sync_all()
        });
        written.map_err(|error| BackupError::file("write", partial, error))?;
        fs::rename(partial, &place).map_err(|error| BackupError::file("write", &place, error))?;
        sync(around)
    })
    .await
}

/// Where what is put in the place of the database is, until all of it is there.
pub(super) fn partial(file: &SqliteFile) -> PathBuf {
    let mut partial = file.path().as_os_str().to_owned();
    partial.push(".partial");
    partial.into()
}

/// A file in a folder of its own beside `folder`. It is removed when the work is done, however that ends; where this process is ended
/// before, the next trial does it.
pub(super) async fn with_scratch<T: Send + 'static>(
    folder: &Path,
    work: impl FnOnce(SqliteFile) -> BoxFuture<'static, Result<T, BackupError>> + Send + 'static,
) -> Result<T, BackupError> {
    let scratch = beside(folder, ".verify");
    let done = tokio::spawn(async move {
        // What is not there is gone already.
        let _ = fs::remove_dir_all(&scratch);
        make(&scratch)?;
        let there = SqliteFile::existing(&scratch.join("trial.db"));
        let worked = tokio::spawn(work(there)).await.unwrap_or_else(|ended| Err(BackupError::ended(&ended)));
        let removed = fs::remove_dir_all(&scratch).map_err(|error| BackupError::file("remove", &scratch, error));
        worked.and_then(|worked| removed.map(|()| worked))
    });
    done.await.unwrap_or_else(|ended| Err(BackupError::ended(&ended)))
}

fn failed(action: &'static str, file: &SqliteFile) -> impl Fn(DbErr) -> BackupError {
    move |error| BackupError::Database { action, place: file.to_string(), source: message(&error).into() }
}
