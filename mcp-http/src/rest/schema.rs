//! The schemas of what core encodes by itself.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A page of tools.
pub(super) struct Tools;

impl JsonSchema for Tools {
    fn schema_name() -> Cow<'static, str> {
        "Tools".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A page of tools.",
            "properties": {
                "tools": {"type": "array", "items": generator.subschema_for::<Tool>()},
                "next": {"type": "string", "description": "The `after` of the next page; absent on the last."},
            },
            "required": ["tools"],
        })
    }
}

/// A tool as a client sees it (server/tools, "Tool").
pub(super) struct Tool;

impl JsonSchema for Tool {
    fn schema_name() -> Cow<'static, str> {
        "Tool".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A tool, as MCP shows it.",
            "properties": {
                "name": {"type": "string"},
                "title": {"type": "string", "description": "A name for people."},
                "description": {"type": "string"},
                "inputSchema": {"type": "object", "description": "The JSON Schema (2020-12) of its arguments."},
                "outputSchema": {
                    "type": ["object", "boolean"],
                    "description": "The JSON Schema (2020-12) of its structured output.",
                },
                "annotations": {
                    "type": "object",
                    "description": "What a client that trusts the server may believe.",
                    "properties": {
                        "readOnlyHint": {"type": "boolean"},
                        "destructiveHint": {"type": "boolean"},
                        "idempotentHint": {"type": "boolean"},
                        "openWorldHint": {"type": "boolean"},
                    },
                },
                "icons": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "src": {"type": "string"},
                            "mimeType": {"type": "string"},
                            "sizes": {"type": "array", "items": {"type": "string"}},
                        },
                        "required": ["src"],
                    },
                },
            },
            "required": ["name", "description", "inputSchema"],
        })
    }
}

/// The arguments of any tool.
pub(super) struct Arguments;

impl JsonSchema for Arguments {
    fn schema_name() -> Cow<'static, str> {
        "Arguments".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "description": "Arguments, by the tool's `inputSchema`; no body is none."})
    }
}

/// The result of a call (server/tools, "Tool Result").
pub(super) struct CallResult;

impl JsonSchema for CallResult {
    fn schema_name() -> Cow<'static, str> {
        "CallResult".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "What a tool answers, as MCP shows it: `content`; or `inputRequests`, where it asks something first.",
            "properties": {
                "content": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "type": {"enum": ["text", "image", "audio", "resource", "resource_link"]},
                            "text": {"type": "string"},
                            "mimeType": {"type": "string"},
                            "data": {"type": "string", "contentEncoding": "base64"},
                            "resource": {"type": "object"},
                            "uri": {"type": "string"},
                        },
                        "required": ["type"],
                    },
                },
                "structuredContent": {"description": "The result for a program, by the tool's `outputSchema`."},
                "isError": {"type": "boolean", "description": "Whether the tool says that it failed."},
                "resultType": {"const": "input_required"},
                "inputRequests": {
                    "type": "object",
                    "description": "What the tool asks, each under the key of its answer; `answerTool` goes on.",
                },
                "requestState": {"type": "string", "description": "To be sent with the answers."},
            },
            "anyOf": [{"required": ["content"]}, {"required": ["resultType", "inputRequests", "requestState"]}],
        })
    }
}
