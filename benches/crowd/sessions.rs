//! Sessions that are begun and never ended.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Instant;

use crate::client::{Client, field};
use crate::server::Server;

const VERSION: &str = "mcp-protocol-version: 2025-11-25\r\n";

/// Begins `sessions`, of which the server keeps `cap`.
pub async fn measure(name: &str, server: &Server, cap: usize, sessions: usize, out: &mut impl Write) -> io::Result<()> {
    let mut client = Client::connect(server.port).await?;
    let begun = Instant::now();
    let (mut handles, mut after_cap) = (VecDeque::with_capacity(sessions), 0);
    for n in 0..sessions {
        handles.push_back(initialize(&mut client).await?);
        if n + 1 == cap {
            after_cap = server.resident_kib()?;
        }
    }
    let (took, after_all) = (begun.elapsed(), server.resident_kib()?);
    // A store that holds many counts them now and then, and may hold a hundredth more.
    let surely_gone = sessions - cap - cap / 100;
    for (n, handle) in handles.iter().enumerate() {
        let found = ping(&mut client, handle).await?;
        let expected = if n < surely_gone { 404 } else { 200 };
        if found != expected && (n < surely_gone || n >= sessions - cap) {
            return Err(io::Error::other(format!("session {n} of {sessions} is answered {found}")));
        }
    }
    writeln!(
        out,
        "{name}: {sessions} sessions begun in {took:.1?}, the last {cap} answer and the others do not; \
         resident {after_cap} KiB after {cap}, {after_all} KiB after {sessions}: {:+} KiB",
        after_all.cast_signed() - after_cap.cast_signed()
    )
}

async fn initialize(client: &mut Client) -> io::Result<String> {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let answer = client.ask("POST", "/mcp", "", body).await?;
    let handle = field(&answer.head, "mcp-session-id");
    handle.map(str::to_owned).ok_or_else(|| io::Error::other(format!("no session: {}", answer.head)))
}

async fn ping(client: &mut Client, handle: &str) -> io::Result<u16> {
    let headers = format!("{VERSION}mcp-session-id: {handle}\r\n");
    Ok(client.ask("POST", "/mcp", &headers, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await?.status)
}
