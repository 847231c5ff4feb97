//! A row of `mcp_sessions`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_sessions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) owner: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) handle: String,
    /// Random, and so another one each time.
    pub(crate) version: i64,
    pub(crate) value: Vec<u8>,
    /// Microseconds since the epoch.
    pub(crate) created: i64,
    /// Microseconds since the epoch.
    pub(crate) used: i64,
    /// Microseconds.
    pub(crate) idle: i64,
    /// Microseconds since the epoch: `idle` after `used`.
    pub(crate) ends: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
