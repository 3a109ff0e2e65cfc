//! Two plain rules for the first look: sure by a fixed bar, or sure for its class.

use crate::Error;
use crate::dataset::{Dataset, MISSING, label_of};
use crate::evidence::SLACK;
use crate::kernel::{Value, max_of, position_of};
use crate::probabilities::RowVisitor;

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
        let (classes, probabilities) = (vec![0; self.rows()], vec![0.0; self.rows()]);
        let mut predicting = Predicting(Predictions { classes, probabilities });
        self.pass(&mut predicting)?;
        Ok(predicting.0)
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

    fn disagreeing(&self, sure: impl Fn(usize, f64) -> bool) -> Result<Vec<bool>, Error> {
        let flags = vec![false; self.rows()];
        let mut disagreeing = Disagreeing { labels: self.labels, sure, flags };
        self.pass(&mut disagreeing)?;
        Ok(disagreeing.flags)
    }
}

fn prediction<T: Value>(values: &[T]) -> (usize, f64) {
    let max = max_of(values);
    (position_of(values, max).unwrap_or(0), max.double())
}

struct Predicting(Predictions);

impl RowVisitor for Predicting {
    fn row<T: Value>(&mut self, row: usize, values: &[T]) -> Result<(), Error> {
        let (class, probability) = prediction(values);
        self.0.classes[row] = u32::try_from(class).unwrap_or(MISSING);
        self.0.probabilities[row] = probability;
        Ok(())
    }
}

struct Disagreeing<'a, F> {
    labels: &'a [u32],
    sure: F,
    flags: Vec<bool>,
}

impl<F: Fn(usize, f64) -> bool> RowVisitor for Disagreeing<'_, F> {
    fn row<T: Value>(&mut self, row: usize, values: &[T]) -> Result<(), Error> {
        if let Some(label) = label_of(self.labels, row) {
            let (class, probability) = prediction(values);
            self.flags[row] = class != label && (self.sure)(class, probability);
        }
        Ok(())
    }
}
