//! A wire that can be made to fail.

use std::net::{Ipv4Addr, TcpListener as BoundListener};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A TCP proxy on a port of its own, in front of a server of this machine. What befalls its connections is changed while it runs,
/// for those that are open and for those to come. When it is dropped, all of them are closed.
pub struct FaultProxy {
    port: u16,
    faults: Sender<Fault>,
    thread: Option<JoinHandle<()>>,
}

/// What befalls the connections of a [`FaultProxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: what comes is forwarded.
    Nothing,
    /// Each piece that comes waits for so long, in both directions.
    Delay(Duration),
    /// So many bytes a second pass, in each direction of each connection.
    Throttle(u32),
    /// Nothing passes and nothing is closed, as where packets are lost; what was sent meanwhile arrives when it is over. New
    /// connections are accepted.
    Silence,
    /// The server's ends are closed and the clients are not told, as where a machine was replaced: what is open now, or is opened
    /// while it lasts, stays silent for ever.
    HalfOpen,
    /// Connections are closed in order (FIN), new ones as soon as they are accepted.
    Close,
    /// Connections are reset (RST), new ones as soon as they are accepted.
    Reset,
}

/// The most that is forwarded in one piece.
const PIECE: usize = 16 * 1024;

impl FaultProxy {
    /// Starts one in front of `port` on 127.0.0.1, to which nothing happens yet.
    pub fn to(port: u16) -> Self {
        let listener = BoundListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let (faults, watched) = watch::channel(Fault::Nothing);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let thread = std::thread::spawn(move || runtime.block_on(accept(listener, port, watched)));
        Self { port: address.port(), faults, thread: Some(thread) }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of the server behind it, as one that leads through it.
    pub fn url(&self, server: &str) -> String {
        let (before, port) = server.rsplit_once(':').expect("the URL names a port");
        let rest = port.trim_start_matches(|c: char| c.is_ascii_digit());
        format!("{before}:{}{rest}", self.port)
    }

    /// From now on this happens, and no more what happened before.
    pub fn set(&self, fault: Fault) {
        self.faults.send_replace(fault);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // The last sender tells all who listen that it is over.
        self.faults = watch::channel(Fault::Nothing).0;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: BoundListener, port: u16, mut faults: Receiver<Fault>) {
    let listener = TcpListener::from_std(listener).expect("it is on a runtime");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) => drop(connections.spawn(connect(near, port, faults.clone()))),
                // A client that has left again.
                Err(_) => continue,
            },
            changed = faults.changed() => if changed.is_err() { return },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// What a connection does, until one of its ends is closed or something closes it.
async fn connect(mut near: TcpStream, port: u16, mut faults: Receiver<Fault>) {
    let is_fatal = |fault: &Fault| matches!(fault, Fault::HalfOpen | Fault::Close | Fault::Reset);
    let fatal = {
        let mut later = faults.clone();
        let ended = async { later.wait_for(is_fatal).await.map(|fault| *fault) };
        tokio::select! {
            biased;
            fatal = ended => fatal,
            closed = forward(&mut near, port, &faults) => Ok(match closed {
                Ok(()) => Fault::Close,
                // A connection that broke breaks on the other side as well.
                Err(_) => Fault::Reset,
            }),
        }
    };
    match fatal {
        // Nobody reads it, and nobody closes it before the proxy ends.
        Ok(Fault::HalfOpen) => while faults.changed().await.is_ok() {},
        Ok(Fault::Reset) => drop(near.set_zero_linger()),
        // Where it is closed already, it need not be closed.
        _ => drop(near.shutdown().await),
    }
}

async fn forward(near: &mut TcpStream, port: u16, faults: &Receiver<Fault>) -> std::io::Result<()> {
    speaks(&mut faults.clone()).await;
    let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_reads, near_writes), (far_reads, far_writes)) = (near.split(), far.split());
    tokio::try_join!(pump(near_reads, far_writes, faults.clone()), pump(far_reads, near_writes, faults.clone()))?;
    Ok(())
}

/// Forwards what comes in one direction to its end.
async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut faults: Receiver<Fault>,
) -> std::io::Result<()> {
    let mut piece = [0; PIECE];
    loop {
        let most = match speaks(&mut faults).await {
            // A hundred times a second.
            Fault::Throttle(rate) => (rate as usize / 100).clamp(1, PIECE),
            _ => PIECE,
        };
        let read = from.read(&mut piece[..most]).await?;
        let fault = speaks(&mut faults).await;
        let wait = match fault {
            Fault::Delay(time) => time,
            Fault::Throttle(rate) => Duration::from_secs_f64(read as f64 / f64::from(rate.max(1))),
            _ => Duration::ZERO,
        };
        if !wait.is_zero() {
            // What was to wait for an hour goes on when nothing is to wait any more.
            let _ = timeout(wait, faults.wait_for(|now| *now != fault)).await;
        }
        speaks(&mut faults).await;
        match read {
            0 => return to.shutdown().await,
            read => to.write_all(&piece[..read]).await?,
        }
    }
}

/// What happens, once that is no silence.
async fn speaks(faults: &mut Receiver<Fault>) -> Fault {
    match faults.wait_for(|fault| *fault != Fault::Silence).await {
        Ok(fault) => *fault,
        // The proxy ends.
        Err(_) => Fault::Close,
    }
}
