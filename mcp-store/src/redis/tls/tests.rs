//! What does not fit is said in one line, with its mend.

use std::time::Duration;

use mcp_core::clock::simulated::SimulatedClock;
use tokio::net::TcpListener;

use super::*;
use crate::redis::address::Address;
use crate::redis::{Redis, write};
use crate::test_servers::{Authority, RedisServer};

async fn open(url: &str, authority: Option<&Path>, deadline: Duration) -> Redis {
    let address = Address::parse(url, authority).unwrap();
    Redis::open(address, deadline, Arc::new(SimulatedClock::new())).await.unwrap()
}

/// Waits until these words are in the line that the log would say of the Redis at a URL.
async fn is_told(url: &str, authority: Option<&Path>, words: &str) {
    let redis = open(url, authority, Duration::from_millis(150)).await;
    let begun = Instant::now();
    loop {
        let line = redis.0.connecting.last().map(|cause| cause.to_string()).unwrap_or_default();
        if line.contains(words) {
            assert!(!line.contains('\n') && line.contains("REDIS_"), "{line}");
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{words:?} is not in {line:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn whoever_is_vouched_for_is_asked_and_nobody_else() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = RedisServer::start_with_tls(&ours, "localhost");
    let url = server.tls_url();
    let redis = open(&url, Some(&ours.file()), Duration::from_secs(60)).await;
    assert!(redis.exchange::<()>(&write, Duration::from_secs(60)).await.is_ok());

    for authority in [Some(other.file()), None] {
        is_told(&url, authority.as_deref(), "its certificate is of an authority that is not trusted here").await;
    }
    let by_number = url.replace("localhost", "127.0.0.1");
    is_told(&by_number, Some(&ours.file()), "its certificate is for other names").await;
}

#[tokio::test]
async fn a_port_of_the_other_kind_is_told_from_one_that_nobody_listens_on() {
    let authority = Authority::new();
    let server = RedisServer::start_with_tls(&authority, "localhost");
    let plain = server.tls_url().replace("rediss://", "redis://");
    is_told(&plain, None, "if it speaks TLS, write rediss:// in REDIS_URL").await;

    // What comes in the first bytes is made up by chance: a server without TLS may take them for a command, or wait for more.
    let answers = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rediss://{}", answers.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = answers.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"-ERR unknown command\r\n").await;
        }
    });
    is_told(&url, Some(&authority.file()), "it does not speak TLS").await;

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rediss://{}", silent.local_addr().unwrap());
    is_told(&url, Some(&authority.file()), "it has begun no TLS in time").await;
}

#[test]
fn what_cannot_be_used_is_refused_with_its_mend() {
    let folder = tempfile::tempdir().unwrap();
    let (none, empty, broken) =
        (folder.path().join("none.pem"), folder.path().join("empty.pem"), folder.path().join("broken.pem"));
    std::fs::write(&empty, "no certificate").unwrap();
    std::fs::write(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let authority = Authority::new().file();
    for (url, authority, words) in [
        ("rediss://h", Some(&none), ["none.pem", "REDIS_CA"]),
        ("rediss://h", Some(&empty), ["there is no certificate in it", "REDIS_CA"]),
        ("rediss://h", Some(&broken), ["broken.pem", "REDIS_CA"]),
        ("redis://h", Some(&authority), ["redis:// goes without certificates", "REDIS_URL"]),
        ("rediss://h#insecure", None, ["always checked", "rediss://HOST:PORT"]),
        ("rediss://h o s t", None, ["cannot be read", "REDIS_URL"]),
        ("rediss:///var/run/redis", None, ["cannot be read", "REDIS_URL"]),
    ] {
        let error = Address::parse(url, authority.map(|file| file.as_path())).err().map(|error| error.to_string());
        let error = error.unwrap_or_else(|| panic!("{url} is taken"));
        assert!(words.iter().all(|word| error.contains(word)) && !error.contains('\n'), "{url}: {error}");
    }
}
