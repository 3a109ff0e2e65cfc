//! A fitted model, its scores and its bytes.
//!
//! Payload of a saved model, little endian, inside the frame the SDK puts around it:
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | format, 1 |
//! | 4 | text settings |
//! | 8 | number of features |
//! | 8 a feature | hash, rising |
//! | 4 a class | logarithm of the prior |
//! | 4 a feature and class | logarithm of the likelihood, by feature |
//!
//! Old reader with new data: another format is refused by number. New reader with old data: format
//! 1 stays readable.

use plugin_sdk::text::{Counts, TextSettings, Vocabulary};
use plugin_sdk::{Context, Error, for_each_part};

const FORMAT: u32 = 1;
const ABSENT: u32 = u32::MAX;

/// Log-likelihoods with everything that is needed to score a text.
#[derive(Debug, PartialEq)]
pub struct Model {
    pub(crate) settings: TextSettings,
    /// By feature, in any order; saved in rising order.
    pub(crate) hashes: Vec<u64>,
    pub(crate) log_priors: Vec<f32>,
    /// Row-major `[features, classes]`.
    pub(crate) log_likelihoods: Vec<f32>,
}

impl Model {
    /// Writes posterior probabilities of corpus rows.
    pub(crate) fn predict(
        &self,
        counts: &Counts,
        rows: &[u32],
        scores: &mut [f32],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        if counts.settings() != self.settings {
            return Err(Error::new("the texts were prepared with other parameters than the model"));
        }
        let vocabulary = Vocabulary::of(&self.hashes);
        let number = |&hash: &u64| vocabulary.find(hash).unwrap_or(ABSENT);
        let numbers: Vec<u32> = counts.hashes().iter().map(number).collect();
        let classes = self.log_priors.len();
        for_each_part(rows, scores, classes, context, |rows, scores| {
            context.check()?;
            let mut logits = vec![0.0_f64; classes];
            for (&row, out) in rows.iter().zip(scores.chunks_exact_mut(classes)) {
                self.logits(counts, &numbers, row, &mut logits);
                write_probabilities(&logits, out);
            }
            Ok(())
        })
    }

    fn logits(&self, counts: &Counts, numbers: &[u32], row: u32, logits: &mut [f64]) {
        for (logit, prior) in logits.iter_mut().zip(&self.log_priors) {
            *logit = f64::from(*prior);
        }
        let (features, row_counts) = counts.row(row);
        for (&feature, &count) in features.iter().zip(row_counts) {
            let number = numbers[feature as usize];
            if number == ABSENT {
                continue;
            }
            let likelihoods = &self.log_likelihoods[number as usize * logits.len()..];
            for (logit, likelihood) in logits.iter_mut().zip(likelihoods) {
                *logit += f64::from(count) * f64::from(*likelihood);
            }
        }
    }

    /// Returns the payload described at the top of this file.
    pub(crate) fn save(&self) -> Vec<u8> {
        let classes = self.log_priors.len();
        let mut order: Vec<usize> = (0..self.hashes.len()).collect();
        order.sort_unstable_by_key(|&feature| self.hashes[feature]);
        let mut bytes =
            Vec::with_capacity(16 + self.hashes.len() * (8 + 4 * classes) + 4 * classes);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.settings.to_bytes());
        bytes.extend_from_slice(&(self.hashes.len() as u64).to_le_bytes());
        for &feature in &order {
            bytes.extend_from_slice(&self.hashes[feature].to_le_bytes());
        }
        push_floats(&mut bytes, &self.log_priors);
        for &feature in &order {
            push_floats(&mut bytes, &self.log_likelihoods[feature * classes..][..classes]);
        }
        bytes
    }

    /// Reads what `save` wrote; lengths are compared before anything is allocated.
    pub(crate) fn load(bytes: &[u8], classes: usize) -> Result<Model, Error> {
        let damaged = || Error::new("the model is cut short or damaged");
        let (head, rest) = bytes.split_first_chunk::<16>().ok_or_else(damaged)?;
        let (format, settings) = (&head[..4], [head[4], head[5], head[6], head[7]]);
        if format != FORMAT.to_le_bytes() {
            return Err(Error::new(format!("the model has another format than {FORMAT}")));
        }
        let settings = TextSettings::from_bytes(settings)?;
        let features = u64::from_le_bytes(head[8..].try_into().expect("eight bytes are left"));
        let expected = u128::from(features) * (8 + 4 * classes as u128) + 4 * classes as u128;
        if expected != rest.len() as u128 || features >= u64::from(ABSENT) {
            return Err(damaged());
        }
        let (hashes, rest) = rest.split_at(features as usize * 8);
        let hashes: Vec<u64> =
            hashes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        if hashes.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(damaged());
        }
        let mut log_priors: Vec<f32> =
            rest.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if log_priors.iter().any(|value| !value.is_finite() || *value > 0.0) {
            return Err(damaged());
        }
        let log_likelihoods = log_priors.split_off(classes);
        Ok(Model { settings, hashes, log_priors, log_likelihoods })
    }
}

fn write_probabilities(logits: &[f64], out: &mut [f32]) {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
    for (out, logit) in out.iter_mut().zip(logits) {
        *out = ((logit - most).exp() / sum) as f32;
    }
}

fn push_floats(bytes: &mut Vec<u8>, values: &[f32]) {
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use plugin_sdk::{Classifier, Texts, Training};

    use super::*;
    use crate::{NaiveBayes, Params};

    #[test]
    fn class_sums_give_the_textbook_answer() {
        // Manning, Raghavan, Schütze, chapter 13: P(china | test) is about 0.69 with Laplace.
        let texts = "chinese beijing chinese|chinese chinese shanghai|chinese macao|\
                     tokyo japan chinese|chinese chinese chinese tokyo japan";
        let mut offsets = vec![0];
        let mut joined = String::new();
        for text in texts.split('|') {
            joined.push_str(text);
            offsets.push(joined.len() as i64);
        }
        let context = Context::quiet();
        let texts = Texts::new(&offsets, &joined).unwrap();
        let params = Params { alpha: 1.0, min_df: 1, ..Params::default() };
        let corpus = NaiveBayes::prepare(params, &texts, &context).unwrap();
        let training = Training {
            rows: &[0, 1, 2, 3],
            labels: &[0, 0, 0, 1],
            weights: None,
            class_count: 2,
            seed: 0,
        };
        let model = NaiveBayes::fit(&corpus, &training, &context).unwrap();
        let mut scores = [0.0; 2];
        NaiveBayes::predict(&corpus, &model, &[4], &mut scores, &context).unwrap();
        // Priors here are 4/6 and 2/6 in place of the book's 3/4 and 1/4.
        let china = 4.0 / 6.0 * (3.0_f32 / 7.0).powi(3) / 14.0 / 14.0;
        let japan = 2.0 / 6.0 * (2.0_f32 / 9.0).powi(5);
        assert!((scores[0] - china / (china + japan)).abs() < 1e-5);
        let weighted = Training { weights: Some(&[1.0; 4]), ..training };
        let weighted = NaiveBayes::fit(&corpus, &weighted, &context).unwrap();
        for (a, b) in weighted.log_likelihoods.iter().zip(&model.log_likelihoods) {
            assert!((a - b).abs() < 1e-6);
        }
        let mut loaded = Model::load(&model.save(), 2).unwrap();
        assert_eq!(loaded.save(), model.save());
        loaded.settings.word_ngrams = 2;
        assert!(NaiveBayes::predict(&corpus, &loaded, &[4], &mut scores, &context).is_err());
    }
}
