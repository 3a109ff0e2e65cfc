//! The trees together, and their bytes.
//!
//! Payload of a saved model, little endian:
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | format, 1 |
//! | rest | the vectoriser, as `plugin_sdk::text` writes it |
//! | 4, 4, 4 | calibration (scale, noise); smoothing |
//! | 4 a class | share of the training rows |
//! | 8 | number of trees |
//! | 8; 4, 4, 4, 4 a node | of each tree: number of nodes; dimension and 1, or 0 for a leaf; threshold; children, or range of votes |
//! | 8; 4, 4 a vote | and number of votes; class and share |

use plugin_sdk::bytes::{Reader, Writer, damaged};
use plugin_sdk::calibrate::Calibration;
use plugin_sdk::math::{LANES, Lanes, ZERO, lanes_for, last_mask, ln};
use plugin_sdk::text::{Counts, Vectoriser};
use plugin_sdk::{Context, Error, for_each_part};

use crate::tree::Tree;

const FORMAT: u32 = 1;

/// Rows between two looks at the cancel flag.
const ROWS_PER_CHECK: usize = 256;

/// A forest with everything that is needed to score texts.
pub struct Model {
    /// Its features are in the order of their hashes.
    pub(crate) vectoriser: Vectoriser,
    pub(crate) calibration: Calibration,
    pub(crate) smoothing: f32,
    /// Share of each class in the training rows.
    pub(crate) shares: Vec<f32>,
    pub(crate) trees: Vec<Tree>,
}

/// One row with a value for every dimension; keeps its buffer.
pub(crate) struct Values {
    values: Vec<f32>,
    set: Vec<u32>,
}

impl Values {
    pub fn new(dimensions: usize) -> Values {
        Values { values: vec![0.0; dimensions], set: Vec::new() }
    }

    pub fn set(&mut self, entries: &[(u32, f32)]) -> &[f32] {
        self.set.drain(..).for_each(|dimension| self.values[dimension as usize] = 0.0);
        for &(dimension, value) in entries {
            self.values[dimension as usize] = value;
            self.set.push(dimension);
        }
        &self.values
    }
}

impl Model {
    /// Writes the logarithm of the smoothed mean vote of the trees that are asked.
    pub(crate) fn logits(
        &self,
        values: &[f32],
        is_asked: impl Fn(usize) -> bool,
        logits: &mut [Lanes],
    ) {
        logits.fill(ZERO);
        let mut asked = 0.0_f32;
        for (_, tree) in self.trees.iter().enumerate().filter(|(number, _)| is_asked(*number)) {
            asked += 1.0;
            for &(class, share) in tree.vote(values) {
                logits[class as usize / LANES].0[class as usize % LANES] += share;
            }
        }
        // Smoothing is meant for the whole forest, however few trees did not see a row.
        let smoothing = self.smoothing * asked.max(1.0) / self.trees.len().max(1) as f32;
        for (class, &share) in self.shares.iter().enumerate() {
            let votes = &mut logits[class / LANES].0[class % LANES];
            let mean = (*votes + smoothing * share) / (asked + smoothing);
            *votes = ln(f64::from(mean.max(1e-30))) as f32;
        }
    }

    /// Writes calibrated probabilities of corpus rows, in as many threads as allowed.
    pub(crate) fn predict(
        &self,
        counts: &Counts,
        rows: &[u32],
        scores: &mut [f32],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        let texts = self.vectoriser.resolve(counts)?;
        let classes = self.shares.len();
        for_each_part(rows, scores, classes, context, |rows, scores| {
            let mut values = Values::new(self.vectoriser.dimensions());
            let mut entries = Vec::new();
            let mut logits = vec![ZERO; lanes_for(classes)];
            let mask = last_mask(classes);
            for (at, (&row, out)) in rows.iter().zip(scores.chunks_exact_mut(classes)).enumerate() {
                if at % ROWS_PER_CHECK == 0 {
                    context.check()?;
                }
                texts.row(row, &mut entries);
                self.logits(values.set(&entries), |_| true, &mut logits);
                self.calibration.write(&mut logits, &mask, out);
            }
            Ok(())
        })
    }

    /// Returns the payload described at the top of this file.
    pub(crate) fn save(&self) -> Vec<u8> {
        let mut writer = Writer::new(FORMAT);
        self.vectoriser.save(&mut writer);
        self.calibration.save(&mut writer);
        writer.f32(self.smoothing);
        writer.f32s(&self.shares);
        writer.u64(self.trees.len() as u64);
        self.trees.iter().for_each(|tree| tree.save(&mut writer));
        writer.finish()
    }

    /// Reads what `save` wrote.
    pub(crate) fn load(bytes: &[u8], classes: usize) -> Result<Model, Error> {
        let mut reader = Reader::new(bytes, FORMAT)?;
        let vectoriser = Vectoriser::load(&mut reader)?;
        let calibration = Calibration::load(&mut reader)?;
        let smoothing = reader.f32()?;
        let shares = reader.f32s(classes)?;
        let shares_fit = shares.iter().all(|share| (0.0..=1.0).contains(share));
        if !(1e-4..=1e4).contains(&smoothing) || !shares_fit {
            return Err(damaged());
        }
        let count = reader.count(16)?;
        let dimensions = vectoriser.dimensions();
        let trees = (0..count)
            .map(|_| Tree::load(&mut reader, dimensions, classes))
            .collect::<Result<Vec<Tree>, Error>>()?;
        reader.finish()?;
        Ok(Model { vectoriser, calibration, smoothing, shares, trees })
    }
}
