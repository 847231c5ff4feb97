//! A row of `mcp_contents`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_contents")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) tenant: String,
    /// A digest of the bytes of files, under a key that belongs to the tenant; of those of a record, of the blob's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) hash: Vec<u8>,
    /// The name of the blob that has the bytes. Each is used once.
    pub(crate) blob: String,
    /// How many bytes it has.
    pub(crate) size: i64,
    /// The call or the run whose bytes they are; nothing for those of files.
    pub(crate) record: Option<Uuid>,
    /// The id of the key under which the bytes of a file are sealed there, if they are. Those of a record say so themselves.
    pub(crate) sealed: Option<String>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
