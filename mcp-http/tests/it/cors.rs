//! What pages of other origins may send and read.

use crate::served::{Reply, Served};

const PAGE: &str = "https://app.example.com";

fn preflight(server: &Served, origin: &str, path: &str) -> Reply {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization, content-type, mcp-method, mcp-param-region"),
    ];
    server.send("OPTIONS", path, &headers, "")
}

#[test]
fn a_page_that_is_allowed_calls_and_reads_and_no_other_page_does() {
    let server = Served::start(&[("ALLOWED_ORIGINS", "https://app.example.com/, https://other.example.com")]);
    for path in ["/mcp", "/api/v1/tools/time.now/call"] {
        let allowed = preflight(&server, PAGE, path);
        assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (200, Some(PAGE)), "{allowed:?}");
        let headers = allowed.header("access-control-allow-headers").unwrap();
        assert!(
            ["authorization", "mcp-method", "mcp-param-region"].iter().all(|name| headers.contains(name)),
            "{headers}"
        );
        assert!(allowed.header("access-control-allow-methods").unwrap().contains("POST"));
        assert_eq!(allowed.header("access-control-allow-credentials"), None);
        let refused = preflight(&server, "https://evil.example.com", path);
        assert_eq!(refused.header("access-control-allow-origin"), None, "{refused:?}");
    }
    let called = server.send("POST", "/api/v1/tools/time.now/call", &[("origin", PAGE)], "{}");
    assert_eq!((called.status, called.header("access-control-allow-origin")), (200, Some(PAGE)), "{called:?}");
    assert!(called.header("access-control-expose-headers").unwrap().contains("x-request-id"));
    assert!(called.header("vary").unwrap().to_lowercase().contains("origin"), "{called:?}");
    let refused = server.send("POST", "/api/v1/tools/time.now/call", &[("origin", "https://evil.example.com")], "{}");
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None), "{refused:?}");
}

#[test]
fn without_such_pages_nothing_is_said_of_them() {
    let server = Served::start(&[]);
    let refused = preflight(&server, PAGE, "/mcp");
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, None), "{refused:?}");
}
