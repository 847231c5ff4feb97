//! Errors on the wire, with the HTTP status that goes with each (basic, "Error Codes").

use serde_json::Value;

/// A header is missing, or says something else than the body.
pub(crate) const HEADER_MISMATCH: i32 = -32020;
/// The revision of the protocol is not served.
pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;

/// A JSON-RPC error.
#[derive(Debug)]
pub(crate) struct RpcError {
    pub(crate) status: u16,
    pub(crate) code: i32,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl RpcError {
    pub(crate) fn new(status: u16, code: i32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), data: None }
    }

    pub(crate) fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}
