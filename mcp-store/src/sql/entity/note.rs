//! A row of `mcp_notes`.

use mcp_core::clock::Timestamp;
use mcp_core::store::notes::Note;
use sea_orm::entity::prelude::*;

use crate::sql::content::Place;
use crate::sql::text::shown;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "mcp_notes")]
pub(crate) struct Model {
    /// Grows with each writing; under it the words of the note are kept.
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) text: String,
    /// Microseconds since the epoch.
    pub(crate) written: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Where its text is.
    pub(crate) fn place(&self) -> Place {
        Place::of("mcp_notes.text").text(&self.tenant).text(&self.owner).text(&self.name)
    }
}

/// Of a row whose text was opened.
impl From<Model> for Note {
    fn from(row: Model) -> Self {
        Self { name: shown(row.name), text: row.text, written: Timestamp::from_micros(row.written) }
    }
}
