//! A client that sends the same request again and again on one connection, and holds every answer against what is expected.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use benches::echo::Echo;

use crate::server::Program;

pub struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    /// The lines of the head, sorted, since servers may send them in any order; without the date.
    head: Vec<String>,
    body: Vec<u8>,
    received: Vec<u8>,
}

/// How long a server may take to listen, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);

impl Client {
    /// Connects as soon as the server listens.
    pub fn connect(port: u16, program: Program, echo: &Echo) -> io::Result<Self> {
        let began = Instant::now();
        let stream = loop {
            match TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE) {
                Ok(stream) => break stream,
                Err(_) if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => return Err(error),
            }
        };
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let body = program.answer(echo).into_bytes();
        let head = ["HTTP/1.1 200 OK", &format!("content-length: {}", body.len()), "content-type: application/json"]
            .map(str::to_owned)
            .to_vec();
        Ok(Self { stream, request: request(port, echo), head, body, received: Vec::new() })
    }

    /// Sends the request so often, each time when the one before has been answered.
    pub fn repeat(mut self, requests: u64) -> io::Result<()> {
        (0..requests).try_for_each(|_| self.exchange())
    }

    fn exchange(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.request)?;
        self.received.clear();
        let head = loop {
            self.read()?;
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
        };
        while self.received.len() < head + 4 + self.body.len() {
            self.read()?;
        }
        let lines = String::from_utf8_lossy(&self.received[..head]);
        let (dates, mut lines): (Vec<&str>, Vec<&str>) =
            lines.split("\r\n").partition(|line| line.starts_with("date: "));
        lines.sort_unstable();
        if lines != self.head || dates.len() != 1 || self.received[head + 4..] != self.body {
            let received = String::from_utf8_lossy(&self.received);
            return Err(io::Error::other(format!("an answer is not what it must be:\n{received}")));
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece)? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            length => {
                self.received.extend_from_slice(&piece[..length]);
                Ok(())
            }
        }
    }
}

/// The bytes of one request.
fn request(port: u16, echo: &Echo) -> Vec<u8> {
    let body = echo.body();
    let mut request = format!("POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n");
    for (name, value) in echo.headers() {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("content-length: {}\r\n\r\n{body}", body.len());
    request.into_bytes()
}
