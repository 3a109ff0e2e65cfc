//! Labels and probabilities that passed every check, with their class counts and thresholds.

use crate::Error;
use crate::kernel::{Value, sum_and_min};
use crate::probabilities::{At, Probabilities, RowVisitor, read_pieces};
use crate::renormalize::{SUM_EXACT, SUM_TOLERANCE};

/// Marks a row without a label. Such rows are checked but otherwise left out.
pub const MISSING: u32 = u32::MAX;

/// A threshold that no probability reaches, for classes without rows.
const OUT_OF_REACH: f64 = 2.0;
/// Even one number per class must not be asked for without limit.
const MOST_CLASSES: usize = 1 << 20;
const LOWEST_THRESHOLD: f64 = 2e-6;
/// Fewer rows than this are not worth a thread.
const PIECE_ROWS: usize = 4096;
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
    threads: usize,
}

impl<'a> Dataset<'a> {
    /// Checks shapes, labels and every probability, and finds the class thresholds. One pass.
    pub fn new(probabilities: &'a dyn Probabilities, labels: &'a [u32]) -> Result<Self, Error> {
        Self::on_threads(probabilities, labels, 1)
    }

    /// The same, with this and every later pass on up to `threads` threads; no answer depends on
    /// their number.
    pub fn on_threads(
        probabilities: &'a dyn Probabilities,
        labels: &'a [u32],
        threads: usize,
    ) -> Result<Self, Error> {
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
        let piece_rows = piece_rows(rows, classes, threads);
        let part = |_| ClassSums { labels, sums: vec![0; classes], uneven_rows: 0 };
        let mut parts: Vec<_> = (0..rows.div_ceil(piece_rows)).map(part).collect();
        read_pieces(probabilities, piece_rows, &mut parts)?;
        let mut sums = vec![0; classes];
        for part in &parts {
            sums.iter_mut().zip(&part.sums).for_each(|(sum, more)| *sum += more);
        }
        let thresholds = sums.iter().zip(&class_counts);
        let thresholds = thresholds.map(|(&sum, &count)| threshold(sum, count)).collect();
        let labelled = labels.iter().filter(|label| **label != MISSING).count();
        let uneven_rows = parts.iter().map(|part| part.uneven_rows).sum();
        Ok(Self { probabilities, labels, class_counts, thresholds, labelled, uneven_rows, threads })
    }

    /// Returns the same probabilities with other labels, checked anew.
    pub fn with_labels<'b>(&self, labels: &'b [u32]) -> Result<Dataset<'b>, Error>
    where
        'a: 'b,
    {
        Dataset::on_threads(self.probabilities, labels, self.threads)
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

    /// Returns how many rows one visitor sees in a pass; the last one may see fewer.
    pub(crate) fn piece_rows(&self) -> usize {
        piece_rows(self.rows(), self.classes(), self.threads)
    }

    /// Returns as many visitors as a pass needs.
    pub(crate) fn visitors<V>(&self, make: impl FnMut() -> V) -> Vec<V> {
        std::iter::repeat_with(make).take(self.rows().div_ceil(self.piece_rows())).collect()
    }

    /// Reads all rows once, by visitors of one piece each.
    pub(crate) fn pass<V: RowVisitor + Send>(&self, visitors: &mut [V]) -> Result<(), Error> {
        read_pieces(self.probabilities, self.piece_rows(), visitors)
    }
}

/// Returns how many rows are worth a thread. With as many rows as classes, the pairs of classes that
/// a thread counts are no more than the probabilities it reads.
fn piece_rows(rows: usize, classes: usize, threads: usize) -> usize {
    rows.div_ceil(threads.max(1)).max(PIECE_ROWS).max(classes)
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
    fn row<T: Value>(&mut self, At { row, .. }: At, values: &[T]) -> Result<(), Error> {
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
