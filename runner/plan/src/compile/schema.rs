//! The JSON Schema of pipeline files, made from the declarations that `compile` checks against.

use serde_json::{Map, Value, json};

use crate::catalog::{Catalog, KindSignature, Many};

/// A JSON Schema (draft 2020-12) for editors: every node kind with its parameters and ports.
pub fn pipeline_schema(catalog: &Catalog) -> Value {
    let kinds: Vec<Value> = catalog.kinds().map(|kind| node_schema(kind.as_ref())).collect();
    let names: Vec<&str> = catalog.names().collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "relabel pipeline",
        "type": "object",
        "required": ["version", "nodes"],
        "additionalProperties": false,
        "properties": {
            "version": { "const": 1 },
            "name": { "type": "string", "description": "Name of the pipeline; the file's stem if absent." },
            "description": { "type": "string" },
            "taxonomy": {
                "description": "File with the approved categories, or a list of their names.",
                "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
            },
            "params": { "type": "object", "description": "Values for `${params.NAME}`." },
            "nodes": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "required": ["kind"],
                    "properties": { "kind": { "enum": names } },
                    "allOf": kinds,
                },
            },
        },
    })
}

fn node_schema(kind: &dyn KindSignature) -> Value {
    let mut schema = kind.params_schema();
    let definitions = schema.as_object_mut().and_then(|map| map.remove("$defs"));
    let mut properties = Map::new();
    properties
        .insert("kind".into(), json!({ "const": kind.name(), "description": kind.summary() }));
    let mut required = vec![json!("kind")];
    for port in kind.input_ports() {
        let one = json!({ "type": "string", "description": port.summary });
        let value = match port.many {
            Many::One => one,
            Many::List => json!({
                "anyOf": [one, { "type": "array", "items": { "type": "string" } }],
            }),
        };
        properties.insert(port.name.to_owned(), value);
        if port.required && port.beside_input.is_none() {
            required.push(json!(port.name));
        }
    }
    if let Some(params) = schema.get("properties").and_then(Value::as_object) {
        for (name, param) in params {
            // A reference stands in place of any value until it is expanded.
            let reference = json!({ "type": "string", "pattern": "\\$\\{" });
            let value = inline(param, definitions.as_ref());
            properties.insert(name.clone(), json!({ "anyOf": [value, reference] }));
        }
    }
    let matrix = super::matrix::schema();
    for (name, value) in super::control::schema().into_iter().chain(matrix) {
        let reference = json!({ "type": "string", "pattern": "\\$\\{" });
        properties.insert(name.into(), json!({ "anyOf": [value, reference] }));
    }
    if let Some(names) = schema.get("required").and_then(Value::as_array) {
        required.extend(names.iter().cloned());
    }
    // What a matrix varies need not be there besides.
    json!({
        "if": { "properties": { "kind": { "const": kind.name() } }, "required": ["kind"] },
        "then": {
            "properties": properties,
            "anyOf": [{ "required": required }, { "required": ["matrix"] }],
            "additionalProperties": false,
        },
    })
}

/// Lets a reference stand in place of every value of a map inside a parameter.
fn referable(properties: Map<String, Value>) -> Value {
    let reference = json!({ "type": "string", "pattern": "\\$\\{" });
    let either = |(name, value)| (name, json!({ "anyOf": [value, reference] }));
    properties.into_iter().map(either).collect::<Map<String, Value>>().into()
}

/// Puts definitions in place of references, so that kinds cannot collide in one document.
fn inline(schema: &Value, definitions: Option<&Value>) -> Value {
    match schema {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                let name = name.rsplit('/').next().unwrap_or_default();
                if let Some(target) = definitions.and_then(|all| all.get(name)) {
                    return inline(target, definitions);
                }
            }
            map.iter()
                .map(|(key, value)| match (key.as_str(), inline(value, definitions)) {
                    ("properties", Value::Object(inner)) => (key.clone(), referable(inner)),
                    (_, value) => (key.clone(), value),
                })
                .collect()
        }
        Value::Array(items) => items.iter().map(|item| inline(item, definitions)).collect(),
        other => other.clone(),
    }
}
