//! Every route and method, and every kind of caller: who may, who may not, and for whom there is nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::openapi::Document;
use crate::served::{Reply, Served, text};

const HOUSE: &str = "the-key-of-the-house";

/// Whom the server knows, in the order in which the table tells what is answered to them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Known {
    /// A user without roles and scopes.
    User,
    /// With the role `monitor`.
    Monitor,
    /// The administrator of the tenant.
    Admin,
    /// An operator, who has all scopes.
    Operator,
    /// The administrator of another tenant.
    Elsewhere,
}

const KNOWN: [Known; 5] = [Known::User, Known::Monitor, Known::Admin, Known::Operator, Known::Elsewhere];

/// What is answered to one of them: whatever the route has to say; 403; or 404.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Yes,
    No,
    None,
}

use Told::{No, None as Nothing, Yes};

/// What each of [`KNOWN`] is told.
type Row = (&'static str, &'static str, &'static str, [Told; 5]);

const ALL: [Told; 5] = [Yes; 5];
const NOBODY: [Told; 5] = [Nothing; 5];
/// It takes a scope that only the operator has.
const SCOPED: [Told; 5] = [No, No, No, Yes, No];
/// It takes the role `operator`.
const OPERATORS: [Told; 5] = [No, No, No, Yes, No];
/// It is a thing of the house, of which only its operators know that it is not there.
const OF_THE_HOUSE: [Told; 5] = [No, No, No, Nothing, No];
/// It takes the role `admin`, in whichever tenant.
const ADMINS: [Told; 5] = [No, No, Yes, Yes, Yes];
/// It takes that role, or `monitor`.
const STATS: [Told; 5] = [No, Yes, Yes, Yes, Yes];
/// It takes the role `monitor` or `operator`.
const MONITORS: [Told; 5] = [No, Yes, No, Yes, No];
/// It is a thing of the tenant, of which only its administrators know.
const HIDDEN: [Told; 5] = [Nothing, Nothing, Yes, Yes, Nothing];
/// The same, where others know of the route.
const OF_THE_TENANT: [Told; 5] = [No, No, Yes, Yes, Nothing];

/// What everyone may ask, without credentials as well.
const OPEN: [(&str, &str); 7] = [
    ("GET", "/health"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/docs"),
    ("GET", "/docs/page.js"),
    ("GET", "/console"),
    ("GET", "/console/pages/system.js"),
];

const ROWS: &[Row] = &[
    ("GET", "/api/v1/tools", "", ALL),
    ("GET", "/api/v1/tools/{name}", "", ALL),
    ("PATCH", "/api/v1/tools/{name}", r#"{"enabled": true}"#, OPERATORS),
    ("POST", "/api/v1/tools/{name}/call", "{}", SCOPED),
    ("POST", "/api/v1/tools/{name}/answer", r#"{"arguments": {}, "inputResponses": {}}"#, SCOPED),
    ("POST", "/api/v1/tools/time.now/call", "{}", SCOPED),
    ("POST", "/api/v1/tools/notes.search/call", r#"{"text": "a"}"#, NOBODY),
    ("POST", "/api/v1/tools/notes.write/call", "{}", ALL),
    ("POST", "/api/v1/tools/notes.read/call", "{}", ALL),
    ("POST", "/api/v1/tools/history.search/call", "{}", ALL),
    ("POST", "/api/v1/tools/files.write/call", "{}", ALL),
    ("POST", "/api/v1/tools/files.read/call", "{}", ALL),
    ("POST", "/api/v1/tools/files.list/call", "{}", ALL),
    ("POST", "/api/v1/tools/files.search/call", "{}", ALL),
    ("GET", "/api/v1/calls", "", ALL),
    ("GET", "/api/v1/calls/{call}", "", NOBODY),
    ("GET", "/api/v1/events", "", ALL),
    ("GET", "/api/v1/questions", "", ALL),
    ("GET", "/api/v1/system", "", ALL),
    ("GET", "/api/v1/system/config", "", OPERATORS),
    ("GET", "/api/v1/system/replicas", "", OPERATORS),
    ("GET", "/api/v1/system/backups", "", OPERATORS),
    ("GET", "/api/v1/system/doctor", "", OPERATORS),
    ("GET", "/api/v1/system/log", "", OPERATORS),
    ("GET", "/api/v1/stats", "", STATS),
    ("GET", "/api/v1/alerts", "", MONITORS),
    ("GET", "/api/v1/files", "", ALL),
    ("PUT", "/api/v1/files/{name}", "bytes", ALL),
    ("GET", "/api/v1/files/{name}", "", ALL),
    ("DELETE", "/api/v1/files/{name}", "", ALL),
    ("GET", "/api/v1/runs", "", ALL),
    ("POST", "/api/v1/runs", r#"{"kind": "none", "arguments": {}}"#, ALL),
    ("GET", "/api/v1/runs/{run}", "", NOBODY),
    ("POST", "/api/v1/runs/{run}/inputs", "{}", NOBODY),
    ("POST", "/api/v1/runs/{run}/cancel", "", NOBODY),
    ("GET", "/api/v1/runs/{run}/events", "", NOBODY),
    ("GET", "/api/v1/runs/{run}/questions", "", NOBODY),
    ("POST", "/api/v1/runs/{run}/answers", r#"{"answers": {}}"#, NOBODY),
    ("GET", "/api/v1/agents", "", ALL),
    ("POST", "/api/v1/agents/{name}/runs", r#"{"input": "x"}"#, NOBODY),
    ("GET", "/api/v1/threads", "", ALL),
    ("POST", "/api/v1/threads", r#"{"title": "Talk"}"#, ALL),
    ("GET", "/api/v1/threads/{thread}/messages", "", NOBODY),
    ("DELETE", "/api/v1/threads/{thread}", "", NOBODY),
    ("PUT", "/api/v1/agent-definitions/{name}", r#"{"team": {"sequence": ["a"]}}"#, OPERATORS),
    ("GET", "/api/v1/agent-definitions", "", OPERATORS),
    ("GET", "/api/v1/agent-definitions/{name}", "", OF_THE_HOUSE),
    ("PATCH", "/api/v1/agent-definitions/{name}", r#"{"enabled": false}"#, OF_THE_HOUSE),
    ("DELETE", "/api/v1/agent-definitions/{name}", "", OF_THE_HOUSE),
    ("GET", "/api/v1/sessions", "", SCOPED),
    ("DELETE", "/api/v1/sessions/{handle}", "", NOBODY),
    ("GET", "/api/v1/keys", "", ALL),
    ("POST", "/api/v1/keys", r#"{"name": "own"}"#, ALL),
    ("DELETE", "/api/v1/keys/{key}", "", HIDDEN),
    ("POST", "/api/v1/keys/{key}/rotate", "", HIDDEN),
    ("GET", "/api/v1/users", "", ADMINS),
    ("POST", "/api/v1/users", r#"{"principal": "{new}"}"#, ADMINS),
    ("GET", "/api/v1/users/{principal}", "", HIDDEN),
    ("PATCH", "/api/v1/users/{principal}", r#"{"display_name": "Somebody"}"#, OF_THE_TENANT),
    ("DELETE", "/api/v1/users/{principal}", "", OF_THE_TENANT),
    // Of a name that nobody has there is nothing to tell: what the other administrator is given has no record in it.
    ("GET", "/api/v1/users/{principal}/export", "", [Nothing, Nothing, Yes, Yes, Yes]),
    ("GET", "/openapi.json", "", ALL),
    ("GET", "/metrics", "", [No, Yes, No, Yes, No]),
    ("POST", "/mcp", "", ALL),
];

/// A server that others reach, with a rule for a tool, one for a route, and whoever calls.
struct House {
    server: Served,
    /// Of each of [`KNOWN`].
    keys: Vec<String>,
    /// Keys that let nobody in any more: it was revoked, and its user is kept out.
    ended: [String; 2],
}

impl House {
    fn new() -> Self {
        let policy = json!({
            "tools": {"time.now": {"scopes": ["time:read"]}, "notes.search": {"roles": ["clerk"]}},
            "routes": {"GET /api/v1/sessions": {"scopes": ["sessions:read"]}},
        });
        let settings = [("HOST", "0.0.0.0"), ("API_KEY", HOUSE), ("POLICY", &policy.to_string())];
        let house = Self { server: Served::start(&settings), keys: Vec::new(), ended: Default::default() };
        let made = [("user", &[][..]), ("monitor", &["monitor"]), ("chief", &["admin"])].map(|(name, roles)| {
            house.add(name, roles);
            house.key_of(name).1
        });
        let elsewhere =
            house.server.command(&["keys", "create", "eve", "--tenant", "other", "--role", "admin", "--json"]);
        let elsewhere: Value = serde_json::from_str(&text(&elsewhere.stdout)).unwrap();
        let [user, monitor, admin] = made;
        let keys = vec![user, monitor, admin, HOUSE.to_owned(), elsewhere["secret"].as_str().unwrap().to_owned()];
        house.add("former", &[]);
        let (revoked, of_revoked) = house.key_of("former");
        assert_eq!(house.send(HOUSE, "DELETE", &format!("/api/v1/keys/{revoked}"), "").status, 200);
        house.add("out", &[]);
        let (_, of_out) = house.key_of("out");
        assert_eq!(house.send(HOUSE, "PATCH", "/api/v1/users/out", r#"{"disabled": true}"#).status, 200);
        Self { keys, ended: [of_revoked, of_out], ..house }
    }

    fn add(&self, name: &str, roles: &[&str]) {
        let body = json!({"principal": name, "roles": roles}).to_string();
        assert_eq!(self.send(HOUSE, "POST", "/api/v1/users", &body).status, 200, "{name}");
    }

    /// The id and the secret of a new key.
    fn key_of(&self, name: &str) -> (String, String) {
        let body = json!({"name": "ci", "principal": name}).to_string();
        let made = self.send(HOUSE, "POST", "/api/v1/keys", &body).body;
        let member = |value: &Value| value.as_str().unwrap().to_owned();
        (member(&made["key"]["id"]), member(&made["secret"]))
    }

    fn send(&self, key: &str, method: &str, path: &str, body: &str) -> Reply {
        self.send_with(&[("x-api-key", key)], method, path, body)
    }

    fn send_with(&self, headers: &[(&str, &str)], method: &str, path: &str, body: &str) -> Reply {
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }}});
        if (method, path) == ("POST", "/mcp") {
            let of_mcp = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")];
            let headers = [headers, &of_mcp].concat();
            return self.server.send(method, path, &headers, &list.to_string());
        }
        self.server.send(method, path, headers, body)
    }

    /// The path and the body for one request of `who`, with things in them that are there.
    fn filled(&self, (method, path, body, _): Row, who: usize, key: &str) -> (String, String) {
        let mut target = path.replace("{name}/", "time.now/").replace("{handle}", "none");
        if path.starts_with("/api/v1/tools") {
            target = target.replace("{name}", "time.now");
        }
        if path.contains("/files/{name}") {
            target = target.replace("{name}", "a.txt");
            if method != "PUT" {
                assert_eq!(self.send(key, "PUT", &target, "bytes").status, 200);
            }
        }
        if path.contains("{principal}") || path.contains("{key}") {
            let name = format!("{}-{who}-{}", method.to_lowercase(), path.len());
            self.add(&name, &[]);
            target = target.replace("{principal}", &name);
            if path.contains("{key}") {
                target = target.replace("{key}", &self.key_of(&name).0);
            }
        }
        let target = target.replace("{run}", "019a5d2c-7b6e-7c31-8a53-1f2a3b4c5d6e");
        (target, body.replace("{new}", &format!("new-{who}")))
    }
}

#[test]
fn each_route_is_for_whom_the_table_says() {
    let house = House::new();
    // What is described is in the table: whoever adds a route says whom it is for.
    let operator = house.send(HOUSE, "GET", "/openapi.json", "");
    let described = Document::from(operator.body).operations();
    let told: BTreeSet<_> = ROWS.iter().map(|row| (row.0, row.1)).chain(OPEN).collect();
    for (method, path) in &described {
        assert!(told.contains(&(method.as_str(), path.as_str())), "{method} {path} is not in the table");
    }
    let strangers = [
        vec![],
        vec![("x-api-key", "another key, which is none")],
        vec![("x-api-key", "mcp_0123456789012345678901234567890123456789012")],
        vec![("authorization", "Basic YWRtaW46YWRtaW4=")],
        vec![("x-api-key", house.ended[0].as_str())],
        vec![("x-api-key", house.ended[1].as_str())],
    ];
    for row @ (method, path, _, expected) in ROWS {
        let of_nobody = house.filled(*row, 9, HOUSE);
        for headers in &strangers {
            let reply = house.send_with(headers, method, &of_nobody.0, &of_nobody.1);
            assert_eq!(reply.status, 401, "{method} {path} {headers:?}: {reply:?}");
            assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer"), "{reply:?}");
        }
        for (who, (key, expected)) in house.keys.iter().zip(expected).enumerate() {
            let (target, body) = house.filled(*row, who, key);
            let reply = house.send(key, method, &target, &body);
            let found = match reply.status {
                403 => No,
                404 => Nothing,
                401 => panic!("{method} {path} for {:?}: {reply:?}", KNOWN[who]),
                500.. => panic!("{method} {path} for {:?}: {reply:?}", KNOWN[who]),
                _ => Yes,
            };
            assert_eq!(found, *expected, "{method} {path} for {:?}: {reply:?}", KNOWN[who]);
        }
    }
    for (method, path) in OPEN {
        for headers in &strangers {
            assert_eq!(house.send_with(headers, method, path, "").status, 200, "{method} {path} {headers:?}");
        }
    }
}

#[test]
fn no_other_method_of_a_route_tells_strangers_anything() {
    let house = House::new();
    let paths: BTreeSet<_> = ROWS.iter().map(|row| row.1).collect();
    for path in paths {
        let target = path.replace("{name}", "time.now").replace("{run}", "019a5d2c-7b6e-7c31-8a53-1f2a3b4c5d6e");
        let target = target.replace("{key}", "none").replace("{principal}", "none").replace("{handle}", "none");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"] {
            if ROWS.iter().any(|row| (row.0, row.1) == (method, path)) || method == "HEAD" {
                continue;
            }
            let reply = house.send_with(&[], method, &target, "");
            let told = reply.status;
            assert!(matches!(told, 401 | 404 | 405), "{method} {path}: {reply:?}");
            for key in &house.keys {
                let reply = house.send(key, method, &target, "");
                assert!(matches!(reply.status, 403..=405), "{method} {path}: {reply:?}");
            }
        }
    }
}

#[test]
fn the_detail_of_health_is_for_those_who_watch_and_an_export_crosses_no_tenant() {
    let house = House::new();
    for (key, who) in house.keys.iter().zip(KNOWN) {
        let detail = house.send(key, "GET", "/health", "").body["checks"].is_object();
        assert_eq!(detail, matches!(who, Known::Monitor | Known::Operator), "{who:?}");
    }
    let of_user = house.send(&house.keys[4], "GET", "/api/v1/users/user/export", "");
    assert_eq!(of_user.body, json!({"type": "end", "lines": 0}), "{of_user:?}");
}
