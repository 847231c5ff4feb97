//! The wire that tests make fail.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use mcp_store::test_servers::{Fault, FaultProxy};

/// A server that accepts connections, and a proxy in front of it.
fn start() -> (TcpListener, FaultProxy) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = FaultProxy::to(server.local_addr().unwrap().port());
    (server, proxy)
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).unwrap()
}

/// Both ends of a connection through the proxy.
fn pair(server: &TcpListener, proxy: &FaultProxy) -> (TcpStream, TcpStream) {
    let near = connect(proxy);
    (near, server.accept().unwrap().0)
}

/// Whether what is said at one end is heard at the other.
fn passes(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    to.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
}

/// Nothing comes, however long one waits.
fn is_silent(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    // Where a child of another test ends, a single read is interrupted.
    let error = stream.read_exact(&mut [0]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    stream.set_read_timeout(None).unwrap();
}

#[test]
fn what_comes_is_forwarded_both_ways_to_its_end() {
    let (server, proxy) = start();
    let (mut near, mut far) = pair(&server, &proxy);
    passes(&mut near, &mut far);
    passes(&mut far, &mut near);
    drop(near);
    assert_eq!(far.read(&mut [0]).unwrap(), 0);
    assert_eq!(
        proxy.url("postgres://mcp@127.0.0.1:5432/test?a=b"),
        format!("postgres://mcp@127.0.0.1:{}/test?a=b", proxy.port())
    );
}

#[test]
fn what_is_said_in_a_silence_is_heard_after_it() {
    let (server, proxy) = start();
    let (mut near, mut far) = pair(&server, &proxy);
    proxy.set(Fault::Silence);
    near.write_all(b"hello").unwrap();
    let mut new = connect(&proxy);
    new.write_all(b"new").unwrap();
    is_silent(&mut far);
    is_silent(&mut new);
    proxy.set(Fault::Nothing);
    let mut heard = [0; 5];
    far.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    let mut heard = [0; 3];
    server.accept().unwrap().0.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"new");
}

#[test]
fn what_is_half_open_stays_silent_for_ever() {
    let (server, proxy) = start();
    let (mut old, mut far) = pair(&server, &proxy);
    proxy.set(Fault::HalfOpen);
    assert_eq!(far.read(&mut [0]).unwrap(), 0, "the server's end is closed");
    let mut new = connect(&proxy);
    new.write_all(b"new").unwrap();
    is_silent(&mut new);
    proxy.set(Fault::Nothing);
    for stream in [&mut old, &mut new] {
        stream.write_all(b"hello").unwrap();
        is_silent(stream);
    }
    let (mut near, mut far) = pair(&server, &proxy);
    passes(&mut near, &mut far);
}

#[test]
fn connections_are_closed_and_reset() {
    let (server, proxy) = start();
    for (fault, ends) in [(Fault::Close, None), (Fault::Reset, Some(ErrorKind::ConnectionReset))] {
        let (mut old, mut far) = pair(&server, &proxy);
        passes(&mut old, &mut far);
        proxy.set(fault);
        let mut new = connect(&proxy);
        for stream in [&mut old, &mut new] {
            let ended = stream.read(&mut [0]);
            match ends {
                None => assert_eq!(ended.unwrap(), 0),
                Some(kind) => assert_eq!(ended.unwrap_err().kind(), kind),
            }
        }
        proxy.set(Fault::Nothing);
    }
}

#[test]
fn what_is_late_or_slow_comes_no_sooner() {
    let (server, proxy) = start();
    let (mut near, mut far) = pair(&server, &proxy);
    for fault in [Fault::Delay(Duration::from_millis(100)), Fault::Throttle(50)] {
        proxy.set(fault);
        let begun = Instant::now();
        passes(&mut near, &mut far);
        assert!(begun.elapsed() >= Duration::from_millis(100), "{fault:?}");
    }
    // What waits longer than a test does goes on as soon as nothing is to wait.
    proxy.set(Fault::Delay(Duration::from_secs(60 * 60)));
    near.write_all(b"hello").unwrap();
    is_silent(&mut far);
    proxy.set(Fault::Nothing);
    far.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn with_the_proxy_its_connections_end() {
    let (server, proxy) = start();
    let (mut near, mut far) = pair(&server, &proxy);
    proxy.set(Fault::Silence);
    drop(proxy);
    assert_eq!(far.read(&mut [0]).unwrap(), 0);
    // What was never forwarded is refused, or ends.
    assert!(near.read(&mut [0]).is_ok_and(|read| read == 0));
}
