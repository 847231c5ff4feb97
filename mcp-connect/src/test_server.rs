//! A provider of one's own: it answers what it is told to, in the pieces that it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Listens on this machine, in threads of its own.
pub(crate) struct Server {
    address: SocketAddr,
    /// Head and body of each request.
    asked: Arc<Mutex<Vec<(String, String)>>>,
    gone: Receiver<()>,
}

/// What it does with a request.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// It sends these pieces, and closes.
    Say(&'static [&'static str]),
    /// It sends this again and again, until nobody reads it.
    SayForEver(&'static str, &'static str),
    /// It sends these pieces, and waits until the other one goes.
    Hold(&'static [&'static str]),
}

impl Server {
    /// Does this with each request.
    pub(crate) fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (leaves, gone) = channel();
        let heard = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heard, leaves) = (heard.clone(), leaves.clone());
                thread::spawn(move || {
                    if let Some(request) = read(&stream) {
                        heard.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                        perform(&stream, act);
                        // The test may be over.
                        let _ = leaves.send(());
                    }
                });
            }
        });
        Self { address, asked, gone }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<(String, String)> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the connection of a request is over.
    pub(crate) fn wait_until_gone(&self) {
        self.gone.recv().unwrap();
    }
}

/// The head and the body of a request.
pub(crate) fn read(stream: impl Read) -> Option<(String, String)> {
    let (mut reader, mut head, mut length) = (BufReader::new(stream), String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}

fn perform(mut stream: &TcpStream, act: Act) {
    match act {
        Act::Say(pieces) => {
            for piece in pieces {
                let _ = stream.write_all(piece.as_bytes());
            }
        }
        Act::SayForEver(head, piece) => {
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(piece.as_bytes()).is_ok() {}
        }
        Act::Hold(pieces) => {
            for piece in pieces {
                let _ = stream.write_all(piece.as_bytes());
            }
            let mut rest = [0; 64];
            while stream.read(&mut rest).is_ok_and(|read| read > 0) {}
        }
    }
}

/// An authority, and a certificate of it for this name with its key.
pub(crate) fn vouched(name: &str) -> (rcgen::Certificate, rcgen::Certificate, rcgen::KeyPair) {
    let key = || rcgen::KeyPair::generate().unwrap();
    let (authority_key, leaf_key) = (key(), key());
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap();
    let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&leaf_key, &rcgen::Issuer::new(authority, authority_key)).unwrap();
    (certificate, leaf, leaf_key)
}
