//! `runs`: runs of agents and of other work, over REST.

use std::io::BufRead;
use std::thread;
use std::time::Duration;

use clap::Subcommand;
use mcp_core::store::runs::{RunId, RunState};
use mcp_core::store::threads::ThreadId;
use serde_json::{Value, json};

use super::client::{Client, Reply, escape};
use super::failure::{Failure, Kind};
use super::output::{Output, on_one_line, table};
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-http runs start librarian 'Who wrote it?' --watch
  mcp-http runs list --state waiting
  mcp-http runs watch ID
  mcp-http runs answer ID turn.0 '{\"yes\": true}'";

#[derive(Subcommand)]
pub(super) enum Runs {
    /// List runs, the newest first
    List {
        /// Only those in this state: waiting, running, completed, failed, cancelled
        #[arg(long, value_name = "STATE")]
        state: Option<RunState>,
        /// Only those of this kind, such as agent
        #[arg(long, value_name = "KIND")]
        kind: Option<String>,
        /// How many at the most
        #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// Show a run: what has come of it, and what it asks
    Show {
        /// Its id
        id: RunId,
    },
    /// Start a run of an agent
    Start {
        /// The agent's name
        agent: String,
        /// What it is to do: JSON, or a text
        input: String,
        /// In this thread: it knows what was said there, and says there what comes of it; a new UUID begins one
        #[arg(long, value_name = "ID")]
        thread: Option<ThreadId>,
        /// What becomes of it where earlier runs in the thread have not ended: queue, refuse, interrupt
        #[arg(long, value_name = "WHAT", requires = "thread")]
        busy: Option<String>,
        /// Tell what happens, up to its end
        #[arg(long)]
        watch: bool,
    },
    /// Tell what happens in a run, from its beginning to its end
    Watch {
        /// Its id
        id: RunId,
    },
    /// Answer a question of a run, which goes on then
    Answer {
        /// Its id
        id: RunId,
        /// The question's name
        name: String,
        /// The fields of the answer, as a JSON object; if left out, it is declined
        answer: Option<String>,
    },
    /// End a run
    Cancel {
        /// Its id
        id: RunId,
    },
}

pub(super) fn run(config: &Config, server: Option<&str>, what: Runs, output: &mut Output) -> Result<(), Failure> {
    let client = Client::new(config, server);
    match what {
        Runs::List { state, kind, limit } => list(&client, state, kind.as_deref(), limit, output),
        Runs::Show { id } => show(&client, id, output),
        Runs::Start { agent, input, thread, busy, watch } => {
            let path = format!("/api/v1/agents/{}/runs", escape(&agent));
            let run = json!({"input": json_or_text(input)?, "thread": thread, "busy": busy});
            let started = well(client.post(&path, &run)?)?;
            match started["id"].as_str().and_then(|id| id.parse().ok()) {
                Some(id) if watch => follow(&client, id, output),
                _ => output.write(&started, || started["id"].as_str().unwrap_or_default().to_owned()),
            }
        }
        Runs::Watch { id } => follow(&client, id, output),
        Runs::Answer { id, name, answer } => {
            let answer = match answer {
                None => json!({"action": "decline"}),
                Some(text) => json!({"action": "accept", "content": object(&text)?}),
            };
            let told = well(client.post(&format!("/api/v1/runs/{id}/answers"), &json!({"answers": {name: answer}}))?)?;
            output.write(&told, || "It was told, and goes on.".to_owned())
        }
        Runs::Cancel { id } => {
            let told = well(client.post(&format!("/api/v1/runs/{id}/cancel"), &Value::Null)?)?;
            output.write(&told, || "It ends.".to_owned())
        }
    }
}

/// The body of an answer that is one.
fn well(reply: Reply) -> Result<Value, Failure> {
    if (200..300).contains(&reply.status) {
        return Ok(reply.body);
    }
    Err(Failure::new(Kind::Failed, reply.body["detail"].as_str().unwrap_or("no reason given")))
}

/// JSON as it is, and anything else as a text, unless it was to be JSON.
fn json_or_text(text: String) -> Result<Value, Failure> {
    match serde_json::from_str(&text) {
        Ok(json) => Ok(json),
        Err(error) if text.trim_start().starts_with(['{', '[', '"']) => {
            Err(Failure::new(Kind::Usage, format!("the input is neither JSON nor a text: {error}")))
        }
        Err(_) => Ok(Value::String(text)),
    }
}

fn object(text: &str) -> Result<serde_json::Map<String, Value>, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::new(Kind::Usage, format!("the answer is no JSON object: {error}")))
}

fn list(
    client: &Client,
    state: Option<RunState>,
    kind: Option<&str>,
    limit: u16,
    output: &mut Output,
) -> Result<(), Failure> {
    let state = state.map(|state| format!("&state={}", state.as_str())).unwrap_or_default();
    let kind = kind.map(|kind| format!("&kind={}", escape(kind))).unwrap_or_default();
    let listed = well(client.get(&format!("/api/v1/runs?limit={limit}{state}{kind}"))?)?;
    let head = ["ID", "KIND", "OF", "STATE", "BEGUN", "ENDED"].map(str::to_owned).to_vec();
    let rows = listed["runs"].as_array().into_iter().flatten().map(|run| {
        let text = |member: &str| run[member].as_str().unwrap_or("–").to_owned();
        let of = run["arguments"]["agent"].as_str().or(run["arguments"]["tool"].as_str()).unwrap_or("–").to_owned();
        vec![text("id"), text("kind"), of, text("state"), second(&run["at"]), second(&run["ended"])]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    output.write(&listed, || match rows.as_slice() {
        [_] => "There are no such runs.".to_owned(),
        rows => table(rows),
    })
}

fn show(client: &Client, id: RunId, output: &mut Output) -> Result<(), Failure> {
    let run = well(client.get(&format!("/api/v1/runs/{id}?limit=1"))?)?["run"].take();
    let asked = well(client.get(&format!("/api/v1/runs/{id}/questions"))?)?["questions"].take();
    let shown = json!({"run": run, "questions": asked});
    output.write(&shown, || {
        let of = run["arguments"]["agent"].as_str().or(run["arguments"]["tool"].as_str());
        let mut rows = vec![
            ("kind", run["kind"].as_str().unwrap_or_default().to_owned()),
            ("of", of.unwrap_or("–").to_owned()),
            ("caller", run["caller"].as_str().unwrap_or_default().to_owned()),
            ("state", run["state"].as_str().unwrap_or_default().to_owned()),
            ("begun", second(&run["at"])),
            ("ended", second(&run["ended"])),
        ];
        rows.extend(run.get("result").map(|result| ("result", result.to_string())));
        let questions = asked.as_object().into_iter().flatten();
        rows.extend(questions.map(|(name, request)| ("asks", question(name, request))));
        table(&rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect::<Vec<_>>())
    })
}

/// Tells what happens in a run, up to its end, at whichever replica answers. A run that has not ended well is a failure.
fn follow(client: &Client, id: RunId, output: &mut Output) -> Result<(), Failure> {
    /// So often in a row nothing comes of it before it gives up.
    const TRIES: u32 = 5;
    const RETRY: Duration = Duration::from_secs(1);
    let path = format!("/api/v1/runs/{id}/events");
    let (mut last, mut tries, mut saying) = (None::<String>, 0, Saying::default());
    loop {
        match client.events(&path, last.as_deref()) {
            Ok(Ok(events)) => {
                // Where it is cut off, the next one goes on.
                for line in events.lines().map_while(Result::ok) {
                    let Some(event) = line.strip_prefix("data: ").and_then(|data| serde_json::from_str(data).ok())
                    else {
                        continue;
                    };
                    let event: Value = event;
                    tries = 0;
                    if event["event"] == "model.delta" {
                        output.piece(&event, || saying.more(&event))?;
                        continue;
                    }
                    last = event["id"].as_str().map(str::to_owned);
                    output.write(&event, || format!("{}{}", saying.close(), told(&event)))?;
                    if event["event"] == "run.ended" {
                        return match event["state"].as_str() {
                            Some("completed") => Ok(()),
                            state => Err(Failure::new(Kind::Failed, format!("the run is {}", state.unwrap_or("gone")))),
                        };
                    }
                }
            }
            Ok(Err(reply)) => return well(reply).map(drop),
            // Another replica may be there in a moment.
            Err(_) if last.is_some() && tries < TRIES => {}
            Err(failure) => return Err(failure),
        }
        tries += 1;
        if tries > TRIES {
            return Err(Failure::new(Kind::Unreachable, "the stream ends again and again before the run does"));
        }
        thread::sleep(RETRY);
    }
}

/// What was written of what a model says.
#[derive(Default)]
struct Saying {
    attempt: String,
    /// How many characters there are.
    end: u64,
    /// Whether its line has not ended.
    is_open: bool,
}

impl Saying {
    /// More of it as people read it, behind who says it. What is missing is shown as such.
    fn more(&mut self, delta: &Value) -> String {
        let text = |member: &str| delta[member].as_str().unwrap_or_default();
        let mut shown = String::new();
        if self.attempt != text("attempt") {
            shown.push_str(self.close());
            shown.push_str(&format!("{}: ", on_one_line(text("agent"))));
            *self = Self { attempt: text("attempt").to_owned(), ..Self::default() };
        }
        let from = delta["from"].as_u64().unwrap_or_default();
        if from > self.end {
            shown.push('…');
        }
        shown.extend(text("text").chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }));
        shown.extend(delta["tool"].as_str().map(|tool| format!(" [{}]", on_one_line(tool))));
        self.end = from + text("text").chars().count() as u64;
        self.is_open = !shown.ends_with('\n');
        shown
    }

    /// What ends its line.
    fn close(&mut self) -> &'static str {
        if std::mem::take(&mut self.is_open) { "\n" } else { "" }
    }
}

/// An event as people read it: when, what, and about what.
fn told(event: &Value) -> String {
    let text = |member: &str| event[member].as_str().unwrap_or_default();
    let about = match text("event") {
        "run.started" => event["agent"].as_str().unwrap_or(text("kind")).to_owned(),
        "step" => format!("{}: {}", text("agent"), text("decided")),
        "tool.started" => format!("{} {}", text("tool"), event["arguments"]),
        "tool.ended" => {
            let failed = if event["result"]["isError"] == true { "failed: " } else { "" };
            let said = event["result"]["content"][0]["text"].as_str().unwrap_or_default();
            format!("{} {failed}{said}", text("tool"))
        }
        "question" => question(text("name"), &event["request"]),
        "handoff" => format!("{} → {}", text("from"), text("to")),
        "run.ended" => format!("{} {}", text("state"), event["result"]),
        _ => String::new(),
    };
    format!("{} {:12} {}", second(&event["at"]), text("event"), on_one_line(&about))
}

fn question(name: &str, request: &Value) -> String {
    format!("{name}: {}", on_one_line(request["params"]["message"].as_str().unwrap_or_default()))
}

/// A moment to the second.
fn second(at: &Value) -> String {
    let Some(whole) = at.as_str() else { return "–".to_owned() };
    whole.split_once('.').map_or(whole.to_owned(), |(seconds, _)| format!("{seconds}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_json_or_a_text() {
        assert_eq!(json_or_text("[1]".to_owned()).unwrap(), json!([1]));
        assert_eq!(json_or_text("Who wrote it?".to_owned()).unwrap(), "Who wrote it?");
        for bad in ["[1", " {\"a\"}", "\"a"] {
            assert!(json_or_text(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_model_says_is_written_as_it_comes() {
        let delta = |attempt: &str, from: u64, text: &str| json!({"agent": "writer", "attempt": attempt, "from": from, "text": text});
        let mut saying = Saying::default();
        let mut shown = String::new();
        for (attempt, from, text) in
            [("1.0", 0, "Grö"), ("1.0", 3, "ße\u{1b}[2J\n"), ("1.0", 20, "end"), ("2.0", 0, "Anew")]
        {
            shown.push_str(&saying.more(&delta(attempt, from, text)));
        }
        shown.push_str(&saying.more(&json!({"agent": "writer", "attempt": "2.0", "from": 4, "tool": "add"})));
        shown.push_str(saying.close());
        assert_eq!(shown, "writer: Größe [2J\n…end\nwriter: Anew [add]\n");
        assert_eq!(saying.close(), "");
    }

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let ended = json!({"at": "2026-07-28T12:00:00.5Z", "event": "tool.ended", "tool": "t",
            "result": {"content": [{"type": "text", "text": format!("a\n\u{1b}[2J{}", "x".repeat(300))}], "isError": true}});
        let line = told(&ended);
        assert!(line.starts_with("2026-07-28T12:00:00Z tool.ended   t failed: a  [2Jxxx"), "{line}");
        assert!(line.ends_with("x…") && line.chars().count() < 250, "{line}");
    }
}
