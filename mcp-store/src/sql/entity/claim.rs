//! A row of `mcp_claims`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_claims")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) principal: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tool: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) key: String,
    /// Of the arguments.
    pub(crate) digest: Vec<u8>,
    /// The call that has the key, and in whose record the answer is. No foreign key: the claim is there before the record is, and
    /// stays when that is removed, since a key that is forgotten lets a call be made twice.
    pub(crate) owner: Uuid,
    /// The replica on which that call runs; 0, which no replica is, where it was given up.
    pub(crate) replica: i64,
    /// How many calls have had the key.
    pub(crate) owners: i32,
    pub(crate) answered: bool,
    /// When the key was first claimed, in microseconds since the epoch of the clock.
    pub(crate) at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
