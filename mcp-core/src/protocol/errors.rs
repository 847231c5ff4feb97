//! Errors on the wire, with the HTTP status that goes with each (basic, "Error Codes").

use serde_json::{Value, json};

use crate::capability::ClientCapability;
use crate::catalog::Unseen;
use crate::jsonrpc;
use crate::policy::InsufficientScope;
use crate::server;
use crate::tool::error::ToolError;
use crate::tool::pipeline::Failure;

/// A header is missing, or says something else than the body.
pub(crate) const HEADER_MISMATCH: i32 = -32020;
/// The revision of the protocol is not served.
pub(crate) const UNSUPPORTED_VERSION: i32 = -32022;

/// The client lacks a capability that the request needs.
pub(crate) const MISSING_CAPABILITY: i32 = -32021;
/// There is no such resource; in the older era alone.
pub(crate) const RESOURCE_NOT_FOUND: i32 = -32002;

/// A JSON-RPC error.
#[derive(Debug)]
pub(crate) struct RpcError {
    pub(crate) status: u16,
    pub(crate) code: i32,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
    /// The scopes that are asked for, where the caller lacks some: a head of HTTP tells of them as well.
    pub(crate) lacking: Option<Box<InsufficientScope>>,
}

impl RpcError {
    pub(crate) fn new(status: u16, code: i32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), data: None, lacking: None }
    }

    pub(crate) fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }
}

impl From<InsufficientScope> for RpcError {
    fn from(lacking: InsufficientScope) -> Self {
        let error = Self::new(403, jsonrpc::INVALID_REQUEST, lacking.to_string());
        Self { lacking: Some(Box::new(lacking)), ..error }
    }
}

/// The parameters of a method do not fit.
pub(crate) fn invalid(message: impl Into<String>) -> RpcError {
    RpcError::new(200, jsonrpc::INVALID_PARAMS, message)
}

/// The server has enough to do.
pub(crate) fn busy(message: impl Into<String>) -> RpcError {
    RpcError::new(503, jsonrpc::INTERNAL_ERROR, message)
}

/// A caller has as much under way as one may.
pub(crate) fn too_many(message: impl Into<String>) -> RpcError {
    RpcError::new(429, jsonrpc::INTERNAL_ERROR, message)
}

/// What a caller is told of what they may not use; of what is not there, to them, they are told `unknown`.
pub(crate) fn unseen(unseen: Unseen, unknown: impl FnOnce() -> RpcError) -> RpcError {
    match unseen {
        Unseen::Unknown => unknown(),
        Unseen::Lacking(lacking) => lacking.into(),
    }
}

/// The client cannot do what the request needs.
pub(crate) fn incapable(capability: ClientCapability) -> RpcError {
    let message = format!("the client must declare the capability {} for this request", capability.name());
    RpcError::new(400, MISSING_CAPABILITY, message).with_data(json!({"requiredCapabilities": capability.as_required()}))
}

/// Why nothing was read. There is no result in which a model could be told.
pub(crate) fn of_read(failure: &Failure) -> RpcError {
    let message = server::told(failure.id, &failure.error);
    match &failure.error {
        ToolError::Arguments(_) => invalid(message),
        ToolError::Incapable(capability) => incapable(*capability),
        ToolError::Unavailable(_) => RpcError::new(503, jsonrpc::INTERNAL_ERROR, message),
        _ => RpcError::new(200, jsonrpc::INTERNAL_ERROR, message),
    }
}
