//! A column that says under which key the bytes of a file are sealed.

use sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::{add, text};
use crate::sql::entity::content::{Column, Entity};

pub(super) struct Sealed;

impl MigrationName for Sealed {
    fn name(&self) -> &str {
        "0017_sealed"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Sealed {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut sealed = text(Column::Sealed, manager.get_database_backend());
        sealed.null();
        add(manager, Entity, sealed).await
    }
}
