//! Listing what is offered, a page at a time (server/utilities/pagination).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::catalog::{Offered, Seen, shown};
use crate::json;
use crate::jsonrpc::Params;
use crate::protocol::encoding::Encoding;
use crate::protocol::errors::{RpcError, invalid};
use crate::server::Server;

/// Lists one page of what a caller sees of a catalog as `member`, in an order that stays. A cursor holds the key of the last of the page before.
pub(crate) fn list<T: Offered>(
    server: &Server,
    seen: Seen<'_, T>,
    member: &str,
    encoding: Encoding,
    id: &str,
    params: &Params<'_>,
) -> Result<Vec<u8>, RpcError> {
    let bad = || invalid("`params.cursor` is not one that this list gave; leave it out to begin again");
    let after = match params.cursor {
        None => None,
        Some(raw) => {
            let cursor = raw.string().ok_or_else(bad)?;
            let key = URL_SAFE_NO_PAD.decode(cursor.as_bytes()).ok().and_then(|key| String::from_utf8(key).ok());
            Some(key.ok_or_else(bad)?)
        }
    };
    let (page, more) = seen.page(after.as_deref(), server.limits().page).ok_or_else(bad)?;
    let wires = page.iter().map(|offered| shown(&**offered, encoding));
    let size = wires.clone().map(|wire| wire.len() + 1).sum();
    Ok(encoding.result(server, id, size, |out| {
        out.push(b'"');
        out.extend_from_slice(member.as_bytes());
        out.extend_from_slice(b"\":");
        json::write_list(out, wires, |out, wire| out.extend_from_slice(wire));
        if let Some(last) = page.last().filter(|_| more) {
            out.extend_from_slice(b",\"nextCursor\":");
            json::write_string(out, &URL_SAFE_NO_PAD.encode(last.key()));
        }
        encoding.caching(out, server.list_caching());
    }))
}
