//! Runs on several replicas, each a process of its own: begun over REST, taken over from what is killed or stopped, and released by what stops.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::run::{Repeatable, RunContext, RunError};
use mcp_core::store::runs::{NewRun, RunId};
use mcp_core::tokio_runtime::TokioClock;
use mcp_http::Config;
use mcp_store::StoreConfig;
use mcp_store::test_servers::{PostgresServer, RedisServer};
use serde_json::{Value, json};

use crate::openapi::Document;
use crate::outages::SECRET_KEYS;
use crate::served::{Served, until};

/// Creates a run of whoever calls a server from this machine, in its database, and gives its id.
pub fn create(server: &Served) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let url = format!("sqlite:{}/data/mcp.db", server.folder().display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = StoreConfig::new(&url, Arc::new(TokioClock::new())).unwrap();
        let run = NewRun {
            id: RunId::from_u128(NEXT.fetch_add(1, Ordering::Relaxed).into()),
            tenant: "default".into(),
            principal: "local".into(),
            kind: "work of nobody".to_owned(),
            parent: None,
            arguments: "{}".into(),
            at: mcp_core::clock::Timestamp::default(),
        };
        mcp_store::open(&config).await.unwrap().runs.create(&run).await.unwrap();
        run.id.to_string()
    })
}

/// Set for the process that [`a_server_with_work`] is.
const CHILD: &str = "MCP_TEST_WORK";

/// Does ten things, each a line in the file `log` of its folder with the number of the process; each ends when there is a file of its
/// name.
async fn ten(cx: RunContext) -> Result<usize, RunError> {
    let folder: PathBuf = cx.arguments()?;
    for n in 0..10 {
        let folder = &folder;
        let step = async move |key: String| {
            let mut log = OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
            log.write_all(format!("{} {key}\n", std::process::id()).as_bytes())?;
            while !folder.join(n.to_string()).exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok::<_, RunError>(())
        };
        cx.effect(&n.to_string(), Repeatable::Yes, step).await?;
    }
    Ok(10)
}

/// Says what it is told.
async fn ask(cx: RunContext) -> Result<Value, RunError> {
    cx.record("question", &"what is it?").await?;
    Ok(serde_json::from_slice(&cx.input().await.body)?)
}

/// Not a test: the server that the tests below start.
#[test]
fn a_server_with_work() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let serve = async {
        let server = mcp_http::bundled(Config::load().unwrap()).await.unwrap();
        server.work("ten", ten).work("ask", ask).run().await
    };
    runtime.block_on(serve).unwrap();
}

fn start(settings: &[(&str, &str)]) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "runs::a_server_with_work", "--nocapture"]);
    command.current_dir(folder.path()).env(CHILD, "").env("PORT", "0").envs(settings.iter().copied());
    Served::run(command, folder)
}

/// Several replicas on one PostgreSQL and one Redis, and a folder for what they do.
struct House {
    url: String,
    redis: RedisServer,
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let url = PostgresServer::shared().database();
        Self { url, redis: RedisServer::start(), folder: tempfile::tempdir().unwrap() }
    }

    fn replica(&self, lease: &str, concurrency: &str) -> Served {
        start(&[
            ("DATABASE_URL", &self.url),
            ("REDIS_URL", &self.redis.url()),
            ("SECRET_KEYS", SECRET_KEYS),
            ("RUN_LEASE", lease),
            ("RUN_CONCURRENCY", concurrency),
        ])
    }

    /// The lines that were written by a process.
    fn log(&self, pid: u32) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let own = format!("{pid} ");
        log.lines().filter_map(|line| line.strip_prefix(&own)).map(str::to_owned).collect()
    }

    /// Lets the first `n` things end.
    fn let_go(&self, n: usize) {
        for n in 0..n {
            fs::write(self.folder.path().join(n.to_string()), "").unwrap();
        }
    }
}

fn begin(server: &Served, kind: &str, arguments: impl Into<Value>) -> String {
    let begun = server.post("/api/v1/runs", &json!({"kind": kind, "arguments": arguments.into()}).to_string());
    assert_eq!(begun.status, 200, "{:?}", begun.body);
    begun.body["id"].as_str().unwrap().to_owned()
}

fn begin_ten(server: &Served, folder: &Path) -> String {
    begin(server, "ten", folder.to_str().unwrap())
}

fn run(server: &Served, id: &str) -> Value {
    server.get(&format!("/api/v1/runs/{id}")).body["run"].clone()
}

fn is_completed(server: &Served, id: &str) {
    until("the run has ended", || run(server, id)["state"] == "completed");
    assert_eq!(run(server, id)["result"], 10);
}

fn event(server: &Served, event: &str) -> usize {
    server.metric(&format!(r#"mcp_runs_total{{event="{event}"}}"#)).unwrap()
}

#[test]
fn what_rest_answers_of_runs_is_what_its_document_says() {
    let server = start(&[]);
    let document = Document::of(&server);
    let path = "/api/v1/runs";
    let refused = server.post(path, r#"{"kind": "then"}"#);
    document.holds("POST", path, &refused);
    assert_eq!(
        (refused.status, &refused.body["detail"]),
        (422, &"there is no kind of run \"then\"; there are ask, ten".into())
    );
    for bad in ["", "{", "[]", r#"{"kind": 1}"#, r#"{"kind": "ask", "more": 1}"#, r#"{"kind": "ask", "id": "x"}"#] {
        assert_eq!(server.post(path, bad).status, 422, "{bad}");
    }
    let large = json!({"kind": "ask", "arguments": "x".repeat(1 << 20)}).to_string();
    assert_eq!(server.post(path, &large).status, 413);

    let id = begin(&server, "ask", json!({}));
    let one = format!("{path}/{id}");
    let waits = |run: &Value| run["state"] == "waiting" && run["epoch"] == 1;
    until("it waits", || waits(&run(&server, &id)));
    let shown = server.get(&one);
    document.holds("GET", "/api/v1/runs/{run}", &shown);
    let question = json!({"number": 0, "epoch": 1, "kind": "noted", "key": "question", "value": "what is it?"});
    let mut step = shown.body["steps"][0].clone();
    assert!(step.as_object_mut().unwrap().remove("at").is_some());
    assert_eq!(step, question);
    assert_eq!(server.get(&format!("{one}?from=1")).body["steps"], json!([]));

    let inputs = "/api/v1/runs/{run}/inputs";
    let bad = server.post(&format!("{one}/inputs"), "{");
    document.holds("POST", inputs, &bad);
    assert_eq!(bad.status, 422);
    let told = server.post(&format!("{one}/inputs?id=0198c0de-0000-7000-8000-000000000001"), r#"{"it": "is"}"#);
    document.holds("POST", inputs, &told);
    assert_eq!((told.status, &told.body["run"]), (200, &id.as_str().into()));
    until("it has heard", || run(&server, &id)["state"] == "completed");
    assert_eq!(run(&server, &id)["result"], json!({"it": "is"}));
    let late = server.post(&format!("{one}/inputs"), "1");
    document.holds("POST", inputs, &late);
    assert_eq!(late.status, 409);

    let other = begin(&server, "ask", Value::Null);
    let ended = server.post(&format!("{path}/{other}/cancel"), "");
    document.holds("POST", "/api/v1/runs/{run}/cancel", &ended);
    until("it is cancelled", || run(&server, &other)["state"] == "cancelled");
    assert_eq!(server.post(&format!("{path}/{other}/cancel"), "").status, 409);

    let listed = server.get(path);
    document.holds("GET", path, &listed);
    let ids = |reply: &Value| reply["runs"].as_array().unwrap().iter().map(|run| run["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&listed.body), [other.as_str(), &id]);
    let first = server.get(&format!("{path}?limit=1"));
    assert_eq!((ids(&first.body), &first.body["next"]), (vec![json!(other)], &json!(other)));
    assert_eq!(ids(&server.get(&format!("{path}?limit=1&before={other}")).body), [id.as_str()]);
    assert_eq!(ids(&server.get(&format!("{path}?state=completed&kind=ask&caller=local")).body), [id.as_str()]);
    for wrong in ["?state=done", "?before=x", "?more=1"] {
        assert_eq!(server.get(&format!("{path}{wrong}")).status, 400, "{wrong}");
    }
    let nowhere = ["no-id", "0198c0de-0000-7000-8000-0000000000ff"];
    for unknown in nowhere {
        let reply = server.get(&format!("{path}/{unknown}"));
        document.holds("GET", "/api/v1/runs/{run}", &reply);
        assert_eq!(reply.status, 404);
    }
    let xml = server.get_with(path, &[("accept", "application/xml")]);
    assert!(xml.body.as_str().unwrap().contains("<kind>ask</kind>"), "{:?}", xml.body);
}

#[test]
fn the_run_of_a_killed_replica_is_gone_on_with_by_another() {
    let house = House::new();
    let first = house.replica("4s", "64");
    let id = begin_ten(&first, house.folder.path());
    house.let_go(3);
    until("three things are done", || house.log(first.pid()).len() == 4);
    let other = house.replica("4s", "64");
    let pid = first.pid();
    drop(first);
    house.let_go(10);
    is_completed(&other, &id);
    // What had been begun and not recorded is done again, under the same key.
    let keys = |range: std::ops::Range<usize>| range.map(|n| format!("{id}/{n}")).collect::<Vec<_>>();
    assert_eq!((house.log(pid), house.log(other.pid())), (keys(0..4), keys(3..10)));
    assert_eq!(run(&other, &id)["epoch"], 2);
}

/// It is stopped in the middle of a run, and does nothing more of it when it goes on.
#[test]
fn a_replica_that_was_stopped_for_longer_than_its_lease_does_no_more_of_a_run() {
    let house = House::new();
    let first = house.replica("4s", "64");
    let id = begin_ten(&first, house.folder.path());
    until("it has begun", || house.log(first.pid()).len() == 1);
    first.send_signal("-STOP");
    let other = house.replica("4s", "64");
    house.let_go(10);
    is_completed(&other, &id);
    assert_eq!(house.log(other.pid()).len(), 10);
    first.send_signal("-CONT");
    until("it knows", || event(&first, "lost") == 1);
    assert_eq!(house.log(first.pid()).len(), 1, "it did nothing after it was stopped");
    assert_eq!(event(&first, "completed"), 0);
    assert_eq!(run(&first, &id)["epoch"], 2);
    let steps = first.get(&format!("/api/v1/runs/{id}?limit=500")).body["steps"].clone();
    assert_eq!(steps.as_array().unwrap().len(), 20);
}

#[test]
fn a_replica_that_is_told_to_stop_releases_its_runs_and_others_go_on_at_once() {
    let house = House::new();
    // Nobody waits for the end of such a lease.
    let first = house.replica("60m", "64");
    let id = begin_ten(&first, house.folder.path());
    until("it has begun", || house.log(first.pid()).len() == 1);
    let other = house.replica("60m", "64");
    let (pid, address) = (first.pid(), first.url.strip_prefix("http://").unwrap().to_owned());
    std::thread::scope(|scope| {
        let stopped = scope.spawn(|| first.stop());
        // Where it takes no requests any more, its runs are told as well.
        until("it stops", || TcpStream::connect(&address).is_err());
        // This one comes to the record of what it does, and begins nothing more.
        house.let_go(1);
        let (code, said, _) = stopped.join().unwrap();
        assert_eq!(code, Some(0), "{said}");
    });
    house.let_go(10);
    is_completed(&other, &id);
    assert_eq!((house.log(pid).len(), house.log(other.pid()).len()), (1, 9));
}

/// Hints go through Redis; what nobody hears is found.
#[test]
fn without_redis_runs_are_found_and_told_all_the_same() {
    let house = House::new();
    let desk = house.replica("60m", "0");
    let worker = house.replica("60m", "64");
    house.let_go(10);
    let before = begin_ten(&desk, house.folder.path());
    is_completed(&desk, &before);
    house.redis.kill();
    let id = begin_ten(&desk, house.folder.path());
    let asked = begin(&desk, "ask", Value::Null);
    is_completed(&desk, &id);
    until("it waits", || run(&desk, &asked)["epoch"] == 1);
    assert_eq!(desk.post(&format!("/api/v1/runs/{asked}/inputs"), "7").status, 200);
    until("it has heard", || run(&worker, &asked)["state"] == "completed");
    assert_eq!((house.log(desk.pid()).len(), event(&worker, "completed")), (0, 3));
}
