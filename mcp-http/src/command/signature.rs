//! A tool's schema as a signature, and words as arguments by it.

use serde_json::{Map, Value};

/// `add(a: int, b?: int)`.
pub(super) fn signature(tool: &Value) -> String {
    let schema = &tool["inputSchema"];
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|list| list.iter().any(|other| other == name));
    let (mut needed, mut optional) = (Vec::new(), Vec::new());
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let kind = kind(property, schema);
        if required(name) { needed.push(format!("{name}: {kind}")) } else { optional.push(format!("{name}?: {kind}")) }
    }
    needed.append(&mut optional);
    format!("{}({})", tool["name"].as_str().unwrap_or("?"), needed.join(", "))
}

/// The type of a property, in a word.
fn kind(property: &Value, root: &Value) -> String {
    let property = resolve(property, root);
    if let Some(words) = property["enum"].as_array() {
        return words.iter().map(Value::to_string).collect::<Vec<_>>().join("|");
    }
    let word = |name: &str| match name {
        "integer" => "int".to_owned(),
        "number" => "float".to_owned(),
        "boolean" => "bool".to_owned(),
        "array" => format!("[{}]", kind(&property["items"], root)),
        other => other.to_owned(),
    };
    match types(property, root).as_slice() {
        [] => "any".to_owned(),
        names => names.iter().map(|name| word(name)).collect::<Vec<_>>().join("|"),
    }
}

/// The names of the types that a property may have, `null` aside.
fn types(property: &Value, root: &Value) -> Vec<String> {
    let property = resolve(property, root);
    let named = match &property["type"] {
        Value::String(name) => vec![name.clone()],
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => ["anyOf", "oneOf"]
            .iter()
            .filter_map(|key| property[*key].as_array())
            .flatten()
            .flat_map(|one| types(one, root))
            .collect(),
    };
    named.into_iter().filter(|name| name != "null").collect()
}

fn resolve<'a>(property: &'a Value, root: &'a Value) -> &'a Value {
    let target = property["$ref"].as_str().and_then(|pointer| root.pointer(pointer.strip_prefix('#')?));
    target.unwrap_or(property)
}

/// Adds what one word says to `arguments`: `name=value` by the schema, `name:=JSON` as it is.
pub(super) fn argument(word: &str, schema: &Value, arguments: &mut Map<String, Value>) -> Result<(), String> {
    let (name, text) =
        word.split_once('=').ok_or_else(|| format!("{word:?} is no argument; write name=value or name:=JSON"))?;
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => {
            let value = serde_json::from_str(text).map_err(|error| format!("{name}: {text:?} is not JSON: {error}"))?;
            (name, value)
        }
        None => (name, coerce(text, &types(&schema["properties"][name], schema))),
    };
    match arguments.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is given twice")),
    }
}

/// A text as the first type that it can be; as a text, where it can be none, so that the server says what it expected.
fn coerce(text: &str, types: &[String]) -> Value {
    let as_type = |name: &String| -> Option<Value> {
        let value: Value = serde_json::from_str(text).ok()?;
        let fits = match name.as_str() {
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        fits.then_some(value)
    };
    if types.is_empty() || types.iter().any(|name| name == "string") {
        return text.into();
    }
    types.iter().find_map(as_type).unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool() -> Value {
        json!({"name": "add", "inputSchema": {
            "type": "object",
            "properties": {
                "a": {"type": "integer"},
                "names": {"type": "array", "items": {"type": "string"}},
                "how": {"anyOf": [{"$ref": "#/$defs/How"}, {"type": "null"}]},
                "note": {"type": ["string", "null"]},
            },
            "required": ["a"],
            "$defs": {"How": {"type": "boolean"}},
        }})
    }

    #[test]
    fn a_schema_reads_as_a_signature_with_what_is_needed_first() {
        assert_eq!(signature(&tool()), "add(a: int, how?: bool, names?: [string], note?: string)");
    }

    #[test]
    fn words_become_what_the_schema_says() {
        let schema = &tool()["inputSchema"];
        let mut arguments = Map::new();
        for word in ["a=1", "how=true", "names:=[\"x\"]", "note=5=5"] {
            argument(word, schema, &mut arguments).unwrap();
        }
        assert_eq!(Value::Object(arguments.clone()), json!({"a": 1, "how": true, "names": ["x"], "note": "5=5"}));
        assert!(argument("a=2", schema, &mut arguments).unwrap_err().contains("twice"));
        assert!(argument("alone", schema, &mut Map::new()).unwrap_err().contains("name=value"));
        assert!(argument("a:=x", schema, &mut Map::new()).unwrap_err().contains("not JSON"));
    }

    #[test]
    fn a_word_that_does_not_fit_is_left_to_the_server() {
        let mut arguments = Map::new();
        argument("a=x", &tool()["inputSchema"], &mut arguments).unwrap();
        assert_eq!(arguments["a"], "x");
    }
}
