//! Text as every database can hold it: PostgreSQL knows no NUL.

use std::borrow::Cow;

/// Stands before a mark: one for NUL, one for itself.
const ESCAPE: char = '\u{1}';

/// What is stored for `text`. Different texts are stored as different ones, and nearly all as they are.
pub(super) fn stored(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte <= 1) {
        Cow::Owned(text.replace(ESCAPE, "\u{1}1").replace('\0', "\u{1}0"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text that is stored as `stored`.
pub(super) fn shown(stored: String) -> String {
    if stored.contains(ESCAPE) { stored.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}") } else { stored }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_and_none_is_taken_for_another() {
        let parts = ["", "a", "\0", "\u{1}", "0", "1", "ä🦀"];
        let mut all = std::collections::BTreeMap::new();
        for one in parts {
            for two in parts {
                for three in parts {
                    let text = format!("{one}{two}{three}");
                    let held = stored(&text).into_owned();
                    assert!(!held.contains('\0'), "{text:?}");
                    assert_eq!(shown(held.clone()), text, "{held:?}");
                    assert_eq!(all.entry(held).or_insert_with(|| text.clone()), &text);
                }
            }
        }
    }
}
