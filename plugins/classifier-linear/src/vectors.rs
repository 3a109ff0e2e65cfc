//! Weighted, normalised row vectors: document frequencies of the training rows, idf, L2 norm.
//!
//! Values of a row are summed in the order its features occur in the text, so that they do not
//! depend on rows outside the training set, which decide the numbers of features.

use plugin_sdk::math::ln;
use plugin_sdk::text::Counts;

use crate::params::Learning;

/// The number of a feature that a model does not have.
pub(crate) const ABSENT: u32 = u32::MAX;

/// Most weights of a model, classes times features: 800 MB. Past it the rarest features go.
const MOST_WEIGHTS: usize = 200_000_000;

/// Which features of a corpus count, and how much.
pub(crate) struct Weighting {
    /// Number in the model of each feature of the corpus, or [`ABSENT`], and its idf.
    features: Vec<(u32, f32)>,
    /// Weights of the first few counts, by count.
    frequencies: [f32; 64],
    sublinear_tf: bool,
}

/// The features a model keeps.
pub(crate) struct Kept {
    /// Features of the corpus, by number in the model.
    pub features: Vec<u32>,
    /// By number in the model.
    pub idf: Vec<f32>,
}

impl Weighting {
    /// Weighs the features of a corpus, each given as its number in the model and its idf.
    pub fn new(features: Vec<(u32, f32)>, sublinear_tf: bool) -> Weighting {
        let frequencies = std::array::from_fn(|count| term_frequency(count, sublinear_tf));
        Weighting { features, frequencies, sublinear_tf }
    }

    /// Learns from the training rows alone.
    pub fn learn(
        corpus: &Counts,
        rows: &[u32],
        learning: &Learning,
        stride: usize,
    ) -> (Weighting, Kept) {
        let mut frequencies = vec![0_u32; corpus.hashes().len()];
        for &row in rows {
            for &feature in corpus.row(row).0 {
                frequencies[feature as usize] += 1;
            }
        }
        let mut kept: Vec<u32> = (0..corpus.hashes().len() as u32)
            .filter(|&feature| frequencies[feature as usize] >= learning.min_df)
            .collect();
        let most = MOST_WEIGHTS / stride;
        if kept.len() > most {
            // Ties go by hash, which no other row changes.
            let rank = |feature: &u32| {
                let index = *feature as usize;
                (std::cmp::Reverse(frequencies[index]), corpus.hashes()[index])
            };
            kept.sort_unstable_by_key(rank);
            kept.truncate(most);
            kept.sort_unstable();
        }
        let mut features = vec![(ABSENT, 0.0); corpus.hashes().len()];
        let mut idf = Vec::with_capacity(kept.len());
        for (number, &feature) in kept.iter().enumerate() {
            let frequency = f64::from(frequencies[feature as usize]);
            let value = ln((1.0 + rows.len() as f64) / (1.0 + frequency)) + 1.0;
            idf.push(if learning.idf { value as f32 } else { 1.0 });
            features[feature as usize] = (number as u32, idf[number]);
        }
        (Weighting::new(features, learning.sublinear_tf), Kept { features: kept, idf })
    }

    /// Puts the vectors of some rows in place of what is in `vectors`.
    pub fn vectors(&self, corpus: &Counts, rows: &[u32], vectors: &mut Vectors) {
        vectors.clear();
        // What is left out of rows is little; growing would copy all entries several times.
        vectors.entries.reserve_exact(rows.iter().map(|&row| corpus.row(row).0.len()).sum());
        vectors.ends.reserve_exact(rows.len());
        for (position, &row) in rows.iter().enumerate() {
            corpus.prefetch(rows, position);
            self.push_row(corpus, row, vectors);
        }
    }

    /// Appends the vector of a row: feature numbers and values with a Euclidean norm of 1.
    #[inline]
    pub fn push_row(&self, corpus: &Counts, row: u32, out: &mut Vectors) {
        let start = out.entries.len();
        let (features, counts) = corpus.row(row);
        // Written over, and cut off below where features are absent.
        out.entries.extend(features.iter().map(|&feature| self.features[feature as usize]));
        let entries = &mut out.entries[start..];
        let mut length = 0;
        let mut squares = 0.0_f32;
        for (at, &count) in counts.iter().enumerate() {
            let (number, idf) = entries[at];
            let frequency = match self.frequencies.get(usize::from(count)) {
                Some(&frequency) => frequency,
                None => term_frequency(usize::from(count), self.sublinear_tf),
            };
            // The idf of an absent feature is 0; its entry is written over by the next.
            let value = frequency * idf;
            squares += value * value;
            entries[length] = (number, value);
            length += usize::from(number != ABSENT);
        }
        out.entries.truncate(start + length);
        if squares > 0.0 {
            let scale = 1.0 / squares.sqrt();
            for entry in &mut out.entries[start..] {
                entry.1 *= scale;
            }
        }
        out.ends.push(out.entries.len());
    }
}

fn term_frequency(count: usize, sublinear: bool) -> f32 {
    match (count, sublinear) {
        (0 | 1, _) => count as f32,
        (count, true) => (1.0 + ln(count as f64)) as f32,
        (count, false) => count as f32,
    }
}

/// Row vectors one after the other.
#[derive(Default)]
pub(crate) struct Vectors {
    entries: Vec<(u32, f32)>,
    ends: Vec<usize>,
}

impl Vectors {
    pub fn clear(&mut self) {
        self.entries.clear();
        self.ends.clear();
    }

    #[cfg(test)]
    pub fn push(&mut self, row: &[(u32, f32)]) {
        self.entries.extend_from_slice(row);
        self.ends.push(self.entries.len());
    }

    #[inline]
    pub fn get(&self, position: usize) -> &[(u32, f32)] {
        let start = if position == 0 { 0 } else { self.ends[position - 1] };
        &self.entries[start..self.ends[position]]
    }
}
