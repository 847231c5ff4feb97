//! Serving one client over the standard streams of this process (basic/transports/stdio).

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use mcp_core::connection::Outgoing;
use mcp_core::{Caller, Connection, Server};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// The longest line that is read, in bytes.
const LONGEST_LINE: u64 = 4 * 1024 * 1024;

/// How long what is under way may go on once the input has ended.
const GRACE: Duration = Duration::from_secs(5);

/// Serves the client at the standard streams, until its end of them is closed. Nothing else may write to the standard output.
///
/// # Errors
/// When one of the streams breaks.
pub async fn serve(server: Server, caller: Caller) -> io::Result<()> {
    serve_over(server, caller, tokio::io::stdin(), tokio::io::stdout()).await
}

/// The same over any two streams of bytes, such as those of a socket: each message is a line.
///
/// # Errors
/// As [`serve`].
pub async fn serve_over(
    server: Server,
    caller: Caller,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let (connection, outgoing) = Connection::new(server, caller);
    let writing = pin!(write(outgoing, output));
    let reading = pin!(async move {
        let read = read(&connection, input).await;
        // What was asked for is answered, also where the input was a file.
        connection.finish(GRACE).await;
        read
    });
    match select(reading, writing).await {
        // With the connection the messages end.
        Either::Left((read, writing)) => read.and(writing.await),
        // Nobody reads any more.
        Either::Right((written, _)) => written,
    }
}

async fn read(connection: &Connection, input: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut input = BufReader::new(input);
    loop {
        let mut line = Vec::new();
        let read = (&mut input).take(LONGEST_LINE + 1).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(());
        }
        if read as u64 > LONGEST_LINE && !line.ends_with(b"\n") {
            connection.refuse(&format!("a message has more than the {LONGEST_LINE} bytes allowed")).await;
            skip_line(&mut input).await?;
            continue;
        }
        if !line.trim_ascii().is_empty() {
            connection.receive(Bytes::from(line)).await;
        }
    }
}

/// Reads on to the end of the line, and keeps nothing of it.
async fn skip_line(input: &mut (impl AsyncBufReadExt + Unpin)) -> io::Result<()> {
    loop {
        let piece = input.fill_buf().await?;
        let (length, ended) = match piece.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (piece.len(), piece.is_empty()),
        };
        input.consume(length);
        if ended {
            return Ok(());
        }
    }
}

async fn write(mut outgoing: Outgoing, mut output: impl AsyncWrite + Unpin) -> io::Result<()> {
    while let Some(message) = outgoing.next().await {
        output.write_all(&message).await?;
        output.write_all(b"\n").await?;
        output.flush().await?;
    }
    Ok(())
}
