//! Names that users, keys, roles and scopes may have.

use std::collections::BTreeSet;

use super::desk::CallerError;

/// How many characters a user's name has at the most, or the text that shows them to people.
const USER: usize = 200;

/// How many characters the name of a key has at the most.
const KEY: usize = 100;

/// How long a role is, and how many somebody has, at the most.
const ROLE: usize = 64;
const ROLES: usize = 32;

/// How long a scope is, and how many a key has, at the most.
const SCOPE: usize = 128;
const SCOPES: usize = 64;

/// The name under which somebody calls: it stands in a path as it is.
pub(super) fn principal(name: &str) -> Result<(), CallerError> {
    text("principal", name, USER)?;
    if name.contains('/') { Err(invalid("principal", "it has a slash, and cannot stand in a path")) } else { Ok(()) }
}

/// How somebody is shown to people, which may be nothing.
pub(super) fn display_name(name: &str) -> Result<(), CallerError> {
    if name.is_empty() { Ok(()) } else { text("display_name", name, USER) }
}

/// What a key is for.
pub(super) fn key(name: &str) -> Result<(), CallerError> {
    text("name", name, KEY)
}

pub(super) fn roles(roles: &BTreeSet<String>) -> Result<(), CallerError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    words("roles", roles, ROLES, ROLE, "letters, digits and `-_.:`", fits)
}

/// Scopes as OAuth has them (RFC 6749, section 3.3).
pub(super) fn scopes(scopes: &BTreeSet<String>) -> Result<(), CallerError> {
    let fits = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    words("scopes", scopes, SCOPES, SCOPE, "visible ASCII without quotes and backslashes", fits)
}

fn text(field: &'static str, text: &str, most: usize) -> Result<(), CallerError> {
    let count = text.chars().count();
    if count == 0 || count > most {
        return Err(invalid(field, format!("it has {count} characters; give it 1 to {most}")));
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(invalid(field, "it has a control character, or begins or ends with a space"));
    }
    Ok(())
}

fn words(
    field: &'static str,
    words: &BTreeSet<String>,
    count: usize,
    length: usize,
    of: &str,
    fits: impl Fn(u8) -> bool,
) -> Result<(), CallerError> {
    if words.len() > count {
        return Err(invalid(field, format!("there are {}; give {count} at the most", words.len())));
    }
    match words.iter().find(|word| word.is_empty() || word.len() > length || !word.bytes().all(&fits)) {
        Some(word) => {
            let shown: String = word.chars().take(length).collect();
            Err(invalid(field, format!("{shown:?} is none: one is 1 to {length} of {of}")))
        }
        None => Ok(()),
    }
}

pub(super) fn invalid(field: &'static str, problem: impl Into<String>) -> CallerError {
    CallerError::Invalid { field, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_name_is_said() {
        for (name, says) in [
            ("", "0 characters"),
            (&"a".repeat(201), "201"),
            ("a\u{7}", "control"),
            (" a", "a space"),
            ("a/b", "slash"),
        ] {
            let error = principal(name).unwrap_err().to_string();
            assert!(error.starts_with("`principal`: ") && error.contains(says), "{error}");
        }
        for name in ["ada", "ada@example.com", "Ada Lovelace", "auth0|5", &"é".repeat(200)] {
            assert!(principal(name).is_ok(), "{name}");
        }
        assert!(display_name("").is_ok() && key("").is_err() && key(&"a".repeat(101)).is_err());
    }

    #[test]
    fn roles_and_scopes_are_words_and_not_too_many() {
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
        let many = |count: usize| (0..count).map(|n| n.to_string()).collect::<BTreeSet<_>>();
        assert!(roles(&set(&["admin", "team:a", "x-1_2."])).is_ok() && roles(&many(ROLES)).is_ok());
        assert!(scopes(&set(&["notes:read", "https://a.example/b"])).is_ok() && scopes(&many(SCOPES)).is_ok());
        for bad in [set(&[""]), set(&["a b"]), set(&["é"]), set(&[&"a".repeat(200)]), many(SCOPES + 1)] {
            assert!(roles(&bad).is_err() && scopes(&bad).is_err(), "{bad:?}");
        }
        assert!(scopes(&set(&["a\"b"])).is_err() && scopes(&set(&["a\\b"])).is_err());
    }
}
