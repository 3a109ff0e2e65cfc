//! The `knn` plugin: the labels of the most similar training texts, found by smartcore.
//!
//! Texts are unit vectors in a projection with a bounded number of dimensions; smartcore's linear
//! search finds the nearest by cosine. Its own classifier wants dense rows and gives a class without
//! a neighbour no probability at all; here rows stay sparse, and votes are smoothed and calibrated.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod fit;
mod model;
mod points;

use plugin_sdk::calibrate::Calibrate;
use plugin_sdk::text::{Counts, Projection, ProjectionSettings};
use plugin_sdk::{About, Classifier, Context, Error, Texts, Training};
use schemars::JsonSchema;
use serde::Deserialize;

pub use model::Model;

/// Parameters of `knn`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-relabel-auto" = [{}, {"neighbours": 10}, {"word_ngrams": 2}]))]
pub struct Params {
    /// Longest run of words that is a feature: 1 for words, 2 for pairs too.
    #[schemars(range(min = 1, max = 3))]
    pub word_ngrams: u8,
    /// Features in fewer training rows than this are left out.
    #[schemars(range(min = 1))]
    pub min_df: u32,
    /// How features become dimensions.
    pub projection: Projection,
    /// Dimensions of the projection.
    #[schemars(range(min = 2, max = 1048576))]
    pub dimensions: u32,
    /// Training texts whose labels are counted.
    #[schemars(range(min = 1, max = 1000))]
    pub neighbours: u32,
    /// Most training rows that are remembered, drawn evenly: each text is compared with all of them.
    #[schemars(range(min = 1))]
    pub max_rows: usize,
    /// Votes that are dealt to the classes by their share of the training rows.
    #[schemars(range(min = 0.001, max = 1000.0))]
    pub smoothing: f64,
    /// What confidences mean; learnt inside the training rows.
    pub calibrate: Calibrate,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            word_ngrams: 1,
            min_df: 2,
            projection: Projection::Hashed,
            dimensions: 16_384,
            neighbours: 30,
            max_rows: 20_000,
            smoothing: 0.1,
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
pub struct Knn;

/// Word counts of all texts, and how to learn from them.
pub struct Corpus {
    counts: Counts,
    params: Params,
}

impl Classifier for Knn {
    type Params = Params;
    type Corpus = Corpus;
    type Model = Model;

    const ABOUT: About = About {
        name: "knn",
        version: env!("CARGO_PKG_VERSION"),
        description: "Labels of the most similar training texts (smartcore's linear search, cosine \
                      of tf-idf in a projection), calibrated within the training rows; remembers \
                      `max_rows` rows, bounded to 50 million of their words (about 500 MB), an \
                      error past it; time grows with rows times `max_rows`",
        licence: "MIT OR Apache-2.0",
        capabilities: &["weights", "threads", "columns"],
    };

    fn prepare(params: Params, texts: &Texts<'_>, context: &Context<'_>) -> Result<Corpus, Error> {
        params.projection().check()?;
        if !(1..=1000).contains(&params.neighbours) {
            return Err(Error::new("parameter `neighbours` must be within 1 and 1000"));
        }
        if params.max_rows == 0 {
            return Err(Error::new("parameter `max_rows` must be at least 1"));
        }
        if !(1e-3..=1e3).contains(&params.smoothing) {
            return Err(Error::new("parameter `smoothing` must be within 0.001 and 1000"));
        }
        Ok(Corpus { counts: Counts::of_words(params.word_ngrams, texts, context)?, params })
    }

    fn fit(
        corpus: &Corpus,
        training: &Training<'_>,
        context: &Context<'_>,
    ) -> Result<Model, Error> {
        fit::fit(&corpus.counts, &corpus.params, training, context)
    }

    fn predict(
        corpus: &Corpus,
        model: &Model,
        rows: &[u32],
        scores: &mut [f32],
        context: &Context<'_>,
    ) -> Result<(), Error> {
        model.predict(&corpus.counts, rows, scores, context)
    }

    fn save(model: &Model) -> Result<Vec<u8>, Error> {
        Ok(model.save())
    }

    fn load(bytes: &[u8], class_count: usize) -> Result<Model, Error> {
        Model::load(bytes, class_count)
    }
}

plugin_sdk::export!(Knn);
