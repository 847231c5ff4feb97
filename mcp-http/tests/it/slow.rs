//! Clients that take their time, and clients that are too many: each is cut off, and holds no more than it may until then.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::served::Served;
use crate::stop::wait_until;

/// How long a head may take. The clock by which actix times the first of a connection is up to half a second slow, and shortens it by that.
const HEAD: &str = "1500ms";

fn connect(server: &Served) -> TcpStream {
    let stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    // A server that does not close fails the test, and does not hang it.
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// What comes until the server closes.
fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => text.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("it was not closed: {error}; it said {:?}", String::from_utf8_lossy(&text)),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Sends a request, and reads its answer, whose body is known; tells whether it came to that.
fn ask(stream: &mut TcpStream) -> bool {
    let mut text = String::new();
    let sent = stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n");
    while sent.is_ok() && !text.ends_with("{\"status\":\"ok\"}") {
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(read) if read > 0 => text.push_str(std::str::from_utf8(&piece[..read]).unwrap()),
            _ => return false,
        }
    }
    sent.is_ok()
}

/// A connection by which a request has been answered. On a busy machine its time may be over before its first head is sent.
fn used(server: &Served) -> TcpStream {
    (0..100).map(|_| connect(server)).find_map(|mut stream| ask(&mut stream).then_some(stream)).unwrap()
}

/// Sends a byte again and again, until the server does not listen any more.
fn trickle(stream: &mut TcpStream) {
    let begun = Instant::now();
    while stream.write_all(b"a").is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is still listened to");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_head_that_does_not_come_to_its_end_is_not_waited_for() {
    let server = Served::start(&[("HEAD_TIMEOUT", HEAD), ("KEEP_ALIVE", "60m")]);
    let mut stream = connect(&server);
    let _ = stream.write_all(b"GET /health/live HTTP/1.1\r\nx-slow: ");
    let said = rest(&mut stream);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{said}");
    trickle(&mut connect(&server));
    let mut stream = connect(&server);
    let _ = stream.write_all(b"GET /health/live HTTP/1.1\r\nx-slow: ");
    trickle(&mut stream);

    // Whoever has sent a whole request before gets no more time for the next.
    let mut stream = used(&server);
    trickle(&mut stream);
}

#[test]
fn a_connection_that_is_not_used_ends() {
    let server = Served::start(&[("HEAD_TIMEOUT", HEAD), ("KEEP_ALIVE", "200ms")]);
    assert_eq!(rest(&mut used(&server)), "");
    // Nor does one live on whose body is never sent to its end, after it was answered.
    let head = "host: evil.example\r\ntransfer-encoding: chunked";
    let answer = || {
        let mut stream = connect(&server);
        let _ = write!(stream, "POST /mcp HTTP/1.1\r\n{head}\r\n\r\n1\r\n{{\r\n");
        rest(&mut stream)
    };
    assert!((0..100).map(|_| answer()).any(|answer| answer.starts_with("HTTP/1.1 403 ")));
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let server = Served::start(&[("WRITE_TIMEOUT", "500ms")]);
    let large = vec![b'x'; 32 * 1024 * 1024];
    let sent = ureq::put(format!("{}/api/v1/files/large", server.url)).send(&large[..]);
    assert!(sent.unwrap().status().is_success());
    let open = || server.metric("mcp_http_connections").unwrap();
    let before = open();
    let mut streams: Vec<_> = (0..3).map(|_| connect(&server)).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /api/v1/files/large HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    }
    // They have begun to be answered, and are not answered any more.
    wait_until(|| answered(&server) == 3);
    wait_until(|| open() <= before);
    wait_until(|| server.metric("mcp_held_bytes") == Some(0));
    for stream in &mut streams {
        assert!(rest(stream).len() < large.len(), "it was sent all");
    }
}

/// How many requests of files have been answered.
fn answered(server: &Served) -> usize {
    let metrics = server.get("/metrics").body;
    let of_files = "mcp_http_requests_total{route=\"/api/v1/files/{name";
    let lines = metrics.as_str().unwrap().lines().filter(|line| line.starts_with(of_files) && line.contains("GET"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
}

#[test]
fn one_address_has_as_many_connections_as_may_be() {
    let server = Served::start(&[("MAX_CONNECTIONS_PER_ADDRESS", "2")]);
    let taken: Vec<_> = (0..2).map(|_| used(&server)).collect();
    let mut refused = connect(&server);
    assert_eq!(rest(&mut refused), "");
    drop(taken);
    // It is noticed in its own time that they have left.
    wait_until(|| {
        let mut stream = connect(&server);
        let asked = stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        asked.is_ok() && rest(&mut stream).starts_with("HTTP/1.1 200 ")
    });
    let address = "mcp_http_connections_refused_total{reason=\"connections_of_address\"}";
    assert!(server.metric(address).unwrap() >= 1);
}

#[test]
fn all_together_have_as_many_connections_as_may_be() {
    let server = Served::start(&[("MAX_CONNECTIONS", "2")]);
    let taken: Vec<_> = (0..2).map(|_| used(&server)).collect();
    assert_eq!(rest(&mut connect(&server)), "");
    drop(taken);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let server = Served::start(&[]);
    let long = format!("x-long: {}\r\n", "a".repeat(256 * 1024));
    let many: String = (0..200).map(|n| format!("x-{n}: a\r\n")).collect();
    for headers in [long, many] {
        let mut stream = connect(&server);
        // It may be refused before it has been sent to its end.
        let _ = write!(stream, "GET /health/live HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        let answer = rest(&mut stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    assert_eq!(server.get("/health/live").status, 200);
}
