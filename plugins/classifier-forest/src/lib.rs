//! The `forest` plugin: a random forest whose trees smartcore grows.
//!
//! smartcore wants dense rows, scans all of them at each node, and answers with classes alone. So
//! each tree is grown on a bounded sample of the rows in a projection with a bounded number of
//! dimensions, and is then read out: leaves get shares of classes, with weights, and a saved model
//! can be checked before it is used.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod fit;
mod grow;
mod model;
mod tree;

use plugin_sdk::calibrate::Calibrate;
use plugin_sdk::text::{Counts, Projection, ProjectionSettings};
use plugin_sdk::{About, Classifier, Context, Error, Texts, Training};
use schemars::JsonSchema;
use serde::Deserialize;

pub use model::Model;

/// Parameters of `forest`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-relabel-auto" = [{}, {"features_per_split": 64}]))]
pub struct Params {
    /// Longest run of words that is a feature: 1 for words, 2 for pairs too.
    #[schemars(range(min = 1, max = 3))]
    pub word_ngrams: u8,
    /// Features in fewer training rows than this are left out.
    #[schemars(range(min = 1))]
    pub min_df: u32,
    /// How features become dimensions.
    pub projection: Projection,
    /// Dimensions of the projection; memory grows with them.
    #[schemars(range(min = 2, max = 1048576))]
    pub dimensions: u32,
    /// Trees; time and the size of the model grow with them.
    #[schemars(range(min = 1, max = 1000))]
    pub trees: u16,
    /// Most training rows that one tree sees; each tree draws its own. Time grows with the square.
    #[schemars(range(min = 2, max = 10000))]
    pub rows_per_tree: u32,
    /// Dimensions, drawn anew at each split, among which the best is taken.
    #[schemars(range(min = 1, max = 1048576))]
    pub features_per_split: u32,
    /// Most splits between the root of a tree and a leaf.
    #[schemars(range(min = 1, max = 1000))]
    pub depth: u16,
    /// Trees' worth of votes that are dealt to the classes by their share of the training rows.
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
            projection: Projection::Truncated,
            dimensions: 1024,
            trees: 30,
            rows_per_tree: 1000,
            features_per_split: 32,
            depth: 60,
            smoothing: 0.5,
            calibrate: Calibrate::Truth,
        }
    }
}

impl Params {
    fn projection(&self) -> ProjectionSettings {
        let Params { projection, dimensions, min_df, .. } = *self;
        ProjectionSettings { projection, dimensions, min_df }
    }

    fn check(&self) -> Result<(), Error> {
        self.projection().check()?;
        let wholes = [
            ("trees", u32::from(self.trees), 1, 1000),
            ("rows_per_tree", self.rows_per_tree, 2, 10_000),
            ("features_per_split", self.features_per_split, 1, 1 << 20),
            ("depth", u32::from(self.depth), 1, 1000),
        ];
        for (name, value, least, most) in wholes {
            if !(least..=most).contains(&value) {
                let message = format!("parameter `{name}` must be within {least} and {most}");
                return Err(Error::new(message));
            }
        }
        if !(1e-3..=1e3).contains(&self.smoothing) {
            return Err(Error::new("parameter `smoothing` must be within 0.001 and 1000"));
        }
        Ok(())
    }
}

/// The classifier behind the entry symbol; public for benchmarks that call it without dlopen.
pub struct Forest;

/// Word counts of all texts, and how to learn from them.
pub struct Corpus {
    counts: Counts,
    params: Params,
}

impl Classifier for Forest {
    type Params = Params;
    type Corpus = Corpus;
    type Model = Model;

    const ABOUT: About = About {
        name: "forest",
        version: env!("CARGO_PKG_VERSION"),
        description: "Random forest by smartcore on word counts in a projection, calibrated by the \
                      rows each tree did not see; a tree sees at most `rows_per_tree` rows (10,000 \
                      at most), bounded to 16 million rows times dimensions and 4 million rows \
                      times trees (about 600 MB a thread while fitting), an error past them",
        licence: "MIT OR Apache-2.0",
        capabilities: &["weights", "threads", "columns"],
    };

    fn prepare(params: Params, texts: &Texts<'_>, context: &Context<'_>) -> Result<Corpus, Error> {
        params.check()?;
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

plugin_sdk::export!(Forest);
