//! Class sums of the training rows, smartcore's estimate from them, and its calibration.

use plugin_sdk::calibrate::{Calibration, Chosen, Sample, choose};
use plugin_sdk::math::{LANES, Lanes, ZERO, add_rows, lanes_for, ln};
use plugin_sdk::text::{Counts, LogLinear, Resolved, Selection, Vectoriser, Weighting};
use plugin_sdk::{Context, Error, Training};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::naive_bayes::multinomial::{MultinomialNB, MultinomialNBParameters};

use crate::Params;

/// Most cells of the dense matrix; smartcore holds 24 bytes for each while it fits.
const MOST_CELLS: usize = 16_000_000;

/// smartcore counts in whole numbers: weights are counted in parts of this. Smoothing grows by the
/// same factor, which then falls out of the estimate.
const WEIGHT_PARTS: f64 = 1024.0;

/// Counts as they are.
const WEIGHTING: Weighting =
    Weighting { sublinear_tf: false, idf: false, unit_length: false, hashed_to: 0 };

/// Rows whose counts of a feature, of 16 bits each, are sure to fit into 32 bits together.
const MOST_ROWS: usize = 1 << 16;

/// Cells of the table rows are added up in: 32 MB.
const TABLE_CELLS: usize = 1 << 23;

type Estimate = MultinomialNB<u64, u32, DenseMatrix<u64>, Vec<u32>>;

pub(crate) fn fit(
    counts: &Counts,
    params: &Params,
    training: &Training<'_>,
    context: &Context<'_>,
) -> Result<LogLinear, Error> {
    let selection = Selection::frequent(counts, training.rows, params.min_df, params.max_features);
    let classes = training.class_count;
    let features = selection.features.len();
    if features.saturating_mul(classes) > MOST_CELLS {
        return Err(Error::new(format!(
            "{features} features times {classes} classes are more than {MOST_CELLS}, the most this \
             plugin holds; set `max_features` to {} or less",
            MOST_CELLS / classes
        )));
    }
    context.check()?;
    let vectoriser = Vectoriser::new(counts, &selection, training.rows.len(), WEIGHTING);
    let texts = vectoriser.resolve_selection(counts, &selection);
    let priors = Priors::of(training);
    let mut bias = vec![ZERO; lanes_for(classes)];
    for class in 0..classes {
        bias[class / LANES].0[class % LANES] = ln(priors.share(class)) as f32;
    }
    let mut model = LogLinear {
        vectoriser,
        calibration: Calibration::NONE,
        classes,
        bias,
        weights: Vec::new(),
    };
    if features > 0 {
        let parts = if training.weights.is_some() { WEIGHT_PARTS } else { 1.0 };
        let sums = class_sums(counts, &selection, training, parts, context)?;
        let estimate = estimate(sums, classes, features, params.alpha * parts, &priors)?;
        model.weights = centred(&estimate, classes, features);
        let chosen = choose(training, params.calibrate);
        let own = OwnShare {
            estimate: &estimate,
            priors: &priors,
            smoothing: params.alpha * parts * features as f64,
            parts,
            rare: &selection.frequencies.iter().map(|&f| f <= params.min_df).collect::<Vec<_>>(),
        };
        let logits = own.held_out_logits(&model, &texts, training, &chosen);
        let (labels, weights) = (&chosen.labels, &chosen.weights);
        let sample = Sample { logits: &logits, labels, weights, classes };
        model.calibration = Calibration::fit(&sample, params.calibrate);
    }
    Ok(model)
}

fn estimate(
    sums: Vec<u64>,
    classes: usize,
    features: usize,
    alpha: f64,
    priors: &Priors,
) -> Result<Estimate, Error> {
    let failed = |error| Error::new(format!("smartcore: {error}"));
    let matrix = DenseMatrix::new(classes, features, sums, false).map_err(failed)?;
    let labels: Vec<u32> = (0..classes as u32).collect();
    let shares = (0..classes).map(|class| priors.share(class)).collect();
    let parameters = MultinomialNBParameters::default().with_alpha(alpha).with_priors(shares);
    let estimate: Estimate = MultinomialNB::fit(&matrix, &labels, parameters).map_err(failed)?;
    assert_eq!(estimate.classes().len(), classes, "one class a row, in order");
    Ok(estimate)
}

/// Returns log-likelihoods by feature and class, less their mean over the classes: what all classes
/// share has no part in a probability, and sums of small numbers are more exact.
fn centred(estimate: &Estimate, classes: usize, features: usize) -> Vec<Lanes> {
    let width = lanes_for(classes);
    let mut weights = vec![ZERO; features * width];
    let by_class = estimate.feature_log_prob();
    for (feature, row) in weights.chunks_exact_mut(width).enumerate() {
        let mean = by_class.iter().map(|class| class[feature]).sum::<f64>() / classes as f64;
        for (class, values) in by_class.iter().enumerate() {
            row[class / LANES].0[class % LANES] = (values[feature] - mean) as f32;
        }
    }
    weights
}

/// Returns the sum of counts by class and feature, in whole parts of a weight.
fn class_sums(
    counts: &Counts,
    selection: &Selection,
    training: &Training<'_>,
    parts: f64,
    context: &Context<'_>,
) -> Result<Vec<u64>, Error> {
    let sums = Sums { counts, selection, training, context };
    if training.weights.is_none() {
        return sums.by_class(|sums: &mut [u32], features, row_counts, _| {
            for (&feature, &count) in features.iter().zip(row_counts) {
                sums[feature as usize] += u32::from(count);
            }
        });
    }
    sums.by_class(|sums: &mut [u64], features, row_counts, position| {
        let weight = parts_of(training.weight(position), parts);
        for (&feature, &count) in features.iter().zip(row_counts) {
            sums[feature as usize] += weight * u64::from(count);
        }
    })
}

/// What class sums are made of.
struct Sums<'a> {
    counts: &'a Counts,
    selection: &'a Selection,
    training: &'a Training<'a>,
    context: &'a Context<'a>,
}

impl Sums<'_> {
    /// Adds up the rows in their order, which memory likes best, in a table of all features of the
    /// corpus for as many classes at a time as keep it small.
    fn by_class<S: Copy + Default + Into<u64>>(
        &self,
        add: impl Fn(&mut [S], &[u32], &[u16], usize),
    ) -> Result<Vec<u64>, Error> {
        let (width, kept) = (self.counts.hashes().len().max(1), self.selection.features.len());
        let classes = self.training.class_count;
        let at_once = (TABLE_CELLS / width).clamp(1, classes);
        let mut sums = vec![0_u64; kept * classes];
        let mut table = vec![S::default(); width * at_once];
        for (first, sums) in (0..classes).step_by(at_once).zip(sums.chunks_mut(kept * at_once)) {
            let mut since = 0;
            for (position, &label) in self.training.labels.iter().enumerate() {
                let Some(class) = (label as usize).checked_sub(first).filter(|&c| c < at_once)
                else {
                    continue;
                };
                let (features, row_counts) = self.counts.row(self.training.rows[position]);
                add(&mut table[class * width..][..width], features, row_counts, position);
                since += 1;
                if since == MOST_ROWS {
                    self.context.check()?;
                    self.take(&mut table, width, sums);
                    since = 0;
                }
            }
            self.take(&mut table, width, sums);
        }
        Ok(sums)
    }

    /// Adds the table's sums of kept features to those of their classes, and starts it anew.
    fn take<S: Copy + Default + Into<u64>>(&self, table: &mut [S], width: usize, sums: &mut [u64]) {
        let features = &self.selection.features;
        for (table, sums) in table.chunks_exact(width).zip(sums.chunks_exact_mut(features.len())) {
            for (sum, &feature) in sums.iter_mut().zip(features) {
                *sum += table[feature as usize].into();
            }
        }
        table.fill(S::default());
    }
}

/// Returns a weight in whole parts: below one it would be nothing; above, sums stay far from
/// overflow.
fn parts_of(weight: f32, parts: f64) -> u64 {
    (f64::from(weight) * parts).round().clamp(1.0, 1e9) as u64
}

/// The weight of each class in the training rows, as if each had one row more.
struct Priors {
    totals: Vec<f64>,
    sum: f64,
}

impl Priors {
    fn of(training: &Training<'_>) -> Priors {
        let totals = training.smoothed_totals();
        let sum = totals.iter().sum();
        Priors { totals, sum }
    }

    fn share(&self, class: usize) -> f64 {
        self.totals[class] / self.sum
    }
}

/// What a training row itself put into the estimate; taken out, its logits are out of sample.
struct OwnShare<'a> {
    estimate: &'a Estimate,
    priors: &'a Priors,
    /// Smoothing of a class, over all features.
    smoothing: f64,
    parts: f64,
    /// Features that would be left out without one of their rows.
    rare: &'a [bool],
}

impl OwnShare<'_> {
    /// Returns logits of the chosen rows, row-major, as if each had not been learnt from.
    fn held_out_logits(
        &self,
        model: &LogLinear,
        texts: &Resolved<'_>,
        training: &Training<'_>,
        chosen: &Chosen,
    ) -> Vec<Lanes> {
        let width = model.bias.len();
        let mut logits = model.bias.repeat(chosen.positions.len());
        let class_sums: Vec<f64> = self
            .estimate
            .feature_count()
            .iter()
            .map(|all| all.iter().sum::<usize>() as f64)
            .collect();
        let mut entries = Vec::new();
        let rows = chosen.positions.iter().zip(logits.chunks_exact_mut(width));
        for ((&position, logits), &label) in rows.zip(&chosen.labels) {
            let weight = parts_of(training.weight(position as usize), self.parts) as f64;
            texts.row(training.rows[position as usize], &mut entries);
            let total: f64 = entries.iter().map(|entry| f64::from(entry.1)).sum();
            entries.retain(|entry| !self.rare[entry.0 as usize]);
            add_rows(&model.weights, &entries, logits);
            let label = label as usize;
            let (sums, prior) = (&self.estimate.feature_count()[label], self.priors.totals[label]);
            let own_weight = f64::from(training.weight(position as usize));
            let before = class_sums[label] + self.smoothing;
            // A class of this row alone keeps its smoothing.
            let fewer = ln(before) - ln((before - weight * total).max(self.smoothing));
            let alpha = self.smoothing / sums.len() as f64;
            let mut change = ln((prior - own_weight).max(1e-3) / prior);
            for &(feature, count) in &entries {
                let sum = sums[feature as usize] as f64 + alpha;
                let without = (sum - weight * f64::from(count)).max(alpha);
                change += f64::from(count) * (ln(without / sum) + fewer);
            }
            logits[label / LANES].0[label % LANES] += change as f32;
        }
        logits
    }
}

#[cfg(test)]
mod tests {
    use plugin_sdk::calibrate::Calibrate;
    use plugin_sdk::checks::{texts, with_texts};
    use plugin_sdk::text::TextSettings;

    use super::*;

    #[test]
    fn a_row_taken_out_is_a_row_never_seen() {
        let (texts, labels) = texts(80);
        let context = Context::quiet();
        let settings = TextSettings { word_ngrams: 1, char_ngrams: (0, 0), hash_bits: 0 };
        let counts = with_texts(&texts, |texts| Counts::new(settings, texts, &context)).unwrap();
        let rows: Vec<u32> = (0..80).collect();
        // Every feature stays a feature without the row: another number of them would be smoothed.
        let selection = Selection::frequent(&counts, &rows, 2, 1000);
        let texts = Vectoriser::new(&counts, &selection, 80, WEIGHTING);
        let texts = texts.resolve_selection(&counts, &selection);
        let params = Params { min_df: 2, calibrate: Calibrate::None, ..Params::default() };
        let features = selection.features.len();
        let learn = |rows: &[u32], labels: &[u32]| {
            let training = Training { rows, labels, weights: None, class_count: 3, seed: 0 };
            let priors = Priors::of(&training);
            let sums = class_sums(&counts, &selection, &training, 1.0, &context).unwrap();
            let estimate = estimate(sums, 3, features, params.alpha, &priors).unwrap();
            (priors, estimate)
        };
        let training =
            Training { rows: &rows, labels: &labels, weights: None, class_count: 3, seed: 0 };
        let model = fit(&counts, &params, &training, &context).unwrap();
        let (priors, estimate) = learn(&rows, &labels);
        let own = OwnShare {
            estimate: &estimate,
            priors: &priors,
            smoothing: params.alpha * features as f64,
            parts: 1.0,
            rare: &vec![false; features],
        };
        let spread = |logits: [f64; 3]| [logits[0] - logits[1], logits[1] - logits[2]];
        for out in [0_u32, 7, 23, 79] {
            let chosen = Chosen {
                positions: vec![out],
                labels: vec![labels[out as usize]],
                weights: vec![1.0],
            };
            let found = own.held_out_logits(&model, &texts, &training, &chosen)[0].0;
            let found = spread([0, 1, 2].map(|class| f64::from(found[class])));
            let other_rows: Vec<u32> = rows.iter().copied().filter(|&row| row != out).collect();
            let other_labels: Vec<u32> =
                other_rows.iter().map(|&row| labels[row as usize]).collect();
            let (priors, exact) = learn(&other_rows, &other_labels);
            let mut entries = Vec::new();
            texts.row(out, &mut entries);
            let exact = spread([0, 1, 2].map(|class| {
                let logs = &exact.feature_log_prob()[class];
                let sum: f64 = entries.iter().map(|e| f64::from(e.1) * logs[e.0 as usize]).sum();
                sum + priors.share(class).ln()
            }));
            for (exact, found) in exact.into_iter().zip(found) {
                assert!((exact - found).abs() < 1e-3, "{exact} {found}");
            }
        }
    }
}
