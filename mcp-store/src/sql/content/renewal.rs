//! Brings what is kept to how the settings say: sealed under the newest key, or plain.

mod blobs;
mod tables;

use std::sync::Arc;

use futures_util::FutureExt;
use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::blobs::Blobs;
use mcp_core::store::leases::Leases;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde::Serialize;

use super::{Content, STORE};
use crate::progress::{Progress, Unit};
use crate::sql::Database;
use crate::sql::error::store_error;
use crate::sql::large::LargeBytes;
use blobs::Held;
use tables::{Row, TABLES};

/// How many values of one table are not as the settings say, or were not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Renewed {
    /// The table.
    pub table: &'static str,
    /// How many of its rows.
    pub rows: u64,
}

/// What is done beside those who serve: a row that they change meanwhile stays as they have changed it, and is as the settings say
/// anyhow.
pub(crate) struct Renewal {
    pub(crate) database: Database,
    pub(crate) content: Content,
    pub(crate) blobs: Option<Arc<dyn Blobs>>,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether it is only counted.
    pub(crate) only_counts: bool,
    pub(crate) progress: Progress,
}

/// The contents of files; those of records are counted with their rows.
const FILES: &str = "mcp_contents WHERE record IS NULL";
/// How many rows are looked at at once. Each may be large.
const PAGE: usize = 32;

impl Renewal {
    /// Renews all, and tells how many rows of each table that concerned.
    pub(crate) async fn run(&self) -> Result<Vec<Renewed>, StoreError> {
        self.progress.starts("waiting for who removes files", Unit::Rows, None);
        let held = self.hold().await?;
        let all = self.count().await.map_err(store_error(STORE))?;
        self.progress.starts("looking through what is kept", Unit::Rows, Some(all));
        let done = self.all(held.as_ref()).await;
        if let Some(held) = held {
            // It ends by itself, where it cannot be given back.
            let _ = self.leases.release(held.lease).await;
        }
        let done = done?;
        if !self.only_counts && self.database.backend() == DbBackend::Sqlite {
            self.scrub().await.map_err(store_error(STORE))?;
        }
        Ok(done)
    }

    async fn all(&self, held: Option<&Held>) -> Result<Vec<Renewed>, StoreError> {
        let mut done = Vec::new();
        for table in TABLES {
            let (mut rows, mut after) = (0, None);
            loop {
                let page = table.page(&self.database, after.as_ref(), PAGE).await.map_err(store_error(STORE))?;
                let mut statements = Vec::new();
                for row in &page {
                    let before = rows;
                    let changes = self.changes(row).await?;
                    if row.blob.is_some() {
                        rows += u64::from(self.renew_record(row, held).await?);
                    }
                    rows += u64::from(rows == before && !changes.is_empty());
                    statements.extend(changes);
                    if !self.only_counts {
                        statements.extend(self.words(row).await?);
                    }
                }
                self.write(statements).await?;
                self.progress.add(page.len() as u64);
                if page.len() < PAGE {
                    break;
                }
                after = page.into_iter().next_back();
            }
            done.push(Renewed { table: table.name, rows });
        }
        done.push(Renewed { table: "mcp_contents", rows: self.renew_files(held).await? });
        Ok(done)
    }

    /// How many rows there are to be looked at.
    async fn count(&self) -> Result<u64, DbErr> {
        let mut all = 0;
        for table in TABLES.iter().map(|table| table.name).chain([FILES]) {
            let count = Statement::from_string(self.database.backend(), format!("SELECT COUNT(*) FROM {table}"));
            let row = self.database.writer().query_one_raw(count).await?;
            all += row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?.cast_unsigned();
        }
        Ok(all)
    }

    /// What makes the columns of a row what they are to be.
    async fn changes(&self, row: &Row) -> Result<Vec<Statement>, StoreError> {
        let mut changes = Vec::new();
        for (column, stored) in row.table.columns.iter().zip(&row.stored) {
            if let Some(renewed) = self.renewed(row, column, stored).await? {
                changes.push(row.change(self.database.backend(), column, stored, renewed));
            }
        }
        Ok(changes)
    }

    async fn write(&self, statements: Vec<Statement>) -> Result<(), StoreError> {
        if self.only_counts || statements.is_empty() {
            return Ok(());
        }
        let write = self.database.transaction(move |transaction| {
            async move {
                for statement in statements {
                    transaction.execute_raw(statement).await?;
                }
                Ok(())
            }
            .boxed()
        });
        write.await.map_err(store_error(STORE))
    }

    /// Writes the file anew without what was replaced in it, where nobody else is in the middle of something.
    async fn scrub(&self) -> Result<(), DbErr> {
        for words in ["mcp_note_words", "mcp_message_words", "mcp_file_words"] {
            let optimize = format!("INSERT INTO {words} ({words}) VALUES ('optimize')");
            self.database.writer().execute_unprepared(&optimize).await?;
        }
        for scrub in ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"] {
            if let Err(error) = self.database.writer().execute_unprepared(scrub).await {
                tracing::warn!(%error, "what was replaced is still in free pages of the file: run it again when nobody serves");
            }
        }
        Ok(())
    }

    fn large(&self) -> LargeBytes {
        LargeBytes::new(self.blobs.clone())
    }
}
