//! A statement may be run twice, on a connection that was closed and on the next one.

use mcp_core::clock::simulated::SimulatedClock;

use super::*;
use crate::sql::{postgres, tests};

#[tokio::test]
async fn what_is_run_twice_does_no_harm() {
    let (_folder, sqlite) = tests::database().await;
    let postgres = postgres::tests::database(1).await;
    let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
    for database in [sqlite, postgres] {
        let sessions = SqlSessions::new(database, Arc::new(SimulatedClock::new()));
        let created = sessions.create(&tenant, &owner, "old".into(), Duration::from_secs(60)).await.unwrap();
        let one = one(&tenant, &owner, &created.handle, sessions.now());
        let save = |new: i64, value: &[u8]| {
            let change: [Value; 3] = [created.version.cast_signed().into(), new.into(), value.to_vec().into()];
            sessions.write(SAVE, one.iter().cloned().chain(change))
        };
        assert_eq!(save(1, b"new").await.unwrap(), 1);
        assert_eq!(save(1, b"new").await.unwrap(), 1, "it finds its own work");
        assert_eq!(save(2, b"another's").await.unwrap(), 0, "upon the same version, another change is a conflict");
        let loaded = sessions.load(&tenant, &owner, &created.handle).await.unwrap().unwrap();
        assert_eq!((loaded.version, &*loaded.value), (1, &b"new"[..]));

        let row: [Value; 6] = [
            created.handle.clone().into(),
            3_i64.into(),
            b"twice".to_vec().into(),
            0_i64.into(),
            0_i64.into(),
            i64::MAX.into(),
        ];
        let again = sessions.write(INSERT, key(&tenant, &owner).into_iter().chain(row)).await;
        assert_eq!(again.unwrap(), 0);
        assert_eq!(sessions.load(&tenant, &owner, &created.handle).await.unwrap(), Some(loaded));
    }
}
