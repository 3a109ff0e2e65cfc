//! The `naive-bayes` plugin: smartcore's multinomial naive Bayes on word counts.
//!
//! smartcore wants a dense matrix with a row a text. Its likelihoods depend on the class sums of
//! that matrix alone, so it gets those: one row a class, which is exact and bounds memory by
//! classes times features. Scores are then summed over the words a text has. Words that go together
//! make naive Bayes too sure of itself, so its logits are calibrated inside the training rows.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod fit;

use plugin_sdk::calibrate::Calibrate;
use plugin_sdk::text::{Counts, LogLinear};
use plugin_sdk::{About, Classifier, Context, Error, Texts, Training};
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of `naive-bayes`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-relabel-auto" = [
    {}, {"alpha": 0.05}, {"alpha": 1.0}, {"word_ngrams": 2},
]))]
pub struct Params {
    /// Longest run of words that is a feature: 1 for words, 2 for pairs too.
    #[schemars(range(min = 1, max = 3))]
    pub word_ngrams: u8,
    /// Features in fewer training rows than this are left out.
    #[schemars(range(min = 1))]
    pub min_df: u32,
    /// Most features; the ones in most training rows are kept.
    #[schemars(range(min = 1))]
    pub max_features: usize,
    /// Added to the count of every feature in every class.
    #[schemars(range(min = 0.000001, max = 1000.0))]
    pub alpha: f64,
    /// What confidences mean; learnt inside the training rows.
    pub calibrate: Calibrate,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            word_ngrams: 1,
            min_df: 2,
            max_features: 100_000,
            alpha: 0.3,
            calibrate: Calibrate::Truth,
        }
    }
}

/// The classifier behind the entry symbol; public for benchmarks that call it without dlopen.
pub struct NaiveBayes;

/// Word counts of all texts, and how to learn from them.
pub struct Corpus {
    counts: Counts,
    params: Params,
}

impl Classifier for NaiveBayes {
    type Params = Params;
    type Corpus = Corpus;
    type Model = LogLinear;

    const ABOUT: About = About {
        name: "naive-bayes",
        version: env!("CARGO_PKG_VERSION"),
        description: "Multinomial naive Bayes of smartcore on word counts, calibrated within the \
                      training rows; bounded to 16 million classes times features (about 500 MB \
                      while fitting), an error past it",
        licence: "MIT OR Apache-2.0",
        capabilities: &["weights", "threads", "columns"],
    };

    fn prepare(params: Params, texts: &Texts<'_>, context: &Context<'_>) -> Result<Corpus, Error> {
        if !(1e-6..=1e3).contains(&params.alpha) {
            return Err(Error::new("parameter `alpha` must be within 0.000001 and 1000"));
        }
        if params.min_df == 0 || params.max_features == 0 {
            return Err(Error::new("parameters `min_df` and `max_features` must be at least 1"));
        }
        Ok(Corpus { counts: Counts::of_words(params.word_ngrams, texts, context)?, params })
    }

    fn fit(
        corpus: &Corpus,
        training: &Training<'_>,
        context: &Context<'_>,
    ) -> Result<LogLinear, Error> {
        fit::fit(&corpus.counts, &corpus.params, training, context)
    }

    fn predict(
        corpus: &Corpus,
        model: &LogLinear,
        rows: &[u32],
        scores: &mut [f32],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        model.predict(&corpus.counts, rows, scores, context)
    }

    fn save(model: &LogLinear) -> Result<Vec<u8>, Error> {
        Ok(model.save())
    }

    fn load(bytes: &[u8], class_count: usize) -> Result<LogLinear, Error> {
        LogLinear::load(bytes, class_count)
    }
}

plugin_sdk::export!(NaiveBayes);
