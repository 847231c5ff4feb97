//! Walks over all chains and all that they are about, a page at a time.

mod answers;
mod trail;

use mcp_core::store::audit::{ChainId, ChainKey, Finding, Kind, Link, Record, Verification};
use mcp_core::store::ledger::CallId;
use sea_orm::DbErr;

use super::records::{self, Recorded, is_removal, subject};
use super::table::LinkTable;
use crate::sql::Database;
use crate::sql::entity::link::link;
use crate::sql::large::LargeBytes;
use crate::sql::text::shown;
use mcp_core::store::hex::hex;
use trail::Trail;

/// How many links, or keys of records, are read at once.
const PAGE: usize = 256;

/// Verifies all that was there when it began: what is written meanwhile may be seen or not.
pub(super) async fn verify(database: &Database, large: &LargeBytes, key: &ChainKey) -> Result<Verification, DbErr> {
    let table = LinkTable(database);
    let mut walk = Walk { table, large, key, pin: None, found: Verification::default() };
    // It is read first: what it holds is there by now.
    let pinned = walk.read_pin().await?;
    let mut last = None;
    while let Some(bytes) = table.next_chain(last.as_deref()).await? {
        match <[u8; 16]>::try_from(&*bytes).map(u128::from_be_bytes) {
            Ok(chain) if ChainId::from_u128(chain) == ChainId::PIN => {}
            Ok(chain) => walk.chain(ChainId::from_u128(chain)).await?,
            Err(_) => walk.found.find(Finding::LinksAltered { chain: hex(&bytes), first: 0, last: 0 }),
        }
        last = Some(bytes);
    }
    if table.has_nameless_chains().await? {
        walk.found.find(Finding::LinksAltered { chain: String::new(), first: 0, last: 0 });
    }
    walk.chains_that_are_gone().await?;
    for recorded in Recorded::ALL {
        walk.unlinked(recorded).await?;
    }
    answers::verify(table, large.content(), &mut walk.found).await?;
    // The first pin is written with the first link.
    if !pinned && walk.found.links > 0 && !walk.read_pin().await? {
        walk.found.find(Finding::PinBroken);
    }
    Ok(walk.found)
}

struct Walk<'d> {
    table: LinkTable<'d>,
    large: &'d LargeBytes,
    key: &'d ChainKey,
    pin: Option<Link>,
    found: Verification,
}

impl Walk<'_> {
    /// Whether there is a pin, sound or not.
    async fn read_pin(&mut self) -> Result<bool, DbErr> {
        let rows = self.table.page(ChainId::PIN, i64::MIN, 2).await?;
        if let [row] = &rows[..]
            && let Ok(pin) = link(row)
            && (pin.sequence, &pin.kind) == (0, &Kind::PIN)
            && self.key.code(&[0; 32], &pin) == pin.mac
        {
            self.pin = Some(pin);
        } else if !rows.is_empty() {
            self.found.find(Finding::PinBroken);
        }
        Ok(!rows.is_empty())
    }

    /// The link up to which the chain is known to have come.
    async fn anchor(&self, chain: ChainId) -> Result<Option<Link>, DbErr> {
        let pin = self.pin.clone().filter(|pin| pin.subject == chain.as_u128());
        let anchor = self.table.latest(&Kind::ANCHOR, chain).await?;
        Ok(pin.into_iter().chain(anchor).max_by_key(|anchor| anchor.number))
    }

    /// The last link that was removed because it was old.
    async fn checkpoint(&self, chain: ChainId) -> Result<Option<Link>, DbErr> {
        self.table.latest(&Kind::CHECKPOINT, chain).await
    }

    async fn chain(&mut self, chain: ChainId) -> Result<(), DbErr> {
        self.found.chains += 1;
        let checkpoint = self.checkpoint(chain).await?;
        let anchor = self.anchor(chain).await?;
        let Some(last) = self.table.last(chain).await? else { return Ok(()) };
        // One that cannot be read sorts after all that can.
        let last = last.try_get("", "sequence").unwrap_or(i64::MAX);
        let mut trail = Trail::new(chain, self.key, checkpoint.as_ref(), anchor.as_ref());
        let mut after = i64::MIN;
        'walk: while after < last {
            let rows = self.table.page(chain, after, PAGE).await?;
            if rows.is_empty() {
                break;
            }
            let mut sound = Vec::with_capacity(rows.len());
            for row in &rows {
                self.found.links += 1;
                let Ok(sequence) = row.try_get::<i64>("", "sequence") else {
                    trail.unreadable(&mut self.found);
                    break 'walk;
                };
                after = sequence;
                if trail.misses(sequence) {
                    // It may have been trimmed since.
                    let checkpoint = self.checkpoint(chain).await?;
                    trail.skip(sequence, checkpoint.as_ref(), &mut self.found);
                }
                sound.extend(trail.step(sequence, row, &mut self.found));
            }
            self.records(&sound).await?;
        }
        let checkpoint = if trail.is_cut() { self.checkpoint(chain).await? } else { None };
        trail.end(checkpoint.as_ref(), &mut self.found);
        Ok(())
    }

    /// Those of which nothing is left but what others say about them.
    async fn chains_that_are_gone(&mut self) -> Result<(), DbErr> {
        let mut last = None;
        while let Some(subject) = self.table.next_subject(last).await? {
            last = Some(subject);
            let chain = ChainId::from_u128(subject);
            let anchor = self.anchor(chain).await?;
            if let Some(anchor) = anchor
                && self.table.last(chain).await?.is_none()
                && self.checkpoint(chain).await?.is_none_or(|checkpoint| checkpoint.number < anchor.number)
            {
                let chain = chain.to_string();
                self.found.find(Finding::ChainCut { chain, last: None, anchored: anchor.number });
            }
        }
        Ok(())
    }

    /// Compares the records that these links are about with what they were.
    async fn records(&mut self, links: &[Link]) -> Result<(), DbErr> {
        for recorded in Recorded::ALL {
            let of_it: Vec<&Link> = links.iter().filter(|link| Recorded::of(&link.kind) == Some(recorded)).collect();
            let subjects: Vec<_> = of_it.iter().filter_map(|link| subject(link)).collect();
            let found = records::find(self.table, self.large, recorded, &subjects).await?;
            // What is not as the link says may be as another one does: it was written twice, or removed.
            let content = self.large.content();
            let is_as_linked = |link: &Link, digest: Option<[u8; 32]>| {
                digest.is_some_and(|digest| content.is_linked(link.digest, digest))
            };
            let odd = |link: &&&Link| {
                subject(link).is_some_and(|subject| !is_as_linked(link, found.get(&subject).copied().flatten()))
            };
            let odd: Vec<&Link> = of_it.iter().filter(odd).copied().collect();
            let subjects: Vec<_> = odd.iter().filter_map(|link| subject(link)).collect();
            let others = records::links(self.table, &subjects).await?;
            for link in odd {
                let Some(subject) = subject(link) else { continue };
                let others = others.get(&(subject.0.clone(), subject.1)).map_or(&[][..], Vec::as_slice);
                let is_removed = others.iter().any(|other| recorded.is_removed_by(other));
                let is_another = |digest| {
                    let mut others =
                        others.iter().filter(|other| (&other.kind, other.number) == (&link.kind, link.number));
                    (is_removed || !recorded.may_come_again()) && others.any(|other| is_as_linked(other, Some(digest)))
                };
                match found.get(&subject) {
                    None if is_removed => {}
                    None => self.found.find(Finding::RecordMissing(record(recorded, link, link.number))),
                    Some(Some(digest)) if is_another(*digest) => {}
                    Some(_) => self.found.find(Finding::RecordAltered(record(recorded, link, link.number))),
                }
            }
        }
        let removals: Vec<&Link> = links.iter().filter(|link| is_removal(&link.kind)).collect();
        for recorded in Recorded::ALL {
            let of_it: Vec<&Link> = removals.iter().filter(|link| recorded.is_removed_by(link)).copied().collect();
            let subjects: Vec<_> = of_it.iter().filter_map(|link| subject(link)).collect();
            for ((tenant, id, number), linked) in records::back(self.table, recorded, &subjects).await? {
                let is_new = |link: &Link| linked.is_some_and(|at| at > link.at.as_micros());
                let about = of_it.iter().filter(|link| link.tenant.as_ref() == Some(&tenant) && link.subject == id);
                for link in about.filter(|link| !(recorded.may_come_again() && is_new(link))) {
                    self.found.find(Finding::RecordBack(record(recorded, link, number)));
                }
            }
        }
        self.found.removed += removals.len() as u64;
        Ok(())
    }

    /// Finds what was added.
    async fn unlinked(&mut self, recorded: Recorded) -> Result<(), DbErr> {
        let mut after = None;
        loop {
            let page = records::page(self.table, recorded, after.clone(), PAGE * 4).await?;
            self.found.records += page.count as u64;
            for (tenant, id, number) in page.unlinked {
                let id = match <[u8; 16]>::try_from(&*id) {
                    Ok(id) => CallId::from_u128(u128::from_be_bytes(id)).to_string(),
                    Err(_) => hex(&id),
                };
                self.found.find(Finding::RecordUnlinked(Record {
                    record: recorded.kind().as_str().to_owned(),
                    tenant: shown(tenant),
                    id,
                    number: u64::try_from(number).unwrap_or(0),
                    chain: None,
                    sequence: None,
                }));
            }
            // Keys rise, unless what stands there is no key.
            if page.count < PAGE * 4 || page.last.is_none() || page.last <= after {
                return Ok(());
            }
            after = page.last;
        }
    }
}

fn record(recorded: Recorded, link: &Link, number: u64) -> Record {
    Record {
        record: recorded.kind().as_str().to_owned(),
        tenant: link.tenant.as_ref().map(ToString::to_string).unwrap_or_default(),
        id: CallId::from_u128(link.subject).to_string(),
        number,
        chain: Some(link.chain.to_string()),
        sequence: Some(link.sequence),
    }
}
