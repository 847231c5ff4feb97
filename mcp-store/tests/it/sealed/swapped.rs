//! Whoever can write the database, and has no key, cannot have one's content shown to another.

use mcp_core::store::StoreError;

use super::*;

#[tokio::test]
async fn what_was_sealed_for_one_row_opens_in_no_other() {
    for place in [Place::sqlite(), Place::postgres()] {
        let (ours, theirs) = (Everything::of("a"), Everything::of("b"));
        let stores = place.open().await;
        ours.write(&stores).await;
        theirs.write(&stores).await;
        for (table, column) in [
            ("mcp_calls", "arguments"),
            ("mcp_calls", "result"),
            ("mcp_runs", "arguments"),
            ("mcp_runs", "result"),
            ("mcp_steps", "body"),
            ("mcp_inputs", "body"),
            ("mcp_notes", "text"),
            ("mcp_messages", "text"),
            ("mcp_threads", "title"),
            ("mcp_sessions", "value"),
        ] {
            let sql = format!(
                "UPDATE {table} SET {column} = (SELECT t.{column} FROM {table} AS t WHERE t.tenant = 'b' LIMIT 1) WHERE tenant = 'a'"
            );
            assert_eq!(place.run(&sql).await, 1, "{table}");
        }
        // Nor one column of a row in the other.
        place.run("UPDATE mcp_calls SET arguments = result WHERE tenant = 'b'").await;
        let blobs = "UPDATE mcp_files SET hash = (SELECT f.hash FROM mcp_files AS f WHERE f.tenant = 'a' AND f.name = 'file') \
                     WHERE tenant = 'none'";
        place.run(blobs).await;
        let is_refused = |error: StoreError| assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        let (tenant, owner) = (&ours.tenant, &ours.owner);
        is_refused(stores.history.calls(tenant, &Default::default()).await.unwrap_err());
        is_refused(stores.history.calls(&theirs.tenant, &Default::default()).await.unwrap_err());
        is_refused(stores.runs.runs(tenant, &Default::default()).await.unwrap_err());
        let run = mcp_core::store::runs::RunId::from_u128(7);
        is_refused(stores.runs.steps(tenant, run, 0, 9).await.unwrap_err());
        is_refused(stores.runs.inputs(tenant, run, 0, 9).await.unwrap_err());
        is_refused(stores.notes.read(tenant, owner, "note").await.unwrap_err());
        is_refused(stores.threads.list(tenant, owner, None, 9).await.unwrap_err());
        let thread = mcp_core::store::threads::ThreadId::from_u128(8);
        is_refused(stores.threads.messages(tenant, owner, thread, None, 9).await.unwrap_err());
        let handle = stores.sessions.list(tenant, owner).await.unwrap()[0].handle.clone();
        is_refused(stores.sessions.load(tenant, owner, &handle).await.unwrap_err());
        assert!(!stores.audit.verify().await.unwrap().is_whole());
    }
}

#[tokio::test]
async fn a_blob_that_was_exchanged_cut_off_or_altered_is_refused() {
    let place = Place::sqlite();
    let (ours, theirs) = (Everything::of("a"), Everything::of("b"));
    let stores = place.open().await;
    ours.write(&stores).await;
    theirs.write(&stores).await;
    let blob = async |tenant: &str| {
        let database = Database::connect(&place.url).await.unwrap();
        let sql = format!("SELECT blob FROM mcp_contents WHERE tenant = '{tenant}' ORDER BY size DESC LIMIT 1");
        let row = database.query_one_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap();
        let name: String = row.unwrap().try_get("", "blob").unwrap();
        place.folder.path().join("files").join(&name[..2]).join(name)
    };
    let (own, other) = (blob("a").await, blob("b").await);
    let whole = std::fs::read(&own).unwrap();
    let piece = 64 * 1024 + 16;
    let mut exchanged = whole.clone();
    exchanged[..piece * 2].rotate_left(piece);
    let mut altered = whole.clone();
    altered[10] ^= 1;
    let bad = [
        std::fs::read(&other).unwrap(),
        whole[..piece].to_vec(),
        whole[..piece * 2].to_vec(),
        whole[..whole.len() - 1].to_vec(),
        exchanged,
        altered,
    ];
    for (n, bytes) in bad.into_iter().enumerate() {
        std::fs::write(&own, bytes).unwrap();
        assert!(ours.part(&stores, "file", None).await.is_err(), "{n}");
    }
    std::fs::write(&own, whole).unwrap();
    assert!(ours.part(&stores, "file", None).await.unwrap() == ours.file());
}
