//! A plugin that panics: an error, this instance refused from then on, others untouched.

use std::sync::Arc;

use engine::classifier::ClassifierError;
use plugin_sdk::{About, Classifier, Context, Error, Texts, Training};

use crate::support::{error_of, one_fold, records};

/// Panics in `fit` when the seed is 13, cancels when it is 14.
struct Nervous;

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoParams {}

impl Classifier for Nervous {
    type Params = NoParams;
    type Corpus = ();
    type Model = u32;

    const ABOUT: About = About {
        name: "nervous",
        version: "0.0.1",
        description: "panics",
        licence: "MIT",
        capabilities: &[],
    };

    fn prepare(_: NoParams, _: &Texts<'_>, _: &Context<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn fit(_: &(), training: &Training<'_>, context: &Context<'_>) -> Result<u32, Error> {
        assert!(training.seed != 13, "unlucky seed {}", training.seed);
        context.check()?;
        Ok(training.class_count as u32)
    }

    fn predict(
        _: &(),
        classes: &u32,
        _: &[u32],
        scores: &mut [f32],
        _: &Context<'_>,
    ) -> Result<(), Error> {
        scores.fill(1.0 / *classes as f32);
        Ok(())
    }

    fn save(classes: &u32) -> Result<Vec<u8>, Error> {
        Ok(classes.to_le_bytes().to_vec())
    }

    fn load(_: &[u8], classes: usize) -> Result<u32, Error> {
        Ok(classes as u32)
    }
}

fn nervous() -> Arc<dyn engine::classifier::Classifier> {
    // SAFETY: the SDK's own entry function keeps the contract.
    unsafe { plugin_host::load_static(plugin_sdk::fill_table::<Nervous>, "nervous") }.unwrap()
}

fn fit(
    corpus: &dyn engine::classifier::Corpus,
    seed: u64,
    cancelled: bool,
) -> Result<(), ClassifierError> {
    use engine::classifier::{CallContext, Cancel, FitRequest};
    let cancel = Cancel::default();
    if cancelled {
        cancel.cancel();
    }
    let request = FitRequest { rows: &[0], labels: &[0], weights: None, class_count: 3, seed };
    let context = CallContext { progress: &|_| {}, cancel: &cancel, threads: 1 };
    corpus.fit(request, context).map(drop)
}

#[test]
fn a_panic_ends_one_instance() {
    let (texts, labels) = records(20);
    let (plugin, other) = (nervous(), nervous());
    let corpus = crate::support::prepare(&*plugin, &texts, &serde_json::json!({}));
    assert!(fit(&*corpus, 1, false).is_ok());
    let message = error_of(fit(&*corpus, 13, false));
    assert_eq!(message, "plugin `nervous` broke its contract in fit: panicked: unlucky seed 13");
    let message = error_of(fit(&*corpus, 1, false));
    assert!(message.ends_with("in fit: it panicked in an earlier call"), "{message}");
    assert!(plugin.load(b"").is_err());
    assert!(one_fold(&*other, &texts, &labels, 1).is_ok());
}

#[test]
fn cancellation_has_its_own_error() {
    let (texts, _) = records(20);
    let plugin = nervous();
    let corpus = crate::support::prepare(&*plugin, &texts, &serde_json::json!({}));
    assert!(matches!(fit(&*corpus, 1, true), Err(ClassifierError::Cancelled)));
    assert!(fit(&*corpus, 1, false).is_ok());
}

#[test]
fn models_of_another_instance_are_refused() {
    let (texts, _) = records(20);
    let (plugin, other) = (nervous(), nervous());
    let corpus = crate::support::prepare(&*plugin, &texts, &serde_json::json!({}));
    let saved = {
        use crate::support::with_context;
        let request = engine::classifier::FitRequest {
            rows: &[0],
            labels: &[0],
            weights: None,
            class_count: 3,
            seed: 1,
        };
        with_context(1, |context| corpus.fit(request, context)).unwrap().save().unwrap()
    };
    let foreign = other.load(&saved).unwrap();
    let message = error_of(crate::support::with_context(1, |c| corpus.predict(&*foreign, &[0], c)));
    assert!(message.contains("the model is of another plugin"), "{message}");
}
