//! Who sees the effects of tools: a process that nothing befalls, to which each tool says that it has begun.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// How often each effect was begun, by what its tool said.
pub struct Witness {
    address: SocketAddr,
    seen: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Witness {
    /// Listens on a free port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let witness = Self { address: listener.local_addr()?, seen: Arc::default() };
        let seen = witness.seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = seen.clone();
                std::thread::spawn(move || hear(&stream, &seen));
            }
        });
        Ok(witness)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was seen until now.
    pub fn seen(&self) -> BTreeMap<String, usize> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Notes each line, and says so.
fn hear(stream: &TcpStream, seen: &Mutex<BTreeMap<String, usize>>) {
    for line in BufReader::new(stream).lines() {
        // A server that was killed says no more.
        let Ok(line) = line else { return };
        *seen.lock().unwrap_or_else(PoisonError::into_inner).entry(line).or_default() += 1;
        let mut answer = stream;
        if answer.write_all(b"\n").is_err() {
            return;
        }
    }
}
