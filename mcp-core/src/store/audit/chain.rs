//! The chain of one writer.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::link::{ChainId, Kind, Link, Mark};
use crate::clock::Timestamp;

/// The end of a chain, to which links are added.
#[derive(Clone, Debug)]
pub struct Chain {
    id: ChainId,
    key: ChainKey,
    next: u64,
    /// The code of the last link.
    mac: [u8; 32],
    /// When that was made.
    at: Timestamp,
}

impl Chain {
    /// A chain that nobody had before.
    pub fn begin(id: ChainId, key: ChainKey) -> Self {
        Self { id, key, next: 0, mac: [0; 32], at: Timestamp::from_micros(i64::MIN) }
    }

    /// Which chain it is.
    pub fn id(&self) -> ChainId {
        self.id
    }

    /// When its last link was made; before all time, where it has none.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Adds links for `marks`, made `now`; before the first of them that by which a chain begins. No link is made before the
    /// one before it, whatever the clock says.
    pub fn extend(&mut self, marks: &[Mark], now: Timestamp) -> Vec<Link> {
        let begun = (self.next == 0 && !marks.is_empty()).then(|| Mark {
            kind: Kind::BEGUN,
            tenant: None,
            subject: self.id.as_u128(),
            number: 0,
            digest: [0; 32],
        });
        begun.iter().chain(marks).map(|mark| self.add(mark, now)).collect()
    }

    fn add(&mut self, mark: &Mark, now: Timestamp) -> Link {
        self.at = self.at.max(now);
        let mut link = Link {
            chain: self.id,
            sequence: self.next,
            kind: mark.kind.clone(),
            tenant: mark.tenant.clone(),
            subject: mark.subject,
            number: mark.number,
            at: self.at,
            digest: mark.digest,
            mac: [0; 32],
        };
        link.mac = self.key.code(&self.mac, &link);
        (self.next, self.mac) = (self.next + 1, link.mac);
        link
    }

    /// The pin that holds `link`: that link stands beside the chains, and is replaced by the next one.
    pub fn pin(&self, link: &Link) -> Link {
        let mut pin = Link {
            chain: ChainId::PIN,
            sequence: 0,
            kind: Kind::PIN,
            tenant: None,
            subject: link.chain.as_u128(),
            number: link.sequence,
            digest: link.mac,
            mac: [0; 32],
            at: link.at,
        };
        pin.mac = self.key.code(&[0; 32], &pin);
        pin
    }
}

/// The key under which the codes of links are made. Who does not have it can make no link.
#[derive(Clone)]
pub struct ChainKey(Hmac<Sha256>);

impl ChainKey {
    /// The key with these bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        // A key that is shorter than a block counts as one with zeros after it (RFC 2104).
        let mut block = [0; 64];
        block[..bytes.len()].copy_from_slice(bytes);
        Self(Hmac::new(&block.into()))
    }

    /// The code of `link`, whose own code does not matter, after one with the code `previous`: HMAC-SHA256 over both, each part
    /// with its length where that can differ. The first link of a chain comes after zeros.
    pub fn code(&self, previous: &[u8; 32], link: &Link) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(previous);
        mac.update(&Link::FORMAT.to_be_bytes());
        mac.update(&link.chain.as_u128().to_be_bytes());
        mac.update(&link.sequence.to_be_bytes());
        let mut text = |text: &str| {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        };
        text(link.kind.as_str());
        text(if link.tenant.is_some() { "tenant" } else { "house" });
        text(link.tenant.as_ref().map_or("", |tenant| tenant.as_str()));
        mac.update(&link.subject.to_be_bytes());
        mac.update(&link.number.to_be_bytes());
        mac.update(&link.at.as_micros().to_be_bytes());
        mac.update(&link.digest);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for ChainKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Tenant;

    fn mark(subject: u128) -> Mark {
        Mark { kind: Kind::CALL, tenant: Some(Tenant::from("a")), subject, number: 0, digest: [7; 32] }
    }

    fn chain() -> Chain {
        Chain::begin(ChainId::from_u128(1), ChainKey::new(&[9; 32]))
    }

    #[test]
    fn links_follow_from_each_other_and_the_first_says_that_the_chain_begins() {
        let (mut chain, key) = (chain(), ChainKey::new(&[9; 32]));
        let mut links = chain.extend(&[mark(1), mark(2)], Timestamp::from_micros(5));
        // A clock that is set back does not set links back.
        links.extend(chain.extend(&[mark(3)], Timestamp::from_micros(4)));
        assert_eq!(links.iter().map(|link| link.sequence).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(links.iter().map(|link| link.kind.as_str()).collect::<Vec<_>>(), ["begun", "call", "call", "call"]);
        assert!(links.iter().all(|link| link.at == Timestamp::from_micros(5)));
        let mut previous = [0; 32];
        for link in &links {
            assert_eq!(key.code(&previous, link), link.mac);
            previous = link.mac;
        }
        assert!(chain.extend(&[], Timestamp::default()).is_empty());
    }

    #[test]
    fn a_code_covers_all_of_a_link_and_the_key() {
        let link = chain().extend(&[mark(1)], Timestamp::default()).remove(1);
        let (key, previous) = (ChainKey::new(&[9; 32]), [1; 32]);
        let code = key.code(&previous, &link);
        type Change = fn(&mut Link);
        let changes: [Change; 9] = [
            |link| link.chain = ChainId::from_u128(2),
            |link| link.sequence += 1,
            |link| link.kind = Kind::ERASED,
            |link| link.tenant = Some(Tenant::from("b")),
            |link| link.tenant = None,
            |link| link.subject += 1,
            |link| link.number += 1,
            |link| link.at = Timestamp::from_micros(1),
            |link| link.digest[31] = 0,
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut changed = link.clone();
            change(&mut changed);
            assert_ne!(key.code(&previous, &changed), code, "{n}");
        }
        assert_ne!(key.code(&[0; 32], &link), code);
        assert_ne!(ChainKey::new(&[8; 32]).code(&previous, &link), code);
        let no_tenant = Link { tenant: None, ..link.clone() };
        let empty_tenant = Link { tenant: Some(Tenant::from("")), ..link };
        assert_ne!(key.code(&previous, &no_tenant), key.code(&previous, &empty_tenant));
    }
}
