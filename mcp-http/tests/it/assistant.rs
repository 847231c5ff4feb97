//! Models and agents by configuration alone: the bundled server, and a provider on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use mcp_store::test_servers::{PostgresServer, RedisServer};
use serde_json::{Value, json};

use crate::openapi::Document;
use crate::replicas;
use crate::served::{Reply, Served, until};

/// A provider of the kind `openai_compatible`: it calls `notes.write` once, where it may, and says what it was told first; or it
/// searches the notes, and says what it found.
pub struct Provider {
    pub url: String,
    /// The bodies of the requests, and what stood in `Authorization`.
    asked: Arc<Mutex<Vec<(Value, String)>>>,
}

impl Provider {
    /// It serves until the tests end.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let kept = kept.clone();
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    while let Some((body, key)) = request(&stream) {
                        let answer = answer(&body);
                        kept.lock().unwrap().push((body, key));
                        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: ";
                        write!(stream, "{head}{}\r\n\r\n{answer}", answer.len()).unwrap();
                    }
                });
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<(Value, String)> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads one request: its body, and the credentials.
fn request(stream: &std::net::TcpStream) -> Option<(Value, String)> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut key) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => key = value.to_owned(),
            Some(_) => {}
            None if line == "\r\n" => break,
            None => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((serde_json::from_slice(&body).unwrap(), key))
}

fn answer(body: &Value) -> String {
    let messages = body["messages"].as_array().unwrap();
    let given = messages.iter().rev().find(|message| message["role"] == "tool");
    let has_called = given.is_some();
    let tool = |start: &str| {
        let tools = body["tools"].as_array().into_iter().flatten();
        tools.map(|tool| tool["function"]["name"].as_str().unwrap()).find(|name| name.starts_with(start))
    };
    let call = |name: &str, arguments: Value| {
        let function = json!({"name": name, "arguments": arguments.to_string()});
        json!({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]})
    };
    let delta = match (tool("notes_write"), tool("notes_search"), given) {
        (Some(write), ..) if !has_called => call(write, json!({"name": "n", "text": "kept"})),
        (None, Some(search), None) => call(search, json!({"query": messages.last().unwrap()["content"]})),
        (None, Some(_), Some(given)) => json!({"content": given["content"]}),
        _ => json!({"content": messages[0]["content"]}),
    };
    let finish = if delta["content"].is_null() { "tool_calls" } else { "stop" };
    let chunk = |delta: Value, finish: Value| json!({"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let mut last = chunk(json!({}), finish.into());
    last["usage"] = json!({"prompt_tokens": 70, "completion_tokens": 30, "total_tokens": 100});
    format!("data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", chunk(delta, Value::Null), last)
}

pub fn models(provider: &Provider) -> String {
    json!({"fast": {"provider": "openai_compatible", "model": "m", "base_url": provider.url, "key_env": "OUR_KEY"}})
        .to_string()
}

/// What comes of a run of an agent.
pub fn run(server: &Served, agent: &str, input: &str) -> Value {
    let started = server.post(&format!("/api/v1/agents/{agent}/runs"), &json!({"input": input}).to_string());
    assert_eq!(started.status, 200, "{started:?}");
    let path = format!("/api/v1/runs/{}", started.body["id"].as_str().unwrap());
    until("the run has ended", || server.get(&path).body["run"]["ended"].is_string());
    server.get(&path).body["run"].clone()
}

#[test]
fn with_a_model_there_is_an_assistant_who_uses_the_tools_of_the_server() {
    let provider = Provider::start();
    let server = Served::start(&[("MODELS", &models(&provider)), ("OUR_KEY", "sk-our")]);
    let run = run(&server, "assistant", "Keep it.");
    assert_eq!((&run["state"], &run["result"]["spent"]["calls"]), (&json!("completed"), &json!(1)), "{run}");
    let asked = provider.asked();
    assert!(asked.iter().all(|(_, key)| key == "Bearer sk-our"));
    let offered: Vec<_> = asked[0].0["tools"].as_array().unwrap().iter().collect();
    assert!(offered.len() > 5, "the tools of the server: {offered:?}");
    assert!(!offered.iter().any(|tool| tool["function"]["name"].as_str().unwrap().contains("assistant")), "not itself");
    let result = asked.last().unwrap().0["messages"].as_array().unwrap().iter().rev().find(|it| it["role"] == "tool");
    assert!(!result.unwrap()["content"].as_str().unwrap().contains("rror"), "{result:?}");
    // It is a tool of MCP as well.
    let answered = server.call_by_mcp("agent.assistant", &json!({"input": "Again."}));
    assert_eq!(answered.body["result"]["isError"], Value::Null, "{answered:?}");
    assert!(
        answered.body["result"]["content"][0]["text"].as_str().unwrap().contains("Help whoever asks"),
        "{answered:?}"
    );
}

#[test]
fn agents_and_teams_of_the_configuration_do_what_they_are_told() {
    let provider = Provider::start();
    let agents = json!({
        "short": {"description": "Is short.", "model": "fast", "instructions": "Be short."},
        "twice": {"description": "Is short twice.", "team": {"sequence": ["short", "short"]}},
        "assistant": {"description": "Is another one.", "model": "fast", "instructions": "Be another one."},
    });
    let settings = [("MODELS", &*models(&provider)), ("OUR_KEY", "k"), ("AGENTS", &*agents.to_string())];
    let server = Served::start(&settings);
    assert_eq!(run(&server, "short", "x")["result"]["output"], "Be short.");
    assert_eq!(run(&server, "twice", "x")["result"]["output"], "Be short.");
    assert_eq!(run(&server, "assistant", "x")["result"]["output"], "Be another one.", "it takes the place of ours");
    assert_eq!(server.get("/api/v1/runs?kind=agent").body["runs"].as_array().unwrap().len(), 5, "two of the team");
}

#[test]
fn what_is_wrong_with_a_model_or_an_agent_is_said_at_the_start() {
    let provider = Provider::start();
    let models = models(&provider);
    for (settings, said) in [
        (
            vec![("MODELS", &*models)],
            r#"MODELS (from the environment): models.fast: `key_env` names "OUR_KEY", and that variable is not set"#,
        ),
        (
            vec![("MODELS", &*models), ("OUR_KEY", "k"), ("AGENTS", r#"{"a": {"model": "fats"}}"#)],
            r#"AGENTS (from the environment): agents.a: `model` names "fats", did you mean "fast"?; there are fast"#,
        ),
        (
            vec![("MODELS", &*models), ("OUR_KEY", "k"), ("AGENTS", r#"{"a": {"team": {"first": ["asistant"]}}}"#)],
            r#""a" cannot be offered: `team` names the agent "asistant", and there is none; did you mean "assistant"?"#,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ended = crate::served::binary(folder.path(), &settings).env("PORT", "0").output().unwrap();
        let error = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && error.contains(said), "{error}");
    }
}

#[test]
fn what_is_said_in_a_thread_is_told_in_the_next_run() {
    let provider = Provider::start();
    let agents = r#"{"echo": {"description": "Repeats.", "model": "fast"}}"#;
    let server = Served::start(&[("MODELS", &*models(&provider)), ("OUR_KEY", "k"), ("AGENTS", agents)]);
    let document = Document::of(&server);
    let begun = server.post("/api/v1/threads", r#"{"title": "Of apples"}"#);
    let thread = begun.body["thread"]["id"].as_str().unwrap().to_owned();
    let path = "/api/v1/agents/echo/runs";
    for input in ["Apples?", "Pears?"] {
        let started = server.post(path, &json!({"input": input, "thread": thread}).to_string());
        document.holds("POST", "/api/v1/agents/{name}/runs", &started);
        let run = format!("/api/v1/runs/{}", started.body["id"].as_str().unwrap());
        until("the run has ended", || server.get(&run).body["run"]["ended"].is_string());
    }
    let told = provider.asked().pop().unwrap().0["messages"].clone();
    let told: Vec<_> = told.as_array().unwrap().iter().map(|message| message["content"].as_str().unwrap()).collect();
    assert_eq!(told, ["Apples?", "Apples?", "Pears?"]);

    let messages = format!("/api/v1/threads/{thread}/messages");
    let mut said = Vec::new();
    let mut next = messages.clone() + "?limit=3";
    for shown in [3, 1] {
        let page = server.get(&next);
        document.holds("GET", "/api/v1/threads/{thread}/messages", &page);
        let listed = page.body["messages"].as_array().unwrap();
        assert_eq!(listed.len(), shown, "{page:?}");
        said.extend(listed.iter().map(|message| format!("{}: {}", message["role"], message["text"])));
        next = format!("{messages}?limit=3&before={}", page.body["next"]);
    }
    // The provider says what it was told first.
    let of = |role: &str, text: &str| format!("{}: {}", json!(role), json!(text));
    let assistant = of("assistant", "Apples?");
    assert_eq!(said, [assistant.clone(), of("user", "Pears?"), assistant, of("user", "Apples?")]);
    let listed = server.get("/api/v1/threads");
    assert_eq!(listed.body["threads"].as_array().unwrap().len(), 1);
    assert_eq!(listed.body["threads"][0]["title"], "Of apples");
    assert_eq!(server.send("DELETE", &format!("/api/v1/threads/{thread}"), &[], "").status, 200);
    assert_eq!(server.get(&messages).status, 404);
    let alone = server.post(path, &json!({"input": "x", "busy": "queue"}).to_string());
    assert_eq!(alone.status, 422, "{alone:?}");
    document.holds("POST", "/api/v1/agents/{name}/runs", &alone);
}

const HOUSE: &str = "the-key-of-the-house";

#[test]
fn what_an_agent_keeps_in_one_thread_it_finds_in_another_and_no_other_caller_does() {
    let provider = Provider::start();
    let agents = json!({
        "keeper": {"description": "Keeps.", "model": "fast", "tools": ["notes.write"]},
        "finder": {"description": "Finds.", "model": "fast", "tools": ["notes.search"]},
    });
    let settings =
        [("MODELS", &*models(&provider)), ("OUR_KEY", "k"), ("AGENTS", &*agents.to_string()), ("API_KEY", HOUSE)];
    let server = Served::start(&settings);
    let send = |key: &str, method: &str, path: &str, body: &str| {
        server.send(method, path, &[("authorization", &format!("Bearer {key}"))], body)
    };
    send(HOUSE, "POST", "/api/v1/users", r#"{"principal": "bob"}"#);
    let made = send(HOUSE, "POST", "/api/v1/keys", r#"{"name": "other", "principal": "bob"}"#);
    let other = made.body["secret"].as_str().unwrap();
    let say = |key: &str, agent: &str, input: &str, thread: u8| {
        let thread = format!("0198c0de-0000-7000-8000-0000000000{thread:02}");
        let run = json!({"input": input, "thread": thread}).to_string();
        let started = send(key, "POST", &format!("/api/v1/agents/{agent}/runs"), &run);
        let path = format!("/api/v1/runs/{}", started.body["id"].as_str().unwrap());
        until("the run has ended", || send(key, "GET", &path, "").body["run"]["ended"].is_string());
        send(key, "GET", &path, "").body["run"]["result"]["output"].to_string()
    };
    say(HOUSE, "keeper", "Keep it.", 1);
    assert!(say(HOUSE, "finder", "kept", 2).contains("kept"));
    assert!(!say(other, "finder", "kept", 2).contains("kept"));
}

/// The way of a request in the system that this one continues, with an agent: a client asks one instance, an agent decides which tool of the
/// registry is called, that looks into the database or is answered from the cache, and the answer is told in JSON and in XML, by either.
#[test]
fn a_request_goes_from_client_to_agent_to_tool_to_database_to_cache_and_back_on_either_replica() {
    let (postgres, redis, provider) = (PostgresServer::start(), RedisServer::start(), Provider::start());
    let agents = r#"{"librarian": {"description": "Finds notes.", "model": "fast", "tools": ["notes.search"]}}"#;
    let (url, models) = (postgres.database(), models(&provider));
    let replica = || replicas::replica_with(&url, &redis, &[("MODELS", &models), ("OUR_KEY", "k"), ("AGENTS", agents)]);
    let (one, other) = (replica(), replica());
    assert_eq!(replicas::write(&one, "apples, from one").status, 200);
    let counted = || (replicas::hits(&one) + replicas::hits(&other), replicas::misses(&one) + replicas::misses(&other));
    let before = counted();
    let path = "/api/v1/agents/librarian/runs";
    for (begun_at, form) in [(&one, "application/json"), (&other, "application/xml")] {
        let begun = begun_at.send("POST", path, &[("accept", form)], r#"{"input": "apples"}"#);
        assert_eq!((begun.status, begun.content_type.as_str()), (200, form), "{begun:?}");
        let id = match &begun.body {
            Value::String(xml) => xml.split_once("<id>").unwrap().1.split_once("</id>").unwrap().0.to_owned(),
            json => json["id"].as_str().unwrap().to_owned(),
        };
        let path = format!("/api/v1/runs/{id}");
        for asked in [&one, &other] {
            until("the run has ended", || asked.get(&path).body["run"]["ended"].is_string());
            let run = asked.get(&path).body["run"].clone();
            assert_eq!(run["state"], "completed", "{run}");
            assert!(run["result"]["output"].as_str().unwrap().contains("apples, from one"), "{run}");
            let xml = asked.get_with(&path, &[("accept", "application/xml")]);
            assert!(xml.body.as_str().unwrap().contains("<state>completed</state>"), "{xml:?}");
        }
    }
    let after = counted();
    assert_eq!(after, (before.0 + 1, before.1 + 1), "the first looks into the database, the second into the cache");
    // What the agent has called is in the history, as every call is.
    let calls = other.get("/api/v1/calls?tool=notes.search").body["calls"].as_array().unwrap().len();
    assert!(calls >= 2, "{calls}");
}

const DEFINITIONS: &str = "/api/v1/agent-definitions";

/// Sends a definition of the agent `echo`.
fn define(server: &Served, instructions: &str) -> Reply {
    let definition = json!({"description": "Says it.", "model": "fast", "instructions": instructions});
    server.send("PUT", &format!("{DEFINITIONS}/echo"), &[], &definition.to_string())
}

fn change(server: &Served, body: &Value) -> Reply {
    server.send("PATCH", &format!("{DEFINITIONS}/echo"), &[], &body.to_string())
}

#[test]
fn an_operator_writes_agents_down_while_the_server_serves() {
    let provider = Provider::start();
    let server = Served::start(&[("MODELS", &*models(&provider)), ("OUR_KEY", "k")]);
    let document = Document::of(&server);
    let defined = define(&server, "First.");
    document.holds("PUT", "/api/v1/agent-definitions/{name}", &defined);
    assert_eq!((defined.status, &defined.body["version"]), (200, &json!(1)), "{defined:?}");
    assert_eq!(run(&server, "echo", "x")["result"]["output"], "First.");
    assert_eq!(define(&server, "Second.").body["version"], 2);
    assert_eq!(run(&server, "echo", "x")["result"]["output"], "Second.");

    let back = change(&server, &json!({"version": 1}));
    document.holds("PATCH", "/api/v1/agent-definitions/{name}", &back);
    assert_eq!((back.status, &back.body["current"]), (200, &json!(1)), "{back:?}");
    assert_eq!(run(&server, "echo", "x")["result"]["output"], "First.");
    assert_eq!(change(&server, &json!({"enabled": false})).body["enabled"], false);
    assert_eq!(server.post("/api/v1/agents/echo/runs", r#"{"input": "x"}"#).status, 404);
    assert_eq!(change(&server, &json!({"enabled": true, "version": 2})).body["current"], 2);

    let team = server.send("PUT", &format!("{DEFINITIONS}/later"), &[], r#"{"team": {"sequence": ["echo", "none"]}}"#);
    document.holds("PUT", "/api/v1/agent-definitions/{name}", &team);
    assert_eq!(team.body["warnings"].as_array().map(Vec::len), Some(1), "{team:?}");

    let listed = server.get(DEFINITIONS);
    document.holds("GET", DEFINITIONS, &listed);
    assert_eq!(listed.body["agents"][0]["definition"]["instructions"], "Second.", "{listed:?}");
    let shown = server.get(&format!("{DEFINITIONS}/echo?version=1"));
    document.holds("GET", "/api/v1/agent-definitions/{name}", &shown);
    assert_eq!((&shown.body["version"], &shown.body["current"]), (&json!(1), &json!(2)));
    let xml = server.get_with(&format!("{DEFINITIONS}/echo"), &[("accept", "application/xml")]);
    assert!(xml.body.as_str().unwrap().contains("<instructions>Second.</instructions>"), "{xml:?}");

    for (method, path, body, status) in [
        ("PUT", "echo", r#"{"model": "slow"}"#, 422),
        ("PUT", "echo", r#"{"modell": "fast"}"#, 422),
        ("PUT", "assistant", r#"{"model": "fast"}"#, 409),
        ("PATCH", "echo", r#"{"version": 9}"#, 404),
        ("PATCH", "none", r#"{"enabled": true}"#, 404),
        ("PATCH", "echo", "{}", 422),
        ("GET", "none", "", 404),
        ("DELETE", "none", "", 404),
    ] {
        let reply = server.send(method, &format!("{DEFINITIONS}/{path}"), &[], body);
        document.holds(method, "/api/v1/agent-definitions/{name}", &reply);
        assert_eq!(reply.status, status, "{method} {path} {body}: {reply:?}");
    }
    let removed = server.send("DELETE", &format!("{DEFINITIONS}/echo"), &[], "");
    document.holds("DELETE", "/api/v1/agent-definitions/{name}", &removed);
    assert_eq!(removed.status, 200);
    let left = &server.get(DEFINITIONS).body["agents"];
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
    assert_eq!(left[0]["warnings"].as_array().map(Vec::len), Some(2), "both of the team are gone: {left}");
}
