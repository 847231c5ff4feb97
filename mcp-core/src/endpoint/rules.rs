//! What the modern era asks of a request's `_meta` and headers, in the order in which it is checked
//! (basic/transports, "Standard MCP Request Headers").

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::head::{Head, Header};
use crate::jsonrpc::reader::Raw;
use crate::jsonrpc::{self, Request};
use crate::protocol::errors::{self, RpcError};
use crate::protocol::version;
use crate::tool::arguments::Arguments;
use crate::tool::header;
use crate::tool::registry::OfferedTool;

pub(crate) const VERSION: &str = "mcp-protocol-version";

/// Checks row 4 of a request: what `_meta` must hold. Gives the version.
fn require_meta<'a>(request: &Request<'a>) -> Result<Cow<'a, str>, RpcError> {
    let missing = |what: &str| {
        RpcError::new(
            400,
            jsonrpc::INVALID_PARAMS,
            format!("`params._meta[\"io.modelcontextprotocol/{what}`; every request carries it"),
        )
    };
    let meta = request.params.meta.as_ref();
    let version = meta
        .and_then(|meta| meta.protocol_version)
        .and_then(Raw::string)
        .ok_or_else(|| missing("protocolVersion\"]` must be a string such as `2026-07-28"))?;
    if meta.and_then(|meta| meta.client_capabilities).is_none_or(|raw| !raw.get().starts_with('{')) {
        return Err(missing("clientCapabilities\"]` must be an object, which may be empty: `{}"));
    }
    Ok(version)
}

/// Checks rows 4 and 6 of a request, which are all that there is where no headers are.
pub(crate) fn check_meta(request: &Request<'_>) -> Result<(), RpcError> {
    check_version(&require_meta(request)?)
}

/// Checks row 6: that the version is served.
fn check_version(version: &str) -> Result<(), RpcError> {
    if version != version::MODERN {
        return Err(RpcError::new(
            400,
            errors::UNSUPPORTED_VERSION,
            format!("protocol version {version:?} is not served; use {:?}", version::MODERN),
        )
        .with_data(json!({"supported": [version::MODERN], "requested": version})));
    }
    Ok(())
}

/// Checks rows 4 to 7 of a request: `_meta`, the version header, the version, the routing headers.
pub(super) fn check(head: &dyn Head, version_header: Header<'_>, request: &Request<'_>) -> Result<(), RpcError> {
    let version = require_meta(request)?;
    let member = "params._meta[\"io.modelcontextprotocol/protocolVersion\"]";
    expect(version_header, "MCP-Protocol-Version", &version, member)?;
    check_version(&version)?;
    expect(head.header("mcp-method"), "Mcp-Method", &request.method, "method")?;
    let named = match &*request.method {
        "tools/call" | "prompts/get" => Some((request.params.name, "params.name")),
        "resources/read" => Some((request.params.rare().uri, "params.uri")),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some((request.params.rare().task_id, "params.taskId")),
        _ => None,
    };
    if let Some((name, member)) = named {
        let name = name.and_then(Raw::string).unwrap_or_default();
        expect(head.header("mcp-name"), NAME, &name, member)?;
    }
    Ok(())
}

/// Holds the headers against the arguments that they repeat (basic/transports, "Custom Headers from Tool Parameters").
pub(crate) fn check_arguments(head: &dyn Head, tool: &OfferedTool, arguments: &Arguments) -> Result<(), RpcError> {
    if tool.header_arguments().is_empty() {
        return Ok(());
    }
    let arguments: Value = serde_json::from_slice(arguments.as_bytes()).unwrap_or_default();
    for repeated in tool.header_arguments() {
        let shown = format!("Mcp-Param-{}", repeated.name);
        let mismatch = |message: String| RpcError::new(400, errors::HEADER_MISMATCH, message);
        let value = repeated.value(&arguments);
        let header = match head.header(&repeated.header) {
            Header::Absent if value.is_none() => continue,
            Header::Absent => {
                return Err(mismatch(format!("the header `{shown}` is missing; set it to the value of its argument")));
            }
            Header::Refused(why) => return Err(mismatch(format!("the header `{shown}` cannot be used: {why}"))),
            Header::One(header) => decode(header).ok_or_else(|| {
                mismatch(format!("the header `{shown}` is not the base64 of UTF-8; encode it again, with padding"))
            })?,
        };
        if !value.is_some_and(|value| header::agrees(&header, value)) {
            return Err(mismatch(format!("the header `{shown}` and its argument differ; send the same in both")));
        }
    }
    Ok(())
}

/// The one header of every request that can hold what a header cannot.
const NAME: &str = "Mcp-Name";

/// Holds a header against the member of the body that it repeats.
fn expect(header: Header<'_>, shown: &str, body: &str, member: &str) -> Result<(), RpcError> {
    let mismatch = |message: String| Err(RpcError::new(400, errors::HEADER_MISMATCH, message));
    match header {
        Header::Absent => mismatch(format!("the header `{shown}` is missing; set it to the value of `{member}`")),
        Header::Refused(why) => {
            mismatch(format!("the header `{shown}` cannot be used: {why}; send it once, in ASCII or as =?base64?…?="))
        }
        Header::One(value) => match if shown == NAME { decode(value) } else { Some(Cow::Borrowed(value)) } {
            Some(value) if value == body => Ok(()),
            Some(value) => mismatch(differs(shown, &value, body, member)),
            None => mismatch(format!(
                "the header `{shown}` is not the base64 of UTF-8; encode `{member}` again, with padding"
            )),
        },
    }
}

fn differs(shown: &str, header: &str, body: &str, member: &str) -> String {
    let short = |text: &str| text.chars().take(128).collect::<String>();
    format!("the header `{shown}` is {:?} and `{member}` is {:?}; send the same in both", short(header), short(body))
}

/// Decodes `=?base64?…?=`; anything else stands for itself.
pub(super) fn decode(value: &str) -> Option<Cow<'_, str>> {
    let Some(encoded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Some(Cow::Borrowed(value));
    };
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn a_value_is_decoded_as_the_specification_says() {
        assert_eq!(decode("=?base64?SGVsbG8=?=").as_deref(), Some("Hello"));
        assert_eq!(decode("=?base64?SGVsbG8?=").as_deref(), None, "no padding");
        assert_eq!(decode("=?base64?SGVs!!!bG8=?=").as_deref(), None, "not the alphabet");
        assert_eq!(decode("=?base64?/w==?=").as_deref(), None, "not UTF-8");
        for literal in ["SGVsbG8=", "=?base64?SGVsbG8=", "SGVsbG8=?=", "=?BASE64?SGVsbG8=?=", ""] {
            assert_eq!(decode(literal).as_deref(), Some(literal));
        }
    }
}
