//! The columns that say in the place of which key another one was made.

use sea_orm::DbErr;
use sea_orm::sea_query::ColumnDef;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::{add, id};
use crate::sql::entity::api_key::{Column, Entity};

pub(super) struct Replaced;

impl MigrationName for Replaced {
    fn name(&self) -> &str {
        "0018_replaced"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Replaced {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut at = ColumnDef::new(Column::ReplacesAt);
        at.big_integer();
        add(manager, Entity, id(Column::Replaces, manager.get_database_backend())).await?;
        add(manager, Entity, at).await
    }
}
