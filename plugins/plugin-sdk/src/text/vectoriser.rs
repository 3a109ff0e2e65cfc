//! Texts as sparse vectors: term frequency, idf of the training rows, Euclidean length, and, if
//! asked for, a projection to a fixed number of dimensions by signed hashing (Weinberger et al.,
//! "Feature hashing for large scale multitask learning", 2009).
//!
//! Values are computed in the order features occur in a text, so that they do not depend on rows
//! outside the training set, which decide the numbers of features.

use super::counts::{Counts, Vocabulary};
use super::selection::Selection;
use super::tokens::TextSettings;
use crate::Error;
use crate::bytes::{Reader, Writer, damaged};
use crate::math::ln;

/// The number of a feature that a model does not have.
const ABSENT: u32 = u32::MAX;

/// Counts whose term frequency is looked up.
const FEW_COUNTS: usize = 64;

/// How counts become values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weighting {
    /// Counts a feature `n` times in a text as 1 + ln n.
    pub sublinear_tf: bool,
    /// Multiplies by ln((1 + rows) / (1 + frequency)) + 1.
    pub idf: bool,
    /// Divides each vector by its Euclidean length.
    pub unit_length: bool,
    /// Dimensions features are hashed to; 0 gives each feature one of its own.
    pub hashed_to: u32,
}

/// What a model keeps to turn any text into a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectoriser {
    settings: TextSettings,
    weighting: Weighting,
    /// Hash of each feature; saved in rising order.
    hashes: Vec<u64>,
    /// Factor of each feature.
    idf: Vec<f32>,
}

impl Vectoriser {
    /// Learns from training rows: `rows` is their number.
    pub fn new(
        counts: &Counts,
        selection: &Selection,
        rows: usize,
        weighting: Weighting,
    ) -> Vectoriser {
        let hash = |&feature: &u32| counts.hashes()[feature as usize];
        let idf = |&frequency: &u32| match weighting.idf {
            true => (ln((1.0 + rows as f64) / (1.0 + f64::from(frequency))) + 1.0) as f32,
            false => 1.0,
        };
        Vectoriser {
            settings: counts.settings(),
            weighting,
            hashes: selection.features.iter().map(hash).collect(),
            idf: selection.frequencies.iter().map(idf).collect(),
        }
    }

    /// Returns the dimensions of the vectors.
    pub fn dimensions(&self) -> usize {
        match self.weighting.hashed_to {
            0 => self.hashes.len(),
            dimensions => dimensions as usize,
        }
    }

    /// Tells whether dimensions are shared by features.
    pub fn is_hashed(&self) -> bool {
        self.weighting.hashed_to > 0
    }

    /// Returns the hashes of the features, by number.
    pub fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// Finds the features among those of a corpus, which must have been made with the same settings.
    pub fn resolve<'a>(&self, counts: &'a Counts) -> Result<Resolved<'a>, Error> {
        if counts.settings() != self.settings {
            return Err(Error::new("the texts were prepared with other parameters than the model"));
        }
        let vocabulary = Vocabulary::of(&self.hashes);
        let numbers = counts.hashes().iter().map(|&hash| vocabulary.find(hash));
        Ok(self.resolved(counts, numbers))
    }

    /// The same for the corpus and the selection it was learnt from, without a look-up.
    pub fn resolve_selection<'a>(&self, counts: &'a Counts, selection: &Selection) -> Resolved<'a> {
        let mut numbers = vec![None; counts.hashes().len()];
        for (number, &feature) in (0..).zip(&selection.features) {
            numbers[feature as usize] = Some(number);
        }
        self.resolved(counts, numbers.into_iter())
    }

    fn resolved<'a>(
        &self,
        counts: &'a Counts,
        numbers: impl Iterator<Item = Option<u32>>,
    ) -> Resolved<'a> {
        let features = numbers.map(|number| number.map_or((ABSENT, 0.0), |n| self.place(n)));
        let sublinear_tf = self.weighting.sublinear_tf;
        Resolved {
            counts,
            features: features.collect(),
            frequencies: std::array::from_fn(|count| term_frequency(count, sublinear_tf)),
            weighting: self.weighting,
        }
    }

    /// Returns the dimension of a feature and its factor.
    fn place(&self, number: u32) -> (u32, f32) {
        let factor = self.idf[number as usize];
        match self.weighting.hashed_to {
            0 => (number, factor),
            dimensions => {
                let hash = self.hashes[number as usize].wrapping_mul(0xd6e8_feb8_6659_fd93);
                let dimension = (u128::from(hash) * u128::from(dimensions)) >> 64;
                // The low bit has hardly a part in the dimension.
                let sign = if (hash >> 7) & 1 == 0 { 1.0 } else { -1.0 };
                (dimension as u32, sign * factor)
            }
        }
    }

    /// Writes everything, features in rising order of their hash; returns that order.
    pub fn save(&self, writer: &mut Writer) -> Vec<u32> {
        let order = self.order();
        let Weighting { sublinear_tf, idf, unit_length, hashed_to } = self.weighting;
        writer.raw(&self.settings.to_bytes());
        writer.raw(&[sublinear_tf.into(), idf.into(), unit_length.into(), 0]);
        writer.u32(hashed_to);
        writer.u64(self.hashes.len() as u64);
        order.iter().for_each(|&number| writer.u64(self.hashes[number as usize]));
        order.iter().for_each(|&number| writer.f32(self.idf[number as usize]));
        order
    }

    /// Does the same; returns the number each dimension is saved under.
    pub fn save_numbered(&self, writer: &mut Writer) -> Vec<u32> {
        self.save(writer);
        self.numbers_by_hash()
    }

    /// Returns for each dimension its number when features are numbered in the order of their
    /// hashes, which no other row of the corpus changes. Hashed dimensions stay as they are.
    pub fn numbers_by_hash(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0..self.dimensions() as u32).collect();
        if !self.is_hashed() {
            let order = self.order();
            (0..).zip(&order).for_each(|(new, &old)| numbers[old as usize] = new);
        }
        numbers
    }

    /// Returns the vectoriser with features numbered as `numbers_by_hash` says.
    pub fn sorted(self) -> Vectoriser {
        let order = self.order();
        let hashes = order.iter().map(|&number| self.hashes[number as usize]).collect();
        let idf = order.iter().map(|&number| self.idf[number as usize]).collect();
        Vectoriser { hashes, idf, ..self }
    }

    fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.hashes.len() as u32).collect();
        order.sort_unstable_by_key(|&number| self.hashes[number as usize]);
        order
    }

    /// Reads what `save` wrote.
    pub fn load(reader: &mut Reader<'_>) -> Result<Vectoriser, Error> {
        let settings = TextSettings::from_bytes(reader.array()?)?;
        let flags: [u8; 4] = reader.array()?;
        let hashed_to = reader.u32()?;
        let features = reader.count(12)?;
        if flags.iter().any(|&flag| flag > 1) || flags[3] != 0 || features >= ABSENT as usize {
            return Err(damaged());
        }
        let hashes = (0..features).map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
        if hashes.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Error::new("the model's features are not in order"));
        }
        let idf = reader.f32s(features)?;
        if idf.iter().any(|idf| !(0.0..=1000.0).contains(idf)) {
            return Err(damaged());
        }
        let [sublinear_tf, idf_used, unit_length, _] = flags.map(|flag| flag == 1);
        let weighting = Weighting { sublinear_tf, idf: idf_used, unit_length, hashed_to };
        Ok(Vectoriser { settings, weighting, hashes, idf })
    }
}

/// The features of a model, found in one corpus.
pub struct Resolved<'a> {
    counts: &'a Counts,
    /// Dimension and factor of each feature of the corpus.
    features: Vec<(u32, f32)>,
    /// Term frequencies of the first few counts.
    frequencies: [f32; FEW_COUNTS],
    weighting: Weighting,
}

impl Resolved<'_> {
    /// Writes the vector of a row over `out`: dimensions, each at most once, and values.
    #[inline]
    pub fn row(&self, row: u32, out: &mut Vec<(u32, f32)>) {
        out.clear();
        let (features, counts) = self.counts.row(row);
        out.resize(features.len(), (0, 0.0));
        let mut length = 0;
        let mut squares = 0.0_f32;
        for (&feature, &count) in features.iter().zip(counts) {
            let (number, factor) = self.features[feature as usize];
            let frequency = self.frequencies.get(usize::from(count)).copied();
            let sublinear_tf = self.weighting.sublinear_tf;
            let value = factor
                * frequency.unwrap_or_else(|| term_frequency(usize::from(count), sublinear_tf));
            // The factor of an absent feature is 0; its entry is written over by the next.
            squares += value * value;
            out[length] = (number, value);
            length += usize::from(number != ABSENT);
        }
        out.truncate(length);
        if self.weighting.hashed_to > 0 {
            squares = merge(out);
        }
        if self.weighting.unit_length && squares > 0.0 {
            let scale = 1.0 / squares.sqrt();
            out.iter_mut().for_each(|entry| entry.1 *= scale);
        }
    }
}

/// Adds up values of the same dimension; returns the sum of squares.
fn merge(entries: &mut Vec<(u32, f32)>) -> f32 {
    // Stable, so that equal dimensions are added in the order of the text.
    entries.sort_by_key(|entry| entry.0);
    entries.dedup_by(|entry, kept| {
        let same = entry.0 == kept.0;
        kept.1 += if same { entry.1 } else { 0.0 };
        same
    });
    entries.iter().map(|entry| entry.1 * entry.1).sum()
}

fn term_frequency(count: usize, sublinear: bool) -> f32 {
    match (count, sublinear) {
        (0 | 1, _) => count as f32,
        (count, true) => (1.0 + ln(count as f64)) as f32,
        (count, false) => count as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Texts, Training};

    const WEIGHTING: Weighting =
        Weighting { sublinear_tf: true, idf: true, unit_length: true, hashed_to: 0 };

    fn counts(texts: &[&str]) -> Counts {
        let joined = texts.concat();
        let mut offsets = vec![0];
        for text in texts {
            offsets.push(offsets.last().unwrap() + text.len() as i64);
        }
        let settings = TextSettings { word_ngrams: 1, char_ngrams: (0, 0), hash_bits: 0 };
        let texts = Texts::new(&offsets, &joined).unwrap();
        Counts::new(settings, &texts, &Context::quiet()).unwrap()
    }

    #[test]
    fn vectors_have_unit_length_and_survive_saving() {
        let counts = counts(&["a b b c", "a c d d d", "", "a b q", "zz"]);
        let selection = Selection::frequent(&counts, &[0, 1, 3], 1, 100);
        for hashed_to in [0, 2, 1000] {
            let weighting = Weighting { hashed_to, ..WEIGHTING };
            let vectoriser = Vectoriser::new(&counts, &selection, 3, weighting);
            let mut writer = Writer::new(1);
            vectoriser.save(&mut writer);
            let bytes = writer.finish();
            let loaded = Vectoriser::load(&mut Reader::new(&bytes, 1).unwrap()).unwrap();
            let before = vectoriser.resolve_selection(&counts, &selection);
            let after = loaded.resolve(&counts).unwrap();
            for row in 0..5 {
                let (mut one, mut two) = (Vec::new(), Vec::new());
                before.row(row, &mut one);
                after.row(row, &mut two);
                let sorted = |entries: &[(u32, f32)]| {
                    let mut values: Vec<_> = entries.iter().map(|e| e.1.to_bits()).collect();
                    values.sort_unstable();
                    values
                };
                assert_eq!(sorted(&one), sorted(&two), "row {row}");
                let squares: f32 = one.iter().map(|entry| entry.1 * entry.1).sum();
                assert!(one.iter().all(|entry| (entry.0 as usize) < vectoriser.dimensions()));
                let wanted = if [2, 4].contains(&row) { 0.0 } else { 1.0 };
                // Two words of opposite sign may share one of two dimensions.
                assert!((squares - wanted).abs() < 1e-5 || hashed_to == 2 && squares == 0.0);
            }
        }
    }

    #[test]
    fn telling_features_are_kept() {
        let counts = counts(&["the a", "the a b", "the c", "the c b", "the x"]);
        let training = Training {
            rows: &[0, 1, 2, 3],
            labels: &[0, 0, 1, 1],
            weights: None,
            class_count: 3,
            seed: 0,
        };
        let hash = |row: u32, at: usize| counts.row(row).0[at];
        let selection = Selection::telling(&counts, &training, 1, 2);
        assert_eq!(selection.features, [hash(0, 1), hash(2, 1)]);
        let frequent = Selection::frequent(&counts, training.rows, 3, 9);
        assert_eq!((frequent.features, frequent.frequencies), (vec![hash(0, 0)], vec![4]));
    }
}
