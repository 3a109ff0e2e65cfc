//! A fitted model, its scores and its bytes.
//!
//! Payload of a saved model, little endian, inside the frame the SDK puts around it:
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | format, 1 |
//! | 4 | word n-grams, shortest and longest character n-gram, hash bits; a byte each |
//! | 4 | sublinear term frequency, 0 or 1 |
//! | 4, 4 | calibration: scale, noise |
//! | 8 | number of features |
//! | 8 a feature | hash, rising |
//! | 4 a feature | idf |
//! | 4 a class | bias |
//! | 4 a feature and class | weights, by feature |
//!
//! Old reader with new data: another format is refused by number. New reader with old data: format
//! 1 stays readable.

use plugin_sdk::bytes::{Reader, Writer, damaged};
use plugin_sdk::calibrate::Calibration;
use plugin_sdk::lanes::{Kernel, run_wide};
use plugin_sdk::math::{Lanes, ZERO, lanes_for, last_mask};
use plugin_sdk::text::{Counts, TextSettings, Vocabulary};
use plugin_sdk::{Context, Error, for_each_part};

use crate::ascent::score;
use crate::vectors::{ABSENT, Vectors, Weighting};

const FORMAT: u32 = 1;

/// Rows between two looks at the cancel flag.
const ROWS_PER_CHECK: usize = 4096;

/// Weights with everything that is needed to score a text.
#[derive(Debug, PartialEq)]
pub struct Model {
    pub(crate) settings: TextSettings,
    pub(crate) sublinear_tf: bool,
    pub(crate) calibration: Calibration,
    pub(crate) classes: usize,
    /// By feature, in any order; saved in rising order.
    pub(crate) hashes: Vec<u64>,
    pub(crate) idf: Vec<f32>,
    pub(crate) bias: Vec<Lanes>,
    /// Row-major `[features, lanes]`.
    pub(crate) weights: Vec<Lanes>,
}

impl Model {
    /// Writes calibrated probabilities of corpus rows, in as many threads as allowed.
    pub(crate) fn predict(
        &self,
        corpus: &Counts,
        rows: &[u32],
        scores: &mut [f32],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        if corpus.settings() != self.settings {
            return Err(Error::new("the texts were prepared with other parameters than the model"));
        }
        let weighting = self.weighting(corpus);
        for_each_part(rows, scores, self.classes, context, |rows, scores| {
            self.predict_part(corpus, &weighting, rows, scores, context)
        })
    }

    /// Finds the model's features among those of a corpus.
    fn weighting(&self, corpus: &Counts) -> Weighting {
        let vocabulary = Vocabulary::of(&self.hashes);
        let feature = |&hash: &u64| match vocabulary.find(hash) {
            Some(number) => (number, self.idf[number as usize]),
            None => (ABSENT, 0.0),
        };
        Weighting::new(corpus.hashes().iter().map(feature).collect(), self.sublinear_tf)
    }

    fn predict_part(
        &self,
        corpus: &Counts,
        weighting: &Weighting,
        rows: &[u32],
        scores: &mut [f32],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        for (rows, scores) in
            rows.chunks(ROWS_PER_CHECK).zip(scores.chunks_mut(ROWS_PER_CHECK * self.classes))
        {
            context.check()?;
            run_wide(Predict { model: self, corpus, weighting, rows, scores });
        }
        Ok(())
    }

    /// Returns the payload described at the top of this file.
    pub(crate) fn save(&self) -> Vec<u8> {
        let width = lanes_for(self.classes);
        let mut order: Vec<usize> = (0..self.hashes.len()).collect();
        order.sort_unstable_by_key(|&feature| self.hashes[feature]);
        let mut writer = Writer::new(FORMAT);
        writer.raw(&self.settings.to_bytes());
        writer.u32(u32::from(self.sublinear_tf));
        self.calibration.save(&mut writer);
        writer.u64(self.hashes.len() as u64);
        order.iter().for_each(|&feature| writer.u64(self.hashes[feature]));
        order.iter().for_each(|&feature| writer.f32(self.idf[feature]));
        writer.lanes(&self.bias, self.classes);
        for &feature in &order {
            writer.lanes(&self.weights[feature * width..][..width], self.classes);
        }
        writer.finish()
    }

    /// Reads what `save` wrote; lengths are compared before anything is allocated.
    pub(crate) fn load(bytes: &[u8], classes: usize) -> Result<Model, Error> {
        let mut reader = Reader::new(bytes, FORMAT)?;
        let settings = TextSettings::from_bytes(reader.array()?)?;
        let sublinear_tf = reader.u32()? == 1;
        let calibration = Calibration::load(&mut reader)?;
        let features = reader.u64()?;
        let expected = u128::from(features) * (12 + 4 * classes as u128) + 4 * classes as u128;
        if expected != reader.left() as u128 || features >= u64::from(ABSENT) {
            return Err(damaged());
        }
        let features = features as usize;
        let hashes = (0..features).map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
        if hashes.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Error::new("the model's features are not in order"));
        }
        let idf = reader.f32s(features)?;
        let width = lanes_for(classes);
        let mut bias = vec![ZERO; width];
        reader.lanes(&mut bias, classes)?;
        let mut weights = vec![ZERO; features * width];
        for row in weights.chunks_exact_mut(width) {
            reader.lanes(row, classes)?;
        }
        reader.finish()?;
        Ok(Model { settings, sublinear_tf, calibration, classes, hashes, idf, bias, weights })
    }
}

/// Scores some rows.
struct Predict<'a> {
    model: &'a Model,
    corpus: &'a Counts,
    weighting: &'a Weighting,
    rows: &'a [u32],
    scores: &'a mut [f32],
}

impl Kernel for Predict<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Predict { model, corpus, weighting, rows, scores } = self;
        let mut vectors = Vectors::default();
        let mut logits = vec![ZERO; model.bias.len()];
        let mask = last_mask(model.classes);
        for (&row, out) in rows.iter().zip(scores.chunks_exact_mut(model.classes)) {
            vectors.clear();
            weighting.push_row(corpus, row, &mut vectors);
            score(&model.weights, &model.bias, vectors.get(0), &mut logits);
            model.calibration.write(&mut logits, &mask, out);
        }
    }
}
