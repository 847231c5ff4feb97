//! Anchors and checkpoints, over a long time.

use std::time::Duration;

use mcp_core::clock::{Clock, Timestamp};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl House {
    async fn count(&self, kind: &str) -> i64 {
        let rows = self.rows(&format!("SELECT COUNT(*) AS count FROM mcp_links WHERE kind = '{kind}'")).await;
        rows[0].try_get("", "count").unwrap()
    }

    /// Removes all links from before then.
    async fn trim(&self, before: Timestamp) {
        while self.audit.trim(before).await.unwrap() {}
        self.assert_whole().await;
    }
}

#[tokio::test]
async fn nothing_is_anchored_twice() {
    let house = House::on_sqlite().await;
    house.audit.anchor().await.unwrap();
    assert_eq!(house.count("anchor").await, 0);
    house.furnish().await;
    assert_eq!(house.count("anchor").await, 2);
    house.audit.anchor().await.unwrap();
    assert_eq!(house.count("anchor").await, 3, "one of them has moved");
    for _ in 0..3 {
        house.audit.anchor().await.unwrap();
    }
    assert_eq!((house.count("anchor").await, house.count("pin").await), (3, 1));
    // What the first keeps pinned, another process pins anew.
    SqlAudit::new(house.database.clone(), Some(key()), LargeBytes::default(), Some(house.ledgers[1].clone()))
        .anchor()
        .await
        .unwrap();
    assert_eq!(house.count("anchor").await, 3);
    house.assert_whole().await;
}

#[tokio::test]
async fn what_is_left_after_years_verifies_and_is_little() {
    for house in [House::on_sqlite().await, House::on_postgres().await] {
        // Each month: some calls by a process that ends then; those of the month before are removed.
        for month in 0..8_u128 {
            let linker = Linker::new(Some(key()), Arc::new(house.clock.clone()));
            let ledger: Arc<QueuedLedger> = Arc::new(match &house._folder {
                Some(_) => QueuedLedger::start(SqliteWriter::new(house.database.clone(), linker)),
                None => break,
            });
            let audit = SqlAudit::new(house.database.clone(), Some(key()), LargeBytes::default(), Some(ledger.clone()));
            for n in 1..=5 {
                ledger.commit(vec![call("a", month * 10 + n)]).await.unwrap();
            }
            for n in 1..=5 {
                if let Some(before) = month.checked_sub(1) {
                    ledger.commit(vec![removal("a", before * 10 + n)]).await.unwrap();
                }
            }
            audit.anchor().await.unwrap();
            house.clock.advance(30 * DAY);
            let before = Timestamp::from_micros(house.clock.now().as_micros() - 40 * 24 * 60 * 60 * 1_000_000);
            while audit.trim(before).await.unwrap() {}
            let verified = house.assert_whole().await;
            assert_eq!(verified.records, 5);
            assert!(verified.links < 60, "{month}: {verified:?}");
        }
    }
}

#[tokio::test]
async fn a_writer_that_was_silent_for_longer_than_links_are_kept_begins_another_chain() {
    for house in [House::on_sqlite().await, House::on_postgres().await] {
        house.commit(1, call("a", 1)).await;
        house.commit(0, removal("a", 1)).await;
        house.audit.anchor().await.unwrap();
        for _ in 0..4 {
            house.clock.advance(10 * DAY);
            house.trim(house.clock.now()).await;
            house.commit(0, call("b", 2)).await;
            house.audit.anchor().await.unwrap();
        }
        house.commit(1, call("a", 3)).await;
        house.assert_whole().await;
        let links = house.rows("SELECT sequence FROM mcp_links WHERE tenant = 'a' AND kind = 'call'").await;
        assert_eq!(links.len(), 1, "nothing of the first is left");
        assert_eq!(links[0].try_get::<i64>("", "sequence").unwrap(), 1);
    }
}

#[tokio::test]
async fn a_link_without_its_checkpoint_or_before_it_is_found() {
    let house = House::on_sqlite().await;
    house.commit(0, call("a", 1)).await;
    house.commit(0, removal("a", 1)).await;
    house.commit(0, call("a", 2)).await;
    house.clock.advance(10 * DAY);
    house.run("CREATE TABLE kept AS SELECT * FROM mcp_links").await;
    house.trim(house.clock.now()).await;
    let chain = house.chains().await.into_keys().next().unwrap();
    house.run("INSERT INTO mcp_links SELECT * FROM kept WHERE sequence = 1 AND kind = 'call'").await;
    let verified = house.verify().await;
    assert!(verified.findings.iter().any(|finding| is_at(finding, &chain, 1)), "{verified:?}");
    house.run("DELETE FROM mcp_links WHERE sequence <= 1 AND kind = 'call'").await;
    house.assert_whole().await;
    house.run("UPDATE mcp_links SET kind = 'anchor' WHERE kind = 'checkpoint'").await;
    let verified = house.verify().await;
    assert!(verified.findings.contains(&Finding::LinksMissing { chain, first: 0, last: 2 }), "{verified:?}");
}
