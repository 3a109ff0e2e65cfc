//! Multinomial logistic regression by dual coordinate ascent.
//!
//! Each row keeps its dual vector, which at the optimum is label minus probability; the weights are
//! `c` times the sum of dual vector times row vector. A step moves one row's dual vector towards
//! what the current weights say, and the weights with it. There is no learning rate to choose, the
//! regularisation is exact, and what a row itself put into the weights is known afterwards: taking
//! it out gives a logit that is nearly out of sample, which calibration needs.
//!
//! One thread walks the rows in an order drawn from the seed, so the bytes of a model depend on
//! nothing else.

use plugin_sdk::text::Counts;
use plugin_sdk::{Context, Error, Training};

use crate::math::{add_scaled, padded, softmax};
use crate::params::{ClassWeight, Learning};
use crate::vectors::{Vectors, Weighting};

/// Value of the feature every row has. Small, so that the intercept is hardly regularised and yet
/// does not swing with each row.
pub(crate) const BIAS_VALUE: f32 = 0.5;

/// Bound of the curvature of the loss, turned over; larger steps than the bound of 2 allows are
/// safe with many classes and reach the optimum sooner.
const SMOOTHNESS: f32 = 4.0;

/// Rows between two looks at the cancel flag.
const ROWS_PER_CHECK: usize = 8192;

/// What training leaves behind.
pub(crate) struct Trained {
    /// Row-major `[features, stride]`.
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
    /// Logits of some training rows without their own share, `[rows, stride]`, and their labels.
    pub held_out: Vec<f32>,
    pub held_out_labels: Vec<u32>,
    pub held_out_weights: Vec<f32>,
}

/// Fits weights on the training rows.
pub(crate) fn train(
    corpus: &Counts,
    weighting: &Weighting,
    training: &Training<'_>,
    learning: &Learning,
    context: &Context<'_>,
) -> Result<Trained, Error> {
    let classes = training.class_count;
    let stride = padded(classes);
    let order = shuffled(training.rows.len(), training.seed);
    let row_weights = row_weights(training, learning);
    let mut vectors = Vectors::default();
    for &position in &order {
        weighting.push_row(corpus, training.rows[position as usize], &mut vectors);
    }
    let mut state = State {
        weights: vec![0.0; weighting.idf.len() * stride],
        bias: vec![0.0; stride],
        duals: vec![0.0; order.len() * stride],
        logits: vec![0.0; stride],
        classes,
        c: learning.c,
    };
    for epoch in 0..learning.epochs {
        for (step, &position) in order.iter().enumerate() {
            if step % ROWS_PER_CHECK == 0 {
                context.check()?;
                let done = epoch as f32 + step as f32 / order.len() as f32;
                context.progress(done / learning.epochs as f32);
            }
            let position = position as usize;
            let label = training.labels[position] as usize;
            state.step(step, vectors.get(step), label, row_weights[position]);
        }
    }
    let held_out = held_out_count(order.len(), classes);
    let mut trained = Trained {
        weights: Vec::new(),
        bias: Vec::new(),
        held_out: Vec::with_capacity(held_out * stride),
        held_out_labels: Vec::with_capacity(held_out),
        held_out_weights: Vec::with_capacity(held_out),
    };
    for (step, &position) in order.iter().enumerate().take(held_out) {
        trained.held_out.extend_from_slice(state.logits_without(step, vectors.get(step)));
        trained.held_out_labels.push(training.labels[position as usize]);
        trained.held_out_weights.push(row_weights[position as usize]);
    }
    trained.weights = state.weights;
    trained.bias = state.bias;
    Ok(trained)
}

/// Enough rows for two numbers, and few enough to cost little beside the training.
fn held_out_count(rows: usize, classes: usize) -> usize {
    rows.min((400_000 / classes).clamp(500, 4000))
}

struct State {
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// Dual vector of each row, in training order.
    duals: Vec<f32>,
    logits: Vec<f32>,
    classes: usize,
    c: f32,
}

impl State {
    fn step(&mut self, step: usize, entries: &[(u32, f32)], label: usize, weight: f32) {
        let stride = self.bias.len();
        self.score(entries);
        softmax(&mut self.logits, self.classes);
        let norm = squared_norm(entries);
        let rate = SMOOTHNESS / (SMOOTHNESS + self.c * weight * norm);
        let dual = &mut self.duals[step * stride..][..stride];
        // The logits become the change of the dual vector.
        for (change, dual) in self.logits.iter_mut().zip(dual.iter_mut()) {
            *change = rate * (-weight * *change - *dual);
        }
        self.logits[label] += rate * weight;
        for (change, dual) in self.logits.iter_mut().zip(dual.iter_mut()) {
            *dual += *change;
            *change *= self.c;
        }
        for &(number, value) in entries {
            let row = &mut self.weights[number as usize * stride..][..stride];
            add_scaled(row, &self.logits, value);
        }
        add_scaled(&mut self.bias, &self.logits, BIAS_VALUE);
    }

    fn score(&mut self, entries: &[(u32, f32)]) {
        score(&self.weights, &self.bias, entries, &mut self.logits);
    }

    /// Returns the logits of a training row less what the row itself put into the weights.
    fn logits_without(&mut self, step: usize, entries: &[(u32, f32)]) -> &[f32] {
        self.score(entries);
        let stride = self.bias.len();
        let own = self.c * squared_norm(entries);
        add_scaled(&mut self.logits, &self.duals[step * stride..][..stride], -own);
        &self.logits
    }
}

/// Rows have a norm of 1, or 0 when they have no feature; the bias comes on top.
fn squared_norm(entries: &[(u32, f32)]) -> f32 {
    BIAS_VALUE * BIAS_VALUE + if entries.is_empty() { 0.0 } else { 1.0 }
}

/// Writes the logits of a row vector.
#[inline]
pub(crate) fn score(weights: &[f32], bias: &[f32], entries: &[(u32, f32)], logits: &mut [f32]) {
    let stride = bias.len();
    for (logit, bias) in logits.iter_mut().zip(bias) {
        *logit = BIAS_VALUE * bias;
    }
    for &(number, value) in entries {
        add_scaled(logits, &weights[number as usize * stride..][..stride], value);
    }
}

fn row_weights(training: &Training<'_>, learning: &Learning) -> Vec<f32> {
    let given = (0..training.rows.len()).map(|position| training.weight(position));
    if learning.class_weight == ClassWeight::None {
        return given.collect();
    }
    let mut totals = vec![0.0_f64; training.class_count];
    let mut sum = 0.0;
    for (position, &label) in training.labels.iter().enumerate() {
        totals[label as usize] += f64::from(training.weight(position));
        sum += f64::from(training.weight(position));
    }
    let present = totals.iter().filter(|total| **total > 0.0).count() as f64;
    let factor = |label: u32| (sum / (present * totals[label as usize])) as f32;
    given.zip(training.labels).map(|(weight, &label)| weight * factor(label)).collect()
}

/// Returns the positions in an order drawn from the seed.
fn shuffled(length: usize, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..length as u32).collect();
    let mut state = seed;
    for last in (1..length).rev() {
        let other = ((u128::from(split_mix(&mut state)) * (last as u128 + 1)) >> 64) as usize;
        order.swap(last, other);
    }
    order
}

/// The SplitMix64 generator: one addition and two multiplications a number.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut value = *state;
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
