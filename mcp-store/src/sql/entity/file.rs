//! A row of `mcp_files`.

use mcp_core::clock::Timestamp;
use mcp_core::store::files::{File, Hash};
use sea_orm::DbErr;
use sea_orm::entity::prelude::*;

use crate::sql::text::shown;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_files")]
pub(crate) struct Model {
    /// Grows with each writing; under it the words of the file are kept.
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) content_type: String,
    /// Of its bytes, which are in `mcp_contents`.
    pub(crate) hash: Vec<u8>,
    pub(crate) size: i64,
    /// Microseconds since the epoch.
    pub(crate) written: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TryFrom<Model> for File {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        let unreadable = |what: &str| DbErr::Type(format!("the file {}: its {what} cannot be read", row.id));
        Ok(Self {
            hash: Hash::from_bytes(row.hash.try_into().map_err(|_| unreadable("hash"))?),
            size: u64::try_from(row.size).map_err(|_| unreadable("size"))?,
            name: shown(row.name),
            content_type: shown(row.content_type),
            written: Timestamp::from_micros(row.written),
        })
    }
}
