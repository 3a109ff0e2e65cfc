//! Weighted, normalised row vectors: document frequencies of the training rows, idf, L2 norm.
//!
//! Values of a row are summed in the order its features occur in the text, so that they do not
//! depend on rows outside the training set, which decide the numbers of features.

use plugin_sdk::text::Counts;

use crate::params::Learning;

/// The number of a feature that a model does not have.
pub(crate) const ABSENT: u32 = u32::MAX;

/// Most weights of a model, classes times features: 800 MB. Past it the rarest features go.
const MOST_WEIGHTS: usize = 200_000_000;

/// Which features of a corpus count, and how much.
pub(crate) struct Weighting {
    /// Number in the model of each feature of the corpus, or [`ABSENT`].
    pub numbers: Vec<u32>,
    /// By number in the model.
    pub idf: Vec<f32>,
    pub sublinear_tf: bool,
}

impl Weighting {
    /// Learns from the training rows alone; returns the features kept, by number.
    pub fn learn(
        corpus: &Counts,
        rows: &[u32],
        learning: &Learning,
        stride: usize,
    ) -> (Weighting, Vec<u32>) {
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
        let mut numbers = vec![ABSENT; corpus.hashes().len()];
        let mut idf = Vec::with_capacity(kept.len());
        for (number, &feature) in kept.iter().enumerate() {
            numbers[feature as usize] = number as u32;
            let frequency = f64::from(frequencies[feature as usize]);
            let value = ((1.0 + rows.len() as f64) / (1.0 + frequency)).ln() + 1.0;
            idf.push(if learning.idf { value as f32 } else { 1.0 });
        }
        (Weighting { numbers, idf, sublinear_tf: learning.sublinear_tf }, kept)
    }

    /// Appends the vector of a row: feature numbers and values with a Euclidean norm of 1.
    pub fn push_row(&self, corpus: &Counts, row: u32, out: &mut Vectors) {
        let start = out.entries.len();
        let (features, counts) = corpus.row(row);
        let mut squares = 0.0_f32;
        for (&feature, &count) in features.iter().zip(counts) {
            let number = self.numbers[feature as usize];
            if number == ABSENT {
                continue;
            }
            let value = term_frequency(count, self.sublinear_tf) * self.idf[number as usize];
            squares += value * value;
            out.entries.push((number, value));
        }
        if squares > 0.0 {
            let scale = 1.0 / squares.sqrt();
            for entry in &mut out.entries[start..] {
                entry.1 *= scale;
            }
        }
        out.ends.push(out.entries.len());
    }
}

#[inline]
fn term_frequency(count: u16, sublinear: bool) -> f32 {
    match (count, sublinear) {
        (1, _) => 1.0,
        (count, true) => 1.0 + f32::from(count).ln(),
        (count, false) => f32::from(count),
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

    #[inline]
    pub fn get(&self, position: usize) -> &[(u32, f32)] {
        let start = if position == 0 { 0 } else { self.ends[position - 1] };
        &self.entries[start..self.ends[position]]
    }
}
