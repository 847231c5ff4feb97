//! The tables of users, of their roles and of their keys.

use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, ForeignKeyCreateStatement, Index, IntoIden, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait};

use super::{id, text};
use crate::sql::entity::api_key::{Column, Entity};
use crate::sql::entity::user;

pub(super) struct Principals;

impl MigrationName for Principals {
    fn name(&self) -> &str {
        "0008_principals"
    }
}

const ROLES: &str = "mcp_user_roles";

#[async_trait::async_trait]
impl MigrationTrait for Principals {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let mut users = Table::create();
        users
            .table(user::Entity)
            .col(text(user::Column::Tenant, backend))
            .col(text(user::Column::Principal, backend))
            .col(text(user::Column::DisplayName, backend))
            .col(ColumnDef::new(user::Column::Disabled).boolean().not_null())
            .col(ColumnDef::new(user::Column::Created).big_integer().not_null())
            .primary_key(Index::create().col(user::Column::Tenant).col(user::Column::Principal));
        manager.create_table(users).await?;

        let mut roles = Table::create();
        roles
            .table(ROLES)
            .col(text("tenant", backend))
            .col(text("principal", backend))
            .col(text("role", backend))
            .primary_key(Index::create().col("tenant").col("principal").col("role"))
            .foreign_key(&mut of_a_user("mcp_user_roles_user", ROLES));
        manager.create_table(roles).await?;

        let mut keys = Table::create();
        keys.table(Entity)
            .col(text(Column::Tenant, backend))
            .col(id(Column::Id, backend).not_null())
            .col(text(Column::Principal, backend))
            .col(text(Column::Name, backend))
            .col(ColumnDef::new(Column::Hash).blob().not_null())
            .col(text(Column::Scopes, backend))
            .col(text(Column::Roles, backend))
            .col(ColumnDef::new(Column::Created).big_integer().not_null())
            .col(ColumnDef::new(Column::Expires).big_integer())
            .col(ColumnDef::new(Column::Revoked).big_integer())
            .col(ColumnDef::new(Column::Used).big_integer())
            .primary_key(Index::create().col(Column::Tenant).col(Column::Id))
            .foreign_key(&mut of_a_user("mcp_api_keys_user", Entity));
        manager.create_table(keys).await?;
        let mut hash = Index::create();
        hash.name("mcp_api_keys_hash").table(Entity).unique().col(Column::Hash);
        manager.create_index(hash).await?;
        let mut principal = Index::create();
        principal.name("mcp_api_keys_principal").table(Entity);
        principal.col(Column::Tenant).col(Column::Principal).col(Column::Id);
        manager.create_index(principal).await
    }
}

/// What goes with its user.
fn of_a_user(name: &str, table: impl IntoIden) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create();
    key.name(name)
        .from(table.into_iden(), ("tenant", "principal"))
        .to(user::Entity, (user::Column::Tenant, user::Column::Principal))
        .on_delete(ForeignKeyAction::Cascade);
    key
}
