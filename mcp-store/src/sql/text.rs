//! Text as every database can hold it: PostgreSQL knows no NUL.

use std::borrow::Cow;

use mcp_core::caller::Tenant;

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

/// What is stored for a tenant, or for the house: no tenant is stored so, since after an escape stands a mark.
pub(super) fn stored_tenant(tenant: Option<&Tenant>) -> Cow<'_, str> {
    tenant.map_or(Cow::Borrowed("\u{1}house"), |tenant| stored(tenant.as_str()))
}

/// The tenant that is stored as `stored`; none, where that is the house.
pub(super) fn shown_tenant(stored: &str) -> Option<Tenant> {
    (stored != stored_tenant(None)).then(|| Tenant::from(shown(stored.to_owned())))
}

/// The first text that comes after all that begin with `prefix`, in the order of their bytes; none, where they are the last.
pub(super) fn after_all(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
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
                    assert_ne!(held, stored_tenant(None));
                    assert_eq!(shown_tenant(&held), Some(Tenant::from(text.as_str())));
                    assert_eq!(shown(held.clone()), text, "{held:?}");
                    assert_eq!(all.entry(held).or_insert_with(|| text.clone()), &text);
                }
            }
        }
        assert!(all.values().is_sorted(), "what is stored sorts as what is shown");
    }

    #[test]
    fn after_all_that_begin_with_a_prefix_comes_the_next_text() {
        for (prefix, next) in [
            ("", None),
            ("a", Some("b")),
            ("ab", Some("ac")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("a\u{10ffff}\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
        ] {
            assert_eq!(after_all(prefix).as_deref(), next, "{prefix:?}");
        }
    }
}
