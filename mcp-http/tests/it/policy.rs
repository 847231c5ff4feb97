//! What an operator restricts by `POLICY`, by each way in.

use serde_json::json;

use crate::served::Served;

/// A server whose callers on this machine have no role `clerk`, and all scopes.
fn restricted() -> Served {
    let policy = json!({
        "tools": {"notes.*": {"roles": ["clerk"]}},
        "routes": {"GET /api/v1/files*": {"roles": ["clerk"]}, "DELETE /api/v1/*": {"tenants": ["another"]}},
    });
    Served::start(&[("POLICY", &policy.to_string())])
}

#[test]
fn tools_and_routes_are_not_there_for_who_lacks_the_role() {
    let server = restricted();
    let listed = server.get("/api/v1/tools").body;
    let names: Vec<_> = listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"time.now") && !names.iter().any(|name| name.starts_with("notes.")), "{names:?}");
    assert_eq!(server.get("/api/v1/tools/notes.write").status, 404);
    assert_eq!(server.post("/api/v1/tools/notes.write/call", "{}").status, 404);
    let by_mcp = server.call_by_mcp("notes.write", &json!({})).body["error"].clone();
    let message = by_mcp["message"].as_str().unwrap();
    assert!(by_mcp["code"] == -32602 && message.starts_with("there is no tool \"notes.write\""), "{message}");
    assert_eq!(message.matches("notes").count(), 1, "none of them is suggested: {message}");
    let paths = server.get("/openapi.json").body;
    assert!(paths["paths"].get("/api/v1/tools/notes.write/call").is_none(), "it is not described either");

    let nowhere = server.get("/api/v1/filed");
    for path in ["/api/v1/files", "/api/v1/files/a.txt"] {
        let hidden = server.get(path);
        assert_eq!((hidden.status, hidden.body["title"].clone()), (404, nowhere.body["title"].clone()));
        assert_eq!(hidden.body["detail"], format!("there is nothing at {path}"));
    }
    assert_eq!(server.send("PUT", "/api/v1/files/a.txt", &[], "bytes").status, 200, "no rule is about it");
    assert_eq!(server.send("DELETE", "/api/v1/files/a.txt", &[], "").status, 404);
}
