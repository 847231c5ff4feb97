//! Health, as people, load balancers and containers see it.

use std::net::TcpListener;

use serde_json::json;

use crate::served::{Served, binary};

#[test]
fn each_dependency_has_an_entry_and_any_host_may_ask() {
    let server =
        Served::start(&[("HOST", "0.0.0.0"), ("API_KEY", "0123456789abcdef"), ("ALLOWED_HOSTS", "mcp.example.com")]);
    for path in ["/health", "/health/live", "/health/ready"] {
        let answer = server.get_with(path, &[("host", "203.0.113.7:8000")]);
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("ok")), "{path}");
    }
    // Whoever is not known for a monitor or an operator is told in one word.
    for headers in [&[][..], &[("x-api-key", "another-long-random-text")]] {
        assert_eq!(server.get_with("/health", headers).body, json!({"status": "ok", "ready": true}));
    }
    let health = server.get_with("/health", &[("x-api-key", "0123456789abcdef")]).body;
    assert_eq!((&health["ready"], &health["version"]), (&json!(true), &json!(env!("CARGO_PKG_VERSION"))));
    let database = &health["checks"]["database"];
    assert_eq!((&database["state"], &database["last_error"]), (&json!("up"), &json!(null)));
    assert!(database["latency_ms"].as_f64().unwrap() > 0.0, "{database}");
    assert!(database["since"].as_str().unwrap().parse::<mcp_core::clock::Timestamp>().is_ok(), "{database}");
}

#[test]
fn at_an_address_of_its_own_everyone_sees_health_and_metrics() {
    // Nobody else listens there: the port was free a moment ago, and the address is no other test's.
    let free = TcpListener::bind("127.0.0.77:0").unwrap().local_addr().unwrap().to_string();
    let settings = [("HOST", "0.0.0.0"), ("API_KEY", "0123456789abcdef"), ("ADMIN_BIND", &free)];
    let server = Served::start(&settings);
    let admin =
        |path: &str| ureq::get(format!("http://{free}{path}")).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(admin("/metrics").contains("mcp_build_info"));
    let health: serde_json::Value = serde_json::from_str(&admin("/health")).unwrap();
    assert_eq!(health["checks"]["database"]["state"], "up", "{health}");
    assert!(ureq::get(format!("http://{free}/api/v1/tools")).call().is_err(), "nothing else is there");
    assert_eq!(server.get("/metrics").status, 401, "elsewhere it takes a key");

    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.77:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = binary(folder.path(), &[("PORT", "0"), ("ADMIN_BIND", &address)]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("ADMIN_BIND") && said.contains(&address), "{said}");
}
