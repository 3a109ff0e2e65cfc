//! Finds out which classifier and parameters suit a data set, for `auto`.
//!
//! A bounded sample of the usable records is dealt into two halves. Every candidate learns from the
//! first and is scored on the second by accuracy against the given labels; those that chance could
//! have put behind the best swap the halves. Accuracy against labels of which a fifth is wrong
//! still finds the setting that is best against the truth, which log-loss against them does not.
//! A fit sees half the records where a fold sees four fifths, so eight candidates cost about what
//! the folds themselves cost, and far less on a large data set.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::classifier::{CallContext, ClassifierError, Corpus, FitRequest, Texts};
use engine::{Artifact, Digest, NodeError, Outputs, RunContext};
use plan::{ColumnType, Schema};
use polars::prelude::{Column, DataFrame, Float64Chunked, IntoColumn, IntoSeries};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::classes::Classes;
use crate::classifier::Candidate;
use crate::columns::{string_column, strings};

/// Most records of the sample.
const MOST_RECORDS: usize = 40_000;

/// Most candidates that swap halves, the best one included.
const MOST_FINALISTS: usize = 3;

/// Candidates further behind than this many standard errors of the difference are out.
const STANDARD_ERRORS: f64 = 2.0;

/// Seed of every fit: candidates differ by their settings alone.
const FIT_SEED: u64 = 42;

/// The port folds depend on.
pub(crate) const CHOSEN: &str = "chosen";
/// The port with all that was tried.
pub(crate) const CHOICE: &str = "choice";

/// What was chosen, as it stands in the cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Chosen {
    plugin: String,
    version: String,
    file_digest: String,
    params: Value,
}

impl Chosen {
    fn of(candidate: &Candidate) -> Chosen {
        let description = candidate.classifier.description();
        Chosen {
            plugin: description.name.clone(),
            version: description.version.clone(),
            file_digest: description.file_digest.clone(),
            params: candidate.params.clone(),
        }
    }
}

/// The schema of [`CHOICE`].
pub(crate) fn schema() -> Schema {
    Schema::new([
        ("plugin", ColumnType::String),
        ("params", ColumnType::String),
        ("records_scored", ColumnType::Integer),
        ("accuracy", ColumnType::Float),
        ("chosen", ColumnType::Boolean),
        ("failure", ColumnType::String),
    ])
}

/// How a candidate did.
#[derive(Default)]
struct Trial {
    /// Whether each record of the sample was predicted its given label; `None` if not scored.
    hits: [Option<Vec<bool>>; 2],
    /// Why it could not be scored.
    failure: Option<String>,
}

impl Trial {
    fn right(&self) -> usize {
        self.hits.iter().flatten().flatten().filter(|hit| **hit).count()
    }

    fn scored(&self) -> usize {
        self.hits.iter().flatten().map(Vec::len).sum()
    }

    fn accuracy(&self) -> Option<f64> {
        (self.scored() > 0).then(|| self.right() as f64 / self.scored() as f64)
    }
}

/// Records to try candidates on: rows of the frame, and the half each is in.
struct Sample {
    texts: Texts,
    labels: Vec<u32>,
    halves: [Vec<u32>; 2],
    class_count: u32,
}

/// Tries all candidates on a sample of a frame and says which is best.
///
/// Gives the ports [`CHOSEN`] and [`CHOICE`] of the unit before the folds.
pub(crate) fn choose(
    candidates: &[Candidate],
    frame: &DataFrame,
    seed: u64,
    context: &RunContext<'_>,
) -> Result<Outputs, NodeError> {
    let classes = Classes::find(frame, context.taxonomy)?;
    let sample = Sample::new(frame, &classes, seed)?;
    let mut trials: Vec<Trial> = candidates.iter().map(|_| Trial::default()).collect();
    let everybody: Vec<usize> = (0..candidates.len()).collect();
    let told = |share: f32| (context.progress)(share);
    try_all(candidates, &everybody, &sample, 0, &mut trials, context, &|s| told(0.7 * s))?;
    let finalists = finalists(&trials);
    if finalists.len() > 1 {
        let told = |share: f32| told(0.7 + 0.3 * share);
        try_all(candidates, &finalists, &sample, 1, &mut trials, context, &told)?;
    }
    let Some(best) = best_of(&trials, &finalists) else {
        let reasons: Vec<&str> = trials.iter().filter_map(|t| t.failure.as_deref()).collect();
        let message = format!("no classifier could be tried: {}", reasons.join("; "));
        return Err(NodeError::input(message));
    };
    let chosen = serde_json::to_vec(&Chosen::of(&candidates[best]))
        .map_err(|error| NodeError::Internal(error.to_string()))?;
    let mut outputs = Outputs::default()
        .with(CHOSEN, Artifact::Blob(chosen.into()))
        .with(CHOICE, Artifact::Frame(table(candidates, &trials, best)?));
    for (n, (candidate, trial)) in candidates.iter().zip(&trials).enumerate() {
        let mark = if n == best { ", chosen" } else { "" };
        if let Some(accuracy) = trial.accuracy() {
            outputs.metric(format!("accuracy of {}{mark}", name_of(candidate)), accuracy);
        }
        if let Some(failure) = &trial.failure {
            outputs.warn(format!("{} could not be tried: {failure}", name_of(candidate)), None);
        }
    }
    Ok(outputs)
}

fn chosen_bytes(choice: &Outputs) -> Result<&[u8], NodeError> {
    match choice.get(CHOSEN) {
        Some(Artifact::Blob(bytes)) => Ok(bytes),
        _ => Err(NodeError::Internal("the choice has no result".into())),
    }
}

/// Returns a digest of what was chosen.
pub(crate) fn digest(choice: &Outputs) -> Result<Digest, NodeError> {
    chosen_bytes(choice).map(Digest::of)
}

/// Finds what was chosen among the candidates it was chosen from.
pub(crate) fn chosen<'a>(
    candidates: &'a [Candidate],
    choice: Option<&Outputs>,
) -> Result<&'a Candidate, NodeError> {
    let found = match choice {
        None => candidates.first(),
        Some(outputs) => {
            let wanted: Chosen = serde_json::from_slice(chosen_bytes(outputs)?)
                .map_err(|error| NodeError::Internal(error.to_string()))?;
            candidates.iter().find(|candidate| Chosen::of(candidate) == wanted)
        }
    };
    found.ok_or_else(|| NodeError::Internal("what was chosen is no candidate any more".into()))
}

impl Sample {
    fn new(frame: &DataFrame, classes: &Classes, seed: u64) -> Result<Sample, NodeError> {
        let ids = strings(frame, "record_id")?;
        let texts = strings(frame, "text")?;
        // The order depends on ids and seed alone, so any order of rows gives the same sample.
        let mut usable: Vec<(Digest, u32, usize)> = Vec::new();
        for (row, class) in classes.of_record.iter().enumerate() {
            if let Some(class) = class {
                let mut bytes = seed.to_le_bytes().to_vec();
                bytes.extend_from_slice(ids.get(row).unwrap_or_default().as_bytes());
                usable.push((Digest::of(&bytes), *class, row));
            }
        }
        usable.sort_unstable();
        usable.truncate(MOST_RECORDS);
        let mut halves = [Vec::new(), Vec::new()];
        let mut dealt: BTreeMap<u32, usize> = BTreeMap::new();
        for (position, (_, class, _)) in usable.iter().enumerate() {
            // A start of its own for each class, or the first half would get every odd one out.
            let dealt = dealt.entry(*class).or_insert(*class as usize);
            halves[*dealt % 2].push(position as u32);
            *dealt += 1;
        }
        let rows = usable.iter().map(|(_, _, row)| texts.get(*row));
        Ok(Sample {
            texts: Texts::from_strs(rows),
            labels: usable.iter().map(|(_, class, _)| *class).collect(),
            halves,
            class_count: classes.names.len() as u32,
        })
    }

    /// Fits on one half, predicts the other; `turn` 0 learns from the first half.
    fn hits(
        &self,
        corpus: &dyn Corpus,
        turn: usize,
        call: CallContext<'_>,
    ) -> Result<Vec<bool>, ClassifierError> {
        let (learn, score) = (&self.halves[turn], &self.halves[1 - turn]);
        let labels: Vec<u32> = learn.iter().map(|&row| self.labels[row as usize]).collect();
        let request = FitRequest {
            rows: learn,
            labels: &labels,
            weights: None,
            class_count: self.class_count,
            seed: FIT_SEED,
        };
        let model = corpus.fit(request, call)?;
        let probabilities = corpus.predict(model.as_ref(), score, call)?;
        let rows = probabilities.chunks_exact(self.class_count as usize);
        Ok(rows
            .zip(score)
            .map(|(row, &record)| first_largest(row) == self.labels[record as usize] as usize)
            .collect())
    }
}

/// The class with the largest probability; the first on a tie.
fn first_largest(row: &[f32]) -> usize {
    let better = |best: usize, class: usize| if row[class] > row[best] { class } else { best };
    (0..row.len()).fold(0, better)
}

/// Runs one turn of some candidates, as many at a time as there are threads.
fn try_all(
    candidates: &[Candidate],
    wanted: &[usize],
    sample: &Sample,
    turn: usize,
    trials: &mut [Trial],
    context: &RunContext<'_>,
    told: &(dyn Fn(f32) + Sync),
) -> Result<(), NodeError> {
    let workers = context.threads.min(wanted.len()).max(1);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let silent = |_: f32| {};
    let call = CallContext {
        progress: &silent,
        threads: (context.threads / workers).max(1),
        cancel: context.cancel,
    };
    let work = || {
        while let Some(&n) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let candidate = &candidates[n];
            let outcome = candidate
                .classifier
                .prepare(&sample.texts, &candidate.params, call)
                .and_then(|corpus| sample.hits(corpus.as_ref(), turn, call));
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((n, outcome));
            told(done.len() as f32 / wanted.len() as f32);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(work);
        }
        work();
    });
    for (n, outcome) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        match outcome {
            Ok(hits) => trials[n].hits[turn] = Some(hits),
            Err(ClassifierError::Cancelled) => return Err(NodeError::Cancelled),
            Err(error) => trials[n].failure = Some(error.to_string()),
        }
    }
    Ok(())
}

/// The best of the first turn and those too close behind to be told apart from it, best first.
///
/// The difference of two candidates has the variance of the records on which they disagree
/// (McNemar 1947).
fn finalists(trials: &[Trial]) -> Vec<usize> {
    let first = |n: usize| trials[n].hits[0].as_deref();
    let mut order: Vec<usize> = (0..trials.len()).filter(|&n| first(n).is_some()).collect();
    order.sort_by_key(|&n| std::cmp::Reverse(trials[n].right()));
    let Some(best) = order.first().and_then(|&n| first(n)) else { return order };
    order.retain(|&n| {
        let Some(hits) = first(n) else { return false };
        let (mut behind, mut differ) = (0_i64, 0_u32);
        for (best, hit) in best.iter().zip(hits) {
            behind += i64::from(*best) - i64::from(*hit);
            differ += u32::from(best != hit);
        }
        behind as f64 <= STANDARD_ERRORS * f64::from(differ).sqrt()
    });
    order.truncate(MOST_FINALISTS);
    order
}

/// The finalist with the most hits; of equal ones the first candidate, which is the cheaper one.
fn best_of(trials: &[Trial], finalists: &[usize]) -> Option<usize> {
    let whole = |n: &&usize| finalists.len() == 1 || trials[**n].hits[1].is_some();
    let mut order: Vec<usize> = finalists.iter().filter(whole).copied().collect();
    if order.is_empty() {
        order = finalists.to_vec();
    }
    order.sort_unstable();
    order.into_iter().reduce(
        |best, n| {
            if trials[n].right() > trials[best].right() { n } else { best }
        },
    )
}

fn name_of(candidate: &Candidate) -> String {
    format!("{} {}", candidate.asked_as, parameters_besides_defaults(candidate))
}

/// The parameters that differ from the plugin's defaults, as they stand in a pipeline file.
fn parameters_besides_defaults(candidate: &Candidate) -> Value {
    let mut defaults = Value::Object(serde_json::Map::new());
    plan::fill_defaults(&candidate.classifier.description().params_schema, &mut defaults);
    let differing = candidate.params.as_object().into_iter().flatten();
    differing
        .filter(|(name, value)| defaults.get(name.as_str()) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn table(candidates: &[Candidate], trials: &[Trial], best: usize) -> Result<DataFrame, NodeError> {
    let plugins = candidates.iter().map(|c| Some(c.classifier.description().name.as_str()));
    let params: Vec<String> = candidates.iter().map(|c| c.params.to_string()).collect();
    let scored: Vec<u64> = trials.iter().map(|trial| trial.scored() as u64).collect();
    let accuracy: Float64Chunked = trials.iter().map(Trial::accuracy).collect();
    let chosen: Vec<bool> = (0..candidates.len()).map(|n| n == best).collect();
    let failures = trials.iter().map(|trial| trial.failure.as_deref());
    crate::columns::frame(vec![
        string_column("plugin", plugins),
        string_column("params", params.iter().map(|params| Some(params.as_str()))),
        Column::new("records_scored".into(), scored),
        accuracy.with_name("accuracy".into()).into_series().into_column(),
        Column::new("chosen".into(), chosen),
        string_column("failure", failures),
    ])
}
