//! A chain goes on from what was written, and from nothing else.

use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::audit::{Head, Removal, RemovalCause};
use mcp_core::store::ledger::CallId;

use super::*;
use crate::sql::tests::call;

fn linker() -> (Linker, SimulatedClock) {
    let clock = SimulatedClock::new();
    (Linker::new(Some(ChainKey::new(&[1; 32])), Arc::new(clock.clone())), clock)
}

fn refused() -> Result<(), StoreError> {
    Err(StoreError::Refused { store: "ledger", source: None })
}

fn unavailable() -> Result<(), StoreError> {
    Err(StoreError::Unavailable { store: "ledger", source: None })
}

/// Links a call for each id, which ends so.
fn write(linker: &mut Linker, ids: &[u128], ends: &Result<(), StoreError>) -> Vec<Link> {
    let entries: Vec<Entry> = ids.iter().copied().map(call).collect();
    let links = linker.link(entries.iter());
    linker.ended(ends);
    links.iter().filter(|link| link.chain != ChainId::PIN).cloned().collect()
}

fn sequences(links: &[Link]) -> Vec<u64> {
    links.iter().map(|link| link.sequence).collect()
}

#[test]
fn what_is_written_goes_on_and_what_is_refused_leaves_no_gap() {
    let (mut linker, _) = linker();
    assert_eq!(sequences(&write(&mut linker, &[1, 2], &refused())), [0, 1, 2]);
    assert_eq!(sequences(&write(&mut linker, &[1], &Ok(()))), [0, 1]);
    assert_eq!(sequences(&write(&mut linker, &[2], &refused())), [2]);
    assert_eq!(sequences(&write(&mut linker, &[3, 4], &Ok(()))), [2, 3]);
    let barrier = linker.link(std::iter::empty());
    assert!(barrier.is_empty());
}

#[test]
fn what_may_have_been_written_is_sent_again_as_it_was() {
    let (mut linker, clock) = linker();
    write(&mut linker, &[1], &Ok(()));
    let first = write(&mut linker, &[2, 3], &unavailable());
    for _ in 0..3 {
        clock.advance(Duration::from_secs(1));
        assert_eq!(write(&mut linker, &[2, 3], &unavailable()), first);
    }
    assert_eq!(write(&mut linker, &[2, 3], &Ok(())), first);
    assert_eq!(sequences(&write(&mut linker, &[4], &Ok(()))), [4]);
}

#[test]
fn when_nobody_knows_where_a_chain_ends_another_one_begins() {
    for lost in [unavailable(), refused()] {
        let (mut linker, _) = linker();
        let known = write(&mut linker, &[1], &Ok(()))[0].chain;
        write(&mut linker, &[2], &unavailable());
        // It is refused after it may have been taken, or given up.
        if lost.as_ref().is_err_and(|error| matches!(error, StoreError::Refused { .. })) {
            write(&mut linker, &[2], &lost);
        }
        let other = write(&mut linker, &[3], &Ok(()));
        assert_ne!(other[0].chain, known);
        assert_eq!(sequences(&other), [0, 1]);
    }
}

#[test]
fn a_write_that_nobody_saw_the_end_of_may_have_been_done() {
    let (mut linker, _) = linker();
    let known = write(&mut linker, &[1], &Ok(()))[0].chain;
    let entries = [call(2)];
    linker.link(entries.iter());
    assert_ne!(write(&mut linker, &[3], &Ok(()))[0].chain, known);
}

#[test]
fn after_a_long_silence_another_chain_begins() {
    let (mut linker, clock) = linker();
    let known = write(&mut linker, &[1], &Ok(()))[0].chain;
    clock.advance(SILENCE - Duration::from_secs(1));
    assert_eq!(write(&mut linker, &[2], &Ok(()))[0].chain, known);
    clock.advance(SILENCE);
    assert_ne!(write(&mut linker, &[3], &Ok(()))[0].chain, known);
}

#[test]
fn anchors_and_the_first_link_are_pinned() {
    let (mut linker, _) = linker();
    let pin = |links: &[Link]| links.last().filter(|link| link.chain == ChainId::PIN).map(|pin| pin.number);
    let mut link = |entry: Entry| {
        let links = linker.link([entry].iter());
        linker.ended(&Ok::<_, StoreError>(()));
        links
    };
    assert_eq!(pin(&link(call(1))), Some(0));
    let removal = Removal {
        tenant: "a".into(),
        cause: RemovalCause::Erased,
        calls: vec![CallId::from_u128(1), CallId::from_u128(2)],
        runs: Vec::new(),
    };
    let removed = link(Entry::Removal(removal));
    assert_eq!((pin(&removed), removed.len()), (None, 2));
    let head = Head { chain: ChainId::from_u128(9), sequence: 7, mac: [3; 32] };
    let anchored = link(Entry::Anchor(vec![head, head]));
    assert_eq!((pin(&anchored), anchored[0].number, anchored[0].digest), (Some(5), 7, [3; 32]));
    assert_eq!(anchored[2].digest, anchored[1].mac);
}

#[test]
fn without_a_key_nothing_is_linked() {
    let mut linker = Linker::new(None, Arc::new(SimulatedClock::new()));
    assert!(write(&mut linker, &[1], &Ok(())).is_empty());
}
