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

use plugin_sdk::calibrate::sample_size;
use plugin_sdk::lanes::run_wide;
use plugin_sdk::math::Lanes;
use plugin_sdk::random::Random;
use plugin_sdk::text::Counts;
use plugin_sdk::{Context, Error, Training};

use crate::ascent::{Ascent, HeldOut, Rows, Steps, Strength};
use crate::params::{ClassWeight, Learning};
use crate::vectors::{Vectors, Weighting};

/// Rows between two looks at the cancel flag.
const ROWS_PER_CHECK: usize = 8192;

/// Where row vectors come from.
pub(crate) struct Source<'a> {
    pub counts: &'a Counts,
    pub weighting: &'a Weighting,
    /// Features of the model.
    pub features: usize,
}

/// What training leaves behind.
pub(crate) struct Trained {
    /// Row-major `[features, lanes]`.
    pub weights: Vec<Lanes>,
    pub bias: Vec<Lanes>,
    /// Logits of some training rows without their own share, `[rows, lanes]`, and their labels.
    pub held_out: Vec<Lanes>,
    pub held_out_labels: Vec<u32>,
    pub held_out_weights: Vec<f32>,
}

/// What training needs while it is on.
#[derive(Default)]
pub(crate) struct Buffers {
    vectors: Vectors,
    duals: Vec<Lanes>,
}

/// Fits weights on the training rows.
pub(crate) fn train(
    source: &Source<'_>,
    training: &Training<'_>,
    learning: &Learning,
    buffers: &mut Buffers,
    context: &Context<'_>,
) -> Result<Trained, Error> {
    let order = shuffled(training.rows.len(), training.seed);
    let walked: Vec<u32> = order.iter().map(|&at| training.rows[at as usize]).collect();
    let Buffers { vectors, duals } = buffers;
    source.weighting.vectors(source.counts, &walked, vectors);
    let row_weights = row_weights(training, learning);
    let row_weights: Vec<f32> = order.iter().map(|&at| row_weights[at as usize]).collect();
    let labels: Vec<u32> = order.iter().map(|&at| training.labels[at as usize]).collect();
    let rows = Rows { vectors, labels: &labels, weights: &row_weights };
    let strength = Strength { c: learning.c, doubt: learning.doubt };
    let duals = std::mem::take(duals);
    let mut ascent = Ascent::new(rows, source.features, training.class_count, strength, duals);
    for epoch in 0..learning.epochs {
        for start in (0..order.len()).step_by(ROWS_PER_CHECK) {
            context.check()?;
            let done = epoch as f32 + start as f32 / order.len() as f32;
            context.progress(done / learning.epochs as f32);
            let end = order.len().min(start + ROWS_PER_CHECK);
            run_wide(Steps { ascent: &mut ascent, rows: start..end });
        }
    }
    let count = sample_size(training.class_count).min(order.len());
    let held_out = run_wide(HeldOut { ascent: &ascent, count });
    let Ascent { weights, bias, duals, .. } = ascent;
    buffers.duals = duals;
    Ok(Trained {
        weights,
        bias,
        held_out,
        held_out_labels: labels[..count].to_vec(),
        held_out_weights: row_weights[..count].to_vec(),
    })
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
    let mut random = Random::new(seed);
    for last in (1..length).rev() {
        order.swap(last, random.below(last + 1));
    }
    order
}
