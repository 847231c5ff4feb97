//! A row of `mcp_call_counts`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_call_counts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    /// Since 1970; of what is old, the first of its hour.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) minute: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tool: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) outcome: String,
    /// The bucket of [`Histogram`](mcp_core::measure::Histogram) in which their times are.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) bucket: i32,
    /// Which process has counted: none waits for another. Of what is old, zero.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) writer: i64,
    pub(crate) calls: i64,
    /// How long all of them took together.
    pub(crate) micros: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
