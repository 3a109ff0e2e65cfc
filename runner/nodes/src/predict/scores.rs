//! Probabilities of all records, wherever they come from, and the frames made of them.

use engine::{Artifact, NodeError, Outputs};
use plan::{ColumnType, Schema, Taxonomy};
use polars::prelude::*;

use super::values::Values;
use crate::columns::{choice_column, integers, same_text_column, strings};
use crate::reliability::{BINS, Bin, bins_of, calibration_error};

/// A probability of 0 would make the log-loss infinite.
const SMALLEST_PROBABILITY: f64 = 1e-15;

/// How good probabilities are, against the given labels.
pub(crate) struct Quality {
    pub accuracy: f64,
    /// Mean of the negative natural logarithm of the given label's probability.
    pub log_loss: f64,
    /// Mean distance of confidence and accuracy over bins of confidence, 0 to 1.
    pub calibration_error: f64,
    bins: [Bin; BINS],
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

/// How often predictions are right, by confidence: a row for each of 15 bins of about equally many
/// records, with lowest, highest and mean confidence, and accuracy against the given labels; null
/// where ties leave a bin empty.
pub(crate) fn reliability_frame(quality: Option<&Quality>) -> Result<DataFrame, NodeError> {
    let bins = quality.map_or([Bin::default(); BINS], |quality| quality.bins);
    let numbers = |name: &str, value: fn(&Bin) -> f64| {
        let of = |bin: &Bin| (bin.records > 0).then(|| value(bin));
        Column::new(name.into(), bins.iter().map(of).collect::<Vec<Option<f64>>>())
    };
    crate::columns::frame(vec![
        numbers("low", |bin| bin.low),
        numbers("high", |bin| bin.high),
        Column::new("records".into(), bins.iter().map(|b| b.records as i64).collect::<Vec<_>>()),
        numbers("confidence", |bin| bin.confidence / bin.records as f64),
        numbers("accuracy", |bin| bin.hits as f64 / bin.records as f64),
    ])
}

/// Probabilities of all records, by class.
pub(crate) struct Scores {
    /// The categories, sorted.
    pub names: Vec<String>,
    pub values: Values,
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
        Ok(Scores { names, values: Values::Single(values) })
    }

    /// The most probable class of a record; the first on a tie.
    pub fn best(&self, row: usize) -> usize {
        // In their own precision, for all records are asked about more than once.
        match &self.values {
            Values::Single(values) => highest(values, row),
            Values::Double(values) => highest(values, row),
        }
    }

    pub fn class_of(&self, label: &str) -> Option<usize> {
        self.names.binary_search_by(|name| name.as_str().cmp(label)).ok()
    }

    /// How good the probabilities are for the records with a known label; `None` without any.
    pub fn quality(&self, labels: &StringChunked) -> Option<Quality> {
        let mut judged = Vec::with_capacity(labels.len());
        let (mut right, mut loss) = (0usize, 0.0);
        for (row, label) in labels.iter().enumerate() {
            let Some(class) = label.and_then(|label| self.class_of(label)) else { continue };
            let best = self.best(row);
            judged.push((self.values.get(best, row), best == class));
            loss -= self.values.get(class, row).max(SMALLEST_PROBABILITY).ln();
            right += usize::from(best == class);
        }
        if judged.is_empty() {
            return None;
        }
        let all = judged.len() as f64;
        let bins = bins_of(judged);
        Some(Quality {
            accuracy: right as f64 / all,
            log_loss: loss / all,
            calibration_error: calibration_error(&bins).unwrap_or_default(),
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
        let confidences = best.iter().map(|class| Some(*class));
        let confidences = self.values.chosen("prediction_confidence", confidences);
        let given = labels.iter().map(|label| self.class_of(label?));
        let given = self.values.chosen("given_confidence", given);
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
        let predicted = best.iter().map(|class| Some(*class));
        frame.with_column(choice_column("predicted_label", &self.names, predicted)?)?;
        frame.with_column(confidences)?;
        frame.with_column(given)?;
        frame.with_column(Column::new("predicted_in_taxonomy".into(), approved))?;
        for (name, text) in [("audit_run_id", audit_run_id), ("model_version", model_version)] {
            frame.with_column(same_text_column(name, text, height))?;
        }
        Ok(frame)
    }

    pub fn probabilities_frame(&self, input: &DataFrame) -> Result<DataFrame, NodeError> {
        if self.names.iter().any(|name| name == "record_id") {
            let message = "a category is named `record_id`, like the id column";
            return Err(NodeError::input(message).with_hint("rename the category"));
        }
        let mut columns = vec![input.column("record_id")?.clone()];
        columns.extend((0..).zip(&self.names).map(|(class, name)| self.values.column(class, name)));
        crate::columns::frame(columns)
    }
}

/// The class with the highest value in a row; the first on a tie.
fn highest<T: PartialOrd>(values: &[Vec<T>], row: usize) -> usize {
    let mut best = 0;
    for class in 1..values.len() {
        if values[class][row] > values[best][row] {
            best = class;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calibration_error_is_that_of_bins_of_equal_mass() {
        // 30 records, two a bin, of 0.6 and 0.8: all of them right in the lower half, else none.
        let best: Vec<f64> =
            (0..30).map(|n| if n < 15 { 0.6 } else { 0.8 } + f64::from(n) * 1e-6).collect();
        let other = best.iter().map(|p| 1.0 - p).collect();
        let names = vec!["a".to_owned(), "b".to_owned()];
        let scores = Scores { names, values: Values::Double(vec![best.clone(), other]) };
        let labels: StringChunked = (0..30).map(|n| Some(if n < 15 { "a" } else { "b" })).collect();
        let wanted: f64 =
            best.iter().enumerate().map(|(n, p)| if n < 15 { 1.0 - p } else { *p }).sum();
        let quality = scores.quality(&labels).unwrap();
        // Record 14 and 15 share a bin, where being too sure and not sure enough make up for it.
        let lost = (1.0 - best[14]) + best[15] - (1.0 - best[14] - best[15]).abs();
        assert!((quality.calibration_error - (wanted - lost) / 30.0).abs() < 1e-12);
        let frame = reliability_frame(Some(&quality)).unwrap();
        assert_eq!(frame.height(), BINS);
        assert_eq!(frame.column("records").unwrap().i64().unwrap().sum(), Some(30));
        assert_eq!(frame.column("low").unwrap().f64().unwrap().get(0), Some(best[0]));
    }
}
