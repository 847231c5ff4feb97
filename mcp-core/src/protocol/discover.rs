//! `server/discover` (server/discover).

use crate::capability;
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
    out.extend_from_slice(b"{\"tools\":{\"listChanged\":true},\"logging\":{}");
    if server.has_prompts() {
        out.extend_from_slice(b",\"prompts\":{\"listChanged\":true}");
    }
    if server.has_resources() {
        out.extend_from_slice(b",\"resources\":{\"subscribe\":true,\"listChanged\":true}");
    }
    if server.has_prompts() || server.has_resources() {
        out.extend_from_slice(b",\"completions\":{}");
    }
    if encoding == Encoding::Modern && server.does_tasks() {
        out.extend_from_slice(b",\"extensions\":{");
        json::write_string(out, capability::TASKS);
        out.extend_from_slice(b":{}}");
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
