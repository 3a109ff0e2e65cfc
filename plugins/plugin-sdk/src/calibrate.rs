//! Makes confidences mean something, from logits of training rows without their own share.
//!
//! Models of text are right about the order of classes and wrong about the distance: naive Bayes
//! counts words that go together as if they did not. Two numbers are fitted to the given labels by
//! likelihood: a scale of the logits (Guo et al., "On calibration of modern neural networks",
//! 2017), and the share of labels that are wrong whatever the text says. Asked for the truth, the
//! share is left out of the answer: a row can then be sure of its label though one label in five is
//! wrong. Asked for the given label, it is part of it. Knows nothing of where logits come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bytes::{Reader, Writer};
use crate::lanes::{Kernel, run_wide};
use crate::math::{LANES, Lanes, ZERO, lanes_for, last_mask, ln, softmax};
use crate::{Error, Training, random};

/// What a confidence is the probability of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Calibrate {
    /// The label a text should have: the share of wrong labels is estimated and left out.
    Truth,
    /// The label a text was given, errors included.
    Given,
    /// As the model gives it.
    None,
}

/// Fitted numbers; what a model keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Factor of the logits.
    pub scale: f32,
    /// Share of labels that are drawn at random; 0 when the answer is to be about the truth.
    pub noise: f32,
}

/// Scales tried are this to a whole power: no logarithm that differs by system.
const SCALE_STEP: f64 = 1.1;
/// From 0.002 to 20,000.
const POWERS: Powers = Powers { smallest: -65, largest: 104 };
/// One row in this many finds about where the best scale is.
const COARSE_ROWS: usize = 4;
/// More noise than this cannot be told from a text that says nothing.
const LARGEST_NOISE: f64 = 0.5;
const SEARCH_STEPS: u32 = 14;

/// Logits and labels that were not learnt from each other.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Row-major `[rows, lanes]`.
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

/// Positions of training rows to calibrate with, with their labels and weights.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    pub positions: Vec<u32>,
    pub labels: Vec<u32>,
    pub weights: Vec<f32>,
}

/// Bounds of the scale, as powers of 1.1.
#[derive(Debug, Clone, Copy)]
pub struct Powers {
    pub smallest: i32,
    pub largest: i32,
}

/// Returns how many rows are enough for two numbers, and few enough to cost little beside the
/// training.
pub fn sample_size(classes: usize) -> usize {
    (400_000 / classes).clamp(500, 4000)
}

/// Draws enough rows for two numbers, and few enough to cost little beside the training; none when
/// there is nothing to calibrate.
pub fn choose(training: &Training<'_>, wanted: Calibrate) -> Chosen {
    if wanted == Calibrate::None {
        return Chosen::default();
    }
    let count = sample_size(training.class_count);
    let positions = random::sample(training.rows.len(), count, training.seed);
    Chosen {
        labels: positions.iter().map(|&at| training.labels[at as usize]).collect(),
        weights: positions.iter().map(|&at| training.weight(at as usize)).collect(),
        positions,
    }
}

impl Calibration {
    /// Leaves logits as they are.
    pub const NONE: Calibration = Calibration { scale: 1.0, noise: 0.0 };

    /// Fits both numbers; an empty sample says nothing.
    pub fn fit(sample: &Sample<'_>, wanted: Calibrate) -> Calibration {
        Calibration::fit_within(sample, wanted, POWERS)
    }

    /// The same with other bounds, for models that are known to be nearer the mark.
    pub fn fit_within(sample: &Sample<'_>, wanted: Calibrate, powers: Powers) -> Calibration {
        if wanted == Calibrate::None || sample.labels.is_empty() {
            return Calibration::NONE;
        }
        let scale = best_scale(sample, powers);
        let noise = likelihood(sample, scale).1;
        let kept = if wanted == Calibrate::Given { noise } else { 0.0 };
        Calibration { scale: scale as f32, noise: kept as f32 }
    }

    /// Turns the logits of a row into its probabilities; `mask` is that of [`last_mask`].
    #[inline(always)]
    pub fn write(&self, logits: &mut [Lanes], mask: &Lanes, out: &mut [f32]) {
        for logit in logits.iter_mut() {
            *logit = logit.scale(self.scale);
        }
        softmax(logits, mask);
        let even = self.noise / out.len() as f32;
        for (out, lanes) in out.chunks_mut(LANES).zip(logits) {
            for (out, value) in out.iter_mut().zip(&lanes.0) {
                *out = (1.0 - self.noise) * value + even;
            }
        }
    }

    pub fn save(&self, writer: &mut Writer) {
        writer.f32s(&[self.scale, self.noise]);
    }

    pub fn load(reader: &mut Reader<'_>) -> Result<Calibration, Error> {
        let (scale, noise) = (reader.f32()?, reader.f32()?);
        if !(0.0..=1.0).contains(&noise) || scale <= 0.0 {
            return Err(Error::new("the model's calibration is out of range"));
        }
        Ok(Calibration { scale, noise })
    }
}

/// Searches powers, coarsely in few rows and then around there in all of them.
fn best_scale(sample: &Sample<'_>, powers: Powers) -> f64 {
    let few = sample.labels.len() / COARSE_ROWS;
    let mut power = 0;
    if few > 0 {
        let coarse = sample.first(few);
        power = powers.climb(power, 8, |power| likelihood(&coarse, scale_of(power)).0).0;
        power = powers.climb(power, 2, |power| likelihood(&coarse, scale_of(power)).0).0;
    }
    let (power, [below, best, above]) =
        powers.climb(power, 1, |power| likelihood(sample, scale_of(power)).0);
    // The top of the parabola through the three.
    let bend = 2.0 * best - below - above;
    let shift = if bend > 0.0 { (0.5 * (above - below) / bend).clamp(-1.0, 1.0) } else { 0.0 };
    scale_of(power) * (1.0 + shift * (SCALE_STEP - 1.0))
}

fn scale_of(power: i32) -> f64 {
    SCALE_STEP.powi(power)
}

impl Powers {
    /// Goes uphill in steps until both neighbours are lower; returns where, and the three values.
    fn climb(self, start: i32, step: i32, value: impl Fn(i32) -> f64) -> (i32, [f64; 3]) {
        let mut at = start;
        let mut around = [value(at - step), value(at), value(at + step)];
        loop {
            if around[2] > around[1] && at + step < self.largest {
                at += step;
                around = [around[1], around[2], value(at + step)];
            } else if around[0] > around[1] && at - step > self.smallest {
                at -= step;
                around = [value(at - step), around[0], around[1]];
            } else {
                return (at, around);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of two classes whose labels follow the logit at `scale`, with one label in ten drawn
    /// anew.
    fn drawn(scale: f64) -> (Vec<Lanes>, Vec<u32>) {
        let mut random = random::Random::new(3);
        (0..6000)
            .map(|_| {
                let logit = random.share() * 8.0 - 4.0;
                let mut lanes = ZERO;
                lanes.0[1] = logit as f32;
                let honest = random.share() < 1.0 / (1.0 + (-scale * logit).exp());
                let label = if random.share() < 0.1 { random.share() < 0.5 } else { honest };
                (lanes, u32::from(label))
            })
            .unzip()
    }

    #[test]
    fn the_scale_and_the_noise_are_found() {
        for scale in [0.05, 1.0, 30.0] {
            let (logits, labels) = drawn(scale);
            let weights = vec![1.0; labels.len()];
            let sample = Sample { logits: &logits, labels: &labels, weights: &weights, classes: 2 };
            let given = Calibration::fit(&sample, Calibrate::Given);
            if scale > 0.5 {
                assert!((given.noise - 0.1).abs() < 0.04, "{given:?}");
            }
            assert!((0.6..1.6).contains(&(f64::from(given.scale) / scale)), "{given:?}");
            let truth = Calibration::fit(&sample, Calibrate::Truth);
            assert_eq!((truth.scale, truth.noise), (given.scale, 0.0));
            assert_eq!(Calibration::fit(&sample, Calibrate::None), Calibration::NONE);
        }
    }
}
