//! Bodies that come slowly, over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::served::Served;

fn connect(server: &Served) -> TcpStream {
    let stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    // A server that waits for more than it may fails the test, and does not hang it.
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Sends a head that announces two bytes, and the first of them.
fn begin(server: &Served, path: &str) -> TcpStream {
    let mut stream = connect(server);
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

#[test]
fn one_that_is_too_large_is_not_read() {
    let server = Served::start(&[("MAX_BODY", "1KiB")]);
    let says = "the body has more than the 1024 bytes allowed";
    for path in ["/mcp", "/api/v1/tools/time.now/call"] {
        // One that says so is refused before any of it has come, and one that does not once it has come to there.
        for (length, part) in [
            ("content-length: 1025", String::new()),
            ("transfer-encoding: chunked", format!("401\r\n{}\r\n", "a".repeat(1025))),
        ] {
            let mut stream = connect(&server);
            write!(stream, "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{length}\r\n\r\n{part}")
                .unwrap();
            // What is left of it is still waited for, for a while: the connection is not closed with the answer.
            let (mut answer, mut piece) = (String::new(), [0; 4096]);
            while !answer.contains(says) {
                let read = stream.read(&mut piece).unwrap();
                assert!(read > 0, "{path}, {length}: {answer}");
                answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            }
            assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains(says), "{path}, {length}: {answer}");
        }
    }
    assert_eq!(server.post("/api/v1/tools/time.now/call", &format!("{{}}{}", " ".repeat(1022))).status, 200);
}
