//! A row of `mcp_messages`.

use mcp_core::clock::Timestamp;
use mcp_core::store::threads::{Message, MessageId, Placed, ThreadId};
use sea_orm::DbErr;
use sea_orm::entity::prelude::*;

use crate::sql::content::Place;
use crate::sql::text::shown;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_messages")]
pub(crate) struct Model {
    /// Grows with each message; under it the words of the message are kept.
    #[sea_orm(primary_key)]
    pub(crate) number: i64,
    pub(crate) tenant: String,
    pub(crate) owner: String,
    pub(crate) thread: Uuid,
    pub(crate) id: Uuid,
    /// How the row is to be read: [`FORMAT`].
    pub(crate) format: i16,
    pub(crate) role: String,
    pub(crate) text: String,
    /// Microseconds since the epoch.
    pub(crate) at: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The format of the rows that this version writes, and the only one that it reads.
pub(crate) const FORMAT: i16 = 1;

impl Model {
    /// Where its text is.
    pub(crate) fn place(&self) -> Place {
        Place::of("mcp_messages.text").text(&self.tenant).text(&self.owner).id(self.thread).id(self.id)
    }
}

/// Of a row whose text was opened.
impl TryFrom<Model> for Placed {
    type Error = DbErr;

    fn try_from(row: Model) -> Result<Self, DbErr> {
        if row.format != FORMAT {
            let said = format!("the message {}: its format is {}, and this version reads {FORMAT}", row.id, row.format);
            return Err(DbErr::Type(said));
        }
        let message = Message {
            id: MessageId::from_u128(row.id.as_u128()),
            role: shown(row.role),
            text: row.text,
            at: Timestamp::from_micros(row.at),
        };
        Ok(Self { thread: ThreadId::from_u128(row.thread.as_u128()), place: row.number.cast_unsigned(), message })
    }
}
