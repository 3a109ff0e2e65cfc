//! The calibrated joint: counts scaled to the given classes, then rounded without losing any.
//!
//! A cell may sit on the very edge of rounding, so sums are taken in the order of the reference
//! implementation, down to the last bit.

use std::cmp::Ordering;

use crate::{Error, SquareMatrix};

/// Keeps a division by nothing finite.
pub(crate) const TINY: f64 = 1e-100;
/// Whole numbers up to here are exact in a double.
const LARGEST_COUNT: u64 = 1 << 53;

/// Scales a joint so that the row of each given class sums to its number of rows.
pub fn calibrate(
    confident_joint: &SquareMatrix<u64>,
    class_counts: &[u64],
) -> Result<SquareMatrix<u64>, Error> {
    check_joint(confident_joint, class_counts)?;
    let mut scaled = confident_joint.map(|count| count as f64);
    for (row, &count) in scaled.rows_mut().zip(class_counts) {
        let sum = row.iter().sum::<f64>().max(TINY);
        row.iter_mut().for_each(|cell| *cell = *cell / sum * count as f64);
    }
    let sum = pairwise_sum(scaled.cells()).max(TINY);
    let total = class_counts.iter().sum::<u64>() as f64;
    let mut calibrated = SquareMatrix::filled(class_counts.len(), 0)?;
    for (row, into) in scaled.rows_mut().zip(calibrated.rows_mut()) {
        row.iter_mut().for_each(|cell| *cell = *cell / sum * total);
        for (cell, rounded) in into.iter_mut().zip(round_preserving_sum(row)) {
            *cell = rounded as u64;
        }
    }
    Ok(calibrated)
}

/// Returns the share of rows with each pair of given (row) and true (column) class.
pub fn estimate_joint(
    confident_joint: &SquareMatrix<u64>,
    class_counts: &[u64],
) -> Result<SquareMatrix<f64>, Error> {
    let calibrated = calibrate(confident_joint, class_counts)?;
    let total = (class_counts.iter().sum::<u64>() as f64).max(TINY);
    Ok(calibrated.map(|count| count as f64 / total))
}

pub(crate) fn check_joint(joint: &SquareMatrix<u64>, class_counts: &[u64]) -> Result<(), Error> {
    if joint.classes() != class_counts.len() {
        let (expected, found) = (joint.classes(), class_counts.len());
        return Err(Error::ClassCounts { expected, found });
    }
    for (given, row) in joint.rows().enumerate() {
        if let Some(guessed) = row.iter().position(|count| *count > LARGEST_COUNT) {
            return Err(Error::JointCount { given, guessed });
        }
    }
    let sum = class_counts.iter().try_fold(0_u64, |sum, &count| sum.checked_add(count));
    match sum {
        Some(sum) if sum <= LARGEST_COUNT => Ok(()),
        _ => Err(Error::TooManyRows { rows: usize::MAX }),
    }
}

/// Rounds to whole numbers that sum to the rounded sum. What is missing goes to the cells that
/// lost most, what is too much comes from those that gained most; the lowest class on ties.
pub(crate) fn round_preserving_sum(values: &[f64]) -> Vec<f64> {
    let mut rounded: Vec<f64> = values.iter().map(|value| value.round_ties_even()).collect();
    let target = pairwise_sum(values).round_ties_even();
    // One turn is enough, as no cell moved by more than a half; two leave room for bad rounding.
    for _ in 0..2 {
        let missing = target - pairwise_sum(&rounded);
        if missing == 0.0 || !missing.is_finite() {
            break;
        }
        let step = missing.signum();
        let lost = |cell: usize| (values[cell] - rounded[cell]) * step;
        let mut cells: Vec<usize> = (0..values.len()).collect();
        cells.sort_by(|&a, &b| lost(b).partial_cmp(&lost(a)).unwrap_or(Ordering::Equal));
        let changes = missing.abs().min(values.len() as f64) as usize;
        for &cell in &cells[..changes] {
            rounded[cell] += step;
        }
    }
    rounded
}

/// Sums as numpy does: eight running sums in blocks of up to 128, then halves.
pub(crate) fn pairwise_sum(values: &[f64]) -> f64 {
    if values.len() > 128 {
        let half = values.len() / 2;
        let (left, right) = values.split_at(half - half % 8);
        return pairwise_sum(left) + pairwise_sum(right);
    }
    let (chunks, rest) = values.as_chunks::<8>();
    let Some((first, chunks)) = chunks.split_first() else {
        return rest.iter().sum();
    };
    let mut sums = *first;
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    rest.iter().fold(sum, |sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_units_go_to_the_lowest_class_on_ties() {
        let row: Vec<f64> = [0.0, 0.0, 1.0, 1.0, 4.0, 22.0, 0.0].map(|n| n / 28.0 * 36.0).into();
        let rounded = round_preserving_sum(&row);
        assert_eq!(rounded.iter().sum::<f64>(), 36.0);
        assert_eq!(rounded, [0.0, 0.0, 2.0, 1.0, 5.0, 28.0, 0.0]);
    }

    #[test]
    fn halves_go_to_the_even_number() {
        assert_eq!(round_preserving_sum(&[0.5, 1.5, 2.0]), [0.0, 2.0, 2.0]);
        assert_eq!(round_preserving_sum(&[0.5, 0.5]), [1.0, 0.0]);
        assert_eq!(round_preserving_sum(&[1.5, 1.5]), [1.0, 2.0]);
        assert_eq!(round_preserving_sum(&[]), [0.0; 0]);
    }

    #[test]
    fn pairwise_sum_is_a_sum() {
        for length in [0_u32, 7, 8, 9, 128, 129, 1000] {
            let values: Vec<f64> = (0..length).map(f64::from).collect();
            assert_eq!(pairwise_sum(&values), values.iter().sum::<f64>());
        }
    }
}
