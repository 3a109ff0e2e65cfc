//! How many rows of each pair of classes the pruning filters flag.

use crate::rounding::{check_joint, pairwise_sum, round_preserving_sum};
use crate::{Error, FilterOptions, SquareMatrix};

/// Returns the number of rows to prune by true class (row) and given class (column); the diagonal
/// says how many rows of each class to keep.
///
/// `joint` is a calibrated joint. Of the options, `frac_noise`, `min_examples_per_class` and
/// `num_to_remove_per_class` count here.
pub fn prune_count_matrix(
    joint: &SquareMatrix<u64>,
    class_counts: &[u64],
    options: &FilterOptions<'_>,
) -> Result<SquareMatrix<i64>, Error> {
    check_joint(joint, class_counts)?;
    let frac_noise = options.frac_noise;
    if !(0.0..=1.0).contains(&frac_noise) {
        return Err(Error::FracNoise { value: frac_noise });
    }
    // Given classes are rows of the joint, so these loops run along columns of the result.
    let mut columns = joint.map(|count| count as f64);
    let least = options.min_examples_per_class as f64;
    for (class, column) in columns.rows_mut().enumerate() {
        keep_at_least(column, class, least, frac_noise);
    }
    if let Some(wanted) = options.num_to_remove_per_class {
        check_removals(wanted, class_counts)?;
        return Ok(removals(&columns.transposed(), class_counts, wanted)?.map(|n| n as i64));
    }
    // The casts truncate, as the reference does.
    Ok(columns.transposed().map(|count| count as i64))
}

/// Keeps `least` rows of a class, at the expense of its noise, and prunes a part of the rest.
fn keep_at_least(column: &mut [f64], class: usize, least: f64, frac_noise: f64) {
    let kept = column[class].max(least);
    let increase = kept - column[class];
    let noisy = column.iter().filter(|count| **count != 0.0).count() as f64 - 1.0;
    let decrease = increase / noisy.max(1.0);
    column.iter_mut().for_each(|count| *count = (*count - decrease).max(0.0));
    column[class] = kept;
    let removed = |(other, count): (usize, &mut f64)| {
        if other == class {
            return 0.0;
        }
        let before = *count;
        *count *= frac_noise;
        before - *count
    };
    let removed: Vec<f64> = column.iter_mut().enumerate().map(removed).collect();
    column[class] = kept + pairwise_sum(&removed);
}

fn check_removals(wanted: &[u64], class_counts: &[u64]) -> Result<(), Error> {
    let classes = class_counts.len();
    if wanted.len() != classes {
        return Err(Error::NumToRemoveLength { classes, found: wanted.len() });
    }
    let too_many = wanted.iter().zip(class_counts).position(|(wanted, rows)| wanted > rows);
    match too_many {
        Some(class) => {
            let (wanted, rows) = (wanted[class], class_counts[class]);
            Err(Error::NumToRemove { class, wanted, rows })
        }
        None => Ok(()),
    }
}

/// Spreads the wanted removals of a class over its noise. Rows and columns are mixed in the
/// reference, and so they are here.
fn removals(
    matrix: &SquareMatrix<f64>,
    class_counts: &[u64],
    wanted: &[u64],
) -> Result<SquareMatrix<f64>, Error> {
    let sums: Vec<f64> = matrix.rows().map(pairwise_sum).collect();
    let mut result = SquareMatrix::filled(class_counts.len(), 0.0)?;
    for (class, (row, into)) in matrix.rows().zip(result.rows_mut()).enumerate() {
        let share = |(count, sum): (&f64, &f64)| if *sum > 0.0 { count / sum } else { 0.0 };
        let shares: Vec<f64> = row.iter().zip(&sums).map(share).collect();
        let noise = pairwise_sum(&shares) - shares[class];
        let mut spread: Vec<f64> = shares
            .iter()
            .map(|share| if noise > 0.0 { share * wanted[class] as f64 / noise } else { 0.0 })
            .collect();
        spread[class] = (class_counts[class] - wanted[class]) as f64;
        into.copy_from_slice(&round_preserving_sum(&spread));
    }
    Ok(result)
}
