//! Parameters against their JSON Schema: problems with a place, defaults filled in.
//!
//! Node kinds and classifier plugins go through the same functions.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::{Map, Value};

use crate::catalog::{At, Finding};
use crate::suggest::suggestion;

/// The property of a schema that keeps a parameter out of keys when it is `false`.
const IN_KEY: &str = "x-relabel-key";

/// A JSON Schema that parameters are checked against, made ready once.
pub(crate) struct Checker {
    pub schema: Value,
    validator: Result<jsonschema::Validator, String>,
}

impl Checker {
    pub fn new(schema: Value) -> Checker {
        let validator = jsonschema::validator_for(&schema).map_err(|error| error.to_string());
        Checker { schema, validator }
    }

    /// Checks `params`; `prefix` is the JSON pointer under which they stand in the node.
    pub fn validate(&self, params: &Value, prefix: &str) -> Vec<Finding> {
        match &self.validator {
            Ok(validator) => validator
                .iter_errors(params)
                .flat_map(|error| describe(&self.schema, prefix, &error))
                .collect(),
            Err(error) => {
                let message =
                    format!("the JSON Schema of these parameters is itself invalid: {error}");
                vec![Finding::param(prefix, message)]
            }
        }
    }
}

/// Checks `params`; `prefix` is the JSON pointer under which they stand in the node.
pub fn validate(schema: &Value, params: &Value, prefix: &str) -> Vec<Finding> {
    Checker::new(schema.clone()).validate(params, prefix)
}

fn describe(schema: &Value, prefix: &str, error: &jsonschema::ValidationError<'_>) -> Vec<Finding> {
    let pointer = format!("{prefix}{}", error.instance_path());
    let name = pointer.rsplit('/').next().unwrap_or_default().to_owned();
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|key| {
                let known = properties_at(schema, error.instance_path().as_str());
                let at = At::Key(format!("{pointer}/{key}"));
                let mut finding = Finding::new(at, format!("unknown key `{key}`"));
                finding.hint = suggestion(key, known.iter().map(String::as_str), "keys known here");
                finding
            })
            .collect(),
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            vec![Finding::param(&pointer, format!("`{property}` is missing"))]
        }
        ValidationErrorKind::Type { kind } => {
            let expected = match kind {
                TypeKind::Single(kind) => kind.to_string(),
                TypeKind::Multiple(kinds) => {
                    let names: Vec<String> = kinds.iter().map(|kind| kind.to_string()).collect();
                    names.join(" or ")
                }
            };
            let message = format!("`{name}` must be of type {expected}, not {}", error.instance());
            vec![Finding::param(&pointer, message)]
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<&str> =
                options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let given = error.instance().as_str().unwrap_or_default().to_owned();
            let mut finding = Finding::param(
                &pointer,
                format!("`{name}` is {}, which is not a choice", error.instance()),
            );
            finding.hint = suggestion(&given, options.iter().copied(), "choices");
            vec![finding]
        }
        ValidationErrorKind::AnyOf { context } => {
            // A value of the right shape with something wrong inside: that is what to tell.
            let here = error.instance_path().as_str().len();
            let inside = |errors: &&Vec<jsonschema::ValidationError<'_>>| {
                errors.iter().all(|inner| inner.instance_path().as_str().len() > here)
            };
            if let Some(errors) = context.iter().find(inside) {
                return errors.iter().flat_map(|error| describe(schema, prefix, error)).collect();
            }
            let choices = choices(schema, schema_at(schema, error.instance_path().as_str()));
            let message = format!("`{name}` is {}, which is not a choice", error.instance());
            let mut finding = Finding::param(&pointer, message);
            let words = choices.iter().filter_map(|choice| choice.trim_matches('`').into());
            let given = error.instance().as_str().unwrap_or_default();
            finding.hint = Some(match crate::did_you_mean(given, words) {
                Some(near) => format!("did you mean `{near}`? choices: {}", choices.join(", ")),
                None => format!("choices: {}", choices.join(", ")),
            });
            vec![finding]
        }
        _ => vec![Finding::param(&pointer, format!("`{name}`: {error}"))],
    }
}

/// The schema of a place of the instance, as far as it can be followed.
fn schema_at<'a>(schema: &'a Value, instance_pointer: &str) -> &'a Value {
    let mut here = schema;
    for part in instance_pointer.split('/').skip(1) {
        let inner = resolve(schema, here);
        let next = inner.get("properties").and_then(|properties| properties.get(part));
        here = next.or_else(|| inner.get("items")).unwrap_or(&Value::Null);
    }
    here
}

/// What a schema lets stand there, in words: `mean`, `log_loss`, a list of numbers.
fn choices(root: &Value, schema: &Value) -> Vec<String> {
    let schema = resolve(root, schema);
    let branches = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array());
    if let Some(branches) = branches {
        return branches.iter().flat_map(|branch| choices(root, branch)).collect();
    }
    let quoted = |value: &Value| value.as_str().map(|word| format!("`{word}`"));
    if let Some(options) = schema.get("enum").and_then(Value::as_array) {
        return options.iter().filter_map(quoted).collect();
    }
    if let Some(word) = schema.get("const").and_then(quoted) {
        return vec![word];
    }
    let items = schema.get("items").and_then(|items| items.get("type")).and_then(Value::as_str);
    match (schema.get("type").and_then(Value::as_str), items) {
        (Some("array"), Some(items)) => vec![format!("a list of {items}s")],
        (Some("array"), None) => vec!["a list".to_owned()],
        (Some("object"), _) => vec!["a map".to_owned()],
        (Some("null") | None, _) => Vec::new(),
        (Some(kind), _) => vec![format!("a {kind}")],
    }
}

/// Names of the properties the schema allows at a place of the instance.
fn properties_at(schema: &Value, instance_pointer: &str) -> Vec<String> {
    let mut here = resolve(schema, schema);
    for part in instance_pointer.split('/').skip(1) {
        let next = here.get("properties").and_then(|properties| properties.get(part));
        match next.or_else(|| here.get("items")) {
            Some(next) => here = resolve(schema, next),
            None => return Vec::new(),
        }
    }
    let properties = here.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|map| map.keys().cloned()).collect()
}

/// Follows `$ref` into the schema's definitions, and the one object branch of an optional.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema.get("$ref").and_then(Value::as_str).and_then(|p| p.strip_prefix('#'));
    if let Some(target) = pointer.and_then(|pointer| root.pointer(pointer)) {
        return target;
    }
    if let Some(branches) = schema.get("anyOf").and_then(Value::as_array) {
        for branch in branches {
            let branch = resolve(root, branch);
            if branch.get("properties").is_some() {
                return branch;
            }
        }
    }
    schema
}

/// Puts in every default the schema gives, so that an explicit default and none are one thing.
pub fn fill_defaults(schema: &Value, params: &mut Value) {
    fill(schema, schema, params);
}

fn fill(root: &Value, schema: &Value, params: &mut Value) {
    let schema = resolve(root, schema);
    match params {
        Value::Object(map) => {
            let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
                return;
            };
            for (name, property) in properties {
                if let Some(default) = property.get("default") {
                    map.entry(name.clone()).or_insert_with(|| default.clone());
                }
                if let Some(value) = map.get_mut(name) {
                    fill(root, property, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| fill(root, schema, item));
            }
        }
        // `5.0` is an integer to a schema, and the same as `5`.
        Value::Number(number) if is_integer(schema) => {
            let whole = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < EXACT);
            if let Some(whole) = whole.filter(|_| number.is_f64()) {
                *params = Value::from(whole as i64);
            }
        }
        _ => {}
    }
}

/// Whole numbers below this are exact in a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn is_integer(schema: &Value) -> bool {
    let of = |name: &str| match &schema["type"] {
        Value::String(word) => word == name,
        Value::Array(words) => words.iter().any(|word| word == name),
        _ => false,
    };
    of("integer") && !of("number")
}

/// The parameters that decide a result: those the schema does not take out of keys.
pub fn key_params(schema: &Value, params: &Value) -> Value {
    decisive(schema, schema, params)
}

fn decisive(root: &Value, schema: &Value, params: &Value) -> Value {
    let Some(map) = params.as_object() else { return params.clone() };
    let properties = resolve(root, schema).get("properties");
    let mut kept = Map::new();
    for (name, value) in map {
        match properties.and_then(|properties| properties.get(name.as_str())) {
            Some(property) if property.get(IN_KEY) == Some(&Value::Bool(false)) => {}
            Some(property) => {
                kept.insert(name.clone(), decisive(root, property, value));
            }
            None => {
                kept.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(kept)
}
