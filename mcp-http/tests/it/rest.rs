//! REST of the bundled server.

use serde_json::json;

use crate::served::Served;

#[test]
fn tools_are_listed_shown_and_called() {
    let server = Served::start(&[]);
    let tools = server.get("/api/v1/tools").body;
    let names: Vec<_> = tools["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names[..5], ["time.now", "notes.write", "notes.read", "notes.search", "history.search"]);
    assert_eq!(names[5..], ["files.write", "files.read", "files.list", "files.search"]);
    assert_eq!(server.get("/api/v1/tools?limit=1").body["next"], "time.now");
    assert_eq!(server.get("/api/v1/tools?limit=1&after=time.now").body["tools"][0]["name"], "notes.write");

    assert_eq!(server.get("/api/v1/tools/time.now").body["inputSchema"]["type"], "object");
    let answer = server.post("/api/v1/tools/time.now/call", r#"{"zone": "Europe/Lisbon"}"#);
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"));
    assert_eq!(answer.body["structuredContent"]["zone"], "Europe/Lisbon");
    assert_eq!(server.post("/api/v1/tools/time.now/call", "").status, 200, "no body is no arguments");

    let failed = server.post("/api/v1/tools/time.now/call", r#"{"zone": "Atlantis"}"#);
    assert_eq!((failed.status, &failed.body["isError"]), (200, &json!(true)));
}

#[test]
fn problems_say_what_is_wrong() {
    let server = Served::start(&[]);
    let unknown = server.post("/api/v1/tools/time.know/call", "{}");
    assert_eq!((unknown.status, unknown.content_type.as_str()), (404, "application/problem+json"));
    assert!(unknown.body["detail"].as_str().unwrap().contains("did you mean \"time.now\"?"));

    let invalid = server.post("/api/v1/tools/notes.write/call", r#"{"name": 5}"#);
    assert_eq!(invalid.status, 422);
    let errors = invalid.body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().any(|error| error["pointer"] == "/name"));

    for (body, words) in [("[1]", "object"), ("{\"a\":", "JSON"), (r#"{"zone": "UTC", "zone": "UTC"}"#, "twice")] {
        let refused = server.post("/api/v1/tools/time.now/call", body);
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.body["detail"].as_str().unwrap().contains(words), "{:?}", refused.body);
    }
    for path in ["/api/v1/nothing", "/api/v1/tools/none"] {
        let missing = server.get(path);
        assert_eq!((missing.status, missing.content_type.as_str()), (404, "application/problem+json"), "{path}");
    }
    assert_eq!(server.post("/api/v1/tools", "{}").status, 405);
    assert_eq!(server.get("/api/v1/tools/time.now/call").status, 405);
    for query in ["outcome=good", "from=yesterday", "before=5", "limit=many", "colour=red"] {
        assert_eq!(server.get(&format!("/api/v1/calls?{query}")).status, 400, "{query}");
    }
}

#[test]
fn calls_are_recorded_and_found_again() {
    let server = Served::start(&[]);
    for n in 0..5 {
        server.post("/api/v1/tools/notes.write/call", &json!({"name": format!("n{n}"), "text": "x"}).to_string());
    }
    server.post("/api/v1/tools/time.now/call", r#"{"zone": "Atlantis"}"#);

    let newest = server.get("/api/v1/calls?limit=1").body;
    let call = &newest["calls"][0];
    assert_eq!(
        (&call["tool"], &call["outcome"], &call["caller"]),
        (&json!("time.now"), &json!("error"), &json!("local"))
    );
    assert_eq!(call["arguments"], json!({"zone": "Atlantis"}));
    assert_eq!(call["result"]["isError"], true);

    let mut seen = Vec::new();
    let mut path = "/api/v1/calls?tool=notes.write&limit=2".to_owned();
    loop {
        let page = server.get(&path).body;
        seen.extend(
            page["calls"].as_array().unwrap().iter().map(|call| call["arguments"]["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/calls?tool=notes.write&limit=2&before={next}");
    }
    assert_eq!(seen, ["n4", "n3", "n2", "n1", "n0"]);

    let count = |query: &str| server.get(&format!("/api/v1/calls?{query}")).body["calls"].as_array().unwrap().len();
    assert_eq!(count("outcome=ok"), 5);
    assert_eq!(count("caller=nobody"), 0);
    assert_eq!(count("from=2100-01-01T00:00:00Z"), 0);
    assert_eq!(count("to=2100-01-01T00:00:00Z&outcome=error"), 1);
}

#[test]
fn foreign_pages_and_proxied_strangers_are_kept_out() {
    let server = Served::start(&[("API_KEY", "0123456789abcdef")]);
    let status = |headers: &[(&str, &str)]| server.get_with("/api/v1/tools", headers).status;
    assert_eq!(status(&[("origin", "http://evil.example.com")]), 403);
    assert_eq!(status(&[("host", "evil.example.com")]), 403);
    assert_eq!(status(&[("origin", "http://localhost:3000")]), 200);
    for name in ["forwarded", "x-forwarded-for", "X-Forwarded-Proto", "via"] {
        assert_eq!(status(&[(name, "x")]), 401, "{name}");
        assert_eq!(status(&[(name, "x"), ("x-api-key", "0123456789abcdef")]), 200, "{name}");
        assert_eq!(status(&[(name, "x"), ("authorization", "Bearer 0123456789abcdef")]), 200, "{name}");
    }
    assert_eq!(status(&[("x-api-key", "wrong")]), 401, "a wrong key is refused, also from this machine");
}
