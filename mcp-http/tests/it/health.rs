//! Health, as people, load balancers and containers see it.

use serde_json::json;

use crate::served::Served;

#[test]
fn each_dependency_has_an_entry_and_any_host_may_ask() {
    let server =
        Served::start(&[("HOST", "0.0.0.0"), ("API_KEY", "0123456789abcdef"), ("ALLOWED_HOSTS", "mcp.example.com")]);
    for path in ["/health", "/health/live", "/health/ready"] {
        let answer = server.get_with(path, &[("host", "203.0.113.7:8000")]);
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("ok")), "{path}");
    }
    let health = server.get("/health").body;
    assert_eq!((&health["ready"], &health["version"]), (&json!(true), &json!(env!("CARGO_PKG_VERSION"))));
    let database = &health["checks"]["database"];
    assert_eq!((&database["state"], &database["last_error"]), (&json!("up"), &json!(null)));
    assert!(database["latency_ms"].as_f64().unwrap() > 0.0, "{database}");
    assert!(database["since"].as_str().unwrap().parse::<mcp_core::clock::Timestamp>().is_ok(), "{database}");
}
