//! Hands the loss to smartcore's L-BFGS, and calibrates what it finds.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use plugin_sdk::calibrate::{Calibration, Sample, choose};
use plugin_sdk::lanes::{Kernel, run_wide};
use plugin_sdk::math::{LANES, Lanes, ZERO, lanes_for, last_mask, ln, softmax};
use plugin_sdk::text::{Counts, LogLinear, Resolved, Weighting};
use plugin_sdk::{Context, Error, Training};
use smartcore::optimization::FunctionOrder;
use smartcore::optimization::first_order::FirstOrderOptimizer;
use smartcore::optimization::first_order::lbfgs::LBFGS;
use smartcore::optimization::line_search::Backtracking;

use crate::Params;
use crate::loss::{Loss, Rows};

/// Most weights, dimensions times classes: L-BFGS holds about 170 bytes for each.
const MOST_WEIGHTS: usize = 4_500_000;

/// Steps L-BFGS remembers.
const MEMORY: usize = 5;

const WEIGHTING: Weighting =
    Weighting { sublinear_tf: true, idf: true, unit_length: true, hashed_to: 0 };

pub(crate) fn fit(
    counts: &Counts,
    params: &Params,
    training: &Training<'_>,
    context: &Context<'_>,
) -> Result<LogLinear, Error> {
    let classes = training.class_count;
    let width = lanes_for(classes);
    let (vectoriser, texts) = params.projection().learn(counts, training, WEIGHTING);
    let dimensions = vectoriser.dimensions();
    let most = MOST_WEIGHTS / (width * LANES);
    if dimensions > most {
        return Err(Error::new(format!(
            "{dimensions} dimensions times {classes} classes are more than {MOST_WEIGHTS} weights, \
             the most this plugin holds; set `dimensions` to {most} or less"
        )));
    }
    context.check()?;
    let rows = read_rows(&texts, training);
    let (offsets, total) = class_shares(training);
    let loss = Loss {
        rows: &rows,
        classes,
        offsets: &offsets,
        total: total.max(1.0),
        penalty: 1.0 / params.c,
    };
    let length = (dimensions + 1) * width;
    let weights = minimise(&loss, length, params.iterations, context)?;
    let chosen = choose(training, params.calibrate);
    let positions = &chosen.positions;
    let logits = run_wide(HeldOut { loss: &loss, weights: &weights, positions });
    let (labels, row_weights) = (&chosen.labels, &chosen.weights);
    let sample = Sample { logits: &logits, labels, weights: row_weights, classes };
    let calibration = Calibration::fit(&sample, params.calibrate);
    let (weights, bias) = weights.split_at(dimensions * width);
    let bias = offsets.iter().zip(bias).map(|(offset, bias)| offset.plus(*bias)).collect();
    Ok(LogLinear { vectoriser, calibration, classes, bias, weights: weights.to_vec() })
}

fn read_rows(texts: &Resolved<'_>, training: &Training<'_>) -> Rows {
    let mut rows = Rows {
        entries: Vec::new(),
        ends: Vec::with_capacity(training.rows.len()),
        labels: training.labels.to_vec(),
        weights: (0..training.rows.len()).map(|position| training.weight(position)).collect(),
    };
    let mut entries = Vec::new();
    for &row in training.rows {
        texts.row(row, &mut entries);
        rows.entries.extend_from_slice(&entries);
        rows.ends.push(rows.entries.len());
    }
    rows
}

/// Returns the logarithm of each class's share, as if each had one row more, and the sum of weights.
fn class_shares(training: &Training<'_>) -> (Vec<Lanes>, f64) {
    let totals = training.smoothed_totals();
    let sum: f64 = totals.iter().sum();
    let mut shares = vec![ZERO; lanes_for(training.class_count)];
    for (class, total) in totals.iter().enumerate() {
        shares[class / LANES].0[class % LANES] = ln(total / sum) as f32;
    }
    (shares, sum - training.class_count as f64)
}

/// The last place the loss was evaluated: smartcore asks for value and gradient one by one.
struct Last {
    at: Vec<f64>,
    value: f64,
    gradient: Vec<Lanes>,
    evaluations: u32,
    cancelled: bool,
    /// The lowest value so far and where it is.
    best: (f64, Vec<f64>),
}

fn minimise(
    loss: &Loss<'_>,
    length: usize,
    iterations: u32,
    context: &Context<'_>,
) -> Result<Vec<Lanes>, Error> {
    // No padding here: smartcore's vectors are where the time goes.
    let (classes, width) = (loss.classes, loss.offsets.len());
    let start = vec![0.0_f64; length / width * classes];
    let last = RefCell::new(Last {
        at: Vec::new(),
        value: 0.0,
        gradient: vec![ZERO; length],
        evaluations: 0,
        cancelled: false,
        best: (f64::INFINITY, start.clone()),
    });
    let evaluate = |at: &Vec<f64>| {
        let mut last = last.borrow_mut();
        last.cancelled |= context.is_cancelled();
        if last.cancelled {
            // A flat place: L-BFGS takes it for the minimum and ends.
            last.value = 0.0;
            last.gradient.fill(ZERO);
        } else if last.at != *at {
            last.at.clone_from(at);
            let weights = to_lanes(at, classes);
            last.value = loss.evaluate(&weights, &mut last.gradient);
            if last.value < last.best.0 {
                last.best = (last.value, at.clone());
            }
            last.evaluations += 1;
            context.progress((last.evaluations as f32 / (iterations + 1) as f32).min(1.0));
        }
    };
    let value = |at: &Vec<f64>| {
        evaluate(at);
        last.borrow().value
    };
    let gradient = |gradient: &mut Vec<f64>, at: &Vec<f64>| {
        evaluate(at);
        let last = last.borrow();
        let rows = gradient.chunks_exact_mut(classes).zip(last.gradient.chunks_exact(width));
        for (out, row) in rows {
            let values = row.iter().flat_map(|lanes| lanes.0);
            out.iter_mut().zip(values).for_each(|(out, value)| *out = f64::from(value));
        }
    };
    let optimiser = LBFGS {
        max_iter: iterations as usize,
        g_atol: 1e-6,
        f_reltol: 1e-6,
        m: MEMORY,
        ..LBFGS::default()
    };
    let line = Backtracking::<f64> { order: FunctionOrder::THIRD, ..Backtracking::default() };
    // smartcore panics when a line search finds no lower place, as happens beside the minimum; the
    // best place so far is then as good as any.
    let search = AssertUnwindSafe(|| optimiser.optimize(&value, &gradient, &start, &line).x);
    let found = catch_unwind(search);
    let last = last.into_inner();
    if last.cancelled {
        return Err(Error::Cancelled);
    }
    let found = found.unwrap_or(last.best.1);
    if found.iter().any(|weight| !weight.is_finite()) {
        return Err(Error::new("the regression did not settle; set `c` to a smaller value"));
    }
    Ok(to_lanes(&found, classes))
}

fn to_lanes(values: &[f64], classes: usize) -> Vec<Lanes> {
    let width = lanes_for(classes);
    let mut lanes = vec![ZERO; values.len() / classes * width];
    for (row, values) in lanes.chunks_exact_mut(width).zip(values.chunks_exact(classes)) {
        for (lanes, values) in row.iter_mut().zip(values.chunks(LANES)) {
            lanes.0.iter_mut().zip(values).for_each(|(lane, value)| *lane = *value as f32);
        }
    }
    lanes
}

/// Logits of some rows without what each put into the weights itself.
///
/// At the minimum the weights are `c` times the sum over rows of (label - probability) times the
/// row, so a row's own share of its logits is known; what the other rows would do in its place is
/// left out.
struct HeldOut<'a> {
    loss: &'a Loss<'a>,
    weights: &'a [Lanes],
    positions: &'a [u32],
}

impl Kernel for HeldOut<'_> {
    type Output = Vec<Lanes>;

    #[inline(always)]
    fn run(self) -> Vec<Lanes> {
        let HeldOut { loss, weights, positions } = self;
        let width = loss.offsets.len();
        let mask = last_mask(loss.classes);
        let mut all = vec![ZERO; positions.len() * width];
        let mut share = vec![ZERO; width];
        for (&position, logits) in positions.iter().zip(all.chunks_exact_mut(width)) {
            let row = position as usize;
            loss.logits(weights, row, logits);
            share.copy_from_slice(logits);
            softmax(&mut share, &mask);
            let label = loss.rows.labels[row] as usize;
            share[label / LANES].0[label % LANES] -= 1.0;
            let squares: f32 = loss.rows.get(row).iter().map(|entry| entry.1 * entry.1).sum();
            // The bias is a dimension in which every row is 1.
            let factor = (squares + 1.0) * loss.rows.weights[row] / loss.penalty as f32;
            for (logit, share) in logits.iter_mut().zip(&share) {
                *logit = logit.plus(share.scale(factor));
            }
        }
        all
    }
}
