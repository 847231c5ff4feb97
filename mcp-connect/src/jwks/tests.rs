//! When an issuer is asked, and what is believed of its answers.

use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;
use mcp_core::clock::simulated::SimulatedClock;
use mcp_core::oauth::signing::SigningKey;
use mcp_core::tokio_runtime::TokioSpawner;

use super::*;
use crate::test_issuer::{KEYS, METADATA, TestIssuer};

/// An issuer, who asks it, and time that stands still.
struct Meeting {
    issuer: TestIssuer,
    clock: SimulatedClock,
    jwks: Arc<Jwks>,
}

fn empty(clock: &SimulatedClock) -> Jwks {
    Jwks::new(Arc::new(clock.clone()), Arc::new(TokioSpawner::current())).unwrap()
}

impl Meeting {
    fn new(keys: &[&SigningKey]) -> Self {
        let (issuer, clock) = (TestIssuer::start(keys), SimulatedClock::new());
        let jwks = empty(&clock).issuer_with_keys_at(&issuer.url(), &issuer.keys_url()).unwrap();
        Self { issuer, clock, jwks: Arc::new(jwks) }
    }

    /// The same, where the issuer is to say where its keys are.
    fn discovering(keys: &[&SigningKey]) -> Self {
        let met = Self::new(keys);
        Self { jwks: Arc::new(empty(&met.clock).issuer(&met.issuer.url()).unwrap()), ..met }
    }

    /// Whether the issuer has a key of that id; none, where that is not known.
    async fn has(&self, id: &str) -> Option<bool> {
        self.jwks.key(&self.issuer.url(), Some(id)).await.ok().map(|key| key.is_some())
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

/// Waits until it is so; what has not come after a minute never comes.
async fn until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    for _ in 0..6_000 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to this: {what}");
}

fn key(id: &str) -> SigningKey {
    SigningKey::new(id, "EdDSA")
}

#[tokio::test]
async fn keys_are_fetched_once_and_known_from_then_on() {
    let met = Meeting::new(&[&key("a"), &key("b")]);
    assert!(met.issuer.asked().is_empty(), "nobody is asked before there is a token");
    for id in ["a", "b", "a"] {
        assert_eq!(met.has(id).await, Some(true));
    }
    assert_eq!(met.issuer.asked(), [KEYS]);
    assert_eq!(met.jwks.key("https://other.example.com", Some("a")).await.unwrap().map(drop), None);
    assert_eq!(met.issuer.asked(), [KEYS]);
}

#[tokio::test]
async fn a_new_key_is_found_when_a_token_names_it() {
    let (old, new) = (key("old"), key("new"));
    let met = Meeting::new(&[&old]);
    assert_eq!(met.has("old").await, Some(true));
    met.issuer.publish(&[&old, &new]);
    met.advance(10);
    assert_eq!(met.has("new").await, Some(true));
    // The old one is withdrawn.
    met.issuer.publish(&[&new]);
    assert_eq!(met.has("old").await, Some(true), "it is not looked for while it is there");
    met.advance(300);
    until("the old key is gone", async || met.has("old").await == Some(false)).await;
    assert_eq!(met.issuer.fetches(), 3);
}

#[tokio::test]
async fn keys_at_random_cause_no_requests() {
    let met = Meeting::new(&[&key("a")]);
    for n in 0..500 {
        assert_eq!(met.has(&format!("none {n}")).await, Some(false));
    }
    assert_eq!(met.issuer.asked().len(), 1);
    met.advance(9);
    met.has("none").await;
    assert_eq!(met.issuer.asked().len(), 1);
    met.advance(1);
    join_all((0..200).map(|n| {
        let met = &met;
        async move { met.has(&format!("none {n}")).await }
    }))
    .await;
    assert_eq!(met.issuer.asked().len(), 2, "once in ten seconds");
    assert_eq!(met.has("a").await, Some(true));
}

#[tokio::test]
async fn all_who_wait_wait_for_one_answer() {
    let met = Meeting::new(&[&key("a")]);
    met.issuer.set_held(true);
    let ask = || {
        let (jwks, url) = (met.jwks.clone(), met.issuer.url());
        tokio::spawn(async move { jwks.key(&url, Some("a")).await.unwrap().is_some() })
    };
    let first = ask();
    until("it is asked", async || met.issuer.asked().len() == 1).await;
    let waiting: Vec<_> = (0..100).map(|_| ask()).collect();
    // Who asked first leaves; the others do not begin again.
    first.abort();
    met.issuer.set_held(false);
    for waiting in waiting {
        assert!(waiting.await.unwrap());
    }
    assert_eq!(met.issuer.asked().len(), 1);
}

#[tokio::test]
async fn while_an_issuer_is_away_its_keys_are_used_for_a_day() {
    let met = Meeting::new(&[&key("a")]);
    met.issuer.set_away(true);
    assert_eq!(met.has("a").await, None, "nothing is known yet");
    met.issuer.set_away(false);
    assert_eq!(met.has("a").await, None, "it is not asked twice in ten seconds");
    met.advance(10);
    assert_eq!(met.has("a").await, Some(true));
    met.issuer.set_away(true);
    let asked = met.issuer.asked().len();
    met.advance(300);
    assert_eq!(met.has("a").await, Some(true), "nobody waits for the renewal");
    until("it is asked again", async || met.issuer.asked().len() > asked).await;
    met.advance(10);
    assert_eq!(met.has("b").await, None, "it may have a new key");
    met.advance(24 * 60 * 60 - 311);
    assert_eq!(met.has("a").await, Some(true));
    met.advance(11);
    assert_eq!(met.has("a").await, None, "not for ever");
    met.issuer.set_away(false);
    met.advance(10);
    assert_eq!((met.has("a").await, met.has("b").await), (Some(true), Some(false)));
}

#[tokio::test]
async fn an_issuer_says_where_its_keys_are() {
    let met = Meeting::discovering(&[&key("a")]);
    assert_eq!(met.has("a").await, Some(true));
    assert_eq!(met.issuer.asked(), [METADATA, KEYS]);
    // As OpenID Connect does.
    let met = Meeting::discovering(&[&key("a")]);
    let said = format!("{{\"issuer\": {:?}, \"jwks_uri\": {:?}}}", met.issuer.url(), met.issuer.keys_url());
    met.issuer.page(METADATA, "404 Not Found", "");
    met.issuer.page("/.well-known/openid-configuration", "200 OK", &said);
    assert_eq!(met.has("a").await, Some(true));
    assert_eq!(met.issuer.asked(), [METADATA, "/.well-known/openid-configuration", KEYS]);
}

#[tokio::test]
async fn what_another_issuer_says_is_not_believed() {
    let (met, other) = (Meeting::discovering(&[&key("a")]), TestIssuer::start(&[&key("b")]));
    let said = format!("{{\"issuer\": {:?}, \"jwks_uri\": {:?}}}", other.url(), other.keys_url());
    met.issuer.page(METADATA, "200 OK", &said);
    assert_eq!(met.has("b").await, None);
    assert!(other.asked().is_empty() && met.issuer.fetches() == 0);
}

#[tokio::test]
async fn no_redirect_is_followed_and_nothing_too_large_is_read() {
    let other = TestIssuer::start(&[&key("a")]);
    let moved = format!("302 Found\r\nlocation: {}", other.keys_url());
    let large = format!("{{\"keys\": [], \"more\": \"{}\"}}", "x".repeat(256 * 1024));
    for (status, body) in [
        (moved.as_str(), "{\"keys\": []}"),
        ("200 OK", large.as_str()),
        ("200 OK", "<html>"),
        ("200 OK", "{\"keys\": 5}"),
        ("404 Not Found", "{\"keys\": []}"),
        ("500 Internal Server Error", "{\"keys\": []}"),
        ("204 No Content", ""),
    ] {
        let met = Meeting::new(&[]);
        met.issuer.page(KEYS, status, body);
        assert_eq!(met.has("a").await, None, "{status}");
        assert_eq!(met.issuer.asked().len(), 1, "{status}");
    }
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_not_waited_for() {
    let (issuer, clock) = (TestIssuer::start(&[&key("a")]), SimulatedClock::new());
    issuer.set_held(true);
    let jwks = empty(&clock).issuer_with_keys_at(&issuer.url(), &issuer.keys_url()).unwrap();
    let jwks = Jwks { wire: Wire::new(Duration::from_millis(50)).unwrap(), ..jwks };
    assert!(jwks.key(&issuer.url(), Some("a")).await.is_err());
}

#[tokio::test]
async fn only_addresses_that_cannot_be_changed_on_their_way_are_asked() {
    let clock = SimulatedClock::new();
    let jwks = |url: &str| empty(&clock).issuer(url).map(drop);
    for url in
        ["https://login.example.com/a", "http://localhost:1", "http://127.0.0.1:8080/realms/a", "http://[::1]:1/"]
    {
        jwks(url).unwrap();
    }
    for url in [
        "http://login.example.com",
        "http://10.0.0.1/",
        "http://localhost.example.com",
        "file:///etc/passwd",
        "login.example.com",
        "",
        "https://",
        "https://user:word\u{40}login.example.com",
        "ftp://localhost/",
    ] {
        let error = jwks(url).unwrap_err().to_string();
        assert!(error.contains(&format!("{url:?}")), "{error}");
    }
    assert!(empty(&clock).issuer_with_keys_at("https://login.example.com", "http://login.example.com/keys").is_err());
}
