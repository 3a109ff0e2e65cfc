//! A whole classifier plugin: each word of a text votes with the class shares that it had in the
//! training rows. See README.md.

use plugin_sdk::text::{Counts, TextSettings};
use plugin_sdk::{About, Classifier, Context, Error, Texts, Training};

/// Words are told apart by a hash below this; one bucket more holds the shares of all rows.
const BUCKETS: usize = 1 << 12;
const WORDS: TextSettings = TextSettings { word_ngrams: 1, char_ngrams: (0, 0), hash_bits: 12 };

/// What `params:` in a pipeline may say; `relabel plugins show` prints the comments.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Params {
    /// Rows that each word is thought to have had in each class besides those counted.
    #[schemars(range(min = 0.001, max = 1000.0))]
    smoothing: f32,
}

impl Default for Params {
    fn default() -> Params {
        Params { smoothing: 0.25 }
    }
}

struct WordVotes;

/// Label-free work on all texts, done once for all folds.
struct Corpus {
    counts: Counts,
    smoothing: f32,
}

impl Corpus {
    fn buckets(&self, row: u32) -> impl Iterator<Item = usize> {
        let words = self.counts.row(row).0.iter();
        words.map(|&word| self.counts.hashes()[word as usize] as usize).chain([BUCKETS])
    }
}

impl Classifier for WordVotes {
    type Params = Params;
    type Corpus = Corpus;
    /// A row of class shares for each bucket.
    type Model = Vec<f32>;

    const ABOUT: About = About {
        name: "plugin-in-rust",
        version: env!("CARGO_PKG_VERSION"),
        description: "Words vote with their class shares",
        licence: "MIT OR Apache-2.0",
        capabilities: &["weights", "columns"],
    };

    fn prepare(params: Params, texts: &Texts<'_>, context: &Context<'_>) -> Result<Corpus, Error> {
        Ok(Corpus { counts: Counts::new(WORDS, texts, context)?, smoothing: params.smoothing })
    }

    /// Learns from the training rows alone.
    fn fit(corpus: &Corpus, training: &Training<'_>, _: &Context<'_>) -> Result<Vec<f32>, Error> {
        let classes = training.class_count;
        let mut votes = vec![corpus.smoothing; (BUCKETS + 1) * classes];
        for (position, &row) in training.rows.iter().enumerate() {
            let class = training.labels[position] as usize;
            for bucket in corpus.buckets(row) {
                votes[bucket * classes + class] += training.weight(position);
            }
        }
        votes.chunks_exact_mut(classes).for_each(sum_to_one);
        Ok(votes)
    }

    /// Writes one row of probabilities for each of `rows`; `scores` is all 0 before.
    fn predict(
        corpus: &Corpus,
        votes: &Vec<f32>,
        rows: &[u32],
        scores: &mut [f32],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        let classes = votes.len() / (BUCKETS + 1);
        for (&row, scores) in rows.iter().zip(scores.chunks_exact_mut(classes)) {
            context.check()?;
            for bucket in corpus.buckets(row) {
                let votes = &votes[bucket * classes..][..classes];
                scores.iter_mut().zip(votes).for_each(|(score, vote)| *score += vote);
            }
            sum_to_one(scores);
        }
        Ok(())
    }

    fn save(votes: &Vec<f32>) -> Result<Vec<u8>, Error> {
        Ok(votes.iter().flat_map(|vote| vote.to_le_bytes()).collect())
    }

    /// The SDK has looked at the plugin's name and a checksum; the length is still to be checked.
    fn load(bytes: &[u8], classes: usize) -> Result<Vec<f32>, Error> {
        if bytes.len() != (BUCKETS + 1) * classes * size_of::<f32>() {
            return Err(Error::new("the saved model has another size"));
        }
        Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

fn sum_to_one(values: &mut [f32]) {
    let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
    values.iter_mut().for_each(|value| *value = (f64::from(*value) / sum) as f32);
}

plugin_sdk::export!(WordVotes);
