//! A row of `mcp_model_counts`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_model_counts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    /// Since 1970; of what is old, the first of its hour.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) minute: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) agent: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) model: String,
    /// Which process has counted: none waits for another. Of what is old, zero.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) writer: i64,
    pub(crate) tokens: i64,
    /// What they cost, in millionths.
    pub(crate) micros: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
