//! `/api/v1/stats`: the same figures from every replica and in `/metrics`, as soon as a call is answered.

use mcp_store::test_servers::{PostgresServer, RedisServer};
use serde_json::{Value, json};

use crate::assistant::{Provider, run};
use crate::replicas::{replica_with, write};
use crate::served::Served;

/// What a server says; the answer must be a good one.
fn ask(server: &Served, query: &str) -> Value {
    let reply = server.get(&format!("/api/v1/stats{query}"));
    assert_eq!(reply.status, 200, "{query}: {:?}", reply.body);
    reply.body
}

/// The figures of all time asked for, by name.
fn totals(server: &Served, query: &str) -> Vec<(String, Option<f64>)> {
    let answer = ask(server, query);
    let series = answer["series"].as_array().unwrap().iter();
    series.map(|series| (series["name"].as_str().unwrap_or_default().to_owned(), series["total"].as_f64())).collect()
}

fn of(names: &[(&str, f64)]) -> Vec<(String, Option<f64>)> {
    names.iter().map(|(name, total)| ((*name).to_owned(), Some(*total))).collect()
}

fn metric(server: &Served, tool: &str, outcome: &str) -> f64 {
    server.metric(&format!(r#"mcp_tool_calls_total{{tool="{tool}",outcome="{outcome}"}}"#)).unwrap_or(0) as f64
}

#[test]
fn seven_calls_one_an_error_are_counted_at_once_and_nothing_is_told_of_none() {
    let server = Served::start(&[]);
    for (measure, nothing) in
        [("calls", json!(0.0)), ("errors", json!(0.0)), ("error_rate", json!(null)), ("p99", json!(null))]
    {
        let answer = ask(&server, &format!("?measure={measure}"));
        assert_eq!(answer["series"], json!([{"total": nothing, "values": vec![nothing; 60]}]), "{measure}");
    }
    assert_eq!(ask(&server, "?by=tool")["series"], json!([]));
    for n in 1..=7 {
        let tool = if n == 7 { ("notes.read", json!({"name": "none"})) } else { ("time.now", json!({})) };
        server.call_by_mcp(tool.0, &tool.1);
        assert_eq!(totals(&server, ""), of(&[("", f64::from(n))]), "it is counted when it is answered");
    }
    assert_eq!(totals(&server, "?by=tool"), of(&[("notes.read", 1.0), ("time.now", 6.0)]));
    assert_eq!(totals(&server, "?by=outcome"), of(&[("error", 1.0), ("ok", 6.0)]));
    assert_eq!(totals(&server, "?measure=errors&by=tool"), of(&[("notes.read", 1.0), ("time.now", 0.0)]));
    assert_eq!(totals(&server, "?measure=error_rate"), of(&[("", 1.0 / 7.0)]));
    assert_eq!((metric(&server, "time.now", "ok"), metric(&server, "notes.read", "error")), (6.0, 1.0));
    for measure in ["mean", "p50", "p90", "p99"] {
        let [(_, Some(millis))] = totals(&server, &format!("?measure={measure}"))[..] else { panic!("{measure}") };
        assert!(millis > 0.0 && millis < 60_000.0, "{measure}: {millis}");
    }
    // Seen from the outside, it is the last step that they are in.
    let values = ask(&server, "?step=60")["series"][0]["values"].clone();
    let values: Vec<_> = values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    assert_eq!((values.len(), values[58] + values[59]), (60, 7.0), "{values:?}");
}

#[test]
fn a_question_that_cannot_be_answered_says_why() {
    let server = Served::start(&[]);
    for (query, word) in [
        ("?measure=luck", "p99"),
        ("?by=moon", "tool"),
        ("?by=model", "`tokens`"),
        ("?measure=cost&by=tool", "`agent`"),
        ("?from=yesterday", "`from`"),
        ("?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "`to` is before `from`"),
        ("?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z&step=60", "`step`"),
    ] {
        let reply = server.get(&format!("/api/v1/stats{query}"));
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.body["detail"].as_str().unwrap().contains(word), "{query}: {:?}", reply.body);
    }
    let wide = ask(&server, "?from=2020-01-01T00:00:00Z");
    assert!(wide["series"][0]["values"].as_array().unwrap().len() <= 60, "a step is as long as it must be");
}

#[test]
fn every_replica_says_the_same_and_at_once() {
    let (postgres, redis) = (PostgresServer::start(), RedisServer::start());
    let url = postgres.database();
    let (one, other) = (replica_with(&url, &redis, &[]), replica_with(&url, &redis, &[]));
    for n in 1..=6 {
        let written = write(if n % 2 == 0 { &one } else { &other }, "a text");
        assert_eq!(written.status, 200);
        for server in [&one, &other] {
            let told = totals(server, "?by=tool").into_iter().find(|(tool, _)| tool == "notes.write");
            assert_eq!(told, Some(("notes.write".to_owned(), Some(f64::from(n)))));
        }
    }
}

#[test]
fn what_models_took_is_the_same_from_every_replica_as_soon_as_a_run_has_ended() {
    let (postgres, redis, provider) = (PostgresServer::start(), RedisServer::start(), Provider::start());
    let models = json!({"fast": {"provider": "openai_compatible", "model": "m", "base_url": provider.url,
        "key_env": "OUR_KEY", "price": {"input": 2_000_000, "output": 10_000_000}}});
    let agents = r#"{"short": {"description": "Is short.", "model": "fast", "instructions": "Be short."}}"#;
    let (url, models) = (postgres.database(), models.to_string());
    let settings = [("MODELS", &*models), ("OUR_KEY", "k"), ("AGENTS", agents)];
    let (one, other) = (replica_with(&url, &redis, &settings), replica_with(&url, &redis, &settings));
    assert_eq!(totals(&one, "?measure=tokens"), of(&[("", 0.0)]));
    for (n, server) in (1..).zip([&one, &other, &one]) {
        assert_eq!(run(server, "short", "x")["state"], "completed");
        let times = f64::from(n);
        for server in [&one, &other] {
            assert_eq!(totals(server, "?measure=tokens&by=agent"), of(&[("short", 100.0 * times)]));
            let cost = totals(server, "?measure=cost&by=model");
            let [(model, Some(cost))] = &cost[..] else { panic!("{cost:?}") };
            assert!(model.ends_with("::m") && (cost - 0.000_44 * times).abs() < 1e-9, "{model}: {cost}");
        }
    }
    assert_eq!(totals(&one, "?measure=tokens&by=model")[0].1, Some(300.0));
}
