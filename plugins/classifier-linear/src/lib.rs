//! The `linear` plugin: sparse n-grams and multinomial logistic regression, made for speed and for
//! confidences that can be used.
//!
//! `prepare` turns every text into feature counts, once. `fit` learns document frequencies, idf,
//! weights and calibration from its training rows alone. Knows nothing of files or frames.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ascent;
mod model;
mod params;
mod spread;
mod train;
mod vectors;

use std::sync::{Mutex, PoisonError};

use plugin_sdk::calibrate::{Calibration, Powers, Sample};
use plugin_sdk::math::{LANES, lanes_for};
use plugin_sdk::text::Counts;
use plugin_sdk::{About, Classifier, Context, Error, Texts, Training};

pub use model::Model;
pub use params::{Calibrate, ClassWeight, Params};

/// From 0.2 to 60: regularised weights are right about the order of classes and too timid about the
/// distance, but never by more.
const POWERS: Powers = Powers { smallest: -17, largest: 43 };

/// Feature counts of all texts, and how to learn from them.
pub struct Corpus {
    counts: Counts,
    learning: params::Learning,
    /// Of folds that are done: asking the system anew for what a fold needs costs a tenth of its time.
    spare: Mutex<Vec<train::Buffers>>,
}

/// The classifier behind the entry symbol; public for benchmarks that call it without dlopen.
pub struct Linear;

impl Classifier for Linear {
    type Params = Params;
    type Corpus = Corpus;
    type Model = Model;

    const ABOUT: About = About {
        name: "linear",
        version: env!("CARGO_PKG_VERSION"),
        description: "Sparse word n-grams and multinomial logistic regression, calibrated within \
                      the training rows; fast, and the default",
        licence: "MIT OR Apache-2.0",
        capabilities: &["weights", "threads", "columns"],
    };

    fn prepare(params: Params, texts: &Texts<'_>, context: &Context<'_>) -> Result<Corpus, Error> {
        let (settings, learning) = params.split()?;
        let counts = Counts::new(settings, texts, context)?;
        Ok(Corpus { counts, learning, spare: Mutex::default() })
    }

    fn fit(
        corpus: &Corpus,
        training: &Training<'_>,
        context: &Context<'_>,
    ) -> Result<Model, Error> {
        let classes = training.class_count;
        let Corpus { counts, learning, spare } = corpus;
        let stride = lanes_for(classes) * LANES;
        let (weighting, kept) = vectors::Weighting::learn(counts, training.rows, learning, stride);
        let source = train::Source { counts, weighting: &weighting, features: kept.idf.len() };
        // A fold that panicked took its buffers with it, so those that are here are fine.
        let spare = || spare.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = spare().pop().unwrap_or_default();
        let trained = train::train(&source, training, learning, &mut buffers, context)?;
        spare().push(buffers);
        let sample = Sample {
            logits: &trained.held_out,
            labels: &trained.held_out_labels,
            weights: &trained.held_out_weights,
            classes,
        };
        let calibration = Calibration::fit_within(&sample, learning.calibrate, POWERS);
        Ok(Model {
            settings: counts.settings(),
            sublinear_tf: learning.sublinear_tf,
            calibration,
            classes,
            hashes: kept
                .features
                .iter()
                .map(|&feature| counts.hashes()[feature as usize])
                .collect(),
            idf: kept.idf,
            bias: trained.bias,
            weights: trained.weights,
        })
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

plugin_sdk::export!(Linear);
