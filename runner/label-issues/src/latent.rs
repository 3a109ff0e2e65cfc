//! What the joint says about the noise: how true classes turn into given ones, and back.

use crate::rounding::{TINY, check_joint};
use crate::{Error, SquareMatrix};

const HIGHEST_RATE: f64 = 0.9999;
const LOWEST_PRIOR: f64 = 1e-6;

/// The noise of a data set, estimated from its joint.
#[derive(Clone, Debug, PartialEq)]
pub struct Latent {
    /// The share of each true class.
    pub prior: Vec<f64>,
    /// The probability of a given class (row) for a true class (column).
    pub noise_matrix: SquareMatrix<f64>,
    /// The probability of a true class (row) for a given class (column).
    pub inverse_noise_matrix: SquareMatrix<f64>,
}

/// Estimates the noise from a joint, calibrated or not.
pub fn estimate_latent(
    confident_joint: &SquareMatrix<u64>,
    class_counts: &[u64],
) -> Result<Latent, Error> {
    check_joint(confident_joint, class_counts)?;
    let joint = confident_joint.map(|count| count as f64);
    let mut noise_matrix = columns_to_shares(joint.clone());
    let mut inverse_noise_matrix = columns_to_shares(joint.transposed());
    let prior = prior(&noise_matrix, &inverse_noise_matrix, class_counts);
    clip_rates(&mut noise_matrix);
    clip_rates(&mut inverse_noise_matrix);
    Ok(Latent { prior, noise_matrix, inverse_noise_matrix })
}

fn prior(noise: &SquareMatrix<f64>, inverse: &SquareMatrix<f64>, counts: &[u64]) -> Vec<f64> {
    let rows = (counts.iter().sum::<u64>() as f64).max(TINY);
    let kept = inverse.diagonal().zip(noise.diagonal()).zip(counts);
    let mut prior: Vec<f64> = kept
        .map(|((inverse, noise), &count)| inverse / noise.max(TINY) * (count as f64 / rows))
        .map(|share| share.clamp(LOWEST_PRIOR, 1.0))
        .collect();
    let sum: f64 = prior.iter().sum();
    prior.iter_mut().for_each(|share| *share /= sum);
    prior
}

fn clip_rates(matrix: &mut SquareMatrix<f64>) {
    for (index, row) in matrix.rows_mut().enumerate() {
        for (column, cell) in row.iter_mut().enumerate() {
            if column != index {
                *cell = cell.clamp(0.0, HIGHEST_RATE);
            }
        }
    }
    *matrix = columns_to_shares(matrix.clone());
}

fn columns_to_shares(mut matrix: SquareMatrix<f64>) -> SquareMatrix<f64> {
    let mut sums = vec![0.0; matrix.classes()];
    for row in matrix.rows() {
        sums.iter_mut().zip(row).for_each(|(sum, cell)| *sum += cell);
    }
    for row in matrix.rows_mut() {
        row.iter_mut().zip(&sums).for_each(|(cell, sum)| *cell /= sum.max(TINY));
    }
    matrix
}
