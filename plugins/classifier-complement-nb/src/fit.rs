//! Weighted sums by class and feature, and the weights of the complements from them.
//!
//! Sums run over rows or over features in the order of their hashes, so that no row outside the
//! training set changes a rounding.

use plugin_sdk::calibrate::{Calibration, Sample, choose};
use plugin_sdk::math::{LANES, Lanes, ZERO, lanes_for, ln};
use plugin_sdk::text::{Counts, LogLinear, Resolved, Selection, Vectoriser, Weighting};
use plugin_sdk::{Context, Error, Training};

use crate::Params;
use crate::own_share::OwnShare;

/// Most cells of the table of sums, of 8 bytes each, and of the weights, of 4.
const MOST_CELLS: usize = 40_000_000;

/// Rows between two looks at the cancel flag.
const ROWS_PER_CHECK: usize = 16_384;

pub(crate) fn fit(
    counts: &Counts,
    params: &Params,
    training: &Training<'_>,
    context: &Context<'_>,
) -> Result<LogLinear, Error> {
    let selection = Selection::frequent(counts, training.rows, params.min_df, params.max_features);
    let classes = training.class_count;
    let features = selection.features.len();
    if features.saturating_mul(lanes_for(classes) * LANES) > MOST_CELLS {
        return Err(Error::new(format!(
            "{features} features times {classes} classes are more than {MOST_CELLS}, the most this \
             plugin holds; set `max_features` to {} or less",
            MOST_CELLS / (lanes_for(classes) * LANES)
        )));
    }
    context.check()?;
    let weighting = Weighting {
        sublinear_tf: params.sublinear_tf,
        idf: params.idf,
        unit_length: params.length_norm,
        hashed_to: 0,
    };
    let vectoriser = Vectoriser::new(counts, &selection, training.rows.len(), weighting);
    let texts = vectoriser.resolve_selection(counts, &selection);
    let mut complements = Complements::learn(&texts, training, features, params.alpha, context)?;
    if params.weight_norm {
        complements.normalise(vectoriser.hashes());
    }
    let chosen = choose(training, params.calibrate);
    let rare: Vec<bool> = selection.frequencies.iter().map(|&f| f <= params.min_df).collect();
    let own = OwnShare { complements: &complements, texts: &texts, rare: &rare };
    let logits = own.held_out_logits(training, &chosen);
    let (labels, weights) = (&chosen.labels, &chosen.weights);
    let sample = Sample { logits: &logits, labels, weights, classes };
    let calibration = Calibration::fit(&sample, params.calibrate);
    let bias = vec![ZERO; lanes_for(classes)];
    Ok(LogLinear { vectoriser, calibration, classes, bias, weights: complements.centred() })
}

/// What is known of each class by the rows of all others.
pub(crate) struct Complements {
    pub classes: usize,
    /// Logarithm of the complement's total over the feature's part in it: how little the others
    /// have of it. Row-major `[features, lanes]`.
    pub weights: Vec<Lanes>,
    /// Smoothed sum of all features in the complement of each class, in lanes.
    pub totals: Vec<Lanes>,
    /// What the weights of each class were multiplied by, in lanes.
    pub factors: Vec<Lanes>,
}

impl Complements {
    pub fn learn(
        texts: &Resolved<'_>,
        training: &Training<'_>,
        features: usize,
        alpha: f64,
        context: &Context<'_>,
    ) -> Result<Complements, Error> {
        let classes = training.class_count;
        let width = lanes_for(classes);
        let mut sums = vec![0.0_f64; features * classes];
        let mut class_totals = vec![0.0_f64; classes];
        let mut entries = Vec::new();
        for (position, (&row, &label)) in training.rows.iter().zip(training.labels).enumerate() {
            if position % ROWS_PER_CHECK == 0 {
                context.check()?;
            }
            texts.row(row, &mut entries);
            let weight = f64::from(training.weight(position));
            let sums = &mut sums[label as usize * features..][..features];
            let mut total = 0.0;
            for &(feature, value) in &entries {
                let value = weight * f64::from(value);
                sums[feature as usize] += value;
                total += value;
            }
            class_totals[label as usize] += total;
        }
        let total: f64 = class_totals.iter().sum::<f64>() + alpha * features as f64;
        let mut totals = vec![ZERO; width];
        let mut factors = vec![ZERO; width];
        let mut logarithms = vec![0.0; classes];
        for class in 0..classes {
            let complement = (total - class_totals[class]).max(alpha);
            totals[class / LANES].0[class % LANES] = complement as f32;
            factors[class / LANES].0[class % LANES] = 1.0;
            logarithms[class] = ln(complement);
        }
        let mut weights = vec![ZERO; features * width];
        for (feature, row) in weights.chunks_exact_mut(width).enumerate() {
            let of_class = |class: usize| sums[class * features + feature];
            let all = (0..classes).map(of_class).sum::<f64>() + alpha;
            for class in 0..classes {
                let complement = (all - of_class(class)).max(alpha);
                row[class / LANES].0[class % LANES] = (logarithms[class] - ln(complement)) as f32;
            }
        }
        Ok(Complements { classes, weights, totals, factors })
    }

    /// Gives the weights of each class a mean absolute value of 1, so that no class is louder than
    /// another.
    fn normalise(&mut self, hashes: &[u64]) {
        let width = self.totals.len();
        let mut order: Vec<usize> = (0..hashes.len()).collect();
        order.sort_unstable_by_key(|&feature| hashes[feature]);
        let mut sums = vec![[0.0_f64; LANES]; width];
        for feature in order {
            for (sums, row) in sums.iter_mut().zip(&self.weights[feature * width..][..width]) {
                sums.iter_mut()
                    .zip(row.0)
                    .for_each(|(sum, weight)| *sum += f64::from(weight.abs()));
            }
        }
        for (factors, sums) in self.factors.iter_mut().zip(&sums) {
            for (factor, sum) in factors.0.iter_mut().zip(sums) {
                *factor = if *sum > 0.0 { (hashes.len() as f64 / sum) as f32 } else { 1.0 };
            }
        }
        for row in self.weights.chunks_exact_mut(width) {
            row.iter_mut().zip(&self.factors).for_each(|(lanes, f)| *lanes = lanes.times(*f));
        }
    }

    /// Returns the weights less their mean over the classes, which no probability depends on.
    fn centred(mut self) -> Vec<Lanes> {
        for row in self.weights.chunks_exact_mut(self.totals.len()) {
            let classes =
                (0..self.classes).map(|class| f64::from(row[class / LANES].0[class % LANES]));
            let mean = (classes.sum::<f64>() / self.classes as f64) as f32;
            for class in 0..self.classes {
                row[class / LANES].0[class % LANES] -= mean;
            }
        }
        self.weights
    }
}
