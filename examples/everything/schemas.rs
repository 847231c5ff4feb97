//! Tools whose schemas are special.

use async_trait::async_trait;
use mcp_core::{Arguments, Context, ServerBuilder, Tool, ToolError, ToolOutput, ToolSpec, tool_fn};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A tool with a schema that no type has.
struct Contact(ToolSpec);

fn contact() -> Contact {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}}
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"}
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false
    });
    let schema: Map<String, Value> = schema.as_object().cloned().unwrap_or_default();
    Contact(ToolSpec::new("json_schema_2020_12_tool", "Has a schema of many keywords.").input_json(schema))
}

#[async_trait]
impl Tool for Contact {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    async fn call(&self, arguments: Arguments, _: Context) -> Result<ToolOutput, ToolError> {
        let contact: Value = arguments.parse()?;
        Ok(ToolOutput::text(format!("JSON Schema 2020-12 tool called with: {contact}")))
    }
}

#[derive(Deserialize, JsonSchema)]
struct CustomHeader {
    /// What is repeated in the header `Mcp-Param-Value`.
    #[schemars(extend("x-mcp-header" = "Value"))]
    value: String,
}

async fn custom_header(input: CustomHeader) -> Result<String, ToolError> {
    Ok(format!("Value: {}", input.value))
}

pub fn add(builder: ServerBuilder) -> ServerBuilder {
    builder
        .tool(contact())
        .tool(tool_fn("test_custom_header", "Has an argument that stands in a header.", custom_header).read_only())
}
