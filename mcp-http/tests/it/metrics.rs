//! `/metrics`, as a Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actix_web::test::{TestRequest, call_and_read_body, call_service, init_service};
use actix_web::{App, HttpMessage, web};
use mcp_core::{Caller, Endpoint, Server, ToolError, tool_fn};
use mcp_http::{Metrics, rest, telemetry};
use serde_json::json;

use crate::served::Served;

/// A family of an exposition.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    /// The names of the labels of its samples, without the bounds of buckets.
    labels: BTreeSet<String>,
    /// Each sample's name with its labels, and its value.
    samples: BTreeMap<String, f64>,
}

/// Reads an exposition, and fails where it is not as the format says: a family's help, its type, its samples, each once.
fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect(line);
            let family = Family { help: help.to_owned(), ..Family::default() };
            assert!(families.insert(name.to_owned(), family).is_none(), "{name} is there twice");
            current = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect(line);
            assert_eq!(name, current);
            families.get_mut(name).unwrap().kind = kind.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').expect(line);
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let family = families.get_mut(&current).expect(line);
            let suffix = name.strip_prefix(&current).expect(line);
            let suffixes: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            let labels = labels.strip_suffix('}').expect(line);
            for label in labels.split_terminator("\",") {
                let (label, value) = label.split_once("=\"").expect(line);
                assert!(!value.trim_end_matches('"').contains('"'), "{line}");
                if label != "le" {
                    family.labels.insert(label.to_owned());
                }
            }
            let value = value.parse().unwrap_or_else(|_| panic!("no number in {line}"));
            assert!(family.samples.insert(series.to_owned(), value).is_none(), "{series} is there twice");
        }
    }
    families
}

fn read(server: &Served) -> BTreeMap<String, Family> {
    let answer = server.get("/metrics");
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    parse(answer.body.as_str().unwrap())
}

fn value(families: &BTreeMap<String, Family>, series: &str) -> Option<f64> {
    let known = families.values().find_map(|family| family.samples.get(series));
    known.copied()
}

#[test]
fn the_list_in_the_docs_and_what_is_served_agree() {
    const DOCS: &str = include_str!("../../../docs/metrics.md");
    // Nobody is there, and what is counted of it is.
    let alerts = r#"{"channels": {"chat": {"kind": "slack", "url_env": "SLACK_URL"}}}"#;
    let models = r#"{"fast": {"provider": "openai_compatible", "model": "m", "base_url": "http://127.0.0.1:1"},
        "large": {"provider": "openai_compatible", "model": "l", "base_url": "http://127.0.0.1:1"}}"#;
    let nobody = "http://127.0.0.1:1";
    let server = Served::start(&[
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("ALERTS", alerts),
        ("SLACK_URL", nobody),
        ("MODELS", models),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", nobody),
    ]);
    server.post("/api/v1/tools/time.now/call", "{}");
    server.call_by_mcp("time.now", &json!({}));
    // Twice, so that the request for it is in it.
    read(&server);
    let row = |(name, family): (&String, &Family)| {
        let labels: Vec<_> = family.labels.iter().map(String::as_str).collect();
        (name.clone(), family.kind.clone(), labels.join(" "), family.help.clone())
    };
    let served: BTreeSet<_> = read(&server).iter().map(row).collect();
    let listed: BTreeSet<_> = DOCS
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| {
            let cells: Vec<_> = line.trim_end_matches('|').splitn(4, '|').map(str::trim).collect();
            let mut labels: Vec<_> = cells[2].split(',').map(|label| label.trim().trim_matches('`')).collect();
            labels.sort_unstable();
            (cells[0].trim_end_matches('`').to_owned(), cells[1].to_owned(), labels.join(" "), cells[3].to_owned())
        })
        .collect();
    let platform = |row: &(String, String, String, String)| cfg!(target_os = "linux") || !row.0.starts_with("process_");
    let listed: BTreeSet<_> = listed.into_iter().filter(platform).collect();
    assert_eq!(served, listed);
}

#[test]
fn a_call_is_counted_when_its_answer_is_there() {
    let server = Served::start(&[]);
    let calls = |outcome: &str| format!("mcp_tool_calls_total{{tool=\"time.now\",outcome=\"{outcome}\"}}");
    let start = read(&server);
    for outcome in ["ok", "error", "invalid", "timed_out", "cancelled", "internal"] {
        assert_eq!(value(&start, &calls(outcome)), Some(0.0), "{outcome} is there from the start");
    }
    for n in 1..=20 {
        server.post("/api/v1/tools/time.now/call", "{}");
        server.post("/api/v1/tools/time.now/call", r#"{"zone": "Atlantis"}"#);
        server.post("/api/v1/tools/time.now/call", r#"{"zone": 5}"#);
        let now = read(&server);
        let n = f64::from(n);
        let counted = ["ok", "error", "invalid", "internal"].map(|outcome| value(&now, &calls(outcome)).unwrap());
        assert_eq!(counted, [n, n, n, 0.0], "what the tool itself says is a failure is one");
        let of = |series: &str| value(&now, series);
        assert_eq!(of("mcp_tool_duration_seconds_count{tool=\"time.now\"}"), Some(3.0 * n));
        assert_eq!(of("mcp_tool_duration_seconds_bucket{tool=\"time.now\",le=\"+Inf\"}"), Some(3.0 * n));
        assert_eq!(of("mcp_tool_calls_in_flight{tool=\"time.now\"}"), Some(0.0));
        assert_eq!(of("mcp_ledger_commits_total{outcome=\"written\"}"), Some(3.0 * n), "each is recorded");
        let route = "route=\"/api/v1/tools/{name}/call\",method=\"POST\"";
        assert_eq!(of(&format!("mcp_http_requests_total{{{route},status=\"2xx\"}}")), Some(2.0 * n));
        assert_eq!(of(&format!("mcp_http_requests_total{{{route},status=\"4xx\"}}")), Some(n));
    }
    let now = read(&server);
    assert_eq!(value(&now, "mcp_http_requests_in_flight"), Some(1.0), "that for the metrics");
    assert_eq!(value(&now, "mcp_dependency_up{dependency=\"database\"}"), Some(1.0));
    if cfg!(target_os = "linux") {
        // Each is in its own measure, so that few of them can pass for another one.
        let of = |series: &str| value(&now, series).unwrap();
        let (opened, may_be_open) = (of("process_open_fds"), of("process_max_fds"));
        assert!(opened > 3.0 && may_be_open > opened, "{opened} {may_be_open}");
        let (bytes, used) = (of("process_resident_memory_bytes"), of("process_cpu_seconds_total"));
        assert!(bytes > 1e6 && bytes % 4096.0 == 0.0, "{bytes}");
        assert!(used < 600.0 && of("process_start_time_seconds") > 1.7e9, "{used}");
    }
}

#[test]
fn a_request_of_mcp_is_counted_by_method_tool_and_fault() {
    let server = Served::start(&[]);
    server.post("/api/v1/tools/time.now/call", "{}");
    server.call_by_mcp("time.now", &json!({}));
    server.call_by_mcp("time.now", &json!({"zone": "Atlantis"}));
    server.call_by_mcp("hunter2", &json!({}));
    let now = read(&server);
    let count = |tool: &str, error: &str| {
        let labels = format!("mcp_method_name=\"tools/call\",gen_ai_tool_name=\"{tool}\",error_type=\"{error}\"");
        value(&now, &format!("mcp_server_operation_duration_seconds_count{{{labels}}}"))
    };
    assert_eq!([count("time.now", ""), count("time.now", "tool_error"), count("", "-32602")], [Some(1.0); 3]);
    assert_eq!(count("hunter2", "-32602"), None);
}

#[test]
fn nothing_that_a_client_sends_becomes_a_label() {
    let server = Served::start(&[]);
    read(&server);
    let series = |server: &Served| -> BTreeSet<String> {
        read(server).into_values().flat_map(|family| family.samples.into_keys()).collect()
    };
    server.get("/hunter2-0?hunter2=0");
    server.get("/api/v1/tools/hunter2-0");
    server.post("/api/v1/tools/hunter2-0/call", "{}");
    server.send("HUNTER2-0", "/api/v1/tools", &[], "");
    server.send("HUNTER2-0", "/hunter2-0", &[], "");
    server.get("/api/v1/hunter2-0");
    server.get("/mcp/hunter2-0");
    let before = series(&server);
    for n in 1..50 {
        server.get(&format!("/api/v1/hunter2-{n}"));
        server.get(&format!("/mcp/hunter2-{n}"));
        server.get(&format!("/hunter2-{n}?hunter2={n}"));
        server.get(&format!("/api/v1/tools/hunter2-{n}"));
        server.post(&format!("/api/v1/tools/hunter2-{n}/call"), "{}");
        server.send(&format!("HUNTER2-{n}"), "/api/v1/tools", &[("x-request-id", "hunter2")], "");
        server.send(&format!("HUNTER2-{n}"), &format!("/hunter2-{n}"), &[], "");
    }
    let after = series(&server);
    assert_eq!(after, before);
    assert!(!after.iter().any(|series| series.to_lowercase().contains("hunter2")), "{after:#?}");
    let now = read(&server);
    assert_eq!(value(&now, "mcp_http_requests_total{route=\"unmatched\",method=\"GET\",status=\"4xx\"}"), Some(150.0));
    assert_eq!(value(&now, "mcp_http_requests_total{route=\"unmatched\",method=\"other\",status=\"4xx\"}"), Some(50.0));
}

#[test]
fn it_is_for_those_who_may_call() {
    let server = Served::start(&[]);
    assert_eq!(server.get_with("/metrics", &[("host", "rebound.example.com")]).status, 403);
    let server = Served::start(&[("HOST", "0.0.0.0"), ("API_KEY", "0123456789abcdef")]);
    assert_eq!(server.get("/metrics").status, 401);
    assert_eq!(server.get_with("/metrics", &[("authorization", "Bearer 0123456789abcdef")]).status, 200);
}

/// By what the crate offers to an app of one's own.
#[actix_web::test]
async fn two_apps_of_ones_own_count_each_for_itself() {
    async fn hello() -> Result<String, ToolError> {
        Ok("Hello!".to_owned())
    }
    let mut texts = Vec::new();
    for (name, calls) in [("one", 1), ("two", 3)] {
        let hello = tool_fn("hello", "Greets.", hello).read_only().cached(Duration::from_secs(60), "greetings");
        let server = Server::builder(name, "1.0.0").tool(hello).measured().build().unwrap();
        let endpoint = Endpoint::new(server);
        let metrics = Metrics::new(endpoint.clone());
        let app = App::new()
            .wrap(telemetry(&metrics))
            .configure(metrics.routes())
            .service(web::scope("/rest").configure(rest(endpoint)));
        let app = init_service(app).await;
        let peer = "127.0.0.1:9".parse().unwrap();
        for _ in 0..calls {
            let call = TestRequest::post().uri("/rest/tools/hello/call").peer_addr(peer).to_request();
            let answer = call_service(&app, call).await;
            assert_eq!(answer.status(), 200);
            assert!(answer.headers().contains_key("x-request-id"));
        }
        let text = call_and_read_body(&app, TestRequest::get().uri("/metrics").peer_addr(peer).to_request()).await;
        texts.push((name, calls, String::from_utf8(text.to_vec()).unwrap()));
    }
    for (name, calls, text) in texts {
        let families = parse(&text);
        let of = |series: &str| value(&families, series);
        assert_eq!(of("mcp_tool_calls_total{tool=\"hello\",outcome=\"ok\"}"), Some(f64::from(calls)));
        let cache = |from: &str| of(&format!("mcp_tool_cache_total{{tool=\"hello\",result=\"{from}\"}}")).unwrap();
        assert_eq!(["miss", "hit", "shared"].map(cache), [1.0, f64::from(calls - 1), 0.0]);
        let route = "route=\"/rest/tools/{name}/call\",method=\"POST\",status=\"2xx\"";
        assert_eq!(of(&format!("mcp_http_requests_total{{{route}}}")), Some(f64::from(calls)));
        assert_eq!(of(&format!("mcp_build_info{{server=\"{name}\",version=\"1.0.0\"}}")), Some(1.0));
    }
}

#[actix_web::test]
async fn what_is_counted_of_all_tenants_is_for_monitors_and_operators() {
    for (role, status) in [(Caller::MONITOR, 200), (Caller::OPERATOR, 200), (Caller::ADMIN, 403), ("clerk", 403)] {
        let endpoint = Endpoint::new(Server::builder("t", "1").measured().build().unwrap());
        let metrics = Metrics::new(endpoint);
        let app = init_service(App::new().configure(metrics.routes())).await;
        let request = TestRequest::get().uri("/metrics").insert_header(("host", "localhost")).to_request();
        request.extensions_mut().insert(Caller::new("acme", "ada").with_role(role));
        assert_eq!(call_service(&app, request).await.status().as_u16(), status, "{role}");
    }
}
