//! The `logistic` plugin: multinomial logistic regression, minimised by smartcore's L-BFGS.
//!
//! smartcore's own logistic regression takes a dense matrix, no weights, and runs until rounding
//! stops it, deaf to cancelling. Its optimiser takes any function: here it gets the loss over sparse
//! rows of a projection with a bounded number of dimensions, which has weights, looks at the cancel
//! flag, and ends after some iterations. Nothing in it is random.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod fit;
mod loss;

use plugin_sdk::calibrate::Calibrate;
use plugin_sdk::text::{Counts, LogLinear, Projection, ProjectionSettings};
use plugin_sdk::{About, Classifier, Context, Error, Texts, Training};
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of `logistic`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-relabel-auto" = [{}, {"c": 0.3}, {"c": 5.0}, {"word_ngrams": 2}]))]
pub struct Params {
    /// Longest run of words that is a feature: 1 for words, 2 for pairs too.
    #[schemars(range(min = 1, max = 3))]
    pub word_ngrams: u8,
    /// Features in fewer training rows than this are left out.
    #[schemars(range(min = 1))]
    pub min_df: u32,
    /// How features become dimensions.
    pub projection: Projection,
    /// Dimensions of the projection; memory and time grow with them and with the classes.
    #[schemars(range(min = 2, max = 1048576))]
    pub dimensions: u32,
    /// Inverse strength of the L2 regularisation, per row: small is strong, and forgives more noise.
    #[schemars(range(min = 0.0001, max = 1000.0))]
    pub c: f64,
    /// Most iterations of L-BFGS.
    #[schemars(range(min = 1, max = 1000))]
    pub iterations: u32,
    /// What confidences mean; learnt inside the training rows.
    pub calibrate: Calibrate,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            word_ngrams: 1,
            min_df: 2,
            projection: Projection::Truncated,
            dimensions: 4096,
            c: 1.0,
            iterations: 25,
            calibrate: Calibrate::Truth,
        }
    }
}

impl Params {
    fn projection(&self) -> ProjectionSettings {
        let Params { projection, dimensions, min_df, .. } = *self;
        ProjectionSettings { projection, dimensions, min_df }
    }
}

/// The classifier behind the entry symbol; public for benchmarks that call it without dlopen.
pub struct Logistic;

/// Word counts of all texts, and how to learn from them.
pub struct Corpus {
    counts: Counts,
    params: Params,
}

impl Classifier for Logistic {
    type Params = Params;
    type Corpus = Corpus;
    type Model = LogLinear;

    const ABOUT: About = About {
        name: "logistic",
        version: env!("CARGO_PKG_VERSION"),
        description: "Logistic regression by smartcore's L-BFGS on a projection of tf-idf, \
                      calibrated within the training rows; bounded to 4.5 million classes times \
                      dimensions (about 800 MB while fitting), an error past it",
        licence: "MIT OR Apache-2.0",
        capabilities: &["weights", "threads", "columns"],
    };

    fn prepare(params: Params, texts: &Texts<'_>, context: &Context<'_>) -> Result<Corpus, Error> {
        params.projection().check()?;
        if !(1e-4..=1e3).contains(&params.c) {
            return Err(Error::new("parameter `c` must be within 0.0001 and 1000"));
        }
        if !(1..=1000).contains(&params.iterations) {
            return Err(Error::new("parameter `iterations` must be within 1 and 1000"));
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

plugin_sdk::export!(Logistic);
