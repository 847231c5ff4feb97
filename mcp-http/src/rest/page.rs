//! How much of a list is shown at once.

use schemars::JsonSchema;
use serde::Deserialize;

/// Which page of a list that is in the order of names.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// The `next` of the page before.
    pub(super) after: Option<String>,
    /// How many at the most: 50 unless told otherwise, and never more than 500.
    pub(super) limit: Option<u16>,
}

/// How many a page shows.
#[derive(Clone, Copy)]
pub(super) struct PageSize(u16);

impl PageSize {
    /// As many as are asked for: 50 unless told otherwise, and never more than 500.
    pub(super) fn of(asked: Option<u16>) -> Self {
        Self::within(asked, 50, 500)
    }

    /// As many as are asked for: so many unless told otherwise, and never more than `most`.
    pub(super) fn within(asked: Option<u16>, usual: u16, most: u16) -> Self {
        Self(asked.unwrap_or(usual).clamp(1, most))
    }

    /// How many are shown.
    pub(super) fn shown(self) -> usize {
        self.0.into()
    }

    /// How many to look for: one more than is shown tells whether there is another page.
    pub(super) fn and_one(self) -> u16 {
        self.0 + 1
    }

    /// Those of `found` that are shown, and the first of the next page, where there is one.
    pub(super) fn split<T>(self, mut found: Vec<T>) -> (Vec<T>, Option<T>) {
        let next = found.split_off(found.len().min(self.0.into())).into_iter().next();
        (found, next)
    }

    /// Those of `found` that are shown, and the key of the last of them, where there is another page behind it.
    pub(super) fn cut<T>(self, found: Vec<T>, key: impl FnOnce(&T) -> String) -> (Vec<T>, Option<String>) {
        let (shown, next) = self.split(found);
        let last = next.and(shown.last()).map(key);
        (shown, last)
    }
}
