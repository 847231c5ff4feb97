//! A row of `mcp_settings`.

use mcp_core::store::settings::Setting;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_settings")]
pub(crate) struct Model {
    /// Or the house.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
    /// A random number.
    pub(crate) version: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for Setting {
    fn from(row: Model) -> Self {
        Self { value: row.value.into(), version: row.version.cast_unsigned() }
    }
}
