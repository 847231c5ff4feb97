//! The web console: how a browser signs in, and what its pages are made of.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use mcp_store::test_servers::{PostgresServer, RedisServer};
use serde_json::{Value, json};

use crate::openapi::Document;
use crate::outages::SECRET_KEYS;
use crate::served::{Reply, Served, text, until};

const KEY: &str = "the-key-of-the-house";
const PAGE: (&str, &str) = ("x-requested-by", "console");

/// A server that others reach.
fn reachable() -> Served {
    Served::start(&[("HOST", "0.0.0.0"), ("API_KEY", KEY), ("SECRET_KEYS", SECRET_KEYS)])
}

fn sign_in(server: &Served, body: &Value) -> Reply {
    server.send("POST", "/console/session", &[PAGE, ("content-type", "application/json")], &body.to_string())
}

/// What a browser sends from now on.
fn cookie(signed_in: &Reply) -> String {
    assert_eq!(signed_in.status, 204, "{signed_in:?}");
    let cookie = signed_in.header("set-cookie").unwrap();
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn a_key_becomes_a_cookie_that_counts_for_the_page_alone() {
    let server = reachable();
    assert_eq!(server.get("/api/v1/system").status, 401);
    let signed_in = sign_in(&server, &json!({"key": KEY}));
    let cookie = cookie(&signed_in);
    assert!(!cookie.contains(KEY) && !signed_in.header("set-cookie").unwrap().contains("; Secure"));
    let ask = |headers: &[(&str, &str)]| server.get_with("/api/v1/system", headers);
    let system = ask(&[PAGE, ("cookie", &cookie)]);
    assert_eq!((system.status, &system.body["caller"], &system.body["is_open"]), (200, &json!("admin"), &json!(false)));
    assert_eq!(system.body["parts"], json!(["monitoring", "operating"]));
    assert_eq!(system.body["mcp"], "/mcp");
    // Another page may make the browser send the cookie, and not the header.
    assert_eq!(ask(&[("cookie", &cookie)]).status, 401);
    assert_eq!(ask(&[PAGE, ("cookie", &cookie), ("origin", "https://evil.example")]).status, 403);

    for (body, status) in [
        (json!({"key": "another key"}), 401),
        (json!({"token": "none"}), 401),
        (json!({"key": 5}), 422),
        (json!({}), 422),
        (json!({"key": "x".repeat(10_000)}), 413),
    ] {
        let refused = sign_in(&server, &body);
        assert_eq!((refused.status, refused.header("set-cookie")), (status, None), "{body}: {refused:?}");
        assert_eq!(refused.content_type, "application/problem+json");
    }
    let body = json!({"key": KEY}).to_string();
    assert_eq!(server.send("POST", "/console/session", &[], &body).status, 400, "any page can send that");
    let elsewhere = server.send("POST", "/console/session", &[PAGE, ("origin", "https://evil.example")], &body);
    assert_eq!(elsewhere.status, 403);
    let by_tls = server.send("POST", "/console/session", &[PAGE, ("x-forwarded-proto", "https")], &body);
    assert!(by_tls.header("set-cookie").unwrap().ends_with("; Secure"));
    // Whoever speaks TLS, the page was reached by it.
    let origin = server.url.replace("http://", "https://");
    let by_tls = server.send("POST", "/console/session", &[PAGE, ("origin", &origin)], &body);
    assert!(by_tls.header("set-cookie").is_some_and(|cookie| cookie.ends_with("; Secure")), "{by_tls:?}");
    let out = server.send("DELETE", "/console/session", &[PAGE], "");
    assert!(out.header("set-cookie").unwrap().starts_with("mcp-console=; Path=/; Max-Age=0;"), "{out:?}");
}

#[test]
fn a_cookie_ends_with_its_key_and_counts_at_each_replica() {
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let url = postgres.database();
    let redis = redis.url();
    let settings = [
        ("DATABASE_URL", &*url),
        ("REDIS_URL", &*redis),
        ("SECRET_KEYS", SECRET_KEYS),
        ("HOST", "0.0.0.0"),
        ("API_KEY", KEY),
    ];
    let [one, other] = [Served::start(&settings), Served::start(&settings)];
    let bearer = format!("Bearer {KEY}");
    let house = [("authorization", &*bearer)];
    let user = json!({"principal": "ada"}).to_string();
    assert_eq!(one.send("POST", "/api/v1/users", &house, &user).status, 200);
    let made = one.send("POST", "/api/v1/keys", &house, &json!({"name": "a", "principal": "ada"}).to_string()).body;
    let cookie = cookie(&sign_in(&one, &json!({"key": made["secret"]})));
    let ask = |server: &Served| server.get_with("/api/v1/system", &[PAGE, ("cookie", &cookie)]);
    assert_eq!((&ask(&one).body["caller"], &ask(&other).body["caller"]), (&json!("ada"), &json!("ada")));
    assert_eq!(ask(&one).body["parts"], json!([]), "ada is no operator");
    let path = format!("/api/v1/keys/{}", made["key"]["id"].as_str().unwrap());
    assert_eq!(one.send("DELETE", &path, &house, "").status, 200);
    assert_eq!(ask(&one).status, 401);
    until("the other replica has heard of it", || ask(&other).status == 401);
}

#[test]
fn the_command_prints_a_link_that_lets_in_once() {
    let here = Served::start(&[]);
    let port = here.url.rsplit(':').next().unwrap();
    let said = text(&here.command(&["console"]).stdout);
    assert!(said.starts_with(&format!("http://127.0.0.1:{port}/console\n")), "{said}");
    assert_eq!(here.get("/api/v1/system").body["is_open"], json!(true));

    let server = reachable();
    let port = server.url.rsplit(':').next().unwrap();
    let settings = [("PORT", port), ("HOST", "0.0.0.0"), ("API_KEY", KEY), ("SECRET_KEYS", SECRET_KEYS)];
    let link = || {
        let ran = crate::served::binary(server.folder(), &settings).args(["console", "--json"]).output().unwrap();
        let said: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{}", text(&ran.stderr)));
        said["url"].as_str().unwrap().to_owned()
    };
    let url = link();
    // A fragment is in no log of a server or a proxy on the way.
    let (page, token) = url.split_once("#token=").unwrap();
    assert_eq!(page, format!("http://127.0.0.1:{port}/console"));
    let cookie = cookie(&sign_in(&server, &json!({"token": token})));
    let system = server.get_with("/api/v1/system", &[PAGE, ("cookie", &cookie)]);
    assert_eq!(
        (&system.body["caller"], &system.body["parts"]),
        (&json!("console"), &json!(["monitoring", "operating"]))
    );
    assert_eq!(sign_in(&server, &json!({"token": token})).status, 401, "it lets in once");
    assert_eq!(sign_in(&server, &json!({"token": link().split_once('=').unwrap().1})).status, 204);
}

#[test]
fn the_page_is_served_with_a_strict_policy_and_can_be_left_out() {
    let server = Served::start(&[]);
    let page = server.get("/console");
    assert_eq!((page.status, &*page.content_type), (200, "text/html; charset=utf-8"));
    assert_eq!(
        page.header("content-security-policy"),
        Some(
            "default-src 'self'; img-src 'self' data:; media-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    );
    let tag = page.header("etag").unwrap();
    assert_eq!(server.get_with("/console", &[("if-none-match", tag)]).status, 304);
    assert_eq!(server.get_with("/console", &[("if-none-match", "\"other\"")]).status, 200);
    assert_eq!(server.get_with("/console", &[("host", "evil.example")]).status, 403);
    let without = Served::start(&[("CONSOLE", "false")]);
    for path in ["/console", "/console/app.js", "/console/session"] {
        assert_eq!(without.get(path).status, 404, "{path}");
    }
    assert!(!without.said.iter().any(|line| line.contains("console")));
    let refused = crate::served::binary(without.folder(), &[("CONSOLE", "false")]).arg("console").output().unwrap();
    assert!(refused.status.code() == Some(7) && text(&refused.stderr).contains("CONSOLE=true"));
}

/// The data of the events of a stream, by their names.
fn follow(server: &Served, path: &str) -> impl Iterator<Item = (String, Value)> + use<> {
    let request = ureq::get(format!("{}{path}", server.url)).header("accept", "text/event-stream");
    let answer = request.config().timeout_global(Some(Duration::from_secs(120))).build().call().unwrap();
    let mut lines = BufReader::new(answer.into_body().into_reader()).lines().map_while(Result::ok);
    std::iter::from_fn(move || {
        let name = lines.by_ref().find_map(|line| line.strip_prefix("event: ").map(str::to_owned))?;
        let data = lines.by_ref().find_map(|line| line.strip_prefix("data: ").map(str::to_owned))?;
        Some((name, serde_json::from_str(&data).unwrap()))
    })
}

#[test]
fn a_change_is_told_of_and_nothing_else() {
    let server = Served::start(&[]);
    let mut events = follow(&server, "/api/v1/events");
    let (name, first) = events.next().unwrap();
    assert_eq!(
        (&*name, &first["calls"], &first["questions"], &first["alerts"]),
        ("tick", &json!(""), &json!(0), &json!(0))
    );
    assert_eq!(server.get("/api/v1/events").body, first);
    server.call_by_mcp("time.now", &json!({}));
    let (_, second) = events.next().unwrap();
    assert_ne!(second["calls"], first["calls"]);
    let calls = server.get("/api/v1/calls").body;
    let (id, call) = (calls["calls"][0]["id"].as_str().unwrap(), &calls["calls"][0]);
    let shown = server.get(&format!("/api/v1/calls/{id}"));
    Document::of(&server).holds("GET", "/api/v1/calls/{call}", &shown);
    assert_eq!(&shown.body, call);
    for unknown in ["none", "019a5d2c-7b6e-7c31-8a53-1f2a3b4c5d6e"] {
        assert_eq!(server.get(&format!("/api/v1/calls/{unknown}")).status, 404);
    }
}

#[test]
fn who_follows_keeps_no_server_from_stopping() {
    // Longer than anybody waits for a test.
    let server = Served::start(&[("STOP_TIMEOUT", "60m")]);
    let mut events = follow(&server, "/api/v1/events");
    let mut lines = follow(&server, "/api/v1/system/log");
    assert!(events.next().is_some());
    let (code, ..) = server.stop();
    assert_eq!(code, Some(0));
    assert!(events.all(|(name, _)| name == "tick"), "it ends");
    assert!(lines.all(|(name, _)| name == "line"), "it ends");
}

#[test]
fn operators_see_settings_replicas_the_log_backups_and_what_doctor_finds() {
    let settings = [("API_KEY", KEY), ("LOG_LEVEL", "debug"), ("KEEP_NOTES", "30d")];
    let server = Served::start(&settings);
    let config = server.get("/api/v1/system/config").body;
    let setting = |key: &str| {
        let all = config["settings"].as_array().unwrap();
        let found = all.iter().find(|setting| setting["key"] == key).unwrap();
        (found["value"].as_str().unwrap().to_owned(), found["origin"].as_str().unwrap().to_owned())
    };
    assert_eq!(setting("API_KEY"), ("***".to_owned(), "from the environment".to_owned()));
    assert_eq!(setting("KEEP_NOTES"), ("30d".to_owned(), "from the environment".to_owned()));
    assert_eq!(setting("KEEP_RUNS"), ("90d".to_owned(), "the default".to_owned()));
    assert!(!config.to_string().contains(KEY));

    let replicas = server.get("/api/v1/system/replicas").body;
    assert_eq!(
        (replicas["replicas"].as_array().unwrap().len(), &replicas["replicas"][0]["is_this"]),
        (1, &json!(true))
    );

    assert_eq!(server.get("/api/v1/system/backups").body, json!({"backups": []}));
    let backup = server.command(&["backup", "monday", "--verify"]);
    assert!(backup.status.success(), "{}", text(&backup.stderr));
    let backups = server.get("/api/v1/system/backups").body;
    let backup = &backups["backups"][0];
    assert_eq!(
        (&backup["folder"], &backup["outcome"], &backup["verified"]),
        (&json!("monday"), &json!("ok"), &json!(true))
    );

    let found = server.get("/api/v1/system/doctor");
    assert_eq!(found.status, 200);
    let of = |name: &str| found.body["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).unwrap();
    assert_eq!((&of("configuration")["status"], &of("database")["status"]), (&json!("ok"), &json!("ok")), "{found:?}");
    let by_command = server.command(&["doctor", "--json"]);
    let by_command: Value = serde_json::from_slice(&by_command.stdout).unwrap();
    let names = |found: &Value| -> Vec<Value> {
        found["checks"].as_array().unwrap().iter().map(|check| check["check"].clone()).collect()
    };
    assert_eq!(names(&found.body), names(&by_command));
}

#[test]
fn the_log_is_followed_in_each_format_and_shown_as_it_was() {
    for format in ["text", "json"] {
        let server = Served::start(&[("LOG_FORMAT", format), ("LOG_LEVEL", "info,mcp_core=debug,mcp_http=debug")]);
        let mut events = follow(&server, "/api/v1/system/log");
        // A refused origin is logged, and the request that follows the log is too.
        server.get_with("/api/v1/calls?limit=0", &[("origin", "https://evil.example\"<b>")]);
        let (name, line) = events.by_ref().find(|(_, line)| line["level"].is_string()).unwrap();
        assert_eq!(name, "line", "{line}");
        let time = line["timestamp"].as_str().unwrap();
        assert!(time.parse::<mcp_core::clock::Timestamp>().is_ok(), "{format}: {line}");
        let lines = server.get("/api/v1/system/log").body;
        assert_eq!(lines["lines"][0], line, "{format}");
    }
}
