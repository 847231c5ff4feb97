//! `server/discover` (server/discover).

use std::collections::BTreeMap;

use serde_json::json;

use crate::capability;
use crate::json;
use crate::protocol::encoding::Encoding;
use crate::protocol::version;
use crate::server::Server;
use crate::view;

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
    let tasks = (encoding == Encoding::Modern && server.does_tasks()).then_some(capability::TASKS);
    let views = server.has_views().then_some(view::EXTENSION);
    let extensions: BTreeMap<_, _> = tasks.into_iter().chain(views).map(|extension| (extension, json!({}))).collect();
    if !extensions.is_empty() {
        out.extend_from_slice(b",\"extensions\":");
        json::write(out, &extensions);
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
