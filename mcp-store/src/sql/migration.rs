//! The tables, one step a file. Their names, and that of the list of steps, begin with `mcp_`, so that they can live beside the
//! tables and the migrations of a host.

mod calls;
mod notes;

use sea_orm::DynIden;
use sea_orm::sea_query::{Alias, IntoIden};
use sea_orm_migration::{MigrationTrait, MigratorTrait};

pub(super) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(calls::Calls), Box::new(notes::Notes)]
    }

    fn migration_table_name() -> DynIden {
        Alias::new("mcp_migrations").into_iden()
    }
}
