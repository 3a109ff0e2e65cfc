//! Which features of a corpus a model keeps, learnt from its training rows alone.
//! Knows nothing of what a model does with them.

use std::cmp::Reverse;

use super::counts::Counts;
use crate::Training;

/// Features of a corpus that a model keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Feature numbers of the corpus, rising.
    pub features: Vec<u32>,
    /// In how many training rows each of `features` occurs.
    pub frequencies: Vec<u32>,
}

impl Selection {
    /// Keeps the features in at least `min_df` of `rows`; of more than `most`, those in most rows.
    pub fn frequent(counts: &Counts, rows: &[u32], min_df: u32, most: usize) -> Selection {
        let frequencies = frequencies(counts, rows);
        let kept = kept(&frequencies, min_df);
        let rank = |feature: u32| Reverse(frequencies[feature as usize]);
        Selection::first(counts, &frequencies, kept, most, rank)
    }

    /// Keeps, of the features in at least `min_df` training rows, the `most` that tell most about
    /// the class: the largest chi-square of occurrence and class (Yang and Pedersen, "A comparative
    /// study on feature selection in text categorization", 1997).
    pub fn telling(
        counts: &Counts,
        training: &Training<'_>,
        min_df: u32,
        most: usize,
    ) -> Selection {
        let frequencies = frequencies(counts, training.rows);
        let kept = kept(&frequencies, min_df);
        if kept.len() <= most {
            return Selection::first(counts, &frequencies, kept, most, |_| 0);
        }
        // The sum over classes of squared occurrences in a class, divided by its rows.
        let mut sums = vec![0.0_f64; counts.hashes().len()];
        let mut in_class = vec![0_u32; counts.hashes().len()];
        let mut touched = Vec::new();
        for rows in rows_by_class(training).iter().filter(|rows| !rows.is_empty()) {
            for &position in rows {
                for &feature in counts.row(training.rows[position as usize]).0 {
                    if in_class[feature as usize] == 0 {
                        touched.push(feature);
                    }
                    in_class[feature as usize] += 1;
                }
            }
            for feature in touched.drain(..) {
                let occurrences = f64::from(std::mem::take(&mut in_class[feature as usize]));
                sums[feature as usize] += occurrences * occurrences / rows.len() as f64;
            }
        }
        let total = training.rows.len() as f64;
        let rank = |feature: u32| {
            let frequency = f64::from(frequencies[feature as usize]);
            let excess = total / frequency * sums[feature as usize] - frequency;
            let chi_square = excess * total / (total - frequency).max(0.5);
            // Positive floats are ordered as their bits are.
            Reverse(chi_square.max(0.0).to_bits())
        };
        Selection::first(counts, &frequencies, kept, most, rank)
    }

    /// Keeps the `most` features of the lowest rank.
    fn first<R: Ord>(
        counts: &Counts,
        frequencies: &[u32],
        mut kept: Vec<u32>,
        most: usize,
        rank: impl Fn(u32) -> R,
    ) -> Selection {
        if kept.len() > most {
            // Ties go by hash, which no row outside the training set changes.
            kept.sort_unstable_by_key(|&feature| {
                (rank(feature), counts.hashes()[feature as usize])
            });
            kept.truncate(most);
            kept.sort_unstable();
        }
        let frequencies = kept.iter().map(|&feature| frequencies[feature as usize]).collect();
        Selection { features: kept, frequencies }
    }
}

fn frequencies(counts: &Counts, rows: &[u32]) -> Vec<u32> {
    let mut frequencies = vec![0_u32; counts.hashes().len()];
    for &row in rows {
        for &feature in counts.row(row).0 {
            frequencies[feature as usize] += 1;
        }
    }
    frequencies
}

fn kept(frequencies: &[u32], min_df: u32) -> Vec<u32> {
    let features = 0..frequencies.len() as u32;
    features.filter(|&feature| frequencies[feature as usize] >= min_df.max(1)).collect()
}

/// Returns the positions of the training rows of each class, rising.
pub fn rows_by_class(training: &Training<'_>) -> Vec<Vec<u32>> {
    let mut rows = vec![Vec::new(); training.class_count];
    for (position, &label) in (0..).zip(training.labels) {
        rows[label as usize].push(position);
    }
    rows
}
