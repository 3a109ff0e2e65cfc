//! Class sums of the training rows, and smartcore's estimate from them.

use std::cmp::Reverse;

use plugin_sdk::text::Counts;
use plugin_sdk::{Context, Error, Training};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::naive_bayes::multinomial::{MultinomialNB, MultinomialNBParameters};

use crate::Params;
use crate::model::Model;

/// Most cells of the dense matrix; smartcore holds 24 bytes for each while it fits.
const MOST_CELLS: usize = 16_000_000;

/// smartcore counts in whole numbers: weights are counted in parts of this. Smoothing grows by the
/// same factor, which then falls out of the estimate.
const WEIGHT_PARTS: f64 = 1024.0;

type Estimate = MultinomialNB<u64, u32, DenseMatrix<u64>, Vec<u32>>;

pub(crate) fn fit(
    counts: &Counts,
    params: &Params,
    training: &Training<'_>,
    context: &Context<'_>,
) -> Result<Model, Error> {
    let kept = kept_features(counts, params, training.rows);
    let classes = training.class_count;
    let cells = kept.len().saturating_mul(classes);
    if cells > MOST_CELLS {
        let fit = MOST_CELLS / classes;
        return Err(Error::new(format!(
            "{} features times {classes} classes are more than {MOST_CELLS}, the most this plugin \
             holds; set `max_features` to {fit} or less",
            kept.len()
        )));
    }
    context.check()?;
    let priors = priors(training);
    let log_priors = priors.iter().map(|prior| prior.ln() as f32).collect();
    let log_likelihoods = if kept.is_empty() {
        Vec::new()
    } else {
        estimate(counts, params, training, &kept, priors)?
    };
    Ok(Model {
        settings: counts.settings(),
        hashes: kept.iter().map(|&feature| counts.hashes()[feature as usize]).collect(),
        log_priors,
        log_likelihoods,
    })
}

/// Returns log-likelihoods by feature and class.
fn estimate(
    counts: &Counts,
    params: &Params,
    training: &Training<'_>,
    kept: &[u32],
    priors: Vec<f64>,
) -> Result<Vec<f32>, Error> {
    let (features, classes) = (kept.len(), training.class_count);
    let parts = if training.weights.is_some() { WEIGHT_PARTS } else { 1.0 };
    let sums = class_sums(counts, training, kept, parts);
    let failed = |error| Error::new(format!("smartcore: {error}"));
    let matrix = DenseMatrix::new(classes, features, sums, false).map_err(failed)?;
    let labels: Vec<u32> = (0..classes as u32).collect();
    let parameters =
        MultinomialNBParameters::default().with_alpha(params.alpha * parts).with_priors(priors);
    let estimate: Estimate = MultinomialNB::fit(&matrix, &labels, parameters).map_err(failed)?;
    let by_class = estimate.feature_log_prob();
    assert_eq!(estimate.classes().len(), classes, "one class a row, in order");
    let cells = (0..features).flat_map(|feature| by_class.iter().map(move |row| row[feature]));
    Ok(cells.map(|value| value as f32).collect())
}

/// Returns the sum of counts by class and feature, in whole parts of a weight.
fn class_sums(counts: &Counts, training: &Training<'_>, kept: &[u32], parts: f64) -> Vec<u64> {
    let mut numbers = vec![u32::MAX; counts.hashes().len()];
    for (number, &feature) in kept.iter().enumerate() {
        numbers[feature as usize] = number as u32;
    }
    let mut sums = vec![0_u64; kept.len() * training.class_count];
    for (position, &row) in training.rows.iter().enumerate() {
        let start = training.labels[position] as usize * kept.len();
        // Below one part a weight would be nothing; above, sums must stay far from overflow.
        let weight = (f64::from(training.weight(position)) * parts).round().clamp(1.0, 1e9) as u64;
        let (features, row_counts) = counts.row(row);
        for (&feature, &count) in features.iter().zip(row_counts) {
            let number = numbers[feature as usize];
            if number != u32::MAX {
                sums[start + number as usize] += weight * u64::from(count);
            }
        }
    }
    sums
}

/// Returns the features that occur often enough in the training rows, in rising order.
fn kept_features(counts: &Counts, params: &Params, rows: &[u32]) -> Vec<u32> {
    let mut frequencies = vec![0_u32; counts.hashes().len()];
    for &row in rows {
        for &feature in counts.row(row).0 {
            frequencies[feature as usize] += 1;
        }
    }
    let mut kept: Vec<u32> = (0..frequencies.len() as u32)
        .filter(|&feature| frequencies[feature as usize] >= params.min_df)
        .collect();
    if kept.len() > params.max_features {
        // Ties go by hash, which no row outside the training set changes.
        kept.sort_unstable_by_key(|&feature| {
            (Reverse(frequencies[feature as usize]), counts.hashes()[feature as usize])
        });
        kept.truncate(params.max_features);
        kept.sort_unstable();
    }
    kept
}

/// Returns the share of each class, as if each had one row more.
fn priors(training: &Training<'_>) -> Vec<f64> {
    let mut totals = vec![1.0_f64; training.class_count];
    for (position, &label) in training.labels.iter().enumerate() {
        totals[label as usize] += f64::from(training.weight(position));
    }
    let sum: f64 = totals.iter().sum();
    totals.into_iter().map(|total| total / sum).collect()
}
