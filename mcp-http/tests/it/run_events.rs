//! What happens in runs, over REST: followed, cut off, and gone on with, at the same replica and at another.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use mcp_store::test_servers::{PostgresServer, RedisServer};
use serde_json::{Value, json};

use crate::agents::{SAID, begin, ends, questions, start, yes};
use crate::openapi::Document;
use crate::outages::SECRET_KEYS;
use crate::served::Served;

/// The events of a run behind the one with this id, as they come.
fn follow(server: &Served, run: &str, last: Option<&str>) -> impl Iterator<Item = Value> + use<> {
    let request = ureq::get(format!("{}/api/v1/runs/{run}/events", server.url)).header("accept", "text/event-stream");
    let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
    // Where nothing comes, it fails and does not hang.
    let answer = request.config().timeout_global(Some(Duration::from_secs(120))).build().call().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut lines = BufReader::new(answer.into_body().into_reader()).lines().map(Result::unwrap);
    std::iter::from_fn(move || {
        let mut lines = lines.by_ref().skip_while(|line| line.is_empty() || line.starts_with(':'));
        let first = lines.next()?;
        let id = first.strip_prefix("id: ").map(str::to_owned);
        let name = if id.is_some() { lines.next().unwrap() } else { first };
        let [data, end] = std::array::from_fn(|_| lines.next().unwrap());
        let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((id.as_deref(), &*end), (event["id"].as_str(), ""));
        assert_eq!(name.strip_prefix("event: "), event["event"].as_str());
        Some(event)
    })
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

const ALL: [&str; 5] = ["run.started", "step", "question", "step", "run.ended"];

#[test]
fn a_run_is_followed_to_its_end_and_whoever_was_cut_off_goes_on() {
    let server = start(&[]);
    let document = Document::of(&server);
    let id = begin(&server, "asker", Value::Null);
    let before: Vec<_> = follow(&server, &id, None).take(3).collect();
    assert_eq!(names(&before), ALL[..3]);
    assert_eq!(before[2]["request"]["params"]["message"], "Go on?");
    let path = format!("/api/v1/runs/{id}/events");
    let so_far = server.get(&path);
    document.holds("GET", "/api/v1/runs/{run}/events", &so_far);
    assert_eq!((&so_far.body["events"], &so_far.body["next"]), (&json!(before), &before[2]["id"]));

    let open = follow(&server, &id, before[1]["id"].as_str());
    assert_eq!(server.post(&format!("/api/v1/runs/{id}/answers"), &yes("turn.0")).status, 200);
    let after: Vec<_> = open.collect();
    assert_eq!((names(&after), &after[0]), (ALL[2..].to_vec(), &before[2]));
    assert_eq!((&after[2]["state"], &after[2]["result"]["output"]), (&json!("completed"), &json!(true)));
    let all = [&before[..2], &after].concat();
    for (known, event) in all.iter().enumerate() {
        let last = event["id"].as_str().unwrap();
        assert_eq!(follow(&server, &id, Some(last)).collect::<Vec<_>>(), all[known + 1..]);
        let rest = server.get(&format!("{path}?after={last}"));
        document.holds("GET", "/api/v1/runs/{run}/events", &rest);
        assert_eq!(rest.body, json!({"events": all[known + 1..]}));
    }
    let part = server.get(&format!("{path}?limit=2"));
    assert_eq!((&part.body["events"], &part.body["next"]), (&json!(all[..2]), &all[1]["id"]));
    let xml = server.get_with(&path, &[("accept", "application/xml")]);
    assert!(xml.body.as_str().unwrap().contains("<event>run.ended</event>"), "{xml:?}");
}

#[test]
fn a_run_that_is_not_there_or_an_event_that_is_none_is_a_problem() {
    let server = start(&[]);
    let document = Document::of(&server);
    let id = begin(&server, "asker", Value::Null);
    questions(&server, &id);
    for accept in ["application/json", "text/event-stream"] {
        for unknown in ["no-id", "0198c0de-0000-7000-8000-0000000000ff"] {
            let missing = server.get_with(&format!("/api/v1/runs/{unknown}/events"), &[("accept", accept)]);
            document.holds("GET", "/api/v1/runs/{run}/events", &missing);
            assert_eq!((missing.status, &missing.body["detail"]), (404, &json!("you have no such run")));
        }
        let path = format!("/api/v1/runs/{id}/events");
        let by_query = server.get_with(&format!("{path}?after=x"), &[("accept", accept)]);
        let by_header = server.get_with(&path, &[("accept", accept), ("last-event-id", "x")]);
        for (bad, name) in [(by_query, "`after`"), (by_header, "`Last-Event-ID`")] {
            document.holds("GET", "/api/v1/runs/{run}/events", &bad);
            assert!(bad.status == 400 && bad.body["detail"].as_str().unwrap().starts_with(name), "{bad:?}");
        }
    }
}

/// Lets a run of the agent `speaker` speak, and gives what is told from then on, behind what its model says.
fn spoken(mut open: impl Iterator<Item = Value>, server: &Served, id: &str) -> Vec<Value> {
    assert_eq!(names(&open.by_ref().take(3).collect::<Vec<_>>()), ALL[..3]);
    assert_eq!(server.post(&format!("/api/v1/runs/{id}/answers"), &yes("turn.0")).status, 200);
    let (deltas, events): (Vec<_>, Vec<_>) = open.partition(|event| event["event"] == "model.delta");
    let mut end = 0;
    for delta in &deltas {
        let (from, text) = (delta["from"].as_u64().unwrap() as usize, delta["text"].as_str().unwrap());
        assert!(from >= end && SAID[from..].starts_with(text), "{deltas:?}");
        assert_eq!((&delta["step"], &delta["agent"], delta.get("id")), (&json!("turn.1"), &json!("speaker"), None));
        end = from + text.len();
    }
    assert!(!deltas.is_empty() && deltas.iter().all(|delta| delta["attempt"] == deltas[0]["attempt"]), "{deltas:?}");
    assert_eq!(names(&events), ALL[3..]);
    assert_eq!(events[1]["result"]["output"], SAID);
    deltas
}

#[test]
fn what_a_model_says_is_told_while_it_says_it() {
    let server = start(&[]);
    let id = begin(&server, "speaker", Value::Null);
    let deltas = spoken(follow(&server, &id, None), &server, &id);
    let said: String = deltas.iter().map(|delta| delta["text"].as_str().unwrap()).collect();
    assert_eq!(said, SAID, "who reads in time misses nothing");
    assert_eq!(names(&follow(&server, &id, None).collect::<Vec<_>>()), ALL, "and nothing of it is on record");
}

/// One replica does the runs, and the other does none.
#[test]
fn a_run_is_followed_at_any_replica() {
    let (postgres, redis) = (PostgresServer::shared().database(), RedisServer::start());
    let replica = |concurrency: &str| {
        let redis = redis.url();
        start(&[
            ("DATABASE_URL", &*postgres),
            ("REDIS_URL", &redis),
            ("SECRET_KEYS", SECRET_KEYS),
            ("RUN_CONCURRENCY", concurrency),
        ])
    };
    let (worker, desk) = (replica("64"), replica("0"));
    let id = begin(&desk, "asker", Value::Null);
    let mut open = follow(&desk, &id, None);
    let before: Vec<_> = open.by_ref().take(3).collect();
    assert_eq!(names(&before), ALL[..3]);
    assert_eq!(desk.post(&format!("/api/v1/runs/{id}/answers"), &yes("turn.0")).status, 200);
    let after: Vec<_> = follow(&worker, &id, before[2]["id"].as_str()).collect();
    assert_eq!(names(&after), ALL[3..]);
    assert_eq!(open.collect::<Vec<_>>(), after, "who was not cut off is told the same");
    assert_eq!(ends(&desk, &id, "completed")["output"], true);

    let id = begin(&desk, "speaker", Value::Null);
    spoken(follow(&desk, &id, None), &desk, &id);
}
