//! Sealed stores keep every promise that plain ones do, but for one of the audit chain: their links hold codes in place of digests. What
//! that verifies is held by the other tests here.

/// On SQLite.
mod sqlite {
    use std::sync::Arc;

    use mcp_core::clock::simulated::SimulatedClock;
    use mcp_core::contract::Fresh;
    use mcp_store::StoreConfig;
    use tempfile::TempDir;

    async fn fresh() -> Fresh {
        let (folder, clock) = (TempDir::new().unwrap(), SimulatedClock::new());
        let mut config = StoreConfig::new(&crate::url(&folder), Arc::new(clock.clone())).unwrap();
        config.secret_keys = vec![[1; 32]];
        config.encrypt_content = true;
        config.index_plaintext = true;
        config.file_caps = mcp_core::contract::files::CAPS;
        config.protocol_sessions = mcp_core::contract::sessions::ROOM;
        Fresh::new(mcp_store::open(&config).await.unwrap(), clock).keeping(folder)
    }

    mcp_core::ledger_contract!(fresh);
    mcp_core::history_contract!(fresh);
    mcp_core::stats_contract!(fresh);
    mcp_core::idempotency_contract!(fresh);
    mcp_core::notes_contract!(fresh);
    mcp_core::threads_contract!(fresh);
    mcp_core::records_contract!(fresh);
    mcp_core::sessions_contract!(fresh);
    mcp_core::runs_contract!(fresh);
    mcp_core::files_contract!(fresh);
}

/// On PostgreSQL: those whose statements are others.
mod postgres {
    use std::sync::Arc;
    use std::time::Duration;

    use mcp_core::clock::simulated::SimulatedClock;
    use mcp_core::contract::Fresh;
    use mcp_store::StoreConfig;
    use mcp_store::test_servers::PostgresServer;
    use tempfile::TempDir;

    async fn fresh() -> Fresh {
        let (folder, clock) = (TempDir::new().unwrap(), SimulatedClock::new());
        let url = PostgresServer::shared().database();
        let mut config = StoreConfig::new(&url, Arc::new(clock.clone())).unwrap();
        config.secret_keys = vec![[1; 32]];
        config.encrypt_content = true;
        config.index_plaintext = true;
        config.files_url = Some(format!("file:{}/files", folder.path().display()));
        config.file_caps = mcp_core::contract::files::CAPS;
        let database = url.rsplit('/').next().unwrap().to_owned();
        let age = move |time: Duration| {
            let moments =
                [("mcp_leases", "until"), ("mcp_replicas", "until"), ("mcp_claims", "at"), ("mcp_runs", "due")];
            let earlier = moments
                .map(|(table, column)| format!("UPDATE {table} SET {column} = {column} - {};", time.as_micros()));
            PostgresServer::shared().query(&database, &earlier.concat());
        };
        Fresh::new(mcp_store::open(&config).await.unwrap(), clock).aging(age).keeping(folder)
    }

    mcp_core::ledger_contract!(fresh);
    mcp_core::idempotency_contract!(fresh);
    mcp_core::notes_contract!(fresh);
    mcp_core::threads_contract!(fresh);
    mcp_core::runs_contract!(fresh);
    mcp_core::files_contract!(fresh);
}
