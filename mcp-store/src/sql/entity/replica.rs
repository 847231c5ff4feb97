//! A row of `mcp_replicas`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_replicas")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: i64,
    pub(crate) host: String,
    pub(crate) version: String,
    /// Microseconds since the epoch of the replica's own clock.
    pub(crate) started: i64,
    /// Whether no other may live beside it.
    pub(crate) alone: bool,
    /// Microseconds since the epoch of the clock.
    pub(crate) until: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
