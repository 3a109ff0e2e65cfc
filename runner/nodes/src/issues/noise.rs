//! The score `label_posterior`: how likely each label is the true one, under the noise between
//! classes that predictions and decisions so far show.

use engine::NodeError;
use label_issues::{Collision, Dataset, Evidence, MISSING, NoiseRates, Posteriors, SquareMatrix};
use plan::Schema;
use polars::prelude::DataFrame;

use super::issue_error;
use crate::clean::is_decided;
use crate::columns::strings;

/// Columns of a `clean` node that say what is verified.
const COLUMNS: [&str; 2] = ["label_source", "original_label"];

/// Whether there will be that column.
pub(super) fn knows_originals(schema: &Schema) -> bool {
    COLUMNS.iter().all(|name| schema.get(name).is_some())
}

/// What the noise says of labels as they are now, and of those that records came with.
pub(super) struct Weighed {
    pub now: Posteriors,
    /// How likely each original label was right; none where nothing is known of originals.
    pub original: Option<Vec<f64>>,
}

/// Weighs the labels of a frame: `labels` are those as they are now.
///
/// A verified record says which class its original label should have been, so it is counted as
/// that; only the others are guessed by the model.
pub(super) fn weigh(
    frame: &DataFrame,
    class_of: &dyn Fn(&str) -> Option<u32>,
    labels: &[u32],
    evidence: &Evidence<'_>,
    dataset: &Dataset<'_>,
) -> Result<Weighed, NodeError> {
    let verified = verified(frame, class_of, labels)?;
    if verified.as_ref().is_none_or(Vec::is_empty) {
        let rates = evidence.noise_rates().map_err(issue_error)?;
        let now = dataset.label_posteriors(&rates).map_err(issue_error)?;
        let original = verified.map(|_| now.quality.clone());
        return Ok(Weighed { now, original });
    }
    let verified = verified.unwrap_or_default();
    let (mut open, mut originals) = (labels.to_vec(), labels.to_vec());
    for one in &verified {
        open[one.row] = MISSING;
        originals[one.row] = one.original.unwrap_or(MISSING);
    }
    let is_labelled = |labels: &[u32]| labels.iter().any(|label| *label != MISSING);
    let mut joint = if is_labelled(&open) {
        let unverified = dataset.with_labels(&open).map_err(issue_error)?;
        let guesses = unverified.evidence(Collision::Cleanlab).map_err(issue_error)?;
        guesses.confident_joint().clone()
    } else {
        SquareMatrix::filled(dataset.classes(), 0).map_err(issue_error)?
    };
    for one in &verified {
        if let Some(original) = one.original {
            joint[(original as usize, one.label as usize)] += 1;
        }
    }
    let rates = NoiseRates::estimate(&joint).map_err(issue_error)?;
    let now = dataset.label_posteriors(&rates).map_err(issue_error)?;
    let mut original = if is_labelled(&originals) {
        let before = dataset.with_labels(&originals).map_err(issue_error)?;
        before.label_posteriors(&rates).map_err(issue_error)?.quality
    } else {
        vec![f64::NAN; labels.len()]
    };
    // A label that is no category cannot be right.
    let outside = verified.iter().filter(|one| one.original.is_none());
    outside.for_each(|one| original[one.row] = 0.0);
    Ok(Weighed { now, original: Some(original) })
}

/// A record that a reviewer has decided on: what its label was, if a class, and what it should be.
struct Verified {
    row: usize,
    original: Option<u32>,
    label: u32,
}

/// The verified records with a class; none when the frame does not say where labels come from.
fn verified(
    frame: &DataFrame,
    class_of: &dyn Fn(&str) -> Option<u32>,
    labels: &[u32],
) -> Result<Option<Vec<Verified>>, NodeError> {
    if !COLUMNS.iter().all(|name| frame.column(name).is_ok()) {
        return Ok(None);
    }
    let [sources, originals] = [strings(frame, COLUMNS[0])?, strings(frame, COLUMNS[1])?];
    let decided = sources.iter().zip(originals.iter()).zip(labels).enumerate();
    Ok(Some(
        decided
            .filter(|(_, ((source, _), label))| is_decided(*source) && **label != MISSING)
            .map(|(row, ((_, original), &label))| Verified {
                row,
                original: original.and_then(class_of),
                label,
            })
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use label_issues::Dense;

    use super::*;
    use crate::columns::string_column;

    /// The quality of the last label, `b`, of ten that the model finds hard to tell from `a`; the
    /// first five are verified to be `truth` where there is one.
    fn quality_of_the_last(truth: Option<&str>) -> f64 {
        let labels = (0..10).map(|row| match truth {
            Some(truth) if row < 5 => truth,
            _ => "b",
        });
        let labels: Vec<&str> = labels.collect();
        let source =
            |row: usize| if truth.is_some() && row < 5 { "correction" } else { "original" };
        let frame = DataFrame::new(
            10,
            vec![
                string_column("original_label", [Some("b"); 10]),
                string_column("label_source", (0..10).map(|row| Some(source(row)))),
            ],
        )
        .unwrap();
        let class_of =
            |label: &str| ["a", "b", "c"].iter().position(|c| *c == label).map(|n| n as u32);
        let numbers: Vec<u32> = labels.iter().filter_map(|label| class_of(label)).collect();
        let values = [0.45, 0.5, 0.05].repeat(10);
        let probabilities = Dense::new(&values[..], 3).unwrap();
        let dataset = Dataset::new(&probabilities, &numbers).unwrap();
        let evidence = dataset.evidence(Collision::Cleanlab).unwrap();
        let found = weigh(&frame, &class_of, &numbers, &evidence, &dataset);
        found.unwrap().now.quality[9]
    }

    #[test]
    fn decisions_teach_which_labels_are_mixed_up() {
        let none = quality_of_the_last(None);
        let [mixed_up, kept] = ["a", "b"].map(|truth| quality_of_the_last(Some(truth)));
        assert!(mixed_up < none && none <= kept, "{mixed_up} {none} {kept}");
    }
}
