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

use plugin_sdk::lanes::{Kernel, run_wide};
use plugin_sdk::text::{Counts, TextSettings, Vocabulary};
use plugin_sdk::{Context, Error, for_each_part};

use crate::ascent::score;
use crate::calibrate::Calibration;
use crate::math::{LANES, Lanes, ZERO, lanes_for, last_mask, softmax};
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
        let features = self.hashes.len();
        let mut bytes = Vec::with_capacity(64 + features * (12 + 4 * self.classes));
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.settings.to_bytes());
        bytes.extend_from_slice(&u32::from(self.sublinear_tf).to_le_bytes());
        push_floats(&mut bytes, &[self.calibration.scale, self.calibration.noise]);
        bytes.extend_from_slice(&(features as u64).to_le_bytes());
        for &feature in &order {
            bytes.extend_from_slice(&self.hashes[feature].to_le_bytes());
        }
        for &feature in &order {
            push_floats(&mut bytes, &[self.idf[feature]]);
        }
        push_classes(&mut bytes, &self.bias, self.classes);
        for &feature in &order {
            push_classes(&mut bytes, &self.weights[feature * width..][..width], self.classes);
        }
        bytes
    }

    /// Reads what `save` wrote; lengths are compared before anything is allocated.
    pub(crate) fn load(bytes: &[u8], classes: usize) -> Result<Model, Error> {
        let mut reader = Reader(bytes);
        let format = u32::from_le_bytes(reader.array()?);
        if format != FORMAT {
            return Err(Error::new(format!("the model has format {format}, not {FORMAT}")));
        }
        let settings = TextSettings::from_bytes(reader.array()?)?;
        let sublinear_tf = u32::from_le_bytes(reader.array()?) == 1;
        let [scale, noise] = [reader.float()?, reader.float()?];
        let features = u64::from_le_bytes(reader.array()?);
        let expected = u128::from(features) * (12 + 4 * classes as u128) + 4 * classes as u128;
        if expected != reader.0.len() as u128 || features >= u64::from(ABSENT) {
            return Err(Error::new("the model is cut short or damaged"));
        }
        let features = features as usize;
        let hashes = (0..features)
            .map(|_| reader.array().map(u64::from_le_bytes))
            .collect::<Result<Vec<_>, _>>()?;
        if hashes.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Error::new("the model's features are not in order"));
        }
        let idf = reader.floats(features)?;
        let width = lanes_for(classes);
        let mut bias = vec![ZERO; width];
        reader.classes(&mut bias, classes)?;
        let mut weights = vec![ZERO; features * width];
        for row in weights.chunks_exact_mut(width) {
            reader.classes(row, classes)?;
        }
        let numbers = [scale, noise].into_iter().chain(idf.iter().copied());
        if numbers
            .chain(bias.iter().chain(&weights).flat_map(|lanes| lanes.0))
            .any(|value| !value.is_finite())
        {
            return Err(Error::new("the model holds numbers that are not finite"));
        }
        if !(0.0..=1.0).contains(&noise) || scale <= 0.0 {
            return Err(Error::new("the model's calibration is out of range"));
        }
        let calibration = Calibration { scale, noise };
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
        let Calibration { scale, noise } = model.calibration;
        let even = noise / model.classes as f32;
        for (&row, out) in rows.iter().zip(scores.chunks_exact_mut(model.classes)) {
            vectors.clear();
            weighting.push_row(corpus, row, &mut vectors);
            score(&model.weights, &model.bias, vectors.get(0), &mut logits);
            for logit in &mut logits {
                *logit = logit.scale(scale);
            }
            softmax(&mut logits, &mask);
            for (out, lanes) in out.chunks_mut(LANES).zip(&logits) {
                for (out, value) in out.iter_mut().zip(&lanes.0) {
                    *out = (1.0 - noise) * value + even;
                }
            }
        }
    }
}

fn push_classes(bytes: &mut Vec<u8>, row: &[Lanes], classes: usize) {
    for (lanes, start) in row.iter().zip((0..classes).step_by(LANES)) {
        push_floats(bytes, &lanes.0[..LANES.min(classes - start)]);
    }
}

fn push_floats(bytes: &mut Vec<u8>, values: &[f32]) {
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
}

/// Takes values off the front of some bytes.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((head, rest)) = self.0.split_first_chunk() else {
            return Err(Error::new("the model is cut short"));
        };
        self.0 = rest;
        Ok(*head)
    }

    fn float(&mut self) -> Result<f32, Error> {
        self.array().map(f32::from_le_bytes)
    }

    fn classes(&mut self, row: &mut [Lanes], classes: usize) -> Result<(), Error> {
        for class in 0..classes {
            row[class / LANES].0[class % LANES] = self.float()?;
        }
        Ok(())
    }

    fn floats(&mut self, count: usize) -> Result<Vec<f32>, Error> {
        (0..count).map(|_| self.float()).collect()
    }
}
