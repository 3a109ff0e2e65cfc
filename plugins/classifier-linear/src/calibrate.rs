//! Makes confidences mean something, from logits of training rows without their own share.
//!
//! Regularised weights are right about the order of classes and too timid about the distance, and
//! labels with errors make them more so. Two numbers are fitted to the given labels by likelihood:
//! a scale of the logits, and the share of labels that are wrong whatever the text says. Asked for
//! the truth, the share is left out of the answer: a row can then be sure of its label though one
//! label in five is wrong. Asked for the given label, it is part of it.

use crate::math::{padded, softmax};
use crate::params::Calibrate;

/// Fitted numbers; what a model keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Calibration {
    /// Factor of the logits.
    pub scale: f32,
    /// Share of labels that are drawn at random; 0 when the answer is to be about the truth.
    pub noise: f32,
}

const SMALLEST_SCALE: f64 = 0.2;
const LARGEST_SCALE: f64 = 60.0;
/// More noise than this cannot be told from a text that says nothing.
const LARGEST_NOISE: f64 = 0.5;
const SEARCH_STEPS: u32 = 14;

/// Logits and labels that were not learnt from each other.
pub(crate) struct Sample<'a> {
    /// Row-major, padded.
    pub logits: &'a [f32],
    pub labels: &'a [u32],
    pub weights: &'a [f32],
    pub classes: usize,
}

pub(crate) fn calibrate(sample: &Sample<'_>, wanted: Calibrate) -> Calibration {
    if wanted == Calibrate::None || sample.labels.is_empty() {
        return Calibration { scale: 1.0, noise: 0.0 };
    }
    let scale = best_scale(sample);
    let noise = likelihood(sample, scale).1;
    let kept = if wanted == Calibrate::Given { noise } else { 0.0 };
    Calibration { scale: scale as f32, noise: kept as f32 }
}

/// Searches the logarithm of the scale by golden sections; each try costs one pass.
fn best_scale(sample: &Sample<'_>) -> f64 {
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (SMALLEST_SCALE.ln(), LARGEST_SCALE.ln());
    let value = |log_scale: f64| likelihood(sample, log_scale.exp()).0;
    let mut left = high - golden * (high - low);
    let mut right = low + golden * (high - low);
    let (mut at_left, mut at_right) = (value(left), value(right));
    for _ in 0..SEARCH_STEPS {
        if at_left > at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - golden * (high - low);
            at_left = value(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + golden * (high - low);
            at_right = value(right);
        }
    }
    f64::midpoint(low, high).exp()
}

/// Returns the mean log-likelihood of the labels at a scale, with the best noise for it.
fn likelihood(sample: &Sample<'_>, scale: f64) -> (f64, f64) {
    let stride = padded(sample.classes);
    let mut scaled = vec![0.0; stride];
    let probabilities: Vec<f64> = sample
        .logits
        .chunks_exact(stride)
        .zip(sample.labels)
        .map(|(logits, &label)| {
            for (scaled, logit) in scaled.iter_mut().zip(logits) {
                *scaled = logit * scale as f32;
            }
            softmax(&mut scaled, sample.classes);
            f64::from(scaled[label as usize])
        })
        .collect();
    let noise = best_noise(&probabilities, sample);
    let even = 1.0 / sample.classes as f64;
    let mut sum = 0.0;
    let mut weights = 0.0;
    for (probability, &weight) in probabilities.iter().zip(sample.weights) {
        let mixed = (1.0 - noise) * probability + noise * even;
        sum += f64::from(weight) * mixed.max(1e-12).ln();
        weights += f64::from(weight);
    }
    (sum / weights, noise)
}

/// The likelihood is concave in the noise, so the root of its slope is found by halving.
fn best_noise(probabilities: &[f64], sample: &Sample<'_>) -> f64 {
    let even = 1.0 / sample.classes as f64;
    let slope = |noise: f64| -> f64 {
        probabilities
            .iter()
            .zip(sample.weights)
            .map(|(probability, &weight)| {
                let mixed = (1.0 - noise) * probability + noise * even;
                f64::from(weight) * (even - probability) / mixed.max(1e-12)
            })
            .sum()
    };
    let (mut low, mut high) = (0.0, LARGEST_NOISE);
    if slope(low) <= 0.0 {
        return low;
    }
    for _ in 0..SEARCH_STEPS {
        let middle = f64::midpoint(low, high);
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}
