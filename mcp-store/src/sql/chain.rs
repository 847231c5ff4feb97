//! The chain of one writer.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use mcp_core::clock::Clock;
use mcp_core::store::StoreError;
use mcp_core::store::audit::{Chain, ChainId, ChainKey, Kind, Link, Mark};
use mcp_core::store::ledger::{Answer, Entry};

use crate::random::random;
use crate::sql::content::{Content, Digested};

/// Links what a writer writes, so that its chain goes on from what is in the database and from nothing else:
///
/// - what was written moves the end of the chain; what was refused does not;
/// - what may have been written is sent again with the same links, and so there is one of each;
/// - when that is given up, nobody knows where the chain ends, and another one begins;
/// - so it does after a long silence: what a chain goes on from may have been trimmed by then.
pub(crate) struct Linker {
    clock: Arc<dyn Clock>,
    /// Nothing, where nobody gave a key: then nothing is linked.
    key: Option<ChainKey>,
    /// What is sealed is linked by digests that tell nothing of it.
    content: Content,
    /// Nothing, until it begins.
    chain: Option<Chain>,
    sent: Option<Sent>,
}

/// What was sent to be written; nobody knows yet how that ended.
struct Sent {
    marks: Vec<Mark>,
    links: Arc<[Link]>,
    /// The chain with these links.
    chain: Chain,
    again: bool,
}

/// A silence after which a chain is not gone on with. It is less than the time for which checkpoints stay in any case.
const SILENCE: Duration = Duration::from_secs(12 * 60 * 60);

impl Linker {
    pub(crate) fn new(key: Option<ChainKey>, clock: Arc<dyn Clock>) -> Self {
        Self { clock, key, content: Content::default(), chain: None, sent: None }
    }

    pub(crate) fn sealing(self, content: Content) -> Self {
        Self { content, ..self }
    }

    /// What is to be linked when an entry is written.
    fn marks(&self, entry: &Entry) -> Vec<Mark> {
        let sealed = |of: Digested, digest: [u8; 32]| self.content.digest(of, &digest).unwrap_or(digest);
        let mut marks = match entry {
            // As it stands in its row.
            Entry::Answer(answer) if self.content.seals() => {
                let arguments = sealed(Digested::Arguments, answer.arguments);
                Entry::Answer(Answer { arguments, ..answer.clone() }).marks()
            }
            entry => entry.marks(),
        };
        for mark in &mut marks {
            if [Kind::CALL, Kind::ANSWER, Kind::STEP, Kind::RUN].contains(&mark.kind) {
                mark.digest = sealed(Digested::Record, mark.digest);
            }
        }
        marks
    }

    /// The links of `entries`, to be written together with them. [`Linker::ended`] is to be told how that went.
    pub(crate) fn link<'e>(&mut self, entries: impl Iterator<Item = &'e Entry>) -> Arc<[Link]> {
        let Some(key) = &self.key else { return Arc::default() };
        let marks: Vec<Mark> = entries.flat_map(|entry| self.marks(entry)).collect();
        if marks.is_empty() {
            // All was outrun. What was sent before is given up.
            if self.sent.take().is_some() {
                self.chain = None;
            }
            return Arc::default();
        }
        let sent = match self.sent.take() {
            Some(sent) if sent.marks == marks => Sent { again: true, ..sent },
            unknown => {
                let now = self.clock.now();
                let known = self.chain.take().filter(|_| unknown.is_none());
                let known = known.filter(|chain| now < chain.at().after(SILENCE));
                let mut chain = known.unwrap_or_else(|| {
                    // Chains sort by when they began.
                    let millis = u128::try_from(now.as_micros() / 1_000).unwrap_or(0);
                    Chain::begin(ChainId::from_u128(millis << 64 | u128::from(random().max(1))), key.clone())
                });
                self.chain = Some(chain.clone());
                let mut links = chain.extend(&marks, now);
                // A chain that begins is the first to be pinned, where nothing is yet.
                let is_to_be_pinned = |link: &Link| [Kind::BEGUN, Kind::ANCHOR].contains(&link.kind);
                if links.iter().any(is_to_be_pinned) {
                    let last =
                        if marks.iter().any(|mark| mark.kind == Kind::ANCHOR) { links.last() } else { links.first() };
                    let pin = last.map(|link| chain.pin(link));
                    links.extend(pin);
                }
                Sent { marks, links: links.into(), chain, again: false }
            }
        };
        let links = sent.links.clone();
        self.sent = Some(sent);
        links
    }

    /// Takes note of how the writing of what was linked last has ended.
    pub(crate) fn ended<T>(&mut self, result: &Result<T, StoreError>) {
        match result {
            Ok(_) => {
                if let Some(sent) = self.sent.take() {
                    self.chain = Some(sent.chain);
                }
            }
            Err(StoreError::Unavailable { .. }) => {}
            Err(_) => {
                // What was refused is not there. But the first time it may have been taken.
                if self.sent.take().is_some_and(|sent| sent.again) {
                    self.chain = None;
                }
            }
        }
    }
}
