//! One request, and its answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a request, and reads its answer, whose length must be told: the status. The connection is kept where it can be used again.
///
/// # Errors
/// What happened to the connection, or that there was no answer for ten seconds.
pub async fn exchange(server: SocketAddr, connection: &mut Option<TcpStream>, request: &[u8]) -> io::Result<u16> {
    let answered = async {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(server).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(request).await?;
        let (status, keeps) = read(&mut stream).await?;
        if keeps {
            *connection = Some(stream);
        }
        Ok(status)
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Reads an answer: its status, and whether the connection stays open.
async fn read(stream: &mut TcpStream) -> io::Result<(u16, bool)> {
    let (mut bytes, mut head) = (Vec::with_capacity(2_048), None);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if head.is_none()
            && let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let text = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            head = Some((end + 4 + length.unwrap_or(0), status, !text.contains("connection: close")));
        }
        if let Some((whole, status, keeps)) = head
            && bytes.len() >= whole
        {
            return Ok((status, keeps));
        }
    }
}
