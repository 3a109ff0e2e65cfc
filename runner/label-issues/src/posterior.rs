//! How likely each given label is the true one, by Bayes' rule under the noise that the joint shows.
//!
//! A confidence alone does not say which classes people mix up, and a margin takes all classes to
//! be mixed up alike. With the probability that a true class is given as another one (class-
//! conditional noise: Angluin and Laird, "Learning from noisy examples", 1988; estimated from the
//! confident joint: Northcutt et al., "Confident learning", 2021), the posterior of a label is its
//! share of what the text says times what the noise says.

use crate::dataset::{Dataset, label_of};
use crate::kernel::{LANES, Value, larger};
use crate::probabilities::{At, RowVisitor};
use crate::{Error, Evidence, SquareMatrix};

/// Rows by which a class's share of wrong labels is drawn to that of all classes.
const PRIOR_ROWS: f64 = 20.0;
/// Classifiers that are sure write 0; a product of zeros would rank nothing.
const LOWEST_PROBABILITY: f64 = 1e-9;
/// Bounds of how unlike the rates of a class's errors may be, as a variance in units of their mean
/// squared.
const LEAST_SPREAD: f64 = 1e-6;
const LARGEST_SPREAD: f64 = 1e6;

/// The probability of each given class for each true class.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseRates {
    /// Rows are given classes, columns true ones.
    rates: SquareMatrix<f64>,
}

impl NoiseRates {
    /// Estimates the rates from counts of given (rows) and true (columns) classes.
    ///
    /// Most pairs of classes are counted a few times or never. So the rates of a class's errors are
    /// drawn to their mean, the more the less they differ beyond what chance explains: gamma-Poisson
    /// empirical Bayes, its variance by the method of moments. Evenly spread errors then cost nothing,
    /// and errors that go one way are seen as such.
    pub fn estimate(joint: &SquareMatrix<u64>) -> Result<NoiseRates, Error> {
        let classes = joint.classes();
        let others = classes.saturating_sub(1).max(1) as f64;
        let mut rows_of = vec![0_u64; classes];
        for row in joint.rows() {
            rows_of.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
        }
        let right: u64 = joint.diagonal().sum();
        let rows: u64 = rows_of.iter().sum();
        let overall = ((rows - right) as f64 + 1.0) / (rows as f64 + 2.0);
        let means: Vec<f64> = rows_of
            .iter()
            .zip(joint.diagonal())
            .map(|(&rows, right)| {
                let wrong = (rows - right) as f64 + PRIOR_ROWS * overall;
                wrong / (rows as f64 + PRIOR_ROWS) / others
            })
            .collect();
        let shape = 1.0 / spread(joint, &rows_of, &means);
        let mut rates = SquareMatrix::filled(classes, 0.0)?;
        for class in 0..classes {
            let (rows, mean) = (rows_of[class] as f64, means[class]);
            let rate =
                |given: usize| (joint[(given, class)] as f64 + shape) / (rows + shape / mean);
            let wrong =
                (rows - joint[(class, class)] as f64 + shape * others) / (rows + shape / mean);
            for given in 0..classes {
                rates[(given, class)] = if given == class { 1.0 - wrong } else { rate(given) };
            }
        }
        Ok(NoiseRates { rates })
    }

    /// Returns the probability that a true class is given as another one, or as itself.
    pub fn rate(&self, given: usize, true_class: usize) -> Option<f64> {
        self.rates.get(given, true_class)
    }
}

/// Returns how far the rates of a class's errors differ beyond chance: the variance of a rate, in
/// units of its mean squared.
fn spread(joint: &SquareMatrix<u64>, rows_of: &[u64], means: &[f64]) -> f64 {
    let (mut beyond, mut squares) = (0.0, 0.0);
    for (given, row) in joint.rows().enumerate() {
        for (class, &count) in row.iter().enumerate() {
            let (rows, mean) = (rows_of[class] as f64, means[class]);
            if given == class || rows == 0.0 {
                continue;
            }
            let off = count as f64 / rows - mean;
            // Of a count, chance alone makes the variance as large as the mean (Poisson).
            beyond += off * off - mean / rows;
            squares += mean * mean;
        }
    }
    if squares <= 0.0 {
        return LEAST_SPREAD;
    }
    (beyond / squares).clamp(LEAST_SPREAD, LARGEST_SPREAD)
}

/// What the noise rates say of each row.
#[derive(Clone, Debug, PartialEq)]
pub struct Posteriors {
    /// The probability that the given label is the true one; not a number without a label.
    pub quality: Vec<f64>,
    /// The likeliest class but the given one; [`MISSING`](crate::MISSING) without a label.
    pub alternatives: Vec<u32>,
}

impl Evidence<'_> {
    /// Estimates the noise rates from the confident joint.
    pub fn noise_rates(&self) -> Result<NoiseRates, Error> {
        NoiseRates::estimate(self.confident_joint())
    }
}

impl Dataset<'_> {
    /// Returns how likely each label is the true one, and the likeliest other class. One pass.
    ///
    /// Errors when `rates` are of another number of classes.
    pub fn label_posteriors(&self, rates: &NoiseRates) -> Result<Posteriors, Error> {
        let (classes, found) = (self.classes(), rates.rates.cells().len());
        if rates.rates.classes() != classes {
            let expected = classes.saturating_mul(classes);
            return Err(Error::MatrixShape { classes, expected, found });
        }
        let (labels, rates) = (self.labels, &rates.rates);
        let mut quality = vec![f64::NAN; self.rows()];
        let mut alternatives = vec![crate::MISSING; self.rows()];
        let pieces = quality.chunks_mut(self.piece_rows());
        let pieces = pieces.zip(alternatives.chunks_mut(self.piece_rows()));
        let weighing = |(quality, alternatives)| Weighing { labels, rates, quality, alternatives };
        self.pass(&mut pieces.map(weighing).collect::<Vec<_>>())?;
        Ok(Posteriors { quality, alternatives })
    }
}

struct Weighing<'a> {
    labels: &'a [u32],
    rates: &'a SquareMatrix<f64>,
    quality: &'a mut [f64],
    alternatives: &'a mut [u32],
}

impl RowVisitor for Weighing<'_> {
    fn row<T: Value>(&mut self, at: At, values: &[T]) -> Result<(), Error> {
        let Some(label) = label_of(self.labels, at.row) else {
            return Ok(());
        };
        let classes = self.rates.classes();
        let rates = &self.rates.cells()[label * classes..][..classes];
        let own = weight(values[label], rates[label]);
        let (before, rest) = (weigh(&values[..label], &rates[..label]), label + 1);
        let after = weigh(&values[rest..], &rates[rest..]);
        let first = if before.most >= after.most { 0 } else { rest };
        let most = before.most.max(after.most);
        let others = values[first..].iter().zip(&rates[first..]);
        let place = others.map(|(value, rate)| weight(*value, *rate)).position(|w| w == most);
        let alternative = place.map_or(label, |place| place + first);
        self.quality[at.nth] = own / (before.sum + own + after.sum);
        self.alternatives[at.nth] = alternative as u32;
        Ok(())
    }
}

fn weight<T: Value>(value: T, rate: f64) -> f64 {
    value.double().max(LOWEST_PROBABILITY) * rate
}

/// Weights of some classes of a row.
struct Weights {
    sum: f64,
    most: f64,
}

/// Adds up in lanes, so that the compiler can use wide registers.
fn weigh<T: Value>(values: &[T], rates: &[f64]) -> Weights {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let (rates, last_rates) = rates.as_chunks::<LANES>();
    let (mut sums, mut most) = ([0.0; LANES], [-1.0; LANES]);
    for (values, rates) in chunks.iter().zip(rates) {
        for lane in 0..LANES {
            let weight = weight(values[lane], rates[lane]);
            sums[lane] += weight;
            most[lane] = larger(most[lane], weight);
        }
    }
    let mut all = Weights { sum: sums.iter().sum(), most: most.into_iter().fold(-1.0, larger) };
    for (value, rate) in rest.iter().zip(last_rates) {
        let weight = weight(*value, *rate);
        all.sum += weight;
        all.most = larger(all.most, weight);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Collision, Dense, MISSING};

    fn rates(cells: &[u64]) -> NoiseRates {
        let classes = cells.len().isqrt();
        let joint = SquareMatrix::from_cells(classes, cells.to_vec()).unwrap();
        NoiseRates::estimate(&joint).unwrap()
    }

    #[test]
    fn rates_of_a_class_sum_to_one() {
        for cells in [
            vec![0; 9],
            vec![100, 0, 0, 0, 100, 0, 0, 0, 100],
            vec![80, 0, 0, 20, 100, 0, 0, 0, 0],
            vec![0, 50, 50, 50, 0, 50, 50, 50, 0],
        ] {
            let rates = rates(&cells);
            for class in 0..3 {
                let all: Vec<f64> = (0..3).filter_map(|given| rates.rate(given, class)).collect();
                assert!((all.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{all:?}");
                assert!(all.iter().all(|rate| *rate > 0.0 && *rate < 1.0), "{cells:?} {all:?}");
            }
        }
    }

    #[test]
    fn even_errors_are_even_and_one_way_errors_are_not() {
        // Of 1,000 rows of each class 200 are wrong: nearly alike, and all in the next class.
        let even = rates(&[800, 102, 99, 98, 800, 101, 102, 98, 800]);
        let ratio = even.rate(1, 0).unwrap() / even.rate(2, 0).unwrap();
        assert!((ratio - 1.0).abs() < 0.01, "{ratio}");
        let one_way = rates(&[800, 0, 200, 200, 800, 0, 0, 200, 800]);
        assert!(one_way.rate(1, 0).unwrap() > 100.0 * one_way.rate(2, 0).unwrap());
    }

    #[test]
    fn a_label_that_its_rival_is_often_given_as_is_less_likely() {
        let values = [0.4, 0.6, 0.0, 0.4, 0.0, 0.6];
        let probabilities = Dense::new(&values[..], 3).unwrap();
        let dataset = Dataset::new(&probabilities, &[0, 0]).unwrap();
        let rates = rates(&[90, 40, 0, 5, 60, 0, 5, 0, 100]);
        let found = dataset.label_posteriors(&rates).unwrap();
        // Class 1 is given as class 0 in 40 of 100 rows, class 2 never.
        assert!(found.quality[0] < 0.7 && found.quality[1] > 0.9, "{found:?}");
        assert_eq!(found.alternatives, [1, 2]);
    }

    #[test]
    fn rows_without_a_label_have_no_posterior() {
        let values = [0.5, 0.5, 0.0, 1.0];
        let probabilities = Dense::new(&values[..], 2).unwrap();
        let dataset = Dataset::new(&probabilities, &[MISSING, 0]).unwrap();
        let rates = dataset.evidence(Collision::Cleanlab).unwrap().noise_rates().unwrap();
        let found = dataset.label_posteriors(&rates).unwrap();
        assert!(found.quality[0].is_nan() && found.alternatives[0] == MISSING);
        assert!(found.quality[1] > 0.0 && found.quality[1] < 1e-6);
    }

    #[test]
    fn rates_of_other_classes_are_refused() {
        let probabilities = Dense::new(&[0.5, 0.5][..], 2).unwrap();
        let dataset = Dataset::new(&probabilities, &[0]).unwrap();
        assert!(dataset.label_posteriors(&rates(&[1; 9])).is_err());
    }
}
