//! Two plain rules for the first look: sure by a fixed bar, or sure for its class.

use crate::Error;
use crate::dataset::{Dataset, MISSING, fixed_point, from_fixed_point, label_of};
use crate::evidence::SLACK;
use crate::kernel::{Value, max_of, position_of};
use crate::probabilities::{At, RowVisitor};

/// The most probable class of each row, labelled or not.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// The lowest one on ties.
    pub classes: Vec<u32>,
    pub probabilities: Vec<f64>,
}

impl Dataset<'_> {
    /// Returns the most probable class of each row. One pass; twelve bytes per row.
    pub fn predictions(&self) -> Result<Predictions, Error> {
        let (mut classes, mut probabilities) = (vec![0; self.rows()], vec![0.0; self.rows()]);
        let pieces = classes.chunks_mut(self.piece_rows());
        let pieces = pieces.zip(probabilities.chunks_mut(self.piece_rows()));
        let predicting = |(classes, probabilities)| Predicting { classes, probabilities };
        self.pass(&mut pieces.map(predicting).collect::<Vec<_>>())?;
        Ok(Predictions { classes, probabilities })
    }

    /// Flags the rows whose prediction disagrees with probability above `tau`.
    pub fn strict_issues(&self, tau: f64) -> Result<Vec<bool>, Error> {
        self.disagreeing(|_, probability| probability > tau)
    }

    /// Flags the rows whose prediction disagrees with a probability that reaches the threshold of
    /// the predicted class.
    pub fn adaptive_issues(&self) -> Result<Vec<bool>, Error> {
        let thresholds = self.confident_thresholds();
        self.disagreeing(|class, probability| probability >= thresholds[class] - SLACK)
    }

    fn disagreeing(&self, sure: impl Fn(usize, f64) -> bool + Sync) -> Result<Vec<bool>, Error> {
        let mut flags = vec![false; self.rows()];
        let pieces = flags.chunks_mut(self.piece_rows());
        let disagreeing = |flags| Disagreeing { labels: self.labels, sure: &sure, flags };
        self.pass(&mut pieces.map(disagreeing).collect::<Vec<_>>())?;
        Ok(flags)
    }
}

/// Returns the mean of the given class's probability over the rows of each class, `None` for a
/// class without rows. Rows that are [`MISSING`] or have no number count for nothing.
///
/// The same thresholds as [`Dataset::confident_thresholds`], from one number per row.
pub fn class_thresholds(labels: &[u32], given: &[f64], classes: usize) -> Vec<Option<f64>> {
    let mut sums = vec![(0u128, 0u64); classes];
    for (label, probability) in labels.iter().zip(given) {
        if let Some(sum) = sums.get_mut(*label as usize)
            && probability.is_finite()
        {
            *sum = (sum.0 + fixed_point(*probability), sum.1 + 1);
        }
    }
    let mean = |(sum, count): (u128, u64)| from_fixed_point(sum) / count as f64;
    sums.into_iter().map(|sum| (sum.1 > 0).then(|| mean(sum))).collect()
}

/// Whether a probability reaches a threshold, as confident learning counts it.
pub fn is_confident(probability: f64, threshold: f64) -> bool {
    probability >= threshold - SLACK
}

fn prediction<T: Value>(values: &[T]) -> (usize, f64) {
    let max = max_of(values);
    (position_of(values, max).unwrap_or(0), max.double())
}

struct Predicting<'a> {
    classes: &'a mut [u32],
    probabilities: &'a mut [f64],
}

impl RowVisitor for Predicting<'_> {
    fn row<T: Value>(&mut self, at: At, values: &[T]) -> Result<(), Error> {
        let (class, probability) = prediction(values);
        self.classes[at.nth] = u32::try_from(class).unwrap_or(MISSING);
        self.probabilities[at.nth] = probability;
        Ok(())
    }
}

struct Disagreeing<'a, F> {
    labels: &'a [u32],
    sure: &'a F,
    flags: &'a mut [bool],
}

impl<F: Fn(usize, f64) -> bool> RowVisitor for Disagreeing<'_, F> {
    fn row<T: Value>(&mut self, at: At, values: &[T]) -> Result<(), Error> {
        if let Some(label) = label_of(self.labels, at.row) {
            let (class, probability) = prediction(values);
            self.flags[at.nth] = class != label && (self.sure)(class, probability);
        }
        Ok(())
    }
}
