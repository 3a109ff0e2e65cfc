//! Probabilities of all records, wherever they come from, and the frames made of them.

use engine::{Artifact, NodeError, Outputs};
use plan::{ColumnType, Schema, Taxonomy};
use polars::prelude::*;

use crate::columns::{integers, string_column, strings};

/// Bins of equal width for the expected calibration error (Guo et al. 2017, section 2).
const CALIBRATION_BINS: usize = 15;

/// A probability of 0 would make the log-loss infinite.
const SMALLEST_PROBABILITY: f64 = 1e-15;

/// How good probabilities are, against the given labels.
pub(crate) struct Quality {
    pub accuracy: f64,
    /// Mean of the negative natural logarithm of the given label's probability.
    pub log_loss: f64,
    /// Mean distance of confidence and accuracy over bins of confidence, 0 to 1.
    pub calibration_error: f64,
    bins: [Bin; CALIBRATION_BINS],
}

/// Records whose confidence lies in one bin.
#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    records: u64,
    hits: u64,
    confidence: f64,
}

pub(super) const ACCURACY: &str = "out-of-fold accuracy against given labels";
pub(super) const LOG_LOSS: &str = "log-loss against given labels";
pub(super) const CALIBRATION_ERROR: &str = "expected calibration error";

impl Quality {
    /// Puts the metrics into a unit's notes.
    pub fn note(&self, outputs: &mut Outputs) {
        outputs.metric(ACCURACY, self.accuracy);
        outputs.metric(LOG_LOSS, self.log_loss);
        outputs.metric(CALIBRATION_ERROR, self.calibration_error);
    }
}

/// The schema of the port `reliability`.
pub(crate) fn reliability_schema() -> Schema {
    Schema::new([
        ("low", ColumnType::Float),
        ("high", ColumnType::Float),
        ("records", ColumnType::Integer),
        ("confidence", ColumnType::Float),
        ("accuracy", ColumnType::Float),
    ])
}

/// How often predictions are right, by confidence: a row for each of 15 bins of equal width, with
/// mean confidence and accuracy against the given labels, null where a bin is empty.
pub(crate) fn reliability_frame(quality: Option<&Quality>) -> Result<DataFrame, NodeError> {
    let bins = quality.map_or([Bin::default(); CALIBRATION_BINS], |quality| quality.bins);
    let edge = |n: usize| n as f64 / CALIBRATION_BINS as f64;
    let mean = |sum: f64, bin: &Bin| (bin.records > 0).then(|| sum / bin.records as f64);
    let numbers = |name: &str, values: Vec<Option<f64>>| Column::new(name.into(), values);
    crate::columns::frame(vec![
        numbers("low", (0..CALIBRATION_BINS).map(|n| Some(edge(n))).collect()),
        numbers("high", (0..CALIBRATION_BINS).map(|n| Some(edge(n + 1))).collect()),
        Column::new("records".into(), bins.iter().map(|b| b.records as i64).collect::<Vec<_>>()),
        numbers("confidence", bins.iter().map(|bin| mean(bin.confidence, bin)).collect()),
        numbers("accuracy", bins.iter().map(|bin| mean(bin.hits as f64, bin)).collect()),
    ])
}

/// Probabilities of all records, by class: `values[class][record]`.
pub(crate) struct Scores {
    /// The categories, sorted.
    pub names: Vec<String>,
    pub values: Vec<Vec<f32>>,
}

impl Scores {
    pub fn gather(height: usize, folds: &[Outputs]) -> Result<Scores, NodeError> {
        let mut names: Vec<String> = Vec::new();
        let mut values: Vec<Vec<f32>> = Vec::new();
        let mut covered = 0;
        for fold in folds {
            let Some(Artifact::Frame(frame)) = fold.get("") else {
                return Err(NodeError::Internal("a fold gave no frame".into()));
            };
            if names.is_empty() {
                let columns = frame.columns().iter().skip(1);
                names = columns.map(|c| c.name().as_str()["p:".len()..].to_owned()).collect();
                values = vec![vec![f32::NAN; height]; names.len()];
            }
            let rows = integers(frame, "row")?;
            covered += rows.len();
            for (class, column) in frame.columns().iter().skip(1).enumerate() {
                let scores = column.f32()?;
                for (row, score) in rows.iter().zip(scores.iter()) {
                    let row = row.and_then(|row| usize::try_from(row).ok()).unwrap_or(usize::MAX);
                    if let (Some(slot), Some(score)) = (values[class].get_mut(row), score) {
                        *slot = score;
                    }
                }
            }
        }
        if covered != height {
            let message = format!("the folds cover {covered} of {height} records");
            return Err(NodeError::Internal(message));
        }
        Ok(Scores { names, values })
    }

    /// The most probable class of a record; the first on a tie.
    pub fn best(&self, row: usize) -> usize {
        let mut best = 0;
        for class in 1..self.names.len() {
            if self.values[class][row] > self.values[best][row] {
                best = class;
            }
        }
        best
    }

    pub fn class_of(&self, label: &str) -> Option<usize> {
        self.names.binary_search_by(|name| name.as_str().cmp(label)).ok()
    }

    /// How good the probabilities are for the records with a known label; `None` without any.
    pub fn quality(&self, labels: &StringChunked) -> Option<Quality> {
        let mut bins = [Bin::default(); CALIBRATION_BINS];
        let (mut right, mut all, mut loss) = (0.0, 0.0, 0.0);
        for (row, label) in labels.iter().enumerate() {
            let Some(class) = label.and_then(|label| self.class_of(label)) else { continue };
            let best = self.best(row);
            let confidence = f64::from(self.values[best][row]);
            let bin = (confidence * CALIBRATION_BINS as f64) as usize;
            let bin = &mut bins[bin.min(CALIBRATION_BINS - 1)];
            bin.records += 1;
            bin.hits += u64::from(best == class);
            bin.confidence += confidence;
            loss -= f64::from(self.values[class][row]).max(SMALLEST_PROBABILITY).ln();
            right += f64::from(u8::from(best == class));
            all += 1.0;
        }
        let off: f64 = bins.iter().map(|bin| (bin.hits as f64 - bin.confidence).abs()).sum();
        (all > 0.0).then(|| Quality {
            accuracy: right / all,
            log_loss: loss / all,
            calibration_error: off / all,
            bins,
        })
    }

    pub fn out_of_fold_frame(
        &self,
        input: &DataFrame,
        taxonomy: Option<&Taxonomy>,
        audit_run_id: &str,
        model_version: &str,
    ) -> Result<DataFrame, NodeError> {
        let height = input.height();
        let labels = strings(input, "label")?;
        let best: Vec<usize> = (0..height).map(|row| self.best(row)).collect();
        let confidence: Vec<f32> =
            best.iter().enumerate().map(|(row, class)| self.values[*class][row]).collect();
        let given: Float32Chunked = labels
            .iter()
            .enumerate()
            .map(|(row, label)| Some(self.values[self.class_of(label?)?][row]))
            .collect();
        let approved: Vec<bool> = best
            .iter()
            .map(|class| taxonomy.is_none_or(|t| t.contains(&self.names[*class])))
            .collect();
        let mut frame = input.clone();
        if frame.column("original_label").is_err() {
            let original = input.column("label")?.clone().with_name("original_label".into());
            frame.with_column(original)?;
        }
        frame.rename("label", "given_label".into())?;
        let predicted = best.iter().map(|class| Some(self.names[*class].as_str()));
        frame.with_column(string_column("predicted_label", predicted))?;
        frame.with_column(Column::new("prediction_confidence".into(), confidence))?;
        let given = given.with_name("given_confidence".into());
        frame.with_column(given.into_series().into_column())?;
        frame.with_column(Column::new("predicted_in_taxonomy".into(), approved))?;
        for (name, text) in [("audit_run_id", audit_run_id), ("model_version", model_version)] {
            frame.with_column(string_column(name, std::iter::repeat_n(Some(text), height)))?;
        }
        Ok(frame)
    }

    pub fn probabilities_frame(&self, input: &DataFrame) -> Result<DataFrame, NodeError> {
        if self.names.iter().any(|name| name == "record_id") {
            let message = "a category is named `record_id`, like the id column";
            return Err(NodeError::input(message).with_hint("rename the category"));
        }
        let mut columns = vec![input.column("record_id")?.clone()];
        for (name, values) in self.names.iter().zip(&self.values) {
            columns.push(Column::new(name.as_str().into(), values));
        }
        crate::columns::frame(columns)
    }
}
