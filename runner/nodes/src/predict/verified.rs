//! How much a verified record counts while folds learn. Knows nothing of classifiers.

use plan::{Finding, PluginDescription, Schema};
use polars::prelude::DataFrame;

use crate::columns::strings;

/// Where `clean` says where a label comes from.
const SOURCE: &str = "label_source";

/// What is wrong with a weight on this input and these plugins.
pub(super) fn check(weight: f64, input: &Schema, plugins: &[PluginDescription]) -> Vec<Finding> {
    let at = "/verified_weight";
    if weight == 1.0 {
        return Vec::new();
    }
    if !(weight.is_finite() && (0.01..=1000.0).contains(&weight)) {
        return vec![Finding::param(at, "`verified_weight` must lie between 0.01 and 1000")];
    }
    if !input.has(SOURCE) && !input.open {
        let finding = Finding::param(at, format!("no column `{SOURCE}` says what is verified"));
        return vec![finding.with_hint("put a `clean` node before this one")];
    }
    let deaf = plugins.iter().find(|plugin| !plugin.claims("weights"));
    deaf.map(|plugin| Finding::param(at, format!("`{}` takes no weights", plugin.name)))
        .into_iter()
        .collect()
}

/// The weight of each record; `None` where all are alike.
pub(super) fn weights(frame: &DataFrame, weight: f64) -> Option<Vec<f32>> {
    if weight == 1.0 {
        return None;
    }
    let sources = strings(frame, SOURCE).ok()?;
    let verified =
        |source: Option<&str>| matches!(source, Some("correction" | "verified" | "gold"));
    let weight_of = |source| if verified(source) { weight as f32 } else { 1.0 };
    let weights: Vec<f32> = sources.iter().map(weight_of).collect();
    weights.iter().any(|weight| *weight != 1.0).then_some(weights)
}
