//! A statement may be run twice, on a connection that was closed and on the next one; and none walks over more than it must.

use futures_util::FutureExt;
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

/// Sessions as one process serves them, in a room for few.
fn served(database: &Database, clock: &SimulatedClock) -> SqlSessions {
    let room = SessionRoom { of_owner: 2, in_all: 3, ..SessionRoom::PROTOCOL };
    SqlSessions::new(database.clone(), Arc::new(clock.clone()), room).remembering()
}

/// Begins a session, which is remembered from then on.
async fn begin(sessions: &SqlSessions, owner: &str) -> StoredSession {
    let (tenant, owner) = (Tenant::from("a"), Principal::from(owner));
    let session = sessions.create(&tenant, &owner, "{}".into(), Duration::from_secs(60)).await.unwrap();
    assert_eq!(sessions.load(&tenant, &owner, &session.handle).await.unwrap().as_ref(), Some(&session));
    session
}

async fn version(sessions: &SqlSessions, owner: &str, session: &StoredSession) -> Option<u64> {
    let found = sessions.load(&Tenant::from("a"), &Principal::from(owner), &session.handle).await;
    found.unwrap().map(|found| found.version)
}

#[tokio::test]
async fn what_a_process_changes_it_sees_at_once() {
    let (_folder, sqlite) = tests::database().await;
    let postgres = postgres::tests::database(1).await;
    let (tenant, p) = (Tenant::from("a"), Principal::from("p"));
    for database in [sqlite, postgres] {
        // It stands still: what is remembered wrongly is remembered for ever.
        let clock = SimulatedClock::new();
        let sessions = served(&database, &clock);
        let saved = begin(&sessions, "p").await;
        let Saved::As(new) = sessions.save(&tenant, &p, &saved.handle, saved.version, "new".into()).await.unwrap()
        else {
            panic!("it is not saved")
        };
        assert_eq!(version(&sessions, "p", &saved).await, Some(new));
        assert!(sessions.remove(&tenant, &p, &saved.handle).await.unwrap());
        assert_eq!(version(&sessions, "p", &saved).await, None);

        let mut own = Vec::new();
        for _ in 0..3 {
            own.push(begin(&sessions, "p").await);
            clock.advance(Duration::from_millis(10));
        }
        assert_eq!(version(&sessions, "p", &own[0]).await, None, "it was too much of its owner's");
        begin(&sessions, "q").await;
        begin(&sessions, "r").await;
        assert_eq!(version(&sessions, "p", &own[1]).await, None, "it was too much in all");
        assert_eq!(version(&sessions, "p", &own[2]).await, Some(own[2].version));
        assert_eq!(sessions.remove_all_of(&tenant, &p, 10).await.unwrap(), 1);
        assert_eq!(version(&sessions, "p", &own[2]).await, None, "it was forgotten");
    }
}

#[tokio::test]
async fn what_was_removed_for_somebody_who_has_left_is_remembered_no_more() {
    let (_folder, database) = tests::database().await;
    let sessions = served(&database, &SimulatedClock::new());
    let session = begin(&sessions, "p").await;
    let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
    assert!(sessions.remove(&tenant, &owner, &session.handle).now_or_never().is_none(), "who asks for it leaves");
    let gone = async {
        while version(&sessions, "p", &session).await.is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("it is remembered for ever");
}

#[tokio::test]
async fn what_another_process_changes_is_seen_after_a_second_and_by_whoever_saves_at_once() {
    let (_folder, database) = tests::database().await;
    let clock = SimulatedClock::new();
    let (sessions, another) = (served(&database, &clock), served(&database, &clock));
    let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
    let (removed, saved) = (begin(&sessions, "p").await, begin(&sessions, "p").await);
    assert!(another.remove(&tenant, &owner, &removed.handle).await.unwrap());
    let save = async |sessions: &SqlSessions| {
        sessions.save(&tenant, &owner, &saved.handle, saved.version, "new".into()).await.unwrap()
    };
    let Saved::As(new) = save(&another).await else { panic!("it is not saved") };
    assert_eq!(version(&sessions, "p", &removed).await, Some(removed.version), "the database is not asked");
    assert_eq!(version(&sessions, "p", &saved).await, Some(saved.version));
    assert_eq!(save(&sessions).await, Saved::Conflict);
    assert_eq!(version(&sessions, "p", &saved).await, Some(new));
    clock.advance(Duration::from_secs(1));
    assert_eq!(version(&sessions, "p", &removed).await, None);
}
