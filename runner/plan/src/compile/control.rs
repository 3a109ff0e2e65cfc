//! Keys that every node may have, whatever its kind: how it is run, not what it computes.

use serde_json::{Value, json};

use crate::problem::Problem;
use crate::yaml::Tree;

pub(super) const KEYS: [&str; 2] = ["timeout_seconds", "retries"];

/// How often a unit is tried again, when the pipeline does not say.
const DEFAULT_RETRIES: u32 = 1;
const MAX_RETRIES: u64 = 20;
/// Ten years: more is a slip, and would not fit in every clock.
const MAX_SECONDS: f64 = 315_360_000.0;

/// What a node says about how it is run. None of it is part of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Control {
    pub timeout_seconds: Option<f64>,
    pub retries: u32,
}

impl Control {
    pub fn read(node: &str, tree: &Tree, problems: &mut Vec<Problem>) -> Control {
        let mut control = Control { timeout_seconds: None, retries: DEFAULT_RETRIES };
        let mut refuse = |value: &Tree, wanted: &str| {
            let message = format!("node `{node}`: {wanted}, not {}", value.to_json());
            problems.push(Problem::new(value.span, message));
        };
        if let Some(value) = tree.get("timeout_seconds") {
            match value.to_json().as_f64() {
                Some(seconds) if seconds > 0.0 && seconds <= MAX_SECONDS => {
                    control.timeout_seconds = Some(seconds);
                }
                _ => refuse(value, "`timeout_seconds` must be a number above 0"),
            }
        }
        if let Some(value) = tree.get("retries") {
            match value.to_json().as_u64() {
                Some(retries) if retries <= MAX_RETRIES => control.retries = retries as u32,
                _ => refuse(value, "`retries` must be a whole number from 0 to 20"),
            }
        }
        control
    }
}

/// Their JSON Schema, for editors.
pub(super) fn schema() -> [(&'static str, Value); 2] {
    let timeout = json!({
        "description": "Longest time a unit of this node may take, in seconds.",
        "type": "number",
        "exclusiveMinimum": 0,
    });
    let retries = json!({
        "description": "How often a unit is tried again after an I/O error; 1 if absent.",
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_RETRIES,
    });
    [(KEYS[0], timeout), (KEYS[1], retries)]
}
