//! The table of the sessions of the protocol, and the orders in which sessions are put out.

use sea_orm::DbErr;
use sea_orm::sea_query::{Alias, ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::text;
use crate::sql::entity::session::Column;

pub(super) struct SessionRooms;

impl MigrationName for SessionRooms {
    fn name(&self) -> &str {
        "0014_session_rooms"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for SessionRooms {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (backend, protocol) = (manager.get_database_backend(), "mcp_protocol_sessions");
        let mut table = Table::create();
        table
            .table(Alias::new(protocol))
            .col(text(Column::Tenant, backend))
            .col(text(Column::Owner, backend))
            .col(text(Column::Handle, backend))
            .col(ColumnDef::new(Column::Version).big_integer().not_null())
            .col(ColumnDef::new(Column::Value).blob().not_null())
            .col(ColumnDef::new(Column::Created).big_integer().not_null())
            .col(ColumnDef::new(Column::Used).big_integer().not_null())
            .col(ColumnDef::new(Column::Idle).big_integer().not_null())
            .col(ColumnDef::new(Column::Ends).big_integer().not_null())
            .primary_key(Index::create().col(Column::Tenant).col(Column::Owner).col(Column::Handle));
        manager.create_table(table).await?;
        let mut index = Index::create();
        index.name("mcp_protocol_sessions_ends").table(Alias::new(protocol)).col(Column::Ends);
        manager.create_index(index).await?;
        // They have all that is asked of a session when others are counted, so that its row is not looked at.
        for table in ["mcp_sessions", protocol] {
            for (order, columns) in [
                ("owner", &[Column::Tenant, Column::Owner, Column::Used, Column::Handle, Column::Ends][..]),
                ("used", &[Column::Used, Column::Handle, Column::Ends]),
            ] {
                let mut index = Index::create();
                index.name(format!("{table}_{order}")).table(Alias::new(table));
                for column in columns {
                    index.col(*column);
                }
                manager.create_index(index).await?;
            }
        }
        Ok(())
    }
}
