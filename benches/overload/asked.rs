//! What the server is asked.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use benches::load::{Figures, exchange};

/// A call of the modern era.
pub(crate) fn call(tool: &str) -> Vec<u8> {
    let meta =
        r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let params = format!(r#"{{"name":"{tool}","arguments":{{}},"_meta":{meta}}}"#);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
    let heads =
        "accept: application/json, text/event-stream\r\ncontent-type: application/json\r\nmcp-method: tools/call";
    format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nmcp-protocol-version: 2026-07-28\r\n{heads}\r\nmcp-name: {tool}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Asks for the health ten times a second.
pub(crate) async fn health(server: SocketAddr, extent: Duration) -> Figures {
    const PAUSE: Duration = Duration::from_millis(100);
    let mut figures = Figures::default();
    let begun = Instant::now();
    for path in ["/health/live", "/health/ready"].into_iter().cycle() {
        if begun.elapsed() >= extent {
            break;
        }
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let asked = Instant::now();
        let ended = exchange(server, &mut None, request.as_bytes()).await;
        figures.count(ended, asked.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    figures.over(extent)
}

/// How long it takes until calls are accepted, and answered this fast, ten in a row.
pub(crate) async fn recovery(server: SocketAddr, call: &[u8], fast: Duration) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    let (mut connection, mut since, mut row) = (None, Duration::ZERO, 0);
    while row < 10 {
        let asked = Instant::now();
        if exchange(server, &mut connection, call).await.is_ok_and(|status| status == 200) && asked.elapsed() < fast {
            row += 1;
        } else {
            (row, since) = (0, begun.elapsed());
        }
        if begun.elapsed() > Duration::from_secs(30) {
            return Err("it does not become as before".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(since)
}
