//! Arguments that clients repeat in headers, for what stands between (server/tools, "x-mcp-header").

use serde_json::{Map, Value};

/// One argument that is repeated in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderArgument {
    /// The name as the schema gives it.
    pub(crate) name: String,
    /// The name of the header, in lower case.
    pub(crate) header: String,
    /// Where the argument is: names of members, one inside the other.
    path: Vec<String>,
}

const KEYWORD: &str = "x-mcp-header";

/// From here on, not every integer is a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Keywords under which no schemas stand, but values.
const VALUES: [&str; 4] = ["const", "default", "enum", "examples"];

impl HeaderArgument {
    /// Those of a schema, or what is wrong with one of them: clients would pass over the tool.
    pub(crate) fn of_schema(schema: &Map<String, Value>) -> Result<Vec<Self>, String> {
        let mut found = Vec::new();
        collect(schema, Some(&mut Vec::new()), &mut found)?;
        Ok(found)
    }

    /// The argument, if it was sent; `null` is as good as nothing.
    pub(crate) fn value<'v>(&self, arguments: &'v Value) -> Option<&'v Value> {
        self.path.iter().try_fold(arguments, |value, name| value.get(name)).filter(|value| !value.is_null())
    }
}

/// Whether a header, which has been decoded, says what the argument does. Numbers are compared as numbers.
pub(crate) fn agrees(header: &str, argument: &Value) -> bool {
    match argument {
        Value::String(text) => header == text,
        Value::Bool(truth) => header == if *truth { "true" } else { "false" },
        Value::Number(number) => {
            header == number.to_string()
                || header.parse::<f64>().is_ok_and(|header| number.as_f64() == Some(header) && header.abs() < EXACT)
        }
        // The schema refuses it.
        _ => true,
    }
}

/// Looks at a schema and all inside of it; `path` leads to it by properties alone, or is `None`.
fn collect(
    schema: &Map<String, Value>,
    mut path: Option<&mut Vec<String>>,
    found: &mut Vec<HeaderArgument>,
) -> Result<(), String> {
    if let Some(name) = schema.get(KEYWORD) {
        let argument = annotated(schema, name, path.as_deref().map(Vec::as_slice))?;
        if found.iter().any(|other| other.header == argument.header) {
            return Err(format!("two properties have the {KEYWORD} {:?}", argument.name));
        }
        found.push(argument);
    }
    for (keyword, inner) in schema {
        match (keyword.as_str(), inner, path.as_deref_mut()) {
            ("properties", Value::Object(properties), Some(path)) => {
                for (name, property) in properties {
                    let Value::Object(property) = property else { continue };
                    path.push(name.clone());
                    collect(property, Some(path), found)?;
                    path.pop();
                }
            }
            (keyword, _, _) if VALUES.contains(&keyword) => {}
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Value::Object(named),
                _,
            ) => {
                for schema in named.values().filter_map(Value::as_object) {
                    collect(schema, None, found)?;
                }
            }
            (_, Value::Object(schema), _) => collect(schema, None, found)?,
            (_, Value::Array(list), _) => {
                for schema in list.iter().filter_map(Value::as_object) {
                    collect(schema, None, found)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn annotated(schema: &Map<String, Value>, name: &Value, path: Option<&[String]>) -> Result<HeaderArgument, String> {
    let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let name = name.as_str().filter(|name| !name.is_empty() && name.bytes().all(tchar)).ok_or_else(|| {
        format!("the {KEYWORD} {name} is no name of a header (RFC 9110, section 5.1); use letters, digits and `-`")
    })?;
    let Some(path @ [_, ..]) = path else {
        return Err(format!(
            "the {KEYWORD} {name:?} is not on a property that is reached through `properties` alone; move it there"
        ));
    };
    let known = |kind: &Value| matches!(kind.as_str(), Some("string" | "integer" | "boolean"));
    let is_plain = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().all(|kind| known(kind) || kind == "null"),
        Some(kind) => known(kind),
        None => false,
    };
    if !is_plain {
        return Err(format!("the {KEYWORD} {name:?} is on a property that is no string, integer or boolean"));
    }
    let header = format!("mcp-param-{}", name.to_ascii_lowercase());
    Ok(HeaderArgument { name: name.to_owned(), header, path: path.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(schema: &Value) -> Result<Vec<HeaderArgument>, String> {
        HeaderArgument::of_schema(schema.as_object().unwrap())
    }

    #[test]
    fn arguments_are_found_through_properties() {
        let schema = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region", "default": {"x-mcp-header": 1}},
            "x-mcp-header": {"type": "string"},
            "inner": {"type": "object", "properties": {"shard": {"type": ["integer", "null"], "x-mcp-header": "Shard"}}},
        }});
        let found = of(&schema).unwrap();
        let headers: Vec<_> = found.iter().map(|argument| argument.header.as_str()).collect();
        assert_eq!(headers, ["mcp-param-shard", "mcp-param-region"]);
        let arguments = json!({"region": "eu", "inner": {"shard": 42}});
        assert_eq!(found[0].value(&arguments), Some(&json!(42)));
        assert_eq!(found[1].value(&arguments), Some(&json!("eu")));
        assert_eq!(found[0].value(&json!({"inner": {"shard": null}})), None);
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        for (header, argument, same) in [
            ("42.0", json!(42), true),
            ("42", json!(42.0), true),
            ("43", json!(42), false),
            ("9007199254740993", json!(9_007_199_254_740_992_i64), false),
            ("42.0", json!("42"), false),
            ("true", json!(true), true),
            ("True", json!(true), false),
        ] {
            assert_eq!(agrees(header, &argument), same, "{header} {argument}");
        }
    }

    #[test]
    fn what_clients_would_pass_over_is_refused() {
        let with = |property: Value| json!({"type": "object", "properties": {"a": property}});
        for (schema, why) in [
            (with(json!({"type": "string", "x-mcp-header": ""})), "no name of a header"),
            (with(json!({"type": "string", "x-mcp-header": "a b"})), "no name of a header"),
            (with(json!({"type": "string", "x-mcp-header": 1})), "no name of a header"),
            (with(json!({"type": "number", "x-mcp-header": "A"})), "no string, integer or boolean"),
            (with(json!({"x-mcp-header": "A"})), "no string, integer or boolean"),
            (with(json!({"type": "array", "items": {"type": "string", "x-mcp-header": "A"}})), "`properties` alone"),
            (with(json!({"anyOf": [{"type": "string", "x-mcp-header": "A"}]})), "`properties` alone"),
            (json!({"type": "object", "x-mcp-header": "A"}), "`properties` alone"),
            (
                json!({"$defs": {"b": {"properties": {"c": {"type": "string", "x-mcp-header": "A"}}}}}),
                "`properties` alone",
            ),
            (
                json!({"properties": {
                    "a": {"type": "string", "x-mcp-header": "A"},
                    "b": {"type": "string", "x-mcp-header": "a"},
                }}),
                "two properties",
            ),
        ] {
            let told = of(&schema).unwrap_err();
            assert!(told.contains(why), "{schema}: {told}");
        }
    }
}
