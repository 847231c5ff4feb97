//! `runs`: what the command line does with runs, as a client of a server.

use serde_json::Value;

use crate::agents::{begin, ends, questions, start};
use crate::served::{Served, text, until};

fn run(server: &Served, words: &[&str]) -> String {
    let ran = server.command(words);
    assert_eq!(ran.status.code(), Some(0), "{words:?}: {}", text(&ran.stderr));
    text(&ran.stdout)
}

#[test]
fn a_run_is_started_watched_answered_and_cancelled() {
    let server = start(&[]);
    assert_eq!(run(&server, &["runs", "list"]), "There are no such runs.\n");
    let told = run(&server, &["runs", "start", "doubler", "21", "--watch"]);
    let names: Vec<_> = told.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(names, ["run.started", "step", "tool.started", "tool.ended", "step", "run.ended"], "{told}");
    assert!(told.contains("double {\"number\":21}") && told.contains("double 42"), "{told}");

    let id = run(&server, &["runs", "start", "asker", "Shall we?"]);
    let id = id.trim_end();
    questions(&server, id);
    let shown = run(&server, &["runs", "show", id]);
    assert!(shown.contains("asks    turn.0: Go on?") && shown.contains("asker"), "{shown}");
    assert_eq!(run(&server, &["runs", "answer", id, "turn.0", r#"{"yes": true}"#]), "It was told, and goes on.\n");
    assert_eq!(ends(&server, id, "completed")["output"], true);
    let url = format!("{}/mcp", server.url);
    let watched = run(&server, &["runs", "watch", id, "--json", "--server", &url]);
    let events: Vec<Value> = watched.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((events.len(), &events[2]["event"], &events[4]["id"]), (5, &"question".into(), &"end".into()));

    let thread = "0198c0de-0000-7000-8000-000000000007";
    let first = run(&server, &["runs", "start", "asker", "a", "--thread", thread]);
    questions(&server, first.trim_end());
    let busy = server.command(&["runs", "start", "asker", "b", "--thread", thread, "--busy", "refuse"]);
    assert!(text(&busy.stderr).contains("the thread is busy"), "{}", text(&busy.stderr));
    let last = run(&server, &["runs", "start", "asker", "b", "--thread", thread, "--busy", "interrupt"]);
    ends(&server, first.trim_end(), "cancelled");
    questions(&server, last.trim_end());
    run(&server, &["runs", "cancel", last.trim_end()]);

    let other = begin(&server, "asker", Value::Null);
    // One that nobody has claimed yet waits as well, and not for long.
    questions(&server, &other);
    let list = || run(&server, &["runs", "list", "--state", "waiting", "--kind", "agent"]);
    until("it waits", || list().contains(&other));
    let waiting = list();
    assert!(waiting.starts_with("ID") && waiting.contains(&other) && !waiting.contains(id), "{waiting}");
    assert_eq!(run(&server, &["runs", "cancel", &other]), "It ends.\n");
    ends(&server, &other, "cancelled");
    let watched = server.command(&["runs", "watch", &other]);
    assert_eq!(watched.status.code(), Some(1), "{}", text(&watched.stderr));
    assert!(text(&watched.stderr).contains("the run is cancelled"), "{}", text(&watched.stderr));
}

#[test]
fn what_cannot_be_done_with_a_run_is_one_line() {
    let server = start(&[]);
    let nowhere = "0198c0de-0000-7000-8000-0000000000ff";
    for (words, code, says) in [
        (&["runs", "start", "nobody", "1"][..], 1, "there is no agent \"nobody\"; there are doubler"),
        (&["runs", "start", "doubler", "{"], 2, "neither JSON nor a text"),
        (&["runs", "start", "asker", "1", "--thread", nowhere, "--busy", "later"], 1, "`interrupt`"),
        (&["runs", "show", nowhere], 1, "you have no such run"),
        (&["runs", "watch", nowhere], 1, "you have no such run"),
        (&["runs", "cancel", nowhere], 1, "you have no such run"),
        (&["runs", "answer", nowhere, "turn.0"], 1, "you have no such run"),
        (&["runs", "answer", nowhere, "turn.0", "yes"], 2, "no JSON object"),
        (&["runs", "list", "--server", "http://127.0.0.1:1"], 4, "does not answer"),
        (&["runs", "watch", nowhere, "--server", "http://127.0.0.1:1"], 4, "does not answer"),
    ] {
        let refused = server.command(words);
        let said = text(&refused.stderr);
        assert_eq!((refused.status.code(), said.lines().count()), (Some(code), 1), "{words:?}: {said}");
        assert!(said.contains(says), "{words:?}: {said}");
    }
}
