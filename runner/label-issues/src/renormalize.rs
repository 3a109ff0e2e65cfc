//! Probabilities that were rounded on their way (to float16, to four digits) sum to 1 again.

use std::ops::Range;

use crate::Error;
use crate::dataset::{fixed_point, from_fixed_point};
use crate::kernel::{Value, sum_and_min};
use crate::probabilities::{At, Probabilities, RowVisitor, Rows, Visitor, read};

/// Rows whose sum is further from 1 are refused.
pub const SUM_TOLERANCE: f64 = 1e-3;

/// Rows whose sum is nearer to 1 are taken as they are: this much is the rounding of float32.
pub const SUM_EXACT: f64 = 1e-5;

const BUFFER_VALUES: usize = 16 * 1024;

/// A source whose rows are divided by their sums where these are off by more than [`SUM_EXACT`].
///
/// Rows that are too far off stay as they are, so that [`Dataset::new`](crate::Dataset::new) can
/// refuse them.
pub struct Renormalized<'a> {
    source: &'a dyn Probabilities,
}

impl<'a> Renormalized<'a> {
    pub fn new(source: &'a dyn Probabilities) -> Self {
        Self { source }
    }
}

impl Probabilities for Renormalized<'_> {
    fn rows(&self) -> usize {
        self.source.rows()
    }

    fn classes(&self) -> usize {
        self.source.classes()
    }

    fn visit(&self, rows: Range<usize>, visitor: &mut Visitor<'_>) -> Result<(), Error> {
        let mut buffer = Buffer { values: Vec::new(), visitor };
        read(self.source, rows, &mut buffer)?;
        buffer.flush()
    }
}

struct Buffer<'b, 'v> {
    values: Vec<f64>,
    visitor: &'b mut Visitor<'v>,
}

impl Buffer<'_, '_> {
    fn flush(&mut self) -> Result<(), Error> {
        (self.visitor)(Rows::Double(&self.values))?;
        self.values.clear();
        Ok(())
    }
}

impl RowVisitor for Buffer<'_, '_> {
    fn row<T: Value>(&mut self, _: At, values: &[T]) -> Result<(), Error> {
        let (sum, min) = sum_and_min(values);
        let off = (sum - 1.0).abs();
        let divisor = if off > SUM_EXACT && off <= SUM_TOLERANCE && min >= 0.0 {
            // The same in any order of classes, which the sum in lanes is not.
            from_fixed_point(values.iter().map(|value| fixed_point(value.double())).sum())
        } else {
            1.0
        };
        self.values.extend(values.iter().map(|value| value.double() / divisor));
        if self.values.len() >= BUFFER_VALUES { self.flush() } else { Ok(()) }
    }
}
