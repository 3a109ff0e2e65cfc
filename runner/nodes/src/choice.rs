//! Finds out which classifier and parameters suit a data set, for `auto`.
//!
//! A bounded sample of the usable records is dealt into two halves. Candidates learn from the first
//! and are scored on the second by accuracy against the given labels: first each plugin as it is,
//! then the other settings of those that are not far behind. What chance could have put behind the
//! best swaps the halves. Accuracy against labels of which a fifth is wrong still finds the setting
//! that is best against the truth, which log-loss against them does not.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::classifier::{CallContext, ClassifierError, Corpus, FitRequest, Texts};
use engine::{Artifact, Digest, NodeError, Outputs, RunContext};
use plan::{ColumnType, Schema};
use polars::prelude::{Column, DataFrame, Float64Chunked, IdxCa, IdxSize, IntoColumn, IntoSeries};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::classes::Classes;
use crate::classifier::Candidate;
use crate::columns::{keep_first, string_column, strings};
use crate::draw::Draw;
use crate::texts::texts_of;

/// Most records of the sample.
const MOST_RECORDS: usize = 20_000;

/// A plugin's other settings are not tried if the first is further behind than this share of the
/// records, and than chance explains: no setting that a plugin proposes makes up so much.
const HOPELESS: f64 = 0.03;

/// Most candidates that swap halves, the best one included.
const MOST_FINALISTS: usize = 3;

/// Being right on a smaller share of the records than this is not worth a setting that costs more.
const WORTH_IT: f64 = 0.001;

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
    /// Kept from the first turn for the second.
    corpus: Option<Box<dyn Corpus>>,
}

impl Trial {
    fn right(&self) -> usize {
        self.hits.iter().flatten().map(|hits| right(hits)).sum()
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
    let columns = candidates.first().map_or(&[][..], |candidate| &candidate.columns);
    let sample = Sample::new(frame, columns, &classes, seed)?;
    let mut trials: Vec<Trial> = candidates.iter().map(|_| Trial::default()).collect();
    let told = |share: f32| (context.progress)(share);
    let (firsts, others): (Vec<usize>, Vec<usize>) =
        (0..candidates.len()).partition(|&n| is_first(candidates, n));
    try_all(candidates, &firsts, &sample, 0, &mut trials, context, &|s| told(0.3 * s))?;
    let others = hopeful(candidates, &trials, &firsts, &others);
    try_all(candidates, &others, &sample, 0, &mut trials, context, &|s| told(0.3 + 0.4 * s))?;
    let finalists = finalists(&trials);
    for (n, trial) in trials.iter_mut().enumerate() {
        if !finalists.contains(&n) {
            trial.corpus = None;
        }
    }
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
    fn new(
        frame: &DataFrame,
        columns: &[String],
        classes: &Classes,
        seed: u64,
    ) -> Result<Sample, NodeError> {
        let ids = strings(frame, "record_id")?;
        // The order depends on ids and seed alone, so any order of rows gives the same sample.
        let mut draw = Draw::new(&seed.to_le_bytes());
        let mut usable: Vec<(Digest, u32, usize)> = Vec::with_capacity(frame.height());
        for (row, (class, id)) in classes.of_record.iter().zip(ids.iter()).enumerate() {
            if let Some(class) = class {
                usable.push((draw.place(id.unwrap_or_default()), *class, row));
            }
        }
        keep_first(&mut usable, MOST_RECORDS, Ord::cmp);
        let mut halves = [Vec::new(), Vec::new()];
        let mut dealt: BTreeMap<u32, usize> = BTreeMap::new();
        for (position, (_, class, _)) in usable.iter().enumerate() {
            // A start of its own for each class, or the first half would get every odd one out.
            let dealt = dealt.entry(*class).or_insert(*class as usize);
            halves[*dealt % 2].push(position as u32);
            *dealt += 1;
        }
        let rows: Vec<IdxSize> = usable.iter().map(|(_, _, row)| *row as IdxSize).collect();
        let sampled = frame.take(&IdxCa::from_vec("rows".into(), rows))?;
        Ok(Sample {
            texts: texts_of(&sampled, columns)?,
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
    let corpora: Vec<Mutex<Option<Box<dyn Corpus>>>> =
        wanted.iter().map(|&n| Mutex::new(trials[n].corpus.take())).collect();
    let one = |n: usize, prepared: Option<Box<dyn Corpus>>| {
        let candidate = &candidates[n];
        let corpus = match prepared {
            Some(corpus) => corpus,
            None => candidate.classifier.prepare(&sample.texts, &candidate.params, call)?,
        };
        let hits = sample.hits(corpus.as_ref(), turn, call)?;
        Ok((corpus, hits))
    };
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(&n) = wanted.get(at) else { break };
            let prepared = corpora[at].lock().unwrap_or_else(PoisonError::into_inner).take();
            let outcome = one(n, prepared);
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
            Ok((corpus, hits)) => {
                trials[n].hits[turn] = Some(hits);
                trials[n].corpus = Some(corpus);
            }
            Err(ClassifierError::Cancelled) => return Err(NodeError::Cancelled),
            Err(error) => trials[n].failure = Some(error.to_string()),
        }
    }
    Ok(())
}

/// Whether a candidate is its plugin as it is, which comes before its other settings.
fn is_first(candidates: &[Candidate], n: usize) -> bool {
    n == 0 || candidates[n - 1].asked_as != candidates[n].asked_as
}

/// The other settings of plugins that are not hopelessly behind the best.
fn hopeful(
    candidates: &[Candidate],
    trials: &[Trial],
    firsts: &[usize],
    others: &[usize],
) -> Vec<usize> {
    let hits = |n: usize| trials[n].hits[0].as_deref();
    let best = firsts.iter().filter_map(|&n| hits(n)).max_by_key(|hits| right(hits));
    let is_hopeful = |first: usize| match (best, hits(first)) {
        (Some(best), Some(hits)) => {
            let (behind, error) = behind(best, hits);
            behind <= (HOPELESS * best.len() as f64).max(2.0 * STANDARD_ERRORS * error)
        }
        // Another setting may be within a bound that the first was past.
        _ => true,
    };
    let first_of = |n: usize| (0..=n).rev().find(|&n| is_first(candidates, n)).unwrap_or(n);
    others.iter().copied().filter(|&n| is_hopeful(first_of(n))).collect()
}

fn right(hits: &[bool]) -> usize {
    hits.iter().filter(|hit| **hit).count()
}

/// How many records fewer a candidate has right than the best, and the standard error of that: the
/// difference has the variance of the records on which they disagree (McNemar 1947).
fn behind(best: &[bool], hits: &[bool]) -> (f64, f64) {
    let differ = best.iter().zip(hits).filter(|(best, hit)| best != hit).count();
    (right(best) as f64 - right(hits) as f64, (differ as f64).sqrt())
}

/// The best of the first turn and those too close behind to be told apart from it, best first.
fn finalists(trials: &[Trial]) -> Vec<usize> {
    let first = |n: usize| trials[n].hits[0].as_deref();
    let mut order: Vec<usize> = (0..trials.len()).filter(|&n| first(n).is_some()).collect();
    order.sort_by_key(|&n| std::cmp::Reverse(trials[n].right()));
    let Some(best) = order.first().and_then(|&n| first(n)) else { return order };
    order.retain(|&n| {
        let Some(hits) = first(n) else { return false };
        let (behind, error) = behind(best, hits);
        behind <= STANDARD_ERRORS * error
    });
    order.truncate(MOST_FINALISTS);
    order
}

/// The first of the finalists that are no more than a standard error behind the one with most hits,
/// or so little that it does not matter: earlier candidates are plainer and cheaper (the rule of one
/// standard error of Breiman et al., "Classification and regression trees", 1984).
fn best_of(trials: &[Trial], finalists: &[usize]) -> Option<usize> {
    let whole = |n: &&usize| finalists.len() == 1 || trials[**n].hits[1].is_some();
    let mut order: Vec<usize> = finalists.iter().filter(whole).copied().collect();
    if order.is_empty() {
        order = finalists.to_vec();
    }
    order.sort_unstable();
    let most = order.iter().copied().max_by_key(|&n| (trials[n].right(), std::cmp::Reverse(n)))?;
    let is_close = |n: usize| {
        let turns = trials[most].hits.iter().zip(&trials[n].hits);
        let turns = turns.filter_map(|(best, hits)| Some(behind(best.as_ref()?, hits.as_ref()?)));
        let (missed, variance) = turns.fold((0.0, 0.0), |(missed, variance), (more, error)| {
            (missed + more, variance + error * error)
        });
        missed <= variance.sqrt().max(WORTH_IT * trials[n].scored() as f64)
    };
    order.into_iter().find(|&n| is_close(n))
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
    let failures = trials.iter().map(|trial| match &trial.failure {
        None if trial.scored() == 0 => Some("not tried: its plugin is far behind"),
        failure => failure.as_deref(),
    });
    crate::columns::frame(vec![
        string_column("plugin", plugins),
        string_column("params", params.iter().map(|params| Some(params.as_str()))),
        Column::new("records_scored".into(), scored),
        accuracy.with_name("accuracy".into()).into_series().into_column(),
        Column::new("chosen".into(), chosen),
        string_column("failure", failures),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A candidate that was right on these numbers of the 1,000 records of each half; `shift` says
    /// where its misses begin, so that candidates may be right on the same records or on others.
    fn trial(right: [usize; 2], shift: usize) -> Trial {
        let hits = |right: usize| Some((0..1000).map(|n| (n + shift) % 1000 < right).collect());
        Trial { hits: right.map(hits), ..Trial::default() }
    }

    #[test]
    fn the_plainer_of_two_that_chance_may_have_parted_is_taken() {
        // Six records ahead, and they disagree on 200 or so.
        let trials = [trial([700, 700], 0), trial([703, 703], 50)];
        assert_eq!(best_of(&trials, &[1, 0]), Some(0));
        // As far ahead, and right wherever the other is.
        let trials = [trial([700, 700], 0), trial([703, 703], 0)];
        assert_eq!(best_of(&trials, &[1, 0]), Some(1));
        // That, but by two records in 2,000 only.
        let trials = [trial([700, 700], 0), trial([701, 701], 0)];
        assert_eq!(best_of(&trials, &[1, 0]), Some(0));
        // The best itself where nothing plainer is close; one that is no finalist has no say.
        let trials = [trial([500, 500], 0), trial([700, 700], 0), trial([701, 701], 0)];
        assert_eq!(best_of(&trials, &[2, 0]), Some(2));
    }
}
