//! A script may be run twice, on a connection that broke and on the next one.

use mcp_core::clock::simulated::SimulatedClock;

use super::*;
use crate::redis::address::Address;
use crate::test_servers::RedisServer;

#[tokio::test]
async fn what_is_run_twice_does_no_harm() {
    let server = RedisServer::start();
    let clock = Arc::new(SimulatedClock::new());
    let redis =
        Redis::open(Address::parse(&server.url(), None).unwrap(), Duration::from_secs(5), clock.clone()).await.unwrap();
    let sessions = RedisSessions::new(redis, clock, SessionRoom::PROTOCOL);
    let (tenant, owner, idle) = (Tenant::from("a"), Principal::from("p"), 60_000_u64);
    for _ in 0..2 {
        sessions.run::<()>(CREATE, &tenant, &owner, "handle", (&b"old"[..], 1, idle, 10, 10)).await.unwrap();
    }
    assert_eq!(sessions.list(&tenant, &owner).await.unwrap().len(), 1);
    let save = async |new: u64, value: &[u8]| {
        sessions.run::<u8>(SAVE, &tenant, &owner, "handle", (1, new, value)).await.unwrap()
    };
    assert_eq!(save(2, b"new").await, 2);
    assert_eq!(save(2, b"new").await, 2, "it finds its own work");
    assert_eq!(save(3, b"another's").await, 1, "upon the same version, another change is a conflict");
    let loaded = sessions.load(&tenant, &owner, "handle").await.unwrap().unwrap();
    assert_eq!((loaded.version, &*loaded.value), (2, &b"new"[..]));
}
