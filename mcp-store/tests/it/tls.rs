//! Stores over TLS.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use mcp_core::caller::{Principal, Tenant};
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::store::events::{Event, Listener, Topic};
use mcp_store::StoreConfig;
use mcp_store::test_servers::{Authority, PostgresServer, RedisServer};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::CryptoProvider;

use super::url;

/// Commands and events, through a restart; and the process is left as it was.
#[tokio::test]
async fn redis_is_shared_over_tls() {
    let (authority, folder) = (Authority::new(), TempDir::new().unwrap());
    let server = RedisServer::start_with_tls(&authority, "localhost");
    let clock = SimulatedClock::new();
    let mut config = StoreConfig::new(&url(&folder), Arc::new(clock.clone())).unwrap();
    config.redis_url = Some(server.tls_url());
    config.redis_ca = Some(authority.file());
    config.redis_deadline = Duration::from_secs(60);
    let stores = mcp_store::open(&config).await.unwrap();
    let (tenant, owner, hour) = (Tenant::from("a"), Principal::from("p"), Duration::from_secs(60 * 60));

    let session = stores.sessions.create(&tenant, &owner, "value".into(), hour).await.unwrap();
    let topic = Topic::of_the_house("topic");
    let mut listener = stores.events.subscribe(&topic).await.unwrap();
    stores.events.publish(&topic, "told".into()).await.unwrap();
    assert_eq!(next(&mut listener).await, Event::Told("told".into()));

    server.kill();
    server.restart();
    assert_eq!(next(&mut listener).await, Event::Missed);
    let begun = tokio::time::Instant::now();
    loop {
        let found = stores.sessions.load(&tenant, &owner, &session.handle).await;
        if matches!(found, Ok(Some(_))) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it is not there again: {found:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(CryptoProvider::get_default().is_none(), "a library installs nothing global");
}

async fn next(listener: &mut Listener) -> Event {
    let told = tokio::time::timeout(Duration::from_secs(60), listener.next()).await;
    told.expect("it is told").expect("a listener has no end")
}

#[tokio::test]
async fn postgres_is_believed_under_its_name_alone() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = PostgresServer::start_with_tls(&authority, "localhost");
    let plain = PostgresServer::shared();
    let url = |server: &PostgresServer, host: &str, authority: &Authority| {
        let url = server.url("postgres").replace("127.0.0.1", host);
        format!("{url}?sslmode=verify-full&sslrootcert={}&application_name=secured", authority.file().display())
    };
    let open =
        async |url: &str| mcp_store::open(&StoreConfig::new(url, Arc::new(SimulatedClock::new())).unwrap()).await;

    let stores = open(&url(&server, "localhost", &authority)).await.unwrap();
    let (tenant, owner) = (Tenant::from("a"), Principal::from("p"));
    stores.notes.write(&tenant, &owner, "n", "text").await.unwrap();
    let connections = "SELECT bool_and(ssl), count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                       WHERE application_name = 'secured'";
    assert_eq!(server.query("postgres", connections), "t|t");

    for (url, words) in [
        (url(&server, "127.0.0.1", &authority), "its certificate is for other names"),
        (url(&server, "localhost", &other), "its certificate is of an authority that is not trusted here"),
        (url(plain, "localhost", &authority), "does not support TLS"),
    ] {
        let error = open(&url).await.err().expect("it is refused").to_string();
        assert!(error.contains(words) && error.contains("sslrootcert") && !error.contains('\n'), "{error}");
    }
}
