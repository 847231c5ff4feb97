//! Records whose bytes are in blobs.

use mcp_core::store::history::CallQuery;
use sea_orm::{ConnectionTrait, Statement};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_records_are_in_a_backup_with_their_blobs() {
    for filled in Filled::both().await {
        let mut calls = calls(7);
        let Some(Entry::Call(call)) = calls.first_mut() else { unreachable!("it is a call") };
        call.result = vec![b'x'; 100_000].into();
        filled.stores.ledger.commit(calls).await.unwrap();
        let database = sea_orm::Database::connect(&filled.url).await.unwrap();
        let moved = "SELECT count(*) FROM mcp_calls WHERE blob IS NOT NULL";
        let moved = Statement::from_string(database.get_database_backend(), moved);
        // It is done at the first look after the start, or a minute later.
        let begun = std::time::Instant::now();
        while database.query_one_raw(moved.clone()).await.unwrap().unwrap().try_get_by_index::<i64>(0).unwrap() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(300), "it is not moved");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }

        let (tenant, query) = (Tenant::from("a"), CallQuery::default());
        let before = filled.stores.history.calls(&tenant, &query).await.unwrap();
        assert_eq!(before.iter().filter(|call| call.result.len() == 100_000).count(), 1);
        let made = filled.backup("one").await;
        // The place of the server is not looked at: the chains are proven by what is in the backup.
        let elsewhere = filled.with_files(&filled.url);
        assert_eq!(verify(&elsewhere, &filled.place("one")).await.unwrap(), made);
        let empty = filled.empty("restored");
        restore(&empty, &filled.place("one")).await.unwrap();
        let stores = mcp_store::open(&empty).await.unwrap();
        assert_eq!(stores.history.calls(&tenant, &query).await.unwrap(), before);
        let verified = stores.audit.verify().await.unwrap();
        assert!(verified.is_whole(), "{verified:?}");
    }
}
