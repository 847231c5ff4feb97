//! What changes the tables of files, each in one transaction.
//!
//! The changes of one tenant come one after the other: contents are shared, and so that one file's are not forgotten while another
//! begins to refer to them. In SQLite there is one transaction at a time anyhow.

use mcp_core::caller::{Principal, Tenant};
use mcp_core::store::files::{File, OVERHEAD};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Select, Statement, Value};
use sha2::{Digest, Sha256};

use super::named;
use crate::sql::content::sealed_size;
use crate::sql::entity::file::{Entity, Model};
use crate::sql::text::stored;
use crate::sql::words::{array, line};

/// A file that is written.
pub(super) struct Change {
    old: Select<Entity>,
    row: Model,
    blob: String,
    /// The key under which the bytes are sealed there, if they are.
    sealed: Option<String>,
    tokens: Vec<String>,
}

/// What became of the blob of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It has the bytes of the file.
    New,
    /// An older one has: these bytes were known.
    Known,
    /// There is no room for the file, which was not written.
    Nothing,
}

const OVERHEAD_OF_EACH: i64 = OVERHEAD.cast_signed();

/// The first blob of a tenant with these bytes stays, unless they are sealed otherwise by now: then it is swept.
const REFER: &str = "INSERT INTO mcp_contents (tenant, hash, blob, size, sealed) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (tenant, hash) DO UPDATE SET \
                     blob = CASE WHEN {same} THEN mcp_contents.blob ELSE EXCLUDED.blob END, \
                     size = CASE WHEN {same} THEN mcp_contents.size ELSE EXCLUDED.size END, \
                     sealed = EXCLUDED.sealed RETURNING blob";

const SAME: &str = "coalesce(mcp_contents.sealed, '') = coalesce(EXCLUDED.sealed, '')";

const FORGET: &str = "DELETE FROM mcp_contents WHERE tenant = $1 AND hash = $2 \
                      AND NOT EXISTS (SELECT 1 FROM mcp_files WHERE tenant = $1 AND hash = $2)";

const TAKEN: &str = "SELECT taken FROM mcp_file_rooms WHERE tenant = $1 AND owner = $2";

const TAKE: &str = "INSERT INTO mcp_file_rooms (tenant, owner, taken) VALUES ($1, $2, $3) \
                    ON CONFLICT (tenant, owner) DO UPDATE SET taken = EXCLUDED.taken";

const EMPTY: &str = "DELETE FROM mcp_file_rooms WHERE tenant = $1 AND owner = $2";

impl Change {
    pub(super) fn new(tenant: &Tenant, owner: &Principal, file: &File, blob: &str, tokens: Vec<String>) -> Self {
        let row = Model {
            // The database gives it one.
            id: 0,
            tenant: stored(tenant.as_str()).into_owned(),
            owner: stored(owner.as_str()).into_owned(),
            name: stored(&file.name).into_owned(),
            content_type: stored(&file.content_type).into_owned(),
            hash: file.hash.as_bytes().to_vec(),
            size: i64::try_from(file.size).unwrap_or(i64::MAX),
            written: file.written.as_micros(),
        };
        Self { old: named(tenant, owner, &file.name), row, blob: blob.to_owned(), sealed: None, tokens }
    }

    /// The same, with bytes that were sealed under a key, if there is one.
    pub(super) fn sealed(self, sealed: Option<String>) -> Self {
        Self { sealed, ..self }
    }

    /// Writes the file, if its owner's take no more than `most` then.
    pub(super) async fn write(self, transaction: &DatabaseTransaction, most: i64) -> Result<Kept, DbErr> {
        let Self { old, row, blob, sealed, tokens } = self;
        lock(transaction, &row.tenant).await?;
        let old = old.one(transaction).await?;
        let freed = old.as_ref().map_or(0, room);
        let taken = taken(transaction, &row).await?.saturating_sub(freed).saturating_add(room(&row));
        if taken > most {
            return Ok(Kept::Nothing);
        }
        take(transaction, &row, taken).await?;
        let size = match sealed {
            Some(_) => i64::try_from(sealed_size(row.size.cast_unsigned())).unwrap_or(i64::MAX),
            None => row.size,
        };
        let (tenant, hash) = (row.tenant.clone(), row.hash.clone());
        let contents = [tenant.into(), hash.into(), blob.clone().into(), size.into(), sealed.into()];
        let referred = run(transaction, &REFER.replace("{same}", SAME), contents).await?;
        let referred: String = referred.ok_or_else(nothing)?.try_get_by_index(0)?;
        if let Some(old) = &old {
            remove_row(transaction, old.id).await?;
        }
        let (tenant, hash) = (row.tenant.clone(), row.hash.clone());
        insert_row(transaction, row, tokens).await?;
        if let Some(old) = old.filter(|old| old.hash != hash) {
            forget(transaction, tenant, old.hash).await?;
        }
        Ok(if referred == blob { Kept::New } else { Kept::Known })
    }
}

/// Removes a file of `tenant`, and tells whether there was one.
pub(super) async fn remove(
    transaction: &DatabaseTransaction,
    tenant: String,
    old: Select<Entity>,
) -> Result<bool, DbErr> {
    lock(transaction, &tenant).await?;
    let Some(old) = old.one(transaction).await? else { return Ok(false) };
    let taken = taken(transaction, &old).await?.saturating_sub(room(&old));
    take(transaction, &old, taken).await?;
    remove_row(transaction, old.id).await?;
    forget(transaction, tenant, old.hash).await?;
    Ok(true)
}

/// Until the transaction ends, no other one changes the files of this tenant.
async fn lock(transaction: &DatabaseTransaction, tenant: &str) -> Result<(), DbErr> {
    if transaction.get_database_backend() == DbBackend::Postgres {
        let digest = Sha256::new().chain_update("mcp_files ").chain_update(tenant).finalize();
        let number = digest.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        run(transaction, "SELECT pg_advisory_xact_lock($1)", [number.into()]).await?;
    }
    Ok(())
}

async fn insert_row(transaction: &DatabaseTransaction, row: Model, tokens: Vec<String>) -> Result<(), DbErr> {
    const INSERT: &str = "INSERT INTO mcp_files (tenant, owner, name, content_type, hash, size, written{words}) \
                          VALUES ($1, $2, $3, $4, $5, $6, $7{value}) RETURNING id";
    let Model { id: _, tenant, owner, name, content_type, hash, size, written } = row;
    let mut values: Vec<Value> =
        vec![tenant.into(), owner.into(), name.into(), content_type.into(), hash.into(), size.into(), written.into()];
    if transaction.get_database_backend() == DbBackend::Postgres {
        values.push(array(tokens));
        run(transaction, &INSERT.replace("{words}", ", words").replace("{value}", ", $8"), values).await?;
        return Ok(());
    }
    let inserted = run(transaction, &INSERT.replace("{words}", "").replace("{value}", ""), values).await?;
    let id: i64 = inserted.ok_or_else(nothing)?.try_get_by_index(0)?;
    let words = [id.into(), line(&tokens).into()];
    run(transaction, "INSERT INTO mcp_file_words (rowid, words) VALUES ($1, $2)", words).await.map(drop)
}

async fn remove_row(transaction: &DatabaseTransaction, id: i64) -> Result<(), DbErr> {
    if transaction.get_database_backend() == DbBackend::Sqlite {
        run(transaction, "DELETE FROM mcp_file_words WHERE rowid = $1", [id.into()]).await?;
    }
    run(transaction, "DELETE FROM mcp_files WHERE id = $1", [id.into()]).await.map(drop)
}

/// Forgets contents, unless a file still has them.
async fn forget(transaction: &DatabaseTransaction, tenant: String, hash: Vec<u8>) -> Result<(), DbErr> {
    run(transaction, FORGET, [tenant.into(), hash.into()]).await.map(drop)
}

/// How much room a file takes.
fn room(row: &Model) -> i64 {
    row.size.saturating_add(OVERHEAD_OF_EACH)
}

async fn taken(transaction: &DatabaseTransaction, row: &Model) -> Result<i64, DbErr> {
    let taken = run(transaction, TAKEN, [row.tenant.clone().into(), row.owner.clone().into()]).await?;
    taken.map_or(Ok(0), |row| row.try_get_by_index(0))
}

async fn take(transaction: &DatabaseTransaction, row: &Model, taken: i64) -> Result<(), DbErr> {
    let owner = [row.tenant.clone().into(), row.owner.clone().into()];
    if taken == 0 {
        run(transaction, EMPTY, owner).await?;
    } else {
        run(transaction, TAKE, owner.into_iter().chain([taken.into()])).await?;
    }
    Ok(())
}

/// Runs a statement, and gives its first row, if it has one.
async fn run(
    transaction: &DatabaseTransaction,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<sea_orm::QueryResult>, DbErr> {
    let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    transaction.query_one_raw(statement).await
}

fn nothing() -> DbErr {
    DbErr::Custom("the database gave nothing back".to_owned())
}
