use serde_json::json;

use super::*;

#[test]
fn references_go_through_the_new_place_and_values_stay() {
    let mut schema = json!({
        "$defs": {"node": {"properties": {"next": {"$ref": "#/$defs/node"}, "root": {"$ref": "#"}}}},
        "properties": {
            "node": {"$ref": "#/$defs/node"},
            "default": {"items": {"$ref": "#/$defs/node"}},
            "fixed": {"const": {"$ref": "#/$defs/node"}, "default": {"$ref": "#"}},
            "elsewhere": {"$ref": "https://example.com/schema#/a"},
            "alone": {"$id": "https://example.com/alone", "items": {"$ref": "#/$defs/x"}},
        },
    });
    rebase(&mut schema, "#/components/schemas/t.input");
    let node = json!({"$ref": "#/components/schemas/t.input/$defs/node"});
    assert_eq!(
        schema,
        json!({
            "$defs": {"node": {"properties": {"next": node, "root": {"$ref": "#/components/schemas/t.input"}}}},
            "properties": {
                "node": node,
                "default": {"items": node},
                "fixed": {"const": {"$ref": "#/$defs/node"}, "default": {"$ref": "#"}},
                "elsewhere": {"$ref": "https://example.com/schema#/a"},
                "alone": {"$id": "https://example.com/alone", "items": {"$ref": "#/$defs/x"}},
            },
        })
    );
}

#[test]
fn a_parameter_is_never_null() {
    let mut plain = json!({"type": ["string", "null"], "format": "date-time"});
    without_null(&mut plain);
    assert_eq!(plain, json!({"type": "string", "format": "date-time"}));
    let mut choice = json!({"anyOf": [{"enum": ["a"]}, {"type": "null"}]});
    without_null(&mut choice);
    assert_eq!(choice, json!({"enum": ["a"]}));
}
