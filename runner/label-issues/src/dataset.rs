//! Labels and probabilities that passed every check, with their class counts and thresholds.

use crate::Error;
use crate::kernel::{Value, sum_and_min};
use crate::probabilities::{Probabilities, RowVisitor, pass};
use crate::renormalize::{SUM_EXACT, SUM_TOLERANCE};

/// Marks a row without a label. Such rows are checked but otherwise left out.
pub const MISSING: u32 = u32::MAX;

/// A threshold that no probability reaches, for classes without rows.
const OUT_OF_REACH: f64 = 2.0;
/// Even one number per class must not be asked for without limit.
const MOST_CLASSES: usize = 1 << 20;
const LOWEST_THRESHOLD: f64 = 2e-6;
/// Sums of probabilities count in units of 2^-64. Integers add up to the same in any order.
const UNIT: f64 = 18_446_744_073_709_551_616.0;

/// Given labels and their probabilities. Holding one means that all of it was checked.
pub struct Dataset<'a> {
    pub(crate) probabilities: &'a dyn Probabilities,
    pub(crate) labels: &'a [u32],
    class_counts: Vec<u64>,
    thresholds: Vec<f64>,
    labelled: usize,
    uneven_rows: usize,
}

impl<'a> Dataset<'a> {
    /// Checks shapes, labels and every probability, and finds the class thresholds. One pass.
    pub fn new(probabilities: &'a dyn Probabilities, labels: &'a [u32]) -> Result<Self, Error> {
        let (rows, classes) = (probabilities.rows(), probabilities.classes());
        if classes < 2 {
            return Err(Error::TooFewClasses { classes });
        }
        if classes > MOST_CLASSES {
            return Err(Error::TooManyClasses { classes });
        }
        if rows != labels.len() {
            return Err(Error::LabelCount { rows, labels: labels.len() });
        }
        if u32::try_from(rows).is_err() {
            return Err(Error::TooManyRows { rows });
        }
        let class_counts = count_classes(labels, classes)?;
        let mut sums = ClassSums { labels, sums: vec![0; classes], uneven_rows: 0 };
        pass(probabilities, &mut sums)?;
        let thresholds = sums.sums.iter().zip(&class_counts);
        let thresholds = thresholds.map(|(&sum, &count)| threshold(sum, count)).collect();
        let labelled = labels.iter().filter(|label| **label != MISSING).count();
        let uneven_rows = sums.uneven_rows;
        Ok(Self { probabilities, labels, class_counts, thresholds, labelled, uneven_rows })
    }

    /// Returns the number of rows, with and without a label.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Returns the number of rows that have a label.
    pub fn labelled(&self) -> usize {
        self.labelled
    }

    pub fn classes(&self) -> usize {
        self.class_counts.len()
    }

    /// Returns how many rows were given each class.
    pub fn class_counts(&self) -> &[u64] {
        &self.class_counts
    }

    /// Returns the mean probability of each class over the rows that were given it, at least 2e-6;
    /// 2 for classes without rows.
    pub fn confident_thresholds(&self) -> &[f64] {
        &self.thresholds
    }

    /// Returns how many rows sum to 1 only roughly. Unless it is 0, warn, and start again from a
    /// [`Renormalized`](crate::Renormalized) source.
    pub fn uneven_rows(&self) -> usize {
        self.uneven_rows
    }

    pub(crate) fn pass<V: RowVisitor>(&self, visitor: &mut V) -> Result<(), Error> {
        pass(self.probabilities, visitor)
    }
}

/// Returns the label of a row that has one.
pub(crate) fn label_of(labels: &[u32], row: usize) -> Option<usize> {
    labels.get(row).filter(|label| **label != MISSING).map(|label| *label as usize)
}

/// Returns a probability in units of 2^-64.
pub(crate) fn fixed_point(probability: f64) -> u128 {
    // The cast saturates, and drops what is below the unit: 19 digits after the point remain.
    (probability * UNIT) as u128
}

pub(crate) fn from_fixed_point(sum: u128) -> f64 {
    sum as f64 / UNIT
}

fn count_classes(labels: &[u32], classes: usize) -> Result<Vec<u64>, Error> {
    let mut counts = vec![0; classes];
    for (row, &label) in labels.iter().enumerate() {
        if label == MISSING {
            continue;
        }
        match counts.get_mut(label as usize) {
            Some(count) => *count += 1,
            None => return Err(Error::LabelOutOfRange { row, label, classes }),
        }
    }
    if counts.iter().all(|count| *count == 0) { Err(Error::NoLabels) } else { Ok(counts) }
}

fn threshold(sum: u128, count: u64) -> f64 {
    if count == 0 {
        return OUT_OF_REACH;
    }
    (from_fixed_point(sum) / count as f64).max(LOWEST_THRESHOLD)
}

struct ClassSums<'a> {
    labels: &'a [u32],
    sums: Vec<u128>,
    uneven_rows: usize,
}

impl RowVisitor for ClassSums<'_> {
    fn row<T: Value>(&mut self, row: usize, values: &[T]) -> Result<(), Error> {
        let (sum, min) = sum_and_min(values);
        let off = (sum - 1.0).abs();
        // Not "off > tolerance": a sum that is not a number has to fail.
        let fine = off <= SUM_TOLERANCE && min >= 0.0;
        if !fine {
            return Err(refusal(row, values, sum));
        }
        self.uneven_rows += usize::from(off > SUM_EXACT);
        if let Some(label) = label_of(self.labels, row) {
            self.sums[label] += fixed_point(values[label].double());
        }
        Ok(())
    }
}

fn refusal<T: Value>(row: usize, values: &[T], sum: f64) -> Error {
    let values = values.iter().map(|value| value.double());
    let bad = values.enumerate().find(|(_, value)| !(value.is_finite() && *value >= 0.0));
    match bad {
        Some((class, value)) => Error::Probability { row, class, value },
        None => Error::RowSum { row, sum },
    }
}
