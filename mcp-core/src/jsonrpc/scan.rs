//! What a JSON parser lets pass and a server must not: invalid UTF-8 and halves of characters in what is skipped, bottomless
//! nesting, and the same key twice in one object, of which two readers would each take another.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::json;

/// How deep arrays and objects may lie in one another.
pub(crate) const MAX_DEPTH: usize = 64;

/// Up to this many keys of an object are compared one by one; the rest go through a hash set.
const FEW: usize = 32;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScanError {
    #[error("the body is not UTF-8: byte {at} is no part of a character")]
    Encoding { at: usize },
    #[error("the escape at byte {at} is half of a surrogate pair; send both halves, or the character itself")]
    Surrogate { at: usize },
    #[error("the body is nested deeper than {MAX_DEPTH} levels at byte {at}; send flatter data")]
    Depth { at: usize },
    #[error("the key {key:?} stands twice in one object at byte {at}; send it once")]
    Duplicate { key: String, at: usize },
    #[error("the body is not JSON: a string that begins at byte {at} does not end")]
    Unterminated { at: usize },
}

/// Checks `body` once. It does not check the syntax: whoever parses the text does.
pub(crate) fn scan(body: &[u8]) -> Result<&str, ScanError> {
    let text = std::str::from_utf8(body).map_err(|error| ScanError::Encoding { at: error.valid_up_to() })?;
    let bytes = text.as_bytes();
    let mut nest = Nest::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let string = Quoted::read(text, at)?;
                if nest.expects_key {
                    nest.key(&string, at)?;
                }
                at += string.text.len();
                continue;
            }
            b'{' => nest.open(true, at)?,
            b'[' => nest.open(false, at)?,
            b'}' | b']' => nest.close(),
            b',' => nest.expects_key = nest.levels.last().is_some_and(|level| level.object),
            _ => {}
        }
        at += 1;
    }
    Ok(text)
}

/// A JSON string as it stands in the text.
struct Quoted<'a> {
    /// With its quotes.
    text: &'a str,
    escaped: bool,
}

impl<'a> Quoted<'a> {
    /// Reads the string whose opening quote is at `open`.
    fn read(text: &'a str, open: usize) -> Result<Self, ScanError> {
        let bytes = text.as_bytes();
        let (mut at, mut escaped) = (open + 1, false);
        loop {
            let found = bytes.get(at..).and_then(json::find_special);
            at += found.ok_or(ScanError::Unterminated { at: open })?;
            match bytes[at] {
                b'"' => return Ok(Self { text: &text[open..=at], escaped }),
                b'\\' => (at, escaped) = (escape_end(bytes, at)?, true),
                // The parser refuses it with a better message.
                _control => at += 1,
            }
        }
    }
}

/// The place behind the escape whose backslash is at `at`. What is no escape at all is left to the parser.
fn escape_end(bytes: &[u8], at: usize) -> Result<usize, ScanError> {
    match code_unit(bytes, at) {
        None => Ok(at + 2),
        Some(0xd800..=0xdbff) if matches!(code_unit(bytes, at + 6), Some(0xdc00..=0xdfff)) => Ok(at + 12),
        Some(0xd800..=0xdfff) => Err(ScanError::Surrogate { at }),
        Some(_) => Ok(at + 6),
    }
}

/// The UTF-16 code unit that is written at `at` as `\uXXXX`.
fn code_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The arrays and objects that are open at one place of the text, and the keys seen in them.
struct Nest<'a> {
    levels: Vec<Level>,
    keys: Vec<Cow<'a, str>>,
    many: HashSet<(usize, Cow<'a, str>)>,
    expects_key: bool,
}

struct Level {
    object: bool,
    /// Where it begins in the text; tells its keys apart in `Nest::many`.
    at: usize,
    /// Where its keys begin in `Nest::keys`.
    keys: usize,
}

impl<'a> Nest<'a> {
    fn new() -> Self {
        // Room enough for most messages.
        Self { levels: Vec::with_capacity(8), keys: Vec::with_capacity(16), many: HashSet::new(), expects_key: false }
    }

    fn open(&mut self, object: bool, at: usize) -> Result<(), ScanError> {
        if self.levels.len() == MAX_DEPTH {
            return Err(ScanError::Depth { at });
        }
        self.levels.push(Level { object, at, keys: self.keys.len() });
        self.expects_key = object;
        Ok(())
    }

    fn close(&mut self) {
        if let Some(level) = self.levels.pop() {
            self.keys.truncate(level.keys);
        }
        self.expects_key = false;
    }

    /// Takes note of a key.
    fn key(&mut self, quoted: &Quoted<'a>, at: usize) -> Result<(), ScanError> {
        self.expects_key = false;
        let Some(level) = self.levels.last() else { return Ok(()) };
        // "a" and "\u0061" are one key.
        let key: Cow<'a, str> = match quoted.escaped.then(|| serde_json::from_str(quoted.text)) {
            None => Cow::Borrowed(&quoted.text[1..quoted.text.len() - 1]),
            Some(Ok(decoded)) => Cow::Owned(decoded),
            Some(Err(_)) => return Ok(()), // The parser refuses it with a better message.
        };
        let few = &self.keys[level.keys..];
        let again = few.contains(&key) || (few.len() == FEW && !self.many.insert((level.at, key.clone())));
        if again {
            return Err(ScanError::Duplicate { key: key.chars().take(128).collect(), at });
        }
        if few.len() < FEW {
            self.keys.push(key);
        }
        Ok(())
    }
}
