//! Logits of training rows without their own share, for calibration.
//!
//! A row is part of the complement of every class but its own, so taking it out changes the weights
//! of its words there, by an amount known exactly. What it changes in idf and in the norm of the
//! weights is left out.

use plugin_sdk::Training;
use plugin_sdk::calibrate::Chosen;
use plugin_sdk::lanes::{Kernel, run_wide};
use plugin_sdk::math::{LANES, Lanes, ZERO};
use plugin_sdk::text::Resolved;

use crate::fit::Complements;

/// Less than this is never left of a feature's part in a complement: smoothing stays.
const LEAST_LEFT: Lanes = Lanes([1e-6; LANES]);
const ONE: Lanes = Lanes([1.0; LANES]);

pub(crate) struct OwnShare<'a> {
    pub complements: &'a Complements,
    pub texts: &'a Resolved<'a>,
    /// Features that would be left out without one of their rows.
    pub rare: &'a [bool],
}

impl OwnShare<'_> {
    /// Returns logits of the chosen rows, row-major, as if each had not been learnt from.
    pub fn held_out_logits(&self, training: &Training<'_>, chosen: &Chosen) -> Vec<Lanes> {
        let width = self.complements.totals.len();
        let mut logits = vec![ZERO; chosen.positions.len() * width];
        let mut entries = Vec::new();
        let rows = chosen.positions.iter().zip(logits.chunks_exact_mut(width));
        for ((&position, logits), &label) in rows.zip(&chosen.labels) {
            self.texts.row(training.rows[position as usize], &mut entries);
            let weight = training.weight(position as usize);
            run_wide(Row { own: self, entries: &entries, label: label as usize, weight, logits });
        }
        logits
    }
}

/// One row's logits.
struct Row<'a> {
    own: &'a OwnShare<'a>,
    entries: &'a [(u32, f32)],
    label: usize,
    weight: f32,
    logits: &'a mut [Lanes],
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Row { own, entries, label, weight, logits } = self;
        let Complements { weights, totals, factors, .. } = own.complements;
        let total = weight * entries.iter().map(|entry| entry.1).sum::<f32>();
        let width = logits.len();
        for lanes in 0..width {
            // Classes whose complement has the row: all but its own.
            let mut mask = ONE;
            if label / LANES == lanes {
                mask.0[label % LANES] = 0.0;
            }
            let (totals, factors) = (totals[lanes].max(LEAST_LEFT), factors[lanes]);
            let inverse = totals.map2(ONE, |total, one| one / total);
            let shrunk = ONE.minus(mask.times(inverse).scale(total)).max(LEAST_LEFT).ln();
            let mut sum = ZERO;
            for &(feature, value) in entries {
                if own.rare[feature as usize] {
                    continue;
                }
                let row = weights[feature as usize * width + lanes];
                // The feature's part in the complement, from its weight.
                let plain = row.map2(factors, |weight, factor| weight / factor);
                let part = totals.times(ZERO.minus(plain).map2(ZERO, f32::min).exp());
                let share = part.max(LEAST_LEFT).map2(ONE, |part, one| one / part);
                let left = ONE.minus(mask.times(share).scale(weight * value)).max(LEAST_LEFT);
                let change = shrunk.minus(left.ln());
                sum = sum.plus(plain.plus(change).times(factors).scale(value));
            }
            logits[lanes] = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use plugin_sdk::checks::{texts, with_texts};
    use plugin_sdk::math::lanes_for;
    use plugin_sdk::text::{Counts, Selection, TextSettings, Vectoriser, Weighting};
    use plugin_sdk::{Context, Training};

    use super::*;

    #[test]
    fn a_row_taken_out_is_a_row_never_seen() {
        let (texts, labels) = texts(60);
        let context = Context::quiet();
        let settings = TextSettings { word_ngrams: 1, char_ngrams: (0, 0), hash_bits: 0 };
        let counts = with_texts(&texts, |texts| Counts::new(settings, texts, &context)).unwrap();
        let rows: Vec<u32> = (0..60).collect();
        let selection = Selection::frequent(&counts, &rows, 1, 1000);
        let weighting =
            Weighting { sublinear_tf: true, idf: false, unit_length: true, hashed_to: 0 };
        let texts = Vectoriser::new(&counts, &selection, 60, weighting);
        let texts = texts.resolve_selection(&counts, &selection);
        let features = selection.features.len();
        let weights: Vec<f32> = rows.iter().map(|row| 0.5 + (row % 4) as f32).collect();
        let learn = |rows: &[u32], labels: &[u32], weights: &[f32]| {
            let weights = Some(weights);
            let training = Training { rows, labels, weights, class_count: 3, seed: 0 };
            Complements::learn(&texts, &training, features, 0.5, &context).unwrap()
        };
        let complements = learn(&rows, &labels, &weights);
        let own =
            OwnShare { complements: &complements, texts: &texts, rare: &vec![false; features] };
        for out in [0, 7, 23, 59] {
            let chosen = Chosen {
                positions: vec![out],
                labels: vec![labels[out as usize]],
                weights: vec![weights[out as usize]],
            };
            let weights = Some(weights.as_slice());
            let training =
                Training { rows: &rows, labels: &labels, weights, class_count: 3, seed: 0 };
            let found = own.held_out_logits(&training, &chosen)[0].0;
            let left = |row: &&u32| **row != out;
            let other_rows: Vec<u32> = rows.iter().filter(left).copied().collect();
            let pick = |row: &u32| labels[*row as usize];
            let other_labels: Vec<u32> = other_rows.iter().map(pick).collect();
            let other_weights: Vec<f32> =
                other_rows.iter().map(|row| training.weight(*row as usize)).collect();
            let exact = learn(&other_rows, &other_labels, &other_weights);
            let mut entries = Vec::new();
            texts.row(out, &mut entries);
            assert_eq!(lanes_for(3), 1);
            for (class, found) in found.into_iter().take(3).enumerate() {
                let weight = |entry: &(u32, f32)| exact.weights[entry.0 as usize].0[class];
                let sum: f32 = entries.iter().map(|entry| entry.1 * weight(entry)).sum();
                assert!((sum - found).abs() < 1e-4, "{sum} {found}");
            }
        }
    }
}
