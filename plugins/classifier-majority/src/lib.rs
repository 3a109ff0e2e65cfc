//! The reference plugin: every row gets the weighted share of each class in the training rows.
//! It reads no text. Tests and docs use it, and it is the floor any other plugin must beat.

#![deny(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

use plugin_sdk::{About, Classifier, Context, Error, Texts, Training};
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of `majority`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Added to the weight of every class, so that a class without rows has a share too.
    #[schemars(range(min = 0.0))]
    pub smoothing: f64,
}

impl Default for Params {
    fn default() -> Params {
        Params { smoothing: 1.0 }
    }
}

/// The classifier behind the entry symbol; public for tests that call it without dlopen.
pub struct Majority;

/// Nothing but the parameters: texts are not looked at.
pub struct Corpus {
    smoothing: f64,
}

/// The share of each class.
pub struct Model {
    shares: Vec<f32>,
}

impl Classifier for Majority {
    type Params = Params;
    type Corpus = Corpus;
    type Model = Model;

    const ABOUT: About = About {
        name: "majority",
        version: env!("CARGO_PKG_VERSION"),
        description: "Class shares of the training rows, the same for every text; the baseline",
        licence: "MIT OR Apache-2.0",
        capabilities: &["weights", "reference"],
    };

    fn prepare(params: Params, _texts: &Texts<'_>, _: &Context<'_>) -> Result<Corpus, Error> {
        if !(params.smoothing.is_finite() && params.smoothing >= 0.0) {
            return Err(Error::new("parameter `smoothing` must be finite and not negative"));
        }
        Ok(Corpus { smoothing: params.smoothing })
    }

    fn fit(corpus: &Corpus, training: &Training<'_>, _: &Context<'_>) -> Result<Model, Error> {
        let mut totals = vec![corpus.smoothing; training.class_count];
        for (position, &label) in training.labels.iter().enumerate() {
            totals[label as usize] += f64::from(training.weight(position));
        }
        let sum: f64 = totals.iter().sum();
        let even = 1.0 / training.class_count as f64;
        let share = |total: f64| if sum > 0.0 { total / sum } else { even };
        Ok(Model { shares: totals.into_iter().map(|total| share(total) as f32).collect() })
    }

    fn predict(
        _corpus: &Corpus,
        model: &Model,
        _rows: &[u32],
        scores: &mut [f32],
        _: &Context<'_>,
    ) -> Result<(), Error> {
        for row in scores.chunks_exact_mut(model.shares.len()) {
            row.copy_from_slice(&model.shares);
        }
        Ok(())
    }

    fn save(model: &Model) -> Result<Vec<u8>, Error> {
        Ok(model.shares.iter().flat_map(|share| share.to_le_bytes()).collect())
    }

    fn load(bytes: &[u8], class_count: usize) -> Result<Model, Error> {
        let (shares, rest) = bytes.as_chunks::<4>();
        if shares.len() != class_count || !rest.is_empty() {
            return Err(Error::new("the saved model has not one share a class"));
        }
        Ok(Model { shares: shares.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect() })
    }
}

plugin_sdk::export!(Majority);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_the_weights() {
        let context = Context::quiet();
        let texts = Texts::new(&[0, 1, 2, 3], "abc").unwrap();
        let corpus = Majority::prepare(Params { smoothing: 0.0 }, &texts, &context).unwrap();
        let training = Training {
            rows: &[0, 1, 2],
            labels: &[0, 2, 2],
            weights: Some(&[2.0, 1.0, 1.0]),
            class_count: 3,
            seed: 0,
        };
        let model = Majority::fit(&corpus, &training, &context).unwrap();
        let mut scores = [0.0; 6];
        Majority::predict(&corpus, &model, &[0, 1], &mut scores, &context).unwrap();
        assert_eq!(scores, [0.5, 0.0, 0.5, 0.5, 0.0, 0.5]);
        let loaded = Majority::load(&Majority::save(&model).unwrap(), 3).unwrap();
        assert_eq!(loaded.shares, model.shares);
    }
}
