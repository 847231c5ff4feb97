//! Columns that name the blobs of large records, and the indexes by which the records are found that are still to be moved there.

use sea_orm::sea_query::{ConditionalStatement, Expr, Index, IntoIden};
use sea_orm::{DbErr, Iden};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::{add, id, text};
use crate::sql::entity::{call, content, run, step};

pub(super) struct Large;

impl MigrationName for Large {
    fn name(&self) -> &str {
        "0015_large"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Large {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let blob = |column| {
            let mut blob = text(column, backend);
            blob.null();
            blob
        };
        add(manager, call::Entity, blob(call::Column::Blob.into_iden())).await?;
        add(manager, run::Entity, blob(run::Column::Blob.into_iden())).await?;
        add(manager, step::Entity, blob(step::Column::Blob.into_iden())).await?;
        add(manager, content::Entity, id(content::Column::Record, backend)).await?;
        use {call::Column as Call, run::Column as Run, step::Column as Step};
        index(manager, "calls", call::Entity, [Call::Tenant, Call::Id], "length(arguments) + length(result)").await?;
        index(manager, "runs", run::Entity, [Run::Tenant, Run::Id], "length(arguments) + length(result)").await?;
        index(manager, "steps", step::Entity, [Step::Tenant, Step::Run], "length(body)").await
    }
}

/// An index of those rows alone that have so many bytes: who is moved leaves it.
async fn index<C: Iden + 'static>(
    manager: &SchemaManager<'_>,
    name: &str,
    table: impl IntoIden,
    columns: [C; 2],
    bytes: &'static str,
) -> Result<(), DbErr> {
    let mut index = Index::create();
    index.name(format!("mcp_{name}_large")).table(table.into_iden()).cond_where(Expr::cust(format!("{bytes} > 65536")));
    for column in columns {
        index.col(column.into_iden());
    }
    manager.create_index(index).await
}
