//! Bodies that come slowly, over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::served::Served;

/// Sends a head that announces two bytes, and the first of them.
fn begin(server: &Served, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    let head = "host: localhost\r\ncontent-length: 2\r\nx-request-id: slow\r\nconnection: close";
    write!(stream, "POST {path} HTTP/1.1\r\n{head}\r\n\r\n{{").unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn one_that_does_not_come_is_not_waited_for() {
    let server = Served::start(&[("BODY_TIMEOUT", "50ms")]);
    let says = "the body did not come within 50ms; send it faster, or in smaller parts";
    for path in ["/mcp", "/api/v1/tools/time.now/call"] {
        let answer = answer(begin(&server, path));
        assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
        assert!(answer.contains(says) && answer.contains("x-request-id: slow\r\n"), "{path}: {answer}");
    }
}

#[test]
fn one_that_comes_in_pieces_is_read_to_its_end() {
    let server = Served::start(&[]);
    let mut stream = begin(&server, "/api/v1/tools/time.now/call");
    // Another request is answered in between, so that the first piece has been read by itself.
    assert_eq!(server.get("/health/live").status, 200);
    stream.write_all(b"}").unwrap();
    let answer = answer(stream);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("UTC"), "{answer}");
}
