//! The `complement-nb` plugin: complement naive Bayes on weighted word counts.
//!
//! After Rennie, Shih, Teevan and Karger, "Tackling the poor assumptions of naive Bayes text
//! classifiers" (2003): each class is described by the words of all other classes, which are more
//! rows and more evenly many. Its logits mean little by themselves and are calibrated inside the
//! training rows. Cheap, and wrong in other places than regression: good in ensembles.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod fit;
mod own_share;

use plugin_sdk::calibrate::Calibrate;
use plugin_sdk::text::{Counts, LogLinear};
use plugin_sdk::{About, Classifier, Context, Error, Texts, Training};
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of `complement-nb`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-relabel-auto" = [
    {}, {"idf": true}, {"word_ngrams": 2}, {"word_ngrams": 2, "idf": true, "alpha": 3.0},
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
    /// Added to the sum of every feature in every class.
    #[schemars(range(min = 0.000001, max = 1000.0))]
    pub alpha: f64,
    /// Count a word `n` times in a text as 1 + ln n.
    pub sublinear_tf: bool,
    /// Weigh features by the inverse of their document frequency in the training rows.
    pub idf: bool,
    /// Divide the values of each text by their Euclidean length, so that long texts count as one.
    pub length_norm: bool,
    /// Divide the weights of each class by the sum of their absolute values.
    pub weight_norm: bool,
    /// What confidences mean; learnt inside the training rows.
    pub calibrate: Calibrate,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            word_ngrams: 1,
            min_df: 2,
            max_features: 200_000,
            alpha: 1.0,
            sublinear_tf: true,
            idf: false,
            length_norm: true,
            weight_norm: false,
            calibrate: Calibrate::Truth,
        }
    }
}

/// The classifier behind the entry symbol; public for benchmarks that call it without dlopen.
pub struct ComplementNb;

/// Word counts of all texts, and how to learn from them.
pub struct Corpus {
    counts: Counts,
    params: Params,
}

impl Classifier for ComplementNb {
    type Params = Params;
    type Corpus = Corpus;
    type Model = LogLinear;

    const ABOUT: About = About {
        name: "complement-nb",
        version: env!("CARGO_PKG_VERSION"),
        description: "Complement naive Bayes on weighted word counts, calibrated within the training \
                      rows; cheap and strong on many words a text; bounded to 40 million classes \
                      times features (about 500 MB while fitting), an error past it",
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

plugin_sdk::export!(ComplementNb);
