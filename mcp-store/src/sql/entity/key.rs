//! A row of `mcp_keys`.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_keys")]
pub(crate) struct Model {
    /// What the key is for; there is one for each purpose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) purpose: String,
    /// Tells which key it is, and nothing of it.
    pub(crate) id: String,
    /// How the row is to be read: [`FORMAT`].
    pub(crate) format: i16,
    /// Which of the secret keys it is sealed under.
    pub(crate) sealer: String,
    /// A nonce, and the key as ChaCha20-Poly1305 sealed it, bound to its purpose and id.
    pub(crate) sealed: Vec<u8>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The format of the rows that this version writes, and the only one that it reads.
pub(crate) const FORMAT: i16 = 1;
