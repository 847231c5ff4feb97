//! The column that says where a call came from.

use sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::{add, text};
use crate::sql::entity::call::{Column, Entity};

pub(super) struct Addresses;

impl MigrationName for Addresses {
    fn name(&self) -> &str {
        "0016_addresses"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Addresses {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut address = text(Column::Address, manager.get_database_backend());
        address.null();
        add(manager, Entity, address).await
    }
}
