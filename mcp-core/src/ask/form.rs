//! Schemas of forms: flat objects of plain fields (client/elicitation, "Requested Schema").

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use crate::tool::schema;

/// The parameters of a request that shows a form (schema, `ElicitRequestFormParams`).
pub(crate) fn params(message: &str, schema: &Map<String, Value>) -> Value {
    json!({"mode": "form", "message": message, "requestedSchema": schema})
}

/// The schema of a form with a field for each of `T`'s; or why there is none.
pub(crate) fn of<T: JsonSchema>() -> Result<Map<String, Value>, String> {
    let root = schema::of_input::<T>();
    let mut form = Map::new();
    form.insert("type".to_owned(), "object".into());
    let properties = root.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let fields: Result<Map<String, Value>, String> = properties
        .iter()
        .map(|(name, property)| {
            let field = field(property, &root).ok_or_else(|| unfit(name))?;
            Ok((name.clone(), field.into()))
        })
        .collect();
    form.insert("properties".to_owned(), fields?.into());
    if let Some(required) = root.get("required") {
        form.insert("required".to_owned(), required.clone());
    }
    check(&form).map(|()| form)
}

fn unfit(name: &str) -> String {
    format!("a form cannot show the field {name:?}: fields are texts, numbers, truth values and choices of names")
}

/// A field, with references followed and nothing said of what is not there.
fn field(property: &Value, root: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut field = resolve(property, root)?;
    if let Some(Value::Array(kinds)) = field.get("type") {
        let kind = kinds.iter().find(|kind| *kind != "null")?.clone();
        field.insert("type".to_owned(), kind);
    }
    // Integers have formats of their own in Rust, which no client knows.
    let is_text = field.get("type").is_some_and(|kind| kind == "string");
    if !is_text {
        field.remove("format");
    }
    if field.get("default").is_some_and(Value::is_null) {
        field.remove("default");
    }
    if let Some(Value::Array(variants)) = field.remove("oneOf") {
        field.insert("type".to_owned(), "string".into());
        field.insert("oneOf".to_owned(), variants.iter().flat_map(titled).collect::<Vec<_>>().into());
    }
    if let Some(items) = field.get("items") {
        let items = resolve(items, root)?;
        let choices = match (items.get("enum"), items.get("oneOf").and_then(Value::as_array)) {
            (Some(names), _) => json!({"type": "string", "enum": names}),
            (None, Some(variants)) => json!({"anyOf": variants.iter().flat_map(titled).collect::<Vec<_>>()}),
            (None, None) => return None,
        };
        field.insert("items".to_owned(), choices);
    }
    Some(field)
}

/// The names of a variant, each with what it is called for people: `{const, description}`, or `{enum}` of those that have none.
fn titled(variant: &Value) -> Vec<Value> {
    let described = variant.get("const").map(|name| {
        let title = variant.get("title").or_else(|| variant.get("description")).unwrap_or(name);
        json!({"const": name, "title": title})
    });
    let plain = variant.get("enum").and_then(Value::as_array).into_iter().flatten();
    described.into_iter().chain(plain.map(|name| json!({"const": name, "title": name}))).collect()
}

/// A schema without references, and without the `null` of an `Option`.
fn resolve(schema: &Value, root: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut own = schema.as_object()?.clone();
    let inner = if let Some(reference) = own.remove("$ref") {
        let name = reference.as_str()?.strip_prefix("#/$defs/")?;
        root.get("$defs")?.get(name)?.clone()
    } else if let Some(Value::Array(choices)) = own.remove("anyOf") {
        choices.into_iter().find(|choice| choice.get("type").is_none_or(|kind| kind != "null"))?
    } else {
        return Some(own);
    };
    let mut inner = resolve(&inner, root)?;
    inner.extend(own);
    Some(inner)
}

/// Says what a client could not show.
pub(super) fn check(form: &Map<String, Value>) -> Result<(), String> {
    if form.get("type").is_none_or(|kind| kind != "object") {
        return Err("a form is an object; its schema has \"type\": \"object\"".to_owned());
    }
    for (name, field) in form.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let choices = |list: Option<&Value>| list.is_some_and(Value::is_array);
        let fits = match field.get("type").and_then(Value::as_str) {
            Some("string" | "number" | "integer" | "boolean") => true,
            Some("array") => {
                field.get("items").is_some_and(|items| choices(items.get("enum")) || choices(items.get("anyOf")))
            }
            _ => false,
        };
        if !fits {
            return Err(unfit(name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Form {
        /// Who you are.
        name: String,
        age: Option<u8>,
        #[schemars(extend("format" = "email"))]
        mail: Option<String>,
        colour: Colour,
        also: Option<Vec<Size>>,
        #[serde(default)]
        sure: bool,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Colour {
        Red,
        Blue,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Size {
        /// Small ones.
        Small,
        Large,
    }

    #[test]
    fn a_form_has_a_plain_field_for_each_of_the_type() {
        let form = of::<Form>().unwrap();
        let fields = &form["properties"];
        assert_eq!(fields["name"], json!({"type": "string", "description": "Who you are."}));
        assert_eq!(fields["age"], json!({"type": "integer", "minimum": 0, "maximum": 255}));
        assert_eq!(fields["mail"], json!({"type": "string", "format": "email"}));
        assert_eq!(fields["colour"], json!({"type": "string", "enum": ["red", "blue"]}));
        assert_eq!(
            fields["also"],
            json!({"type": "array", "items": {"anyOf": [
                {"const": "Large", "title": "Large"}, {"const": "Small", "title": "Small ones."},
            ]}})
        );
        assert_eq!(fields["sure"], json!({"type": "boolean", "default": false}));
        assert_eq!(form["required"], json!(["name", "colour"]));
    }

    #[test]
    fn what_a_client_could_not_show_is_refused() {
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct Nested {
            inner: Form,
        }
        #[derive(JsonSchema)]
        #[expect(dead_code, reason = "only its schema is looked at")]
        struct Many {
            texts: Vec<String>,
        }
        assert!(of::<Nested>().unwrap_err().contains("\"inner\""));
        assert!(of::<Many>().unwrap_err().contains("\"texts\""));
        assert!(check(&Map::new()).unwrap_err().contains("object"));
    }
}
