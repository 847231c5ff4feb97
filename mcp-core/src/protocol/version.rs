//! Revisions of the protocol, and the era that a message belongs to (basic/versioning).

use crate::endpoint::head::Header;
use crate::jsonrpc::{Message, Request};

/// The revision of the modern era.
pub(crate) const MODERN: &str = "2026-07-28";

/// The revisions of the older era, the newest first.
pub(crate) const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

/// Which rules a message goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// Stateless: all that is needed comes with each request.
    Modern,
    /// Begun by a handshake.
    Legacy,
}

impl Era {
    /// The era of a request that has no header, by what it says of itself.
    pub(crate) fn of_request(request: &Request<'_>) -> Self {
        let says_so = request.params.meta.as_ref().is_some_and(|meta| meta.protocol_version.is_some());
        if says_so || request.method == "server/discover" { Self::Modern } else { Self::Legacy }
    }

    /// The era of a message, by what it says of itself first and by the header after that.
    pub(crate) fn of(header: Header<'_>, message: &Message<'_>) -> Self {
        let (method, params) = match message {
            Message::Request(request) => (&request.method, &request.params),
            Message::Notification(notification) => (&notification.method, &notification.params),
        };
        let says_so = params.meta.as_ref().is_some_and(|meta| meta.protocol_version.is_some());
        if says_so || method == "server/discover" { Self::Modern } else { Self::of_header(header) }
    }

    /// The era of what says nothing of itself.
    pub(crate) fn of_header(header: Header<'_>) -> Self {
        match header {
            Header::One(version) if is_date(version) && version >= MODERN => Self::Modern,
            _ => Self::Legacy,
        }
    }
}

/// Revisions are dates, which sort as text.
fn is_date(version: &str) -> bool {
    let digit_or_dash = |(at, byte): (usize, u8)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() };
    version.len() == 10 && version.bytes().enumerate().all(digit_or_dash)
}
