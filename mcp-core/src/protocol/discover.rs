//! `server/discover` (server/discover).

use crate::json;
use crate::protocol::encoding::Encoding;
use crate::protocol::version;
use crate::server::Server;

pub(crate) fn discover(server: &Server, encoding: Encoding, id: &str) -> Vec<u8> {
    encoding.result(server, id, 256, |out| {
        out.extend_from_slice(b"\"supportedVersions\":[\"");
        out.extend_from_slice(version::MODERN.as_bytes());
        out.extend_from_slice(b"\"],\"capabilities\":");
        capabilities(server, encoding, out);
        instructions(server, out);
        encoding.caching(out, server.list_caching());
    })
}

/// Writes what the server can do: what it has nothing of, it does not speak of.
pub(crate) fn capabilities(server: &Server, encoding: Encoding, out: &mut Vec<u8>) {
    let told = if encoding == Encoding::Modern { "\"listChanged\":true" } else { "" };
    out.extend_from_slice(format!("{{\"tools\":{{{told}}}").as_bytes());
    if encoding == Encoding::Modern {
        out.extend_from_slice(b",\"logging\":{}");
    }
    if server.has_prompts() {
        out.extend_from_slice(format!(",\"prompts\":{{{told}}}").as_bytes());
    }
    if server.has_resources() {
        let told = if told.is_empty() { String::new() } else { format!("\"subscribe\":true,{told}") };
        out.extend_from_slice(format!(",\"resources\":{{{told}}}").as_bytes());
    }
    if server.has_prompts() || server.has_resources() {
        out.extend_from_slice(b",\"completions\":{}");
    }
    out.push(b'}');
}

/// Writes the server's instructions for a model, if it has any.
pub(crate) fn instructions(server: &Server, out: &mut Vec<u8>) {
    if let Some(instructions) = &server.identity().instructions {
        out.extend_from_slice(b",\"instructions\":");
        json::write_string(out, instructions);
    }
}
