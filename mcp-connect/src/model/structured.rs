//! A reply in a form that was asked for, where a provider has nothing for that: the model is made to call a tool whose arguments are
//! the reply.

use mcp_core::model::request::{OutputSchema, ToolChoice};
use mcp_core::{ModelError, ModelRequest};
use serde_json::Value;

use super::dialect::cannot;

/// What that tool is called. A tool of a request that has this name is told of by another one.
pub(super) const NAME: &str = "reply_in_this_form";

/// The tool, and whether it must be called.
pub(super) struct Output<'a> {
    request: &'a ModelRequest,
    of: Option<&'a OutputSchema>,
}

impl<'a> Output<'a> {
    pub(super) fn of(request: &'a ModelRequest) -> Result<Self, ModelError> {
        let of = request.output.as_deref();
        if of.is_some_and(|output| output.schema.get("type").is_none_or(|kind| kind != "object")) {
            return Err(cannot("takes schemas of objects alone; wrap what the reply is to be in one"));
        }
        Ok(Self { request, of })
    }

    /// Name, description and schema of the tool.
    pub(super) fn tool(&self) -> Option<(&'static str, String, Value)> {
        let output = self.of?;
        Some((NAME, format!("Gives the final reply: {}.", output.name), Value::Object(output.schema.clone())))
    }

    /// Whether the model must call a tool: where it may call others first, one of them all.
    pub(super) fn choice(&self) -> ToolChoice {
        match (self.of, &self.request.tool_choice) {
            (None, choice) | (Some(_), choice @ ToolChoice::Tool(_)) => choice.clone(),
            (Some(_), ToolChoice::None) => ToolChoice::Tool(NAME.to_owned()),
            (Some(_), _) if self.request.tools.is_empty() => ToolChoice::Tool(NAME.to_owned()),
            (Some(_), _) => ToolChoice::Required,
        }
    }
}
