//! Steps of dual coordinate ascent, and what it remembers of each row.
//!
//! Two things make later passes cheap. A row whose dual vector is nearly where it should be is left
//! alone, and not looked at in the next pass; with noisy labels this also forgives a little, which
//! does accuracy good. And of many classes a row is only ever near a few: lanes of eight classes
//! whose gap is negligible are left out of a step, and where rows times classes would take too much
//! memory, each row remembers a few lanes only. Both are steps on fewer coordinates, so the weights
//! stay the exact sum of dual vectors times rows.
//!
//! Labels may be wrong. A row whose own label the weights find far less likely than another pulls
//! less: its goal shrinks by `l / (l + doubt * p * m)`, with `l` the likelihood ratio of its label to
//! the label's share of the rows, `m` the largest such ratio and `p` the largest probability. That is
//! about the probability that the label is right when `doubt * p` is the odds of a wrong one. Ratios,
//! so that a rare class is not doubted for being rare; `p`, since weights that have no opinion yet
//! cannot contradict: without it, of a thousand classes most were never learnt.

use plugin_sdk::lanes::{Kernel, prefetch};
use plugin_sdk::math::{LANES, Lanes, ZERO, add_rows, lanes_for, last_mask, softmax};

use crate::spread::{spread_lanes, spread_row};
use crate::vectors::Vectors;

/// Value of the feature every row has. Small, so that the intercept is hardly regularised and yet
/// does not swing with each row.
pub(crate) const BIAS_VALUE: f32 = 0.5;

/// Bound of the curvature of the loss, turned over; larger steps than the bound of 2 allows are
/// safe with many classes and reach the optimum sooner.
const SMOOTHNESS: f32 = 4.0;

/// A row is left alone when no class is further than this from its goal, as a share of the row's
/// weight. Chosen on noisy sets, where a smaller one was slower and a larger one was better on some
/// and worse on others.
const ROW_GAP: f32 = 0.08;

/// The same for eight classes of many.
const LANES_GAP: f32 = 0.005;

/// With limited memory, lanes get a slot of a row when a class is this far from its goal, or this
/// many times further than chance: a slot is never given back.
const SLOT_GAP: f32 = 0.02;
const SLOT_CHANCES: f32 = 3.0;

/// With no more lanes than this, all are stepped together.
const FEW_LANES: usize = 8;

/// Most lanes of dual vectors: 256 MB.
const MOST_DUALS: usize = 8_000_000;

/// Weights, and the dual vector of each row.
pub(crate) struct Ascent<'a> {
    pub rows: Rows<'a>,
    /// Row-major `[features, lanes]`.
    pub weights: Vec<Lanes>,
    pub bias: Vec<Lanes>,
    /// Lanes of dual vectors: all of them, or as many as there are slots.
    pub duals: Vec<Lanes>,
    /// Which lanes a slot holds, plus one; 0 when free. Empty when every row has all lanes.
    owners: Vec<u32>,
    /// Rows that the next pass leaves out.
    settled: Vec<bool>,
    logits: Vec<Lanes>,
    /// Slot of each lanes in the current row.
    slots: Vec<u32>,
    /// Slots of each row: the number of lanes, or fewer.
    held: usize,
    /// How far lanes without a slot must be from their goal to get one.
    slot_gap: f32,
    mask: Lanes,
    /// The inverse of each class's share of the rows; 0 for a class without one.
    rarity: Vec<Lanes>,
    strength: Strength,
}

/// How strongly rows and their labels pull at the weights.
#[derive(Clone, Copy)]
pub(crate) struct Strength {
    /// Inverse strength of the L2 regularisation.
    pub c: f32,
    /// Odds of a wrong label where the weights are sure of another; 0 takes every label as right.
    pub doubt: f32,
}

/// Training rows in the order they are walked.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub vectors: &'a Vectors,
    pub labels: &'a [u32],
    pub weights: &'a [f32],
}

impl<'a> Ascent<'a> {
    /// Starts from nothing; what is in `duals` is written over.
    pub fn new(
        rows: Rows<'a>,
        features: usize,
        classes: usize,
        strength: Strength,
        duals: Vec<Lanes>,
    ) -> Ascent<'a> {
        let held = (MOST_DUALS / rows.labels.len().max(1)).max(FEW_LANES);
        Ascent::with_slots(rows, features, classes, strength, held, duals)
    }

    fn with_slots(
        rows: Rows<'a>,
        features: usize,
        classes: usize,
        strength: Strength,
        held: usize,
        mut duals: Vec<Lanes>,
    ) -> Ascent<'a> {
        let width = lanes_for(classes);
        let count = rows.labels.len();
        let held = held.min(width);
        let full = held == width;
        duals.clear();
        duals.resize(count * held, ZERO);
        Ascent {
            rows,
            weights: vec![ZERO; features * width],
            bias: vec![ZERO; width],
            duals,
            owners: vec![0; if full { 0 } else { count * held }],
            settled: vec![false; count],
            logits: vec![ZERO; width],
            slots: vec![0; width],
            held,
            slot_gap: SLOT_GAP.max(SLOT_CHANCES / classes as f32),
            mask: last_mask(classes),
            rarity: rarity(rows, width),
            strength,
        }
    }

    #[inline(always)]
    fn step(&mut self, row: usize) {
        if std::mem::take(&mut self.settled[row]) {
            return;
        }
        self.prefetch(row + 1);
        let entries = self.rows.vectors.get(row);
        let width = self.bias.len();
        let weight = self.rows.weights[row];
        let label = self.rows.labels[row] as usize;
        let logits = &mut self.logits[..width];
        score(&self.weights, &self.bias, entries, logits);
        softmax(logits, &self.mask);
        let pull = if self.strength.doubt > 0.0 { -weight * self.trust(label) } else { -weight };
        let logits = &mut self.logits[..width];
        logits[label / LANES].0[label % LANES] -= 1.0;
        for gap in logits.iter_mut() {
            *gap = gap.scale(pull);
        }
        let rate = SMOOTHNESS / (SMOOTHNESS + self.strength.c * weight * squared_norm(entries));
        let step = Step { row, weight, rate };
        if width <= FEW_LANES { self.step_all(step) } else { self.step_some(step) }
    }

    /// Returns how far the probabilities in `logits` bear out a label: 1 when it is the likeliest,
    /// measured by its share, and towards 0 when another is much likelier.
    #[inline(always)]
    fn trust(&self, label: usize) -> f32 {
        let (mut most, mut surest) = (ZERO, ZERO);
        for (probability, rarity) in self.logits.iter().zip(&self.rarity) {
            most = most.max(probability.times(*rarity));
            surest = surest.max(*probability);
        }
        let doubt = self.strength.doubt * surest.largest();
        let (lanes, lane) = (label / LANES, label % LANES);
        let own = self.logits[lanes].0[lane] * self.rarity[lanes].0[lane];
        // The smallest positive float keeps 0 / 0 away where a probability is too small.
        own * (1.0 + doubt) / (own + doubt * most.largest()).max(f32::MIN_POSITIVE)
    }

    /// Asks for the weights of a row that comes next: they are all over the memory.
    #[inline(always)]
    fn prefetch(&self, row: usize) {
        if self.settled.get(row) != Some(&false) {
            return;
        }
        let width = self.bias.len();
        for &(number, _) in self.rows.vectors.get(row) {
            let start = number as usize * width;
            prefetch(&self.weights, start);
            if width > 2 {
                prefetch(&self.weights, start + 2);
            }
        }
    }

    /// Moves all classes. The logits hold the goal, and become the change.
    #[inline(always)]
    fn step_all(&mut self, Step { row, weight, rate }: Step) {
        let entries = self.rows.vectors.get(row);
        let width = self.bias.len();
        let duals = &mut self.duals[row * width..][..width];
        let gaps = &mut self.logits[..width];
        let mut largest = ZERO;
        for (gap, dual) in gaps.iter_mut().zip(duals.iter()) {
            *gap = gap.minus(*dual);
            largest = largest.max(gap.absolute());
        }
        if largest.largest() < ROW_GAP * weight {
            self.settled[row] = true;
            return;
        }
        for ((gap, dual), bias) in gaps.iter_mut().zip(duals).zip(&mut self.bias) {
            let change = gap.scale(rate);
            *dual = dual.plus(change);
            *gap = change.scale(self.strength.c);
            *bias = bias.plus(gap.scale(BIAS_VALUE));
        }
        spread_row(&mut self.weights, entries, gaps);
    }

    /// Moves the lanes that need it, and have a slot or get one.
    #[inline(always)]
    fn step_some(&mut self, Step { row, weight, rate }: Step) {
        let entries = self.rows.vectors.get(row);
        let width = self.bias.len();
        let duals = &mut self.duals[row * self.held..][..self.held];
        let gaps = &mut self.logits[..width];
        let mut largest = ZERO;
        if self.owners.is_empty() {
            for (gap, dual) in gaps.iter_mut().zip(duals.iter()) {
                *gap = gap.minus(*dual);
                largest = largest.max(gap.absolute());
            }
        } else {
            let owners = &mut self.owners[row * self.held..][..self.held];
            let limit = self.slot_gap * weight;
            find_slots(gaps, duals, owners, &mut self.slots, limit);
            for gap in gaps.iter() {
                largest = largest.max(gap.absolute());
            }
        }
        if largest.largest() < ROW_GAP * weight {
            self.settled[row] = true;
            return;
        }
        for (lanes, gap) in gaps.iter().enumerate() {
            if gap.absolute().largest() < LANES_GAP * weight {
                continue;
            }
            let slot = if self.owners.is_empty() { lanes } else { self.slots[lanes] as usize };
            let change = gap.scale(rate);
            duals[slot] = duals[slot].plus(change);
            let change = change.scale(self.strength.c);
            self.bias[lanes] = self.bias[lanes].plus(change.scale(BIAS_VALUE));
            spread_lanes(&mut self.weights, entries, change, width, lanes);
        }
    }

    /// Takes what a row itself put into the weights out of its logits.
    #[inline(always)]
    fn take_out(&self, row: usize, logits: &mut [Lanes]) {
        let own = -self.strength.c * squared_norm(self.rows.vectors.get(row));
        for (slot, dual) in self.duals[row * self.held..][..self.held].iter().enumerate() {
            let lanes = match self.owners.get(row * self.held + slot) {
                None => slot,
                Some(0) => break,
                Some(owner) => *owner as usize - 1,
            };
            logits[lanes] = logits[lanes].plus(dual.scale(own));
        }
    }
}

/// Finds the slots of the lanes of a row, gives out free ones, and makes goals into gaps.
/// Lanes without a slot are left where they are: their gap becomes 0.
#[inline(always)]
fn find_slots(
    gaps: &mut [Lanes],
    duals: &[Lanes],
    owners: &mut [u32],
    slots: &mut [u32],
    limit: f32,
) {
    const NONE: u32 = u32::MAX;
    slots.fill(NONE);
    let mut used = 0;
    while used < owners.len() && owners[used] > 0 {
        let lanes = owners[used] as usize - 1;
        gaps[lanes] = gaps[lanes].minus(duals[used]);
        slots[lanes] = used as u32;
        used += 1;
    }
    for (lanes, (gap, slot)) in gaps.iter_mut().zip(slots).enumerate() {
        if *slot != NONE {
            continue;
        }
        if used < owners.len() && gap.absolute().largest() >= limit {
            owners[used] = lanes as u32 + 1;
            *slot = used as u32;
            used += 1;
        } else {
            *gap = ZERO;
        }
    }
}

/// Returns the inverse of each class's share of the rows' weight.
fn rarity(rows: Rows<'_>, width: usize) -> Vec<Lanes> {
    let mut totals = vec![0.0_f64; width * LANES];
    for (&label, &weight) in rows.labels.iter().zip(rows.weights) {
        totals[label as usize] += f64::from(weight);
    }
    let sum: f64 = totals.iter().sum();
    let inverse = |total: f64| if total > 0.0 { (sum / total).min(1e30) as f32 } else { 0.0 };
    totals
        .chunks(LANES)
        .map(|part| Lanes(std::array::from_fn(|lane| inverse(part[lane]))))
        .collect()
}

/// A row to move, its weight, and how much of a gap a step closes.
#[derive(Clone, Copy)]
struct Step {
    row: usize,
    weight: f32,
    rate: f32,
}

/// One step for each of some rows.
pub(crate) struct Steps<'a, 'b> {
    pub ascent: &'a mut Ascent<'b>,
    pub rows: std::ops::Range<usize>,
}

impl Kernel for Steps<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for row in self.rows {
            self.ascent.step(row);
        }
    }
}

/// Logits of the first training rows less what each row itself put into the weights.
pub(crate) struct HeldOut<'a, 'b> {
    pub ascent: &'a Ascent<'b>,
    pub count: usize,
}

impl Kernel for HeldOut<'_, '_> {
    type Output = Vec<Lanes>;

    #[inline(always)]
    fn run(self) -> Vec<Lanes> {
        let HeldOut { ascent, count } = self;
        let width = ascent.bias.len();
        let mut all = vec![ZERO; count * width];
        for (row, logits) in all.chunks_exact_mut(width).enumerate() {
            score(&ascent.weights, &ascent.bias, ascent.rows.vectors.get(row), logits);
            ascent.take_out(row, logits);
        }
        all
    }
}

/// Rows have a norm of 1, or 0 when they have no feature; the bias comes on top.
#[inline(always)]
fn squared_norm(entries: &[(u32, f32)]) -> f32 {
    BIAS_VALUE * BIAS_VALUE + if entries.is_empty() { 0.0 } else { 1.0 }
}

/// Writes the logits of a row vector.
#[inline(always)]
pub(crate) fn score(
    weights: &[Lanes],
    bias: &[Lanes],
    entries: &[(u32, f32)],
    logits: &mut [Lanes],
) {
    for (logit, bias) in logits.iter_mut().zip(bias) {
        *logit = bias.scale(BIAS_VALUE);
    }
    add_rows(weights, entries, logits);
}

#[cfg(test)]
mod tests {
    use plugin_sdk::lanes::run_wide;

    use super::*;

    const STRENGTH: Strength = Strength { c: 1.0, doubt: 0.2 };

    /// Rows of two features of twenty each, and labels with a pattern in them.
    fn rows(count: u32, classes: u32) -> (Vectors, Vec<u32>, Vec<f32>) {
        let mut vectors = Vectors::default();
        for row in 0..count {
            vectors.push(&[(row % 20, 0.8), (row * 7 % 13, 0.6)]);
        }
        let labels = (0..count).map(|row| row % 20 * 31 % classes).collect();
        (vectors, labels, vec![1.0; count as usize])
    }

    fn walk<'a>(rows: Rows<'a>, classes: usize, held: usize, wide: bool) -> Ascent<'a> {
        // What an earlier fold left.
        let spent = vec![Lanes([f32::NAN; LANES]); 11];
        let mut ascent = Ascent::with_slots(rows, 20, classes, STRENGTH, held, spent);
        for _ in 0..8 {
            let steps = Steps { ascent: &mut ascent, rows: 0..rows.labels.len() };
            if wide { run_wide(steps) } else { steps.run() }
        }
        ascent
    }

    #[test]
    fn wide_vectors_give_the_same_bytes() {
        for classes in [2, 20, 77, 150] {
            let (vectors, labels, weights) = rows(200, classes);
            let rows = Rows { vectors: &vectors, labels: &labels, weights: &weights };
            let [plain, wide] = [false, true].map(|wide| walk(rows, classes as usize, 100, wide));
            assert_eq!(plain.weights, wide.weights);
            assert_eq!(plain.bias, wide.bias);
            assert_eq!(plain.duals, wide.duals);
        }
    }

    #[test]
    fn weights_are_the_sum_of_what_rows_put_in() {
        for (classes, held) in [(20, 100), (150, 100), (150, 2)] {
            let (vectors, labels, weights) = rows(200, classes);
            let rows = Rows { vectors: &vectors, labels: &labels, weights: &weights };
            let ascent = walk(rows, classes as usize, held, true);
            let width = lanes_for(classes as usize);
            let mut sum = vec![ZERO; ascent.weights.len()];
            for row in 0..labels.len() {
                for slot in 0..ascent.held {
                    let place = row * ascent.held + slot;
                    let lanes = match ascent.owners.get(place) {
                        None => slot,
                        Some(0) => continue,
                        Some(owner) => *owner as usize - 1,
                    };
                    spread_lanes(&mut sum, vectors.get(row), ascent.duals[place], width, lanes);
                }
            }
            let pairs = values(&sum).zip(values(&ascent.weights));
            for (sum, weight) in pairs {
                assert!((sum - weight).abs() < 1e-4, "{sum} {weight}");
            }
        }
    }

    fn values(lanes: &[Lanes]) -> impl Iterator<Item = f32> {
        lanes.iter().flat_map(|lanes| lanes.0)
    }

    #[test]
    fn few_slots_still_learn() {
        let (vectors, labels, weights) = rows(400, 150);
        let rows = Rows { vectors: &vectors, labels: &labels, weights: &weights };
        let ascent = walk(rows, 150, 4, true);
        let right = |row: &usize| {
            let mut logits = vec![ZERO; lanes_for(150)];
            score(&ascent.weights, &ascent.bias, vectors.get(*row), &mut logits);
            let values: Vec<f32> = values(&logits).collect();
            let best = (0..150).max_by(|&a, &b| f32::total_cmp(&values[a], &values[b]));
            best == Some(labels[*row] as usize)
        };
        assert_eq!((0..400).filter(right).count(), 400);
    }

    #[test]
    fn contradicted_labels_pull_less() {
        let (vectors, mut labels, weights) = rows(1000, 4);
        // Eleven shares no factor with the pattern of the rows.
        let right = labels.clone();
        (0..1000).step_by(11).for_each(|row| labels[row] = (labels[row] + 1) % 4);
        let wrong: Vec<usize> = (0..1000).filter(|&row| labels[row] != right[row]).collect();
        let pull = |doubt: f32| {
            let rows = Rows { vectors: &vectors, labels: &labels, weights: &weights };
            let mut ascent = Ascent::new(rows, 20, 4, Strength { c: 2.0, doubt }, Vec::new());
            (0..8).for_each(|_| Steps { ascent: &mut ascent, rows: 0..1000 }.run());
            let own = |&row: &usize| ascent.duals[row].0[labels[row] as usize];
            wrong.iter().map(own).sum::<f32>() / wrong.len() as f32
        };
        let [all, doubted] = [0.0, 0.2].map(pull);
        assert!(wrong.len() > 50 && doubted < 0.7 * all, "{doubted} {all}");
    }
}
