//! Who may have a connection, and how it begins.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcp_core::endpoint::TrustedProxies;
use mcp_core::measure::{Collector, Sample};
use mcp_core::server::load::Load;
use mcp_core::server::tally::{Entered, Full, Tally};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connection::{Connection, Io, Waits};
use super::tls::Tls;
use crate::config::Config;

/// Who may have a connection. Clones are the same.
#[derive(Clone)]
pub(in crate::bundled) struct Door(Arc<Inner>);

struct Inner {
    most: usize,
    most_of_address: usize,
    /// Whose connections are many clients'.
    proxies: TrustedProxies,
    waits: Waits,
    tls: Option<Tls>,
    /// So many may be at the begin of TLS.
    handshakes: Semaphore,
    load: Arc<Load>,
    open: Arc<Tally<IpAddr>>,
    /// In the order of [`Reason`].
    refused: [AtomicU64; REASONS.len()],
}

/// Why a connection is closed as soon as it is there.
#[derive(Clone, Copy)]
enum Reason {
    All,
    Address,
    Handshakes,
    Handshake,
}

/// In the order of [`Reason`], as metrics name them.
const REASONS: [&str; 4] = ["connections", "connections_of_address", "handshakes", "handshake"];

impl Door {
    pub(in crate::bundled) fn new(config: &Config, tls: Option<Tls>, load: Arc<Load>) -> Self {
        let waits = Waits { head: config.head_timeout, idle: config.keep_alive, write: config.write_timeout };
        Self(Arc::new(Inner {
            most: config.max_connections,
            most_of_address: config.max_connections_per_address,
            proxies: config.trusted_proxies.clone(),
            waits,
            tls,
            handshakes: Semaphore::new(config.max_connections / 4 + 1),
            load,
            open: Arc::default(),
            refused: Default::default(),
        }))
    }

    /// Takes a connection, or closes it.
    pub(super) async fn open(&self, tcp: TcpStream) -> io::Result<(Connection, Option<SocketAddr>)> {
        let inner = &*self.0;
        let peer = tcp.peer_addr()?;
        let counted = self.enter(peer.ip())?;
        tcp.set_nodelay(true)?;
        bound_silence(&tcp, inner.waits)?;
        let io = match &inner.tls {
            None => Io::Plain(tcp),
            Some(tls) => {
                let _one = inner.handshakes.try_acquire().map_err(|_| self.refuse(Reason::Handshakes))?;
                // In a box: the connection's task is as large as what it does at any time.
                let begun = Box::pin(timeout(inner.waits.head, tls.accept(tcp))).await.map_err(io::Error::from);
                Io::Tls(Box::new(begun.flatten().inspect_err(|_| drop(self.refuse(Reason::Handshake)))?))
            }
        };
        let unsent = inner.load.hold(0).map_err(io::Error::other)?;
        Ok((Connection::new(io, inner.waits, unsent, counted), Some(peer)))
    }

    fn enter(&self, address: IpAddr) -> io::Result<Entered<IpAddr>> {
        let Inner { open, proxies, most, most_of_address, .. } = &*self.0;
        let most_of_address = if proxies.has(address) { usize::MAX } else { *most_of_address };
        open.enter(household(address), *most, most_of_address).map_err(|full| match full {
            Full::All => self.refuse(Reason::All),
            Full::Owner => self.refuse(Reason::Address),
        })
    }

    fn refuse(&self, reason: Reason) -> io::Error {
        let why = REASONS[reason as usize];
        // Each is told of once in a thousand times: a line for each would be what a stranger can fill the log with.
        if self.0.refused[reason as usize].fetch_add(1, Ordering::Relaxed).is_multiple_of(1_000) {
            tracing::warn!(why, "connections are closed as soon as they are there");
        }
        io::Error::other(why)
    }
}

impl Collector for Door {
    fn collect(&self) -> Vec<Sample> {
        let open = self.0.open.count() as f64;
        let refused = REASONS.iter().zip(&self.0.refused).map(|(reason, count)| {
            let help = "Connections that were closed as soon as they were there.";
            let count = count.load(Ordering::Relaxed) as f64;
            Sample::counter("mcp_http_connections_refused_total", help, count).with("reason", reason)
        });
        let open = Sample::gauge("mcp_http_connections", "Connections that are open.", open);
        std::iter::once(open).chain(refused).collect()
    }
}

/// What counts as one address: of IPv6, whoever has one has all that begin as it does.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

/// Lets the kernel end a connection whose client takes nothing, also of what it has been given already.
#[cfg(target_os = "linux")]
fn bound_silence(tcp: &TcpStream, waits: Waits) -> io::Result<()> {
    socket2::SockRef::from(tcp).set_tcp_user_timeout(Some(waits.write))
}

#[cfg(not(target_os = "linux"))]
fn bound_silence(_: &TcpStream, _: Waits) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_one_client_has_count_as_one() {
        let same = |a: &str, b: &str| household(a.parse().unwrap()) == household(b.parse().unwrap());
        assert!(same("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"));
        assert!(!same("2001:db8:0:1::1", "2001:db8:0:2::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }
}
