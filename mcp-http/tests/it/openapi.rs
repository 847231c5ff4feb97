//! The OpenAPI document says all that there is, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::served::{Reply, Served};
use crate::{callers, runs, sessions};

pub const TOOLS: [&str; 9] = [
    "time.now",
    "notes.write",
    "notes.read",
    "notes.search",
    "history.search",
    "files.write",
    "files.read",
    "files.list",
    "files.search",
];

/// The document of a server.
pub struct Document(Value);

impl From<Value> for Document {
    fn from(document: Value) -> Self {
        Self(document)
    }
}

impl Document {
    pub fn of(server: &Served) -> Self {
        let reply = server.get("/openapi.json");
        assert_eq!((reply.status, reply.content_type.as_str()), (200, "application/json"));
        Self(reply.body)
    }

    /// Method and path of each operation.
    pub fn operations(&self) -> BTreeSet<(String, String)> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        paths
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().keys().map(move |m| (m.to_uppercase(), path.clone()))
            })
            .collect()
    }

    fn operation(&self, method: &str, path: &str) -> &Value {
        &self.0["paths"][path][method.to_lowercase()]
    }

    /// Fails unless the document foresees an answer: its status, its media type, each of its members.
    pub fn holds(&self, method: &str, path: &str, reply: &Reply) {
        let mut response = &self.operation(method, path)["responses"][reply.status.to_string()];
        if let Some(shared) = response["$ref"].as_str() {
            response = self.0.pointer(shared.strip_prefix('#').unwrap()).unwrap();
        }
        let schema = &response["content"][&reply.content_type]["schema"];
        assert!(schema.is_object(), "{method} {path} is not said to answer {} {}", reply.status, reply.content_type);
        let mut components = self.0["components"].clone();
        for name in [
            "Tools",
            "Tool",
            "Switch",
            "CallResult",
            "Calls",
            "Call",
            "Sessions",
            "Session",
            "Ended",
            "Files",
            "File",
            "Removed",
            "Runs",
            "Run",
            "RunWithSteps",
            "Recorded",
            "Begun",
            "Told",
            "Agents",
            "Agent",
            "Definitions",
            "Definition",
            "RemovedAgent",
            "Questions",
            "Events",
            "Keys",
            "Key",
            "SecretKey",
            "Users",
            "User",
            "Erased",
            "Problem",
            "Fault",
        ] {
            assert!(components["schemas"][name]["properties"].is_object(), "{name}");
            components["schemas"][name]["additionalProperties"] = json!(false);
        }
        let whole = json!({"allOf": [schema], "components": components});
        let validator = jsonschema::validator_for(&whole).unwrap();
        let faults: Vec<_> = validator.iter_errors(&reply.body).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{method} {path}: {faults:?}: {}", reply.body);
    }
}

#[test]
fn every_operation_is_described_and_no_other() {
    let server = Served::start(&[]);
    let document = Document::of(&server);
    let routes = [
        ("GET", "/api/v1/tools"),
        ("GET", "/api/v1/tools/{name}"),
        ("PATCH", "/api/v1/tools/{name}"),
        ("POST", "/api/v1/tools/{name}/call"),
        ("POST", "/api/v1/tools/{name}/answer"),
        ("GET", "/api/v1/calls"),
        ("GET", "/api/v1/calls/{call}"),
        ("GET", "/api/v1/events"),
        ("GET", "/api/v1/questions"),
        ("GET", "/api/v1/system"),
        ("GET", "/api/v1/system/config"),
        ("GET", "/api/v1/system/replicas"),
        ("GET", "/api/v1/system/backups"),
        ("GET", "/api/v1/system/doctor"),
        ("GET", "/api/v1/system/log"),
        ("GET", "/api/v1/stats"),
        ("GET", "/api/v1/alerts"),
        ("GET", "/api/v1/files"),
        ("PUT", "/api/v1/files/{name}"),
        ("GET", "/api/v1/files/{name}"),
        ("DELETE", "/api/v1/files/{name}"),
        ("GET", "/api/v1/runs"),
        ("POST", "/api/v1/runs"),
        ("GET", "/api/v1/runs/{run}"),
        ("POST", "/api/v1/runs/{run}/inputs"),
        ("POST", "/api/v1/runs/{run}/cancel"),
        ("GET", "/api/v1/runs/{run}/events"),
        ("GET", "/api/v1/runs/{run}/questions"),
        ("POST", "/api/v1/runs/{run}/answers"),
        ("GET", "/api/v1/agents"),
        ("POST", "/api/v1/agents/{name}/runs"),
        ("GET", "/api/v1/threads"),
        ("POST", "/api/v1/threads"),
        ("DELETE", "/api/v1/threads/{thread}"),
        ("GET", "/api/v1/threads/{thread}/messages"),
        ("GET", "/api/v1/agent-definitions"),
        ("GET", "/api/v1/agent-definitions/{name}"),
        ("PUT", "/api/v1/agent-definitions/{name}"),
        ("PATCH", "/api/v1/agent-definitions/{name}"),
        ("DELETE", "/api/v1/agent-definitions/{name}"),
        ("GET", "/api/v1/sessions"),
        ("DELETE", "/api/v1/sessions/{handle}"),
        ("GET", "/api/v1/keys"),
        ("POST", "/api/v1/keys"),
        ("DELETE", "/api/v1/keys/{key}"),
        ("POST", "/api/v1/keys/{key}/rotate"),
        ("GET", "/api/v1/users"),
        ("POST", "/api/v1/users"),
        ("GET", "/api/v1/users/{principal}"),
        ("PATCH", "/api/v1/users/{principal}"),
        ("DELETE", "/api/v1/users/{principal}"),
        ("GET", "/api/v1/users/{principal}/export"),
        ("GET", "/health"),
        ("GET", "/health/live"),
        ("GET", "/health/ready"),
    ];
    let of_tools = TOOLS.iter().map(|tool| ("POST".to_owned(), format!("/api/v1/tools/{tool}/call")));
    let expected: BTreeSet<_> =
        routes.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).chain(of_tools).collect();
    assert_eq!(document.operations(), expected);

    let mut allowed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (method, path) in &expected {
        allowed.entry(path).or_default().push(method);
    }
    for (path, methods) in allowed {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let mut target = callers::filled(&server, &path.replace("{name}", "time.now"));
            if path.contains("{handle}") {
                target = path.replace("{handle}", &sessions::create(&server));
            }
            if path.contains("{call}") {
                server.call_by_mcp("time.now", &json!({}));
                let calls = server.get("/api/v1/calls").body;
                target = path.replace("{call}", calls["calls"][0]["id"].as_str().unwrap());
            }
            if path.contains("{run}") {
                target = path.replace("{run}", &runs::create(&server));
            }
            if path.contains("/files/") {
                server.send("PUT", &target, &[], "a file that is there");
            }
            let reply = server.send(method, &target, &[], "");
            match methods.contains(&method) {
                // Some tools need arguments.
                true => assert!(matches!(reply.status, 200 | 422), "{method} {path}: {}", reply.status),
                false => {
                    assert_eq!(reply.status, 405, "{method} {path}");
                    assert_eq!(reply.header("allow"), Some(methods.join(", ").as_str()), "{method} {path}");
                }
            }
        }
    }
}

#[test]
fn each_parameter_is_taken_and_no_other() {
    let server = Served::start(&[]);
    let document = Document::of(&server);
    for (path, expected) in [
        ("/api/v1/tools", vec![("after", "notes.read"), ("enabled", "false"), ("limit", "1")]),
        (
            "/api/v1/calls",
            vec![
                ("before", "019a5d2c-7b6e-7c31-8a53-1f2a3b4c5d6e"),
                ("caller", "local"),
                ("from", "2026-07-28T12:00:00Z"),
                ("limit", "1"),
                ("outcome", "timed_out"),
                ("to", "2026-07-28T12:00:00Z"),
                ("tool", "time.now"),
            ],
        ),
    ] {
        let operation = document.operation("GET", path);
        let described: Vec<_> = operation["parameters"].as_array().unwrap().iter().collect();
        let names: Vec<_> = described.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        for (parameter, (name, value)) in described.iter().zip(&expected) {
            assert_eq!((&parameter["in"], &parameter["required"]), (&json!("query"), &json!(false)), "{parameter}");
            assert!(!parameter["description"].as_str().unwrap().is_empty());
            assert_eq!(server.get(&format!("{path}?{name}={value}")).status, 200, "{path} {name}");
        }
        assert_eq!(server.get(&format!("{path}?another=1")).status, 400, "{path}");
    }
    for (method, path) in document.operations() {
        let parameters = document.operation(&method, &path)["parameters"].as_array().unwrap();
        let named: Vec<_> =
            parameters.iter().filter(|p| p["in"] == "path").map(|p| p["name"].as_str().unwrap()).collect();
        let in_path: Vec<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(named, in_path, "{method} {path}");
    }
}

#[test]
fn each_tool_has_a_path_with_its_own_schemas() {
    let server = Served::start(&[]);
    let document = Document::of(&server);
    for tool in server.get("/api/v1/tools").body["tools"].as_array().unwrap() {
        let name = tool["name"].as_str().unwrap();
        let path = format!("/api/v1/tools/{name}/call");
        let operation = document.operation("POST", &path);
        assert_eq!(operation["operationId"], format!("callTool_{name}"));
        assert_eq!(operation["description"], tool["description"]);
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let schema = json!({"allOf": [schema], "components": document.0["components"]});
        let here = jsonschema::validator_for(&schema).unwrap();
        let original = jsonschema::validator_for(&tool["inputSchema"]).unwrap();
        for arguments in [
            json!({}),
            json!({"zone": "UTC"}),
            json!({"name": "a", "text": "b"}),
            json!({"query": "a", "limit": 3}),
            json!({"outcome": "ok"}),
            json!({"outcome": "good"}),
            json!({"limit": -1}),
            json!({"limit": "3"}),
            json!([]),
        ] {
            assert_eq!(here.is_valid(&arguments), original.is_valid(&arguments), "{name} {arguments}");
        }
        let arguments = match name {
            "notes.write" => r#"{"name": "list", "text": "milk"}"#,
            "notes.read" => r#"{"name": "list"}"#,
            "notes.search" => r#"{"query": "milk"}"#,
            _ => "{}",
        };
        for arguments in
            [arguments, r#"{"no such": "member"}"#, "[", r#"{"zone": "Atlantis", "name": "?", "query": ""}"#]
        {
            document.holds("POST", &path, &server.post(&path, arguments));
        }
    }
}

#[test]
fn what_refers_to_something_finds_it_and_names_are_their_own() {
    let server = Served::start(&[]);
    let Document(document) = Document::of(&server);
    let mut references = 0;
    let mut inside = vec![&document];
    while let Some(value) = inside.pop() {
        if let Some(target) = value.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(target.strip_prefix('#').unwrap()).is_some(), "{target}");
            references += 1;
        }
        match value {
            Value::Array(list) => inside.extend(list),
            Value::Object(members) => inside.extend(members.values()),
            _ => {}
        }
    }
    assert!(references > 50, "{references}");
    assert_eq!(document["openapi"], "3.1.1");
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!((&schemes["bearer"]["scheme"], &schemes["key"]["name"]), (&json!("bearer"), &json!("X-API-Key")));
    assert_eq!(document["paths"]["/health"]["get"]["security"], json!([]));

    let may_be_followed = |operation: &Value| {
        let id = operation["operationId"].as_str().unwrap();
        id.starts_with("callTool") || ["answerTool", "followRun", "followChanges", "followLog"].contains(&id)
    };
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let mut ids = BTreeSet::new();
    for operation in operations {
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{operation}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            let shared = response["$ref"].as_str().map(|target| &target[1..]);
            let response = shared.map_or(response, |target| document.pointer(target).unwrap());
            let content = response["content"].as_object().unwrap();
            let forms: Vec<_> = content.keys().map(String::as_str).collect();
            let is_problem = shared.is_some();
            let expected: &[&str] = match is_problem {
                // The bytes of a file.
                false if forms == ["*/*"] => &["*/*"],
                true => &["application/problem+json", "application/problem+xml"],
                // What a call or a run says before it ends.
                false if may_be_followed(operation) => {
                    &["application/json", "application/xml", "text/event-stream", "text/xml"]
                }
                false => &["application/json", "application/xml", "text/xml"],
            };
            assert_eq!(forms, expected, "{status}");
            assert!(!response["description"].as_str().unwrap().is_empty(), "{status}");
        }
    }
}

#[test]
fn it_is_for_those_who_may_call() {
    let server = Served::start(&[("API_KEY", "0123456789abcdef")]);
    let status = |headers: &[(&str, &str)]| server.get_with("/openapi.json", headers).status;
    assert_eq!(status(&[]), 200);
    assert_eq!(status(&[("x-forwarded-for", "10.0.0.1")]), 401);
    assert_eq!(status(&[("x-forwarded-for", "10.0.0.1"), ("x-api-key", "0123456789abcdef")]), 200);
    assert_eq!(status(&[("host", "evil.example.com")]), 403);
    assert_eq!(status(&[("origin", "http://evil.example.com")]), 403);

    let document = Document::of(&server);
    for (header, value) in [("x-api-key", "wrong"), ("origin", "http://evil.example.com")] {
        let refused = server.get_with("/api/v1/tools", &[(header, value)]);
        document.holds("GET", "/api/v1/tools", &refused);
    }
}

#[test]
fn what_may_be_left_out_of_a_body_is_not_asked_for() {
    let document = Document::of(&Served::start(&[]));
    for (method, path, required) in [
        ("POST", "/api/v1/keys", json!(["name"])),
        ("POST", "/api/v1/users", json!(["principal"])),
        ("PATCH", "/api/v1/users/{principal}", Value::Null),
        ("POST", "/api/v1/keys/{key}/rotate", Value::Null),
        ("PATCH", "/api/v1/tools/{name}", json!(["enabled"])),
    ] {
        let schema = &document.operation(method, path)["requestBody"]["content"]["application/json"]["schema"];
        assert!(schema["properties"].is_object(), "{method} {path}: {schema}");
        assert_eq!(schema["required"], required, "{method} {path}");
    }
}
