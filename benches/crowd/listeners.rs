//! Streams on which changes are told.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

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
    let (told, mut hears) = unbounded_channel();
    for _ in 0..listeners {
        let mut client = Client::connect(server.port).await?;
        client.send("POST", "/mcp", HEADERS, LISTEN).await?;
        client.skip_until(b"acknowledged").await?;
        client.skip_until(b"\n\n").await?;
        tokio::spawn(listen(client, told.clone()));
    }
    let each = (server.resident_kib()? - before) as f64 / listeners as f64;
    let mut operator = Client::connect(server.port).await?;
    let mut delays = Vec::new();
    let (own, theirs) = (benches::processor_micros(std::process::id())?, server.processor_micros()?);
    for n in 0..changes {
        let switched = Instant::now();
        let body = format!("{{\"enabled\":{}}}", n % 2 == 1);
        let answer = operator.ask("PATCH", "/api/v1/tools/time.now", "", &body).await?;
        if answer.status != 200 {
            return Err(io::Error::other(format!("the tool is not switched: {}", answer.head)));
        }
        for _ in 0..listeners {
            let heard = hears.recv().await.ok_or_else(|| io::Error::other("nobody listens"))??;
            delays.push(heard - switched);
        }
    }
    let an_event = |micros: u64| micros as f64 / delays.len() as f64;
    let own = an_event(benches::processor_micros(std::process::id())? - own);
    let theirs = an_event(server.processor_micros()? - theirs);
    delays.sort();
    let at = |part: f64| delays[((delays.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    let last = delays.last().copied().unwrap_or(Duration::ZERO).as_secs_f64() * 1e3;
    writeln!(
        out,
        "{name}: {listeners} listeners, {each:.1} KiB each; a change reaches them in {:.1} ms (p50), {:.1} ms (p99), {last:.1} ms (the last); \
         µs of processor time an event: {theirs:.1} of the server, {own:.1} of the clients",
        at(0.5),
        at(0.99)
    )
}

/// Tells when one client hears of a change, again and again.
async fn listen(mut client: Client, told: UnboundedSender<io::Result<Instant>>) {
    loop {
        let heard = client.skip_until(b"list_changed").await.map(|()| Instant::now());
        let ended = heard.is_err() || client.skip_until(b"\n\n").await.is_err();
        if told.send(heard).is_err() || ended {
            return;
        }
    }
}
