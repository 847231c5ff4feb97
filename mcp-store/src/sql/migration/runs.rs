//! The tables of runs, of their steps, and of their inputs.

use sea_orm::sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, ForeignKeyCreateStatement, Index, IntoIden, Table};
use sea_orm::{DbErr, Iden};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::{id, text};
use crate::sql::entity::{input, run, step};

pub(super) struct Runs;

impl MigrationName for Runs {
    fn name(&self) -> &str {
        "0013_runs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Runs {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        use run::Column;
        let backend = manager.get_database_backend();
        let mut table = Table::create();
        table
            .table(run::Entity)
            .col(text(Column::Tenant, backend))
            .col(id(Column::Id, backend).not_null())
            .col(ColumnDef::new(Column::Format).small_integer().not_null())
            .col(text(Column::Principal, backend))
            .col(text(Column::Kind, backend))
            .col(id(Column::Parent, backend))
            .col(ColumnDef::new(Column::Arguments).blob().not_null())
            .col(ColumnDef::new(Column::At).big_integer().not_null())
            .col(text(Column::State, backend))
            .col(ColumnDef::new(Column::Epoch).big_integer().not_null())
            .col(ColumnDef::new(Column::Attempts).integer().not_null())
            .col(ColumnDef::new(Column::Position).integer().not_null())
            .col(ColumnDef::new(Column::Inputs).integer().not_null())
            .col(ColumnDef::new(Column::Due).big_integer())
            .col(ColumnDef::new(Column::Ended).big_integer())
            .col(ColumnDef::new(Column::Result).blob().not_null())
            .primary_key(Index::create().col(Column::Tenant).col(Column::Id));
        manager.create_table(table).await?;
        // The first finds what is new, what waits and what was abandoned; the second is a caller's list; the third is what may go.
        let indexes: [(&str, &[Column]); 3] = [
            ("mcp_runs_due", &[Column::Kind, Column::Due]),
            ("mcp_runs_principal", &[Column::Tenant, Column::Principal, Column::Id]),
            ("mcp_runs_ended", &[Column::Ended]),
        ];
        for (name, columns) in indexes {
            let mut index = Index::create();
            index.name(name).table(run::Entity);
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }

        use step::Column as Step;
        let mut table = Table::create();
        table
            .table(step::Entity)
            .col(text(Step::Tenant, backend))
            .col(id(Step::Run, backend).not_null())
            .col(ColumnDef::new(Step::Number).integer().not_null())
            .col(ColumnDef::new(Step::Epoch).big_integer().not_null())
            .col(text(Step::Kind, backend))
            .col(text(Step::Key, backend))
            .col(ColumnDef::new(Step::Body).blob().not_null())
            .col(ColumnDef::new(Step::At).big_integer().not_null())
            .primary_key(Index::create().col(Step::Tenant).col(Step::Run).col(Step::Number))
            .foreign_key(&mut of_a_run(step::Entity, Step::Tenant, Step::Run));
        manager.create_table(table).await?;

        use input::Column as Input;
        let mut table = Table::create();
        table
            .table(input::Entity)
            .col(text(Input::Tenant, backend))
            .col(id(Input::Run, backend).not_null())
            .col(ColumnDef::new(Input::Number).integer().not_null())
            .col(id(Input::Id, backend).not_null())
            .col(text(Input::Principal, backend))
            .col(text(Input::Kind, backend))
            .col(ColumnDef::new(Input::Body).blob().not_null())
            .col(ColumnDef::new(Input::At).big_integer().not_null())
            .primary_key(Index::create().col(Input::Tenant).col(Input::Run).col(Input::Number))
            .foreign_key(&mut of_a_run(input::Entity, Input::Tenant, Input::Run));
        manager.create_table(table).await?;
        let mut index = Index::create();
        index.name("mcp_inputs_id").table(input::Entity).col(Input::Tenant).col(Input::Run).col(Input::Id).unique();
        manager.create_index(index).await
    }
}

/// What goes with its run.
fn of_a_run<C: Iden + Copy + 'static>(table: impl IntoIden, tenant: C, run: C) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create();
    key.from_tbl(table)
        .from_col(tenant)
        .from_col(run)
        .to_tbl(run::Entity)
        .to_col(run::Column::Tenant)
        .to_col(run::Column::Id)
        .on_delete(ForeignKeyAction::Cascade);
    key
}
