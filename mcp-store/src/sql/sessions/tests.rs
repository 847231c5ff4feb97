//! A statement may be run twice, on a connection that was closed and on the next one; and none walks over more than it must.

use mcp_core::clock::simulated::SimulatedClock;

use super::*;
use crate::sql::{postgres, tests};

#[tokio::test]
async fn what_is_run_twice_does_no_harm() {
    let (_folder, sqlite) = tests::database().await;
    let postgres = postgres::tests::database(1).await;
    let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
    for database in [sqlite, postgres] {
        let sessions = SqlSessions::new(database, Arc::new(SimulatedClock::new()), SessionRoom::PROTOCOL);
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

#[tokio::test]
async fn what_is_too_much_is_found_along_an_index_and_without_looking_at_rows() {
    let (_folder, database) = tests::database().await;
    for (room, table) in [(SessionRoom::APPLICATION, "mcp_sessions"), (SessionRoom::PROTOCOL, "mcp_protocol_sessions")]
    {
        let sessions = SqlSessions::new(database.clone(), Arc::new(SimulatedClock::new()), room);
        for (sql, index) in [
            (REMOVE_SURPLUS, format!("USING COVERING INDEX {table}_owner (tenant=? AND owner=?)")),
            (REMOVE_SURPLUS_IN_ALL, format!("USING COVERING INDEX {table}_used")),
        ] {
            let plan = tests::plan(&database, sessions.statement(sql, [])).await;
            assert!(plan.iter().any(|step| step.ends_with(&index)), "{plan:?}");
            assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY")), "{plan:?}");
            assert!(plan.iter().all(|step| !step.starts_with("SCAN") || step.ends_with(&index)), "{plan:?}");
        }
    }
}

#[tokio::test]
async fn a_large_room_is_counted_now_and_then_and_has_a_hundredth_more_at_the_most() {
    let (_folder, database) = tests::database().await;
    let room = SessionRoom { in_all: 400, ..SessionRoom::PROTOCOL };
    let sessions = SqlSessions::new(database.clone(), Arc::new(SimulatedClock::new()), room);
    let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
    let mut counts = Vec::new();
    for n in 1..=409 {
        sessions.create(&tenant, &owner, Bytes::new(), Duration::from_secs(60)).await.unwrap();
        if n > 399 {
            counts.push(sessions.list(&tenant, &owner).await.unwrap().len());
        }
    }
    assert_eq!(counts, [400, 400, 401, 402, 403, 400, 401, 402, 403, 400]);
}
