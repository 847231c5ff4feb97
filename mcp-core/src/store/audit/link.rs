//! One link of a chain.

use std::borrow::Cow;
use std::fmt;

use crate::caller::Tenant;
use crate::clock::Timestamp;

/// One link: what was done to which record, when, and by its code that this came after all that its chain held by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Which chain.
    pub chain: ChainId,
    /// Which link of it, counted from zero.
    pub sequence: u64,
    /// What was done.
    pub kind: Kind,
    /// Whose record it is; that of nobody, where it is about a chain.
    pub tenant: Option<Tenant>,
    /// The id of the record, or the chain that it is about.
    pub subject: u128,
    /// Which part of the record, where it has some: the step of a run, or the link of the chain that it is about.
    pub number: u64,
    /// When it was made, by the clock of whoever wrote it.
    pub at: Timestamp,
    /// Of the record: [`RecordDigest`](super::RecordDigest), or, where the store encrypts what it keeps, a code of that under a key
    /// of its own; of one that was removed, what it was:
    /// [`RecordDigest::of_removed`](super::RecordDigest::of_removed). Of a chain that it is about: the code of that link.
    pub digest: [u8; 32],
    /// The code: [`ChainKey::code`](super::ChainKey::code).
    pub mac: [u8; 32],
}

impl Link {
    /// The format of the links that this version makes; it is part of what their codes cover.
    pub const FORMAT: i16 = 1;

    /// Where it stands among the links of its tenant.
    pub fn place(&self) -> Place {
        Place { subject: self.subject, number: self.number, chain: self.chain, sequence: self.sequence }
    }
}

/// Where a link stands among those of its tenant: they sort by what they are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// [`Link::subject`].
    pub subject: u128,
    /// [`Link::number`].
    pub number: u64,
    /// [`Link::chain`].
    pub chain: ChainId,
    /// [`Link::sequence`].
    pub sequence: u64,
}

/// What is to be linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// [`Link::kind`].
    pub kind: Kind,
    /// [`Link::tenant`].
    pub tenant: Option<Tenant>,
    /// [`Link::subject`].
    pub subject: u128,
    /// [`Link::number`].
    pub number: u64,
    /// [`Link::digest`].
    pub digest: [u8; 32],
}

/// What a link says was done. It is a word, so that a version verifies the chains of one that knows more of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Cow<'static, str>);

impl Kind {
    /// A chain begins: it is the first of its links.
    pub const BEGUN: Self = Self(Cow::Borrowed("begun"));
    /// A call has ended, and was written.
    pub const CALL: Self = Self(Cow::Borrowed("call"));
    /// A call with a key was answered: the key is answered by the record of this call.
    pub const ANSWER: Self = Self(Cow::Borrowed("answer"));
    /// A run has recorded a step.
    pub const STEP: Self = Self(Cow::Borrowed("step"));
    /// A run has ended.
    pub const RUN: Self = Self(Cow::Borrowed("run"));
    /// The record was removed because it was old.
    pub const EXPIRED: Self = Self(Cow::Borrowed("expired"));
    /// The record was removed because somebody had it forgotten.
    pub const ERASED: Self = Self(Cow::Borrowed("erased"));
    /// The chain had come so far.
    pub const ANCHOR: Self = Self(Cow::Borrowed("anchor"));
    /// The chain begins after there: what came before was removed, because it was old.
    pub const CHECKPOINT: Self = Self(Cow::Borrowed("checkpoint"));
    /// The newest anchor of all, which stands beside the chains and holds the last of them.
    pub const PIN: Self = Self(Cow::Borrowed("pin"));

    /// The kind of that name, which this version may not know.
    pub fn named(name: impl Into<String>) -> Self {
        Self(Cow::Owned(name.into()))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which chain: 128 bits that each process that writes draws anew. It reads as 32 digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(u128);

impl ChainId {
    /// That of the one link that stands beside the chains: [`Kind::PIN`].
    pub const PIN: Self = Self(0);

    /// The id with these 128 bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// The 128 bits of the id.
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
