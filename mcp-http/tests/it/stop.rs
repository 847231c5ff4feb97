//! SIGTERM: what runs finishes, what it did is written, nothing new comes in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use mcp_core::{Context, ToolError, tool_with};
use mcp_http::Config;
use mcp_store::test_servers::free_port;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::served::{Served, binary};

/// Set for the process that [`a_server_with_a_slow_tool`] is.
const CHILD: &str = "MCP_TEST_FOLDER";

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// Not a test: the server that the test below starts, with a tool that waits for a file.
#[test]
fn a_server_with_a_slow_tool() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    async fn slow(folder: Arc<str>, _: Nothing, cx: Context) -> Result<String, ToolError> {
        let folder = Path::new(&*folder);
        std::fs::write(folder.join("begun"), "")?;
        while !folder.join("go").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(format!("cancelled: {}", cx.is_cancelled()))
    }
    let slow = tool_with("slow", "Waits for a file.", Arc::<str>::from(folder), slow);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime
        .block_on(async { mcp_http::bundled(Config::load().unwrap()).await.unwrap().tool(slow).run().await })
        .unwrap();
}

/// Starts the server with the slow tool.
pub fn start(settings: &[(&str, &str)]) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "stop::a_server_with_a_slow_tool", "--nocapture"]);
    command.current_dir(folder.path()).env(CHILD, folder.path()).env("PORT", "0").envs(settings.iter().copied());
    Served::run(command, folder)
}

#[test]
fn a_running_call_finishes_and_is_recorded() {
    let server = start(&[]);
    let path = server.folder().to_owned();
    let address = server.url.strip_prefix("http://").unwrap().to_owned();

    let answer = std::thread::scope(|scope| {
        let call = scope.spawn(|| server.post("/api/v1/tools/slow/call", "{}"));
        wait_until(|| path.join("begun").exists());
        server.signal();
        wait_until(|| TcpStream::connect(&address).is_err());
        std::fs::write(path.join("go"), "").unwrap();
        call.join().unwrap()
    });
    assert_eq!((answer.status, &answer.body["content"][0]["text"]), (200, &"cancelled: false".into()));
    let (code, said, folder) = server.wait();
    assert_eq!(code, Some(0), "{said}");

    let again = Served::start_in(folder, &[]);
    let calls = again.get("/api/v1/calls?tool=slow").body;
    assert_eq!(calls["calls"][0]["outcome"], "ok", "{calls}");
}

/// Who starts it may want it to stop while it still says where it is.
#[test]
fn a_server_that_is_to_stop_before_it_has_said_that_it_serves_stops_in_order() {
    let port = free_port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let (mut reads, mut writes) = std::io::pipe().unwrap();
    let mut server = binary(folder.path(), &[("PORT", &port)]).stdout(writes.try_clone().unwrap()).spawn().unwrap();
    // More than a pipe holds, so that it cannot say anything until this is read.
    std::thread::spawn(move || writes.write_all(&[b'.'; 2 << 20]).unwrap());
    let ready = || ureq::get(format!("http://127.0.0.1:{port}/health/ready")).call().is_ok();
    wait_until(ready);
    let told = Command::new("kill").arg(server.id().to_string()).status().unwrap();
    assert!(told.success());
    let mut said = String::new();
    reads.read_to_string(&mut said).unwrap();
    let ended = server.wait().unwrap();
    assert_eq!(ended.code(), Some(0), "{ended}");
    let said = said.trim_start_matches('.');
    assert!(said.starts_with("listening") && said.contains("stopping"), "{said}");
}

/// So that a load balancer notices before requests are refused.
#[test]
fn before_it_stops_it_is_not_ready_but_alive_and_takes_requests() {
    // The second signal ends the delay, which is longer than any test.
    let server = Served::start(&[("STOP_DELAY", "60m")]);
    assert_eq!(server.get("/health/ready").status, 200);
    server.signal();
    wait_until(|| server.get("/health/ready").status == 503);
    assert_eq!(server.get("/health/live").status, 200);
    let health = server.get("/health");
    assert_eq!((health.status, &health.body["ready"]), (200, &false.into()), "it is well");
    assert_eq!(server.post("/api/v1/tools/time.now/call", "{}").status, 200);
    let (code, said, _) = server.stop();
    assert_eq!(code, Some(0), "{said}");
}

pub fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..12_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("a minute has passed");
}
