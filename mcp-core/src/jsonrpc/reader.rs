//! Reads JSON in one pass and hands out each value as the text that came.
//!
//! It takes what a JSON parser takes, but for what a server must not let pass: invalid UTF-8 and halves of characters in what
//! is skipped, bottomless nesting, and the same key twice in one object, of which two readers would each take another.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::de::DeserializeOwned;

use crate::json;

/// How deep arrays and objects may lie in one another.
pub(crate) const MAX_DEPTH: usize = 64;

/// Up to this many keys of an object are compared one by one; the rest go through a hash set.
const FEW: usize = 32;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the body is not UTF-8: byte {at} is no part of a character")]
    Encoding { at: usize },
    #[error("the body is not JSON: what stands at byte {at} is not expected there")]
    Unexpected { at: usize },
    #[error("the body is not JSON: it ends too early")]
    End,
    #[error("the body is not JSON: a string that begins at byte {at} does not end")]
    Unterminated { at: usize },
    #[error("the escape at byte {at} is half of a surrogate pair; send both halves, or the character itself")]
    Surrogate { at: usize },
    #[error("the body is nested deeper than {MAX_DEPTH} levels at byte {at}; send flatter data")]
    Depth { at: usize },
    #[error("the key {key:?} stands twice in one object at byte {at}; send it once")]
    Duplicate { key: String, at: usize },
}

/// What was read. The error is in a box, so that what is no error comes back in registers.
pub(crate) type Read<T> = Result<T, Box<ReadError>>;

/// A value as it came: the text from its first byte to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// Reads a whole text, which must be one value.
    pub(crate) fn read(body: &'a [u8]) -> Read<Self> {
        let mut reader = Reader::new(body)?;
        let value = reader.value()?;
        reader.end().map(|()| value)
    }

    /// The JSON text.
    pub(crate) fn get(self) -> &'a str {
        self.0
    }

    /// A type made of an object; nothing else is taken for one.
    pub(crate) fn object<T: DeserializeOwned>(self) -> Option<T> {
        if self.0.starts_with('{') { serde_json::from_str(self.0).ok() } else { None }
    }

    /// The text of a string, borrowed unless it holds an escape; `None` where the value is something else.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        match json::find_special(inner.as_bytes()) {
            None => Some(Cow::Borrowed(inner)),
            Some(_) => serde_json::from_str(self.0).ok().map(Cow::Owned),
        }
    }
}

/// Stands between two values of a text, or within an object or array.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// The first keys of each object that is open.
    keys: Vec<&'a str>,
    /// The keys beyond those, and those that hold an escape, each with the place where its object begins.
    more_keys: HashSet<(usize, Cow<'a, str>)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Read<Self> {
        let text =
            std::str::from_utf8(body).map_err(|error| Box::new(ReadError::Encoding { at: error.valid_up_to() }))?;
        // Room enough for the keys of most messages.
        Ok(Self { text, at: 0, depth: 0, keys: Vec::with_capacity(16), more_keys: HashSet::new() })
    }

    /// Reads a value.
    pub(super) fn value(&mut self) -> Read<Raw<'a>> {
        self.skip_space();
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.quoted().map(|_| ())?,
            Some(b'{') => self.object(|reader, _| reader.value().map(|_| ()))?,
            Some(b'[') => self.array()?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            _ => return Err(self.unexpected()),
        }
        Ok(Raw(&self.text[start..self.at]))
    }

    /// Reads a value and says whether it is an object. If so, `member` is given each key, and reads the value that follows.
    pub(super) fn members(&mut self, member: impl FnMut(&mut Self, &str) -> Read<()>) -> Read<bool> {
        self.skip_space();
        if self.peek() == Some(b'{') { self.object(member).map(|()| true) } else { self.value().map(|_| false) }
    }

    /// Sees to it that nothing more follows.
    pub(super) fn end(&mut self) -> Read<()> {
        self.skip_space();
        if self.peek().is_none() { Ok(()) } else { Err(self.unexpected()) }
    }

    fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Read<()>) -> Read<()> {
        let (begin, keys) = (self.at, self.keys.len());
        self.open()?;
        let mut more = !self.take(b'}');
        while more {
            let key = self.key(begin, keys)?;
            if !self.take(b':') {
                return Err(self.unexpected());
            }
            match key.strip_prefix('"') {
                None => member(self, key)?,
                Some(_) => member(self, &decoded(key).unwrap_or_default())?,
            }
            more = self.goes_on(b'}')?;
        }
        self.keys.truncate(keys);
        self.depth -= 1;
        Ok(())
    }

    fn array(&mut self) -> Read<()> {
        self.open()?;
        let mut more = !self.take(b']');
        while more {
            self.value()?;
            more = self.goes_on(b']')?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Goes behind an opening bracket.
    fn open(&mut self) -> Read<()> {
        if self.depth == MAX_DEPTH {
            return Err(Box::new(ReadError::Depth { at: self.at }));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Whether another value follows, or else the closing bracket, which it goes behind.
    fn goes_on(&mut self, close: u8) -> Read<bool> {
        if self.take(b',') {
            Ok(true)
        } else if self.take(close) {
            Ok(false)
        } else {
            Err(self.unexpected())
        }
    }

    /// Reads a key of the object that begins at `begin`, and whose keys begin at `first` in `self.keys`: as [`Reader::quoted`] gives it.
    fn key(&mut self, begin: usize, first: usize) -> Read<&'a str> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let at = self.at;
        let key = self.quoted()?;
        if key.starts_with('"') || self.keys.len() - first >= FEW {
            self.rare_key(key, begin, first, at)?;
            return Ok(key);
        }
        let again = self.keys[first..].contains(&key)
            || (!self.more_keys.is_empty() && self.more_keys.contains(&(begin, Cow::Borrowed(key))));
        if again {
            return Err(twice(key, at));
        }
        self.keys.push(key);
        Ok(key)
    }

    /// Keeps a key that holds an escape, or is one of many.
    #[cold]
    fn rare_key(&mut self, key: &'a str, begin: usize, first: usize, at: usize) -> Read<()> {
        // "a" and "\u0061" are one key.
        let key = match key.starts_with('"') {
            true => Cow::Owned(decoded(key).ok_or_else(|| Box::new(ReadError::Unexpected { at }))?),
            false => Cow::Borrowed(key),
        };
        if self.keys[first..].contains(&&*key) || self.more_keys.contains(&(begin, key.clone())) {
            return Err(twice(&key, at));
        }
        self.more_keys.insert((begin, key));
        Ok(())
    }

    /// Reads a string, whose opening quote comes next, and gives what stands between its quotes; with the quotes, where it holds an escape.
    /// Inlined, since most strings are so short that the call itself would cost as much as reading them.
    #[inline(always)]
    fn quoted(&mut self) -> Read<&'a str> {
        let (bytes, open) = (self.text.as_bytes(), self.at);
        let (mut at, mut escaped) = (open + 1, false);
        loop {
            let found = bytes.get(at..).and_then(json::find_special);
            at += found.ok_or_else(|| Box::new(ReadError::Unterminated { at: open }))?;
            match bytes[at] {
                b'"' => break,
                b'\\' => (at, escaped) = (escape_end(bytes, at)?, true),
                _control => return Err(Box::new(ReadError::Unexpected { at })),
            }
        }
        self.at = at + 1;
        Ok(if escaped { &self.text[open..=at] } else { &self.text[open + 1..at] })
    }

    fn number(&mut self) -> Read<()> {
        self.at += usize::from(self.peek() == Some(b'-'));
        // No digit follows a leading zero.
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    /// Goes behind at least one digit.
    fn digits(&mut self) -> Read<()> {
        let count = self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count > 0 { Ok(()) } else { Err(self.unexpected()) }
    }

    fn word(&mut self, word: &str) -> Read<()> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected());
        }
        self.at += word.len();
        Ok(())
    }

    /// Goes behind this byte, if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[cold]
    fn unexpected(&self) -> Box<ReadError> {
        let is_more = self.at < self.text.len();
        Box::new(if is_more { ReadError::Unexpected { at: self.at } } else { ReadError::End })
    }
}

/// The text of a string that came with its quotes.
fn decoded(quoted: &str) -> Option<String> {
    serde_json::from_str(quoted).ok()
}

fn twice(key: &str, at: usize) -> Box<ReadError> {
    Box::new(ReadError::Duplicate { key: key.chars().take(128).collect(), at })
}

/// The place behind the escape whose backslash is at `at`.
fn escape_end(bytes: &[u8], at: usize) -> Read<usize> {
    match bytes.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        _ => match code_unit(bytes, at).ok_or_else(|| Box::new(ReadError::Unexpected { at }))? {
            0xd800..=0xdbff if matches!(code_unit(bytes, at + 6), Some(0xdc00..=0xdfff)) => Ok(at + 12),
            0xd800..=0xdfff => Err(Box::new(ReadError::Surrogate { at })),
            _ => Ok(at + 6),
        },
    }
}

/// The UTF-16 code unit that is written at `at` as `\uXXXX`.
fn code_unit(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}
