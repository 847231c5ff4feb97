//! The arguments of a call, as they came.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::error::{Fault, ToolError};
use crate::jsonrpc::reader::Raw;

/// The JSON object that the client sent: a slice of the request's own bytes, not parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments(Bytes);

impl Arguments {
    /// No arguments: `{}`.
    pub const fn none() -> Self {
        Self(Bytes::from_static(b"{}"))
    }

    /// Takes JSON text.
    ///
    /// # Errors
    /// [`ToolError::Arguments`] when it is no JSON object.
    pub fn from_json(text: impl Into<Bytes>) -> Result<Self, ToolError> {
        let bytes: Bytes = text.into();
        match Raw::read(&bytes) {
            Ok(value) if value.get().starts_with('{') => Ok(Self(bytes)),
            Ok(_) => Err(ToolError::arguments("the arguments must be a JSON object")),
            Err(error) => Err(ToolError::arguments(error.to_string())),
        }
    }

    /// Encodes a value.
    ///
    /// # Errors
    /// [`ToolError::Arguments`] when it does not become a JSON object.
    pub fn from_value(value: &impl serde::Serialize) -> Result<Self, ToolError> {
        match serde_json::to_vec(value) {
            Ok(json) if json.first() == Some(&b'{') => Ok(Self(json.into())),
            Ok(_) => Err(ToolError::arguments("the arguments must be a JSON object")),
            Err(error) => Err(ToolError::arguments(format!("the arguments do not become JSON: {error}"))),
        }
    }

    /// Takes a slice of a request that is known to be a JSON object.
    pub(crate) fn from_checked(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The JSON text.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Parses them.
    ///
    /// # Errors
    /// [`ToolError::Arguments`], which the client sees, with what serde found.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ToolError> {
        serde_json::from_slice(&self.0)
            .map_err(|error| ToolError::Arguments(vec![Fault::quoting("", &error.to_string())]))
    }
}
