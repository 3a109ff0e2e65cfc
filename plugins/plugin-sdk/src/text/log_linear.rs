//! A model that adds up class rows: a bias, and the row of each dimension times its value. Naive
//! Bayes and logistic regression are of this kind; they differ in how the rows are learnt.
//!
//! Payload of a saved model, little endian, after the format number:
//!
//! | bytes | content |
//! | --- | --- |
//! | 4, 4 | text settings; flags of the weighting |
//! | 4 | dimensions features are hashed to, or 0 |
//! | 8 | number of features |
//! | 8 a feature | hash, rising |
//! | 4 a feature | idf |
//! | 4, 4 | calibration: scale, noise |
//! | 4 a class | bias |
//! | 4 a dimension and class | rows, by dimension: that of the feature where none are hashed |

use super::counts::Counts;
use super::vectoriser::{Resolved, Vectoriser};
use crate::bytes::{Reader, Writer, damaged};
use crate::calibrate::Calibration;
use crate::lanes::{Kernel, run_wide};
use crate::math::{Lanes, ZERO, add_rows, lanes_for, last_mask};
use crate::{Context, Error, for_each_part};

const FORMAT: u32 = 2;

/// Rows between two looks at the cancel flag.
const ROWS_PER_CHECK: usize = 4096;

/// No honest weight is larger; sums of such stay finite.
const LARGEST_WEIGHT: f32 = 1e15;

/// Class rows with everything that is needed to score a text.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLinear {
    pub vectoriser: Vectoriser,
    pub calibration: Calibration,
    pub classes: usize,
    /// One value a class, in lanes.
    pub bias: Vec<Lanes>,
    /// Row-major `[dimensions, lanes]`.
    pub weights: Vec<Lanes>,
}

impl LogLinear {
    /// Writes calibrated probabilities of corpus rows, in as many threads as allowed.
    pub fn predict(
        &self,
        counts: &Counts,
        rows: &[u32],
        scores: &mut [f32],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        let texts = self.vectoriser.resolve(counts)?;
        for_each_part(rows, scores, self.classes, context, |rows, scores| {
            let part = ROWS_PER_CHECK * self.classes;
            for (rows, scores) in rows.chunks(ROWS_PER_CHECK).zip(scores.chunks_mut(part)) {
                context.check()?;
                run_wide(Predict { model: self, texts: &texts, rows, scores });
            }
            Ok(())
        })
    }

    /// Returns the payload described at the top of this file.
    pub fn save(&self) -> Vec<u8> {
        let width = lanes_for(self.classes);
        let mut writer = Writer::new(FORMAT);
        let mut order = self.vectoriser.save(&mut writer);
        if self.vectoriser.is_hashed() {
            order = (0..self.vectoriser.dimensions() as u32).collect();
        }
        self.calibration.save(&mut writer);
        writer.lanes(&self.bias, self.classes);
        for &dimension in &order {
            writer.lanes(&self.weights[dimension as usize * width..][..width], self.classes);
        }
        writer.finish()
    }

    /// Reads what `save` wrote.
    pub fn load(bytes: &[u8], classes: usize) -> Result<LogLinear, Error> {
        let mut reader = Reader::new(bytes, FORMAT)?;
        let vectoriser = Vectoriser::load(&mut reader)?;
        let calibration = Calibration::load(&mut reader)?;
        let expected = (vectoriser.dimensions() as u128 + 1) * classes as u128 * 4;
        if expected != reader.left() as u128 {
            return Err(damaged());
        }
        let width = lanes_for(classes);
        let read_rows = |reader: &mut Reader<'_>, count: usize| {
            let mut rows = vec![ZERO; count * width];
            for row in rows.chunks_exact_mut(width) {
                reader.lanes(row, classes)?;
            }
            Ok::<_, Error>(rows)
        };
        let bias = read_rows(&mut reader, 1)?;
        let weights = read_rows(&mut reader, vectoriser.dimensions())?;
        reader.finish()?;
        let mut all = bias.iter().chain(&weights).flat_map(|lanes| lanes.0);
        if all.any(|weight| weight.abs() > LARGEST_WEIGHT) {
            return Err(damaged());
        }
        Ok(LogLinear { vectoriser, calibration, classes, bias, weights })
    }
}

/// Scores some rows.
struct Predict<'a> {
    model: &'a LogLinear,
    texts: &'a Resolved<'a>,
    rows: &'a [u32],
    scores: &'a mut [f32],
}

impl Kernel for Predict<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Predict { model, texts, rows, scores } = self;
        let mut entries = Vec::new();
        let mut logits = model.bias.clone();
        let mask = last_mask(model.classes);
        for (&row, out) in rows.iter().zip(scores.chunks_exact_mut(model.classes)) {
            texts.row(row, &mut entries);
            logits.copy_from_slice(&model.bias);
            add_rows(&model.weights, &entries, &mut logits);
            model.calibration.write(&mut logits, &mask, out);
        }
    }
}
