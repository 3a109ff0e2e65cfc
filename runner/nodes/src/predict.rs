//! `predict`: out-of-fold probabilities, from a classifier plugin or brought in a file.
//!
//! With a plugin, one unit a fold: its model is fitted on the usable records of the other folds and scores all
//! records of its own. A record is usable if its text is valid and its label is a class: in the
//! taxonomy, where there is one. Every record gets a prediction, also one that nothing was learnt
//! from, so a label outside the taxonomy is proposed a category inside it.
//!
//! With `auto` a unit of its own finds out, before the folds, what they use. With `probabilities`
//! nothing is fitted, there is one unit, and no folds are needed.
//!
//! `calibrate` works on probabilities that are there, in the unit that puts the folds together, so
//! another choice of it fits no model anew.

use std::any::Any;

use engine::classifier::{Corpus, FitRequest};
use engine::{
    Artifact, FactContext, Facts, Folds, Inputs, Node, NodeError, Outputs, Part, RunContext,
};
use plan::{
    CheckContext, Checked, ColumnType, Finding, InputPort, Metric, PortType, Schema, World,
};
use polars::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::choice;
use crate::classes::Classes;
use crate::classifier::{Candidate, ClassifierSpec, plugin_facts};
use crate::columns::{INTEGER, STRING, frame_port, integers, strings};
use crate::kind::{Kind, Making};
use crate::model::model_version;
use crate::texts::texts_of;
use brought::{Brought, Categories};
use calibration::{Calibrate, calibrated};
use scores::{
    ACCURACY, CALIBRATION_ERROR, LOG_LOSS, Scores, reliability_frame, reliability_schema,
};

mod brought;
pub(crate) mod calibration;
mod npy;
pub(crate) mod scores;
pub(crate) mod values;
mod verified;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// The classifier plugin that makes the predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ClassifierSpec")]
    classifier: Option<ClassifierSpec>,
    /// In place of `classifier`: a file with out-of-fold probabilities. Parquet or CSV with
    /// record_id and a column for each category, or NPY of [records, categories] in input order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("x-relabel-key" = false))]
    probabilities: Option<String>,
    /// The category of each column of an NPY file, as a list or a JSON file with one; for a table,
    /// the columns that are categories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Categories", extend("x-relabel-key" = false))]
    categories: Option<Categories>,
    /// Calibration of the out-of-fold probabilities against the given labels, for each fold by the
    /// other folds. A plugin's own `calibrate` works inside its training rows and comes before.
    #[serde(default)]
    #[schemars(extend("x-relabel-key" = false))]
    calibrate: Calibrate,
    #[serde(default = "default_seed")]
    seed: u64,
    /// How much a record with a correction or a verified label counts while learning.
    #[serde(default = "default_weight")]
    verified_weight: f64,
}

fn default_weight() -> f64 {
    1.0
}

fn default_seed() -> u64 {
    42
}

impl Params {
    fn brought(&self) -> Option<Brought> {
        let path = self.probabilities.clone()?;
        Some(Brought { path, categories: self.categories.clone() })
    }

    /// Where the probabilities come from, which must be one thing or the other.
    fn check_origin(&self) -> Result<(), Vec<Finding>> {
        let finding = match (&self.classifier, &self.probabilities, &self.categories) {
            (Some(_), Some(_), _) => {
                Finding::param("/probabilities", "`probabilities` takes the place of `classifier`")
                    .with_hint("leave one of them out")
            }
            (None, None, _) => Finding::new(plan::At::Node, "`classifier` is missing").with_hint(
                "name one, such as `classifier: {plugin: linear}`, or a file with `probabilities`",
            ),
            (_, None, Some(_)) => {
                Finding::param("/categories", "`categories` goes with `probabilities`")
                    .with_hint("a classifier takes its categories from the labels")
            }
            _ => return Ok(()),
        };
        Err(vec![finding])
    }
}

pub(crate) struct Predict;

impl Kind for Predict {
    type Params = Params;

    const NAME: &'static str = "predict";
    const VERSION: u32 = 4;
    const SUMMARY: &'static str = "Out-of-fold predictions; probabilities on `probabilities`.";

    fn input_ports() -> Vec<InputPort> {
        let columns = [("record_id", STRING), ("text", STRING), ("label", STRING)];
        vec![frame_port("input", "records with fold_id, from a `kfold`", &columns)]
    }

    fn output_ports() -> Vec<&'static str> {
        vec!["", "probabilities", "reliability", choice::CHOICE]
    }

    fn metrics() -> Vec<Metric> {
        let metric = |column, note, larger_is_better| Metric { column, note, larger_is_better };
        vec![
            metric("accuracy", ACCURACY, true),
            metric("log_loss", LOG_LOSS, false),
            metric("calibration_error", CALIBRATION_ERROR, false),
        ]
    }

    fn check(params: &Params, context: &CheckContext<'_>) -> Result<Checked, Vec<Finding>> {
        params.check_origin()?;
        let input = context.schema("input").cloned().unwrap_or_default();
        let mut probabilities = Schema::new([("record_id", ColumnType::String)]);
        probabilities.open = true;
        let mut checked = Checked {
            outputs: vec![
                ("", PortType::Frame(out_of_fold_schema(input.clone()))),
                ("probabilities", PortType::Frame(probabilities)),
                ("reliability", PortType::Frame(reliability_schema())),
            ],
            ..Checked::default()
        };
        if let Some(brought) = params.brought() {
            let base_dir = context.world.base_dir();
            brought.check(base_dir, context.taxonomy).map_err(|finding| vec![finding])?;
        }
        let Some(classifier) = &params.classifier else { return Ok(checked) };
        let described = classifier.check_with(context.world, "/classifier", Some(&input))?;
        let typed = input.get("fold_id").is_some_and(|found| INTEGER.contains(&found));
        let Some(folds) = input.folds.filter(|_| typed) else {
            return Err(vec![
                Finding::new(plan::At::Input("input"), "the number of folds is not known here")
                    .with_hint("put a `kfold` node before this one"),
            ]);
        };
        let plugins: Vec<_> = described.iter().map(|one| one.plugin.clone()).collect();
        let findings = verified::check(params.verified_weight, &input, &plugins);
        if !findings.is_empty() {
            return Err(findings);
        }
        let mut filled = context.params.clone();
        checked.choice = classifier.is_auto();
        if checked.choice {
            checked.outputs.push((choice::CHOICE, PortType::Frame(choice::schema())));
        } else if let [only] = described.as_slice() {
            filled["classifier"]["params"] = only.params.clone();
        }
        checked.plugins = described.into_iter().map(|one| one.plugin).collect();
        checked.plugins.dedup();
        (checked.folds, checked.params) = (folds, Some(filled));
        Ok(checked)
    }

    fn check_alone(params: &Params, world: &dyn World) -> Vec<Finding> {
        if let Err(findings) = params.check_origin() {
            return findings;
        }
        let checked = params.classifier.as_ref().map(|one| one.check(world, "/classifier"));
        checked.and_then(Result::err).unwrap_or_default()
    }

    fn node(params: Params, making: &Making<'_>) -> Result<Box<dyn Node>, NodeError> {
        let candidates = match &params.classifier {
            Some(classifier) => classifier.candidates(making)?,
            None => Vec::new(),
        };
        let brought = params.brought();
        Ok(Box::new(PredictNode { params, candidates, brought }))
    }
}

/// The columns of an out-of-fold frame, given those of the records.
pub(crate) fn out_of_fold_schema(mut schema: Schema) -> Schema {
    schema.remove("label");
    for (name, column_type) in [
        ("original_label", ColumnType::String),
        ("given_label", ColumnType::String),
        ("predicted_label", ColumnType::String),
        ("prediction_confidence", ColumnType::Float),
        ("given_confidence", ColumnType::Float),
        ("predicted_in_taxonomy", ColumnType::Boolean),
        ("audit_run_id", ColumnType::String),
        ("model_version", ColumnType::String),
    ] {
        schema.set(name, column_type);
    }
    schema
}

struct PredictNode {
    params: Params,
    /// A file in place of a classifier.
    brought: Option<Brought>,
    /// What `auto` chooses from; the only one where there is nothing to choose.
    candidates: Vec<Candidate>,
}

/// What the folds share: prepared texts, classes, and which records may be learnt from.
struct SharedCorpus {
    corpus: Box<dyn Corpus>,
    classes: Classes,
    folds: Vec<u32>,
    /// Of each record, where they differ.
    weights: Option<Vec<f32>>,
}

impl Node for PredictNode {
    fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        let auto = self.params.classifier.as_ref().is_some_and(ClassifierSpec::is_auto);
        // With a choice, folds depend on its result; it depends on all it chose from.
        if !auto || context.part == Part::Choice {
            plugin_facts(&self.candidates, context);
        }
        if let Some(brought) = &self.brought {
            brought.facts(context)?;
        }
        if context.part == Part::Whole && self.params.calibrate != Calibrate::None {
            context.facts.add("param:calibrate", self.params.calibrate.word());
        }
        context.taxonomy();
        Ok(())
    }

    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let frame = inputs.frame("input")?;
        let (scores, version, renormalised) = self.probabilities(context, inputs)?;
        let labels = strings(frame, "label")?;
        let calibrate = self.params.calibrate;
        let raw = match calibrate {
            Calibrate::None => None,
            _ => scores.quality(labels),
        };
        let scores = calibrated(scores, calibrate, frame)?;
        let audit_run_id = audit_run_id(context, inputs)?;
        let table = scores.out_of_fold_frame(frame, context.taxonomy, &audit_run_id, &version)?;
        let mut outputs = Outputs::frame(table);
        if renormalised > 0 {
            let text = format!("{renormalised} rows of probabilities did not quite sum to 1");
            outputs.warn(text, Some("they were divided by their sums; more digits would help"));
        }
        let quality = scores.quality(labels);
        if let Some(quality) = &quality {
            quality.note(&mut outputs);
        }
        if let Some(raw) = raw {
            outputs.metric("log-loss before calibration", raw.log_loss);
            outputs.metric("expected calibration error before calibration", raw.calibration_error);
        }
        let probabilities = scores.probabilities_frame(frame)?;
        let reliability = reliability_frame(quality.as_ref())?;
        outputs = outputs
            .with("probabilities", Artifact::Frame(probabilities))
            .with("reliability", Artifact::Frame(reliability));
        if let Some(Artifact::Frame(tried)) = inputs.choice().and_then(|c| c.get(choice::CHOICE)) {
            outputs = outputs.with(choice::CHOICE, Artifact::Frame(tried.clone()));
        }
        Ok(outputs)
    }

    fn folds(&self) -> Option<&dyn Folds> {
        self.brought.is_none().then_some(self)
    }
}

impl PredictNode {
    /// The probabilities as they come, the version of what made them, and how many rows of a file
    /// had to be divided by their sum.
    fn probabilities(
        &self,
        context: &RunContext<'_>,
        inputs: &Inputs,
    ) -> Result<(Scores, String, usize), NodeError> {
        let frame = inputs.frame("input")?;
        if let Some(brought) = &self.brought {
            let read = brought.read(context.base_dir, frame, context.taxonomy)?;
            return Ok((read.scores, format!("probabilities {}", read.version), read.renormalised));
        }
        let scores = Scores::gather(frame.height(), inputs.folds())?;
        let candidate = choice::chosen(&self.candidates, inputs.choice())?;
        let version = model_version(candidate);
        Ok((scores, version, 0))
    }
}

/// An id that is the same for the same predictions.
///
/// That is the unit's key; but what was tried besides the chosen classifier, which is part of the
/// key, must not make another audit run of the same predictions.
fn audit_run_id(context: &RunContext<'_>, inputs: &Inputs) -> Result<String, NodeError> {
    let mut key = context.key;
    if let Some(choice) = inputs.choice() {
        let mut facts = Facts::new();
        for fact in context.facts.iter().filter(|fact| !fact.name.ends_with("[choice]")) {
            facts.add(fact.name.clone(), fact.value.clone());
        }
        facts.add("chosen", choice::digest(choice)?.to_hex());
        key = facts.key();
    }
    Ok(key.to_hex()[..16].to_owned())
}

impl Folds for PredictNode {
    fn choose(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        choice::choose(&self.candidates, inputs.frame("input")?, self.params.seed, context)
    }

    fn prepare(
        &self,
        context: &RunContext<'_>,
        inputs: &Inputs,
    ) -> Result<Box<dyn Any + Send + Sync>, NodeError> {
        let frame = inputs.frame("input")?;
        let classes = Classes::find(frame, context.taxonomy)?;
        let folds = integers(frame, "fold_id")?
            .into_iter()
            .map(|fold| fold.and_then(|fold| u32::try_from(fold).ok()))
            .collect::<Option<Vec<u32>>>()
            .ok_or_else(|| NodeError::input("some records have no fold_id"))?;
        let silent = |_: f32| {};
        let mut call = context.call();
        call.progress = &silent;
        let candidate = choice::chosen(&self.candidates, inputs.choice())?;
        let texts = texts_of(frame, &candidate.columns)?;
        let corpus = candidate.classifier.prepare(&texts, &candidate.params, call)?;
        let weights = verified::weights(frame, self.params.verified_weight);
        Ok(Box::new(SharedCorpus { corpus, classes, folds, weights }))
    }

    fn run_fold(
        &self,
        context: &RunContext<'_>,
        _: &Inputs,
        shared: &(dyn Any + Send + Sync),
        fold: u32,
    ) -> Result<Outputs, NodeError> {
        let shared: &SharedCorpus = shared
            .downcast_ref()
            .ok_or_else(|| NodeError::Internal("the folds share something else".into()))?;
        let classes = &shared.classes;
        let (mut rows, mut labels, mut held_out) = (Vec::new(), Vec::new(), Vec::new());
        for (row, fold_of_row) in shared.folds.iter().enumerate() {
            match classes.of_record[row] {
                _ if *fold_of_row == fold => held_out.push(row as u32),
                Some(class) => {
                    rows.push(row as u32);
                    labels.push(class);
                }
                None => {}
            }
        }
        let of_row =
            |all: &Vec<f32>| rows.iter().map(|row| all[*row as usize]).collect::<Vec<f32>>();
        let weights = shared.weights.as_ref().map(of_row);
        let request = FitRequest {
            rows: &rows,
            labels: &labels,
            weights: weights.as_deref(),
            class_count: classes.names.len() as u32,
            seed: self.params.seed.wrapping_add(u64::from(fold)),
        };
        // Fitting is nearly all of the work; predicting is told as the last tenth.
        let fitting = |fraction: f32| (context.progress)(0.9 * fraction);
        let mut call = context.call();
        call.progress = &fitting;
        let model = shared.corpus.fit(request, call)?;
        let predicting = |fraction: f32| (context.progress)(0.9 + 0.1 * fraction);
        call.progress = &predicting;
        let probabilities = shared.corpus.predict(model.as_ref(), &held_out, call)?;
        let width = classes.names.len();
        let mut columns = vec![Column::new("row".into(), &held_out)];
        for (class, name) in classes.names.iter().enumerate() {
            let values: Vec<f32> =
                probabilities.iter().skip(class).step_by(width).copied().collect();
            columns.push(Column::new(format!("p:{name}").as_str().into(), values));
        }
        Ok(Outputs::frame(crate::columns::frame(columns)?))
    }
}
