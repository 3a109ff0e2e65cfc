//! The step of a node with a matrix: compares the variants and hands one on. No node runs for it:
//! what it hands on are the artifacts of the variant, as they are in the cache.

use std::collections::BTreeMap;

use cache::{Digest, OutputRecord, UnitRecord};
use plan::{ColumnType, HandOn, Matrix, Metric};
use polars::prelude::*;
use serde_json::Value;

use crate::node::{Inputs, Node, NodeError, Note, Outputs, RunContext, notes_of};

/// Moves when the comparison comes out differently for the same variants; part of the key.
pub(crate) const VERSION: u32 = 1;
/// The port of the comparison.
pub(crate) const COMPARE: &str = "compare";

/// Stands where another step has its node.
pub(crate) struct MatrixNode;

impl Node for MatrixNode {
    fn wants_tallies(&self) -> bool {
        true
    }

    fn run(&self, context: &RunContext<'_>, _: &Inputs) -> Result<Outputs, NodeError> {
        Err(NodeError::Internal(format!("`{}` has no node to run", context.unit)))
    }
}

/// What the step that compares knows besides the records of its variants.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    pub matrix: Matrix,
    /// Ports it hands on.
    pub ports: Vec<String>,
    /// Seconds that all units of each variant took; empty where nobody asked.
    pub seconds: Vec<f64>,
}

/// The variants beside each other.
pub(crate) struct Compared {
    /// The variant that is handed on.
    pub used: Option<usize>,
    /// What is handed on, as the variant published it.
    pub kept: Vec<OutputRecord>,
    pub table: DataFrame,
    pub notes: Vec<Note>,
}

/// A metric as one of a unit's notes has it, to nine decimals: a value is the same after it has
/// been written to a record and read back.
fn value_of(record: &UnitRecord, metric: &Metric) -> Option<f64> {
    let found = notes_of(record).into_iter().find_map(|note| match note {
        Note::Metric { name, value } if name == metric.note => Some(value),
        _ => None,
    });
    found.filter(|value| value.is_finite()).map(|value| (value * 1e9).round() / 1e9)
}

/// What a comparison depends on of one variant: all its ports, and its metrics.
pub(crate) fn digest_of(matrix: &Matrix, record: &UnitRecord) -> Digest {
    let mut hasher = cache::Hasher::new();
    for output in &record.outputs {
        hasher.field(output.port.as_bytes());
        hasher.update(output.logical.as_bytes());
    }
    for metric in &matrix.metrics {
        let value =
            value_of(record, metric).map_or_else(String::new, |value| format!("{value:.9}"));
        hasher.field(value.as_bytes());
    }
    hasher.finish()
}

impl Comparison {
    /// Compares the variants, whose records come in their order.
    pub fn compare(&self, records: &[&UnitRecord]) -> Result<Compared, NodeError> {
        let matrix = &self.matrix;
        let metrics: Vec<Vec<Option<f64>>> = matrix
            .metrics
            .iter()
            .map(|metric| records.iter().map(|record| value_of(record, metric)).collect())
            .collect();
        let mut notes = Vec::new();
        let used = match matrix.hand_on {
            HandOn::Nothing => None,
            HandOn::Variant(n) => Some(n),
            HandOn::Best(n) => {
                Some(best(&metrics[n], matrix.metrics[n].larger_is_better).unwrap_or_else(|| {
                    let text =
                        format!("no variant has a {}; the first is used", matrix.metrics[n].note);
                    let hint = "name the variant to use: `use: NAME`".to_owned();
                    notes.push(Note::Warning { text, hint: Some(hint) });
                    0
                }))
            }
        };
        let rows: Vec<Option<u64>> = records
            .iter()
            .map(|record| record.outputs.first().and_then(|output| output.rows))
            .collect();
        for (n, variant) in matrix.variants.iter().enumerate() {
            let figures: BTreeMap<String, f64> = matrix
                .metrics
                .iter()
                .zip(&metrics)
                .filter_map(|(metric, values)| Some((metric.column.to_owned(), values[n]?)))
                .collect();
            notes.push(Note::Variant {
                name: variant.name.clone(),
                rows: rows[n],
                seconds: self.seconds.get(n).copied(),
                metrics: figures,
                used: used == Some(n),
            });
        }
        let kept = used
            .map(|n| records[n].outputs.iter().filter(|output| self.ports.contains(&output.port)));
        let kept = kept.into_iter().flatten().cloned().collect();
        let table = self.table(&rows, &metrics, used)?;
        Ok(Compared { used, kept, table, notes })
    }

    /// One row for each variant; seconds are left out, for they differ from run to run.
    fn table(
        &self,
        rows: &[Option<u64>],
        metrics: &[Vec<Option<f64>>],
        used: Option<usize>,
    ) -> Result<DataFrame, NodeError> {
        let variants = &self.matrix.variants;
        let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
        let mut columns = vec![Column::new("variant".into(), names)];
        for (n, (name, column_type)) in self.matrix.columns.iter().enumerate() {
            let values = variants.iter().map(|variant| &variant.values[n]);
            columns.push(match column_type {
                ColumnType::Float => {
                    let values: Vec<Option<f64>> = values.map(Value::as_f64).collect();
                    Column::new(name.as_str().into(), values)
                }
                _ => {
                    let values: Vec<Option<String>> = values.map(text_of).collect();
                    Column::new(name.as_str().into(), values)
                }
            });
        }
        let rows: Vec<Option<i64>> =
            rows.iter().map(|rows| rows.and_then(|rows| i64::try_from(rows).ok())).collect();
        columns.push(Column::new("rows".into(), rows));
        for (metric, values) in self.matrix.metrics.iter().zip(metrics) {
            columns.push(Column::new(metric.column.into(), values));
        }
        let flags: Vec<bool> = (0..variants.len()).map(|n| used == Some(n)).collect();
        columns.push(Column::new("used".into(), flags));
        Ok(DataFrame::new(variants.len(), columns)?)
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        value => Some(value.to_string()),
    }
}

/// The place of the best value, the first of several; `None` if there is no value at all.
fn best(values: &[Option<f64>], larger_is_better: bool) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (n, value) in values.iter().enumerate() {
        let Some(value) = *value else { continue };
        let better =
            best.is_none_or(
                |(_, so_far)| {
                    if larger_is_better { value > so_far } else { value < so_far }
                },
            );
        if better {
            best = Some((n, value));
        }
    }
    best.map(|(n, _)| n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_first_and_gaps_to_nobody() {
        let values = [None, Some(0.5), Some(0.7), Some(0.7), Some(0.1)];
        assert_eq!(best(&values, true), Some(2));
        assert_eq!(best(&values, false), Some(4));
        assert_eq!(best(&[None, None], true), None);
    }
}
