//! Who is at the other end, where proxies stand in between.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::head::{Head, Header};

/// The proxies whose word is taken for where a request comes from: they add to `X-Forwarded-For` the address that each request came to
/// them from.
///
/// Such a proxy is never the client itself: of a request by which one says nothing, it is not known where it comes from. Of everybody
/// else the address is that of the connection, whatever their headers say.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// The header to which each proxy adds. (`Forwarded` is not read: whoever reads two headers believes the one that the proxy does not
/// write.)
const HEADER: &str = "x-forwarded-for";

impl TrustedProxies {
    /// None.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether this is the address of one of them.
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request comes from: of the addresses that it went through, the last one that is not such a proxy.
    pub(super) fn client(&self, head: &dyn Head) -> Option<IpAddr> {
        let peer = head.peer()?.to_canonical();
        if !self.has(peer) {
            return Some(peer);
        }
        let values = head.values(HEADER);
        let mut hops = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b',')).map(address);
        // Within the proxies' own networks the first of them is the client.
        let mut client = None;
        loop {
            match hops.next() {
                None => return client,
                // What comes before a hop that cannot be read, anybody may have written.
                Some(None) => return None,
                Some(Some(hop)) if self.has(hop) => client = Some(hop),
                Some(hop) => return hop,
            }
        }
    }

    /// Shows an `Authenticate` a request as it was before the proxies, if there are such.
    pub(super) fn see<'a>(&self, head: &'a dyn Head, client: Option<IpAddr>) -> Option<Behind<'a>> {
        (!self.0.is_empty()).then_some(Behind { head, client })
    }
}

impl FromStr for TrustedProxies {
    type Err = BadNetwork;

    /// Reads addresses and networks, such as `10.0.0.0/8, ::1`.
    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let network = |part: &str| {
            let network = part.parse::<IpNet>().ok().or_else(|| Some(part.parse::<IpAddr>().ok()?.into()));
            network.ok_or_else(|| BadNetwork(part.to_owned()))
        };
        parts.map(network).collect::<Result<_, _>>().map(Self)
    }
}

/// A text that names no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network; write such as 10.0.0.7 or 10.0.0.0/8")]
pub struct BadNetwork(String);

/// The address of a hop, which may have a port.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let address: Option<IpAddr> = hop.parse().ok().or_else(with_port).or_else(bracketed);
    address.map(|address| address.to_canonical())
}

/// A request, seen as if there were no proxies.
pub(super) struct Behind<'a> {
    head: &'a dyn Head,
    client: Option<IpAddr>,
}

impl Head for Behind<'_> {
    fn verb(&self) -> &str {
        self.head.verb()
    }

    fn header(&self, name: &str) -> Header<'_> {
        self.head.header(name)
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        self.head.values(name)
    }

    fn any_name(&self, test: &dyn Fn(&str) -> bool) -> bool {
        self.head.any_name(test)
    }

    fn peer(&self) -> Option<IpAddr> {
        self.client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request {
        peer: &'static str,
        forwarded: Vec<&'static str>,
    }

    impl Head for Request {
        fn verb(&self) -> &str {
            "POST"
        }

        fn header(&self, _: &str) -> Header<'_> {
            Header::Absent
        }

        fn values(&self, name: &str) -> Vec<&[u8]> {
            assert_eq!(name, "x-forwarded-for");
            self.forwarded.iter().map(|value| value.as_bytes()).collect()
        }

        fn any_name(&self, _: &dyn Fn(&str) -> bool) -> bool {
            !self.forwarded.is_empty()
        }

        fn peer(&self) -> Option<IpAddr> {
            self.peer.parse().ok()
        }
    }

    #[test]
    fn a_client_is_the_last_hop_that_is_no_trusted_proxy() {
        let proxies: TrustedProxies = "10.0.0.0/8, 127.0.0.1, fd00::/8".parse().unwrap();
        for (peer, forwarded, client) in [
            // Who is no proxy is believed nothing.
            ("203.0.113.7", vec![], Some("203.0.113.7")),
            ("203.0.113.7", vec!["127.0.0.1"], Some("203.0.113.7")),
            ("::ffff:203.0.113.7", vec!["127.0.0.1"], Some("203.0.113.7")),
            // A proxy is no client.
            ("127.0.0.1", vec![], None),
            ("10.1.2.3", vec!["198.51.100.1"], Some("198.51.100.1")),
            ("::ffff:10.1.2.3", vec!["198.51.100.1"], Some("198.51.100.1")),
            // What a client writes stands before what its proxies add, in one header or in several.
            ("10.1.2.3", vec!["127.0.0.1, 198.51.100.1"], Some("198.51.100.1")),
            ("10.1.2.3", vec!["127.0.0.1", "198.51.100.1"], Some("198.51.100.1")),
            ("10.1.2.3", vec!["nonsense, 198.51.100.1"], Some("198.51.100.1")),
            ("10.1.2.3", vec!["198.51.100.1, 10.9.9.9"], Some("198.51.100.1")),
            ("10.1.2.3", vec!["192.0.2.1, 198.51.100.1, fd00::1", "10.9.9.9"], Some("198.51.100.1")),
            // Within the networks of the proxies.
            ("10.1.2.3", vec!["10.9.9.9"], Some("10.9.9.9")),
            ("10.1.2.3", vec!["10.8.8.8, 10.9.9.9"], Some("10.8.8.8")),
            // What cannot be read is nobody, and hides what stands before it.
            ("10.1.2.3", vec!["unknown"], None),
            ("10.1.2.3", vec!["198.51.100.1, "], None),
            ("10.1.2.3", vec!["198.51.100.1, unknown, 10.9.9.9"], None),
            // With ports.
            ("10.1.2.3", vec!["198.51.100.1:4711"], Some("198.51.100.1")),
            ("10.1.2.3", vec!["[2001:db8::1]:4711"], Some("2001:db8::1")),
            ("10.1.2.3", vec!["[2001:db8::1]"], Some("2001:db8::1")),
            ("10.1.2.3", vec!["2001:db8::1"], Some("2001:db8::1")),
        ] {
            let request = Request { peer, forwarded: forwarded.clone() };
            let expected = client.map(|client| client.parse::<IpAddr>().unwrap());
            assert_eq!(proxies.client(&request), expected, "{peer} {forwarded:?}");
        }
        let none = TrustedProxies::none();
        let request = Request { peer: "10.1.2.3", forwarded: vec!["198.51.100.1"] };
        assert_eq!(none.client(&request), "10.1.2.3".parse().ok());
    }

    #[test]
    fn what_is_no_network_is_told() {
        for bad in ["10.0.0.0/33", "proxy.example.com", "10.0.0.0/8, x"] {
            let error = bad.parse::<TrustedProxies>().unwrap_err().to_string();
            assert!(error.contains("is neither an address nor a network"), "{error}");
        }
        assert!("".parse::<TrustedProxies>().is_ok());
    }
}
