//! `server/discover` (server/discover).

use crate::json;
use crate::protocol::encoding::Encoding;
use crate::protocol::version;
use crate::server::Server;

/// What the server can do.
const CAPABILITIES: &str = r#"{"tools":{},"logging":{}}"#;

pub(crate) fn discover(server: &Server, encoding: Encoding, id: &str) -> Vec<u8> {
    encoding.result(server, id, 256, |out| {
        out.extend_from_slice(b"\"supportedVersions\":[\"");
        out.extend_from_slice(version::MODERN.as_bytes());
        out.extend_from_slice(b"\"],\"capabilities\":");
        out.extend_from_slice(CAPABILITIES.as_bytes());
        instructions(server, out);
        encoding.caching(out);
    })
}

/// Writes the server's instructions for a model, if it has any.
pub(crate) fn instructions(server: &Server, out: &mut Vec<u8>) {
    if let Some(instructions) = &server.identity().instructions {
        out.extend_from_slice(b",\"instructions\":");
        json::write_string(out, instructions);
    }
}
