//! One chain, followed from link to link.

use mcp_core::store::audit::{ChainId, ChainKey, Finding, Link, Verification};
use sea_orm::QueryResult;

use crate::sql::entity::link::link;

/// How far a chain was followed.
pub(super) struct Trail<'k> {
    chain: ChainId,
    key: &'k ChainKey,
    anchor: Option<&'k Link>,
    /// Which link is to come.
    next: u64,
    /// The codes that the link before may have had, that in its row first; none, where it is not there.
    before: Vec<[u8; 32]>,
    /// Links that are not sound, one after the other.
    altered: Option<(u64, u64)>,
    /// The last link that was there.
    last: Option<u64>,
}

impl<'k> Trail<'k> {
    pub(super) fn new(chain: ChainId, key: &'k ChainKey, checkpoint: Option<&Link>, anchor: Option<&'k Link>) -> Self {
        let (next, before) = checkpoint.map_or((0, [0; 32]), |link| (link.number.saturating_add(1), link.digest));
        Self { chain, key, anchor, next, before: vec![before], altered: None, last: None }
    }

    /// Whether there are links missing before this one.
    pub(super) fn misses(&self, sequence: i64) -> bool {
        u64::try_from(sequence).is_ok_and(|sequence| sequence > self.next)
    }

    /// Goes on with this link, after those that are not there.
    pub(super) fn skip(&mut self, sequence: i64, checkpoint: Option<&Link>, found: &mut Verification) {
        let sequence = sequence.cast_unsigned();
        if let Some(link) = checkpoint
            && (self.next..sequence).contains(&link.number)
        {
            (self.next, self.before) = (link.number + 1, vec![link.digest]);
        }
        if self.next < sequence {
            let (chain, first) = (self.chain.to_string(), self.next);
            found.find(Finding::LinksMissing { chain, first, last: sequence - 1 });
            (self.next, self.before) = (sequence, Vec::new());
        }
    }

    /// Follows one link, and gives it if it is sound.
    pub(super) fn step(&mut self, sequence: i64, row: &QueryResult, found: &mut Verification) -> Option<Link> {
        let place = u64::try_from(sequence).unwrap_or(0);
        if sequence < 0 || place < self.next {
            // It stands before all that the chain has.
            self.alter(place, found);
            return None;
        }
        (self.next, self.last) = (place + 1, Some(place));
        let Ok(link) = link(row) else {
            let mac = row.try_get::<Vec<u8>>("", "mac").ok().and_then(|mac| mac.try_into().ok());
            self.before = mac.into_iter().collect();
            self.alter(place, found);
            return None;
        };
        let codes: Vec<_> = self.before.iter().map(|before| self.key.code(before, &link)).collect();
        self.before = vec![link.mac];
        if !codes.is_empty() && !codes.contains(&link.mac) {
            // Where only the code was altered, the next link follows from the one that it had.
            self.before.extend(codes.first());
            self.alter(place, found);
            return None;
        }
        if let Some(anchor) = self.anchor
            && anchor.number == place
            && anchor.digest != link.mac
        {
            found.find(Finding::AnchorBroken { chain: self.chain.to_string(), sequence: place });
        }
        Some(link)
    }

    /// Ends at a link whose place cannot be read.
    pub(super) fn unreadable(&mut self, found: &mut Verification) {
        self.alter(self.next, found);
    }

    /// Whether a later link was anchored than there is.
    pub(super) fn is_cut(&self) -> bool {
        self.anchor.is_some_and(|anchor| anchor.number >= self.next)
    }

    /// Ends where there are no more links.
    pub(super) fn end(self, checkpoint: Option<&Link>, found: &mut Verification) {
        if let Some(anchor) = self.anchor
            && self.is_cut()
            && checkpoint.is_none_or(|link| link.number < anchor.number)
        {
            let chain = self.chain.to_string();
            found.find(Finding::ChainCut { chain, last: self.last, anchored: anchor.number });
        }
        self.tell(found);
    }

    /// Adds to the links that are not sound, which are told together.
    fn alter(&mut self, place: u64, found: &mut Verification) {
        match &mut self.altered {
            Some((_, last)) if *last + 1 == place => *last = place,
            _ => {
                self.tell(found);
                self.altered = Some((place, place));
            }
        }
    }

    fn tell(&self, found: &mut Verification) {
        if let Some((first, last)) = self.altered {
            found.find(Finding::LinksAltered { chain: self.chain.to_string(), first, last });
        }
    }
}
