//! Streams on which changes are told.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::client::Client;
use crate::server::Server;

const LISTEN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
const HEADERS: &str = "mcp-protocol-version: 2026-07-28\r\nmcp-method: subscriptions/listen\r\n";

/// Lets `listeners` listen, and tells them of `changes`.
pub async fn measure(
    name: &str,
    server: &Server,
    listeners: usize,
    changes: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let before = server.resident_kib()?;
    let mut clients = Vec::with_capacity(listeners);
    for _ in 0..listeners {
        let mut client = Client::connect(server.port).await?;
        client.send("POST", "/mcp", HEADERS, LISTEN).await?;
        client.read_until(b"acknowledged").await?;
        client.read_until(b"\n\n").await?;
        clients.push(client);
    }
    let each = (server.resident_kib()? - before) as f64 / listeners as f64;
    let mut operator = Client::connect(server.port).await?;
    let mut delays = Vec::new();
    for n in 0..changes {
        let mut waiting = JoinSet::new();
        for mut client in clients.drain(..) {
            waiting.spawn(async move {
                client.read_until(b"list_changed").await?;
                let heard = Instant::now();
                client.read_until(b"\n\n").await?;
                Ok::<_, io::Error>((client, heard))
            });
        }
        // Each has begun to wait.
        tokio::task::yield_now().await;
        let switched = Instant::now();
        let body = format!("{{\"enabled\":{}}}", n % 2 == 1);
        let answer = operator.ask("PATCH", "/api/v1/tools/time.now", "", &body).await?;
        if answer.status != 200 {
            return Err(io::Error::other(format!("the tool is not switched: {}", answer.head)));
        }
        while let Some(told) = waiting.join_next().await {
            let (client, heard) = told.map_err(io::Error::other)??;
            delays.push(heard - switched);
            clients.push(client);
        }
    }
    delays.sort();
    let at = |part: f64| delays[((delays.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    let last = delays.last().copied().unwrap_or(Duration::ZERO).as_secs_f64() * 1e3;
    writeln!(
        out,
        "{name}: {listeners} listeners, {each:.1} KiB each; a change reaches them in {:.1} ms (p50), {:.1} ms (p99), {last:.1} ms (the last)",
        at(0.5),
        at(0.99)
    )
}
