//! A connection to the server, and what is said on it.

use std::io;
use std::net::Ipv4Addr;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection that is kept.
pub struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer with a length.
pub struct Answer {
    pub status: u16,
    pub head: String,
}

/// A field of a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

impl Client {
    pub async fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    pub async fn send(&mut self, verb: &str, path: &str, headers: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        let request = format!(
            "{verb} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        self.stream.write_all(request.as_bytes()).await
    }

    /// Sends a request, and reads its answer to the end.
    pub async fn ask(&mut self, verb: &str, path: &str, headers: &str, body: &str) -> io::Result<Answer> {
        self.send(verb, path, headers, body).await?;
        let head = self.read_until(b"\r\n\r\n").await?;
        let length = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.read.len() < length {
            self.fill().await?;
        }
        self.read.drain(..length);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("an answer begins with {head:?}")))?;
        Ok(Answer { status, head })
    }

    /// What comes, to the end of `mark`.
    pub async fn read_until(&mut self, mark: &[u8]) -> io::Result<String> {
        let end = self.find(mark).await?;
        let taken: Vec<u8> = self.read.drain(..end).collect();
        String::from_utf8(taken).map_err(io::Error::other)
    }

    /// Passes over what comes, to the end of `mark`.
    pub async fn skip_until(&mut self, mark: &[u8]) -> io::Result<()> {
        let end = self.find(mark).await?;
        self.read.drain(..end);
        Ok(())
    }

    async fn find(&mut self, mark: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(at) = memmem::find(&self.read, mark) {
                return Ok(at + mark.len());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}
