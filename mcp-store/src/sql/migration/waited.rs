//! The column that says for how long a call waited.

use sea_orm::DbErr;
use sea_orm::sea_query::ColumnDef;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::add;
use crate::sql::entity::call::{Column, Entity};

pub(super) struct Waited;

impl MigrationName for Waited {
    fn name(&self) -> &str {
        "0021_waited"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Waited {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut waited = ColumnDef::new(Column::Waited);
        waited.big_integer().null();
        add(manager, Entity, waited).await
    }
}
