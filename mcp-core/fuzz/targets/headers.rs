//! Who may come in, by `Host`, `Origin`, the headers of proxies and the key; held against how a browser reads an origin.
//!
//! Sabotaged, what stands behind a name of this machine is overlooked: `localhost.evil.example` passes for `localhost`.
#![no_main]

use std::cell::LazyCell;

use libfuzzer_sys::fuzz_target;
use mcp_core::caller::KeyOrLoopback;
use mcp_core::{Endpoint, Server};
use mcp_core_fuzz::{Request, sabotaged};
use url::{Position, Url};

const KEY: &str = "k3y";

/// An endpoint, and what it was told to let in.
struct Door {
    endpoint: Endpoint,
    /// The names that a request may be addressed to; `None` for any.
    hosts: Option<&'static [&'static str]>,
    origins: &'static [&'static str],
    keyed: bool,
}

thread_local! {
    static DOORS: LazyCell<[Door; 3]> = LazyCell::new(|| {
        let server = Server::builder("fuzz", "1").build();
        let closed = Endpoint::new(server.expect("it has all that it needs"));
        let named = closed.clone().allow_host("mcp.example.com").allow_origin("https://app.example.com");
        let keyed = closed.clone().allow_any_host().authenticate(KeyOrLoopback::loopback_only().or_key(KEY).everyone_needs_it());
        [
            Door { endpoint: closed, hosts: Some(&["localhost", "127.0.0.1", "[::1]"]), origins: &[], keyed: false },
            Door {
                endpoint: named,
                hosts: Some(&["localhost", "127.0.0.1", "[::1]", "mcp.example.com"]),
                origins: &["https://app.example.com"],
                keyed: false,
            },
            Door { endpoint: keyed, hosts: None, origins: &[], keyed: true },
        ]
    });
}

fuzz_target!(|bytes: &[u8]| {
    let request = Request::read(bytes);
    let mut ours = request.clone();
    if sabotaged() {
        for (name, value) in &mut ours.headers {
            if name == "host" && value.starts_with(b"localhost.") {
                *value = b"localhost".to_vec();
            }
        }
    }
    DOORS.with(|doors| doors.iter().for_each(|door| door.check(&ours, &request)));
});

impl Door {
    /// Holds what we do with `ours` against what the rules say of `request`.
    fn check(&self, ours: &Request, request: &Request) {
        let passed = self.endpoint.check_origin(ours);
        if let Err(refusal) = &passed {
            assert_eq!((refusal.status, refusal.challenge.as_deref()), (403, None));
        }
        if let Some(may_come) = self.may_come(request) {
            assert_eq!(passed.is_ok(), may_come, "{passed:?}");
        }
        match mcp_core_fuzz::admit(&self.endpoint, ours) {
            Ok(caller) => {
                assert!(passed.is_ok());
                let name = caller.principal().as_str();
                assert_eq!(name, if self.keyed { "admin" } else { "local" });
                assert!(if self.keyed { brings_the_key(request) } else { is_local(request) });
            }
            Err(refusal) if passed.is_ok() => {
                assert_eq!(refusal.status, 401);
                let plain = request.values("authorization").chain(request.values("x-api-key")).next().is_none();
                assert!(self.keyed || !plain || !is_local(request), "{refusal:?}");
            }
            Err(refusal) => assert_eq!(refusal.status, 403),
        }
    }

    /// Whether the rules let a request in; `None` where they leave it open, since no browser writes such an origin.
    fn may_come(&self, request: &Request) -> Option<bool> {
        let (Ok(host), Ok(origin)) = (request.one("host"), request.one("origin")) else { return Some(false) };
        if host.is_some_and(|host| !self.serves(&without_port(host).to_lowercase())) {
            return Some(false);
        }
        let Some(origin) = origin else { return Some(true) };
        let Ok(url) = Url::parse(origin) else { return None };
        // Whom a browser would ask, by either header.
        let authority = |url: &Url| url[Position::BeforeHost..Position::AfterPort].to_owned();
        let is_same = |host: &str| {
            let host = Url::parse(&format!("{}://{host}", url.scheme()));
            host.is_ok_and(|host| authority(&host) == authority(&url))
        };
        let allowed = self.origins.contains(&origin.to_lowercase().as_str())
            || host.is_some_and(is_same)
            || (self.hosts.is_some() && self.serves(url.host_str().unwrap_or_default()));
        // However an origin is written, its host is what a browser would find.
        (url.origin().ascii_serialization() == origin || !allowed).then_some(allowed)
    }

    fn serves(&self, name: &str) -> bool {
        self.hosts.is_none_or(|hosts| hosts.contains(&name))
    }
}

/// The name in `name:port`, where a port is digits or nothing.
fn without_port(host: &str) -> &str {
    let name = host.trim_end_matches(|char: char| char.is_ascii_digit());
    name.strip_suffix(':').filter(|name| !name.is_empty()).unwrap_or(host)
}

fn brings_the_key(request: &Request) -> bool {
    let bearer = |value: &str| value.to_lowercase().starts_with("bearer ") && value[7..].trim() == KEY;
    match (request.one("authorization"), request.one("x-api-key")) {
        (Ok(Some(value)), Ok(None)) => bearer(value),
        (Ok(None), Ok(Some(key))) => key == KEY,
        (Ok(Some(value)), Ok(Some(key))) => bearer(value) && key == KEY,
        _ => false,
    }
}

fn is_local(request: &Request) -> bool {
    let from_here = matches!(request.peer, Some(peer) if peer.to_canonical().is_loopback());
    let by_proxy = |(name, _): &(String, Vec<u8>)| {
        matches!(name.as_str(), "via" | "forwarded") || name.starts_with("x-forwarded-")
    };
    from_here && !request.headers.iter().any(by_proxy)
}
