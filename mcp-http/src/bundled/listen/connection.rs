//! A connection that is cut off where its client makes it wait for too long.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use mcp_core::server::load::Held;
use mcp_core::server::tally::Entered;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::patience::Patience;
use crate::occupied::Occupied;

/// One connection.
pub(super) struct Connection {
    io: Io,
    waits: Waits,
    occupied: Occupied,
    patience: Patience,
    opened: Instant,
    /// How many requests had begun when it was looked last.
    begun: u64,
    /// Since when bytes have been there that are no request yet.
    partial: Option<Instant>,
    /// Since when the client has not taken what it was to take.
    stalled: Option<Instant>,
    /// What it has not taken.
    unsent: Held,
    _counted: Entered<IpAddr>,
}

/// The bytes, as they are sent or under TLS.
pub(super) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How long a connection waits for its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// For the rest of a head.
    pub(super) head: Duration,
    /// For the next request.
    pub(super) idle: Duration,
    /// For some of an answer to be taken.
    pub(super) write: Duration,
}

/// So many bytes of an answer buy a client a second more to take it.
const BYTES_A_SECOND: u32 = 8 * 1024;

impl Connection {
    pub(super) fn new(io: Io, waits: Waits, unsent: Held, counted: Entered<IpAddr>) -> Self {
        Self {
            io,
            waits,
            occupied: Occupied::default(),
            patience: Patience::default(),
            opened: Instant::now(),
            begun: 0,
            partial: None,
            stalled: None,
            unsent,
            _counted: counted,
        }
    }

    /// What is told of its requests.
    pub(super) fn occupied(&self) -> Occupied {
        self.occupied.clone()
    }

    /// Until when its client may be silent.
    fn end_of_silence(&mut self) -> Instant {
        let Waits { head, idle, .. } = self.waits;
        if self.begun != self.occupied.begun() {
            self.begun = self.occupied.begun();
            self.partial = None;
        }
        if self.occupied.is_under_way() {
            // It is looked again then: nothing else wakes a connection whose request has ended.
            return Instant::now() + head + idle;
        }
        match self.partial {
            // The first head has a timer of actix's own, which answers 408.
            Some(since) if self.begun > 0 => since + head,
            _ => self.occupied.ended().unwrap_or(self.opened) + head + idle,
        }
    }

    /// The client does not take what it is sent: an error, once that has gone on for too long.
    fn stall(&mut self, task: &mut Context<'_>) -> Poll<io::Error> {
        let since = *self.stalled.get_or_insert_with(Instant::now);
        if self.patience.is_over(task, since + self.waits.write) {
            Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client does not read what it is sent"))
        } else {
            Poll::Pending
        }
    }

    /// The client has taken some, and some is left.
    fn took(&mut self, taken: usize, left: usize) {
        if left > 0 || self.unsent.bytes() > 0 {
            self.unsent.set(left);
        }
        if let Some(since) = &mut self.stalled {
            let bought = Duration::from_secs(1) * u32::try_from(taken).unwrap_or(u32::MAX) / BYTES_A_SECOND;
            *since = (*since + bought).min(Instant::now());
        }
    }

    fn io(&mut self) -> Pin<&mut Io> {
        Pin::new(&mut self.io)
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = self.io().poll_read(task, into);
        if read.is_pending() {
            let end = self.end_of_silence();
            // As if the client had left, so that what it was told last is sent.
            return if self.patience.is_over(task, end) { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        if into.filled().len() > before && self.partial.is_none() && !self.occupied.is_under_way() {
            self.partial = Some(Instant::now());
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.io().poll_write(task, bytes) {
            Poll::Pending => {
                self.unsent.set(bytes.len());
                self.stall(task).map(Err)
            }
            Poll::Ready(Ok(taken)) => {
                self.took(taken, bytes.len() - taken);
                Poll::Ready(Ok(taken))
            }
            failed => failed,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.io().poll_flush(task) {
            Poll::Pending => self.stall(task).map(Err),
            flushed => {
                if self.unsent.bytes() == 0 {
                    self.stalled = None;
                }
                flushed
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.io().poll_shutdown(task) {
            Poll::Pending => self.stall(task).map(Err),
            shut => shut,
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(task, into),
            Self::Tls(tls) => Pin::new(tls).poll_read(task, into),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(task, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(task, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(task),
            Self::Tls(tls) => Pin::new(tls).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(task),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(task),
        }
    }
}
