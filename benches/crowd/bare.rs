//! The least that it costs to tell many: the bytes of an event, written to each socket by as many threads as the server has workers.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

/// As [`crate::listeners`] asks for it.
const BEGIN: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n: acknowledged\n\n\r\n";

/// As many bytes as the server sends.
const EVENT: &[u8] =
    b"94\r\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\",\
\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":1}}}\n\n\r\n";

/// Takes connections one after the other. One by which something is switched is served before the next.
pub fn serve() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(io::stdout(), "listening  http://{}", listener.local_addr()?)?;
    let mut listening = Vec::new();
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut request = [0; 4096];
        let mut length = stream.read(&mut request)?;
        if request.starts_with(b"POST") {
            stream.write_all(BEGIN)?;
            listening.push(stream);
            continue;
        }
        while length > 0 {
            tell(&listening)?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
            length = stream.read(&mut request)?;
        }
    }
}

fn tell(listening: &[TcpStream]) -> io::Result<()> {
    let threads = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let tell = |part: &[TcpStream]| part.iter().try_for_each(|mut stream| stream.write_all(EVENT));
        let parts: Vec<_> = listening
            .chunks(listening.len().div_ceil(threads).max(1))
            .map(|part| scope.spawn(move || tell(part)))
            .collect();
        parts.into_iter().try_for_each(|part| part.join().map_err(|_| io::Error::other("a thread has ended"))?)
    })
}
