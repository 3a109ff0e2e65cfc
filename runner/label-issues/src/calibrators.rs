//! Calibrators: functions from probabilities to probabilities that are right as often as they say.
//!
//! Both are fitted on probabilities of rows that no model had learnt from, with the labels those
//! rows were given. The caller keeps the rows a calibrator is fitted on apart from those it is
//! applied to; nothing here knows of folds. The sums are made in the order of the rows, logarithm
//! and exponential are `libm`'s, so the same rows give the same bits on every system.

use crate::violators::{Block, pool};

/// Probabilities below this are taken for it: their logarithm has to be finite.
const SMALLEST: f64 = 1e-12;

/// Temperatures are looked for between 1 / 50 and 50.
const WIDEST: f64 = 50.0;

/// Newton's steps, or halvings of the interval, until [`Temperature::fit`] stops at the latest.
const STEPS: u32 = 60;

/// Raises probabilities to a power and makes them sum to 1 again: softer or sharper, in the same
/// order (Guo, Pleiss, Sun, Weinberger: "On calibration of modern neural networks", ICML 2017,
/// section 4.2, with the logarithm of a probability for its logit).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    /// 1 / temperature.
    power: f64,
}

impl Temperature {
    /// Finds the temperature with the smallest log-loss.
    ///
    /// `probabilities` is row-major `[labels.len(), classes]`; labels are below `classes`. The
    /// log-loss is convex in the power, so there is one answer. No row at all changes nothing.
    pub fn fit(probabilities: &[f64], labels: &[u32], classes: usize) -> Temperature {
        let logits: Vec<f64> = probabilities.iter().map(|p| libm::log(p.max(SMALLEST))).collect();
        let (mut low, mut high) = (1.0 / WIDEST, WIDEST);
        let mut power = 1.0;
        for _ in 0..STEPS {
            let (slope, curvature) = slope(&logits, labels, classes, power);
            if slope == 0.0 {
                break;
            }
            if slope > 0.0 {
                low = power
            } else {
                high = power
            }
            let newton = power + slope / curvature;
            // Outside of what is known Newton's step is no step; NaN is outside of everything.
            let next = if newton > low && newton < high { newton } else { (low * high).sqrt() };
            let done = (next - power).abs() <= 1e-9 * power;
            power = next;
            if done {
                break;
            }
        }
        Temperature { power }
    }

    /// Above 1 where probabilities were too sure, below 1 where they were too timid.
    pub fn temperature(&self) -> f64 {
        1.0 / self.power
    }

    /// Replaces the probabilities of one row.
    pub fn apply(&self, row: &mut [f64]) {
        let largest = row.iter().copied().fold(SMALLEST, f64::max);
        let top = libm::log(largest);
        let mut sum = 0.0;
        for p in row.iter_mut() {
            *p = libm::exp(self.power * (libm::log(p.max(SMALLEST)) - top));
            sum += *p;
        }
        row.iter_mut().for_each(|p| *p /= sum);
    }
}

/// First derivative of the log-likelihood by the power, and the negative of the second.
fn slope(logits: &[f64], labels: &[u32], classes: usize, power: f64) -> (f64, f64) {
    let (mut slope, mut curvature) = (0.0, 0.0);
    for (row, label) in logits.chunks_exact(classes).zip(labels) {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for logit in row {
            let weight = libm::exp(power * (logit - top));
            let off = logit - top;
            sum += weight;
            first += weight * off;
            second += weight * off * off;
        }
        let mean = first / sum;
        slope += row[*label as usize] - top - mean;
        curvature += second / sum - mean * mean;
    }
    (slope, curvature)
}

/// A rising step function from a score to the share of rows that were right (Zadrozny, Elkan:
/// "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002),
/// found by pooling adjacent violators, with straight lines between the steps.
///
/// A share is at least 1 / (n + 2) and at most 1 - 1 / (n + 2) for n rows, by Laplace's rule of
/// succession: n rows cannot show that something never happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Isotonic {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    low: f64,
    high: f64,
    share: f64,
}

/// Rows of one step while it is made; counts are exact.
#[derive(Clone, Copy)]
struct Pool {
    low: f64,
    high: f64,
    hits: u64,
    rows: u64,
}

impl Pool {
    fn is_above(&self, other: &Pool) -> bool {
        u128::from(self.hits) * u128::from(other.rows)
            >= u128::from(other.hits) * u128::from(self.rows)
    }
}

impl Block for Pool {
    fn take(&mut self, next: Pool) {
        self.high = next.high;
        self.hits += next.hits;
        self.rows += next.rows;
    }
}

impl Isotonic {
    /// Fits scores, in rising order, with whether each row was right.
    pub fn fit(rising: impl IntoIterator<Item = (f64, bool)>) -> Isotonic {
        let mut scores: Vec<Pool> = Vec::new();
        let mut rows = 0u64;
        for (score, hit) in rising {
            rows += 1;
            let row = Pool { low: score, high: score, hits: u64::from(hit), rows: 1 };
            match scores.last_mut() {
                Some(last) if last.low == score => last.take(row),
                _ => scores.push(row),
            }
        }
        let pools = pool(scores, Pool::is_above);
        let floor = 1.0 / (rows as f64 + 2.0);
        let share = |pool: &Pool| (pool.hits as f64 / pool.rows as f64).clamp(floor, 1.0 - floor);
        let steps = pools
            .iter()
            .map(|pool| Step { low: pool.low, high: pool.high, share: share(pool) })
            .collect();
        Isotonic { steps }
    }

    /// The calibrated score; the score itself where nothing was fitted.
    pub fn apply(&self, score: f64) -> f64 {
        let at = self.steps.partition_point(|step| step.high < score);
        let before = at.checked_sub(1).map(|at| self.steps[at]);
        match (before, self.steps.get(at)) {
            (None, None) => score,
            (Some(step), None) => step.share,
            (None, Some(step)) => step.share,
            (Some(_), Some(step)) if score >= step.low => step.share,
            (Some(before), Some(step)) => {
                let way = (score - before.high) / (step.low - before.high);
                before.share + way * (step.share - before.share)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of three classes whose label is drawn by the softened probabilities.
    fn overconfident(rows: usize) -> (Vec<f64>, Vec<u32>) {
        let (mut probabilities, mut labels) = (Vec::new(), Vec::new());
        for n in 0..rows {
            let top = n % 3;
            // Says 0.9 and is right in 6 of 10.
            for class in 0..3 {
                probabilities.push(if class == top { 0.9 } else { 0.05 });
            }
            let label = if (n / 3) % 10 < 6 { top } else { (top + 1 + (n / 30) % 2) % 3 };
            labels.push(label as u32);
        }
        (probabilities, labels)
    }

    #[test]
    fn a_temperature_makes_confidence_the_share_that_is_right() {
        let (probabilities, labels) = overconfident(3000);
        let fitted = Temperature::fit(&probabilities, &labels, 3);
        assert!(fitted.temperature() > 1.5, "{}", fitted.temperature());
        let mut row = [0.9, 0.05, 0.05];
        fitted.apply(&mut row);
        assert!((row[0] - 0.6).abs() < 1e-3 && (row[1] - 0.2).abs() < 1e-3, "{row:?}");
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn probabilities_that_are_right_stay_as_they_are() {
        let probabilities: Vec<f64> = [0.75, 0.25].repeat(400);
        let labels: Vec<u32> = (0..400).map(|n| u32::from(n % 4 == 0)).collect();
        let fitted = Temperature::fit(&probabilities, &labels, 2);
        assert!((fitted.temperature() - 1.0).abs() < 1e-6);
        assert_eq!(Temperature::fit(&[], &[], 2).temperature(), 1.0);
    }

    #[test]
    fn a_temperature_stays_within_bounds() {
        let sure = Temperature::fit(&[0.6, 0.4, 0.4, 0.6], &[0, 1], 2);
        assert!(sure.temperature() >= 1.0 / WIDEST && sure.temperature() < 0.1);
        let wrong = Temperature::fit(&[0.6, 0.4, 0.4, 0.6], &[1, 0], 2);
        assert!(wrong.temperature() <= WIDEST * 1.000_001 && wrong.temperature() > 10.0);
        let mut row = [1.0, 0.0];
        wrong.apply(&mut row);
        assert!(row[0] > row[1] && row.iter().all(|p| p.is_finite()));
    }

    #[test]
    fn violators_are_pooled_and_order_is_kept() {
        let rows = [(0.1, false), (0.2, true), (0.3, false), (0.8, true), (0.8, true)];
        let fitted = Isotonic::fit(rows);
        assert!((fitted.apply(0.25) - 0.5).abs() < 1e-12, "{fitted:?}");
        assert!((fitted.apply(0.0) - 1.0 / 7.0).abs() < 1e-12);
        assert!((fitted.apply(0.9) - 6.0 / 7.0).abs() < 1e-12);
        let mut before = 0.0;
        for n in 0..=100 {
            let value = fitted.apply(f64::from(n) / 100.0);
            assert!(value >= before, "{n}");
            before = value;
        }
        assert_eq!(Isotonic::fit([]).apply(0.3), 0.3);
    }

    #[test]
    fn equal_scores_are_one_step_whatever_their_order() {
        let one = Isotonic::fit([(0.5, true), (0.5, false), (0.7, true)]);
        let other = Isotonic::fit([(0.5, false), (0.5, true), (0.7, true)]);
        assert_eq!(one, other);
        assert!((one.apply(0.5) - 0.5).abs() < 1e-12);
    }
}
