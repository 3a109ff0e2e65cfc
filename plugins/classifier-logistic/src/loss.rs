//! The regularised loss of the training rows and its gradient, at any weights.
//! Knows nothing of how a minimum is searched.

use plugin_sdk::lanes::{Kernel, run_wide};
use plugin_sdk::math::{LANES, Lanes, ZERO, add_rows, last_mask, ln, softmax};

/// Sparse training rows, as the loss reads them.
pub(crate) struct Rows {
    pub entries: Vec<(u32, f32)>,
    /// Where the entries of each row end.
    pub ends: Vec<usize>,
    pub labels: Vec<u32>,
    pub weights: Vec<f32>,
}

impl Rows {
    pub fn get(&self, row: usize) -> &[(u32, f32)] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.entries[start..self.ends[row]]
    }
}

/// The mean of the rows' losses, and the L2 penalty over their number.
///
/// Weights are in lanes, row-major `[dimensions + 1, lanes]`; the last row is a bias that is added
/// to the logarithm of the class shares, so that a class without rows stays unlikely and finite.
pub(crate) struct Loss<'a> {
    pub rows: &'a Rows,
    pub classes: usize,
    /// Logarithm of the share of each class.
    pub offsets: &'a [Lanes],
    /// Sum of the rows' weights.
    pub total: f64,
    /// Strength of the penalty beside the sum of losses.
    pub penalty: f64,
}

impl Loss<'_> {
    /// Returns the loss, and writes its gradient.
    pub fn evaluate(&self, weights: &[Lanes], gradient: &mut [Lanes]) -> f64 {
        gradient.fill(ZERO);
        let loss = run_wide(Evaluate { loss: self, weights, gradient });
        let (scale, penalty) = ((1.0 / self.total) as f32, (self.penalty / self.total) as f32);
        for (gradient, weight) in gradient.iter_mut().zip(weights) {
            *gradient = gradient.scale(scale).plus(weight.scale(penalty));
        }
        let square = |lanes: &Lanes| f64::from(lanes.times(*lanes).sum());
        let squares: f64 = weights.iter().map(square).sum();
        (loss + 0.5 * self.penalty * squares) / self.total
    }

    /// Returns the logits of a row before softmax.
    #[inline(always)]
    pub fn logits(&self, weights: &[Lanes], row: usize, logits: &mut [Lanes]) {
        let bias = &weights[weights.len() - logits.len()..];
        for ((logit, offset), bias) in logits.iter_mut().zip(self.offsets).zip(bias) {
            *logit = offset.plus(*bias);
        }
        add_rows(weights, self.rows.get(row), logits);
    }
}

struct Evaluate<'a> {
    loss: &'a Loss<'a>,
    weights: &'a [Lanes],
    gradient: &'a mut [Lanes],
}

impl Kernel for Evaluate<'_> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        let Evaluate { loss, weights, gradient } = self;
        let width = loss.offsets.len();
        let mask = last_mask(loss.classes);
        let mut logits = vec![ZERO; width];
        let mut sum = 0.0;
        let bias = gradient.len() - width;
        for (row, &label) in loss.rows.labels.iter().enumerate() {
            loss.logits(weights, row, &mut logits);
            softmax(&mut logits, &mask);
            let (lanes, lane) = (label as usize / LANES, label as usize % LANES);
            let weight = loss.rows.weights[row];
            sum -= f64::from(weight) * ln(f64::from(logits[lanes].0[lane]).max(1e-30));
            logits[lanes].0[lane] -= 1.0;
            for logit in &mut logits {
                *logit = logit.scale(weight);
            }
            for &(dimension, value) in loss.rows.get(row) {
                let gradient = &mut gradient[dimension as usize * width..][..width];
                for (gradient, logit) in gradient.iter_mut().zip(&logits) {
                    *gradient = gradient.plus(logit.scale(value));
                }
            }
            for (gradient, logit) in gradient[bias..].iter_mut().zip(&logits) {
                *gradient = gradient.plus(*logit);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let rows = Rows {
            entries: vec![(0, 0.6), (1, 0.8), (1, 1.0), (0, 1.0)],
            ends: vec![2, 3, 3, 4],
            labels: vec![0, 1, 2, 1],
            weights: vec![1.0, 2.0, 0.5, 1.0],
        };
        let offsets = [Lanes([-1.0, -0.5, -1.5, 0.0, 0.0, 0.0, 0.0, 0.0])];
        let loss = Loss { rows: &rows, classes: 3, offsets: &offsets, total: 4.5, penalty: 0.7 };
        let mut weights = vec![ZERO; 3];
        for (at, lanes) in weights.iter_mut().enumerate() {
            lanes.0[..3].copy_from_slice(&[0.3 * at as f32, -0.2, 0.1 + at as f32]);
        }
        let (mut gradient, mut unused) = (weights.clone(), weights.clone());
        loss.evaluate(&weights, &mut gradient);
        for at in 0..3 {
            for class in 0..3 {
                let mut moved = |step: f32| {
                    let mut weights = weights.clone();
                    weights[at].0[class] += step;
                    loss.evaluate(&weights, &mut unused)
                };
                let slope = (moved(0.01) - moved(-0.01)) / 0.02;
                let found = f64::from(gradient[at].0[class]);
                assert!((slope - found).abs() < 1e-4, "{at} {class}: {slope} {found}");
            }
            assert_eq!(gradient[at].0[3..], [0.0; 5]);
        }
    }
}
