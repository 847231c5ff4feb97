//! What a verification says.

use std::fmt;

use serde::Serialize;

/// What was verified, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// How many chains there are.
    pub chains: u64,
    /// How many links they have.
    pub links: u64,
    /// How many records were compared with their links.
    pub records: u64,
    /// How many are gone and verify as removed.
    pub removed: u64,
    /// What is wrong, at most [`Verification::MOST`].
    pub findings: Vec<Finding>,
    /// How many findings more there are.
    pub more: u64,
}

impl Verification {
    /// How many findings are told one by one.
    pub const MOST: usize = 1_000;

    /// Whether all is as it was written.
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    /// Tells one more, or counts it.
    pub fn find(&mut self, finding: Finding) {
        if self.findings.len() < Self::MOST {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

/// Something that is not as it was written, and where. Chains and ids are told as hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// Links do not follow from those before them: they were altered, or put in another's place.
    LinksAltered {
        /// The chain.
        chain: String,
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// Links in the middle of a chain, or its first, are gone.
    LinksMissing {
        /// The chain.
        chain: String,
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// The end of a chain, or all of it, is gone: an anchor knows a later link.
    ChainCut {
        /// The chain.
        chain: String,
        /// Its last link; none, where all are gone.
        last: Option<u64>,
        /// The link up to which it was anchored.
        anchored: u64,
    },
    /// Another link than the one that was anchored stands in its place.
    AnchorBroken {
        /// The chain.
        chain: String,
        /// The link.
        sequence: u64,
    },
    /// The newest anchor, which is kept beside the chains, is gone or was altered.
    PinBroken,
    /// A record is not as it was when its link was made.
    RecordAltered(Record),
    /// A record is gone, and no link says that it was removed.
    RecordMissing(Record),
    /// A record is there though a link says that it was removed.
    RecordBack(Record),
    /// A record is there that no link is about.
    RecordUnlinked(Record),
}

/// Which record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// What it is, such as `call`.
    pub record: String,
    /// Whose it is.
    pub tenant: String,
    /// Its id.
    pub id: String,
    /// Which part of it, where it has some.
    pub number: u64,
    /// The chain that is about it; none, where none is.
    pub chain: Option<String>,
    /// The link that is about it.
    pub sequence: Option<u64>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |first: &u64, last: &u64| {
            if first == last { format!("link {first}") } else { format!("links {first} to {last}") }
        };
        match self {
            Self::LinksAltered { chain, first, last } => {
                write!(f, "chain {chain}, {}: altered, or put in another's place", range(first, last))
            }
            Self::LinksMissing { chain, first, last } => write!(f, "chain {chain}, {}: missing", range(first, last)),
            Self::ChainCut { chain, last: Some(last), anchored } => {
                write!(f, "chain {chain}: cut off after link {last}; link {anchored} was anchored")
            }
            Self::ChainCut { chain, last: None, anchored } => {
                write!(f, "chain {chain}: all of it is gone; link {anchored} was anchored")
            }
            Self::AnchorBroken { chain, sequence } => {
                write!(f, "chain {chain}, link {sequence}: not the one that was anchored")
            }
            Self::PinBroken => f.write_str("the newest anchor: missing or altered"),
            Self::RecordAltered(record) => write!(f, "{record}: altered"),
            Self::RecordMissing(record) => write!(f, "{record}: missing, and nothing says that it was removed"),
            Self::RecordBack(record) => write!(f, "{record}: there again, though it was removed"),
            Self::RecordUnlinked(record) => write!(f, "{record}: no link is about it"),
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of tenant {:?}", self.record, self.id, self.tenant)?;
        if self.number > 0 {
            write!(f, ", part {}", self.number)?;
        }
        match (&self.chain, self.sequence) {
            (Some(chain), Some(sequence)) => write!(f, " (chain {chain}, link {sequence})"),
            _ => Ok(()),
        }
    }
}
