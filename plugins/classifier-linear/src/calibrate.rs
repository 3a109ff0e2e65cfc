//! Makes confidences mean something, from logits of training rows without their own share.
//!
//! Regularised weights are right about the order of classes and too timid about the distance, and
//! labels with errors make them more so. Two numbers are fitted to the given labels by likelihood:
//! a scale of the logits, and the share of labels that are wrong whatever the text says. Asked for
//! the truth, the share is left out of the answer: a row can then be sure of its label though one
//! label in five is wrong. Asked for the given label, it is part of it.

use plugin_sdk::lanes::{Kernel, run_wide};

use crate::math::{LANES, Lanes, ZERO, lanes_for, last_mask, ln, softmax};
use crate::params::Calibrate;

/// Fitted numbers; what a model keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Calibration {
    /// Factor of the logits.
    pub scale: f32,
    /// Share of labels that are drawn at random; 0 when the answer is to be about the truth.
    pub noise: f32,
}

/// Scales tried are this to a whole power, from 0.2 to 60: no logarithm that differs by system.
const SCALE_STEP: f64 = 1.1;
const SMALLEST_POWER: i32 = -17;
const LARGEST_POWER: i32 = 43;
/// One row in this many finds about where the best scale is.
const COARSE_ROWS: usize = 4;
/// More noise than this cannot be told from a text that says nothing.
const LARGEST_NOISE: f64 = 0.5;
const SEARCH_STEPS: u32 = 14;

/// Logits and labels that were not learnt from each other.
pub(crate) struct Sample<'a> {
    /// Row-major.
    pub logits: &'a [Lanes],
    pub labels: &'a [u32],
    pub weights: &'a [f32],
    pub classes: usize,
}

impl<'a> Sample<'a> {
    fn first(&self, rows: usize) -> Sample<'a> {
        Sample {
            logits: &self.logits[..rows * lanes_for(self.classes)],
            labels: &self.labels[..rows],
            weights: &self.weights[..rows],
            classes: self.classes,
        }
    }
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

/// Searches powers, coarsely in few rows and then around there in all of them.
fn best_scale(sample: &Sample<'_>) -> f64 {
    let few = sample.labels.len() / COARSE_ROWS;
    let mut power = 0;
    if few > 0 {
        let coarse = sample.first(few);
        power = climb(power, 8, |power| likelihood(&coarse, scale_of(power)).0).0;
        power = climb(power, 2, |power| likelihood(&coarse, scale_of(power)).0).0;
    }
    let (power, [below, best, above]) =
        climb(power, 1, |power| likelihood(sample, scale_of(power)).0);
    // The top of the parabola through the three.
    let bend = 2.0 * best - below - above;
    let shift = if bend > 0.0 { (0.5 * (above - below) / bend).clamp(-1.0, 1.0) } else { 0.0 };
    scale_of(power) * (1.0 + shift * (SCALE_STEP - 1.0))
}

fn scale_of(power: i32) -> f64 {
    SCALE_STEP.powi(power)
}

/// Goes uphill in steps until both neighbours are lower; returns where, and the three values.
fn climb(start: i32, step: i32, value: impl Fn(i32) -> f64) -> (i32, [f64; 3]) {
    let mut at = start;
    let mut around = [value(at - step), value(at), value(at + step)];
    loop {
        if around[2] > around[1] && at + step < LARGEST_POWER {
            at += step;
            around = [around[1], around[2], value(at + step)];
        } else if around[0] > around[1] && at - step > SMALLEST_POWER {
            at -= step;
            around = [value(at - step), around[0], around[1]];
        } else {
            return (at, around);
        }
    }
}

/// Returns the mean log-likelihood of the labels at a scale, with the best noise for it.
fn likelihood(sample: &Sample<'_>, scale: f64) -> (f64, f64) {
    let probabilities = run_wide(LabelProbabilities { sample, scale: scale as f32 });
    let noise = best_noise(&probabilities, sample);
    let even = 1.0 / sample.classes as f64;
    let mut sum = 0.0;
    let mut weights = 0.0;
    for (probability, &weight) in probabilities.iter().zip(sample.weights) {
        let mixed = (1.0 - noise) * probability + noise * even;
        sum += f64::from(weight) * ln(mixed.max(1e-12));
        weights += f64::from(weight);
    }
    (sum / weights, noise)
}

/// The probability of each row's label at a scale.
struct LabelProbabilities<'a> {
    sample: &'a Sample<'a>,
    scale: f32,
}

impl Kernel for LabelProbabilities<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn run(self) -> Vec<f64> {
        let LabelProbabilities { sample, scale } = self;
        let width = lanes_for(sample.classes);
        let mask = last_mask(sample.classes);
        let mut scaled = vec![ZERO; width];
        let mut all = Vec::with_capacity(sample.labels.len());
        for (logits, &label) in sample.logits.chunks_exact(width).zip(sample.labels) {
            for (scaled, logit) in scaled.iter_mut().zip(logits) {
                *scaled = logit.scale(scale);
            }
            softmax(&mut scaled, &mask);
            all.push(f64::from(scaled[label as usize / LANES].0[label as usize % LANES]));
        }
        all
    }
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
