//! The tables, one step a file. Their names, and that of the list of steps, begin with `mcp_`, so that they can live beside the
//! tables and the migrations of a host.
//!
//! Steps only add: while a new version is rolled out, the one before it works on the same tables.

mod addresses;
mod calls;
mod claims;
mod counts;
mod files;
mod keys;
mod large;
mod leases;
mod links;
mod model_counts;
mod notes;
mod principals;
mod replaced;
mod replicas;
mod runs;
mod runs_of_principals;
mod sealed;
mod session_rooms;
mod sessions;
mod settings;
mod threads;
mod waited;

use std::collections::BTreeSet;

use sea_orm::sea_query::{ColumnDef, IntoIden, Query, Table};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, DynIden};
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager};

use crate::error::OpenError;
use crate::progress::{Progress, Unit};

struct Migrator;

/// The list of the steps that were taken.
const TABLE: &str = "mcp_migrations";

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(calls::Calls),
            Box::new(notes::Notes),
            Box::new(leases::Leases),
            Box::new(settings::Settings),
            Box::new(sessions::Sessions),
            Box::new(keys::Keys),
            Box::new(files::Files),
            Box::new(principals::Principals),
            Box::new(threads::Threads),
            Box::new(claims::Claims),
            Box::new(replicas::Replicas),
            Box::new(links::Links),
            Box::new(runs::Runs),
            Box::new(session_rooms::SessionRooms),
            Box::new(large::Large),
            Box::new(addresses::Addresses),
            Box::new(sealed::Sealed),
            Box::new(replaced::Replaced),
            Box::new(counts::Counts),
            Box::new(model_counts::ModelCounts),
            Box::new(waited::Waited),
            Box::new(runs_of_principals::RunsOfPrincipals),
        ]
    }

    fn migration_table_name() -> DynIden {
        TABLE.into_iden()
    }
}

/// What is to be done about a database.
pub(super) enum Plan {
    /// These steps are missing; none, where a newer version has done them and more.
    Run(Vec<String>),
    /// This step was made by another version, which did not make all that this one needs.
    Foreign(String),
}

impl Plan {
    /// The names of the steps that are missing in `place`.
    pub(super) fn into_names(self, place: &str) -> Result<Vec<String>, OpenError> {
        match self {
            Self::Run(missing) => Ok(missing),
            Self::Foreign(migration) => Err(OpenError::Foreign { place: place.to_owned(), migration }),
        }
    }
}

/// Compares what was done to a database with what this version knows. It only reads.
pub(super) async fn plan(schema: &SchemaManager<'_>) -> Result<Plan, DbErr> {
    let mut done = done(schema).await?;
    let missing = all().into_iter().filter(|name| !done.remove(name)).collect::<Vec<_>>();
    match done.pop_first() {
        Some(foreign) if !missing.is_empty() => Ok(Plan::Foreign(foreign)),
        _ => Ok(Plan::Run(missing)),
    }
}

/// The steps that were taken, by this version or another.
async fn done(schema: &SchemaManager<'_>) -> Result<BTreeSet<String>, DbErr> {
    if !schema.has_table(TABLE).await? {
        return Ok(BTreeSet::new());
    }
    let mut versions = Query::select();
    versions.column("version").from(TABLE);
    let rows = schema.get_connection().query_all(&versions).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// The names of all steps.
pub(crate) fn all() -> Vec<String> {
    Migrator::get_migration_files().iter().map(|migration| migration.name().to_owned()).collect()
}

/// Runs the steps that are missing.
pub(super) async fn run(transaction: &DatabaseTransaction, progress: &Progress) -> Result<Plan, DbErr> {
    let plan = plan(&SchemaManager::new(transaction)).await?;
    if let Plan::Run(missing) = &plan
        && !missing.is_empty()
    {
        progress.starts("changing the tables", Unit::Migrations, Some(missing.len() as u64));
        for _ in missing {
            Migrator::up(transaction, Some(1)).await?;
            progress.add(1);
        }
    }
    Ok(plan)
}

/// Adds a column to a table that is there. SQLite takes one at a time.
async fn add(manager: &SchemaManager<'_>, table: impl IntoIden, mut column: ColumnDef) -> Result<(), DbErr> {
    let mut alter = Table::alter();
    alter.table(table.into_iden()).add_column(&mut column);
    manager.alter_table(alter).await
}

/// A column of text. In PostgreSQL it is compared byte by byte: faster, and an index outlives a change of the system's rules.
fn text(column: impl IntoIden, backend: DbBackend) -> ColumnDef {
    let mut column = ColumnDef::new(column);
    column.text().not_null();
    if backend == DbBackend::Postgres {
        column.extra("COLLATE \"C\"");
    }
    column
}

/// A column of 16 bytes that sort as the ids do.
fn id(column: impl IntoIden, backend: DbBackend) -> ColumnDef {
    let mut column = ColumnDef::new(column);
    if backend == DbBackend::Postgres {
        column.uuid()
    } else {
        column.blob()
    };
    column
}
