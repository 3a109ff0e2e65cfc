//! The score `label_posterior`: how likely each label is the true one, under the noise between
//! classes that predictions and decisions so far show.

use engine::NodeError;
use label_issues::{
    Collision, Dataset, Evidence, MISSING, NoiseRates, Posteriors, Probabilities, SquareMatrix,
};
use polars::prelude::*;

use super::issue_error;
use crate::columns::strings;

/// Weighs the labels of a frame: `labels` are those as they are now.
///
/// A verified record says which class its original label should have been, so it is counted as
/// that; only the others are guessed by the model.
pub(super) fn posteriors(
    frame: &DataFrame,
    class_of: &dyn Fn(&str) -> Option<u32>,
    probabilities: &dyn Probabilities,
    labels: &[u32],
    evidence: &Evidence<'_>,
    dataset: &Dataset<'_>,
) -> Result<Posteriors, NodeError> {
    let verified = verified(frame, class_of, labels)?;
    let rates = if verified.is_empty() {
        evidence.noise_rates().map_err(issue_error)?
    } else {
        let mut open = labels.to_vec();
        verified.iter().for_each(|one| open[one.row] = MISSING);
        let mut joint = if open.iter().all(|label| *label == MISSING) {
            SquareMatrix::filled(dataset.classes(), 0).map_err(issue_error)?
        } else {
            let unverified = Dataset::new(probabilities, &open).map_err(issue_error)?;
            let guesses = unverified.evidence(Collision::Cleanlab).map_err(issue_error)?;
            guesses.confident_joint().clone()
        };
        for one in verified {
            joint[(one.original as usize, one.label as usize)] += 1;
        }
        NoiseRates::estimate(&joint).map_err(issue_error)?
    };
    dataset.label_posteriors(&rates).map_err(issue_error)
}

/// A record that a reviewer has decided on: what its label was and what it should be.
struct Verified {
    row: usize,
    original: u32,
    label: u32,
}

fn verified(
    frame: &DataFrame,
    class_of: &dyn Fn(&str) -> Option<u32>,
    labels: &[u32],
) -> Result<Vec<Verified>, NodeError> {
    let (Ok(sources), Ok(originals)) =
        (strings(frame, "label_source"), strings(frame, "original_label"))
    else {
        return Ok(Vec::new());
    };
    let decided = sources.iter().zip(originals.iter()).zip(labels).enumerate();
    Ok(decided
        .filter_map(|(row, ((source, original), &label))| {
            let decided = source.is_some_and(|source| source != "original") && label != MISSING;
            let original = original.and_then(class_of).filter(|_| decided)?;
            Some(Verified { row, original, label })
        })
        .collect())
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
        let found = posteriors(&frame, &class_of, &probabilities, &numbers, &evidence, &dataset);
        found.unwrap().quality[9]
    }

    #[test]
    fn decisions_teach_which_labels_are_mixed_up() {
        let none = quality_of_the_last(None);
        let [mixed_up, kept] = ["a", "b"].map(|truth| quality_of_the_last(Some(truth)));
        assert!(mixed_up < none && none <= kept, "{mixed_up} {none} {kept}");
    }
}
