//! Each route gives JSON or XML, as it is asked.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::callers;
use crate::openapi::{Document, TOOLS};
use crate::served::{Reply, Served};
use crate::sessions;

/// A request that is well, and one that is not, with its status.
struct Case {
    method: &'static str,
    path: &'static str,
    good: (&'static str, &'static str),
    bad: (&'static str, &'static str, &'static str, u16),
}

const CASES: [Case; 45] = [
    Case {
        method: "GET",
        path: "/api/v1/tools",
        good: ("/api/v1/tools?limit=2", ""),
        bad: ("GET", "/api/v1/tools?after=none", "", 400),
    },
    Case {
        method: "GET",
        path: "/api/v1/tools/{name}",
        good: ("/api/v1/tools/notes.write", ""),
        bad: ("GET", "/api/v1/tools/none", "", 404),
    },
    Case {
        method: "PATCH",
        path: "/api/v1/tools/{name}",
        good: ("/api/v1/tools/time.now", r#"{"enabled": true}"#),
        bad: ("PATCH", "/api/v1/tools/time.now", r#"{"enabled": "no"}"#, 422),
    },
    Case {
        method: "POST",
        path: "/api/v1/tools/{name}/call",
        good: ("/api/v1/tools/time.now/call", r#"{"zone": "Europe/Lisbon"}"#),
        bad: ("POST", "/api/v1/tools/notes.write/call", r#"{"name": 5}"#, 422),
    },
    Case {
        method: "POST",
        path: "/api/v1/tools/{name}/answer",
        good: ("/api/v1/tools/time.now/answer", r#"{"arguments": {"zone": "Europe/Lisbon"}, "inputResponses": {}}"#),
        bad: ("POST", "/api/v1/tools/time.now/answer", r#"{"inputResponses": {}, "requestState": "none"}"#, 422),
    },
    Case {
        method: "GET",
        path: "/api/v1/calls",
        good: ("/api/v1/calls?limit=1", ""),
        bad: ("GET", "/api/v1/calls?colour=red", "", 400),
    },
    Case {
        method: "GET",
        path: "/api/v1/calls/{call}",
        good: ("/api/v1/calls/{call}", ""),
        bad: ("GET", "/api/v1/calls/none", "", 404),
    },
    Case {
        method: "GET",
        path: "/api/v1/stats",
        good: ("/api/v1/stats?by=tool", ""),
        bad: ("GET", "/api/v1/stats?measure=luck", "", 400),
    },
    Case {
        method: "GET",
        path: "/api/v1/alerts",
        good: ("/api/v1/alerts", ""),
        bad: ("POST", "/api/v1/alerts", "", 405),
    },
    Case {
        method: "GET",
        path: "/api/v1/events",
        good: ("/api/v1/events", ""),
        bad: ("POST", "/api/v1/events", "", 405),
    },
    Case {
        method: "GET",
        path: "/api/v1/questions",
        good: ("/api/v1/questions", ""),
        bad: ("POST", "/api/v1/questions", "", 405),
    },
    Case {
        method: "GET",
        path: "/api/v1/system",
        good: ("/api/v1/system", ""),
        bad: ("POST", "/api/v1/system", "", 405),
    },
    Case {
        method: "GET",
        path: "/api/v1/system/config",
        good: ("/api/v1/system/config", ""),
        bad: ("POST", "/api/v1/system/config", "", 405),
    },
    Case {
        method: "GET",
        path: "/api/v1/system/replicas",
        good: ("/api/v1/system/replicas", ""),
        bad: ("POST", "/api/v1/system/replicas", "", 405),
    },
    Case {
        method: "GET",
        path: "/api/v1/system/backups",
        good: ("/api/v1/system/backups", ""),
        bad: ("POST", "/api/v1/system/backups", "", 405),
    },
    Case {
        method: "GET",
        path: "/api/v1/system/doctor",
        good: ("/api/v1/system/doctor", ""),
        bad: ("POST", "/api/v1/system/doctor", "", 405),
    },
    Case {
        method: "GET",
        path: "/api/v1/system/log",
        good: ("/api/v1/system/log", ""),
        bad: ("POST", "/api/v1/system/log", "", 405),
    },
    Case {
        method: "GET",
        path: "/api/v1/sessions",
        good: ("/api/v1/sessions", ""),
        bad: ("POST", "/api/v1/sessions", "", 405),
    },
    Case {
        method: "DELETE",
        path: "/api/v1/sessions/{handle}",
        good: ("/api/v1/sessions/{handle}", ""),
        bad: ("DELETE", "/api/v1/sessions/none", "", 404),
    },
    Case {
        method: "GET",
        path: "/api/v1/files",
        good: ("/api/v1/files?limit=1", ""),
        bad: ("GET", "/api/v1/files?colour=red", "", 400),
    },
    Case {
        method: "PUT",
        path: "/api/v1/files/{name}",
        good: ("/api/v1/files/a.txt", "bytes"),
        bad: ("POST", "/api/v1/files/a.txt", "", 405),
    },
    Case {
        method: "DELETE",
        path: "/api/v1/files/{name}",
        good: ("/api/v1/files/a.txt", ""),
        bad: ("DELETE", "/api/v1/files/none", "", 404),
    },
    Case {
        method: "GET",
        path: "/api/v1/runs",
        good: ("/api/v1/runs?limit=1", ""),
        bad: ("GET", "/api/v1/runs?colour=red", "", 400),
    },
    Case {
        method: "PUT",
        path: "/api/v1/agent-definitions/{name}",
        good: ("/api/v1/agent-definitions/pair", r#"{"team": {"sequence": ["a", "b"]}}"#),
        bad: ("PUT", "/api/v1/agent-definitions/pair", r#"{"team": {"sequence": []}}"#, 422),
    },
    Case {
        method: "GET",
        path: "/api/v1/agent-definitions",
        good: ("/api/v1/agent-definitions", ""),
        bad: ("POST", "/api/v1/agent-definitions", "", 405),
    },
    Case {
        method: "GET",
        path: "/api/v1/agent-definitions/{name}",
        good: ("/api/v1/agent-definitions/pair", ""),
        bad: ("GET", "/api/v1/agent-definitions/none", "", 404),
    },
    Case {
        method: "PATCH",
        path: "/api/v1/agent-definitions/{name}",
        good: ("/api/v1/agent-definitions/pair", r#"{"version": 1}"#),
        bad: ("PATCH", "/api/v1/agent-definitions/pair", r#"{"version": 9999}"#, 404),
    },
    Case {
        method: "DELETE",
        path: "/api/v1/agent-definitions/{name}",
        good: ("/api/v1/agent-definitions/pair", ""),
        bad: ("DELETE", "/api/v1/agent-definitions/none", "", 404),
    },
    Case {
        method: "GET",
        path: "/api/v1/agents",
        good: ("/api/v1/agents", ""),
        bad: ("GET", "/api/v1/agents?after=none", "", 400),
    },
    Case {
        method: "GET",
        path: "/api/v1/threads",
        good: ("/api/v1/threads?limit=1", ""),
        bad: ("GET", "/api/v1/threads?before=none", "", 400),
    },
    Case {
        method: "POST",
        path: "/api/v1/threads",
        good: ("/api/v1/threads", r#"{"title": "Talk"}"#),
        bad: ("POST", "/api/v1/threads", r#"{"title": 1}"#, 422),
    },
    Case {
        method: "GET",
        path: "/api/v1/threads/{thread}/messages",
        good: ("/api/v1/threads/{thread}/messages", ""),
        bad: ("GET", "/api/v1/threads/none/messages", "", 404),
    },
    Case {
        method: "DELETE",
        path: "/api/v1/threads/{thread}",
        good: ("/api/v1/threads/{thread}", ""),
        bad: ("DELETE", "/api/v1/threads/none", "", 404),
    },
    Case {
        method: "GET",
        path: "/api/v1/keys",
        good: ("/api/v1/keys?limit=1", ""),
        bad: ("GET", "/api/v1/keys?after=none", "", 400),
    },
    Case {
        method: "POST",
        path: "/api/v1/keys",
        good: ("/api/v1/keys", r#"{"name": "ci", "scopes": ["notes:read"], "expires": "2999-01-01T00:00:00Z"}"#),
        bad: ("POST", "/api/v1/keys", r#"{"name": "ci", "roles": ["none"]}"#, 422),
    },
    Case {
        method: "DELETE",
        path: "/api/v1/keys/{key}",
        good: ("/api/v1/keys/{key}", ""),
        bad: ("DELETE", "/api/v1/keys/none", "", 404),
    },
    Case {
        method: "POST",
        path: "/api/v1/keys/{key}/rotate",
        good: ("/api/v1/keys/{key}/rotate", r#"{"overlap_seconds": 0}"#),
        bad: ("POST", "/api/v1/keys/none/rotate", "", 404),
    },
    Case {
        method: "GET",
        path: "/api/v1/users",
        good: ("/api/v1/users?limit=1", ""),
        bad: ("GET", "/api/v1/users?colour=red", "", 400),
    },
    Case {
        method: "POST",
        path: "/api/v1/users",
        good: ("/api/v1/users", r#"{"principal": "{new}", "roles": ["admin"]}"#),
        bad: ("POST", "/api/v1/users", r#"{"principal": "a/b"}"#, 422),
    },
    Case {
        method: "GET",
        path: "/api/v1/users/{principal}",
        good: ("/api/v1/users/{principal}", ""),
        bad: ("GET", "/api/v1/users/none", "", 404),
    },
    Case {
        method: "PATCH",
        path: "/api/v1/users/{principal}",
        good: ("/api/v1/users/{principal}", r#"{"disabled": true}"#),
        bad: ("PATCH", "/api/v1/users/none", r#"{"disabled": true}"#, 404),
    },
    Case {
        method: "DELETE",
        path: "/api/v1/users/{principal}",
        good: ("/api/v1/users/{principal}", ""),
        bad: ("DELETE", "/api/v1/users/none", "", 404),
    },
    Case { method: "GET", path: "/health", good: ("/health", ""), bad: ("DELETE", "/health", "", 405) },
    Case { method: "GET", path: "/health/live", good: ("/health/live", ""), bad: ("DELETE", "/health/live", "", 405) },
    Case {
        method: "GET",
        path: "/health/ready",
        good: ("/health/ready", ""),
        bad: ("DELETE", "/health/ready", "", 405),
    },
];

/// What answers with bytes that have a form of their own.
const BYTES: [(&str, &str); 2] = [("GET", "/api/v1/files/{name}"), ("GET", "/api/v1/users/{principal}/export")];

#[test]
fn each_route_answers_in_json_and_in_xml_and_refuses_the_rest() {
    let server = Served::start(&[]);
    let document = Document::of(&server);
    for (method, path) in document.operations() {
        let known = CASES.iter().find(|case| case.method == method && case.path == path);
        let of_tool = TOOLS.iter().any(|tool| path == format!("/api/v1/tools/{tool}/call"));
        // What is done with one run needs a server with such work: `runs.rs` and `agents.rs` have it.
        let of_a_run = ["/api/v1/runs/", "/api/v1/agents/"].iter().any(|prefix| path.starts_with(prefix))
            || (&*method, &*path) == ("POST", "/api/v1/runs");
        if BYTES.contains(&(&*method, &*path)) || of_a_run {
            continue;
        }
        assert!(known.is_some() != of_tool, "{method} {path} is no case of this test");
    }
    server.call_by_mcp("time.now", &serde_json::json!({}));
    let call = server.get("/api/v1/calls").body["calls"][0]["id"].as_str().unwrap().to_owned();
    for Case { method, path, good: (target, body), bad: (bad_method, bad_target, bad_body, status) } in &CASES {
        let good = |accept: &str| {
            // There is something to list, and each is ended once.
            if *method == "DELETE" && path.contains("/files/") {
                server.send("PUT", target, &[], "bytes");
            }
            let target = target.replace("{handle}", &sessions::create(&server)).replace("{call}", &call);
            let (target, body) = (callers::filled(&server, &target), body.replace("{new}", &callers::new_name()));
            server.send(method, &target, &[("accept", accept)], &body)
        };
        let bad = |accept: &str| server.send(bad_method, bad_target, &[("accept", accept)], bad_body);
        for accept in ["application/json", "*/*", "text/html, */*;q=0.1", "application/xml;q=0.5, application/json"] {
            let reply = good(accept);
            assert_eq!((reply.status, reply.content_type.as_str()), (200, "application/json"), "{path} {accept}");
            assert_eq!(reply.header("vary"), Some("accept"), "{path}");
            document.holds(method, path, &reply);
            let problem = bad(accept);
            assert_eq!(
                (problem.status, problem.content_type.as_str()),
                (*status, "application/problem+json"),
                "{path}"
            );
            assert_eq!(problem.body["status"], *status, "{path}");
            if *status != 405 {
                document.holds(method, path, &problem);
            }
        }
        for (accept, content_type) in [
            ("application/xml", "application/xml"),
            ("text/xml", "text/xml; charset=utf-8"),
            ("application/json;q=0.5, application/xml", "application/xml"),
        ] {
            let reply = good(accept);
            assert_eq!((reply.status, reply.content_type.as_str()), (200, content_type), "{path} {accept}");
            assert_eq!(reply.header("vary"), Some("accept"), "{path}");
            assert_eq!(names(&reply)[0], "response", "{path}");
            let problem = bad(accept);
            assert_eq!((problem.status, problem.content_type.as_str()), (*status, "application/problem+xml"), "{path}");
            assert_eq!(names(&problem)[..2], ["problem", "title"], "{path}");
        }
        // Where there are answers with a form of their own, none is refused for its form.
        let any_form = path.starts_with("/api/v1/files");
        for accept in ["image/png", "application/json;q=0", "application/problem+json"] {
            if any_form {
                let reply = good(accept);
                assert_eq!((reply.status, reply.content_type.as_str()), (200, "application/json"), "{path} {accept}");
                continue;
            }
            for refused in [good(accept), bad(accept)] {
                let found = (refused.status, refused.content_type.as_str());
                assert_eq!(found, (406, "application/problem+json"), "{path} {accept}");
                document.holds(method, path, &refused);
            }
        }
    }
}

#[test]
fn a_call_whose_answer_could_not_be_read_is_not_made() {
    let server = Served::start(&[]);
    let path = "/api/v1/tools/notes.write/call";
    let refused = server.send("POST", path, &[("accept", "image/png")], r#"{"name": "a", "text": "b"}"#);
    assert_eq!(refused.status, 406);
    assert_eq!(server.get("/api/v1/calls").body["calls"].as_array().unwrap().len(), 0);
}

#[test]
fn what_stands_in_json_stands_in_xml() {
    let server = Served::start(&[]);
    let text = "<b> & \u{7} \"é\"";
    server.post("/api/v1/tools/notes.write/call", &serde_json::json!({"name": "list", "text": text}).to_string());
    let xml =
        server.send("POST", "/api/v1/tools/notes.read/call", &[("accept", "application/xml")], r#"{"name": "list"}"#);
    let xml = xml.body.as_str().unwrap();
    assert!(xml.contains(r#"<structuredContent type="object"><name>list</name><text encoding="base64">"#), "{xml}");
    let fault = server.send("POST", "/api/v1/tools/notes.read/call", &[("accept", "application/xml")], r#"{"a<b": 1}"#);
    let xml = fault.body.as_str().unwrap();
    assert!(xml.contains("<errors><i><pointer>") && xml.contains("a&lt;b"), "{xml}");
    let nowhere = server.send("GET", "/api/v1/nothing", &[("accept", "text/xml")], "");
    assert_eq!((nowhere.status, nowhere.content_type.as_str()), (404, "application/problem+xml"));
    let path = server.get("/api/v1/tools/%FF");
    assert_eq!((path.status, path.content_type.as_str()), (404, "application/problem+json"), "{path:?}");
}

/// The names of the elements of a well-formed document, in their order.
fn names(reply: &Reply) -> Vec<String> {
    let mut reader = Reader::from_str(reply.body.as_str().unwrap());
    let (mut names, mut open) = (Vec::new(), 0);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                names.push(start.name().as_ref().to_owned());
                open += 1;
            }
            Event::End(_) => open -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, 0, "{reply:?}");
    names
}
