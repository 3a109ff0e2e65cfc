//! What a reviewer is asked: which label to take instead of the given one, and how sure the model
//! is of it. That is the proposal of an `issues` node where there is one, else the prediction.

use engine::NodeError;
use plan::{ColumnType, Schema};
use polars::prelude::*;

use crate::columns::{floats, string_column, strings};

/// Columns of an `issues` node.
pub(crate) const LABEL: &str = "proposed_label";
pub(crate) const CONFIDENCE: &str = "proposal_confidence";

/// Adds both columns to a schema.
pub(crate) fn declare(schema: &mut Schema) {
    schema.set(LABEL, ColumnType::String);
    schema.set(CONFIDENCE, ColumnType::Float);
}

/// The proposal of each record.
pub(crate) struct Proposals {
    pub labels: StringChunked,
    /// The model's probability of each; NaN where it has none.
    pub confidences: Vec<f64>,
}

impl Proposals {
    /// The columns that are looked at.
    pub const READS: [&str; 4] = [LABEL, CONFIDENCE, "predicted_label", "prediction_confidence"];

    pub fn read(frame: &DataFrame) -> Result<Proposals, NodeError> {
        let predicted = strings(frame, "predicted_label")?;
        let confidences = floats(frame, "prediction_confidence")?;
        let Ok(proposed) = strings(frame, LABEL) else {
            return Ok(Proposals { labels: predicted.clone(), confidences });
        };
        let own = floats(frame, CONFIDENCE)?;
        let labels = proposed.iter().zip(predicted.iter()).map(|(own, other)| own.or(other));
        let labels = string_column(LABEL, labels);
        let confidences = proposed
            .iter()
            .zip(own.into_iter().zip(confidences))
            .map(|(label, (own, other))| if label.is_some() { own } else { other })
            .collect();
        Ok(Proposals { labels: labels.str()?.clone(), confidences })
    }

    pub fn label(&self, row: usize) -> &str {
        self.labels.get(row).unwrap_or_default()
    }
}
