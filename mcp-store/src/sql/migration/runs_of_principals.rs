//! The index of whose runs there are, in an order in which it is of no use for anything else.

use sea_orm::DbErr;
use sea_orm::sea_query::Index;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::sql::entity::run::{Column, Entity};

pub(super) struct RunsOfPrincipals;

impl MigrationName for RunsOfPrincipals {
    fn name(&self) -> &str {
        "0022_runs_of_principals"
    }
}

/// With the tenant in front PostgreSQL took it for as good as the primary key while there were few runs, kept that plan, and walked over all
/// runs of a tenant to find one.
#[async_trait::async_trait]
impl MigrationTrait for RunsOfPrincipals {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let name = "mcp_runs_principal";
        manager.drop_index(Index::drop().name(name).table(Entity).to_owned()).await?;
        let mut index = Index::create();
        index.name(name).table(Entity).col(Column::Principal).col(Column::Tenant).col(Column::Id);
        manager.create_index(index).await
    }
}
