//! The plugin under test, with calls whose failure says what they were given.

use std::fmt;
use std::time::{Duration, Instant};

use engine::classifier::{
    CallContext, Cancel, Classifier, ClassifierError, Corpus, FitRequest, FurtherColumn, Model,
    Texts, fill_defaults,
};
use serde_json::{Value, json};

use super::data::Records;

/// How far the sum of a row may be from 1.
const SUM_TOLERANCE: f64 = 1e-3;

/// Why a check did not pass, in words for the author of the plugin.
#[derive(Debug)]
pub(super) struct Failure(String);

impl Failure {
    pub fn new(text: impl Into<String>) -> Failure {
        Failure(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ClassifierError> for Failure {
    fn from(error: ClassifierError) -> Failure {
        Failure(error.to_string())
    }
}

/// Says what a failure was met with.
pub(super) trait With<T> {
    fn with(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> With<T> for Result<T, E> {
    fn with(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure(format!("with {what}: {}", error.into())))
    }
}

/// The rows and labels of one model.
#[derive(Clone)]
pub(super) struct Lesson {
    pub rows: Vec<u32>,
    pub labels: Vec<u32>,
    pub weights: Option<Vec<f32>>,
    pub classes: u32,
}

impl Lesson {
    pub fn request(&self) -> FitRequest<'_> {
        FitRequest {
            rows: &self.rows,
            labels: &self.labels,
            weights: self.weights.as_deref(),
            class_count: self.classes,
            seed: 3,
        }
    }
}

/// What one fold gave: the saved model and the scores of the held-out rows.
#[derive(PartialEq)]
pub(super) struct Fold {
    pub model: Vec<u8>,
    pub scores: Vec<f32>,
}

pub(super) struct Subject<'a> {
    pub plugin: &'a dyn Classifier,
    /// Every default of the schema, as relabel passes them.
    pub params: Value,
}

impl<'a> Subject<'a> {
    pub fn new(plugin: &'a dyn Classifier) -> Subject<'a> {
        let mut params = json!({});
        fill_defaults(&plugin.description().params_schema, &mut params);
        Subject { plugin, params }
    }

    pub fn claims(&self, capability: &str) -> bool {
        self.plugin.description().claims(capability)
    }

    pub fn prepare(&self, texts: &[String], threads: usize) -> Result<Box<dyn Corpus>, Failure> {
        self.prepare_with(texts, Vec::new(), threads)
    }

    /// The same with further columns.
    pub fn prepare_with(
        &self,
        texts: &[String],
        columns: Vec<FurtherColumn>,
        threads: usize,
    ) -> Result<Box<dyn Corpus>, Failure> {
        let texts = texts_of(texts).with_columns(columns);
        Ok(quietly(threads, |context| self.plugin.prepare(&texts, &self.params, context))?)
    }

    pub fn fit(
        &self,
        corpus: &dyn Corpus,
        lesson: &Lesson,
        threads: usize,
    ) -> Result<Box<dyn Model>, Failure> {
        let model = quietly(threads, |context| corpus.fit(lesson.request(), context))?;
        if model.class_count() != lesson.classes {
            let (has, wanted) = (model.class_count(), lesson.classes);
            return Err(Failure(format!("the model has {has} classes, not {wanted}")));
        }
        Ok(model)
    }

    /// Scores that have been looked at: shape, values and sums.
    pub fn predict(
        &self,
        corpus: &dyn Corpus,
        model: &dyn Model,
        rows: &[u32],
        threads: usize,
    ) -> Result<Vec<f32>, Failure> {
        let scores = quietly(threads, |context| corpus.predict(model, rows, context))?;
        check_scores(&scores, rows.len(), model.class_count() as usize)?;
        Ok(scores)
    }

    /// Prepares, learns from the rows of the fold, saves, and scores the held-out rows.
    pub fn fold(&self, records: &Records, threads: usize) -> Result<Fold, Failure> {
        let corpus = self.prepare(&records.texts, threads)?;
        let model = self.fit(&*corpus, &records.lesson(), threads)?;
        let scores = self.predict(&*corpus, &*model, &records.held_out(), threads)?;
        Ok(Fold { model: model.save()?, scores })
    }
}

/// Calls with a context that nobody listens to and nobody cancels.
pub(super) fn quietly<R>(threads: usize, call: impl FnOnce(CallContext<'_>) -> R) -> R {
    let cancel = Cancel::default();
    call(CallContext { progress: &|_| {}, cancel: &cancel, threads })
}

pub(super) fn texts_of(texts: &[String]) -> Texts {
    Texts::from_strs(texts.iter().map(|text| Some(text.as_str())))
}

/// How long a call took, beside what it gave.
pub(super) fn timed<R>(call: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = call();
    (result, start.elapsed())
}

fn check_scores(scores: &[f32], rows: usize, classes: usize) -> Result<(), Failure> {
    if scores.len() != rows * classes {
        let got = scores.len();
        return Err(Failure(format!("{got} scores for {rows} rows of {classes} classes")));
    }
    for (row, values) in scores.chunks_exact(classes).enumerate() {
        if let Some(class) = values.iter().position(|value| !(0.0..=1.0).contains(value)) {
            let value = values[class];
            return Err(Failure(format!("row {row}: class {class} has probability {value}")));
        }
        let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(Failure(format!("row {row}: the probabilities sum to {sum}")));
        }
    }
    Ok(())
}

/// Fails where two answers that must be equal first differ.
pub(super) fn same<T: PartialEq + fmt::Debug>(
    what: &str,
    left: &[T],
    right: &[T],
) -> Result<(), Failure> {
    if left.len() != right.len() {
        let lengths = (left.len(), right.len());
        return Err(Failure(format!("{what} has {} values, then {}", lengths.0, lengths.1)));
    }
    match left.iter().zip(right).position(|(left, right)| left != right) {
        None => Ok(()),
        Some(at) => {
            let (left, right) = (&left[at], &right[at]);
            Err(Failure(format!("{what} differs at {at}: {left:?}, then {right:?}")))
        }
    }
}

/// Fails where two folds that must be equal to the byte differ.
pub(super) fn same_fold(first: &Fold, second: &Fold) -> Result<(), Failure> {
    same("the saved model", &first.model, &second.model)?;
    same("the scores", &first.scores, &second.scores)
}
