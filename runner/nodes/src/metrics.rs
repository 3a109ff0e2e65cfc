//! How good predictions are: accuracy, F1 by class, micro and macro averages, paired bootstrap.
//!
//! Predictions and truth are class indices, `None` where there is no class. Macro F1 is the mean
//! over the classes that occur in truth or predictions, as scikit-learn's `f1_score` has it.

/// Counts of one class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ClassCounts {
    pub true_positive: u64,
    pub false_positive: u64,
    pub false_negative: u64,
}

impl ClassCounts {
    pub fn precision(&self) -> f64 {
        ratio(self.true_positive, self.true_positive + self.false_positive)
    }

    pub fn recall(&self) -> f64 {
        ratio(self.true_positive, self.true_positive + self.false_negative)
    }

    pub fn f1(&self) -> f64 {
        ratio(
            2 * self.true_positive,
            2 * self.true_positive + self.false_positive + self.false_negative,
        )
    }

    /// Records whose true class this is.
    pub fn support(&self) -> u64 {
        self.true_positive + self.false_negative
    }

    fn occurs(&self) -> bool {
        self.true_positive + self.false_positive + self.false_negative > 0
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Truth and prediction of each record, as indices below `classes`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairs<'a> {
    pub truth: &'a [u32],
    pub predicted: &'a [u32],
    pub classes: usize,
}

impl Pairs<'_> {
    pub fn by_class(&self, rows: impl Iterator<Item = usize>) -> Vec<ClassCounts> {
        let mut counts = vec![ClassCounts::default(); self.classes];
        for row in rows {
            let (truth, predicted) = (self.truth[row] as usize, self.predicted[row] as usize);
            if truth == predicted {
                counts[truth].true_positive += 1;
            } else {
                counts[truth].false_negative += 1;
                counts[predicted].false_positive += 1;
            }
        }
        counts
    }

    pub fn macro_f1(&self, rows: impl Iterator<Item = usize>) -> f64 {
        macro_f1(&self.by_class(rows))
    }

    /// Equal to micro F1, for every record has one truth and one prediction.
    pub fn accuracy(&self, rows: impl Iterator<Item = usize>) -> f64 {
        let (mut right, mut all) = (0, 0);
        for row in rows {
            all += 1;
            right += u64::from(self.truth[row] == self.predicted[row]);
        }
        ratio(right, all)
    }
}

pub(crate) fn macro_f1(counts: &[ClassCounts]) -> f64 {
    let occurring: Vec<f64> =
        counts.iter().filter(|counts| counts.occurs()).map(ClassCounts::f1).collect();
    if occurring.is_empty() {
        return 0.0;
    }
    occurring.iter().sum::<f64>() / occurring.len() as f64
}

/// Percentile interval (2.5 to 97.5) of a statistic over resampled rows.
pub(crate) fn bootstrap(
    rows: usize,
    resamples: usize,
    seed: u64,
    statistic: impl Fn(&[usize]) -> f64,
) -> (f64, f64) {
    let mut state = seed;
    let mut values: Vec<f64> = (0..resamples)
        .map(|_| {
            let sample: Vec<usize> =
                (0..rows).map(|_| (next(&mut state) % rows as u64) as usize).collect();
            statistic(&sample)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((resamples - 1) as f64 * share).round() as usize];
    (at(0.025), at(0.975))
}

/// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_as_scikit_learn_gives_them() {
        // f1_score([0,0,1,1,2,2],[0,1,1,1,2,0], average=None) = [.5, .8, .66666667]
        let pairs =
            Pairs { truth: &[0, 0, 1, 1, 2, 2], predicted: &[0, 1, 1, 1, 2, 0], classes: 4 };
        let counts = pairs.by_class(0..6);
        let f1: Vec<f64> = counts.iter().map(ClassCounts::f1).collect();
        assert!((f1[0] - 0.5).abs() < 1e-12 && (f1[1] - 0.8).abs() < 1e-12);
        assert!((pairs.macro_f1(0..6) - (0.5 + 0.8 + 2.0 / 3.0) / 3.0).abs() < 1e-12);
        assert!((pairs.accuracy(0..6) - 4.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn an_interval_holds_the_mean_and_is_repeatable() {
        let values: Vec<f64> = (0..200).map(f64::from).collect();
        let mean =
            |rows: &[usize]| rows.iter().map(|r| values[*r]).sum::<f64>() / rows.len() as f64;
        let (low, high) = bootstrap(200, 500, 7, mean);
        assert!(low < 99.5 && 99.5 < high && high - low < 20.0);
        assert_eq!((low, high), bootstrap(200, 500, 7, mean));
    }
}
