//! JSON Schema: made from types, and compiled to check what serde does not.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::error::Fault;
use crate::json;

/// The schema of a tool that takes nothing.
pub(crate) fn no_arguments() -> Map<String, Value> {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("additionalProperties".to_owned(), false.into());
    schema
}

/// The schema of what deserializes into `T`. Doc comments become descriptions.
pub(crate) fn of_input<T: JsonSchema>() -> Map<String, Value> {
    root::<T>(SchemaSettings::draft2020_12().for_deserialize())
}

/// The schema of what `T` serializes to.
pub(crate) fn of_output<T: JsonSchema>() -> Map<String, Value> {
    root::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn root<T: JsonSchema>(settings: SchemaSettings) -> Map<String, Value> {
    // 2020-12 is the default dialect of MCP, so the schema need not say so.
    let settings = settings.with(|settings| settings.meta_schema = None);
    let mut schema = match settings.into_generator().into_root_schema_for::<T>().to_value() {
        Value::Object(schema) => schema,
        // `true` and `false` are schemas as well: anything, and nothing.
        anything => Map::from_iter((anything == Value::Bool(false)).then(|| ("not".to_owned(), Map::new().into()))),
    };
    schema.remove("title");
    schema
}

/// Whether serde, which has parsed a value of the type that the schema was made from, has left something unchecked.
pub(crate) fn says_more_than_its_type(schema: &Map<String, Value>) -> bool {
    /// What a type without attributes of its own may have in its schema, beside natural bounds.
    const OF_TYPES: [&str; 20] = [
        "$defs",
        "$ref",
        "additionalProperties",
        "anyOf",
        "const",
        "default",
        "deprecated",
        "description",
        "enum",
        "examples",
        "format",
        "items",
        "maximum",
        "minimum",
        "oneOf",
        "properties",
        "required",
        "title",
        "type",
        "x-mcp-header",
    ];
    let bounds_of_type = match schema.get("format").and_then(Value::as_str) {
        Some("uint8") => [Some(0), Some(255)],
        Some("uint16") => [Some(0), Some(65_535)],
        Some("uint" | "uint32" | "uint64" | "uint128") => [Some(0), None],
        Some("int8") => [Some(-128), Some(127)],
        Some("int16") => [Some(-32_768), Some(32_767)],
        _ => [None, None],
    };
    let other_bound = |key: &str, natural: Option<i64>| {
        schema.get(key).is_some_and(|bound| natural.is_none() || bound.as_i64() != natural)
    };
    schema.keys().any(|key| !OF_TYPES.contains(&key.as_str()))
        || other_bound("minimum", bounds_of_type[0])
        || other_bound("maximum", bounds_of_type[1])
        || subschemas(schema).any(says_more_than_its_type)
}

/// Whether a property is an object of its own: serde would take an array for it.
pub(crate) fn has_inner_object(schema: &Map<String, Value>) -> bool {
    subschemas(schema).any(|inner| inner.contains_key("properties") || has_inner_object(inner))
}

/// The schemas directly inside of one, by the keywords that types have.
fn subschemas(schema: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    schema
        .iter()
        .flat_map(|(key, value)| -> Vec<&Value> {
            match (key.as_str(), value) {
                ("properties" | "$defs", Value::Object(named)) => named.values().collect(),
                ("anyOf" | "oneOf", Value::Array(list)) => list.iter().collect(),
                ("items" | "additionalProperties", inner) => vec![inner],
                _ => Vec::new(),
            }
        })
        .filter_map(Value::as_object)
}

/// Compiles the schema of arguments.
pub(crate) fn compile(schema: &Map<String, Value>) -> Result<Validator, String> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err("its root must have \"type\": \"object\"; wrap the arguments in a struct".to_owned());
    }
    compile_any(&Value::Object(schema.clone()))
}

/// The schema of arguments with this one property, which must be there.
pub(crate) fn of_one(name: &str, property: &Value) -> Map<String, Value> {
    json::object(
        json!({"type": "object", "properties": {name: property}, "required": [name], "additionalProperties": false}),
    )
}

/// Compiles a schema. It fetches nothing: a reference out of the schema is an error.
pub(crate) fn compile_any(schema: &Value) -> Result<Validator, String> {
    jsonschema::options().with_pattern_options(PatternOptions::regex()).build(schema).map_err(|error| error.to_string())
}

/// How many faults are told at once.
const MAX_FAULTS: usize = 20;

/// All that is wrong with `arguments`, up to a limit.
pub(crate) fn faults(validator: &Validator, arguments: &[u8]) -> Vec<Fault> {
    match serde_json::from_slice::<Value>(arguments) {
        Err(error) => vec![Fault::quoting("", &error.to_string())],
        Ok(value) => validator.iter_errors(&value).take(MAX_FAULTS).map(|error| fault(&error, &value)).collect(),
    }
}

/// What is wrong with an output, and where, up to a limit. Of what it holds nothing is told.
pub(crate) fn places(validator: &Validator, output: &[u8]) -> Vec<String> {
    match serde_json::from_slice::<Value>(output) {
        Err(error) => vec![error.to_string()],
        Ok(value) => {
            let place = |error: ValidationError<'_>| match error.instance_path().as_str() {
                "" => error.masked().to_string(),
                pointer => format!("{pointer}: {}", error.masked()),
            };
            validator.iter_errors(&value).take(MAX_FAULTS).map(place).collect()
        }
    }
}

fn fault(error: &ValidationError<'_>, arguments: &Value) -> Fault {
    let pointer = error.instance_path().to_string();
    let detail = match (error.kind(), arguments.pointer(&pointer)) {
        // Of an object that takes nothing the validator names one value, and no key.
        (ValidationErrorKind::FalseSchema, Some(Value::Object(members))) => {
            let keys: Vec<_> = members.keys().map(|key| format!("{key:?}")).collect();
            format!("nothing is expected here: leave out {}", keys.join(", "))
        }
        _ => error.to_string(),
    };
    Fault::quoting(&pointer, &detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Plain {
        name: String,
        count: u8,
        total: Option<u64>,
        tags: Vec<i16>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Bounded {
        inner: Vec<Inner>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Inner {
        #[schemars(range(min = 1))]
        cents: u64,
    }

    #[test]
    fn the_natural_bounds_of_a_type_are_left_to_serde() {
        assert!(!says_more_than_its_type(&of_input::<Plain>()));
        assert!(!has_inner_object(&of_input::<Plain>()));
    }

    #[test]
    fn a_bound_deep_inside_asks_for_the_validator() {
        assert!(says_more_than_its_type(&of_input::<Bounded>()));
        assert!(has_inner_object(&of_input::<Bounded>()));
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Varied {
        choice: Option<Choice>,
        map: std::collections::HashMap<String, Vec<Option<Choice>>>,
        #[serde(default)]
        flag: bool,
        any: Value,
    }

    /// One of these.
    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Choice {
        /// Described.
        Plain,
        With(f32),
        Both {
            a: i8,
        },
    }

    #[test]
    fn a_keyword_that_no_type_has_by_itself_asks_for_the_validator() {
        let schema = of_input::<Varied>();
        assert!(!says_more_than_its_type(&schema), "{schema:?}");
        assert!(has_inner_object(&schema));
        for keyword in ["unevaluatedProperties", "minContains", "dependentRequired", "pattern", "uniqueItems", "allOf"]
        {
            let mut schema = schema.clone();
            schema["$defs"]["Choice"][keyword] = Value::Null;
            assert!(says_more_than_its_type(&schema), "{keyword}");
        }
    }

    #[test]
    fn a_reference_to_elsewhere_is_refused() {
        let schema = serde_json::json!({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/x.json"}}});
        assert!(compile(schema.as_object().unwrap()).is_err());
    }
}
