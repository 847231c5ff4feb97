//! Where a value belongs.

use sea_orm::prelude::Uuid;

/// The column and the row in which a value stands. A value that was sealed for one place opens at no other one.
pub(crate) struct Place(Vec<u8>);

impl Place {
    /// In this column, named with its table.
    pub(crate) fn of(column: &str) -> Self {
        Self(Vec::with_capacity(128)).part(column.as_bytes())
    }

    /// In the row with this text, as it is stored, in its key.
    pub(crate) fn text(self, text: &str) -> Self {
        self.part(text.as_bytes())
    }

    /// In the row with this id in its key.
    pub(crate) fn id(self, id: Uuid) -> Self {
        self.part(id.as_bytes())
    }

    /// In the row with this number in its key.
    pub(crate) fn number(self, number: i64) -> Self {
        self.part(&number.to_be_bytes())
    }

    /// Its length first, so that none is taken for a part of another.
    fn part(mut self, part: &[u8]) -> Self {
        self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.0.extend_from_slice(part);
        self
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
