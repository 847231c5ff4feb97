//! Who may come in: rows 0 and 1 of the rejection table. Both are decided before the body is read.

use super::cases;
use crate::host::Served;
use crate::request::{Request, call, discover};
use crate::tools::KEY;

cases! {
    a_page_of_another_site_is_refused,
    a_page_of_this_machine_or_of_a_listed_site_is_let_in,
    a_foreign_host_is_refused,
    a_listed_host_is_let_in,
    a_repeated_host_or_origin_is_refused,
    what_a_proxy_forwards_needs_a_key,
    a_key_comes_in_either_header,
    a_wrong_key_is_refused_even_from_this_machine,
    two_keys_that_differ_are_refused,
    who_is_refused_is_told_before_the_body_is_read,
}

const INVALID_REQUEST: i64 = -32600;

async fn a_page_of_another_site_is_refused(server: &Served) {
    for origin in
        ["https://evil.example", "null", "http://127.0.0.1.evil.example", "https://app.example.com.evil.example"]
    {
        let response = server.send(discover().header("Origin", origin)).await;
        response.expect_error(403, INVALID_REQUEST, None, "ALLOWED_ORIGINS");
    }
}

async fn a_page_of_this_machine_or_of_a_listed_site_is_let_in(server: &Served) {
    for origin in ["http://localhost:5173", "http://127.0.0.1", "https://app.example.com"] {
        assert_eq!(server.send(discover().header("Origin", origin)).await.head.status, 200, "{origin}");
    }
}

async fn a_foreign_host_is_refused(server: &Served) {
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000"] {
        let response = server.send(discover().with("Host", host)).await;
        response.expect_error(403, INVALID_REQUEST, None, "ALLOWED_HOSTS");
    }
}

async fn a_listed_host_is_let_in(server: &Served) {
    for host in ["mcp.example.com", "MCP.example.com:8443", "localhost:1", "[::1]:8000"] {
        assert_eq!(server.send(discover().with("Host", host)).await.head.status, 200, "{host}");
    }
}

async fn a_repeated_host_or_origin_is_refused(server: &Served) {
    let twice = discover().header("Origin", "http://localhost").header("Origin", "https://evil.example");
    server.send(twice).await.expect_error(403, INVALID_REQUEST, None, "more than once");
    let response = server.send(discover().header("Host", "evil.example")).await;
    // A server may refuse such a request before anybody sees it (RFC 9112, section 3.2).
    assert!([400, 403].contains(&response.head.status), "{}", response.head.status);
}

/// Sends a request that a proxy on this machine has forwarded.
async fn forwarded(server: &Served, change: impl FnOnce(Request) -> Request) -> crate::response::Response {
    server.send(change(discover().header("X-Forwarded-For", "203.0.113.9"))).await
}

async fn what_a_proxy_forwards_needs_a_key(server: &Served) {
    for name in ["Forwarded", "X-Forwarded-For", "x-forwarded-proto", "Via"] {
        let response = server.send(discover().header(name, "1.1 proxy")).await;
        response.expect_error(401, INVALID_REQUEST, None, "X-API-Key");
        assert_eq!(response.head.header("www-authenticate"), Some("Bearer"), "{name}");
    }
}

async fn a_key_comes_in_either_header(server: &Served) {
    for (name, value) in [
        ("Authorization", format!("Bearer {KEY}")),
        ("authorization", format!("bearer {KEY}")),
        ("X-API-Key", KEY.to_owned()),
    ] {
        assert_eq!(forwarded(server, |request| request.header(name, &value)).await.head.status, 200, "{name}: {value}");
    }
}

async fn a_wrong_key_is_refused_even_from_this_machine(server: &Served) {
    for (name, value) in [("Authorization", "Bearer wrong"), ("Authorization", "Basic d3Jvbmc="), ("X-API-Key", "")] {
        let response = server.send(discover().header(name, value)).await;
        response.expect_error(401, INVALID_REQUEST, None, "not valid");
        assert_eq!(response.head.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    }
}

async fn two_keys_that_differ_are_refused(server: &Served) {
    let both = |second: &str| discover().header("Authorization", format!("Bearer {KEY}")).header("X-API-Key", second);
    server.send(both("another")).await.expect_error(401, INVALID_REQUEST, None, "not valid");
    assert_eq!(server.send(both(KEY)).await.head.status, 200);
    let twice = discover().header("X-API-Key", KEY).header("X-API-Key", "another");
    server.send(twice).await.expect_error(401, INVALID_REQUEST, None, "not valid");
}

async fn who_is_refused_is_told_before_the_body_is_read(server: &Served) {
    let large = call("echo", "{}").raw_body(vec![b' '; 10 * 1024 * 1024]);
    let foreign = large.clone().header("Origin", "https://evil.example").header("X-API-Key", "wrong");
    server.send(foreign).await.expect_error(403, INVALID_REQUEST, None, "ALLOWED_ORIGINS");
    server.send(large.header("X-API-Key", "wrong")).await.expect_error(401, INVALID_REQUEST, None, "not valid");
}
