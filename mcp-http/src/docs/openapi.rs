//! The OpenAPI document (3.1): made of the tables that register the routes, and of the tools on offer.

use std::sync::Arc;

use actix_web::http::StatusCode;
use mcp_core::catalog::Offered;
use mcp_core::tool::registry::OfferedTool;
use mcp_core::{Caller, Server};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::rest::calling::{ANSWER_TOOL, CALL_TOOL};
use crate::rest::problem::Titled;
use crate::rest::route::{Forms, Route, SchemaOf, Table};

const SCHEMAS: &str = "#/components/schemas/";
const JSON: &str = "application/json";
const FORMS: [&str; 3] = [JSON, "application/xml", "text/xml"];
const PROBLEM_FORMS: [&str; 2] = ["application/problem+json", "application/problem+xml"];

const ABOUT: &str = "\
Answers are JSON, or XML where `Accept` prefers `application/xml` or `text/xml`; problems (RFC 9457) likewise.

In XML the answer is `<response>`; a member is an element of its name, or `<entry name=\"…\">` where XML allows no such name; an \
element of an array is `<item>`. What is no text has the attribute `type`: `object`, `array`, `number`, `boolean` or `null`. A \
text that XML cannot hold has `encoding=\"base64\"`, and a name `name-encoding=\"base64\"`. A problem is `<problem \
xmlns=\"urn:ietf:rfc:7807\">` with no attributes, and arrays of `<i>`.";

/// Describes the tables, each where it is mounted below `root`, a relative URL.
pub(super) fn document(server: &Server, caller: &Caller, root: &str, mounted: &[(String, &'static Table)]) -> Value {
    let mut document = Document::new();
    let tools = server.tools().seen_by(caller).list();
    for (base, table) in mounted {
        for route in table.routes {
            let operation = document.operation(table, route);
            let path = format!("{base}{}", route.template());
            if route.id == CALL_TOOL {
                for tool in &tools {
                    let of_tool = document.call_of(tool, &operation);
                    document.add(path.replace("{name}", tool.spec().name()), route, of_tool);
                }
            }
            document.add(path, route, operation);
        }
    }
    let Document { paths, mut schemas, responses, mut generator, .. } = document;
    schemas.extend(generator.take_definitions(true));
    let tags = std::iter::once(TOOLS).chain(mounted.iter().map(|(_, table)| table.about));
    json!({
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": server.name(), "version": server.version(), "description": ABOUT},
        "servers": [{"url": root}],
        "security": [{"bearer": []}, {"key": []}, {}],
        "tags": tags.map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The key. A caller on the server's own machine may need none.",
                },
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
            },
        },
    })
}

/// The schema in each of the forms, or for bytes of every type.
fn content(forms: &[&str], schema: SchemaOf, generator: &mut SchemaGenerator) -> Map<String, Value> {
    let schema = schema(generator);
    let forms = if schema.get("contentMediaType").is_some() { &["*/*"] } else { forms };
    forms.iter().map(|form| ((*form).to_owned(), json!({"schema": schema}))).collect()
}

/// The tag of the tools' own paths.
const TOOLS: &str = "Tools";

/// A document that grows.
struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    responses: Map<String, Value>,
    generator: SchemaGenerator,
    /// Of what is sent: what has a default may be left out.
    taken: SchemaGenerator,
}

impl Document {
    fn new() -> Self {
        let settings = || SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
        let components = |settings: &mut SchemaSettings| settings.definitions_path = "/components/schemas".into();
        Self {
            paths: Map::new(),
            schemas: Map::new(),
            responses: Map::new(),
            generator: settings().with(components).for_serialize().into_generator(),
            taken: settings().with(|settings| settings.inline_subschemas = true).into_generator(),
        }
    }

    fn add(&mut self, path: String, route: &Route, operation: Value) {
        let methods = self.paths.entry(path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_ascii_lowercase()] = operation;
    }

    fn operation(&mut self, table: &Table, route: &Route) -> Value {
        let path = route.segments.iter().map(|(name, about)| {
            json!({"name": name, "in": "path", "required": true, "description": about, "schema": {"type": "string"}})
        });
        let mut others = route.query.map(|query| self.query(query)).unwrap_or_default();
        if matches!(route.id, CALL_TOOL | ANSWER_TOOL) {
            others.push(idempotency_key());
        }
        let mut responses = Map::new();
        for (status, schema) in route.answers {
            let mut response = self.response(meaning(*status), &FORMS, *schema);
            if let Forms::TwoAndEvents(about) = table.forms {
                response["content"]["text/event-stream"] = json!({"schema": {"type": "string", "description": about}});
            }
            responses.insert(status.to_string(), response);
        }
        let every: &[u16] = if table.open { &[406] } else { &[400, 401, 403, 406, 500, 503] };
        for status in route.problems.iter().chain(every) {
            responses.insert(status.to_string(), self.problem(*status));
        }
        let mut operation = json!({
            "operationId": route.id,
            "summary": route.about,
            "tags": [table.about],
            "parameters": path.chain(others).collect::<Vec<_>>(),
            "responses": responses,
        });
        if let Some(body) = route.body {
            operation["requestBody"] = json!({"content": content(&[JSON], body, &mut self.taken)});
        }
        if table.open {
            operation["security"] = json!([]);
        }
        operation
    }

    /// The call of one tool, with its own schemas in place of any tool's.
    fn call_of(&mut self, tool: &Arc<OfferedTool>, any: &Value) -> Value {
        let spec = tool.spec();
        let name = spec.name();
        let shown: Value = serde_json::from_slice(tool.json()).unwrap_or_default();
        let mut operation = any.clone();
        // The names of the other operations have no such character, and those of tools do not end there.
        operation["operationId"] = format!("{CALL_TOOL}_{name}").into();
        operation["summary"] = shown.get("title").cloned().unwrap_or_else(|| name.into());
        operation["description"] = spec.description().into();
        operation["tags"] = json!([TOOLS]);
        operation["parameters"] = json!([idempotency_key()]);
        let input = self.adopt(format!("{name}.input"), Value::Object(spec.input_schema().clone()));
        let required =
            spec.input_schema().get("required").is_some_and(|names| names.as_array().is_some_and(|n| !n.is_empty()));
        operation["requestBody"] = json!({"required": required, "content": {JSON: {"schema": input}}});
        if let Some(output) = spec.output_schema() {
            let output = self.adopt(format!("{name}.output"), output.clone());
            for form in FORMS {
                let schema = &mut operation["responses"]["200"]["content"][form]["schema"];
                *schema = json!({"allOf": [schema.take(), {"properties": {"structuredContent": output}}]});
            }
        }
        operation
    }

    /// Takes a schema that is whole in itself in among the others, and gives a reference to it.
    fn adopt(&mut self, name: String, mut schema: Value) -> Value {
        let here = format!("{SCHEMAS}{name}");
        rebase(&mut schema, &here);
        self.schemas.insert(name, schema);
        json!({"$ref": here})
    }

    /// The parameters that are the members of an object.
    fn query(&mut self, query: SchemaOf) -> Vec<Value> {
        let object = query(&mut self.taken).to_value();
        let required = |name: &str| object["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
        let parameter = |(name, schema): (&String, &Value)| {
            let mut schema = schema.clone();
            let about = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            without_null(&mut schema);
            json!({"name": name, "in": "query", "required": required(name), "description": about, "schema": schema})
        };
        object["properties"].as_object().into_iter().flatten().map(parameter).collect()
    }

    fn response(&mut self, description: &str, forms: &[&str], schema: SchemaOf) -> Value {
        json!({"description": description, "content": content(forms, schema, &mut self.generator)})
    }

    /// A reference to the response of this status, which all operations share.
    fn problem(&mut self, status: u16) -> Value {
        let name = format!("problem{status}");
        if !self.responses.contains_key(&name) {
            let mut response =
                self.response(meaning(status), &PROBLEM_FORMS, SchemaGenerator::subschema_for::<Titled<'static>>);
            let headers: &[&str] = match status {
                401 => &["WWW-Authenticate"],
                429 => &["Retry-After", "RateLimit-Policy", "RateLimit"],
                503 => &["Retry-After"],
                _ => &[],
            };
            for header in headers {
                response["headers"][header] = json!({"schema": {"type": "string"}});
            }
            self.responses.insert(name.clone(), response);
        }
        json!({"$ref": format!("#/components/responses/{name}")})
    }
}

/// The header under which a call may be sent again.
fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "Sent again under the same key, the call is not made again: the answer is that of the first, with `Idempotency-Replayed: true`. With other arguments it is refused (422).",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    })
}

fn meaning(status: u16) -> &'static str {
    match status {
        200 => "Done",
        206 => "A part of it",
        400 => "The request cannot be read",
        401 => "The key is missing or wrong",
        403 => "`Host` or `Origin` is not allowed, or the caller may not do this",
        404 => "There is no such thing",
        406 => "`Accept` names no form that there is",
        408 => "The body came too slowly",
        413 => "The body is too large",
        416 => "There are no such bytes",
        422 => "The arguments do not fit, and `errors` has each fault; or the key was sent before with others",
        429 => "It was called too often, or as much of it is under way as one caller may have; try again later",
        500 => "Something broke inside; `instance` is the id under which the log has it",
        503 => "Not now; try again later",
        507 => "There is no room for it; remove something",
        504 => "It took too long and was stopped",
        _ => StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default(),
    }
}

/// Lets a schema's references to its own parts go through its new place.
fn rebase(schema: &mut Value, here: &str) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(|inner| rebase(inner, here)),
        // References inside of a schema with an identity of its own are relative to that.
        Value::Object(members) if !members.contains_key("$id") => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("$ref" | "$dynamicRef", Value::String(target)) if *target == "#" || target.starts_with("#/") => {
                        target.replace_range(..1, here);
                    }
                    // These hold values, and no schemas.
                    ("const" | "enum" | "default" | "examples", _) => {}
                    // In these the keys are names, and no words of the language.
                    (
                        "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions",
                        Value::Object(named),
                    ) => {
                        named.values_mut().for_each(|inner| rebase(inner, here));
                    }
                    (_, value) => rebase(value, here),
                }
            }
        }
        _ => {}
    }
}

/// A parameter that is not given is absent, and never `null`.
fn without_null(schema: &mut Value) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|word| word != "null");
        if let [only] = types.as_mut_slice() {
            schema["type"] = only.take();
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [only] = choices.as_mut_slice() {
            *schema = only.take();
        }
    }
}

#[cfg(test)]
mod tests;
